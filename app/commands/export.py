"""`crossings export`."""

import json

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import change_record, changes_after
from app.commands.database import migrated_database
from app.commands.options import DataDir

app = typer.Typer()


@app.command()
def export(data_dir: DataDir = None) -> None:
    """Print the whole change log, one JSON object a line."""

    async def write(session: AsyncSession) -> None:
        after = 0
        while changes := await changes_after(session, after, 500):
            for change in changes:
                typer.echo(json.dumps(change_record(change)))
            after = changes[-1].number

    with migrated_database(data_dir) as database:
        database.run(write)
