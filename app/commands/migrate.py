"""`crossings migrate`."""

import typer

from app.commands.database import open_database
from app.commands.options import DataDir, settings_of

app = typer.Typer()


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Migrate the database to the schema that this version needs."""
    with open_database(settings_of(data_dir=data_dir)) as database:
        database.migrate()
        typer.echo(f"The schema is at {database.revision()}.")
