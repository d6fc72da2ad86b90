"""Reserve a slot in the log, append a change to it, and read the log."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypedDict

import rfc8785
from psycopg.rows import args_row
from pydantic import JsonValue
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.filters import Filter
from app.changes.models import Change
from app.database.driver import driver, fetch
from app.database.sessions import append
from app.errors import invalid
from app.http.parameters import AsOf
from app.vocabulary import ChangeKind

LOG_LOCK = 0x43524F5353  # any number, as long as every writer takes the same
GENESIS = bytes(32)
MAX_CHANGES_READ = 5_000
"""The most changes that are read for one page."""
_CHANGES_PER_READ = 200

_TAKE_LOCK = f"SELECT pg_advisory_xact_lock({LOG_LOCK})"
_SHARE_LOCK = f"SELECT pg_advisory_xact_lock_shared({LOG_LOCK})"
# Should the clock be set back, the present must still not lie before the newest change.
_SNAPSHOT = """
    SELECT coalesce((SELECT max(number) FROM change), 0),
           greatest(clock_timestamp(), (SELECT max(recorded_at) FROM change))
"""
_SNAPSHOT_AT = """
    SELECT coalesce((SELECT number FROM change WHERE recorded_at <= %(at)s
                     ORDER BY recorded_at DESC LIMIT 1), 0),
           greatest(clock_timestamp(), (SELECT max(recorded_at) FROM change))
"""
_NEXT_SLOT = """
    SELECT next.*,
           EXISTS (SELECT FROM compacted_log
                   WHERE due_at <= next.recorded_at
                     AND (%(crossings)s::text[] IS NULL OR crossing_id = ANY (%(crossings)s))),
           EXISTS (SELECT FROM status_event
                   WHERE crossing_id = ANY (%(crossings)s) AND change > %(known)s)
           OR EXISTS (SELECT FROM crossing_version
                      WHERE crossing_id = ANY (%(crossings)s) AND change > %(known)s)
    FROM (
        SELECT coalesce(newest.number, 0) + 1,
               greatest(clock_timestamp(), newest.recorded_at + interval '1 microsecond')
                   AS recorded_at,
               newest.hash
        FROM (SELECT) single_row LEFT JOIN LATERAL
             (SELECT * FROM change ORDER BY number DESC LIMIT 1) newest ON true
    ) next
"""


_MATCHING = """
    SELECT number, kind, recorded_at, subjects, payload, hash FROM change
    WHERE number > %(last_checked)s AND number <= %(newest)s AND {condition}
    ORDER BY number LIMIT %(limit)s
"""
_MAX_PREPARED_PARAMETERS = 6


@dataclass(frozen=True, slots=True)
class LogSlot:
    """The next slot of the log, reserved for this transaction until it ends."""

    number: int
    recorded_at: datetime
    previous_hash: bytes
    something_is_due: bool = False
    """Whether an answer has changed by time alone, and that is not recorded yet."""
    something_moved: bool = False
    """Whether the crossings have a later event or version than ``known_change``."""


class _NextRow(NamedTuple):
    number: int
    recorded_at: datetime
    previous_hash: bytes | None
    something_is_due: bool
    something_moved: bool


async def reserve_slot(
    session: AsyncSession, crossings: Sequence[str] | None = None, *, known_change: int = 0
) -> LogSlot:
    """Wait for earlier writers, then return the next slot.

    It says whether something has come due at ``crossings`` (by default at any), and whether
    something was recorded about them after ``known_change``.
    """
    parameters = {
        "crossings": None if crossings is None else list(crossings),
        "known": known_change,
    }
    async with driver(session) as connection:
        # The lock needs a statement of its own, so that the snapshot of the next statement has all
        # that earlier writers committed. Both are sent in one round trip.
        async with connection.pipeline():
            await connection.execute(_TAKE_LOCK)
            cursor = connection.cursor(row_factory=args_row(_NextRow))
            await cursor.execute(_NEXT_SLOT, parameters)
        row = await cursor.fetchone()
    assert row is not None  # it has no condition
    return LogSlot(
        row.number,
        row.recorded_at.astimezone(UTC),
        row.previous_hash or GENESIS,
        row.something_is_due,
        row.something_moved,
    )


def change_of(
    slot: LogSlot,
    *,
    kind: ChangeKind,
    subjects: Mapping[str, Sequence[str]],
    payload: Mapping[str, JsonValue],
    recorded_by: str,
) -> Change:
    """Return the change for ``slot``, with its hash."""
    change = Change(
        number=slot.number,
        kind=kind.value,
        recorded_at=slot.recorded_at,
        subjects={name: list(ids) for name, ids in subjects.items()},
        payload={**payload, "recorded_by": recorded_by},
    )
    change.hash = chained_hash(slot.previous_hash, change)
    return change


async def append_change(
    session: AsyncSession,
    slot: LogSlot,
    *,
    kind: ChangeKind,
    subjects: Mapping[str, Sequence[str]],
    payload: Mapping[str, JsonValue],
    recorded_by: str,
) -> None:
    """Append a change. All that belongs to it must be written in the same transaction."""
    change = change_of(slot, kind=kind, subjects=subjects, payload=payload, recorded_by=recorded_by)
    await append(session, change)


class ChangeRow(NamedTuple):
    """A change as plain columns, with the names of `Change`."""

    number: int
    kind: str
    recorded_at: datetime
    subjects: dict[str, object]
    payload: dict[str, object]
    hash: bytes


def hashed_record(change: Change | ChangeRow) -> dict[str, object]:
    """Return the part of a change that its hash covers, as JSON values."""
    return {
        "change": change.number,
        "kind": change.kind,
        "recorded_at": wire_instant(change.recorded_at),
        "subjects": change.subjects,
        "payload": change.payload,
    }


def change_record(change: Change | ChangeRow) -> dict[str, object]:
    """Return a change as clients get it: the hashed part and the hash."""
    return hashed_record(change) | {"hash": change.hash.hex()}


def chained_hash(previous: bytes, change: Change) -> bytes:
    """Return SHA-256 over ``previous`` and the RFC 8785 JSON of the change's record."""
    record = rfc8785.dumps(hashed_record(change))  # type: ignore[arg-type]  # it is JSON
    return hashlib.sha256(previous + record).digest()


