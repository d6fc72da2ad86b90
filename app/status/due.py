"""Append to the log what comes due by time alone: once, in order, before any later entry."""

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
"""The recorder of changes that follow from the log and the time alone."""

_CROSSINGS_PER_CHANGE = 100
"""The largest number of crossings in one change."""
_UNCOMPACTED_AT_ONCE = 10
"""The same for crossings without a compacted log, which takes longer, while writers wait."""
_JUST_BEFORE = timedelta(microseconds=1)
"""The resolution of instants in the database."""

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
    """Append the earliest change that is due, if any; return whether there was one.

    The crossings of one instant are one change, of a hundred crossings at most. Each call holds
    the lock of the log until the transaction ends.
    """
    slot = await reserve_slot(session)
    return slot.something_is_due and await announce(session, slot, None)


async def until_due(session: AsyncSession) -> timedelta | None:
    """Return the time until something comes due, None if nothing will.

    It is negative for what came due already, and has not been recorded yet.
    """
    wait: timedelta | None = await session.scalar(
        select(func.min(CompactedLog.due_at) - func.now())
    )
    return wait


def answers_record(changed: Iterable[AnswerChangeOut | None]) -> dict[str, JsonValue]:
    """Return the members of a payload for the answers that a change altered; none if it did not."""
    records: list[JsonValue] = [change.model_dump(mode="json") for change in changed if change]
    return {"answers": records} if records else {}


async def announce(session: AsyncSession, slot: LogSlot, crossings: Sequence[str] | None) -> bool:
    """Append the earliest change due, of ``crossings`` or of all; return whether there was one."""
    parameters = {
        "crossings": None if crossings is None else list(crossings),
        "limit": _CROSSINGS_PER_CHANGE,
    }
    due = await fetch(session, _DueRow, _DUE, parameters)
    if not due or due[0].due_at > slot.recorded_at:
        return False
    if not all(row.is_compacted for row in due):
        due = due[:_UNCOMPACTED_AT_ONCE]
    at = due[0].due_at.astimezone(UTC)
    snapshot = Snapshot(slot.number - 1, slot.recorded_at)

    def compare(history: CrossingHistory) -> _Passing:
        resolved = history.resolved
        old, new = resolved.present(at - _JUST_BEFORE), resolved.present(at)
        change = answer_change(history.details.id, old, new)
        left = None if history.is_compacted else _left(resolved, at)
        return _Passing(history.details, change, new.next_change, left)

    names = [row.crossing_id for row in due]
    # The histories must reach back to just before the instant, to compare the answers.
    passing = await load_histories(
        session, names, snapshot._replace(now=at - _JUST_BEFORE), compare
    )
    changed = [passed.change for passed in passing.values() if passed.change]
    if changed:
        await append_change(
            session,
            slot,
            kind=ChangeKind.EFFECTIVE,
            subjects=subjects_of([passing[change.crossing].details for change in changed]),
            payload={"at": wire_instant(at), **answers_record(changed)},
            recorded_by=RECORDED_BY,
        )
    async with driver(session) as connection, connection.cursor() as cursor:
        await cursor.executemany(
            _NEXT_DUE, [(name, passed.next_due) for name, passed in passing.items()]
        )
    uncompacted = {
        name: (passed.next_due, passed.left)
        for name, passed in passing.items()
        if passed.left is not None
    }
    if uncompacted:
        await compact(session, uncompacted, change=snapshot.change)
    return True


@dataclass(frozen=True, slots=True)
class _Passing:
    """What changes about a crossing at an instant that comes due."""

    details: Details
    change: AnswerChangeOut | None
    next_due: datetime | None
    left: History | None
    """The part of the history that still matters, if no write has stored it yet."""


def _left(resolved: ResolvedHistory, at: datetime) -> History:
    """Return the part of the history that still matters just before the answer at ``at`` began."""
    since = resolved.last_change(at) or at
    return cut(resolved, since - _JUST_BEFORE)


def subjects_of(crossings: Sequence[Details]) -> dict[str, list[str]]:
    """Return the subjects of a change about these crossings."""
    return {
        "crossings": [crossing.id for crossing in crossings],
        "borders": sorted({crossing.border for crossing in crossings}),
        "countries": sorted({side for crossing in crossings for side in crossing.sides}),
    }
