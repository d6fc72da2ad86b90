"""HTTP of notices and incidents."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from app.access.writing import WRITE_PROBLEMS, IdempotentWriter, writes
from app.changes.ids import seed_id
from app.database.sessions import Session
from app.errors import (
    IncidentNotFound,
    NotCorrectable,
    NoticeNotFound,
    NotRetractable,
    Superseded,
)
from app.http.bodies import BorderId, CountryCode, CrossingId, QueryInstant
from app.http.caching import ResponseCacheHeaders
from app.http.paging import LongPageQuery, Page, PageQuery, change_and_id
from app.http.problems import preview, responses
from app.http.routing import feature_router
from app.incidents import reading as incidents
from app.incidents.schemas import (
    IncidentDetail,
    IncidentIn,
    IncidentOut,
    IncidentPreview,
    IncidentRecorded,
    StoryItem,
)
from app.notices import reading, recording
from app.notices.reading import NoticeFilter
from app.notices.schemas import NoticeIn, NoticeOut, NoticePreview, NoticeRecorded
from app.status.schemas import RetractionIn
from app.vocabulary import KeyScope, NoticeKind

notices_router = feature_router(prefix="/v1/notices", tag="notices")
incidents_router = feature_router(prefix="/v1/incidents", tag="incidents")

_NOTICE = str(seed_id("notice/wagner-4500-near-borders", "notice"))
_INCIDENT = str(seed_id("incident/two-of-six-2023", "incident"))
_SOURCE = str(seed_id("source/article", "source"))
NoticeId = Annotated[UUID, Path(description="A notice's id.", examples=[_NOTICE])]
IncidentId = Annotated[UUID, Path(description="An incident's id.", examples=[_INCIDENT])]
AskedSource = Annotated[
    UUID | None, Query(description="Only those that cite this source.", examples=[_SOURCE])
]
NoticeWriter = Annotated[IdempotentWriter, writes(KeyScope.NOTICES)]


def _asked(
    kind: Annotated[NoticeKind | None, Query(examples=["travel_advice"])] = None,
    country: Annotated[
        CountryCode | None,
        Query(description="About the country, or one of its borders or crossings."),
    ] = None,
    border: Annotated[
        BorderId | None,
        Query(description="About the border, one of its crossings, or either country."),
    ] = None,
    crossing: Annotated[
        CrossingId | None, Query(description="About the crossing, its border, or either country.")
    ] = None,
    incident: Annotated[
        UUID | None, Query(description="Only notices of this incident.", examples=[_INCIDENT])
    ] = None,
    source: AskedSource = None,
    in_force_at: Annotated[
        QueryInstant | None,
        Query(
            description="Only notices in force at this instant, as known now.",
            examples=["2023-09-01T00:00:00Z"],
        ),
    ] = None,
) -> NoticeFilter:
    return NoticeFilter(kind, country, border, crossing, incident, source, in_force_at)


@notices_router.get("", summary="List notices", responses=responses())
async def list_notices(
    session: Session,
    cache_headers: ResponseCacheHeaders,
    pagination: PageQuery,
    asked: Annotated[NoticeFilter, Depends(_asked)],
) -> Page[NoticeOut]:
    """Return notices, the newest first, corrected and withdrawn ones included."""
    found, knowledge = await reading.list_notices(
        session, asked=asked, after=pagination.start(change_and_id), limit=pagination.limit + 1
    )
    cache_headers.set_change(knowledge.change)
    return pagination.page(found, lambda notice: (str(notice.change), str(notice.id)))


@notices_router.get("/{notice_id}", summary="Get a notice", responses=responses(NoticeNotFound))
async def get_notice(
    session: Session, cache_headers: ResponseCacheHeaders, notice_id: NoticeId
) -> NoticeOut:
    """Return one notice, what says otherwise, and what became of it."""
    body, knowledge = await reading.get_notice(session, notice_id)
    cache_headers.set_change(knowledge.change)
    return body


@notices_router.post(
    "",
    summary="Record or correct a notice",
    status_code=201,
    response_model=NoticeRecorded,
    responses=responses(*WRITE_PROBLEMS, Superseded, NotCorrectable) | preview(NoticePreview),
)
async def post_notice(notice: NoticeIn, writer: NoticeWriter) -> Response:
    """Record a cited fact that is no status, or correct one that is recorded."""
    return await writer.once(notice, partial(recording.record_notice, notice=notice))


@notices_router.post(
    "/{notice_id}/retraction",
    summary="Withdraw a notice",
    status_code=201,
    response_model=NoticeRecorded,
    responses=responses(*WRITE_PROBLEMS, NoticeNotFound, Superseded, NotRetractable)
    | preview(NoticePreview),
)
async def post_notice_retraction(
    notice_id: NoticeId, retraction: RetractionIn, writer: NoticeWriter
) -> Response:
    """Withdraw a notice that should not have been recorded. It stays in the log, retracted."""
    return await writer.once(
        retraction,
        partial(recording.retract_notice, notice_id=notice_id, retraction=retraction),
    )


@incidents_router.get("", summary="List incidents", responses=responses())
async def list_incidents(
    session: Session,
    cache_headers: ResponseCacheHeaders,
    pagination: PageQuery,
    country: Annotated[CountryCode | None, Query()] = None,
    border: Annotated[BorderId | None, Query()] = None,
    crossing: Annotated[CrossingId | None, Query()] = None,
    source: AskedSource = None,
) -> Page[IncidentOut]:
    """Return incidents, the newest first; of a place where something that joined touches it."""
    found, knowledge = await incidents.list_incidents(
        session,
        country=country,
        border=border,
        crossing=crossing,
        source=source,
        after=pagination.start(change_and_id),
        limit=pagination.limit + 1,
    )
    cache_headers.set_change(knowledge.change)
    return pagination.page(found, lambda one: (str(one.change), str(one.id)))


@incidents_router.get(
    "/{incident_id}",
    summary="Get an incident with its story",
    responses=responses(IncidentNotFound),
)
async def get_incident(
    session: Session,
    cache_headers: ResponseCacheHeaders,
    pagination: LongPageQuery,
    incident_id: IncidentId,
) -> IncidentDetail:
    """Return an incident and its story: decisions and notices in the order of time."""
    body, knowledge = await incidents.get_incident(session, incident_id)
    story, more = await incidents.story_of(
        session,
        incident_id,
        snapshot=knowledge,
        after=pagination.start(incidents.story_position),
        limit=pagination.limit,
    )
    cache_headers.set_change(knowledge.change)
    return IncidentDetail(**dict(body), timeline=pagination.part(story, _name, more=more))


@incidents_router.post(
    "",
    summary="Record or correct an incident",
    status_code=201,
    response_model=IncidentRecorded,
    responses=responses(*WRITE_PROBLEMS, Superseded) | preview(IncidentPreview),
)
async def post_incident(incident: IncidentIn, writer: NoticeWriter) -> Response:
    """Record a story; decisions and notices then join it by naming it as their `incident`."""
    return await writer.once(incident, partial(recording.record_incident, incident=incident))


@incidents_router.post(
    "/{incident_id}/retraction",
    summary="Withdraw an incident",
    status_code=201,
    response_model=IncidentRecorded,
    responses=responses(*WRITE_PROBLEMS, IncidentNotFound, Superseded, NotRetractable)
    | preview(IncidentPreview),
)
async def post_incident_retraction(
    incident_id: IncidentId, retraction: RetractionIn, writer: NoticeWriter
) -> Response:
    """Withdraw an incident. It stays in the log, retracted; what had joined it stays too."""
    return await writer.once(
        retraction,
        partial(recording.retract_incident, incident_id=incident_id, retraction=retraction),
    )


def _name(item: StoryItem) -> tuple[str, str, str]:
    first = item.decision[0].decision if item.decision else None
    found = first or (item.notice and item.notice.id)
    return item.at.isoformat(), str(item.change), str(found)
