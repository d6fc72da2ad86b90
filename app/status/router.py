"""HTTP of statuses and of their log."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from app.access.writing import IdempotentWriter, writes
from app.changes.ids import seed_id
from app.changes.read_sessions import AnyReadSessions
from app.database.sessions import Session
from app.errors import (
    CrossingNotFound,
    CrossingRetired,
    EventNotFound,
    HistoryOverloaded,
    LaneNotFound,
    NotCorrectable,
    NotRetractable,
    Superseded,
)
from app.http.bodies import CountryCode, CrossingId, QueryInstant
from app.http.caching import ResponseCacheHeaders
from app.http.paging import Page, PageQuery, change_and_id, instant
from app.http.parameters import AsOfQuery, At
from app.http.problems import preview, responses
from app.http.routing import LONG_BODY, WHOLE_BODY, feature_router
from app.sources.statements import RetractionIn
from app.status import log, reading, recording
from app.status.parameters import TravellerQuery
from app.status.schemas import (
    ConfirmationIn,
    ConfirmationsIn,
    DecisionIn,
    DecisionOut,
    DecisionPreview,
    EventOut,
    StatusOut,
    TimelinePeriodOut,
)
from app.vocabulary import EventKind, KeyScope, Traffic

router = feature_router(prefix="/v1", tag="status")

CrossingPath = Annotated[CrossingId, Path()]
_CLOSING = str(seed_id("record/two-closed-2023-08-18", "sumskas-losa"))
EventPath = Annotated[UUID, Path(description="A status event's id.", examples=[_CLOSING])]
LaneTraffic = Annotated[
    Traffic | None, Query(description="Only lanes of this traffic.", examples=["car"])
]
LaneTo = Annotated[
    CountryCode | None, Query(description="Only lanes entering this country.", examples=["LT"])
]
EventWriter = Annotated[IdempotentWriter, writes(KeyScope.EVENTS)]
DecisionWriter = Annotated[IdempotentWriter, writes(KeyScope.EVENTS, body_bytes=LONG_BODY)]
BatchWriter = Annotated[IdempotentWriter, writes(KeyScope.EVENTS, body_bytes=WHOLE_BODY)]


@router.get(
    "/crossings/{crossing_id}/status",
    summary="Get a crossing's status",
    responses=responses(HistoryOverloaded, CrossingNotFound, LaneNotFound),
)
async def get_status(
    read_sessions: AnyReadSessions,
    cache_headers: ResponseCacheHeaders,
    crossing_id: CrossingPath,
    as_of: AsOfQuery,
    traveller: TravellerQuery,
    at: At = None,
    traffic: LaneTraffic = None,
    to: LaneTo = None,
) -> StatusOut:
    """Return a crossing's status now: for whom it is open, since when, until when, and who says so.

    `traffic` and `to` narrow it to a vehicle and a direction. `at` asks about another instant, and
    `known_at` or `known_change` about what was known then. With `as`, `citizen_of`, `empty`,
    `weight_kg` or `height_m` it is the status for that traveller.
    """
    async with read_sessions.for_question(at, as_of) as session:
        body, snapshot, validity = await reading.get_status(
            session,
            crossing_id=crossing_id,
            at=at,
            as_of=as_of,
            traffic=traffic,
            to=to,
            traveller=traveller,
        )
    cache_headers.tell(at=at, as_of=as_of, **snapshot.freshness(), validity=validity)
    return body


@router.get(
    "/crossings/{crossing_id}/timeline",
    summary="Get a crossing's timeline",
    responses=responses(HistoryOverloaded, CrossingNotFound, LaneNotFound),
)
async def get_timeline(
    read_sessions: AnyReadSessions,
    cache_headers: ResponseCacheHeaders,
    pagination: PageQuery,
    crossing_id: CrossingPath,
    as_of: AsOfQuery,
    traffic: LaneTraffic = None,
    to: LaneTo = None,
    start: Annotated[
        QueryInstant | None,
        Query(description="Leave out what lies before.", examples=["2023-08-01T00:00:00Z"]),
    ] = None,
    end: Annotated[
        QueryInstant | None,
        Query(description="Leave out what lies after.", examples=["2025-12-01T00:00:00Z"]),
    ] = None,
    hours: Annotated[
        bool,
        Query(description="Include regular hours; `start` and `end` at most 366 days apart."),
    ] = False,
) -> Page[TimelinePeriodOut]:
    """Return the crossing's history and announced future as periods, the oldest first."""
    after = pagination.start(instant)
    async with read_sessions.history(as_of) as session:
        periods, snapshot = await reading.get_timeline(
            session,
            crossing_id=crossing_id,
            as_of=as_of,
            traffic=traffic,
            to=to,
            start=start,
            end=end,
            after=after,
            limit=pagination.limit + 1,
            hours=hours,
        )
    cache_headers.set_change(snapshot.change)
    # All pages are answered as known at the same change; a write in between must not shift them.
    pinned = {} if as_of.known_at else {"known_change": str(snapshot.change)}
    return pagination.page(periods, lambda one: (str(one.until),), **pinned)


