"""Limits on connections: how many there are, in all and from one client, and how long each waits.

Uvicorn itself lets a client open any number of connections, begin a request and never finish it,
and send headers without end. What a connection waits for is checked periodically rather than by a
timer for each, so that a quick request costs nothing more.
"""

import asyncio
import gc
import logging
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
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
from app.garbage import collection_paused
from app.http.clients import network_of, parse_address
from app.http.problems import RETRY_AFTER, render
from app.http.security import ALWAYS

HEAD_BYTES = 32 * 2**10
"""The longest request line and headers together."""
MARGIN = 32
"""Connections beyond the limit whose request is still read: health checks, and to answer why."""
CLIENT_MARGIN = 4
"""The same beyond the limit for one client."""
SEND_SECONDS = 60
"""Seconds for a client to read the rest of a response, once all of it is written."""
LINGER_SECONDS = 2
"""Seconds to go on reading an unwanted body: closing at once could cost the client the response."""

_HEALTH = b"/health/"
_CHECK_SECONDS = 0.1
_ROUND_SECONDS = 1.0
"""In which every connection is checked once."""
_SECONDS_BETWEEN_WARNINGS = 10
_OTHER_FILES = 64
"""Open files that are neither connections of clients nor to the database."""

_OPEN_FILES = Path("/proc/self/fd")

_log = logging.getLogger(__name__)


class _RateLimitedWarnings(logging.Filter):
    """Limits how often each warning is logged, since any client can cause it."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        if record.levelno != logging.WARNING:
            return True
        message = str(record.msg)
        last = self._passed.get(message, -float("inf"))
        if record.created - last < _SECONDS_BETWEEN_WARNINGS:
            return False
        self._passed[message] = record.created
        return True


_log.addFilter(_RateLimitedWarnings())


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What clients of one process may do. Seconds count from the start of the wait."""

    total: int = 10_000
    per_client: int = 500
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    request_bytes: int = 8_000_000
    """The longest request with its framing, which can be several times its body."""
    database_connections: int = 0
    """Connections to the database, which need open files, too."""
    proxies: str = ""
    """Addresses and networks to which the limit per client does not apply, or ``*``."""


class _Wait(Enum):
    """What the server waits for a client to send or to read."""

    FIRST_BYTE = auto()
    HEADERS = auto()
    BODY = auto()
    UNWANTED_BODY = auto()
    CLIENT_READS = auto()
    """The rest of a response is to be read."""
    NEXT_REQUEST = auto()


_IDLE = {_Wait.FIRST_BYTE, _Wait.HEADERS, _Wait.NEXT_REQUEST}
"""Waits in which a connection can be closed for another one without losing anything."""


