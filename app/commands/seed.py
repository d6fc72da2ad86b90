"""`crossings seed`."""

from functools import partial
from typing import Annotated

import typer

from app.commands.database import migrated_database
from app.commands.options import DataDir, settings_of
from app.seeding.service import load_seeds

app = typer.Typer()


@app.command()
def seed(
    only: Annotated[
        str | None,
        typer.Option(
            help="Names of the sets to load, separated by commas: the folders of `seeds/`.",
            show_default="all",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Load the seed data. Only what is new or has changed is written."""
    settings = settings_of(seeds=only)
    with migrated_database(data_dir) as database:
        written = database.run(partial(load_seeds, only=settings.seed_sets))
        typer.echo(f"{written} seed records written.")
