"""Append a change to the log of status events, with its rows and its consequences.

The use cases in `app.status.recording` say what the rows are, and check them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.service import LogSlot, Snapshot, change_of, reserve_slot, take_snapshot
from app.database.driver import pipelined
from app.database.sessions import append
from app.errors import (
    CrossingRetired,
    FieldError,
    Invalid,
    NotCorrectable,
    NotRetractable,
    Problem,
    Superseded,
    raising,
)
from app.http.parameters import AsOf
from app.places.details import Details, require_in_use
from app.sources.schemas import CitationIn
from app.sources.service import NewCitations, cite, require_sources_of
from app.status.consequences import Consequences, consequences
from app.status.due import announce, answers_record, subjects_of
from app.status.histories import CrossingHistory, compact, load_histories
from app.status.log import event_of, event_out, event_record, undone
from app.status.models import StatusEvent
from app.status.rule.cut import reaches_back
from app.status.rule.effect import Effect
from app.status.rule.history import Event, OutOfReach
from app.status.rule.resolution import ResolvedHistory
from app.status.schemas import (
    DecisionOut,
    EffectOut,
    EventOut,
    LaneId,
)
from app.vocabulary import ChangeKind, EventKind

ONLY_DECLARATIONS = "Only a declaration can be corrected."
_CROSSINGS_PER_TURN = 20
"""Crossings whose consequences are computed before other requests of the process run."""
_ALREADY_UNDONE = "The event was already corrected or retracted."

# Constraints that can be violated although the checks of the service have passed.
_PROBLEMS_BY_CONSTRAINT: Mapping[str, tuple[type[Problem], str]] = {
    "uq_status_event_supersedes": (Superseded, "The event was corrected already."),
    "uq_status_event_retracts": (Superseded, "The event was retracted already."),
    "ck_status_event_target_standing": (
        Superseded,
        _ALREADY_UNDONE,
    ),
    "ck_incident_standing": (Superseded, "The incident was retracted already."),
    "ck_status_event_crossing_in_use": (CrossingRetired, "The crossing is retired."),
    "ck_status_event_supersedes_declaration": (NotCorrectable, ONLY_DECLARATIONS),
    "ck_status_event_supersedes_no_firmer": (
        NotCorrectable,
        "An unconfirmed declaration may supersede only an unconfirmed one.",
    ),
    "ck_status_event_retracts_no_retraction": (
        NotRetractable,
        "A retraction cannot itself be retracted.",
    ),
}


@dataclass(frozen=True, slots=True)
class NewChange:
    """A change that is to be recorded: its kind, its crossings and its rows."""

    kind: ChangeKind
    crossings: Sequence[str]
    rows_at: Callable[[LogSlot], list[StatusEvent]]
    """Returns the rows for a slot in the log. Raises Invalid."""
    citations: Sequence[Sequence[CitationIn]]
    """One list for each row, or one list for all rows."""
    check: Callable[[str, Details | None], list[FieldError]] = lambda *_: []
    """Returns the faults, given a crossing and its details, which are None if it does not exist."""
    fields: Sequence[str] = ("citations",)
    """The field in which each list of citations was given."""
    undone: Sequence[StatusEvent] = ()
    """The events that the rows correct or withdraw."""


@dataclass(frozen=True, slots=True)
class LoadedHistories:
    """The histories of crossings, as known at a change."""

    snapshot: Snapshot
    histories: Mapping[str, CrossingHistory]

    def details(self) -> list[Details]:
        return [history.details for history in self.histories.values()]


async def append_events(session: AsyncSession, reporter: Reporter, entry: NewChange) -> WriteResult:
    """Append the change with its rows, and return its consequences.

    As much as possible is done before the slot in the log is reserved, since that makes all other
    writers wait until the transaction ends.
    """
    await require_sources_of(session, dict(zip(entry.fields, entry.citations, strict=True)))
    before = await _load(session, entry, await take_snapshot(session, AsOf()))
    slot, before = await _reserve_slot(session, entry, before)
    rows = entry.rows_at(slot)
    try:
        results = await _consequences(before, rows, slot.recorded_at)
    except OutOfReach:
        before = await _load(session, entry, _just_before(slot), fully=True)
        results = await _consequences(before, rows, slot.recorded_at)
    cited = cite(slot, reporter, [citation for group in entry.citations for citation in group])
    cited_by_row = _citations_by_row(cited, entry.citations, len(rows))
    events = _events_out(rows, cited_by_row, before)
    decision = events[0].decision
    change = change_of(
        slot,
        kind=entry.kind,
        subjects=_subjects(before.details(), [*rows, *entry.undone], cited),
        payload=_payload(events, cited, results),
        recorded_by=reporter.name,
    )
    linked = [
        link
        for row, part in zip(rows, cited_by_row, strict=True)
        for link in part.linked(event_id=row.id)
    ]
    due = {name: (result.due_at, result.left) for name, result in results.items()}
    with raising(_PROBLEMS_BY_CONSTRAINT):
        async with pipelined(session):
            await append(session, change, *cited.new_sources, *rows, *linked)
            await compact(session, due, change=slot.number)
    body = DecisionOut(
        decision=decision,
        change=slot.number,
        events=events,
        effect=[_effect(name, part) for name, result in results.items() for part in result.effects],
        undo=[f"/v1/events/{row.id}/retraction" for row in rows if _is_undone_by_retraction(row)],
    )
    ids = {str(decision), *(str(row.id) for row in rows)} | cited.new_ids
    return WriteResult(body, f"/v1/events?decision={decision}", slot.number, ids)


def _payload(
    events: Sequence[EventOut], cited: NewCitations, results: Mapping[str, Consequences]
) -> dict[str, JsonValue]:
    return {
        "decision": str(events[0].decision),
        "events": [event_record(event) for event in events],
        "sources": cited.source_records(),
        **answers_record(result.answers for result in results.values()),
    }


async def _load(
    session: AsyncSession, entry: NewChange, snapshot: Snapshot, *, fully: bool = False
) -> LoadedHistories:
    """Load the histories of the crossings, as far back as the entry may change their statuses.

    The present statuses are resolved too, so that this is not done while other writers wait; and,
    if ``fully``, all consequences of the entry at that moment. Raises Invalid for the faults of
    the entry, and CrossingRetired.
    """
    if entry.undone:
        await _require_active(session, entry.undone, snapshot.change)
    slot = LogSlot(snapshot.change + 1, snapshot.now, b"")
    events = _events_by_crossing(entry.rows_at(slot))
    faults: list[FieldError] = []
    retired: list[Details] = []

    def use(history: CrossingHistory) -> CrossingHistory:
        crossing_faults = entry.check(history.details.id, history.details)
        faults.extend(crossing_faults)
        if history.details.is_retired():
            retired.append(history.details)
        if crossing_faults or history.details.is_retired():
            return history
        new_events = events[history.details.id]
        if history.history.held is not None and any(
            reaches_back(history.resolved, event) for event in new_events
        ):
            raise OutOfReach
        if fully or history.history.held is None:
            _consequences_of(history, new_events, snapshot.now)
        else:
            history.resolved.present(snapshot.now)
        return history

    histories = await load_histories(
        session, entry.crossings, snapshot, use, without=[row.id for row in entry.undone]
    )
    for crossing in entry.crossings:
        if crossing not in histories:
            faults += entry.check(crossing, None)
    if faults:
        raise Invalid(faults)
    await require_in_use(session, retired, known_change=snapshot.change)
    return LoadedHistories(snapshot, histories)


async def _require_active(
    session: AsyncSession, targets: Sequence[StatusEvent], known_change: int
) -> None:
    """Raise Superseded if any of them is already corrected or retracted."""
    ids = [target.id for target in targets]
    query = select(StatusEvent.id).where(StatusEvent.id.in_(ids), undone(known_change))
    if await session.scalar(query.limit(1)) is not None:
        raise Superseded(_ALREADY_UNDONE)


async def _reserve_slot(
    session: AsyncSession, entry: NewChange, before: LoadedHistories
) -> tuple[LogSlot, LoadedHistories]:
    """Reserve the next slot in the log, after recording what has come due of the crossings.

    The histories are loaded again if they have changed meanwhile.
    """
    known_change = before.snapshot.change
    slot = await reserve_slot(session, entry.crossings, known_change=known_change)
    is_new = slot.something_moved
    while slot.something_is_due and await announce(session, slot, entry.crossings):
        is_new = True
        slot = await reserve_slot(session, entry.crossings, known_change=known_change)
    if is_new:
        before = await _load(session, entry, _just_before(slot))
    return slot, before


def _just_before(slot: LogSlot) -> Snapshot:
    return Snapshot(slot.number - 1, slot.recorded_at)


async def _consequences(
    before: LoadedHistories, rows: Iterable[StatusEvent], now: datetime
) -> dict[str, Consequences]:
    result: dict[str, Consequences] = {}
    for name, events in _events_by_crossing(rows).items():
        result[name] = _consequences_of(before.histories[name], events, now)
        if len(result) % _CROSSINGS_PER_TURN == 0:
            await asyncio.sleep(0)
    return result


def _events_by_crossing(rows: Iterable[StatusEvent]) -> dict[str, list[Event]]:
    events: defaultdict[str, list[Event]] = defaultdict(list)
    for row in rows:
        events[row.crossing_id].append(event_of(row))
    return events


def _consequences_of(
    history: CrossingHistory, new_events: Sequence[Event], now: datetime
) -> Consequences:
    events = (*history.history.events, *new_events)
    after = ResolvedHistory(replace(history.history, events=events))
    return consequences(history.details.id, history.resolved, after, now)


def _events_out(
    rows: Iterable[StatusEvent], cited: Iterable[NewCitations], before: LoadedHistories
) -> list[EventOut]:
    """Return the rows as bodies, each with its citations."""
    return [
        event_out(row, part.citations, near=before.histories[row.crossing_id].details.point)
        for row, part in zip(rows, cited, strict=True)
    ]


def _citations_by_row(
    cited: NewCitations, citations: Sequence[Sequence[CitationIn]], rows: int
) -> list[NewCitations]:
    if len(citations) == 1:
        return [cited] * rows
    starts = accumulate((len(group) for group in citations), initial=0)
    return [cited.part(start, len(group)) for start, group in zip(starts, citations, strict=False)]


def _subjects(
    crossings: Sequence[Details], rows: Iterable[StatusEvent], cited: NewCitations
) -> dict[str, list[str]]:
    incidents = sorted({str(row.incident_id) for row in rows if row.incident_id is not None})
    return {
        **subjects_of(crossings),
        **({"incidents": incidents} if incidents else {}),
        "sources": cited.source_ids(),
    }


def _effect(crossing: str, effect: Effect) -> EffectOut:
    return EffectOut(
        crossing=crossing,
        before=effect.before,
        after=effect.after,
        from_=effect.start,
        until=effect.end,
        lanes=[LaneId(traffic=lane.traffic, to=lane.to) for lane in effect.lanes],
    )


def _is_undone_by_retraction(row: StatusEvent) -> bool:
    # Retracting a correction also withdraws what it corrects: more than this write did.
    return row.kind != EventKind.RETRACTION and row.supersedes is None
