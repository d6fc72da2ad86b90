"""`crossings migrate`."""

from typing import Annotated

import typer

from app.commands.database import open_database
from app.commands.key_files import with_secret_key
from app.commands.options import DataDir, settings_of
from app.schema import LOCK_WAIT

app = typer.Typer()


@app.command()
def migrate(
    data_dir: DataDir = None,
    lock_wait: Annotated[
        float, typer.Option(min=0, help="Seconds to try again while others hold locks.")
    ] = LOCK_WAIT,
) -> None:
    """Migrate the database to the schema that this version needs."""
    settings = settings_of(data_dir=data_dir)
    with open_database(settings) as database:
        database.migrate(with_secret_key(settings, make=True).cipher, lock_wait=lock_wait)
        typer.echo(f"The schema is at {database.revision()}.")
