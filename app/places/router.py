"""HTTP of crossings and borders."""

from functools import partial
from typing import Annotated

from fastapi import Path, Query, Response

from app.access.writing import WRITE_PROBLEMS, Writer, writes
from app.database.sessions import Session
from app.errors import BorderNotFound, CrossingExists, CrossingNotFound
from app.http.bodies import BorderId, CountryCode, CrossingId
from app.http.paging import AskedTurn, Page, slug
from app.http.parameters import AskedKnowledge, At, tell_change
from app.http.problems import preview, responses
from app.http.routing import feature_router
from app.places import service
from app.places.answers import BorderOut, CrossingAlone, CrossingListed, CrossingPreview
from app.places.schemas import CrossingIn
from app.vocabulary import KeyScope, Mode, Status

router = feature_router(prefix="/v1", tag="crossings")
borders = feature_router(prefix="/v1/borders", tag="borders")


@router.get("/crossings", summary="List crossings with their status", responses=responses())
async def list_crossings(
    session: Session,
    response: Response,
    turn: AskedTurn,
    ids: Annotated[
        list[CrossingId],
        Query(
            alias="id",
            description="Only these; may be repeated.",
            max_length=200,
            default_factory=list,
        ),
    ],
    border: Annotated[BorderId | None, Query()] = None,
    country: Annotated[CountryCode | None, Query()] = None,
    status: Annotated[Status | None, Query(description="Only of this status now.")] = None,
    mode: Annotated[Mode | None, Query()] = None,
) -> Page[CrossingListed]:
    """List crossings with their status now, by id."""
    found, asked = await service.list_crossings(
        session,
        ids=ids,
        border=border,
        country=country,
        status=status,
        mode=mode,
        after=turn.start(slug),
        limit=turn.limit + 1,
    )
    tell_change(response, asked.change)
    return turn.page(found, lambda crossing: (crossing.id,))


@router.get(
    "/crossings/{crossing_id}", summary="Look at a crossing", responses=responses(CrossingNotFound)
)
async def get_crossing(
    session: Session, response: Response, crossing_id: Annotated[CrossingId, Path()]
) -> CrossingAlone:
    """Return a crossing: where it is, what it is authorised for, its whole status now."""
    body, asked = await service.get_crossing(session, crossing_id)
    tell_change(response, asked.change)
    return body


@router.post(
    "/crossings",
    summary="Add a crossing",
    status_code=201,
    response_model=CrossingAlone,
    responses=responses(*WRITE_PROBLEMS, CrossingExists) | preview(CrossingPreview),
)
async def post_crossing(
    crossing: CrossingIn, writer: Annotated[Writer, writes(KeyScope.ADMIN)]
) -> Response:
    """Add a crossing. Its border comes into being with the first."""
    return await writer.once(crossing, partial(service.add_crossing, crossing=crossing))


@borders.get("/{border_id}", summary="Look at a border", responses=responses(BorderNotFound))
async def get_border(
    session: Session,
    response: Response,
    border_id: Annotated[BorderId, Path()],
    knowledge: AskedKnowledge,
    at: At = None,
) -> BorderOut:
    """Return a border's crossings and how many are of each status, now or at an instant."""
    body, asked = await service.get_border_status(
        session, border_id=border_id, at=at, knowledge=knowledge
    )
    tell_change(response, asked.change)
    return body