class OpenConnections:
    """All connections of a process."""

    def __init__(self, limits: ConnectionLimits, root: str = "") -> None:
        """``root`` is the path that a proxy adds to addresses."""
        self.limits = limits
        self.root = root
        self._connections: dict[Connection, None] = {}
        self._by_client: Counter[str] = Counter()
        self._limit = 0
        """The limit for all connections; 0 before the first one."""
        self._round: Iterator[Connection] = iter(())
        self._idle: dict[Connection, None] = {}
        """Those that were idle at their last check, the longest idle first."""
        self._is_checking = False

    def add(self, connection: "Connection") -> Problem | None:
        """Add a connection. Return the problem to answer with if it is one too many."""
        if not self._limit:
            self._limit = _connection_limit(self.limits)
            logging.getLogger("uvicorn.error").addFilter(_RateLimitedWarnings())
        limits, client = self.limits, connection.client_network
        self._connections[connection] = None
        if client is not None:
            self._by_client[client] += 1
        if not self._is_checking:
            self._is_checking = True
            connection.loop.call_later(_CHECK_SECONDS, self._check_some, connection.loop)
        if client is not None and self._by_client[client] > limits.per_client:
            _log.warning("A client has more than %d connections open", limits.per_client)
            connection.is_read = self._by_client[client] <= limits.per_client + CLIENT_MARGIN
            return TooManyConnections(
                f"This client has {limits.per_client} connections open already.",
                headers={"Retry-After": RETRY_AFTER},
            )
        if len(self._connections) <= self._limit or self._close_longest_idle():
            return None
        _log.warning("All %d connections are in use: others are refused", self._limit)
        connection.is_read = len(self._connections) <= self._limit + MARGIN
        return ServerFull("All connections are in use.", headers={"Retry-After": RETRY_AFTER})

    def remove(self, connection: "Connection") -> None:
        """Remove a connection, if it is still there."""
        if connection not in self._connections:
            return
        del self._connections[connection]
        self._idle.pop(connection, None)
        client = connection.client_network
        if client is not None:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def is_proxy(self, address: IPv4Address | IPv6Address) -> bool:
        """Return whether many clients may share an address."""
        return self.limits.proxies == "*" or any(
            address in network for network in _networks_in(self.limits.proxies)
        )

    def _close_longest_idle(self) -> bool:
        """Close the connection that was idle for longest; return whether there was one."""
        while self._idle:
            connection = next(iter(self._idle))
            del self._idle[connection]
            wait = connection.waits_for()
            if wait is not None and wait[0] in _IDLE:
                _log.warning("All %d connections are in use: idle ones are closed", self._limit)
                self.remove(connection)
                connection.transport.abort()
                return True
        return False

    def _check_some(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check a part of the connections: checking all at once would delay requests."""
        now = loop.time()
        for _ in range(1 + int(len(self._connections) * _CHECK_SECONDS / _ROUND_SECONDS)):
            connection = next(self._round, None)
            if connection is None:
                self._round = iter(list(self._connections))
                break
            if connection in self._connections:
                self._check(connection, now)
        self._is_checking = bool(self._connections)
        if self._is_checking:
            loop.call_later(_CHECK_SECONDS, self._check_some, loop)

    def _check(self, connection: "Connection", now: float) -> None:
        wait = connection.waits_for()
        if wait is None or wait[0] not in _IDLE:
            self._idle.pop(connection, None)
        else:
            self._idle.setdefault(connection)
        last = connection.last_wait
        if wait is None or last is None or not all(map(is_, wait, last)):
            connection.last_wait, connection.waiting_since = wait, now
        elif now - connection.waiting_since >= self._timeout_of(wait[0]):
            connection.time_out(wait[0])

    def _timeout_of(self, wait: _Wait) -> float:
        match wait:
            case _Wait.FIRST_BYTE | _Wait.HEADERS:
                return self.limits.header_seconds
            case _Wait.BODY:
                return self.limits.body_seconds
            case _Wait.UNWANTED_BODY:
                return LINGER_SECONDS
            case _Wait.CLIENT_READS:
                return SEND_SECONDS
            case _Wait.NEXT_REQUEST:
                return float("inf")  # Uvicorn itself closes it


class ServerConfig(uvicorn.Config):
    """The configuration of Uvicorn, and the connections that it serves."""

    connections: OpenConnections

    def load(self) -> None:
        """Import and build the application."""
        with collection_paused():
            super().load()
        gc.freeze()


class Connection(HttpToolsProtocol):
    """One connection of the server."""

    config: ServerConfig

    # Any: as the server has it.
    def __init__(self, config: ServerConfig, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(config, *args, **kwargs)
        self.client_network: str | None = None
        """The network whose connections are counted together; None if they are not counted."""
        self.is_read = True
        """Whether its request is read before it is refused."""
        self.last_wait: tuple[_Wait, object] | None = None
        self.waiting_since = 0.0
        self._connections = config.connections
        self._application = self.app
        self._problem: Problem | None = None
        """What to answer, except to a health check."""
        self._received = 0
        """Bytes of a request that is not complete."""
        self._is_long = False
        """Whether headers that end now may be too long."""

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The newest request whose headers are complete."""
        return cast("RequestResponseCycle | None", self.cycle)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept it, unless there are too many."""
        super().connection_made(transport)
        self.client_network = self._network_of(self.client)
        self._problem = self._connections.add(self)
        if self._problem is not None and not self.is_read:
            self._refuse(self._problem)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connections.remove(self)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the request has too many bytes."""
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
        elif self._received > self._connections.limits.request_bytes:
            self._refuse(TooLarge("The request has too many bytes."))

    def on_headers_complete(self) -> None:
        """Start the application, or answer with the problem that was found."""
        if self._problem is not None or self._is_long:
            problem = None if self.url.startswith(_HEALTH) else self._problem
            if self._head_bytes() > HEAD_BYTES:
                problem = _too_long()
            self.app = (
                self._application
                if problem is None
                else _answering(problem, self._connections.root)
            )
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not valid HTTP, and close."""
        self._refuse(BadRequest(msg))

    def waits_for(self) -> tuple[_Wait, object] | None:
        """Return what it waits for its client to do, and in which request; None if nothing."""
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
        return (_Wait.NEXT_REQUEST if is_taken else _Wait.CLIENT_READS), cycle

    def time_out(self, wait: _Wait) -> None:
        """End what took too long."""
        match wait:
            case _Wait.HEADERS | _Wait.BODY:
                self._refuse(RequestTimeout("The request was not complete in time."))
            case _Wait.CLIENT_READS:
                self.transport.abort()
            case _:
                self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem, unless a response has begun, and close."""
        cycle = self._request
        if self.transport.is_closing():
            return
        if (
            cycle is None
            or cycle.response_complete
            or not (cycle.response_started or cycle.scope is not self.scope)
        ):
            self.transport.write(written(problem, self._connections.root))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _network_of(self, client: tuple[str, int] | None) -> str | None:
        """Return an address, or the /64 network that one IPv6 client has."""
        address = parse_address(client[0] if client else "")
        if address is None or self._connections.is_proxy(address):
            return None
        return network_of(address)


def written(problem: Problem, root: str) -> bytes:
    """Return a problem as bytes of HTTP/1.1, after which the connection is closed."""
    headers, body = _closing_response(problem, root)
    status = HTTPStatus(problem.status)
    head = b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())
    return b"".join([head, *(b"%b: %b\r\n" % header for header in headers), b"\r\n", body])


