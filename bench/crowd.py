"""Fills a migrated database with crossings and five years of events, as many as wanted."""

import json
from dataclasses import dataclass
from pathlib import Path

import psycopg

from app.database.connections import Connector
from app.database.sessions import create_engine, create_sessions
from app.status.due import announce_due

WATCHED = "crossing-1"
"""The crossing with exactly ``WATCHED_EVENTS`` events, the same ones in every database."""

WATCHED_EVENTS = 100

SOURCE = "00000003-0000-7000-8000-000000000001"
"""The source that everything is cited from."""

_FILL = Path(__file__).with_name("crowd.sql")
_LENGTHEN = Path(__file__).with_name("lengthen.sql")


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many crossings, and how many events they have together, a multiple of 100."""

    crossings: int
    events: int

    def ids(self) -> list[str]:
        return [f"crossing-{number}" for number in range(1, self.crossings + 1)]


def fill(superuser: psycopg.Connection, crowd: Crowd) -> None:
    """Write the crowd into a database without rows, all or nothing; takes half a minute a million.

    A superuser, because the triggers that guard each row by itself are passed over.
    """
    # The client's own binding, since many statements go at once.
    with superuser.transaction(), psycopg.ClientCursor(superuser) as cursor:
        cursor.execute(
            _FILL.read_bytes(),
            {
                "crossings": crowd.crossings,
                "events": crowd.events,
                "every": crowd.events // WATCHED_EVENTS,
            },
        )
    superuser.execute("VACUUM ANALYZE")


def lengthen(superuser: psycopg.Connection, crossing: str, kind: str, events: int) -> None:
    """Add so many events of a kind to the log of one crossing."""
    with superuser.transaction(), psycopg.ClientCursor(superuser) as cursor:
        cursor.execute(
            _LENGTHEN.read_bytes(), {"crossing": crossing, "kind": kind, "events": events}
        )
    superuser.execute("VACUUM ANALYZE status_event")


async def compact(url: str) -> None:
    """Let the service leave behind what still matters of each crossing, as its writes would have.

    It does so when something is due, which `fill` and `lengthen` claim of all that they touch.
    """
    engine = create_engine(Connector(url))
    sessions = create_sessions(engine)
    due = True
    while due:
        async with sessions.begin() as session:
            due = await announce_due(session)
    await engine.dispose()


def closures(reader: psycopg.Connection) -> dict[str, str]:
    """Return for each crossing a body of `POST /v1/events` by which one side closes it."""
    rows = reader.execute(
        "SELECT crossing.id, first FROM crossing JOIN border ON border.id = border_id"
    )
    return {
        crossing: json.dumps(
            {
                "crossings": [crossing],
                "sides": [side],
                "status": "closed",
                "reason": {"code": "technical"},
                "citations": [{"source": SOURCE}],
            }
        )
        for crossing, side in rows
    }
