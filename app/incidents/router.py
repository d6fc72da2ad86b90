"""HTTP of incidents."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from app.changes.read_sessions import HistorySession
from app.database.sessions import Session
from app.errors import HistoryOverloaded, IncidentNotFound, Superseded
from app.http.bodies import STORED, BorderId, CountryCode, CrossingId
from app.http.caching import ResponseCacheHeaders
from app.http.paging import LongPageQuery, Page, PageQuery, change_and_id, instant_change_and_id
from app.http.problems import preview, responses
from app.http.routing import feature_router
from app.incidents import reading, recording
from app.incidents.schemas import (
    IncidentDetail,
    IncidentIn,
    IncidentOut,
    IncidentPreview,
    IncidentRecorded,
)
from app.notices.router import SEEDED_INCIDENT, NoticeWriter, QuerySource
from app.sources.statements import RetractionIn

router = feature_router(prefix="/v1/incidents", tag="incidents")


IncidentId = Annotated[UUID, Path(description="An incident's id.", examples=[SEEDED_INCIDENT])]


@router.get("", summary="List incidents", responses=responses())
async def list_incidents(
    session: Session,
    cache_headers: ResponseCacheHeaders,
    pagination: PageQuery,
    country: Annotated[CountryCode | None, Query()] = None,
    border: Annotated[BorderId | None, Query()] = None,
    crossing: Annotated[CrossingId | None, Query()] = None,
    source: QuerySource = None,
) -> Page[IncidentOut]:
    """List incidents, the newest first. A place has those with a decision or notice about it."""
    incidents, snapshot = await reading.list_incidents(
        session,
        country=country,
        border=border,
        crossing=crossing,
        source=source,
        after=pagination.start(change_and_id),
        limit=pagination.limit + 1,
    )
    cache_headers.set_change(snapshot.change)
    return pagination.page(incidents, lambda incident: (str(incident.change), str(incident.id)))


@router.get(
    "/{incident_id}",
    summary="Get an incident and its story",
    responses=responses(HistoryOverloaded, IncidentNotFound),
)
async def get_incident(
    session: HistorySession,
    cache_headers: ResponseCacheHeaders,
    pagination: LongPageQuery,
    incident_id: IncidentId,
) -> IncidentDetail:
    """Return an incident and its story: decisions and notices in the order of time."""
    body, snapshot = await reading.get_incident(session, incident_id)
    story, more = await reading.story_of(
        session,
        incident_id,
        snapshot=snapshot,
        after=pagination.start(instant_change_and_id),
        limit=pagination.limit,
    )
    cache_headers.set_change(snapshot.change)
    return IncidentDetail.model_validate(
        {**dict(body), "timeline": pagination.part(story, reading.story_cursor, more=more)},
        context=STORED,
    )


@router.post(
    "",
    summary="Record or correct an incident",
    status_code=201,
    response_model=IncidentRecorded,
    responses=responses(Superseded) | preview(IncidentPreview),
)
async def post_incident(incident: IncidentIn, writer: NoticeWriter) -> Response:
    """Record a story; decisions and notices then join it by naming it as their `incident`."""
    return await writer.run(incident, partial(recording.record_incident, incident=incident))


@router.post(
    "/{incident_id}/retraction",
    summary="Withdraw an incident",
    status_code=201,
    response_model=IncidentRecorded,
    responses=responses(IncidentNotFound, Superseded) | preview(IncidentPreview),
)
async def post_incident_retraction(
    incident_id: IncidentId, retraction: RetractionIn, writer: NoticeWriter
) -> Response:
    """Withdraw an incident. It stays in the log, retracted; what had joined it stays too."""
    return await writer.run(
        retraction,
        partial(recording.retract_incident, incident_id=incident_id, retraction=retraction),
    )
