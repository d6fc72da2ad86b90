"""HTTP of the pages that other sites show in a frame: no script, only the answer and a link."""

from typing import Annotated

from fastapi import Path, Response

from app.changes.read_sessions import AnyReadSessions
from app.http.bodies import BorderId, CrossingId
from app.http.documentation.docs import POLICY
from app.http.parameters import AsOf
from app.http.routing import hidden_router
from app.pages.borders.answers import border_from_board, border_from_database
from app.pages.crossings.answers import present_crossing
from app.pages.page_cache import cached
from app.pages.rendering import CurrentReader, VehicleQuery, page

router = hidden_router(prefix="/embed")

RELOADED_SECONDS = 60
"""A frame loads itself anew this often, since it has no script to follow changes."""
_HEADERS = {
    "Content-Security-Policy": POLICY.replace("frame-ancestors 'none'", "frame-ancestors *"),
    "Cross-Origin-Resource-Policy": "cross-origin",
}


@router.get("/borders/{border_id}")
@cached
async def embed_border(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    border_id: Annotated[BorderId, Path()],
    vehicle: VehicleQuery,
) -> Response:
    """Show the present status of each crossing of a border, for the site that frames it."""
    answer = border_from_board(reader.board, border_id, vehicle, retired=False)
    if answer is None:
        answer = await border_from_database(
            read_sessions,
            border_id=border_id,
            at=None,
            as_of=AsOf(),
            vehicle=vehicle,
            retired=False,
        )
    response = page(
        reader,
        "embed_border.html",
        validity=answer.validity,
        border=answer.border,
        clocks=answer.clocks,
        now=reader.moment.now if reader.board.is_loaded else None,
        vehicle=vehicle,
        seconds=RELOADED_SECONDS,
    )
    response.headers.update(_HEADERS)
    return response


@router.get("/{crossing_id}")
@cached
async def embed_crossing(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    crossing_id: Annotated[CrossingId, Path()],
    vehicle: VehicleQuery,
) -> Response:
    """Show the present status of a crossing, for the site that frames it."""
    answer = await present_crossing(reader.board, read_sessions, crossing_id, vehicle)
    response = page(
        reader,
        "embed_crossing.html",
        validity=answer.validity,
        answer=answer,
        clocks=answer.clocks,
        now=answer.instant,
        seconds=RELOADED_SECONDS,
    )
    response.headers.update(_HEADERS)
    return response
