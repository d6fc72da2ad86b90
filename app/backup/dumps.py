"""Logical dumps of a PostgreSQL other than the embedded one: write and restore."""

import os
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from app.backup.directories import DUMP, BackupError, explained, new_backup
from app.backup.newest import NewestChange, has_change, has_log, newest_change
from app.database.connections import conninfo
from app.embedded.programs import ourselves


@explained()
def back_up(owner_url: str, directory: Path) -> NewestChange:
    """Write a consistent dump of a database, which may be in use, by `pg_dump`.

    Return the newest change when it began. The dump has that change, and perhaps later ones.
    """
    with new_backup(directory) as partial:
        with _connect(owner_url) as connection:
            newest = newest_change(connection)
        newest.write(partial)
        _run("pg_dump", owner_url, "--format=custom", f"--file={partial / DUMP}")
    return newest


@explained()
def restore(directory: Path, owner_url: str) -> NewestChange:
    """Restore a dump to an empty database in one transaction. Return the newest change.

    Privileges are not restored, because a migration grants them.
    """
    directory = directory.resolve()
    with _connect(owner_url) as connection:
        if has_log(connection):
            raise BackupError("the database is not empty: create a new one and set DATABASE_URL")
    _run(
        "pg_restore",
        owner_url,
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        str(directory / DUMP),
    )
    with _connect(owner_url) as connection:
        if not has_change(connection, expected := NewestChange.read(directory)):
            raise BackupError(f"the restored database does not have {expected} of the backup")
        return newest_change(connection)


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(make_conninfo(**conninfo(url)), autocommit=True, connect_timeout=5)


def _run(program: str, url: str, *arguments: str) -> None:
    """Run a client program on a database, without the password on its command line."""
    parts = conninfo(url)
    environment = os.environ | {"PGPASSWORD": parts.pop("password", "")}
    database = f"--dbname={make_conninfo(**parts)}"
    if reason := ourselves().run(Path("/"), program, database, *arguments, env=environment):
        raise BackupError(reason)
