"""Problems as HTML pages, for those who request pages."""

from collections.abc import Mapping

from fastapi import Request, Response

from app.errors import Invalid, Problem
from app.http.negotiation import preferred
from app.http.problems import PROBLEM_JSON, render
from app.languages.words import N_
from app.pages.rendering import PageReader, page

_MACHINE_PATHS = (
    "/v1",
    "/feeds",
    "/badges",
    "/static",
    "/docs",
    "/openapi.json",
    "/openapi-3.2.json",
    "/problems",
    "/health",
    "/metrics",
    "/.well-known",
)
"""Beginnings of the paths that are not pages."""

HTML = "text/html"
_MEDIA_TYPES = (PROBLEM_JSON, "application/json", HTML)
"""The representations of a problem at the path of a page; the first two have the same body."""

_DEFAULT_TEXT = (
    N_("This page cannot be shown"),
    N_("Go to the list of all crossings, or try again."),
)

_TEXTS: Mapping[str, tuple[str, str]] = {
    "not-found": (
        N_("Page not found"),
        N_("There is nothing at this address. It may be mistyped, or out of date."),
    ),
    "crossing-not-found": (
        N_("Crossing not found"),
        N_("We know no crossing with this address. The list has all that we know."),
    ),
    "border-not-found": (
        N_("Border not found"),
        N_("We cover no border with this address. The list has all that we cover."),
    ),
    "source-not-found": (
        N_("Source not found"),
        N_("There is nothing at this address. It may be mistyped, or out of date."),
    ),
    "alert-not-found": (
        N_("This link is not valid any more"),
        N_("If you have unsubscribed, your address is deleted and nothing more is sent."),
    ),
    "incident-not-found": (
        N_("Incident not found"),
        N_("There is nothing at this address. It may be mistyped, or out of date."),
    ),
    "method-not-allowed": (
        N_("This page cannot be used that way"),
        N_("It can be read, and nothing can be sent to it."),
    ),
    "invalid": (
        N_("This address asks for something impossible"),
        N_("These parts of it cannot be used:"),
    ),
    "unavailable": (
        N_("We cannot answer this right now"),
        N_("Our database does not answer. Try again in a few seconds."),
    ),
    "rate-limited": (
        N_("Too many requests"),
        N_("Too many requests came from your network. Try again in a few seconds."),
    ),
    "internal": (
        N_("Something went wrong on our side"),
        N_("The error has been logged. Try again later."),
    ),
}
"""The title and the text of each problem's page, by its slug."""

_INSTANT = N_("give a date, or a date and a time in UTC, such as 2023-09-01 or 2023-09-01T08:00")
_WEIGHT = N_("give the weight in whole kilograms, up to 1,000,000, such as 40000")
_HEIGHT = N_("give the height in metres, up to 50, such as 4.0")
_COUNTRY = N_("give the two-letter code of a country, such as LT")
_HINTS: Mapping[str, str] = {
    "at": _INSTANT,
    "known_at": N_(
        "give a date that has passed, or a date and a time in UTC,"
        " such as 2023-09-01 or 2023-09-01T08:00"
    ),
    "known_change": N_("give the number of a change that exists, and not known_at as well"),
    "border": N_("give the codes of two countries, such as BY-LT"),
    "border_id": N_("give the codes of two countries, such as BY-LT"),
    "country": _COUNTRY,
    "to": _COUNTRY,
    "citizen_of": _COUNTRY,
    "weight_kg": _WEIGHT,
    "height_m": _HEIGHT,
    "empty": N_("give true or false"),
    "crossing_id": N_("give the address of a crossing as the list has it"),
    "on": N_("give a day from today to a year from now, such as 2027-03-01"),
    "cursor": N_("follow the links from page to page"),
}
"""How to correct each part of an address."""


def problem_response(request: Request, problem: Problem) -> Response:
    """Return the problem as HTML if the client requested a page and prefers HTML, else as JSON."""
    path, origins = request.url.path, request.app.state.origins
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in _MACHINE_PATHS):
        return render(problem, origins.root)
    if preferred(", ".join(request.headers.getlist("accept")), _MEDIA_TYPES) != HTML:
        return render(problem, origins.root)
    reader = PageReader(request)
    title, detail = (
        reader.words.translate(text) for text in _TEXTS.get(problem.slug, _DEFAULT_TEXT)
    )
    response = page(
        reader,
        "problem.html",
        status=problem.status,
        problem=problem,
        title=title,
        detail=detail,
        hints=_hints(reader, problem),
    )
    response.headers.update(problem.headers)
    response.headers["Cache-Control"] = "no-store"
    response.headers.add_vary_header("Accept")
    return response


def _hints(reader: PageReader, problem: Problem) -> dict[str, str]:
    """Return how to correct each faulty part of the address, in the reader's language."""
    faults = problem.errors if isinstance(problem, Invalid) else ()
    unknown = N_("leave it out, or choose it from the lists on the pages")
    return {
        # An item of a list has its place in it behind the name.
        fault.field: reader.words.translate(_HINTS.get(fault.field.partition(".")[0], unknown))
        for fault in faults
    }
