"""The command line: ``crossings``. Each command is a module of `app.commands`."""

from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer
from typer._click import Command, Context
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup

from app.garbage import collection_paused

FOR_PEOPLE = {
    "status": "status",
    "wait": "wait",
    "watch": "watch",
    "report": "report",
    "download": "download",
}
"""The module of each command that asks a service, in the order of the help."""
FOR_OPERATORS = {
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
"""The module of each command that runs a service or uses its database."""
COMMANDS = FOR_PEOPLE | FOR_OPERATORS
_HIDDEN = {"courier"}


class _LazyGroup(TyperGroup):
    """Commands whose modules are imported when they are called or described."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002  # the base class has it
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        # For a name that is none, Typer suggests the commands that look like it.
        self._load(*([cmd_name] if cmd_name in COMMANDS else COMMANDS))
        return super().get_command(ctx, cmd_name)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Return names alone: to describe the commands, all modules would have to be imported."""
        options = super().shell_complete(ctx, incomplete) if incomplete.startswith("-") else []
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        return [*options, *(CompletionItem(name) for name in names if name not in _HIDDEN)]

    def _load(self, *names: str) -> None:
        for name in names:
            if name not in self.commands:
                with collection_paused():
                    module = import_module(f"app.commands.{COMMANDS[name]}")
                command = typer.main.get_group(module.app).commands[name]
                assert isinstance(command, TyperCommand | TyperGroup)
                panel = "To ask a service" if name in FOR_PEOPLE else "To run a service"
                command.rich_help_panel = panel
                self.add_command(command)


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
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
