"""Read the log: events as rows, as the rule's values and as bodies."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Select, exists, or_, select, tuple_
from sqlalchemy.dialects.postgresql import Range, distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.caches import shared
from app.errors import CrossingNotFound, EventNotFound
from app.http.bodies import STORED, utc
from app.http.parameters import Kind, require_existing
from app.places.geography import Point
from app.places.models import Crossing, CrossingVersion
from app.places.zones import day_zone, zone_of
from app.sources.models import Citation
from app.sources.schemas import CitationOut
from app.sources.service import citations_of
from app.status.models import StatusEvent
from app.status.rule.history import (
    NO_TERMS,
    Confirmation,
    Declaration,
    Event,
    EventRetraction,
    ExceptedGroup,
    Limits,
    SaidOrder,
    Scope,
    Terms,
)
from app.status.schemas import EventOut
from app.vocabulary import Certainty, EventKind, ExceptionCode, Status, Traffic

# Looking a member up is several times as fast as calling its class, which matters at start-up.
_KINDS = {one.value: one for one in EventKind}
_STATUSES = {one.value: one for one in Status}
_CERTAINTIES = {one.value: one for one in Certainty}


async def get_event(session: AsyncSession, event_id: UUID) -> EventOut:
    """Return one event as known now. Raises EventNotFound."""
    row = await session.get(StatusEvent, event_id)
    if row is None:
        raise EventNotFound(f"There is no status event {event_id}.")
    return (await events_out(session, [row]))[0]


async def list_crossing_events(
    session: AsyncSession, *, crossing_id: str, after: tuple[int, UUID] | None, limit: int
) -> list[EventOut]:
    """Return a crossing's log, the newest first. Raises CrossingNotFound."""
    if await session.get(Crossing, crossing_id) is None:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    return await _events(session, crossing=crossing_id, after=after, limit=limit)


async def newest_events(
    session: AsyncSession, *, crossing_id: str, known_change: int, limit: int
) -> list[EventOut]:
    """Return a crossing's newest events as known, without retractions."""
    rows = (
        select(StatusEvent)
        .where(
            StatusEvent.crossing_id == crossing_id,
            StatusEvent.change <= known_change,
            StatusEvent.kind != EventKind.RETRACTION.value,
        )
        .order_by(StatusEvent.change.desc())
        .limit(limit)
    )
    return await events_out(session, list(await session.scalars(rows)), known_change=known_change)


async def list_events(
    session: AsyncSession,
    *,
    crossing: str | None = None,
    decision: UUID | None = None,
    kind: EventKind | None = None,
    after: tuple[int, UUID] | None,
    limit: int,
) -> list[EventOut]:
    """Return events, the newest first, from the one after ``after``: its change and id.

    Raises Invalid for a crossing or a decision that does not exist.
    """
    await require_existing(
        session,
        {"crossing": (Kind.CROSSING, [crossing]), "decision": (Kind.DECISION, [decision])},
    )
    return await _events(
        session, crossing=crossing, decision=decision, kind=kind, after=after, limit=limit
    )


async def _events(
    session: AsyncSession,
    *,
    crossing: str | None,
    decision: UUID | None = None,
    kind: EventKind | None = None,
    after: tuple[int, UUID] | None,
    limit: int,
) -> list[EventOut]:
    rows = (
        select(StatusEvent).order_by(StatusEvent.change.desc(), StatusEvent.id.desc()).limit(limit)
    )
    if crossing is not None:
        rows = rows.where(StatusEvent.crossing_id == crossing)
    if decision is not None:
        rows = rows.where(StatusEvent.decision == decision)
    if kind is not None:
        rows = rows.where(StatusEvent.kind == kind.value)
    if after is not None:
        rows = rows.where(tuple_(StatusEvent.change, StatusEvent.id) < after)
    return await events_out(session, list(await session.scalars(rows)))


async def events_out(
    session: AsyncSession, rows: Sequence[StatusEvent], *, known_change: int | None = None
) -> list[EventOut]:
    """Return events as bodies, with what became of them as known at ``known_change``."""
    ids = [row.id for row in rows]
    citations = await citations_of(session, Citation.event_id, ids)
    points = await _points(session, {row.crossing_id for row in rows}, known_change)
    superseded_by: dict[UUID | None, UUID] = {}
    retracted_by: dict[UUID | None, UUID] = {}
    for row in await session.scalars(_undoing(ids, known_change)):
        superseded_by[row.supersedes] = row.id
        retracted_by[row.retracts] = row.id
    return [
        event_out(
            row,
            citations[row.id],
            near=points.get(row.crossing_id),
            superseded_by=superseded_by.get(row.id),
            retracted_by=retracted_by.get(row.id),
        )
        for row in rows
    ]


def event_out(
    row: StatusEvent,
    citations: Sequence[CitationOut],
    *,
    near: Point | None,
    superseded_by: UUID | None = None,
    retracted_by: UUID | None = None,
) -> EventOut:
    """Return an event as a body; ``near`` is where its crossing lies, if that is known."""
    reason = {"code": row.reason_code, "text": row.reason_text} if row.reason_code else None
    return EventOut.model_validate(
        {
            "id": row.id,
            "kind": row.kind,
            "crossing": row.crossing_id,
            "decision": row.decision,
            "change": row.change,
            "sides": row.sides,
            "status": row.status,
            "effective": _period_out(row.effective),
            "expected_until": utc(row.expected_until),
            "traffic": row.traffic,
            "to": row.to,
            "reason": reason,
            "exceptions": row.exceptions,
            "max_weight_kg": row.max_weight_kg,
            "max_height_m": row.max_height_m,
            "certainty": row.certainty,
            "precision": row.precision,
            "time_zone": _time_zone(row, near),
            "announced_at": utc(row.announced_at),
            "confirmed_at": utc(row.confirmed_at),
            "recorded_at": utc(row.recorded_at),
            "recorded_by": row.recorded_by,
            "supersedes": row.supersedes,
            "retracts": row.retracts,
            "superseded_by": superseded_by,
            "retracted_by": retracted_by,
            "incident": row.incident_id,
            "citations": list(citations),
        },
        context=STORED,
    )


