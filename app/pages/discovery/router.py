"""HTTP of `robots.txt`, the sitemap, and the manifest by which a phone installs the pages."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from app.changes.read_sessions import AnyReadSessions, ReadSessions
from app.http.documentation.docs import POLICY
from app.http.parameters import AsOf
from app.http.problems import unless_out
from app.http.routing import hidden_router
from app.incidents.reading import list_incidents
from app.languages.languages import ENGLISH, LANGUAGES
from app.pages.assets import VERSION, static
from app.pages.discovery.linked_data import DESCRIPTION
from app.pages.rendering import CurrentReader, PageReader, render

router = hidden_router()

MAX_ADDRESSES = 50_000
"""The most addresses that a sitemap may have (sitemaps.org)."""
ICON_SIZES = (192, 512)
THEME, GROUND = "#1a1c1e", "#f6f6f3"
"""The colours of the frame and of the ground, as in `pages.css`."""

_INCIDENTS_PER_READ = 200
_WORKER_SCRIPTS: Sequence[str] = (static("push-worker.js"),)
"""Paths of scripts that the service worker runs as well."""
_ONE_HOUR = "public, max-age=3600"
_ONE_DAY = "public, max-age=86400"
_PAGES = ("/", "/trip", "/incidents", "/about", "/data", "/sources", "/status")
_UNLISTED = ("/*?*at=", "/*?*known_change=", "/report", "/v1/", "/embed/")
"""What is not to be indexed: pages of the past, which `known_at` is one of, forms, and the API."""
_NAMESPACES = (
    'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml"'
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page in the sitemap, and when its content last changed, as far as that is known."""

    path: str
    modified: datetime | None = None


@router.get("/robots.txt")
async def robots(reader: CurrentReader) -> Response:
    """Tell search engines where the sitemap is, and what not to index."""
    root = reader.root
    lines = [
        "User-agent: *",
        *(f"Disallow: {root}{path}" for path in _UNLISTED),
        f"Sitemap: {reader.origin}/sitemap.xml",
    ]
    text = "".join(f"{line}\n" for line in lines)
    return PlainTextResponse(text, headers={"Cache-Control": _ONE_DAY})


@router.get("/sitemap.xml")
async def sitemap(reader: CurrentReader, read_sessions: AnyReadSessions) -> Response:
    """List all pages about the present, each in all languages.

    While the database is away the stories are left out.
    """
    stories = await unless_out(_stories(read_sessions)) or []
    pages = [Listed(path) for path in _PAGES]
    pages += [Listed(f"/borders/{border}") for border in _borders(reader)]
    pages += [
        Listed(f"/crossings/{entry.present.details.id}", entry.present.recorded_at)
        for entry in reader.board.entries()
        if not entry.present.details.is_retired()
    ]
    listed = [*pages, *stories][:MAX_ADDRESSES]
    # It takes long for thousands of crossings.
    body = await asyncio.to_thread(_sitemap, reader.origin, listed)
    return Response(body, headers={"Cache-Control": _ONE_HOUR}, media_type="application/xml")


@router.get("/manifest.webmanifest")
async def manifest(reader: CurrentReader) -> Response:
    """Describe the pages as an application that can be installed."""
    body = {
        "name": "Crossing Status",
        "short_name": "Crossings",
        "description": reader.words.translate(DESCRIPTION),
        "lang": reader.language.code,
        "start_url": f"{reader.root}/",
        "scope": f"{reader.root}/",
        "display": "minimal-ui",
        "background_color": GROUND,
        "theme_color": THEME,
        "icons": [
            {
                "src": reader.static(f"pictures/icon-{size}.png"),
                "sizes": f"{size}x{size}",
                "type": "image/png",
                "purpose": "any maskable",
            }
            for size in ICON_SIZES
        ],
    }
    headers = {"Cache-Control": _ONE_DAY, "Vary": "Accept-Language"}
    return JSONResponse(body, headers=headers, media_type="application/manifest+json")


@router.get("/sw.js")
async def service_worker(reader: CurrentReader) -> Response:
    """Return the service worker, whose scope is all pages because it is served here."""
    body = render(
        LANGUAGES[ENGLISH], "sw.js", version=VERSION, root=reader.root, scripts=_WORKER_SCRIPTS
    )
    # The worker's own requests go by the policy of its script.
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    return Response(body, headers=headers, media_type="text/javascript")


@router.get("/apple-touch-icon.png")
async def touch_icon(reader: CurrentReader) -> Response:
    """Lead to the icon that iOS requests when a page names none."""
    location = reader.root + static("pictures/icon-180.png")
    return Response(status_code=307, headers={"Location": location, "Cache-Control": _ONE_DAY})


def _borders(reader: PageReader) -> Iterable[str]:
    board = reader.board
    return board.borders(after=None, limit=MAX_ADDRESSES) if board.is_loaded else []


async def _stories(read_sessions: ReadSessions) -> list[Listed]:
    listed: list[Listed] = []
    async with read_sessions.history(AsOf()) as session:
        after = None
        while True:
            incidents, _ = await list_incidents(session, after=after, limit=_INCIDENTS_PER_READ)
            listed += [
                Listed(f"/incidents/{incident.id}")
                for incident in incidents
                if incident.retraction is None
            ]
            if len(incidents) < _INCIDENTS_PER_READ:
                return listed
            after = (incidents[-1].change, incidents[-1].id)


def _sitemap(origin: str, pages: Iterable[Listed]) -> str:
    return "".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>\n',
            f"<urlset {_NAMESPACES}>\n",
            *(line for listed in pages for line in _entry(origin, listed)),
            "</urlset>\n",
        ]
    )


def _entry(origin: str, listed: Listed) -> Iterator[str]:
    url = escape(origin + listed.path, {'"': "&quot;"})
    yield f"<url><loc>{url}</loc>"
    if listed.modified is not None:
        yield f"<lastmod>{listed.modified:%Y-%m-%dT%H:%M:%SZ}</lastmod>"
    for code in LANGUAGES:
        yield f'<xhtml:link rel="alternate" hreflang="{code}" href="{url}?lang={code}"/>'
    yield f'<xhtml:link rel="alternate" hreflang="x-default" href="{url}"/></url>\n'
