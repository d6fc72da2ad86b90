"""`crossings audit`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.attempts import attempts_since
from app.changes.service import wire_instant
from app.commands.database import migrated_database
from app.commands.options import DataDir

app = typer.Typer()


@app.command()
def audit(
    since: Annotated[
        datetime | None, typer.Option(help="In UTC; without it, the last 24 hours.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Only attempts with this key.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print who tried to write what, when, from where, and the outcome: one JSON object a line."""
    start = since.replace(tzinfo=UTC) if since else datetime.now(UTC) - timedelta(days=1)

    async def write(session: AsyncSession) -> None:
        async for attempt, name in attempts_since(session, start, key_id=key):
            record = {
                "at": wire_instant(attempt.at),
                "request_id": attempt.request_id,
                "key": attempt.key_id,
                "key_name": name,
                "client": attempt.client and str(attempt.client),
                "method": attempt.method,
                "path": attempt.path,
                "status": attempt.status,
                "change": attempt.change,
                "seconds": round(attempt.seconds, 6),
            }
            typer.echo(json.dumps(record))

    with migrated_database(data_dir) as database:
        database.run(write)
