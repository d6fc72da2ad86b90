"""`crossings migrate`."""

import typer

from app.commands.database import open_database
from app.commands.key_files import with_secret_key
from app.commands.options import DataDir, settings_of

app = typer.Typer()


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Migrate the database to the schema that this version needs."""
    settings = settings_of(data_dir=data_dir)
    with open_database(settings) as database:
        database.migrate(with_secret_key(settings, make=True).cipher)
        typer.echo(f"The schema is at {database.revision()}.")
