"""The documentation page, from installed files alone, under a strict content policy."""

from collections.abc import Mapping
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from app.errors import NotFound
from app.http.problems import catalogue

router = APIRouter(include_in_schema=False)

_ASSETS: Mapping[str, str] = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
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


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/docs")


@router.get("/docs")
async def docs() -> Response:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


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
