"""Connections as the server holds them: how many, from where, and how long one may keep it waiting.

The server reads requests; here is what it lets anybody do: open connections without end, begin a
request and never finish it, send headers without end. What a connection waits for is looked at
from time to time, so that a request that is quick costs nothing more.
"""

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from operator import is_
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.errors import (
    BadRequest,
    HeadersTooLarge,
    Problem,
    RequestTimeout,
    ServerFull,
    TooLarge,
    TooManyConnections,
)
from app.http.problems import RETRY_AFTER, render
from app.http.security import ALWAYS

HEAD_BYTES = 32 * 2**10
"""Of the first line of a request and its headers."""
MARGIN = 32
"""Connections beyond the bound that are still heard: for checks of health, and to be told why."""
CLIENT_MARGIN = 4
"""The same beyond the bound of one client."""
SEND_SECONDS = 60
"""For the rest of an answer to be taken, once all of it is written."""
LINGER_SECONDS = 2
"""For a body that nobody wants any more: to close at once could cost the client the answer."""

_HEALTH = b"/health/"
_LOOK_SECONDS = 0.1
_ROUND_SECONDS = 1.0
"""In which every connection is looked at once."""
_SELDOM_SECONDS = 10
_FILES_APART = 64
"""Open files that are neither connections of clients nor to the database."""

_OPEN_FILES = Path("/proc/self/fd")

_log = logging.getLogger(__name__)


class _Seldom(logging.Filter):
    """Lets each warning pass once in a while: strangers cause them."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to write it down."""
        if record.levelno != logging.WARNING:
            return True
        message = str(record.msg)
        last = self._passed.get(message, -float("inf"))
        if record.created - last < _SELDOM_SECONDS:
            return False
        self._passed[message] = record.created
        return True


