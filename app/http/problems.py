"""Render all errors as RFC 9457 problems, and document them."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, JsonValue
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors
from app.database.monitor import reason
from app.errors import FieldError, Problem
from app.http.bodies import UNTOLD
from app.http.caching import HEAD_ASKED
from app.http.origin import Origins
from app.validation import message_of

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER = "2"

_OUTAGE_CLASSES = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE for connections, rollbacks, resources, locks, operators and systems."""
_OUTAGE_CODES = {"25006", "25P03", "25P04"}
"""A read-only database; a transaction that was idle, or ran, for too long."""

_UNAVAILABLE_ERRORS = (OperationalError, InterfaceError, PoolTimeoutError, TimeoutError)

_log = logging.getLogger(__name__)

Found = TypeVar("Found")


class FieldErrorOut(BaseModel, title="FieldError"):
    """One fault of the input."""

    in_: str = Field(alias="in", examples=["body", "query", "path", "header"])
    field: str = Field(examples=["effective.until"])
    message: str = Field(examples=["must lie after effective.from"])


class ProblemOut(BaseModel, title="Problem"):
    """An RFC 9457 problem. ``type`` is stable; ``detail`` is for people."""

    type: str = Field(examples=["/problems/invalid"])
    title: str
    status: int
    detail: str
    errors: list[FieldErrorOut] | None = Field(
        None, description="Only in `/problems/invalid`: each error with its field, 50 at most."
    )
    more_errors: int | None = Field(None, description="How many more errors there are.")


def render(problem: Problem, root: str) -> Response:
    """Return the problem as a response; ``root`` is the path that a proxy adds to addresses."""
    # The same address may answer a browser with a page.
    headers = {"Cache-Control": "no-store", "Vary": "Accept", **problem.headers}
    # ensure_ascii: a message may quote lone surrogates, which UTF-8 cannot encode.
    body = json.dumps(_body(problem, root))
    return Response(body, problem.status, headers=headers, media_type=PROBLEM_JSON)


def _body(problem: Problem, root: str = "") -> dict[str, JsonValue]:
    return {
        "type": f"{root}/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        **problem.extensions,
    }


_DEFAULT = """Any other problem:

* of every operation: `internal` (500), `unavailable` (503)
* of an invalid request: `bad-request`, `host-refused` (400), `request-timeout` (408),
  `headers-too-large` (431)
* of too many connections: `too-many-connections` (429), `server-full` (503)
* of too many requests: `rate-limited` (429)
* where a key is needed: `unauthorized` (401), `forbidden` (403)
* where a body is sent: `malformed` (400), `too-large` (413), `unsupported-media-type` (415)
* with an `Idempotency-Key`: `idempotency-key-reused`, `idempotency-key-in-flight` (409)
* of writes: `overloaded` (503)
* where a secret is made: `secrets-unavailable` (503)
"""
"""Problems that any operation may have: documented once, as the default response."""


_EXAMPLES = (
    errors.Unavailable(errors.Unavailable.__doc__ or ""),
    errors.invalid("effective.until", "must lie after effective.from"),
)
"""Examples of the default response, and of the problem of invalid input."""


