"""HTTP of the pages about a border."""

from typing import Annotated

from fastapi import Path, Response

from app.changes.read_sessions import AnyReadSessions
from app.http.bodies import BorderId
from app.http.problems import unless_out
from app.http.routing import hidden_router
from app.pages.borders.answers import (
    border_figures,
    border_from_board,
    border_from_database,
    by_name,
)
from app.pages.discovery.linked_data import breadcrumbs
from app.pages.page_cache import cached
from app.pages.rendering import (
    CurrentReader,
    OptionalQuery,
    PageInstant,
    PageKnowledge,
    PageReader,
    VehicleQuery,
    page,
)
from app.pages.statistics.shares import parts_of
from app.vocabulary import Traffic

router = hidden_router()


@router.get("/borders/{border_id}")
@cached
async def border(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    border_id: Annotated[BorderId, Path()],
    as_of: PageKnowledge,
    vehicle: VehicleQuery,
    at: PageInstant = None,
    retired: OptionalQuery[bool] = None,
) -> Response:
    """Show a border's crossings with their statuses, its notices, and what is not covered."""
    is_present = as_of.is_present(at)
    with_retired = bool(retired)
    answer = None
    if is_present:
        answer = border_from_board(reader.board, border_id, vehicle, retired=with_retired)
    loading = border_from_database(
        read_sessions,
        border_id=border_id,
        at=at,
        as_of=as_of,
        vehicle=vehicle,
        retired=with_retired,
    )
    if answer is None:
        answer = await loading
    else:
        answer = answer.with_notices_of(await unless_out(loading))
    figures = None
    if is_present:
        figures = await unless_out(border_figures(read_sessions, answer, vehicle))
    return page(
        reader,
        "border.html",
        validity=answer.validity if is_present else None,
        border=answer.border,
        clocks=answer.clocks,
        vehicle=vehicle,
        traffic=list(Traffic),
        plans=answer.plans,
        figures=figures and by_name(answer, figures, reader.words),
        parts_of=parts_of,
        now=reader.moment.now if is_present else None,
        sources=answer.sources,
        is_present=is_present,
        at=at,
        knowledge=as_of,
        linked_data=[breadcrumbs(reader, _way_to(reader, answer.border.id))],
    )


def _way_to(reader: PageReader, border_id: str) -> list[tuple[str, str]]:
    words = reader.words
    home = (words.translate("Border crossings"), "/")
    return [home, (words.border(border_id), f"/borders/{border_id}")]
