"""A receiver of webhooks that does what it is told, and what came to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from pydantic import JsonValue
from standardwebhooks import Webhook

from tests.waiting import until

Write = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True)
class Arrival:
    """A request as it came; the names of headers are in lower case."""

    headers: dict[str, str]
    body: bytes
    method: str = "POST"

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = json.loads(self.body)
        return found

    @property
    def change(self) -> int:
        return int(str(self.event["sequence"]))

    @property
    def crossings(self) -> frozenset[str]:
        data = self.event["data"]
        assert isinstance(data, dict)
        subjects = data["subjects"]
        assert isinstance(subjects, dict)
        crossings = subjects.get("crossings", [])
        assert isinstance(crossings, list)
        return frozenset(map(str, crossings))

    def verify(self, secret: object) -> None:
        """Raise unless it was signed by ``secret``, as the public library sees it."""
        Webhook(str(secret)).verify(self.body, self.headers)


Answer = Callable[["Receiver", Arrival, Write], Awaitable[None]]


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {code} As told", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def accept(_: "Receiver", __: Arrival, write: Write) -> None:
    await write(status(200))


async def agree(_: "Receiver", asked: Arrival, write: Write) -> None:
    origin = asked.headers["webhook-request-origin"]
    await write(status(200, f"WebHook-Allowed-Origin: {origin}", "WebHook-Allowed-Rate: 100"))


def answering(*codes: int, headers: tuple[str, ...] = ()) -> Answer:
    """Return an answer that gives these statuses in turn, and the last one from then on."""
    left = list(codes)

    async def answer(_: "Receiver", __: Arrival, write: Write) -> None:
        await write(status(left.pop(0) if len(left) > 1 else left[0], *headers))

    return answer


async def hang(receiver: "Receiver", _: Arrival, __: Write) -> None:
    await receiver.closing.wait()


async def close_early(receiver: "Receiver", _: Arrival, write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\nContent-Length")
    receiver.is_cutting = True


async def drip(receiver: "Receiver", _: Arrival, write: Write) -> None:
    """Answer byte by byte, without end."""
    await write(b"HTTP/1.1 200 OK\r\nSlow: ")
    while not receiver.closing.is_set():
        await write(b".")
        await asyncio.sleep(0.05)


@dataclass
class Receiver:
    """A server on loopback. ``arrived`` is every message that came, in the order they came.

    ``handshake`` is how it answers who asks whether it wants to be called.
    """

    answer: Answer = accept
    handshake: Answer = agree
    asked: list[Arrival] = field(default_factory=list)
    """Every time that it was asked."""
    arrived: list[Arrival] = field(default_factory=list)
    accepted: list[Arrival] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    port: int = 0
    is_cutting: bool = False
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def got(self, count: int) -> list[Arrival]:
        """Wait until so many requests came, and return them all."""
        await until(lambda: len(self.arrived) >= count)
        return list(self.arrived)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not self.is_cutting:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode().rstrip().split("\r\n")
                named = (line.partition(": ") for line in lines)
                headers = {name.lower(): value for name, _, value in named}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await self._take(Arrival(headers, body, first.partition(" ")[0]), writer)
        writer.close()

    async def _take(self, arrival: Arrival, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()
            is_message = arrival.method == "POST"
            if is_message and data.startswith(b"HTTP/1.1 2") and data.endswith(b"\r\n\r\n"):
                self.accepted.append(arrival)

        if arrival.method == "OPTIONS":
            self.asked.append(arrival)
            await self.handshake(self, arrival, write)
            return
        self.arrived.append(arrival)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.answer(self, arrival, write)
        finally:
            self.under_way -= 1


@asynccontextmanager
async def receiving(answer: Answer = accept) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.close()
