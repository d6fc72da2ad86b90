"""The entry point of the API, at `/v1`: its collections, feeds and documentation."""

from fastapi import Request

from app.http.bodies import Body
from app.http.origin import origin_of
from app.http.problems import responses
from app.http.routing import feature_router

router = feature_router(prefix="/v1", tag="collections")


class Collection(Body):
    """A list of the API: its name, its address, and what is in it."""

    name: str
    url: str
    about: str


class Collections(Body):
    """Every list of the API, the feeds for other software, and the documentation."""

    collections: list[Collection]
    feeds: list[Collection]
    openapi: str
    docs: str


_ABOUT = {
    "crossings": "Border crossing points and their present status; each has its timeline.",
    "borders": "Pairs of countries: counts by status, notices in force, what is not covered.",
    "countries": "Countries by name, and their borders.",
    "events": "The log of status events, the newest first.",
    "notices": "Cited facts that are not a status.",
    "incidents": "Stories: decisions and notices grouped together.",
    "sources": "Where facts come from, and what was taken from each source.",
    "feeds": "The feeds of agencies that waits are imported from, and how that went.",
    "changes": "Every committed change, numbered and hash-chained; also as a stream.",
    "subscriptions": "Webhooks; a key with the scope `subscriptions:write` manages its own.",
}
_FEEDS = {
    "events.atom": "The newest statements, and what changed by time alone.",
    "closures.ics": "Planned and past closures and restrictions.",
    "crossings.geojson": "Every crossing with its present status.",
    "events.ndjson": "The whole log of status events.",
    "events.csv": "The same as a table.",
    "events.xlsx": "The same as a workbook.",
    "timelines.ndjson": "Every period of every crossing.",
    "timelines.csv": "The same as a table.",
    "timelines.xlsx": "The same as a workbook.",
    "statistics.csv": "Time by status, closures and waits of every crossing.",
    "statistics.xlsx": "The same as a workbook.",
}


@router.get("", summary="List the collections", responses=responses())
async def list_collections(request: Request) -> Collections:
    """List the collections of the API."""
    origin = origin_of(request)
    return Collections(
        collections=[
            Collection(name=name, url=f"{origin}/v1/{name}", about=about)
            for name, about in _ABOUT.items()
        ],
        feeds=[
            Collection(name=name, url=f"{origin}/feeds/{name}", about=about)
            for name, about in _FEEDS.items()
        ],
        openapi=f"{origin}/openapi.json",
        docs=f"{origin}/docs",
    )
