"""HTTP of the page about the data."""

from datetime import UTC, datetime

from fastapi import Response

from app.http.routing import hidden_router
from app.pages.data.downloads import DOWNLOADS, TABLES
from app.pages.discovery.linked_data import DESCRIPTION, dataset
from app.pages.rendering import CurrentReader, page

router = hidden_router()


@router.get("/data")
async def show_data(reader: CurrentReader) -> Response:
    """List all downloads, with their columns, their licence and how to cite them."""
    board = reader.board
    return page(
        reader,
        "data.html",
        downloads=DOWNLOADS,
        tables=TABLES,
        change=board.change if board.is_loaded else None,
        today=(reader.moment.now if board.is_loaded else datetime.now(UTC)).astimezone(UTC).date(),
        linked_data=[dataset(reader, "Crossing Status", reader.words.translate(DESCRIPTION))],
    )
