"""HTTP of the pages about a border."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.changes.history import AskedOpening, Opening
from app.http.bodies import BorderId
from app.http.parameters import AskedKnowledge, At, Knowledge
from app.http.problems import unless_out
from app.pages.borders.answers import Answer, look_up, present
from app.pages.kept import kept
from app.pages.rendering import AskedReader, page

router = APIRouter()


@router.get("/borders/{border_id}")
@kept
async def border(
    reader: AskedReader,
    opening: AskedOpening,
    border_id: Annotated[BorderId, Path()],
    knowledge: AskedKnowledge,
    at: At = None,
) -> Response:
    """Show a border's crossings with their statuses, what else holds, what is not covered."""
    is_present = at is None and knowledge == Knowledge()
    answer = present(reader.board, border_id) if is_present else None
    looking = _look_up(opening, border_id, at, knowledge)
    if answer is None:
        answer = await looking
    else:
        answer = answer.noted(await unless_out(looking))
    return page(
        reader,
        "border.html",
        validity=answer.validity if is_present else None,
        border=answer.border,
        clocks=answer.clocks,
        sources=answer.sources,
        is_present=is_present,
        at=at,
        knowledge=knowledge,
    )


async def _look_up(
    opening: Opening, border_id: str, at: datetime | None, knowledge: Knowledge
) -> Answer:
    async with opening.either(at, knowledge) as session:
        return await look_up(session, border_id=border_id, at=at, knowledge=knowledge)
