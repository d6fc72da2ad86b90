"""Strangers may open connections, send nothing, or never end: others are served all the same."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from app.embedded.server import Server
from app.http.connections import CLIENT_MARGIN, HEAD_BYTES, MARGIN
from tests.api import SUMSKAS, problem
from tests.conftest import SEEDED, Database, clone
from tests.marks import full
from tests.servers import Service, service
from tests.waiting import PATIENCE, until

STATUS = f"/v1/crossings/{SUMSKAS}/status"
MOST, PER_CLIENT = 40, 8
LIMITED = {
    "CROSSINGS_MAX_CONNECTIONS": str(MOST),
    "CROSSINGS_MAX_CONNECTIONS_PER_CLIENT": str(PER_CLIENT),
    "CROSSINGS_HEADER_SECONDS": "0.5",
    "CROSSINGS_BODY_SECONDS": "0.5",
    "CROSSINGS_IDLE_SECONDS": "600",
    # So that those of this machine are counted.
    "CROSSINGS_TRUSTED_PROXIES": "127.0.0.250",
}
PATIENT = {**LIMITED, "CROSSINGS_HEADER_SECONDS": "600", "CROSSINGS_BODY_SECONDS": "600"}


@dataclass
class Line:
    """A connection to a service, from an address of this machine."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, sent: bytes) -> None:
        self.writer.write(sent)
        await self.writer.drain()

    async def get(self, path: str) -> httpx2.Response:
        """Ask, and return what is answered; the connection stays open if the service lets it."""
        await self.send(b"GET %b HTTP/1.1\r\nHost: crossings.test\r\n\r\n" % path.encode())
        return await self.answer()

    async def answer(self) -> httpx2.Response:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
            status, *lines = head.split(b"\r\n")
            pairs = [line.partition(b": ") for line in lines]
            headers = httpx2.Headers([(name, value) for name, _, value in pairs])
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return httpx2.Response(int(status.split()[1]), headers=headers, content=body)

    async def follow(self) -> None:
        """Open the stream, which goes on: the connection is busy."""
        asked = b"GET /v1/changes HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
        await self.send(asked)
        async with asyncio.timeout(PATIENCE):
            assert b"200 OK" in await self.reader.readuntil(b"retry: ")

    async def ends(self) -> bytes:
        """Wait until the service closes it, and return what came before."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def lines(port: int) -> AsyncIterator["Opener"]:
    """Give what opens connections, and closes them at the end."""
    opener = Opener(port)
    try:
        yield opener
    finally:
        for line in opener.opened:
            line.close()


class Opener:
    """Opens connections to one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.opened: list[Line] = []

    async def __call__(self, client: int = 1) -> Line:
        """Open a connection from one of the addresses of this machine."""
        local = (f"127.0.{client // 200}.{client % 200 + 1}", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=local)
        line = Line(reader, writer)
        self.opened.append(line)
        return line


@pytest.fixture(scope="module")
def shared(postgres: Server) -> Iterator[Database]:
    with clone(postgres, SEEDED) as found:
        yield found