_log.addFilter(_Seldom())


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What clients of one process may do. Seconds are since the wait began."""

    in_all: int = 10_000
    per_client: int = 500
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    request_bytes: int = 8_000_000
    """Of a request with its framing, which can be several times its body."""
    database_connections: int = 0
    """They need open files, too."""
    proxies: str = ""
    """Addresses and networks to which the bound of a client does not apply, or ``*``."""


class _Wait(Enum):
    """What a connection may be waiting for."""

    FIRST_BYTE = auto()
    HEADERS = auto()
    BODY = auto()
    UNWANTED_BODY = auto()
    READER = auto()
    """Who is to take the answer."""
    NEXT_REQUEST = auto()


_IDLE = {_Wait.FIRST_BYTE, _Wait.HEADERS, _Wait.NEXT_REQUEST}
"""Nothing is lost where such a connection is closed for another."""


class Crowd:
    """All connections of a process."""

    def __init__(self, limits: ConnectionLimits, root: str = "") -> None:
        """``root`` is the path that a proxy adds to addresses."""
        self.limits = limits
        self.root = root
        self._members: dict[Connection, None] = {}
        self._by_client: Counter[str] = Counter()
        self._most = 0
        """Bound of all connections; 0 before the first one."""
        self._round: Iterator[Connection] = iter(())
        self._idle: dict[Connection, None] = {}
        """Those that were idle when last looked at, the longest first."""
        self._is_looking = False

    def enter(self, connection: "Connection") -> Problem | None:
        """Take a connection in. Return what to tell it if it is one too many."""
        if not self._most:
            self._most = _files_allow(self.limits)
            logging.getLogger("uvicorn.error").addFilter(_Seldom())
        limits, client = self.limits, connection.client_network
        self._members[connection] = None
        if client is not None:
            self._by_client[client] += 1
        if not self._is_looking:
            self._is_looking = True
            connection.loop.call_later(_LOOK_SECONDS, self._look, connection.loop)
        if client is not None and self._by_client[client] > limits.per_client:
            _log.warning("A client has more than %d connections open", limits.per_client)
            connection.is_heard = self._by_client[client] <= limits.per_client + CLIENT_MARGIN
            return TooManyConnections(
                f"This client has {limits.per_client} connections open already.",
                headers={"Retry-After": RETRY_AFTER},
            )
        if len(self._members) <= self._most or self._close_an_idle_one():
            return None
        _log.warning("All %d connections are in use: others are refused", self._most)
        connection.is_heard = len(self._members) <= self._most + MARGIN
        return ServerFull("All connections are in use.", headers={"Retry-After": RETRY_AFTER})

    def leave(self, connection: "Connection") -> None:
        """Let a connection go; it may be gone already."""
        if connection not in self._members:
            return
        del self._members[connection]
        self._idle.pop(connection, None)
        client = connection.client_network
        if client is not None:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def is_proxy(self, address: IPv4Address | IPv6Address) -> bool:
        """Tell whether many clients may come from an address."""
        return self.limits.proxies == "*" or any(
            address in network for network in _networks(self.limits.proxies)
        )

    def _close_an_idle_one(self) -> bool:
        """Close the connection that was idle for longest, if there is one; tell whether."""
        while self._idle:
            connection = next(iter(self._idle))
            del self._idle[connection]
            wait = connection.waits_for()
            if wait is not None and wait[0] in _IDLE:
                _log.warning("All %d connections are in use: idle ones are closed", self._most)
                self.leave(connection)
                connection.transport.abort()
                return True
        return False

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at a part of the connections: at all of them at once, others would wait."""
        now = loop.time()
        for _ in range(1 + int(len(self._members) * _LOOK_SECONDS / _ROUND_SECONDS)):
            connection = next(self._round, None)
            if connection is None:
                self._round = iter(list(self._members))
                break
            if connection in self._members:
                self._look_at(connection, now)
        self._is_looking = bool(self._members)
        if self._is_looking:
            loop.call_later(_LOOK_SECONDS, self._look, loop)

    def _look_at(self, connection: "Connection", now: float) -> None:
        found = connection.waits_for()
        if found is None or found[0] not in _IDLE:
            self._idle.pop(connection, None)
        else:
            self._idle.setdefault(connection)
        before = connection.found_waiting
        if found is None or before is None or not all(map(is_, found, before)):
            connection.found_waiting, connection.waiting_since = found, now
        elif now - connection.waiting_since >= self._patience(found[0]):
            connection.time_out(found[0])

    def _patience(self, wait: _Wait) -> float:
        match wait:
            case _Wait.FIRST_BYTE | _Wait.HEADERS:
                return self.limits.header_seconds
            case _Wait.BODY:
                return self.limits.body_seconds
            case _Wait.UNWANTED_BODY:
                return LINGER_SECONDS
            case _Wait.READER:
                return SEND_SECONDS
            case _Wait.NEXT_REQUEST:
                return float("inf")  # the server itself sees to it


class ServerConfig(uvicorn.Config):
    """How to serve, and what connections may do."""

    crowd: Crowd


