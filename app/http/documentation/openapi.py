"""The OpenAPI document: what the framework generates, completed by what it cannot know."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from app.http.documentation.components import arrange, without_streams
from app.http.documentation.document import Json, Operation, objects, operations
from app.http.problems import ProblemOut

DESCRIPTION = """Is that border crossing open? For whom, since when, and who says so.

Every status is resolved from an append-only log of status events, each citing its source.
Ask about now or about any instant (`at`), using all that is known or only what was known at
an instant (`known_at`) or at a change (`known_change`).

* Instants are RFC 3339 with an offset; answers are in UTC with `Z`.
* A `null` bound is open: without `until`, something applies until further notice.
* `unknown` is an honest answer: nothing reliable says otherwise.
* Enumerations may get new members: clients should expect them.
* Public reads carry an `ETag`: sent back in `If-None-Match`, it is answered with an empty 304 if
  nothing has changed. `Cache-Control` says how long a cache may keep them.
* With `At-Least-Change`, any read reflects at least the change of that number; it waits up to 2
  seconds for it, else it is a 503.
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
    {"name": "statistics", "description": "Time by status, closures and waits over a range."},
    {"name": "notices", "description": "Cited facts that are not a status."},
    {"name": "incidents", "description": "Stories: decisions and notices grouped together."},
    {
        "name": "sources",
        "description": "Where facts come from, and what was taken from each source.",
    },
    {"name": "changes", "description": "Every committed change, numbered and hash-chained."},
    {
        "name": "feeds",
        "description": "Atom, iCalendar, GeoJSON, and exports as CSV, XLSX and NDJSON.\n\n"
        "An export is as known at the change that `Change-Number` names; without its end it broke"
        " off. In CSV, nested fields have both names, lists have spaces between, lists of objects"
        " are JSON, null is empty, and what looks like a formula begins with `'`. New columns are"
        " appended. In XLSX, numbers are numbers, all else is text and never a formula.",
    },
    {"name": "subscriptions", "description": "Webhooks: have changes sent to you, signed."},
    {"name": "collections", "description": "All lists of the API."},
    {"name": "health", "description": "Whether the service is alive and ready."},
]


_CHANGE_NUMBER = "The newest change that the answer reflects; after a write, the change it made."
_PRESENT_HEADERS = {
    "Change-Number": _CHANGE_NUMBER,
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
"""The operations that are answered from memory, even without the database."""
_DEMAND: Json = {
    "name": "At-Least-Change",
    "in": "header",
    "required": False,
    "description": "Answer from at least this change, as given by `Change-Number`.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 2**62},
}
_RETRY = {"Retry-After": "After how many seconds to try again."}
_HEADERS = {
    "201": {
        "Location": "The address of what was written.",
        "Change-Number": _CHANGE_NUMBER,
    },
    "503": _RETRY,
    "default": _RETRY,
}
"""The headers of an answer, by its status."""


def _document_headers(operation: Operation) -> None:
    for status, headers in _HEADERS.items():
        if status in operation.responses:
            operation.responses[status]["headers"] = _described(headers)


def _document_success(operation: Operation) -> None:
    for status, response in operation.responses.items():
        if response["description"] == "Successful Response":
            response["description"] = HTTPStatus(int(status)).phrase


def _described(headers: Mapping[str, str]) -> Json:
    return {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in headers.items()
    }


def _document_read(operation: Operation) -> None:
    """Document the headers and parameters of public reads.

    The 304 is not documented: only clients that use ETags get it, and beside a response without a
    body some client generators lose the type of the 200.
    """
    if operation.spec["operationId"] in _OF_THE_BOARD:
        operation.responses["200"]["headers"] = _described(_PRESENT_HEADERS)
        if operation.tag != "feeds":  # readers of feeds do not wait for a change of their own
            operation.spec["parameters"] = [*operation.parameters, dict(_DEMAND)]
    elif operation.tag == "feeds":
        operation.responses["200"]["headers"] = _described({"Change-Number": _CHANGE_NUMBER})


@dataclass(frozen=True, slots=True)
class Documents:
    """The document as JSON: for most tools, and with everything that OpenAPI 3.2 can describe."""

    v3_1: bytes
    v3_2: bytes


def describe(
    routes: Sequence[BaseRoute], webhooks: Sequence[BaseRoute], *, root: str = ""
) -> Documents:
    """Build the document, which takes seconds of CPU time: do it before the first request.

    ``root`` is the path that a proxy adds to addresses.
    """
    document: Json = get_openapi(
        title="Crossing Status",
        version="1",
        openapi_version="3.2.0",
        description=DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        servers=[{"url": root or "/", "description": "This service."}],
        tags=TAGS,
        routes=routes,
        webhooks=webhooks,
        separate_input_output_schemas=False,
    )
    # Reads need no key; operations that need one say so.
    document["security"] = []
    schemas = objects(objects(document["components"])["schemas"])
    problem: Json = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**objects(problem.pop("$defs")), ProblemOut.__name__: problem}
    for operation in operations(document):
        _document_headers(operation)
        _document_success(operation)
        is_read = operation.method == "get" and operation.path.startswith(("/v1", "/feeds"))
        if is_read and "security" not in operation.spec:
            _document_read(operation)
    arrange(document)
    return Documents(_json(without_streams(document)), _json(document))


def _json(document: Json) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
