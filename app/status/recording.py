"""Record status events: declare, correct, retract, confirm."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.ids import new_ids
from app.changes.service import LogSlot
from app.errors import (
    CrossingNotFound,
    EventNotFound,
    FieldError,
    Invalid,
    NotCorrectable,
    invalid,
)
from app.notices.recording import require_incident
from app.places.details import Details
from app.sources.service import require_sources
from app.sources.statements import RetractionIn
from app.status.appending import ONLY_DECLARATIONS, NewChange, append_events
from app.status.models import StatusEvent
from app.status.schemas import (
    ConfirmationIn,
    ConfirmationRow,
    ConfirmationsIn,
    DecisionIn,
)
from app.vocabulary import ChangeKind, EventKind

_IN_FUTURE = "lies in the future"


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
        ids = new_ids(slot.recorded_at, ["decision", *decision.crossings], seed=seed)
        return [
            StatusEvent(
                id=ids[crossing],
                crossing_id=crossing,
                supersedes=targets[crossing].id if targets else None,
                decision=ids["decision"],
                effective=Range(start, decision.effective.until),
                **_declaration_columns(decision),
                **_common_columns(decision, slot, reporter),
            )
            for crossing in decision.crossings
        ]

    def check(crossing: str, details: Details | None) -> list[FieldError]:
        if details is None:
            return [FieldError("body", "crossings", f"there is no crossing {crossing!r}")]
        return _scope_faults(decision, details)

    return await append_events(
        session,
        reporter,
        NewChange(
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
        ids = new_ids(slot.recorded_at, ["decision", "event"], seed=seed)
        return [
            StatusEvent(
                id=ids["event"],
                decision=ids["decision"],
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

    return await append_events(
        session,
        reporter,
        NewChange(
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
        ids = new_ids(slot.recorded_at, ["decision", "event"], seed=seed)
        if _is_in_future(confirmation, slot):
            raise invalid("confirmed_at", _IN_FUTURE)
        return [
            _confirmation(confirmation, crossing_id, ids["event"], ids["decision"], slot, reporter)
        ]

    def check(_: str, details: Details | None) -> list[FieldError]:
        if details is None:
            raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
        return _scope_faults(confirmation, details)

    return await append_events(
        session,
        reporter,
        NewChange(ChangeKind.CONFIRMATION, [crossing_id], rows_at, [confirmation.citations], check),
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
        if ahead := [number for number, row in enumerate(rows) if _is_in_future(row, slot)]:
            raise Invalid([_row_fault(number, "confirmed_at", _IN_FUTURE) for number in ahead])
        names = [str(number) for number in range(len(rows))]
        ids = new_ids(slot.recorded_at, ["decision", *names])
        return [
            _confirmation(row, row.crossing, ids[name], ids["decision"], slot, reporter)
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

    entry = NewChange(
        ChangeKind.CONFIRMATION,
        list(numbers),
        rows_at,
        [row.citations or confirmations.citations for row in rows],
        check,
        fields=_citation_fields(rows),
    )
    return await append_events(session, reporter, entry)


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


def _declaration_columns(decision: DecisionIn) -> dict[str, object]:
    """Return the columns of a declaration that are the same for all its crossings."""
    return {
        "kind": EventKind.DECLARATION.value,
        "status": decision.status.value,
        "expected_until": decision.expected_until,
        "reason_code": decision.reason.code.value,
        "reason_text": decision.reason.text,
        "exceptions": [exception.model_dump(mode="json") for exception in decision.exceptions],
        "max_weight_kg": decision.max_weight_kg,
        "max_height_m": decision.max_height_m,
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
        **_common_columns(confirmation, slot, reporter),
    )


def _common_columns(
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


def _is_in_future(confirmation: ConfirmationIn | ConfirmationRow, slot: LogSlot) -> bool:
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
