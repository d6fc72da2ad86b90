"""The newest change of a backup, read independently of the version of the schema."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from app.embedded.data_directory import write_file

FILE = "newest_change.json"

_NEWEST = """
    SELECT number, encode(hash, 'hex'), to_char(recorded_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    FROM change ORDER BY number DESC LIMIT 1
"""
_HASH = "SELECT encode(hash, 'hex') FROM change WHERE number = %s"


@dataclass(frozen=True, slots=True)
class NewestChange:
    """The number, the hash in hex and the instant in UTC of a change; 0 and empty without one."""

    change: int = 0
    hash: str = ""
    recorded_at: str = ""

    def __str__(self) -> str:
        return f"change {self.change} of {self.recorded_at}" if self.change else "no change"

    def write(self, directory: Path) -> None:
        write_file(directory / FILE, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, directory: Path) -> "NewestChange":
        return cls(**json.loads((directory / FILE).read_text(encoding="utf-8")))


def newest_change(connection: psycopg.Connection) -> NewestChange:
    connection.execute("SET timezone TO 'UTC'")
    row = connection.execute(_NEWEST).fetchone() if has_log(connection) else None
    return NewestChange(*row) if row else NewestChange()


def has_change(connection: psycopg.Connection, expected: NewestChange) -> bool:
    """Return whether the log has the change, with the same hash."""
    if not expected.change:
        return True
    row = None
    if has_log(connection):
        row = connection.execute(_HASH, [expected.change]).fetchone()
    return row == (expected.hash,)


def has_log(connection: psycopg.Connection) -> bool:
    """Return whether the database has the schema."""
    return connection.execute("SELECT to_regclass('change')").fetchone() != (None,)