@pytest.fixture(scope="module")
def hasty(shared: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits for nobody."""
    log = tmp_path_factory.mktemp("hasty") / "serve.log"
    with service(log, database_url=shared.url, worker=False, more=LIMITED) as running:
        yield running


@pytest.fixture
def patient(shared: Database, tmp_path: Path) -> Iterator[Service]:
    """A service that waits for everybody, but has room for few."""
    log = tmp_path / "serve.log"
    with service(log, database_url=shared.url, worker=False, more=PATIENT) as running:
        yield running


# What takes too long


@full
async def test_who_says_nothing_is_let_go(hasty: Service) -> None:
    async with lines(hasty.port) as connect:
        assert await (await connect()).ends() == b""


@full
@pytest.mark.parametrize(
    "begun",
    [
        b"G",
        b"GET /v1 HTTP/1.1\r\nHost: crossings.test\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: crossings.test\r\nContent-Le",
    ],
)
async def test_headers_that_do_not_end_are_refused(hasty: Service, begun: bytes) -> None:
    async with lines(hasty.port) as connect:
        line = await connect()
        await line.send(begun)
        problem(await line.answer(), 408, "request-timeout")
        assert await line.ends() == b""


async def test_headers_that_trickle_in_are_refused_too(hasty: Service) -> None:
    async with lines(hasty.port) as connect:
        line = await connect()
        await line.send(b"GET /v1 HTTP/1.1\r\nHost: crossings.test\r\n")

        async def trickle() -> None:
            while not line.writer.is_closing():
                await line.send(b"X: y\r\n")
                await asyncio.sleep(0.05)

        trickling = asyncio.ensure_future(trickle())
        try:
            problem(await line.answer(), 408, "request-timeout")
        finally:
            trickling.cancel()
            await asyncio.wait([trickling])


async def test_headers_after_an_answer_are_waited_for_no_longer(hasty: Service) -> None:
    async with lines(hasty.port) as connect:
        line = await connect()
        assert (await line.get(STATUS)).status_code == 200
        await line.send(b"GET /v1 HT")
        problem(await line.answer(), 408, "request-timeout")


async def test_a_body_that_does_not_end_is_refused_and_leaves_nothing_behind(
    hasty: Service, shared: Database
) -> None:
    key = await shared.new_key()
    with shared.connect() as connection:
        (before,) = connection.execute("SELECT count(*) FROM change").fetchone() or ()
    async with lines(hasty.port) as connect:
        line = await connect()
        head = (
            "POST /v1/sources HTTP/1.1\r\nHost: crossings.test\r\nContent-Type: application/json"
            f"\r\nAuthorization: Bearer {key}\r\nContent-Length: 100\r\n\r\n"
        )
        await line.send(head.encode() + b'{"title": "Half of')
        problem(await line.answer(), 408, "request-timeout")
        assert await line.ends() == b""
    with shared.connect() as connection:
        assert connection.execute("SELECT count(*) FROM change").fetchone() == (before,)


async def test_a_body_that_nobody_wants_is_not_read_to_its_end(hasty: Service) -> None:
    async with lines(hasty.port) as connect:
        line = await connect()
        await line.send(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n{")
        assert (await line.answer()).status_code == 401
        assert await line.ends() == b""


async def test_a_stream_may_take_as_long_as_it_likes(hasty: Service) -> None:
    async with lines(hasty.port) as connect:
        line, others = await connect(), await connect(2)
        await line.follow()
        assert await others.ends() == b""  # which took longer than the service waits for anybody
        assert not line.reader.at_eof()


# What is too long


def request_of(size: int) -> bytes:
    """Return a request whose first line and headers count as so many bytes."""
    counted = len(STATUS) + len("hosta") + len("x-long") + 2 * 4
    long = b"x" * (size - counted)
    return b"GET %b HTTP/1.1\r\nHost: a\r\nX-Long: %b\r\n\r\n" % (STATUS.encode(), long)


async def test_headers_of_the_limit_are_taken_and_a_byte_more_is_not(hasty: Service) -> None:
    async with lines(hasty.port) as connect:
        line = await connect()
        await line.send(request_of(HEAD_BYTES))
        assert (await line.answer()).status_code == 200
        for size in (HEAD_BYTES + 1, 200_000):
            line = await connect()
            await line.send(request_of(size))
            problem(await line.answer(), 431, "headers-too-large")
            assert await line.ends() == b""


@full
async def test_headers_without_an_end_are_refused_as_soon_as_they_are_too_long(
    patient: Service,
) -> None:
    async with lines(patient.port) as connect:
        line = await connect()
        await line.send(b"GET /v1 HTTP/1.1\r\nHost: a\r\n")
        for _ in range(HEAD_BYTES // 1_000 + 1):
            await line.send(b"X: %b\r\n" % (b"y" * 995))
        problem(await line.answer(), 431, "headers-too-large")


async def test_a_long_address_counts(hasty: Service) -> None:
    async with lines(hasty.port) as connect:
        line = await connect()
        await line.send(b"GET /v1?%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * HEAD_BYTES))
        problem(await line.answer(), 431, "headers-too-large")


async def test_a_body_may_be_longer_than_headers(hasty: Service, shared: Database) -> None:
    key = await shared.new_key()
    async with hasty.api(key) as api:
        content = b'{"title": "A title"}'.ljust(60_000)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        path = "/v1/sources?validate_only=true"
        answer = await api.client.post(path, content=content, headers=headers)
    assert answer.status_code == 200


# What is too many


@full
async def test_one_client_may_have_so_many_connections_and_no_more(patient: Service) -> None:
    """Another is served meanwhile, and so is the health of the service."""
    async with lines(patient.port) as connect:
        for _ in range(PER_CLIENT):
            assert (await (await connect()).get(STATUS)).status_code == 200
        surplus = await connect()
        assert (await surplus.get("/health/live")).status_code == 200
        refused = await surplus.get(STATUS)
        problem(refused, 429, "too-many-connections")
        assert int(refused.headers["retry-after"]) > 0
        assert await surplus.ends() == b""
        assert (await (await connect(2)).get(STATUS)).status_code == 200


@full
async def test_far_beyond_its_limit_a_client_is_not_even_heard(patient: Service) -> None:
    async with lines(patient.port) as connect:
        for _ in range(PER_CLIENT + CLIENT_MARGIN):
            await connect()
        problem(await (await connect()).answer(), 429, "too-many-connections")


@full
async def test_a_client_that_leaves_makes_room_for_its_next_connection(patient: Service) -> None:
    async with lines(patient.port) as connect:
        for _ in range(PER_CLIENT):
            assert (await (await connect()).get(STATUS)).status_code == 200
        connect.opened[0].close()

        async def is_served() -> bool:
            return (await (await connect()).get(STATUS)).status_code == 200

        await until(is_served)


@full
async def test_idle_connections_give_way_to_whoever_asks(patient: Service) -> None:
    """Those that were silent for longest; none that is being answered."""
    async with lines(patient.port) as connect:
        busy = await connect(100)
        await busy.follow()
        idle = [await connect(number % 10) for number in range(MOST - 1)]

        async def is_served() -> bool:
            # The service has to find out first who is idle.
            line = await connect(101)
            served = (await line.get(STATUS)).status_code == 200
            line.close()
            return served

        await until(is_served)
        assert not busy.reader.at_eof()
        await until(lambda: any(line.reader.at_eof() for line in idle))
    assert "idle ones are closed" in patient.log.read_text(encoding="utf-8")


@full
async def test_when_all_are_busy_the_next_is_told_so_and_health_is_still_answered(
    patient: Service,
) -> None:
    async with lines(patient.port) as connect:
        busy = [await connect(number % 10) for number in range(MOST)]
        await asyncio.gather(*(line.follow() for line in busy))
        next_one = await connect(101)
        assert (await next_one.get("/health/ready")).status_code == 200
        refused = await next_one.get(STATUS)
        problem(refused, 503, "server-full")
        assert int(refused.headers["retry-after"]) > 0
        for number in range(MARGIN):
            await connect(110 + number)
        problem(await (await connect(102)).answer(), 503, "server-full")
    log = patient.log.read_text(encoding="utf-8")
    assert log.count("connections are in use: others are refused") == 1


@full
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="it lowers the limit of open files")
async def test_where_few_files_may_be_open_there_are_fewer_connections(
    shared: Database, tmp_path: Path
) -> None:
    """The database and others need files, too: no connection is accepted that has none."""
    more = {
        "CROSSINGS_POOL_SIZE": "4",
        "CROSSINGS_HEADER_SECONDS": "600",
        "CROSSINGS_TRUSTED_PROXIES": "*",
    }
    few = ("prlimit", "--nofile=300:300")
    log = tmp_path / "serve.log"
    with service(log, database_url=shared.url, worker=False, more=more, within=few) as running:
        async with lines(running.port) as connect:
            for number in range(400):
                await connect(number % 20)

            async def are_served() -> bool:
                answers = [await (await connect()).get(path) for path in (STATUS, "/v1/events")]
                return [answer.status_code for answer in answers] == [200, 200]

            await until(are_served)
    assert "300 open files are allowed" in log.read_text(encoding="utf-8")


@full
async def test_a_crowd_that_does_nothing_leaves_readers_unharmed(
    shared: Database, tmp_path: Path
) -> None:
    """10,000 connections that say nothing, 300 that never end, and 200 streams of one client."""
    log = tmp_path / "serve.log"
    more = {"CROSSINGS_TRUSTED_PROXIES": "127.0.0.250", "CROSSINGS_HEADER_SECONDS": "20"}
    with service(log, database_url=shared.url, worker=False, more=more) as running:
        async with lines(running.port) as connect:
            streams = [await connect(1) for _ in range(200)]
            await asyncio.gather(*(line.follow() for line in streams))
            slow = [await connect(2 + number % 3) for number in range(300)]
            trickling = asyncio.ensure_future(_trickle(slow))
            reading = asyncio.ensure_future(_read(connect))
            for number in range(10_000):
                await connect(200 + number % 100)
            trickling.cancel()
            statuses = await reading
        assert statuses == [200] * len(statuses)


async def _trickle(slow: list[Line]) -> None:
    for line in slow:
        await line.send(b"GET /v1 HTTP/1.1\r\nHost: a\r\n")
    while True:
        for line in slow:
            if not line.reader.at_eof():
                line.writer.write(b"X")
        await asyncio.sleep(0.2)


async def _read(connect: Opener) -> list[int]:
    """Read from another address, each time by a connection of its own, while others crowd in."""
    statuses = []
    for _ in range(500):
        line = await connect(150)
        statuses.append((await line.get(STATUS)).status_code)
        line.close()
        await asyncio.sleep(0.01)
    return statuses
