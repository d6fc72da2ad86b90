"""HTTP of the change log."""

from typing import Annotated

from fastapi import Query, Request, Response

from app.changes import service
from app.changes.schemas import ChangeOut, ChangePage
from app.database.sessions import Session
from app.http.paging import MAX_LIMIT
from app.http.problems import responses
from app.http.routing import feature_router

router = feature_router(prefix="/v1/changes", tag="changes")


@router.get("", summary="Follow every change", responses=responses())
async def list_changes(
    session: Session,
    request: Request,
    response: Response,
    after: Annotated[int, Query(ge=0, le=2**62, description="The last change seen.")] = 0,
    limit: Annotated[int, Query(ge=1)] = 50,
) -> ChangePage:
    """Return every committed change in order: whoever pages by number misses none."""
    found = await service.changes_after(session, after, min(limit, MAX_LIMIT))
    last = found[-1].number if found else after
    address = str(request.url.include_query_params(after=last))
    response.headers["Link"] = f'<{address}>; rel="next"'
    items = [
        ChangeOut.model_validate(service.record_of(change) | {"hash": change.hash.hex()})
        for change in found
    ]
    return ChangePage(items=items, next=address)
