"""Append to the log of status events: declare, correct, withdraw, confirm."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import Written
from app.changes.ids import mint
from app.changes.service import Place, fill_place
from app.database.sessions import append
from app.effective.answers import AnswerChangeOut, answer_change
from app.effective.service import answers_told, note_due, subjects_of, take_place_after_due
from app.errors import (
    CrossingNotFound,
    EventNotFound,
    NotCorrectable,
    NotRetractable,
    Problem,
    Superseded,
    invalid,
    raising,
)
from app.notices.recording import require_incident
from app.places.details import Details
from app.sources.schemas import CitationIn
from app.sources.service import Cited, cite, require_sources
from app.status.log import Before, before, event_of, event_out, event_told
from app.status.models import StatusEvent
from app.status.rule.effect import effects
from app.status.rule.history import History
from app.status.rule.resolution import next_change
from app.status.schemas import (
    ConfirmationIn,
    DecisionIn,
    DecisionOut,
    EffectOut,
    LaneId,
    RetractionIn,
)
from app.vocabulary import ChangeKind, EventKind

ONLY_DECLARATIONS = "Only a declaration can be corrected."

# What the database refuses although the checks above it passed: it is the last word.
_REFUSALS: Mapping[str, tuple[type[Problem], str]] = {
    "uq_status_event_supersedes": (Superseded, "The event was corrected already."),
    "uq_status_event_retracts": (Superseded, "The event was retracted already."),
    "ck_status_event_target_standing": (
        Superseded,
        "The event was corrected or retracted already.",
    ),
    "ck_incident_standing": (Superseded, "The incident was retracted already."),
    "ck_status_event_supersedes_declaration": (NotCorrectable, ONLY_DECLARATIONS),
    "ck_status_event_supersedes_no_firmer": (
        NotCorrectable,
        "An unconfirmed declaration may supersede only an unconfirmed one.",
    ),
    "ck_status_event_retracts_no_retraction": (NotRetractable, "A retraction stands."),
    "ck_status_event_retracts_no_correction": (
        NotRetractable,
        "A correction is corrected again, not retracted.",
    ),
}


async def record_decision(
    session: AsyncSession, reporter: Reporter, *, decision: DecisionIn, seed: str | None = None
) -> Written:
    """Declare a status for one or many crossings: all of them or none."""
    reporter.require_sides(decision.sides)
    targets = await _targets(session, reporter, decision)
    if decision.incident is not None:
        await require_incident(session, decision.incident)
    await require_sources(session, decision.citations)
    place = await take_place_after_due(session, decision.crossings)
    found = await before(session, decision.crossings)
    _check_scope(decision, [_existing(found, name) for name in decision.crossings])
    start = decision.effective.from_ or place.recorded_at
    _check_instants(decision, start, place)
    minted = mint(place.recorded_at, ["decision", *decision.crossings], seed=seed)
    rows = [
        StatusEvent(
            id=minted[crossing],
            crossing_id=crossing,
            supersedes=targets[crossing].id if targets else None,
            decision=minted["decision"],
            effective=Range(start, decision.effective.until),
            **_declared(decision),
            **_standing(decision, place, reporter),
        )
        for crossing in decision.crossings
    ]
    return await _record(
        session,
        reporter,
        place,
        kind=ChangeKind.DECISION,
        found=found,
        rows=rows,
        citations=decision.citations,
        undone=targets.values(),
    )


async def retract_event(
    session: AsyncSession,
    reporter: Reporter,
    *,
    event_id: UUID,
    retraction: RetractionIn,
    seed: str | None = None,
) -> Written:
    """Withdraw a declaration or a confirmation. Raises EventNotFound."""
    target = await session.get(StatusEvent, event_id)
    if target is None:
        raise EventNotFound(f"There is no status event {event_id}.")
    reporter.require_sides(target.sides)
    await require_sources(session, retraction.citations)
    place = await take_place_after_due(session, [target.crossing_id])
    minted = mint(place.recorded_at, ["decision", "event"], seed=seed)
    row = StatusEvent(
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
        change=place.number,
        recorded_at=place.recorded_at,
        recorded_by=reporter.name,
    )
    return await _record(
        session,
        reporter,
        place,
        kind=ChangeKind.RETRACTION,
        found=await before(session, [target.crossing_id]),
        rows=[row],
        citations=retraction.citations,
        undone=[target],
    )


async def confirm_crossing(
    session: AsyncSession,
    reporter: Reporter,
    *,
    crossing_id: str,
    confirmation: ConfirmationIn,
    seed: str | None = None,
) -> Written:
    """Record that the source was checked again. Raises CrossingNotFound."""
    reporter.require_sides(confirmation.sides)
    await require_sources(session, confirmation.citations)
    place = await take_place_after_due(session, [crossing_id])
    found = await before(session, [crossing_id])
    if crossing_id not in found:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    _check_scope(confirmation, [found[crossing_id].details])
    confirmed_at = confirmation.confirmed_at or place.recorded_at
    if confirmed_at > place.recorded_at:
        raise invalid("confirmed_at", "lies in the future")
    minted = mint(place.recorded_at, ["decision", "event"], seed=seed)
    row = StatusEvent(
        id=minted["event"],
        decision=minted["decision"],
        kind=EventKind.CONFIRMATION.value,
        crossing_id=crossing_id,
        exceptions=[],
        confirmed_at=confirmed_at,
        **_standing(confirmation, place, reporter),
    )
    return await _record(
        session,
        reporter,
        place,
        kind=ChangeKind.CONFIRMATION,
        found=found,
        rows=[row],
        citations=confirmation.citations,
    )


async def _record(
    session: AsyncSession,
    reporter: Reporter,
    place: Place,
    *,
    kind: ChangeKind,
    found: Mapping[str, Before],
    rows: Sequence[StatusEvent],
    citations: Sequence[CitationIn],
    undone: Iterable[StatusEvent] = (),
) -> Written:
    """Append the change with all that belongs to it, and tell what it does.

    ``undone`` is what the rows correct or withdraw.
    """
    cited = cite(place, reporter, citations)
    events = [event_out(row, cited.citations) for row in rows]
    decision = events[0].decision
    without = {row.crossing_id: found[row.crossing_id].history for row in rows}
    with_it = {row.crossing_id: _joined(without[row.crossing_id], row) for row in rows}
    now = place.recorded_at
    changed: list[AnswerChangeOut | None] = []
    due: dict[str, datetime | None] = {}
    effect: list[EffectOut] = []
    for name, after in with_it.items():  # all about one at once, while it is known
        changed.append(answer_change(name, (without[name], now), (after, now)))
        due[name] = next_change(after, now)
        effect += _effect(name, without[name], after, now)
    await fill_place(
        session,
        place,
        kind=kind,
        subjects=_subjects(found.values(), [*rows, *undone], cited),
        payload={
            "decision": str(decision),
            "events": [event_told(event) for event in events],
            "sources": cited.told(),
            **answers_told(changed),
        },
        recorded_by=reporter.name,
    )
    await note_due(session, due)
    await append(session, *cited.new_sources)
    with raising(_REFUSALS):
        await append(session, *rows)
    await append(session, *(one for row in rows for one in cited.linked(event_id=row.id)))
    body = DecisionOut(
        decision=decision,
        change=place.number,
        events=events,
        effect=effect,
        undo=[f"/v1/events/{row.id}/retraction" for row in rows if _can_be_retracted(row)],
    )
    ids = {str(decision), *(str(row.id) for row in rows)} | cited.new_ids
    return Written(body, f"/v1/events?decision={decision}", place.number, ids)


def _subjects(
    found: Iterable[Before], rows: Iterable[StatusEvent], cited: Cited
) -> dict[str, list[str]]:
    incidents = sorted({str(row.incident_id) for row in rows if row.incident_id is not None})
    return {
        **subjects_of([one.details for one in found]),
        **({"incidents": incidents} if incidents else {}),
        "sources": cited.source_ids(),
    }


def _joined(history: History, row: StatusEvent) -> History:
    return replace(history, events=(*history.events, event_of(row)))


def _effect(crossing: str, without: History, with_it: History, since: datetime) -> list[EffectOut]:
    return [
        EffectOut(
            crossing=crossing,
            before=one.before,
            after=one.after,
            from_=one.start,
            until=one.end,
            lanes=[LaneId(traffic=lane.traffic, to=lane.to) for lane in one.lanes],
        )
        for one in effects(without, with_it, since=since)
    ]


def _can_be_retracted(row: StatusEvent) -> bool:
    return row.kind != EventKind.RETRACTION and row.supersedes is None


def _declared(decision: DecisionIn) -> dict[str, object]:
    """Return the columns that say what is declared, whichever crossing it is of."""
    return {
        "kind": EventKind.DECLARATION.value,
        "status": decision.status.value,
        "expected_until": decision.expected_until,
        "reason_code": decision.reason.code.value,
        "reason_text": decision.reason.text,
        "exceptions": [one.model_dump(mode="json") for one in decision.exceptions],
        "certainty": decision.certainty.value,
        "precision": decision.precision.value,
        "announced_at": decision.announced_at,
        "incident_id": decision.incident,
    }


def _standing(
    body: DecisionIn | ConfirmationIn, place: Place, reporter: Reporter
) -> dict[str, object]:
    """Return the columns that place a row in the log and give its scope."""
    return {
        "sides": sorted(body.sides),
        "traffic": None if body.traffic is None else [one.value for one in body.traffic],
        "to": body.to,
        "change": place.number,
        "recorded_at": place.recorded_at,
        "recorded_by": reporter.name,
    }


def _existing(found: Mapping[str, Before], crossing_id: str) -> Details:
    if crossing_id not in found:
        raise invalid("crossings", f"there is no crossing {crossing_id!r}")
    return found[crossing_id].details


def _check_scope(body: DecisionIn | ConfirmationIn, places: Iterable[Details]) -> None:
    for one in places:
        ours = " and ".join(one.sides)
        if foreign := sorted(set(body.sides) - set(one.sides)):
            raise invalid("sides", f"{one.id} is between {ours}, not {', '.join(foreign)}")
        if body.to is not None and body.to not in one.sides:
            raise invalid("to", f"{one.id} leads to {ours}, not {body.to}")
        if barred := set(body.traffic or ()) - set(one.traffic):
            names = ", ".join(sorted(traffic.value for traffic in barred))
            raise invalid("traffic", f"{one.id} is not authorised for {names}")


def _check_instants(decision: DecisionIn, start: datetime, place: Place) -> None:
    until = decision.effective.until
    if until is not None and until <= start:
        raise invalid("effective.until", "must lie after effective.from")
    if decision.expected_until is not None and decision.expected_until <= start:
        raise invalid("expected_until", "must lie after effective.from")
    if decision.announced_at is not None and decision.announced_at > place.recorded_at:
        raise invalid("announced_at", "lies in the future")


async def _targets(
    session: AsyncSession, reporter: Reporter, decision: DecisionIn
) -> dict[str, StatusEvent]:
    """Return what the decision supersedes, by crossing: all of them or none."""
    if not decision.supersedes:
        return {}
    rows = await session.scalars(select(StatusEvent).where(StatusEvent.id.in_(decision.supersedes)))
    found = {row.id: row for row in rows}
    for event_id in decision.supersedes:
        if event_id not in found:
            raise invalid("supersedes", f"there is no status event {event_id}")
        if found[event_id].kind != EventKind.DECLARATION:
            raise NotCorrectable(ONLY_DECLARATIONS)
        reporter.require_sides(found[event_id].sides)
    by_crossing = {row.crossing_id: row for row in found.values()}
    if len(by_crossing) < len(found) or by_crossing.keys() != set(decision.crossings):
        raise invalid("supersedes", "must have one event of each of the crossings")
    return by_crossing
