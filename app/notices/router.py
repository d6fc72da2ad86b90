"""HTTP of notices and incidents."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from app.access.writing import IdempotentWriter, writes
from app.changes.ids import seed_id
from app.database.sessions import Session
from app.errors import (
    CrossingRetired,
    NotCorrectable,
    NoticeNotFound,
    Superseded,
)
from app.http.bodies import BorderId, CountryCode, CrossingId, QueryInstant
from app.http.caching import ResponseCacheHeaders
from app.http.paging import Page, PageQuery, change_and_id
from app.http.problems import preview, responses
from app.http.routing import LONG_BODY, feature_router
from app.notices import reading, recording
from app.notices.reading import NoticeFilter
from app.notices.schemas import NoticeIn, NoticeOut, NoticePreview, NoticeRecorded
from app.sources.statements import RetractionIn
from app.vocabulary import KeyScope, NoticeKind

router = feature_router(prefix="/v1/notices", tag="notices")

_NOTICE = str(seed_id("notice/wagner-4500-near-borders", "notice"))
SEEDED_INCIDENT = str(seed_id("incident/two-of-six-2023", "incident"))
_SOURCE = str(seed_id("source/article", "source"))
NoticeId = Annotated[UUID, Path(description="A notice's id.", examples=[_NOTICE])]
QuerySource = Annotated[
    UUID | None, Query(description="Only those that cite this source.", examples=[_SOURCE])
]
NoticeWriter = Annotated[IdempotentWriter, writes(KeyScope.NOTICES, body_bytes=LONG_BODY)]


def _notice_filter(
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
        UUID | None, Query(description="Only notices of this incident.", examples=[SEEDED_INCIDENT])
    ] = None,
    source: QuerySource = None,
    in_force_at: Annotated[
        QueryInstant | None,
        Query(
            description="Only notices in force at this instant, as known now.",
            examples=["2023-09-01T00:00:00Z"],
        ),
    ] = None,
) -> NoticeFilter:
    return NoticeFilter(kind, country, border, crossing, incident, source, in_force_at)


@router.get("", summary="List notices", responses=responses())
async def list_notices(
    session: Session,
    cache_headers: ResponseCacheHeaders,
    pagination: PageQuery,
    notice_filter: Annotated[NoticeFilter, Depends(_notice_filter)],
) -> Page[NoticeOut]:
    """Return notices, the newest first, corrected and withdrawn ones included."""
    notices, snapshot = await reading.list_notices(
        session,
        notice_filter=notice_filter,
        after=pagination.start(change_and_id),
        limit=pagination.limit + 1,
    )
    cache_headers.set_change(snapshot.change)
    return pagination.page(notices, lambda notice: (str(notice.change), str(notice.id)))


@router.get("/{notice_id}", summary="Get a notice", responses=responses(NoticeNotFound))
async def get_notice(
    session: Session, cache_headers: ResponseCacheHeaders, notice_id: NoticeId
) -> NoticeOut:
    """Return a notice, the notices that contradict it, and what became of it."""
    body, snapshot = await reading.get_notice(session, notice_id)
    cache_headers.set_change(snapshot.change)
    return body


@router.post(
    "",
    summary="Record or correct a notice",
    status_code=201,
    response_model=NoticeRecorded,
    responses=responses(Superseded, NotCorrectable, CrossingRetired) | preview(NoticePreview),
)
async def post_notice(notice: NoticeIn, writer: NoticeWriter) -> Response:
    """Record a cited fact that is not a status, or correct one that is recorded."""
    return await writer.run(notice, partial(recording.record_notice, notice=notice))


@router.post(
    "/{notice_id}/retraction",
    summary="Withdraw a notice",
    status_code=201,
    response_model=NoticeRecorded,
    responses=responses(NoticeNotFound, Superseded) | preview(NoticePreview),
)
async def post_notice_retraction(
    notice_id: NoticeId, retraction: RetractionIn, writer: NoticeWriter
) -> Response:
    """Withdraw a notice that should not have been recorded. It stays in the log, retracted."""
    return await writer.run(
        retraction,
        partial(recording.retract_notice, notice_id=notice_id, retraction=retraction),
    )
