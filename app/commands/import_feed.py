"""`crossings import`."""

from functools import partial
from typing import Annotated

import typer

from app.commands.database import migrated_database
from app.commands.options import DataDir, settings_of
from app.importers.command import import_once

app = typer.Typer()


@app.command("import")
def import_feed(
    name: Annotated[str, typer.Argument(help="The feed, such as us-cbp.")],
    payload: Annotated[
        str | None,
        typer.Argument(help="A file, or an address, to read instead.", metavar="[FILE|URL]"),
    ] = None,
    observed_at: Annotated[
        str | None,
        typer.Option(
            help="RFC 3339 instant of values that do not say one.",
            show_default="when they were fetched",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Import the waits of a feed once, and say what was recorded and what was refused."""
    settings = settings_of(data_dir=data_dir)
    with migrated_database(data_dir) as database:
        report, has_failed = database.run_all(
            partial(
                import_once, name=name, source=payload, observed_at=observed_at, settings=settings
            )
        )
    for line in report:
        typer.echo(line)
    if has_failed:
        raise typer.Exit(1)
