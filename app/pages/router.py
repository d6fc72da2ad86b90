"""HTTP of the pages: the routers of all areas, the about page, and assets."""

from typing import Annotated

from fastapi import Path, Request, Response

from app.errors import NotFound, clipped
from app.http.negotiation import accepts_gzip
from app.http.routing import hidden_router
from app.languages.languages import ENGLISH, LANGUAGES
from app.pages.alerts.router import router as alerts
from app.pages.assets import ASSETS, VERSION
from app.pages.borders.router import router as borders
from app.pages.crossings.router import router as crossings
from app.pages.data.router import router as data
from app.pages.discovery.router import router as discovery
from app.pages.embeds.router import router as embeds
from app.pages.map.router import router as map_router
from app.pages.rendering import CurrentReader, page, render
from app.pages.report.router import router as report
from app.pages.service_status.router import router as service_status
from app.pages.stories.router import router as stories
from app.pages.trip.router import router as trip
from app.vocabulary import Status

router = hidden_router()
routers = (
    *(map_router, crossings, borders, stories, service_status, report),
    *(discovery, embeds, trip, data, alerts, router),
)

_IMMUTABLE = "public, max-age=31536000, immutable"
_ONE_DAY = "public, max-age=86400"


@router.get("/about")
async def show_about(reader: CurrentReader) -> Response:
    """Explain what statuses mean, how they are resolved, and what is not covered."""
    return page(reader, "about.html")


@router.get("/static/{version}/{name:path}")
async def get_asset(request: Request, version: str, name: str) -> Response:
    """Return an asset. An address of another version gets the present one, and is not cached."""
    asset = ASSETS.get(name)
    if asset is None:
        raise NotFound(f"There is nothing at {clipped(request.url.path)}.")
    control = _IMMUTABLE if version == VERSION else "no-cache"
    headers = {
        "Cache-Control": control,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.gzip, headers=headers, media_type=asset.media_type)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


@router.get("/favicon/{status}.svg")
async def get_favicon(status: Annotated[Status, Path()]) -> Response:
    """Return the mark of a status as an icon."""
    body = render(LANGUAGES[ENGLISH], "favicon.svg", status=status)
    return Response(body, headers={"Cache-Control": _ONE_DAY}, media_type="image/svg+xml")


@router.get("/favicon.ico")
async def get_default_favicon() -> Response:
    """Return the icon that browsers request when a page names none."""
    return await get_favicon(Status.UNKNOWN)
