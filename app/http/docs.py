"""The documentation: the OpenAPI document, and the page that shows it.

The page is made of installed files alone, under a strict content policy.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from app.errors import NotFound
from app.http.problems import ProblemOut, catalogue

router = APIRouter(include_in_schema=False)

_ASSETS: Mapping[str, str] = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
"""What browsers may load and run: only what this service itself gives."""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Crossing Status API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<noscript>This page needs JavaScript; the same is at <a href="/openapi.json">/openapi.json</a>.
</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


@router.get("/docs")
async def docs() -> Response:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/start.js")
async def start() -> Response:
    return Response(_START, media_type="text/javascript; charset=utf-8")


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    if name not in _ASSETS:
        raise NotFound(f"There is nothing at /docs/{name}.")
    content = files("fastapi_swagger").joinpath("resources", name).read_bytes()
    return Response(
        content, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"}
    )


@router.get("/problems/{slug}")
async def problem(slug: str) -> Response:
    """Say what the type of a problem means: every ``type`` can be followed."""
    found = catalogue().get(slug)
    if found is None:
        raise NotFound(f"There is no problem type {slug!r}.")
    return PlainTextResponse(f"{found.status} {found.title}\n\n{found.__doc__}\n")


DESCRIPTION = """Is that border crossing open? For whom, since when, and who says so.

Every status is resolved from an append-only log of status events, each citing its source.
Ask about now or about any instant (`at`), using all that is known or only what was known at
an instant (`known_at`) or at a change (`known_change`).

* Instants are RFC 3339 with an offset; answers are in UTC with `Z`.
* A `null` bound is open: without `until`, something applies until further notice.
* `unknown` is an honest answer: nothing reliable says otherwise.
* Enumerations may get new members: clients should expect them.
* Errors are RFC 9457 problems; each `type` is the address of its description.
* Unknown parameters and body fields are refused, never ignored.
"""
TAGS = [
    {
        "name": "status",
        "description": "The status of a crossing, its history, and the log behind it.",
    },
    {"name": "crossings", "description": "Border crossing points and their present status."},
    {"name": "borders", "description": "All crossings between two countries."},
    {
        "name": "countries",
        "description": "Countries by name, and their borders that are covered.",
    },
    {"name": "observations", "description": "Waits at crossings, as they were observed."},
    {"name": "notices", "description": "Cited facts that are not a status."},
    {"name": "incidents", "description": "Stories: decisions and notices grouped together."},
    {
        "name": "sources",
        "description": "Where facts come from, and what was taken from each source.",
    },
    {"name": "changes", "description": "Every committed change, numbered and hash-chained."},
    {"name": "feeds", "description": "Atom, iCalendar, GeoJSON, and exports as CSV and NDJSON."},
    {"name": "subscriptions", "description": "Webhooks: have changes sent to you, signed."},
    {"name": "collections", "description": "All lists of the API."},
    {"name": "health", "description": "Is the service alive and ready?"},
]


_READ_HEADERS = {
    "ETag": "A strong validator: send it back in `If-None-Match` to get 304 if nothing has"
    " changed.",
    "Cache-Control": "How long a cache may keep the answer: never beyond its next known change.",
}
_PRESENT_HEADERS = {
    "Change-Number": "The newest change that the answer reflects.",
    "Knowledge-Age": "How many seconds ago the answering worker last heard from the database.",
    "Last-Modified": "Since when the answer has been the same.",
}
_OF_THE_BOARD = {
    "get_status",
    "get_crossing",
    "list_crossings",
    "list_borders",
    "get_crossings_geojson",
}
"""The operations that are answered from memory, also without the database."""
_DEMAND = {
    "name": "At-Least-Change",
    "in": "header",
    "required": False,
    "description": "Answer from at least this change, as `Change-Number` told it: waits up to"
    " 2 seconds for it, then 503.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 2**62},
    "example": 1,
}
_HEADERS = {
    "201": {
        "Location": "The address of what was written.",
        "Change-Number": "The number of the change.",
        "Idempotent-Replayed": "`true` if this is the stored answer to an earlier request.",
    },
    "409": {"Retry-After": "Seconds to wait if the first request is still running."},
    "503": {"Retry-After": "Seconds."},
}
"""The headers of an answer, by its status."""


def _tell_headers(responses: dict[str, dict[str, object]]) -> None:
    for status, headers in _HEADERS.items():
        if status in responses:
            responses[status]["headers"] = _described(headers)


def _described(headers: dict[str, str]) -> dict[str, object]:
    return {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in headers.items()
    }


# Any: a document of that many shapes.
def _tell_reading(operation: dict[str, Any]) -> None:
    """Tell what every public read can do besides its own."""
    if "security" in operation:
        return
    headers = dict(_READ_HEADERS)
    if operation["operationId"] in _OF_THE_BOARD or "feeds" in operation["tags"]:
        headers |= _PRESENT_HEADERS
    operation["responses"]["200"]["headers"] = _described(headers)
    operation["responses"]["304"] = {
        "description": "Nothing has changed since the `ETag` in `If-None-Match`."
    }
    operation.setdefault("parameters", []).append(_DEMAND)


def document(app: FastAPI) -> None:
    """Complete the document with what no operation's signature mentions."""
    generate = app.openapi

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            found = generate()
            schemas = found["components"]["schemas"]
            problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= problem.pop("$defs", {})
            schemas["ProblemOut"] = problem
            for path, operations in found["paths"].items():
                for method, operation in operations.items():
                    _tell_headers(operation["responses"])
                    if method == "get" and path.startswith(("/v1", "/feeds")):
                        _tell_reading(operation)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi_version = "3.2.0"
    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
