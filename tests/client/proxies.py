"""A real HTTP server between a client and the service, which fails as it is told to."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx2

from tests import clients

PREFIX = "/below"
"""A path under which the proxy serves, too."""


@dataclass(frozen=True)
class Refuse:
    """Answer in place of the service."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True)
class Drop:
    """Pass the request on, and drop the connection before the answer."""


@dataclass(frozen=True)
class Cut:
    """Drop the connection in the middle of the answer: just after some bytes, or so many."""

    after: bytes | int

    def end(self, brought: bytes) -> int | None:
        """Return how much of an answer is to arrive; None if that is not yet known."""
        if isinstance(self.after, int):
            return self.after if len(brought) >= self.after else None
        place = brought.find(self.after)
        return place + len(self.after) if place >= 0 else None


Fault = Refuse | Drop | Cut | None


@dataclass(frozen=True)
class Seen:
    """A request that a client made."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By their names in lower case."""


@dataclass
class Proxy:
    """Serves at ``url``; each request meets the next of ``faults``, then there are none."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(
        self, *arguments: object, proxy: Proxy, upstream: httpx2.Client, **more: object
    ) -> None:
        self.proxy, self.upstream = proxy, upstream
        super().__init__(*arguments, **more)  # type: ignore[arg-type]  # the server's own

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path.removeprefix(PREFIX)
        self.proxy.requests.append(Seen(self.command, path, headers))
        fault = self.proxy.faults.pop(0) if self.proxy.faults else None
        if isinstance(fault, Refuse):
            self._begin(fault.status, fault.headers)
            self._write(fault.body.encode())
            self._write(b"")
            return
        with (
            suppress(OSError, httpx2.HTTPError),
            self.upstream.stream(self.command, path, headers=headers, content=body) as answer,
        ):
            self._pass_on(answer, fault)

    do_GET = do_POST = _answer  # noqa: N815  # the names that the server calls

    def _pass_on(self, answer: httpx2.Response, fault: Fault) -> None:
        if isinstance(fault, Drop):
            self._drop()
            return
        hop = {"transfer-encoding", "content-length", "connection"}
        self._begin(
            answer.status_code,
            {name: value for name, value in answer.headers.items() if name not in hop},
        )
        brought = b""
        for chunk in answer.iter_raw():
            end = fault.end(brought + chunk) if isinstance(fault, Cut) else None
            if end is not None:
                self._write(chunk[: end - len(brought)])
                self._drop()
                return
            self._write(chunk)
            brought += chunk
        self._write(b"")

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _write(self, chunk: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.flush()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def proxy_of(url: str) -> Iterator[Proxy]:
    """Serve what is at ``url`` until the block ends."""
    proxy = Proxy("")
    with clients.client(base_url=url) as upstream:
        handler = partial(_Handler, proxy=proxy, upstream=upstream)
        with _Server(("127.0.0.1", 0), handler) as server:
            proxy.url = f"http://127.0.0.1:{server.server_port}"
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield proxy
            finally:
                server.shutdown()
                thread.join()
