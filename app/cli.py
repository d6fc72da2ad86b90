"""The command line: ``crossings``. Each command is a module of `app.commands`."""

from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer
from typer._click import Command, Context
from typer.core import TyperGroup

COMMANDS = {
    "serve": "serve",
    "worker": "worker",
    "courier": "worker",
    "migrate": "migrate",
    "seed": "seed",
    "export": "export",
    "check": "check",
    "audit": "audit",
    "backup": "backup",
    "restore": "restore",
    "import": "import_feed",
    "keys": "keys",
    "secrets": "secrets",
}
"""The module of each command, in the order of the help."""


class _LazyGroup(TyperGroup):
    """Commands whose modules are imported when they are called or listed."""

    def list_commands(self, ctx: Context) -> list[str]:
        self._load(*COMMANDS)
        return super().list_commands(ctx)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        # For a name that is none, Typer suggests the commands that look like it.
        self._load(*([cmd_name] if cmd_name in COMMANDS else COMMANDS))
        return super().get_command(ctx, cmd_name)

    def _load(self, *names: str) -> None:
        for name in names:
            if name not in self.commands:
                module = import_module(f"app.commands.{COMMANDS[name]}")
                self.add_command(typer.main.get_group(module.app).commands[name])


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Crossing Status: is that border crossing open?",
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"crossings {version('crossing-status')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line; an error that an operator can mend is said in a sentence."""
    try:
        app()
    except Exception as error:
        # The modules that define these errors take long to import.
        from app.commands.errors import fail, sentence_of  # noqa: PLC0415

        if (sentence := sentence_of(error)) is None:
            raise
        fail(sentence)


if __name__ == "__main__":
    main()
