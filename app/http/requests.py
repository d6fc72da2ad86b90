"""Every request: its id, how often and how long, and its line in the log."""

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
"""Upper bounds of the classes by which durations are counted."""
NO_ROUTE = "none"
"""The route of a request for which there is none: addresses are endless, the label is not."""

READS = {"GET", "HEAD", "OPTIONS"}
"""The methods that write nothing."""

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._~-]{8,128}")
_CLIENT_GONE = 499
"""The status counted for a client that left before it was answered, as nginx does."""
_SERVER_ERROR = 500

_log = logging.getLogger("app.requests")


class RequestKind(NamedTuple):
    """What is counted apart."""

    method: str
    route: str
    status: int


@dataclass(slots=True)
class Durations:
    """How many requests of a kind there were, by their duration."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    """Of each class of `SECONDS`; the last one is of those that took longer."""
    total: float = 0.0
    """Seconds that all of them took together."""


class RequestOutcome(NamedTuple):
    """A request that was answered."""

    at: float
    """When it came, in seconds of 1970."""
    request_id: str
    kind: RequestKind
    path: str
    """As it was sent, percent-encoded."""
    client: str | None
    key: str | None
    """The id of the API key that it brought."""
    change: int | None
    """The change that it made or was told of."""
    seconds: float


class RequestTally:
    """Counts requests, so cheaply that the fastest answers can afford it."""

    def __init__(self) -> None:
        self._durations: dict[RequestKind, Durations] = {}

    def add(self, kind: RequestKind, seconds: float) -> None:
        found = self._durations.get(kind)
        if found is None:
            found = self._durations[kind] = Durations()
        found.counts[bisect_left(SECONDS, seconds)] += 1
        found.total += seconds

    def drain(self) -> Iterator[tuple[RequestKind, Durations]]:
        """Yield what was counted since the last time."""
        counted, self._durations = self._durations, {}
        yield from counted.items()


def _note_nothing(_: RequestOutcome) -> None:
    pass


class RequestObserver:
    """Gives each request an id, counts it, and logs it if it is to be logged."""

    def __init__(
        self,
        app: ASGIApp,
        tally: RequestTally,
        logged: LoggedRequests,
        *,
        note: Callable[[RequestOutcome], None] = _note_nothing,
        route: str | None = None,
    ) -> None:
        """``note`` is told of each request that was answered.

        ``route`` is that of every request, if it is not to be asked of the router.
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
        at, begun = time(), perf_counter()
        request_id = brought_id(scope) or uuid4().hex.encode()
        status = _CLIENT_GONE
        change: int | None = None

        async def observed(message: Message) -> None:
            nonlocal status, change
            if message["type"] == "http.response.start":
                status = message["status"]
                change = _change_in(message)
                # The message may be one that all of its kind share.
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
                seconds = perf_counter() - begun
                kind = RequestKind(scope["method"], self.route or _route_of(scope), status)
                key = scope["state"].get("key")
                self.tally.add(kind, seconds)
                self.note(
                    RequestOutcome(
                        at,
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


def brought_id(scope: Scope) -> bytes | None:
    """Return the id that a request brought in `X-Request-Id`, if it is well-formed."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value if _WELL_FORMED.fullmatch(value) else None
    return None


def id_header(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the header that gives a request its own id back; none if it brought none."""
    brought = brought_id(scope)
    return [] if brought is None else [(b"x-request-id", brought)]


def log_request(kind: RequestKind, seconds: float, *, key: str | None = None) -> None:
    """Write the line of a request. ``key`` is the id of the key that it brought."""
    level = logging.WARNING if kind.status >= _SERVER_ERROR else logging.INFO
    told = {**kind._asdict(), "duration_ms": round(seconds * 1000, 2)}
    _log.log(level, "request", extra=told if key is None else {**told, "key": key})


def _route_of(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", NO_ROUTE)


def _change_in(message: Message) -> int | None:
    for name, value in message["headers"]:
        if name == b"change-number":
            return int(value)
    return None
