"""Verify the hash chain, the rows of every change, and the compacted logs.

The chain shows that no change was altered or removed from the middle. It cannot show that its end
was cut off; a checkpoint that was kept elsewhere can.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise

from pydantic import JsonValue
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.invariants import broken_invariants
from app.changes.models import Change
from app.changes.service import GENESIS, chained_hash, take_snapshot
from app.errors import sqlstate_of
from app.http.parameters import AsOf
from app.incidents.records import notice_records
from app.observations.reading import find_outdated
from app.places.details import version_records
from app.places.models import Crossing
from app.sources.models import Source
from app.sources.service import source_record
from app.status.histories import CrossingHistory, load_histories, whole_history
from app.status.log import event_record, events_out
from app.status.models import StatusEvent
from app.status.rule.resolution import Present

_CHANGES_PER_CHECK = 200
_TABLES = ("events", "sources", "crossings", "notices", "incidents", "retractions")
"""The tables whose rows the payload of a change may contain."""

_RowsByTable = dict[str, list[JsonValue]]


async def find_faults(session: AsyncSession) -> AsyncIterator[str]:
    """Yield a sentence for each change that does not match its hash or its rows.

    Then for each violated invariant. If there is no fault so far, also for each crossing whose
    compacted log gives another present answer than the whole log, or whose latest observations
    are not the newest ones.
    """
    # The statements read the whole log, however long that takes.
    await session.execute(text("SET LOCAL statement_timeout = 0"))
    is_intact, last = True, 0
    while numbers := await _numbers_after(session, last):
        for fault in [*_gaps(last, numbers), *await _faults_of(session, numbers)]:
            is_intact = False
            yield fault
        last = numbers[-1]
        session.expunge_all()  # so that a long log needs constant memory
    async for fault in broken_invariants(session):
        is_intact = False
        yield fault
    if not is_intact:
        return
    for crossing_id in await session.scalars(select(Crossing.id).order_by(Crossing.id)):
        if not await _is_well_compacted(session, crossing_id):
            yield f"the compacted log of {crossing_id} answers differently from the whole log"
    for crossing_id in await find_outdated(session):
        yield f"the latest observations of {crossing_id} are not those that were made last"


async def _numbers_after(session: AsyncSession, last: int) -> Sequence[int]:
    rows = select(Change.number).where(Change.number > last).order_by(Change.number)
    return (await session.scalars(rows.limit(_CHANGES_PER_CHECK))).all()


def _gaps(last: int, numbers: Sequence[int]) -> Iterator[str]:
    for before, number in pairwise([last, *numbers]):
        if number != before + 1:
            yield f"changes {before + 1} to {number - 1} are missing"


async def _faults_of(session: AsyncSession, numbers: Sequence[int]) -> list[str]:
    """Return the faults of consecutive changes and of their rows."""
    try:
        return [fault async for fault in _compare(session, numbers)]
    except DBAPIError as error:
        # An error of the database itself, such as a damaged page, does not depend on the change.
        if sqlstate_of(error) is not None or error.connection_invalidated:
            raise
        reason: Exception = error
    except Exception as error:  # noqa: BLE001 -- an altered row may break any code that reads it
        reason = error
    if len(numbers) == 1:
        return [f"change {numbers[0]}, or a row of it, cannot be read: {reason}"]
    half = len(numbers) // 2
    return [
        *await _faults_of(session, numbers[:half]),
        *await _faults_of(session, numbers[half:]),
    ]


async def _compare(session: AsyncSession, numbers: Sequence[int]) -> AsyncIterator[str]:
    first, last = numbers[0], numbers[-1]
    changes = select(Change).where(Change.number.between(first, last)).order_by(Change.number)
    previous = await session.scalar(select(Change.hash).where(Change.number == first - 1))
    rows = await _rows_by_change(session, first, last)
    for change in await session.scalars(changes):
        if chained_hash(previous or GENESIS, change) != change.hash:
            yield f"change {change.number} does not match its hash"
        if _listed_rows(change) != rows[change.number]:
            yield f"the rows of change {change.number} are not what it says"
        previous = change.hash


async def _is_well_compacted(session: AsyncSession, crossing_id: str) -> bool:
    snapshot = await take_snapshot(session, AsOf())

    def present(history: CrossingHistory) -> Present:
        return history.resolved.present(snapshot.now)

    compacted = await load_histories(session, [crossing_id], snapshot, present)
    full_history = await whole_history(session, crossing_id, snapshot, at=snapshot.now)
    return full_history is not None and compacted[crossing_id] == present(full_history)


def _listed_rows(change: Change) -> _RowsByTable:
    """Return the rows in the payload of a change, by table and in a fixed order."""
    rows_by_table: _RowsByTable = {name: [] for name in _TABLES}
    for name, rows in rows_by_table.items():
        listed = change.payload.get(name, [])
        if isinstance(listed, list):
            rows.extend(sorted(listed, key=_id))
    return rows_by_table


async def _rows_by_change(
    session: AsyncSession, first: int, last: int
) -> defaultdict[int, _RowsByTable]:
    """Return the rows of each change as its payload should contain them."""
    rows_by_change: defaultdict[int, _RowsByTable] = defaultdict(
        lambda: {name: [] for name in _TABLES}
    )
    events = select(StatusEvent).where(StatusEvent.change.between(first, last))
    for event in await events_out(session, (await session.scalars(events)).all()):
        rows_by_change[event.change]["events"].append(event_record(event))
    sources = select(Source).where(Source.change.between(first, last))
    for source in await session.scalars(sources):
        rows_by_change[source.change]["sources"].append(source_record(source))
    for version, record in await version_records(session, first=first, last=last):
        rows_by_change[version]["crossings"].append(record)
    for name, change, record in await notice_records(session, first=first, last=last):
        rows_by_change[change][name].append(record)
    for rows_by_table in rows_by_change.values():
        for rows in rows_by_table.values():
            rows.sort(key=_id)
    return rows_by_change


def _id(record: JsonValue) -> str:
    return str(record["id"]) if isinstance(record, dict) else ""