class Connection(HttpToolsProtocol):
    """One connection of the server."""

    config: ServerConfig

    # Any: as the server has it.
    def __init__(self, config: ServerConfig, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(config, *args, **kwargs)
        self.client_network: str | None = None
        """Whose connections are counted together; None if they are not."""
        self.is_heard = True
        """Whether its request is read before it is refused."""
        self.found_waiting: tuple[_Wait, object] | None = None
        self.waiting_since = 0.0
        self._crowd = config.crowd
        self._application = self.app
        self._problem: Problem | None = None
        """What to tell it, unless it asks after the service's health."""
        self._received = 0
        """Bytes of a request that is not complete."""
        self._is_long = False
        """Whether headers that end now may be too long."""

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The newest request whose headers are complete."""
        return cast("RequestResponseCycle | None", self.cycle)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, if there is room."""
        super().connection_made(transport)
        self.client_network = self._network_of(self.client)
        self._problem = self._crowd.enter(self)
        if self._problem is not None and not self.is_heard:
            self._refuse(self._problem)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._crowd.leave(self)

    def data_received(self, data: bytes) -> None:
        """Read on, until a request has too many bytes."""
        self._is_long = self._received + len(data) > HEAD_BYTES
        super().data_received(data)
        cycle = self._request
        is_head = cycle is None or cycle.scope is not self.scope
        if cycle is not None and not is_head and not cycle.more_body:
            self._received = 0
            return
        self._received += len(data)
        if is_head and self._received > HEAD_BYTES:
            self._refuse(_too_long())
        elif self._received > self._crowd.limits.request_bytes:
            self._refuse(TooLarge("The request has too many bytes."))

    def on_headers_complete(self) -> None:
        """Begin to answer, unless there is something to tell instead."""
        if self._problem is not None or self._is_long:
            problem = None if self.url.startswith(_HEALTH) else self._problem
            if self._head_bytes() > HEAD_BYTES:
                problem = _too_long()
            self.app = self._application if problem is None else _telling(problem, self._crowd.root)
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close."""
        self._refuse(BadRequest(msg))

    def waits_for(self) -> tuple[_Wait, object] | None:
        """Return what it waits for its client to do, and of which request; None if nothing."""
        scope, cycle = cast("Scope | None", self.scope), self._request
        if scope is None:
            return _Wait.FIRST_BYTE, None
        if cycle is None or cycle.scope is not scope:
            return _Wait.HEADERS, scope
        if cycle.more_body:
            is_unwanted = cycle.response_complete
            return (_Wait.UNWANTED_BODY if is_unwanted else _Wait.BODY), cycle
        if not cycle.response_complete:
            return None
        is_taken = not self.transport.get_write_buffer_size()
        return (_Wait.NEXT_REQUEST if is_taken else _Wait.READER), cycle

    def time_out(self, wait: _Wait) -> None:
        """End what took too long."""
        match wait:
            case _Wait.HEADERS | _Wait.BODY:
                self._refuse(RequestTimeout("The request was not complete in time."))
            case _Wait.READER:
                self.transport.abort()
            case _:
                self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Tell a problem, if nothing else is being told, and close."""
        cycle = self._request
        if self.transport.is_closing():
            return
        if (
            cycle is None
            or cycle.response_complete
            or not (cycle.response_started or cycle.scope is not self.scope)
        ):
            self.transport.write(written(problem, self._crowd.root))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _network_of(self, client: tuple[str, int] | None) -> str | None:
        """Return an address, or the network that one client of IPv6 has."""
        try:
            address = ip_address(client[0] if client else "")
        except ValueError:
            return None
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if self._crowd.is_proxy(address):
            return None
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, 64), strict=False))
        return str(address)


def written(problem: Problem, root: str) -> bytes:
    """Return a problem as bytes of HTTP/1.1, after which the connection is closed."""
    headers, body = _closing(problem, root)
    status = HTTPStatus(problem.status)
    head = b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())
    return b"".join([head, *(b"%b: %b\r\n" % header for header in headers), b"\r\n", body])


def _closing(problem: Problem, root: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body of a problem after which the connection is closed."""
    response = render(problem, root)
    headers = [*response.raw_headers, *ALWAYS, (b"connection", b"close")]
    return headers, bytes(response.body)


def _too_long() -> HeadersTooLarge:
    return HeadersTooLarge(f"The request line and headers may have {HEAD_BYTES} bytes.")


# Any: the messages of ASGI, as the server has them.
def _telling(problem: Problem, root: str) -> Callable[..., Awaitable[None]]:
    """Return an application that tells a problem, and has the connection closed."""

    async def tell(_: object, __: object, send: Callable[[Any], Awaitable[None]]) -> None:
        headers, body = _closing(problem, root)
        start = {"type": "http.response.start", "status": problem.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return tell


def open_as_many_files_as_allowed() -> None:
    """Raise the limit of open files of this process, and of those that it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _files_allow(limits: ConnectionLimits) -> int:
    """Return how many connections there may be, with files left for the margin and the rest."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    apart = sum(1 for _ in _OPEN_FILES.iterdir()) if _OPEN_FILES.is_dir() else 0
    left = files - apart - limits.database_connections - _FILES_APART - 2 * MARGIN
    most = max(1, min(limits.in_all, left))
    if most < limits.in_all:
        _log.warning("%d open files are allowed: %d connections are served at once", files, most)
    return most


def _networks(listed: str) -> Iterator[IPv4Network | IPv6Network]:
    for name in listed.split(","):
        try:
            yield ip_network(name.strip())
        except ValueError:
            continue  # a name, as of a socket: it has no address
