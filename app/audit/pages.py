"""Find damaged pages on the disk, whose checksums do not match their content."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.database.connections import create_sync_engine
from app.embedded.programs import ourselves
from app.embedded.server import PORT, SUPERUSER, EmbeddedError, Server

_OF_A_BACKUP = re.compile(r'checksum verification failed in file "(?:\./)?(.+?)", block (\d+)')
_OF_A_STATEMENT = re.compile(r'invalid page in block (\d+) of relation "?([^"\s]+)"?')
_NAME = text("""
    SELECT CASE relation.relkind WHEN 'i' THEN 'the index ' WHEN 't' THEN 'the long values of '
                              ELSE 'the table ' END || coalesce(owner.relname, relation.relname)
    FROM pg_class relation LEFT JOIN pg_class owner ON owner.reltoastrelid = relation.oid
    WHERE pg_relation_filepath(relation.oid) = :file
""")


class DamagedPage(NamedTuple):
    """A page: its file, below the directory of the cluster, and its number in it, from 0."""

    file: str
    number: int


def damaged_pages(server: Server) -> list[DamagedPage]:
    """Return the damaged pages of an embedded server, which may be in use.

    PostgreSQL verifies every page that it reads for a backup. This backup is thrown away.
    """
    reason = ourselves().run(
        Path("/"),
        "pg_basebackup",
        f"--host={server.socket_dir}",
        f"--port={PORT}",
        f"--username={SUPERUSER}",
        "--target=blackhole",
        "--wal-method=fetch",
        "--checkpoint=fast",
        "--no-manifest",
    )
    if reason is None:
        return []
    pages = [DamagedPage(file, int(number)) for file, number in _OF_A_BACKUP.findall(reason)]
    if not pages:
        raise EmbeddedError(f"the pages of the database cannot be read: {reason}")
    return pages


def damaged_page_of(error: DBAPIError) -> DamagedPage | None:
    """Return the damaged page that made a statement fail; None if it failed for another reason."""
    match = _OF_A_STATEMENT.search(str(error.orig))
    return DamagedPage(match[2], int(match[1])) if match else None


def describe(url: str, pages: list[DamagedPage]) -> Iterator[str]:
    """Yield a sentence for each page, with its table or index if the database can still tell."""
    engine = create_sync_engine(url)
    try:
        with engine.connect() as connection:
            for page in pages:
                yield f"page {page.number} of {_name(connection, page.file)} is damaged"
    finally:
        engine.dispose()


def _name(connection: Connection, file: str) -> str:
    # A large table has a file for each gigabyte.
    name = connection.scalar(_NAME, {"file": re.sub(r"\.\d+$", "", file)})
    return f"{name} ({file})" if name else file
