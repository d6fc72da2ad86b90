"""Append to the log of status events: declare, correct, withdraw, confirm."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.ids import new_ids
from app.changes.service import LogSlot, Snapshot, change_of, reserve_slot, take_snapshot
from app.database.driver import pipelined
from app.database.sessions import append
from app.errors import (
    CrossingNotFound,
    CrossingRetired,
    EventNotFound,
    FieldError,
    Invalid,
    NotCorrectable,
    NotRetractable,
    Problem,
    Superseded,
    invalid,
    raising,
)
from app.http.parameters import AsOf
from app.notices.recording import require_incident
from app.places.details import Details, require_in_use
from app.sources.schemas import CitationIn
from app.sources.service import NewCitations, cite, require_sources, require_sources_of
from app.sources.statements import RetractionIn
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
    ConfirmationIn,
    ConfirmationRow,
    ConfirmationsIn,
    DecisionIn,
    DecisionOut,
    EffectOut,
    EventOut,
    LaneId,
)
from app.vocabulary import ChangeKind, EventKind

ONLY_DECLARATIONS = "Only a declaration can be corrected."
_CROSSINGS_PER_TURN = 20
"""Crossings whose consequences are computed before other requests of the process run."""
_AHEAD = "lies in the future"
_ALREADY_UNDONE = "The event was already corrected or retracted."

# Constraints that can be violated although the checks of the service have passed.
_REFUSALS: Mapping[str, tuple[type[Problem], str]] = {
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


async def record_decision(
    session: AsyncSession, reporter: Reporter, *, decision: DecisionIn, seed: str | None = None
) -> WriteResult:
    """Declare a status for one or many crossings: all of them or none."""
    reporter.require_sides(decision.sides)
    targets = await _targets(session, reporter, decision)
    if decision.incident is not None:
        await require_incident(session, decision.incident)

    def rows_at(slot: LogSlot) -> list[StatusEvent]:
        start = decision.effective.from_ or slot.recorded_at
        _check_instants(decision, start, slot)
        minted = new_ids(slot.recorded_at, ["decision", *decision.crossings], seed=seed)
        return [
            StatusEvent(
                id=minted[crossing],
                crossing_id=crossing,
                supersedes=targets[crossing].id if targets else None,
                decision=minted["decision"],
                effective=Range(start, decision.effective.until),
                **_declared(decision),
                **_standing(decision, slot, reporter),
            )
            for crossing in decision.crossings
        ]

    def check(crossing: str, details: Details | None) -> list[FieldError]:
        if details is None:
            return [FieldError("body", "crossings", f"there is no crossing {crossing!r}")]
        return _scope_faults(decision, details)

    return await _record(
        session,
        reporter,
        _NewChange(
            ChangeKind.DECISION,
            decision.crossings,
            rows_at,
            [decision.citations],
            check,
            undone=list(targets.values()),
        ),
    )


async def retract_event(
    session: AsyncSession,
    reporter: Reporter,
    *,
    event_id: UUID,
    retraction: RetractionIn,
    seed: str | None = None,
) -> WriteResult:
    """Withdraw a declaration, with all that it corrects, or a confirmation.

    What it supersedes stays superseded. Raises EventNotFound.
    """
    target = await session.get(StatusEvent, event_id)
    if target is None:
        raise EventNotFound(f"There is no status event {event_id}.")
    reporter.require_sides(target.sides)

    def rows_at(slot: LogSlot) -> list[StatusEvent]:
        minted = new_ids(slot.recorded_at, ["decision", "event"], seed=seed)
        return [
            StatusEvent(
                id=minted["event"],
                decision=minted["decision"],
                kind=EventKind.RETRACTION.value,
                crossing_id=target.crossing_id,
                sides=target.sides,
                traffic=target.traffic,
                to=target.to,
                reason_code=retraction.reason.code.value,
                reason_text=retraction.reason.text,
                exceptions=[],
                retracts=target.id,
                change=slot.number,
                recorded_at=slot.recorded_at,
                recorded_by=reporter.name,
            )
        ]

    return await _record(
        session,
        reporter,
        _NewChange(
            ChangeKind.RETRACTION,
            [target.crossing_id],
            rows_at,
            [retraction.citations],
            undone=[target],
        ),
    )


async def confirm_crossing(
    session: AsyncSession,
    reporter: Reporter,
    *,
    crossing_id: str,
    confirmation: ConfirmationIn,
    seed: str | None = None,
) -> WriteResult:
    """Record that the source was checked again. Raises CrossingNotFound."""
    reporter.require_sides(confirmation.sides)

    def rows_at(slot: LogSlot) -> list[StatusEvent]:
        minted = new_ids(slot.recorded_at, ["decision", "event"], seed=seed)
        if _lies_ahead(confirmation, slot):
            raise invalid("confirmed_at", _AHEAD)
        return [
            _confirmation(
                confirmation, crossing_id, minted["event"], minted["decision"], slot, reporter
            )
        ]

    def check(_: str, details: Details | None) -> list[FieldError]:
        if details is None:
            raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
        return _scope_faults(confirmation, details)

    return await _record(
        session,
        reporter,
        _NewChange(
            ChangeKind.CONFIRMATION, [crossing_id], rows_at, [confirmation.citations], check
        ),
    )


async def confirm_crossings(
    session: AsyncSession, reporter: Reporter, *, confirmations: ConfirmationsIn
) -> WriteResult:
    """Record that the sources of many crossings were checked again: all of them or none.

    Each fault is named with the index of its row.
    """
    rows = confirmations.confirmations
    reporter.require_sides({side for row in rows for side in row.sides})
    if faults := _list_faults(confirmations):
        raise Invalid(faults)
    # Sources that no row uses must exist, too.
    await require_sources(session, confirmations.citations)
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        numbers[row.crossing].append(number)

    def rows_at(slot: LogSlot) -> list[StatusEvent]:
        if ahead := [number for number, row in enumerate(rows) if _lies_ahead(row, slot)]:
            raise Invalid([_row_fault(number, "confirmed_at", _AHEAD) for number in ahead])
        names = [str(number) for number in range(len(rows))]
        minted = new_ids(slot.recorded_at, ["decision", *names])
        return [
            _confirmation(row, row.crossing, minted[name], minted["decision"], slot, reporter)
            for name, row in zip(names, rows, strict=True)
        ]

    def check(crossing: str, details: Details | None) -> list[FieldError]:
        if details is None:
            message = f"there is no crossing {crossing!r}"
            return [_row_fault(number, "crossing", message) for number in numbers[crossing]]
        return [
            _row_fault(number, fault.field, fault.message)
            for number in numbers[crossing]
            for fault in _scope_faults(rows[number], details)
        ]

    entry = _NewChange(
        ChangeKind.CONFIRMATION,
        list(numbers),
        rows_at,
        [row.citations or confirmations.citations for row in rows],
        check,
        fields=_citation_fields(rows),
    )
    return await _record(session, reporter, entry)


def _citation_fields(rows: Sequence[ConfirmationRow]) -> list[str]:
    """Return the field in which the citations of each row were given: its own, or that for all."""
    return [
        f"confirmations.{number}.citations" if row.citations else "citations"
        for number, row in enumerate(rows)
    ]


def _row_fault(number: int, field: str, message: str) -> FieldError:
    return FieldError("body", f"confirmations.{number}.{field}", message)


def _list_faults(confirmations: ConfirmationsIn) -> list[FieldError]:
    """Return the faults of rows that can be found without their crossings."""
    faults: list[FieldError] = []
    first: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(confirmations.confirmations):
        field = f"confirmations.{number}"
        scope = frozenset(row.traffic) if row.traffic else None
        earlier = first.setdefault((row.crossing, frozenset(row.sides), scope, row.to), number)
        if earlier != number:
            message = f"repeats confirmations.{earlier}"
            faults.append(FieldError("body", field, message))
        if not (row.citations or confirmations.citations):
            message = "give citations here, or shared ones for all rows"
            faults.append(FieldError("body", f"{field}.citations", message))
    return faults


@dataclass(frozen=True, slots=True)
class _NewChange:
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


async def _record(session: AsyncSession, reporter: Reporter, entry: _NewChange) -> WriteResult:
    """Append the change with its rows, and return its consequences.

    As much as possible is done before the slot in the log is reserved, since that makes all other
    writers wait until the transaction ends.
    """
    await require_sources_of(session, dict(zip(entry.fields, entry.citations, strict=True)))
    before = await _before(session, entry, await take_snapshot(session, AsOf()))
    slot, before = await _reserve_slot(session, entry, before)
    rows = entry.rows_at(slot)
    try:
        results = await _consequences(before, rows, slot.recorded_at)
    except OutOfReach:
        before = await _before(session, entry, _just_before(slot), fully=True)
        results = await _consequences(before, rows, slot.recorded_at)
    cited = cite(slot, reporter, [citation for group in entry.citations for citation in group])
    cited_by_row = _parts(cited, entry.citations, len(rows))
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
    with raising(_REFUSALS):
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


async def _before(
    session: AsyncSession, entry: _NewChange, snapshot: Snapshot, *, fully: bool = False
) -> LoadedHistories:
    """Load the histories of the crossings, as far back as the entry may change their statuses.

    The present statuses are resolved too, so that this is not done while other writers wait; and,
    if ``fully``, all consequences of the entry at that moment. Raises Invalid for the faults of
    the entry, and CrossingRetired.
    """
    if entry.undone:
        await _require_standing(session, entry.undone, snapshot.change)
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


async def _require_standing(
    session: AsyncSession, targets: Sequence[StatusEvent], known_change: int
) -> None:
    """Raise Superseded if any of them is already corrected or retracted."""
    ids = [target.id for target in targets]
    query = select(StatusEvent.id).where(StatusEvent.id.in_(ids), undone(known_change))
    if await session.scalar(query.limit(1)) is not None:
        raise Superseded(_ALREADY_UNDONE)


async def _reserve_slot(
    session: AsyncSession, entry: _NewChange, before: LoadedHistories
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
        before = await _before(session, entry, _just_before(slot))
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


def _parts(
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


def _declared(decision: DecisionIn) -> dict[str, object]:
    """Return the columns of a declaration that are the same for all its crossings."""
    return {
        "kind": EventKind.DECLARATION.value,
        "status": decision.status.value,
        "expected_until": decision.expected_until,
        "reason_code": decision.reason.code.value,
        "reason_text": decision.reason.text,
        "exceptions": [exception.model_dump(mode="json") for exception in decision.exceptions],
        "certainty": decision.certainty.value,
        "precision": decision.precision.value,
        "announced_at": decision.announced_at,
        "incident_id": decision.incident,
    }


def _confirmation(
    confirmation: ConfirmationIn | ConfirmationRow,
    crossing_id: str,
    event_id: UUID,
    decision: UUID,
    slot: LogSlot,
    reporter: Reporter,
) -> StatusEvent:
    return StatusEvent(
        id=event_id,
        decision=decision,
        kind=EventKind.CONFIRMATION.value,
        crossing_id=crossing_id,
        exceptions=[],
        confirmed_at=confirmation.confirmed_at or slot.recorded_at,
        **_standing(confirmation, slot, reporter),
    )


def _standing(
    body: DecisionIn | ConfirmationIn | ConfirmationRow, slot: LogSlot, reporter: Reporter
) -> dict[str, object]:
    """Return the columns for a row's slot in the log and its scope."""
    return {
        "sides": sorted(body.sides),
        "traffic": None if body.traffic is None else [category.value for category in body.traffic],
        "to": body.to,
        "change": slot.number,
        "recorded_at": slot.recorded_at,
        "recorded_by": reporter.name,
    }


