"""`crossings check`."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.pages import damaged_page_of, damaged_pages, describe
from app.audit.service import find_faults
from app.changes.checkpoints import Checkpoint, is_signed, missing_of
from app.commands.database import migrated_database
from app.commands.errors import fail
from app.commands.options import DataDir
from app.validation import faults_of

app = typer.Typer()


@app.command()
def check(
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="A kept answer of /v1/changes/checkpoint, which the log must contain."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Verify the pages on the disk, the change log and its hash chain, and what follows from it."""
    expected = _read_checkpoint(checkpoint) if checkpoint else None

    async def find(session: AsyncSession) -> list[str]:
        faults = [fault async for fault in find_faults(session)]
        missing = await missing_of(session, expected) if expected else None
        return [*faults, missing] if missing else faults

    with migrated_database(data_dir) as database:
        pages = damaged_pages(database.server) if database.server else []
        try:
            faults = [] if pages else database.run(find)
        except DBAPIError as error:
            pages = [page] if (page := damaged_page_of(error)) else []
            if not pages:
                raise
        faults = [*describe(database.url, pages)] or faults
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)
    typer.echo("The change log is intact.")
    if expected:
        signed = f"signed by key {expected.fingerprint}" if expected.signature else "not signed"
        typer.echo(f"It contains change {expected.change} of the checkpoint, which is {signed}.")


def _read_checkpoint(path: Path) -> Checkpoint:
    try:
        checkpoint = Checkpoint.model_validate_json(path.read_bytes())
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}.")
    except ValidationError as error:
        fail(f"{path} is not a checkpoint: {faults_of(error)}.")
    if checkpoint.signature and not is_signed(checkpoint):
        fail(f"{path} was altered: its signature does not match.")
    return checkpoint
