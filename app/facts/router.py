"""HTTP of sources."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from app.access.writing import IdempotentWriter, writes
from app.changes.ids import seed_id
from app.changes.read_sessions import HistorySession
from app.database.sessions import Session
from app.errors import HistoryOverloaded, SourceNotFound
from app.facts import reading as facts
from app.facts.schemas import FactOut, SourceDetail
from app.http.bodies import STORED
from app.http.caching import ResponseCacheHeaders
from app.http.paging import LongPageQuery, Page, PageQuery, change_and_id, number
from app.http.problems import preview, responses
from app.http.routing import feature_router
from app.sources import service
from app.sources.schemas import SourceIn, SourceOut, SourcePreview
from app.vocabulary import KeyScope

router = feature_router(prefix="/v1/sources", tag="sources")

_ARTICLE = str(seed_id("source/article", "source"))
SourceId = Annotated[UUID, Path(description="A source's id.", examples=[_ARTICLE])]


@router.get("", summary="List sources", responses=responses())
async def list_sources(session: Session, pagination: PageQuery) -> Page[SourceOut]:
    """List where facts come from, the newest first."""
    return pagination.page(
        await service.list_sources(
            session, after=pagination.start(change_and_id), limit=pagination.limit + 1
        ),
        lambda source: (str(source.change), str(source.id)),
    )


@router.get(
    "/{source_id}", summary="Get a source", responses=responses(HistoryOverloaded, SourceNotFound)
)
async def get_source(
    session: HistorySession,
    cache_headers: ResponseCacheHeaders,
    pagination: LongPageQuery,
    source_id: SourceId,
) -> SourceDetail:
    """Return a source with the facts that were taken from it."""
    source, rows, more, snapshot = await facts.get_source_facts(
        session, source_id, after=pagination.start(number), limit=pagination.limit
    )
    cache_headers.set_change(snapshot.change)
    page = pagination.part(rows, lambda fact: (str(fact[0]),), more=more)
    facts_page: Page[FactOut] = Page(items=[fact for _, fact in page.items], next=page.next)
    return SourceDetail.model_validate({**dict(source), "facts": facts_page}, context=STORED)


@router.post(
    "",
    summary="Record a source",
    status_code=201,
    response_model=SourceOut,
    responses=responses() | preview(SourcePreview),
)
async def post_source(
    source: SourceIn, writer: Annotated[IdempotentWriter, writes(KeyScope.EVENTS)]
) -> Response:
    """Record a source, to be cited by its id. Sources never change."""
    return await writer.run(source, partial(service.record_source, source=source))
