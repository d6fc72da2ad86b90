"""The OpenAPI document, and the page that shows it.

The page loads only files of the package, under a strict content security policy. Its links are
relative, so that they work below any path that a proxy adds.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from importlib.resources import files

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from app.errors import NotFound
from app.http.documentation.document import operations
from app.http.documentation.openapi import Documents
from app.http.problems import catalogue
from app.http.routing import hidden_router

router = hidden_router()

_ASSETS: Mapping[str, str] = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
"""The content security policy: only what this service itself provides."""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Crossing Status API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/docs.css">
<link rel="preload" href="openapi.json" as="fetch" crossorigin>
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/start.js" defer></script>
</head>
<body>
<header>
<a href="./">Crossing Status</a>
<a href="openapi.json">OpenAPI 3.1</a>
<a href="openapi-3.2.json">OpenAPI 3.2</a>
</header>
<main id="index">
<h1>Crossing Status API</h1>
{index}
</main>
<div id="docs" hidden></div>
</body>
</html>
"""
_START = """const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  syntaxHighlight: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  // Until then there is the list to read and to click.
  onComplete: () => {
    document.getElementById("index").remove();
    document.getElementById("docs").hidden = false;
  },
});
"""
_STYLE = """:root { color-scheme: light dark; --link: #0b57a4; --ink: #1a1c1e; }
@media (prefers-color-scheme: dark) { :root { --link: #8ec1f5; --ink: #e9eaeb; } }
body { margin: 0; color: var(--ink); }
header { display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: 0.75rem 1.25rem; }
header, #index > h1, #index > section { font: 1rem/1.5 system-ui, sans-serif; }
header a:first-child, #index > h1 { font-weight: bold; }
header a, section a { color: var(--link); }
#index > h1, #index > section { max-width: 60rem; margin: 1rem auto; padding: 0 1.25rem; }
#index > section > ul { padding-left: 1.25rem; }
/* Text on its ground as 4.5 to 1 at least, where Swagger UI has less. */
#docs .swagger-ui .info .title small { background: #50575e; }
#docs .swagger-ui .info .title small.version-stamp { background: #14703a; }
#docs .swagger-ui .info a, #docs .swagger-ui .info .link .url,
#docs .swagger-ui a.nostyle { color: var(--link); }
#docs .swagger-ui .opblock .opblock-summary-method { color: #fff; background: #0b57a4; }
#docs .swagger-ui .opblock-post .opblock-summary-method { background: #14703a; }
#docs .swagger-ui .opblock-patch .opblock-summary-method { background: #7a4900; }
#docs .swagger-ui .opblock-delete .opblock-summary-method { background: #b3161f; }
#docs .swagger-ui .btn.execute { color: #fff; background: #0b57a4; border-color: #0b57a4; }
#docs .swagger-ui .header-col, #docs .swagger-ui .parameter__in, #docs .swagger-ui .parameter__type,
#docs .swagger-ui .parameter__deprecated, #docs .swagger-ui .prop-format,
#docs .swagger-ui .renderedMarkdown code { color: var(--ink); }
@media (prefers-color-scheme: light) {
  #docs .swagger-ui .btn.authorize { color: #14703a; border-color: #14703a; }
  #docs .swagger-ui .btn.authorize svg { fill: #14703a; }
  #docs .swagger-ui .btn.cancel,
  #docs .swagger-ui .parameter__name.required::after { color: #b3161f; }
}
"""


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    return Response(_documents(request).v3_1, media_type="application/json")


@router.get("/openapi-3.2.json")
def openapi_with_streams(request: Request) -> Response:
    return Response(_documents(request).v3_2, media_type="application/json")


@router.get("/docs")
def docs(request: Request) -> Response:
    page = _PAGE.replace("{index}", _index(_documents(request).v3_1))
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


@lru_cache(maxsize=1)
def _index(document: bytes) -> str:
    """Return a list of all operations, which is shown until the script has loaded."""
    parsed = json.loads(document)
    links: dict[str, list[str]] = {tag["name"]: [] for tag in parsed["tags"]}
    for operation in operations(parsed):
        if operation.path in parsed["paths"]:
            anchor = f"#/{operation.tag}/{operation.spec['operationId']}"
            call = escape(f"{operation.method.upper()} {operation.path}")
            summary = escape(str(operation.spec["summary"]))
            links[operation.tag].append(
                f'<li>{summary}: <a href="{anchor}"><code>{call}</code></a></li>'
            )
    return "".join(
        f"<section><h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>"
        f"<ul>{''.join(links[tag['name']])}</ul></section>"
        for tag in parsed["tags"]
    )


@router.get("/docs/docs.css")
async def style() -> Response:
    return Response(_STYLE, media_type="text/css; charset=utf-8")


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
    """Describe a type of problem; the ``type`` of every problem is such an address."""
    problem_type = catalogue().get(slug)
    if problem_type is None:
        raise NotFound(f"There is no problem type {slug!r}.")
    status, title = problem_type.status, problem_type.title
    return PlainTextResponse(f"{status} {title}\n\n{problem_type.__doc__}\n")


def _documents(request: Request) -> Documents:
    documents: Documents = request.app.state.documents()
    return documents