def _scope_faults(
    body: DecisionIn | ConfirmationIn | ConfirmationRow, details: Details
) -> list[FieldError]:
    faults: dict[str, str] = {}
    ours = " and ".join(details.sides)
    if foreign := sorted(set(body.sides) - set(details.sides)):
        faults["sides"] = f"{details.id} is between {ours}, not {', '.join(foreign)}"
    if body.to is not None and body.to not in details.sides:
        faults["to"] = f"{details.id} leads to {ours}, not {body.to}"
    if barred := set(body.traffic or ()) - set(details.traffic):
        names = ", ".join(sorted(traffic.value for traffic in barred))
        faults["traffic"] = f"{details.id} is not authorised for {names}"
    return [FieldError("body", field, message) for field, message in faults.items()]


def _lies_ahead(confirmation: ConfirmationIn | ConfirmationRow, slot: LogSlot) -> bool:
    confirmed_at = confirmation.confirmed_at
    return confirmed_at is not None and confirmed_at > slot.recorded_at


def _check_instants(decision: DecisionIn, start: datetime, slot: LogSlot) -> None:
    until = decision.effective.until
    if until is not None and until <= start:
        raise invalid("effective.until", "must lie after effective.from")
    if decision.expected_until is not None and decision.expected_until <= start:
        raise invalid("expected_until", "must lie after effective.from")
    if decision.announced_at is not None and decision.announced_at > slot.recorded_at:
        raise invalid("announced_at", "lies in the future")


async def _targets(
    session: AsyncSession, reporter: Reporter, decision: DecisionIn
) -> dict[str, StatusEvent]:
    """Return the events that the decision supersedes, by crossing."""
    if not decision.supersedes:
        return {}
    rows = await session.scalars(select(StatusEvent).where(StatusEvent.id.in_(decision.supersedes)))
    targets = {row.id: row for row in rows}
    for event_id in decision.supersedes:
        if event_id not in targets:
            raise invalid("supersedes", f"there is no status event {event_id}")
        if targets[event_id].kind != EventKind.DECLARATION:
            raise NotCorrectable(ONLY_DECLARATIONS)
        reporter.require_sides(targets[event_id].sides)
    by_crossing = {row.crossing_id: row for row in targets.values()}
    if len(by_crossing) < len(targets) or by_crossing.keys() != set(decision.crossings):
        raise invalid("supersedes", "must have one event of each of the crossings")
    return by_crossing
