"""HTTP of the pages: what each area gives, and what belongs to all of them."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from app.errors import NotFound, clipped
from app.http.negotiation import accepts_gzip
from app.languages.languages import ENGLISH, LANGUAGES
from app.pages.assets import ASSETS, VERSION
from app.pages.borders.router import router as borders
from app.pages.crossings.router import router as crossings
from app.pages.map.router import router as map_router
from app.pages.rendering import CurrentReader, page, render
from app.pages.report.router import router as report
from app.pages.service_status.router import router as state
from app.pages.stories.router import router as stories
from app.vocabulary import Status

router = APIRouter(include_in_schema=False)
for area in (map_router, crossings, borders, stories, state, report):
    router.include_router(area)

_FOR_GOOD = "public, max-age=31536000, immutable"
_FOR_A_DAY = "public, max-age=86400"


@router.get("/about")
async def about(reader: CurrentReader) -> Response:
    """Say what statuses mean, how we resolve, and what we do not cover."""
    return page(reader, "about.html")


@router.get("/static/{version}/{name:path}")
async def asset(request: Request, version: str, name: str) -> Response:
    """Give an asset. Under another version's address, which is not to be kept, the present one."""
    found = ASSETS.get(name)
    if found is None:
        raise NotFound(f"There is nothing at {clipped(request.url.path)}.")
    control = _FOR_GOOD if version == VERSION else "no-cache"
    headers = {
        "Cache-Control": control,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(found.gzip, headers=headers, media_type=found.media_type)
    return Response(found.body, headers=headers, media_type=found.media_type)


@router.get("/favicon/{status}.svg")
async def favicon(status: Annotated[Status, Path()]) -> Response:
    """Give the mark of a status as an icon."""
    body = render(LANGUAGES[ENGLISH], "favicon.svg", status=status)
    return Response(body, headers={"Cache-Control": _FOR_A_DAY}, media_type="image/svg+xml")


@router.get("/favicon.ico")
async def default_favicon() -> Response:
    """Give the icon that browsers ask for where a page names none."""
    return await favicon(Status.UNKNOWN)
