"""Announce in the log what comes due by itself: once, in order, before what is recorded later."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import JsonValue
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import LogSlot, Snapshot, append_change, reserve_slot, wire_instant
from app.database.driver import driver, fetch
from app.places.details import Details
from app.status.consequences import AnswerChangeOut, answer_change
from app.status.histories import CrossingHistory, compact, load_histories
from app.status.models import CompactedLog
from app.status.rule.cut import cut
from app.status.rule.history import History
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import ChangeKind

RECORDED_BY = "crossing-status"
"""The recorder of what follows from the log and the time alone."""

_CROSSINGS_PER_CHANGE = 100
"""Crossings in one change."""
_UNCOMPACTED_AT_ONCE = 10
"""What still matters of each has to be found, while all other writers wait."""
_JUST_BEFORE = timedelta(microseconds=1)
"""The database resolves no shorter time."""

_DUE = """
    SELECT crossing_id, due_at, change IS NOT NULL FROM compacted_log
    WHERE due_at = (SELECT min(due_at) FROM compacted_log
                    WHERE %(crossings)s::text[] IS NULL OR crossing_id = ANY (%(crossings)s))
      AND (%(crossings)s::text[] IS NULL OR crossing_id = ANY (%(crossings)s))
    ORDER BY crossing_id LIMIT %(limit)s
"""
_NEXT_DUE = """
    INSERT INTO compacted_log (crossing_id, due_at) VALUES (%s, %s)
    ON CONFLICT (crossing_id) DO UPDATE SET due_at = excluded.due_at
"""


class _DueRow(NamedTuple):
    crossing_id: str
    due_at: datetime
    is_compacted: bool


async def announce_due(session: AsyncSession) -> bool:
    """Append the earliest of what is due, if anything is; return whether to look again.

    What comes due at one instant is one change, of a hundred crossings at most. Each call takes
    the lock of the log until the transaction ends.
    """
    slot = await reserve_slot(session)
    return slot.something_is_due and await announce(session, slot, None)


async def next_due(session: AsyncSession) -> datetime | None:
    """Return when something next comes due; in the past, if it has not been announced yet."""
    return await session.scalar(select(func.min(CompactedLog.due_at)))


def answers_record(changed: Iterable[AnswerChangeOut | None]) -> dict[str, JsonValue]:
    """Return what a change's payload says of the answers that it altered; nothing if none."""
    records: list[JsonValue] = [change.model_dump(mode="json") for change in changed if change]
    return {"answers": records} if records else {}


async def announce(session: AsyncSession, slot: LogSlot, crossings: Sequence[str] | None) -> bool:
    """Append what came due first, of ``crossings`` or of all; tell whether there was any."""
    parameters = {
        "crossings": None if crossings is None else list(crossings),
        "limit": _CROSSINGS_PER_CHANGE,
    }
    due = await fetch(session, _DueRow, _DUE, parameters)
    if not due or due[0].due_at > slot.recorded_at:
        return False
    if not all(one.is_compacted for one in due):
        due = due[:_UNCOMPACTED_AT_ONCE]
    at = due[0].due_at.astimezone(UTC)
    snapshot = Snapshot(slot.number - 1, slot.recorded_at)

    def compare(history: CrossingHistory) -> _Passing:
        resolved = history.resolved
        old, new = resolved.present(at - _JUST_BEFORE), resolved.present(at)
        change = answer_change(history.details.id, old, new)
        left = None if history.is_compacted else _left(resolved, at)
        return _Passing(history.details, change, new.next_change, left)

    names = [one.crossing_id for one in due]
    # What changes at an instant has to be seen from before it.
    passing = await load_histories(
        session, names, snapshot._replace(now=at - _JUST_BEFORE), compare
    )
    changed = [one.change for one in passing.values() if one.change]
    if changed:
        await append_change(
            session,
            slot,
            kind=ChangeKind.EFFECTIVE,
            subjects=subjects_of([passing[one.crossing].details for one in changed]),
            payload={"at": wire_instant(at), **answers_record(changed)},
            recorded_by=RECORDED_BY,
        )
    async with driver(session) as connection, connection.cursor() as cursor:
        await cursor.executemany(_NEXT_DUE, [(name, one.next_due) for name, one in passing.items()])
    uncompacted = {
        name: (one.next_due, one.left) for name, one in passing.items() if one.left is not None
    }
    if uncompacted:
        await compact(session, uncompacted, change=snapshot.change)
    return True


@dataclass(frozen=True, slots=True)
class _Passing:
    """What an instant that comes due changes of a crossing."""

    details: Details
    change: AnswerChangeOut | None
    next_due: datetime | None
    left: History | None
    """What still matters, where no write has stored it yet."""


def _left(resolved: ResolvedHistory, at: datetime) -> History:
    """Return what still matters, from just before the answer at ``at`` began."""
    since = resolved.last_change(at) or at
    return cut(resolved, since - _JUST_BEFORE)


def subjects_of(crossings: Sequence[Details]) -> dict[str, list[str]]:
    """Return what a change of these crossings is about, as the log lists it."""
    return {
        "crossings": [crossing.id for crossing in crossings],
        "borders": sorted({crossing.border for crossing in crossings}),
        "countries": sorted({side for crossing in crossings for side in crossing.sides}),
    }
