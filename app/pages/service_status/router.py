"""HTTP of the page about the service itself."""

from fastapi import Request, Response

from app.database.sessions import transaction
from app.http.routing import hidden_router
from app.pages.rendering import CurrentReader, page
from app.pages.service_status.reading import read_service_status

router = hidden_router()


@router.get("/status")
async def status(request: Request, reader: CurrentReader, *, refresh: bool = True) -> Response:
    """Show the state of the service. The page reloads itself unless ``refresh`` is false."""
    state = request.app.state
    service = await read_service_status(
        reader.board, state.updater, state.writability, transaction(request)
    )
    response = page(reader, "service_status.html", service=service, refresh=refresh)
    response.headers["Cache-Control"] = "no-store"
    return response