def _closing_response(problem: Problem, root: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body of a problem after which the connection is closed."""
    response = render(problem, root)
    headers = [*response.raw_headers, *ALWAYS, (b"connection", b"close")]
    return headers, bytes(response.body)


def _too_long() -> HeadersTooLarge:
    return HeadersTooLarge(f"The request line and headers may have {HEAD_BYTES} bytes.")


# Any: the messages of ASGI, as the server has them.
def _answering(problem: Problem, root: str) -> Callable[..., Awaitable[None]]:
    """Return an application that answers with a problem, after which the connection is closed."""

    async def answer(_: object, __: object, send: Callable[[Any], Awaitable[None]]) -> None:
        headers, body = _closing_response(problem, root)
        start = {"type": "http.response.start", "status": problem.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return answer


def open_as_many_files_as_allowed() -> None:
    """Raise the limit of open files of this process, and of those that it starts."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def _connection_limit(limits: ConnectionLimits) -> int:
    """Return how many connections there may be, with files left for the margin and the rest."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = sum(1 for _ in _OPEN_FILES.iterdir()) if _OPEN_FILES.is_dir() else 0
    left = files - in_use - limits.database_connections - _OTHER_FILES - 2 * MARGIN
    limit = max(1, min(limits.total, left))
    if limit < limits.total:
        _log.warning("%d open files are allowed: %d connections are served at once", files, limit)
    return limit


def _networks_in(listed: str) -> Iterator[IPv4Network | IPv6Network]:
    for name in listed.split(","):
        try:
            yield ip_network(name.strip())
        except ValueError:
            continue  # a name, such as that of a socket, which has no address
