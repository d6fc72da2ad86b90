"""The embedded PostgreSQL as its clients see it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

OWNER = "crossings_owner"
SERVICE = "crossings_service"
DATABASE = "crossings"
SUPERUSER = "postgres"

PORT = 5432
ELSEWHERE = "or set DATABASE_URL to a PostgreSQL of your own"


class EmbeddedError(Exception):
    """PostgreSQL is not available. The message is for a terminal and says what to do."""


class DirectoryInUse(EmbeddedError):
    """Another process runs PostgreSQL on the directory."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, by the directory of its socket."""

    socket_dir: Path

    def url(self, role: str, database: str = DATABASE) -> str:
        """Return the URL for SQLAlchemy, with the port because PGPORT would apply otherwise."""
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql+psycopg://{role}@/{database}?host={host}&port={PORT}"

    def connect(self, role: str, database: str) -> psycopg.Connection:
        """Open a connection in autocommit mode."""
        return psycopg.connect(
            host=str(self.socket_dir), port=PORT, user=role, dbname=database, autocommit=True
        )
