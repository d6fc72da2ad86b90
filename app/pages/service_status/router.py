"""HTTP of the page about the service itself."""

from fastapi import APIRouter, Request, Response

from app.database.sessions import transaction
from app.pages.rendering import CurrentReader, page
from app.pages.service_status.reading import read_service_status

router = APIRouter()


@router.get("/status")
async def status(request: Request, reader: CurrentReader, *, refresh: bool = True) -> Response:
    """Return the state of the service; the page reloads itself unless asked not to."""
    parts = request.app.state
    state = await read_service_status(
        reader.board, parts.updater, parts.writability, transaction(request)
    )
    response = page(reader, "state.html", state=state, refresh=refresh)
    response.headers["Cache-Control"] = "no-store"
    return response
