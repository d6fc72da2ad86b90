"""HTTP of imported feeds."""

from app.database.sessions import Session
from app.http.paging import Page, PageQuery, slug
from app.http.problems import responses
from app.http.routing import feature_router
from app.importers import reading
from app.importers.schemas import FeedOut

router = feature_router(prefix="/v1/feeds", tag="observations")


@router.get("", summary="List imported feeds", responses=responses())
async def list_feeds(session: Session, pagination: PageQuery) -> Page[FeedOut]:
    """List the feeds of waits that can be imported, and how the last import of each went."""
    rows = await reading.list_feeds(
        session, after=pagination.start(slug), limit=pagination.limit + 1
    )
    return pagination.page(rows, lambda one: (one.name,))
