"""A web server of an agency that answers as a test wants: well, badly, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.waiting import until

Write = Callable[[bytes], Awaitable[None]]
Answer = Callable[["Request", Write], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """A request as it came; the names of headers are in lower case."""

    path: str
    headers: dict[str, str]
    closing: asyncio.Event
    """Set when the server goes."""


def http(code: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {code} As told", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def giving(body: bytes, *headers: str, code: int = 200) -> Answer:
    async def answer(_: Request, write: Write) -> None:
        await write(http(code, *headers, body=body))

    return answer


def validated(body: bytes, etag: str, modified: str) -> Answer:
    """Give a body only to who does not have it yet."""

    async def answer(request: Request, write: Write) -> None:
        known = (request.headers.get("if-none-match"), request.headers.get("if-modified-since"))
        if known == (etag, modified):
            await write(http(304, f"ETag: {etag}"))
        else:
            await write(http(200, f"ETag: {etag}", f"Last-Modified: {modified}", body=body))

    return answer


async def hang(request: Request, _: Write) -> None:
    await request.closing.wait()


async def trickle(request: Request, write: Write) -> None:
    """Give a payload byte by byte, without end."""
    await write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not request.closing.is_set():
        await write(b"1\r\n[\r\n")
        await asyncio.sleep(0.02)


async def flood(request: Request, write: Write) -> None:
    """Give more and more, and never say how much it will be."""
    await write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    part = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
    with suppress(ConnectionError):
        while not request.closing.is_set():
            await write(part)


async def cut_off(_: Request, write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[{")
    raise ConnectionError


async def mumble(_: Request, write: Write) -> None:
    await write(b"What is HTTP?\r\n\r\n")
    raise ConnectionError


@dataclass
class Agency:
    """A server on loopback."""

    answer: Answer
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/waits"

    async def asked(self, count: int) -> list[Request]:
        """Wait until so many requests came, and return them all."""
        await until(lambda: len(self.requests) >= count)
        return list(self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections[task] = writer

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode().rstrip().split("\r\n")
                named = (line.partition(": ") for line in lines)
                headers = {name.lower(): value for name, _, value in named}
                request = Request(first.split()[1], headers, self.closing)
                self.requests.append(request)
                await self.answer(request, write)
        writer.close()


@asynccontextmanager
async def publishing(answer: Answer) -> AsyncIterator[Agency]:
    agency = Agency(answer)
    server = await asyncio.start_server(agency.serve, "127.0.0.1", 0)
    agency.port = server.sockets[0].getsockname()[1]
    try:
        yield agency
    finally:
        agency.closing.set()
        server.close()
        for writer in agency.connections.values():
            writer.close()
        if agency.connections:
            await asyncio.wait(agency.connections)
