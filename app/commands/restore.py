"""`crossings restore`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from app.backup import clusters, dumps
from app.backup.directories import BackupKind, kind_of
from app.commands.errors import fail
from app.commands.options import DataDir, settings_of

app = typer.Typer()


def _instant(text: str) -> datetime:
    """Read an instant, which must not leave open in which time zone it is."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an instant") from None
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no offset from UTC, such as Z or +02:00")
    return instant


@app.command()
def restore(
    directory: Annotated[Path, typer.Argument(help="What `crossings backup` made.")],
    wal: Annotated[
        Path | None, typer.Option(help="An archive of the write-ahead log, to replay all of it.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            parser=_instant, help="Replay only up to this instant, such as 2026-11-24T09:00:00Z."
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a new data directory of a backup; of a dump, fill the empty DATABASE_URL."""
    settings = settings_of(data_dir=data_dir)
    kind = kind_of(directory)
    if kind is BackupKind.CLUSTER:
        recovery = clusters.Recovery(wal and wal.resolve(), until)
        newest = clusters.restore(directory, settings.data_dir, recovery)
        then = f"crossings serve --data-dir {settings.data_dir}"
    elif wal or until:
        fail(f"{directory} is a dump: it is restored as it is, without --wal and --until.")
    elif settings.owner_url is None:
        fail(f"{directory} is a dump: set DATABASE_URL to the empty database to restore it to.")
    else:
        newest = dumps.restore(directory, settings.owner_url)
        then = "crossings migrate"
    typer.echo(f"Restored; the newest is {newest}. Next: {then}")
