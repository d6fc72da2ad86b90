"""`crossings backup`."""

from pathlib import Path
from typing import Annotated

import typer

from app.backup import clusters, dumps
from app.commands.database import open_database
from app.commands.options import DataDir, settings_of

app = typer.Typer()


@app.command()
def backup(
    directory: Annotated[Path, typer.Argument(help="A new directory, made by this.")],
    data_dir: DataDir = None,
) -> None:
    """Back the database up, with its keys, while the service may go on."""
    settings = settings_of(data_dir=data_dir)
    with open_database(settings) as database:
        if database.server is None:
            newest = dumps.back_up(database.owner_url, directory)
        else:
            newest = clusters.back_up(database.server, settings.data_dir, directory)
    typer.echo(f"{directory} is a verified backup; it has {newest}.")
    if settings.database_url is not None or settings.secret_key is not None:
        typer.echo(
            "It does not have CROSSINGS_SECRET_KEY, without which the secrets in it cannot be read:"
            " keep that, too."
        )
