"""What the OpenAPI document says beside the operations."""

from fastapi import FastAPI

from app.http.problems import ProblemOut

DESCRIPTION = """Is that border crossing open? For whom, since when, and who says so.

Every status is resolved from an append-only log of status events, each citing its source.
Ask about now or about any instant (`at`), from all that is known or from what was known at
a time (`known_at`) or at a change (`known_change`).

* Instants are RFC 3339 with an offset; answers are in UTC with `Z`.
* `null` bounds are open: no `until` is until further notice.
* `unknown` is an honest answer: nothing that we may rely on says otherwise.
* New members of enumerations may appear in answers: readers should expect them.
* Errors are RFC 9457 problems; each `type` leads to its description.
* Unknown parameters and body fields are errors, not silence.
"""
TAGS = [
    {"name": "status", "description": "The question, its history, and the log behind it."},
    {"name": "crossings", "description": "Border crossing points and their present status."},
    {"name": "borders", "description": "All crossings between two countries."},
    {
        "name": "countries",
        "description": "Countries by name, and which of their borders are here.",
    },
    {"name": "notices", "description": "Cited facts that are no status."},
    {"name": "incidents", "description": "Stories: decisions and notices that belong together."},
    {"name": "sources", "description": "Where facts come from, and what was drawn from each."},
    {"name": "changes", "description": "Every committed change, numbered and hash-chained."},
    {"name": "collections", "description": "What there is."},
    {"name": "health", "description": "Is the service alive and ready?"},
]


_HEADERS = {
    "201": {
        "Location": "Where to find what was written.",
        "Change-Number": "The change that the write is.",
        "Idempotent-Replayed": "`true` where this is the answer to an earlier request.",
    },
    "409": {"Retry-After": "Seconds, where the first request is still running."},
    "503": {"Retry-After": "Seconds."},
}
"""The headers of an answer, by its status."""


def _tell_headers(responses: dict[str, dict[str, object]]) -> None:
    for status, headers in _HEADERS.items():
        if status in responses:
            responses[status]["headers"] = {
                name: {"description": meaning, "schema": {"type": "string"}}
                for name, meaning in headers.items()
            }


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
            for operations in found["paths"].values():
                for operation in operations.values():
                    _tell_headers(operation["responses"])
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