# Any: FastAPI's own type for documented responses.
def responses(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of an operation's own problems, and of those that any has.

    Several may share a status.
    """
    schema = {"$ref": "#/components/schemas/ProblemOut"}
    anything, invalid = _EXAMPLES
    content: dict[str, Any] = {PROBLEM_JSON: {"schema": schema, "example": _body(anything)}}
    documented: dict[int | str, dict[str, Any]] = {
        "default": {"description": _DEFAULT, "content": content}
    }
    for problem in (*(kind(kind.__doc__ or "") for kind in problems), invalid):
        content = {PROBLEM_JSON: {"schema": schema, "examples": {}}}
        entry = {"description": HTTPStatus(problem.status).phrase, "content": content}
        media = documented.setdefault(problem.status, entry)["content"][PROBLEM_JSON]
        media["examples"][problem.slug] = {"value": _body(problem)}
    return documented


def preview(body: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the answer to ``validate_only``."""
    return {200: {"model": body, "description": "With `validate_only`: what would change."}}


def catalogue() -> Mapping[str, type[Problem]]:
    """Return every problem by its slug."""
    by_slug: dict[str, type[Problem]] = {}
    pending = Problem.__subclasses__()
    while pending:
        problem = pending.pop()
        by_slug[problem.slug] = problem
        pending += problem.__subclasses__()
    return dict(sorted(by_slug.items()))


def install(app: FastAPI, tell: Callable[[Request, Problem], Response]) -> None:
    """Make ``app`` answer every error with a problem, rendered by ``tell``."""
    app.state.tell_problem = tell
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(DBAPIError, _on_refusal)
    for outage in _UNAVAILABLE_ERRORS:
        app.add_exception_handler(outage, _on_outage)
    app.add_exception_handler(Exception, _on_fault)


def _respond(request: Request, problem: Problem) -> Response:
    tell: Callable[[Request, Problem], Response] = request.app.state.tell_problem
    return tell(request, problem)


def _on_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return _respond(request, problem)


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    field_errors = [
        _field_error(fault["loc"], message_of(fault)) for fault in faults[: errors.FAULTS_TOLD]
    ]
    problem = errors.Invalid(field_errors, count=len(faults))
    return _respond(request, problem)


def _field_error(location: tuple[int | str, ...], message: str) -> FieldError:
    where, *path = location
    names = [str(part) for part in path if not str(part).startswith(UNTOLD)]
    return FieldError(str(where), ".".join(names) or str(where), message)


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = errors.clipped(request.url.path)
    match error.status_code:
        case 400:
            problem: Problem = errors.Malformed("The body cannot be read as JSON.")
        case 404:
            problem = errors.NotFound(f"There is nothing at {path}.")
        case 405:
            problem = errors.MethodNotAllowed(
                f"{path} does not accept {_method(request)}.",
                headers={"Allow": ", ".join(_methods(request))},
            )
        case _:
            raise error
    return _respond(request, problem)


def _method(request: Request) -> str:
    return "HEAD" if request.scope.get(HEAD_ASKED) else request.method


def _methods(request: Request) -> list[str]:
    """Return the methods of the address; the framework has only those of the first route.

    What answers GET also answers HEAD.
    """
    methods = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    return sorted({*methods, "HEAD"} if "GET" in methods else methods)


def _on_refusal(request: Request, error: Exception) -> Response:
    if is_outage(error):
        return _on_outage(request, error)
    raise error


def is_outage(error: Exception) -> bool:
    """Return whether an error is an outage of the database rather than a bug."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, _UNAVAILABLE_ERRORS)
    code = errors.sqlstate_of(error) or ""
    return (
        isinstance(error, _UNAVAILABLE_ERRORS)
        or error.connection_invalidated
        or code.startswith(_OUTAGE_CLASSES)
        or code in _OUTAGE_CODES
    )


async def unless_out(asking: Awaitable[Found]) -> Found | None:
    """Return the result of a query; None during an outage."""
    try:
        return await asking
    except errors.HistoryOverloaded:
        return None
    except Exception as error:
        if not is_outage(error):
            raise
        _log.warning("Answered without the database: %s", reason(error))
        return None


def _on_outage(request: Request, error: Exception) -> Response:
    _log.warning(
        "%s %s was answered 503, since the database did not answer: %s",
        request.method,
        request.scope["raw_path"].decode("latin-1"),
        reason(error),
    )
    return _respond(
        request,
        errors.Unavailable(
            "The database did not answer in time. Nothing was changed, or the outcome is"
            " unknown: repeat a write with the same Idempotency-Key.",
            headers={"Retry-After": RETRY_AFTER},
        ),
    )


def _on_fault(request: Request, _: Exception) -> Response:
    # Starlette raises the exception again after this response, for the server to log.
    return _respond(
        request, errors.Internal("This is an error of the service. It has been logged.")
    )


class DrainGuard:
    """Answers a request cancelled by a stopping server with a problem instead of a 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except asyncio.CancelledError:
            if started or scope["type"] != "http":
                raise
            problem = errors.Unavailable(
                "The service is stopping. Repeat a write with the same Idempotency-Key.",
                headers={"Retry-After": RETRY_AFTER},
            )
            origins: Origins = scope["app"].state.origins
            await render(problem, origins.root)(scope, receive, send)