def wire_instant(instant: datetime) -> str:
    """Return the instant as RFC 3339 in UTC with ``Z``, as every body writes it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


class _NewestRow(NamedTuple):
    number: int
    now: datetime


class _Freshness(TypedDict):
    change: int
    now: datetime
    is_complete: bool


class Snapshot(NamedTuple):
    """The newest change that an answer reflects, and the present instant.

    The present is that of the database. The clock of a process may lag behind, so that a reader
    would not see what was just written.
    """

    change: int
    now: datetime
    is_complete: bool = True
    """Whether later changes can no longer belong to the requested state of the log."""
    known_at: datetime | None = None
    """When what is known beside the log was recorded at the latest; None is by now."""

    def freshness(self) -> _Freshness:
        """Return the arguments that `CacheHeaders.tell` takes of it."""
        return {"change": self.change, "now": self.now, "is_complete": self.is_complete}


async def take_snapshot(session: AsyncSession, as_of: AsOf) -> Snapshot:
    """Return the state of the log from which a request is answered.

    With ``known_at`` it waits for the writers in flight, so that none of them commits a change
    that was recorded before that instant. Raises Invalid for a state in the future.
    """
    if as_of.known_at is not None and as_of.known_change is not None:
        raise invalid("known_change", "give known_at or known_change, not both", where="query")
    if as_of.known_at is not None:
        async with driver(session) as connection:
            await connection.execute(_SHARE_LOCK)
    statement = _SNAPSHOT if as_of.known_at is None else _SNAPSHOT_AT
    [(number, now)] = await fetch(session, _NewestRow, statement, {"at": as_of.known_at})
    if as_of.known_at is not None and as_of.known_at > now:
        raise invalid("known_at", "lies in the future", where="query")
    if as_of.known_change is not None and as_of.known_change > number:
        raise invalid("known_change", f"the newest change is {number}", where="query")
    if as_of.known_change is None:
        return Snapshot(number, now, as_of.known_at is not None, as_of.known_at)
    recorded = await recorded_at(session, [as_of.known_change])
    known_at = recorded.get(as_of.known_change, now.min.replace(tzinfo=UTC))
    return Snapshot(as_of.known_change, now, as_of.known_change < number, known_at)


async def recorded_at(session: AsyncSession, numbers: Iterable[int]) -> dict[int, datetime]:
    """Return when each of the changes was recorded."""
    rows = select(Change.number, Change.recorded_at).where(Change.number.in_(list(numbers)))
    return dict((await session.execute(rows)).all())


async def changes_after(session: AsyncSession, after: int, limit: int) -> Sequence[Change]:
    """Return the next changes in order. Paging by number misses none."""
    rows = select(Change).where(Change.number > after).order_by(Change.number).limit(limit)
    return (await session.scalars(rows)).all()


async def require_recorded(session: AsyncSession, after: int) -> None:
    """Raise Invalid if ``after`` is beyond the newest change, such as after a restore."""
    newest = await session.scalar(select(func.max(Change.number))) or 0
    if after > newest:
        raise invalid("after", f"is later than the newest change, {newest}", where="query")


async def matching_changes(
    session: AsyncSession, change_filter: Filter, *, after: int, limit: int
) -> tuple[list[ChangeRow], int]:
    """Return the next matching changes, in order, and the number of the last change checked.

    The list is empty only at the end of the log, or after `MAX_CHANGES_READ` changes that match
    except for their lanes.
    """
    newest = await session.scalar(select(func.max(Change.number))) or 0
    rows_per_read = max(limit, _CHANGES_PER_READ) if change_filter.filters_lanes else limit
    condition, parameters = change_filter.sql_condition()
    statement = _MATCHING.format(condition=condition)
    parameters |= {"newest": newest, "limit": rows_per_read}
    # The statement varies with the number of ids; prepare only the common ones.
    prepare = len(parameters) <= _MAX_PREPARED_PARAMETERS
    last_checked = after
    for _ in range(0, MAX_CHANGES_READ, rows_per_read):
        rows = await fetch(
            session,
            ChangeRow,
            statement,
            {**parameters, "last_checked": last_checked},
            prepare=prepare,
        )
        last_checked = rows[-1].number if len(rows) == rows_per_read else max(after, newest)
        matching = [change for change in rows if change_filter.matches(hashed_record(change))]
        if len(matching) > limit:
            return matching[:limit], matching[limit - 1].number
        if matching or len(rows) < rows_per_read:
            return matching, last_checked
    return [], last_checked
