"""The rows that the first release left, at revision 0001: its seeds, as it loaded them."""

import gzip
from pathlib import Path

from app import schema
from app.embedded.server import SERVICE, SUPERUSER
from tests.conftest import Database

REVISION = "0001"
NEWEST = 108
"""The newest change of the first release: each of its seeds was one."""

_ROWS = Path(__file__).with_name("first_release.sql.gz")


def leave_first_release(database: Database) -> None:
    """Make of an empty database what the first release made of it."""
    schema.migrate(database.owner_url, revision=REVISION, service_role=SERVICE)
    with database.connect(SUPERUSER) as connection, connection.transaction():
        # The triggers take only what is recorded now.
        connection.execute("SET LOCAL session_replication_role = replica")
        cursor = connection.cursor()
        with gzip.open(_ROWS) as lines:
            for line in lines:
                if not line.startswith(b"COPY "):
                    cursor.execute(line)
                    continue
                with cursor.copy(line) as copy:
                    while (row := next(lines)) != b"\\.\n":
                        copy.write(row)