@router.get(
    "/crossings/{crossing_id}/events",
    summary="List a crossing's status events",
    responses=responses(CrossingNotFound),
)
async def list_crossing_events(
    session: Session, crossing_id: CrossingPath, pagination: PageQuery
) -> Page[EventOut]:
    """Return the crossing's log, the newest first."""
    events = await log.list_crossing_events(
        session,
        crossing_id=crossing_id,
        after=pagination.start(change_and_id),
        limit=pagination.limit + 1,
    )
    return pagination.page(events, _cursor_key)


@router.get("/events", summary="List status events", responses=responses())
async def list_events(
    session: Session,
    pagination: PageQuery,
    crossing: Annotated[CrossingId | None, Query()] = None,
    decision: Annotated[UUID | None, Query(description="The events of one request.")] = None,
    kind: Annotated[EventKind | None, Query()] = None,
) -> Page[EventOut]:
    """Return the log of status events, the newest first."""
    events = await log.list_events(
        session,
        crossing=crossing,
        decision=decision,
        kind=kind,
        after=pagination.start(change_and_id),
        limit=pagination.limit + 1,
    )
    return pagination.page(events, _cursor_key)


@router.get("/events/{event_id}", summary="Get a status event", responses=responses(EventNotFound))
async def get_event(session: Session, event_id: EventPath) -> EventOut:
    """Return one status event, and what became of it."""
    return await log.get_event(session, event_id)


@router.post(
    "/events",
    summary="Record a closure or other status",
    status_code=201,
    response_model=DecisionOut,
    responses=responses(Superseded, NotCorrectable, CrossingRetired) | preview(DecisionPreview),
)
async def post_event(decision: DecisionIn, writer: DecisionWriter) -> Response:
    """Declare a status for one or many crossings, all of them or none.

    The answer's `effect` tells what changes from now on: if it is empty, the declaration has
    no effect. With `supersedes` it corrects an earlier decision.
    """
    return await writer.run(decision, partial(recording.record_decision, decision=decision))


@router.post(
    "/events/{event_id}/retraction",
    summary="Withdraw a status event",
    status_code=201,
    response_model=DecisionOut,
    responses=responses(EventNotFound, Superseded, NotRetractable, CrossingRetired)
    | preview(DecisionPreview),
)
async def post_retraction(
    event_id: EventPath, retraction: RetractionIn, writer: EventWriter
) -> Response:
    """Withdraw an event that should not have been recorded. It stays in the log, retracted."""
    return await writer.run(
        retraction,
        partial(recording.retract_event, event_id=event_id, retraction=retraction),
    )


@router.post(
    "/crossings/{crossing_id}/confirmations",
    summary="Confirm a crossing's status",
    status_code=201,
    response_model=DecisionOut,
    responses=responses(CrossingNotFound, CrossingRetired) | preview(DecisionPreview),
)
async def post_confirmation(
    crossing_id: CrossingPath, confirmation: ConfirmationIn, writer: EventWriter
) -> Response:
    """Record that the source was checked again, and that what it says is still true."""
    return await writer.run(
        confirmation,
        partial(recording.confirm_crossing, crossing_id=crossing_id, confirmation=confirmation),
    )


@router.post(
    "/confirmations",
    summary="Confirm many crossings at once",
    status_code=201,
    response_model=DecisionOut,
    responses=responses(CrossingRetired) | preview(DecisionPreview),
)
async def post_confirmations(confirmations: ConfirmationsIn, writer: BatchWriter) -> Response:
    """Confirm up to 1,000 crossings as one change: their sources were checked again."""
    return await writer.run(
        confirmations, partial(recording.confirm_crossings, confirmations=confirmations)
    )


def _cursor_key(event: EventOut) -> tuple[str, str]:
    return str(event.change), str(event.id)
