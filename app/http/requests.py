"""What is done for every request: its id, its count and duration, and its line in the log."""

import logging
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter, time
from typing import NamedTuple
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from app.config import LoggedRequests

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets in which durations are counted."""
NO_ROUTE = "none"
"""The route of a request that matches none: each path as a label of its own would be unbounded."""

READS = {"GET", "HEAD", "OPTIONS"}
"""The methods that write nothing."""

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._~-]{8,128}")
_CLIENT_GONE = 499
"""The status counted for a client that left before it was answered, as nginx does."""
_SERVER_ERROR = 500

_log = logging.getLogger("app.requests")


class RequestKind(NamedTuple):
    """What requests are counted by."""

    method: str
    route: str
    status: int


@dataclass(slots=True)
class Durations:
    """How many requests of a kind there were, by their duration."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    """One for each bucket of `SECONDS`, and one for those that took longer."""
    total: float = 0.0
    """Seconds that they took together."""


class RequestOutcome(NamedTuple):
    """A request that was answered."""

    at: float
    """When it was received, in seconds since 1970."""
    request_id: str
    kind: RequestKind
    path: str
    """As it was sent, percent-encoded."""
    client: str | None
    key: str | None
    """The id of the API key that it was sent with."""
    change: int | None
    """The `Change-Number` of the response."""
    seconds: float


class RequestTally:
    """Counts requests at little cost."""

    def __init__(self) -> None:
        self._durations: dict[RequestKind, Durations] = {}

    def add(self, kind: RequestKind, seconds: float) -> None:
        durations = self._durations.get(kind)
        if durations is None:
            durations = self._durations[kind] = Durations()
        durations.counts[bisect_left(SECONDS, seconds)] += 1
        durations.total += seconds

    def drain(self) -> Iterator[tuple[RequestKind, Durations]]:
        """Yield the counts since the last call."""
        counted, self._durations = self._durations, {}
        yield from counted.items()


class RequestObserver:
    """Gives each request an id, counts it, and logs it if it is to be logged."""

    def __init__(
        self,
        app: ASGIApp,
        tally: RequestTally,
        logged: LoggedRequests,
        *,
        note: Callable[[RequestOutcome], None] = lambda _: None,
        route: str | None = None,
    ) -> None:
        """``note`` is called with each request that was answered.

        ``route`` is the route of all requests; without it, the one that the router found.
        """
        self.app = app
        self.tally = tally
        self.logged = logged
        self.note = note
        self.route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received_at, started = time(), perf_counter()
        request_id = sent_id(scope) or uuid4().hex.encode()
        status = _CLIENT_GONE
        change: int | None = None

        async def observed(message: Message) -> None:
            nonlocal status, change
            if message["type"] == "http.response.start":
                status = message["status"]
                change = _change_in(message)
                # The message may be shared between responses, so it is copied.
                headers = [*message["headers"], (b"x-request-id", request_id)]
                message = {**message, "headers": headers}
            await send(message)

        scope.setdefault("state", {})
        with bound_contextvars(request_id=request_id.decode()):
            try:
                await self.app(scope, receive, observed)
            except Exception:
                status = _SERVER_ERROR
                raise
            finally:
                seconds = perf_counter() - started
                kind = RequestKind(scope["method"], self.route or _route_of(scope), status)
                key = scope["state"].get("key")
                self.tally.add(kind, seconds)
                self.note(
                    RequestOutcome(
                        received_at,
                        request_id.decode(),
                        kind,
                        scope["raw_path"].decode("latin-1"),
                        scope["client"][0] if scope.get("client") else None,
                        key,
                        change,
                        seconds,
                    )
                )
                if self._is_logged(kind):
                    log_request(kind, seconds, key=key)

    def _is_logged(self, kind: RequestKind) -> bool:
        match self.logged:
            case "all":
                return True
            case "writes":
                return kind.method not in READS or kind.status >= _SERVER_ERROR
            case "none":
                return False


def sent_id(scope: Scope) -> bytes | None:
    """Return the id that the client sent in `X-Request-Id`, if it is well-formed."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value if _WELL_FORMED.fullmatch(value) else None
    return None


def id_header(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the header that returns the id which the client sent, if it sent one."""
    request_id = sent_id(scope)
    return [] if request_id is None else [(b"x-request-id", request_id)]


def log_request(kind: RequestKind, seconds: float, *, key: str | None = None) -> None:
    """Log a request. ``key`` is the id of the API key that it was sent with."""
    level = logging.WARNING if kind.status >= _SERVER_ERROR else logging.INFO
    extra = {**kind._asdict(), "duration_ms": round(seconds * 1000, 2)}
    _log.log(level, "request", extra=extra if key is None else {**extra, "key": key})


def _route_of(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", NO_ROUTE)


def _change_in(message: Message) -> int | None:
    for name, value in message["headers"]:
        if name == b"change-number":
            return int(value)
    return None