def event_record(event: EventOut) -> JsonValue:
    """Return an event as the hash chain includes it, without what is derived later."""
    record: dict[str, JsonValue] = event.model_dump(
        mode="json", by_alias=True, exclude={"time_zone", "superseded_by", "retracted_by"}
    )
    for name in ("max_weight_kg", "max_height_m"):
        # Records from before there were these members do not have them.
        if record[name] is None:
            del record[name]
    return record


def event_of(row: StatusEvent, said: SaidOrder | None = None) -> Event:
    """Return an event as the resolution rule needs it; ``said`` is that of `Declaration`."""
    match _KINDS[row.kind]:
        case EventKind.DECLARATION:
            return _declaration(row, said)
        case EventKind.CONFIRMATION:
            if row.confirmed_at is None:
                raise ValueError(f"the confirmation {row.id} has no instant")
            return Confirmation(
                id=row.id,
                recorded_at=row.recorded_at,
                sides=_sides_of(tuple(row.sides)),
                confirmed_at=row.confirmed_at,
                scope=_scope(row),
            )
        case EventKind.RETRACTION:
            if row.retracts is None:
                raise ValueError(f"the retraction {row.id} has no target")
            return EventRetraction(id=row.id, recorded_at=row.recorded_at, retracts=row.retracts)


def _declaration(row: StatusEvent, said: SaidOrder | None) -> Declaration:
    effective = row.effective
    if effective is None or effective.lower is None or not row.status or not row.certainty:
        raise ValueError(f"the declaration {row.id} is not whole")
    return Declaration(
        id=row.id,
        recorded_at=row.recorded_at,
        sides=_sides_of(tuple(row.sides)),
        status=_STATUSES[row.status],
        start=effective.lower,
        end=effective.upper,
        expected_until=row.expected_until,
        scope=_scope(row),
        certainty=_CERTAINTIES[row.certainty],
        announced_at=row.announced_at,
        supersedes=row.supersedes,
        said=said,
        terms=_terms(row),
    )


def _terms(row: StatusEvent) -> Terms:
    if not row.exceptions and row.max_weight_kg is None and row.max_height_m is None:
        return NO_TERMS
    exceptions = tuple(
        ExceptedGroup(ExceptionCode(str(exception["code"])), cast("str | None", exception["text"]))
        for exception in row.exceptions or ()
    )
    return Terms(exceptions, Limits(row.max_weight_kg, row.max_height_m))


def _scope(row: StatusEvent) -> Scope:
    return _scope_of(None if row.traffic is None else tuple(row.traffic), row.to)


# There are few different ones, which thousands of events share.


@shared("scopes", most=1_000, entry_bytes=1_000)
def _scope_of(traffic: tuple[str, ...] | None, to: str | None) -> Scope:
    return Scope(None if traffic is None else frozenset(Traffic(name) for name in traffic), to)


@shared("sides", most=1_000, entry_bytes=500)
def _sides_of(sides: tuple[str, ...]) -> frozenset[str]:
    return frozenset(sides)


def event_is_active(known_change: int) -> ColumnElement[bool]:
    """Return the condition that an event was neither superseded nor retracted, as known."""
    return (StatusEvent.kind != EventKind.RETRACTION.value) & ~undone(known_change)


def undone(known_change: int) -> ColumnElement[bool]:
    """Return the condition that an event was superseded or retracted, as known."""
    later = aliased(StatusEvent)
    undoes = or_(later.supersedes == StatusEvent.id, later.retracts == StatusEvent.id)
    return exists().where(undoes, later.change <= known_change)


def _undoing(ids: Sequence[UUID], known_change: int | None) -> Select[StatusEvent]:
    rows = select(StatusEvent).where(
        StatusEvent.supersedes.in_(ids) | StatusEvent.retracts.in_(ids)
    )
    return rows if known_change is None else rows.where(StatusEvent.change <= known_change)


async def _points(
    session: AsyncSession, crossings: Collection[str], known_change: int | None
) -> dict[str, Point]:
    """Return the locations of the crossings that have one, as known."""
    version = CrossingVersion
    rows = (
        select(version.crossing_id, version.lat, version.lon)
        .ext(distinct_on(version.crossing_id))
        .where(version.crossing_id.in_(crossings))
        .order_by(version.crossing_id, version.change.desc())
    )
    if known_change is not None:
        rows = rows.where(version.change <= known_change)
    return {
        row.crossing_id: Point(row.lat, row.lon)
        for row in await session.execute(rows)
        if row.lat is not None
    }


def _time_zone(row: StatusEvent, near: Point | None) -> str:
    zones = [zone_of(side, near) for side in row.sides]
    start = None if row.effective is None else row.effective.lower
    return (zones[0] if start is None else day_zone(start, zones)).key


def _period_out(effective: Range[datetime] | None) -> dict[str, datetime | None] | None:
    if effective is None:
        return None
    return {"from": utc(effective.lower), "until": utc(effective.upper)}
