"""Problems as people meet them: as pages, where a page was asked for."""

from collections.abc import Mapping

from fastapi import Request, Response

from app.errors import Problem
from app.http.problems import render
from app.pages.rendering import PageReader, page
from app.pages.words import N_

_FOR_PROGRAMS = (
    "/v1",
    "/feeds",
    "/badges",
    "/static",
    "/docs",
    "/openapi.json",
    "/problems",
    "/health",
    "/metrics",
)
"""Where addresses begin that are no pages."""

_TITLES: Mapping[str, str] = {
    "not-found": N_("Page not found"),
    "crossing-not-found": N_("Crossing not found"),
    "border-not-found": N_("Border not found"),
    "source-not-found": N_("Source not found"),
    "incident-not-found": N_("Incident not found"),
    "method-not-allowed": N_("This page cannot be used that way"),
    "invalid": N_("This address asks for something impossible"),
    "unavailable": N_("We cannot answer this right now"),
    "internal": N_("Something went wrong on our side"),
}


def tell(request: Request, problem: Problem) -> Response:
    """Return the problem as a page to who looks at pages, and else as what programs read."""
    path = request.url.path
    if "text/html" not in request.headers.get("accept", "") or any(
        path == one or path.startswith(f"{one}/") for one in _FOR_PROGRAMS
    ):
        return render(problem)
    reader = PageReader(request)
    title = reader.words.say(_TITLES.get(problem.slug, problem.title))
    response = page(reader, "problem.html", status=problem.status, problem=problem, title=title)
    response.headers.update(problem.headers)
    response.headers["Cache-Control"] = "no-store"
    return response
