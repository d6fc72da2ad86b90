"""Readers of the stream of changes: of its bytes, over HTTP, and at the service's own door."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import httpx2
from starlette.types import ASGIApp, Message, Scope

from tests import clients
from tests.api import Json
from tests.waiting import until

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Event:
    """A block of a stream; a bare id, an opening and a heartbeat have no name."""

    id: int | None
    name: str | None
    data: Json


def parse(text: str) -> list[Event]:
    """Return the blocks of a stream as the standard reads them."""
    found = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
        assert fields.keys() <= {"id", "event", "data", "retry", ":"}, block
        number = int(fields["id"]) if "id" in fields else None
        found.append(Event(number, fields.get("event"), json.loads(fields.get("data", "{}"))))
    return found


def changes_in(events: list[Event]) -> list[Json]:
    """Return the changes that were told, each under its own number."""
    told = [event for event in events if event.name is not None]
    for event in told:
        assert (event.id, event.name) == (event.data["change"], event.data["kind"])
    return [event.data for event in told]


@dataclass
class Reader:
    """A request for the stream, made of the service itself; it may stop reading."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    header_names: list[str] = field(default_factory=list)
    """Each as often as it was told."""
    text: str = ""
    has_ended: bool = False
    """In order, by the last message that a server takes."""
    room: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def events(self) -> list[Event]:
        return parse(self.text)

    @property
    def changes(self) -> list[Json]:
        return changes_in(self.events)

    @property
    def numbers(self) -> list[int]:
        return [int(str(one["change"])) for one in self.changes]

    async def send(self, message: Message) -> None:
        await self.room.wait()  # like a server: before it takes anything
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self.header_names = [name.decode() for name, _ in message["headers"]]
            return
        self.text += message["body"].decode()
        if not message.get("more_body", False):
            self.has_ended = True
            self._gone.set()

    async def receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def go(self) -> None:
        self._gone.set()


@asynccontextmanager
async def reading(
    service: ASGIApp, query: str = "", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Reader]:
    """Follow the stream of a service in this process until the block ends."""
    reader = Reader()
    reader.room.set()
    given = {"host": "crossings.test", "accept": EVENT_STREAM, **(headers or {})}
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/changes",
        "raw_path": b"/v1/changes",
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "server": ("crossings.test", 80),
        "client": ("127.0.0.1", 1),
    }
    task = asyncio.ensure_future(_run(service, scope, reader))
    try:
        await until(lambda: reader.text or task.done())
        yield reader
    finally:
        reader.room.set()
        reader.go()
        await task


async def _run(service: ASGIApp, scope: Scope, reader: Reader) -> None:
    await service(scope, reader.receive, reader.send)


@dataclass
class Follower:
    """Reads over HTTP, drops the connection, and resumes where it was."""

    url: str
    last: int
    drops_after: int
    """How many changes it reads before it drops its connection."""
    told: list[Json] = field(default_factory=list)
    ended: int = 0
    """How many connections ended in order, or by its own dropping them."""

    async def follow(self) -> None:
        """Read until cancelled, over as many connections as it takes."""
        async with clients.async_client() as client:
            while True:
                with suppress(httpx2.TransportError):
                    await self._read(client)
                    self.ended += 1
                await anyio.sleep(0.05)

    async def _read(self, client: httpx2.AsyncClient) -> None:
        headers = {"Accept": EVENT_STREAM, "Last-Event-ID": str(self.last)}
        async with client.stream("GET", f"{self.url}/v1/changes", headers=headers) as answer:
            if answer.status_code == 503:
                return
            assert answer.status_code == 200, await answer.aread()
            text, read = "", 0
            async for part in answer.aiter_text():
                whole, found, text = (text + part).rpartition("\n\n")
                for change in changes_in(parse(whole + found)):
                    self.told.append(change)
                    self.last = int(str(change["change"]))
                    read += 1
                if read >= self.drops_after:
                    return
