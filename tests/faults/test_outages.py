"""The database goes away, hangs, comes back: answers come, and the app needs no help."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import httpx2
import psycopg
import pytest
from psycopg import sql

from app import schema
from app.embedded.running import serving
from app.embedded.server import DATABASE, OWNER, SERVICE, SUPERUSER
from app.seeding.service import load_seeds
from tests.api import MEDININKAI, SUMSKAS, Api, Json, decision
from tests.conftest import Database, started
from tests.faults.servers import (
    ANSWERED_SECONDS,
    Author,
    Ledger,
    all_changes,
    assert_chained,
    assert_kept,
    assert_unavailable,
    database_of,
    postmaster,
    write_on,
    written_by_hand,
)
from tests.marks import full, in_full
from tests.seeds import SETS
from tests.servers import is_alive, signal_all
from tests.waiting import PATIENCE, eventually, until


@dataclass(frozen=True)
class Fragile:
    """An application whose PostgreSQL we may do anything to."""

    api: Api
    database: Database
    data_dir: Path

    @contextmanager
    def gone(self, how: signal.Signals) -> Iterator[None]:
        """Take the server away; it is brought back, as ever, as soon as it can start."""
        version = self.data_dir / "postgres" / "PG_VERSION"
        hidden = self.data_dir / "hidden"
        version.rename(hidden)
        main = postmaster(self.data_dir)
        family = [main, *main.children(recursive=True)]
        try:
            main.send_signal(how)
            eventually(lambda: not any(map(is_alive, family)))
            yield
        finally:
            hidden.rename(version)

    @contextmanager
    def hung(self, *, backends: bool) -> Iterator[None]:
        """Halt the server's main process, or every process of it."""
        main = postmaster(self.data_dir)
        family = [main, *main.children(recursive=True)] if backends else [main]
        try:
            signal_all(family, signal.SIGSTOP)
            yield
        finally:
            signal_all(family, signal.SIGCONT)

    async def is_ready(self) -> bool:
        return bool((await self.api.get("/health/ready")).json()["status"] == "ready")

    async def is_degraded(self) -> bool:
        return bool((await self.api.get("/health/ready")).json()["status"] == "degraded")

    async def recovers(self) -> None:
        """Wait until the same application is ready, and see that it is whole."""
        await until(self.is_ready)
        await self.api.declare()
        await self.api.status()
        assert_chained(await all_changes(self.api))


@pytest.fixture(scope="module")
def served_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server of this module's own, to be killed as often as need be."""
    data_dir = tmp_path_factory.mktemp("fragile") / "data"
    with serving(data_dir) as server:
        schema.migrate(server.url(OWNER), service_role=SERVICE)
        yield data_dir


@pytest.fixture
async def fragile(served_dir: Path) -> AsyncIterator[Fragile]:
    database = Database(database_of(served_dir), DATABASE)
    eventually(partial(accepts, database))
    async with database.session() as session:
        await load_seeds(session, only=SETS)
    async with database.api() as api:
        yield Fragile(api, database, served_dir)
        # Where a test found requests that hang: they end with the connections' sockets.
        if hanging:
            await asyncio.wait(hanging, timeout=PATIENCE)
            hanging.clear()


def accepts(database: Database) -> bool:
    try:
        database.connect().close()
    except psycopg.OperationalError:
        return False
    return True


Request = Callable[[Api], Awaitable[httpx2.Response]]


def get(path: str, **parameters: str) -> Request:
    return lambda api: api.get(path, **parameters)


def write(**parameters: str) -> Request:
    return lambda api: api.post("/v1/events", decision(), **parameters)


PRESENT: list[Request] = [
    get(f"/v1/crossings/{SUMSKAS}/status"),
    get(f"/v1/crossings/{SUMSKAS}/status", traffic="car", to="LT"),
    get(f"/v1/crossings/{SUMSKAS}"),
    get("/v1/crossings"),
    get("/v1/crossings", border="BY-LT"),
    get("/v1/borders"),
]
HISTORY: list[Request] = [
    get(f"/v1/crossings/{SUMSKAS}/status", at="2023-09-01T00:00:00Z"),
    get(f"/v1/crossings/{SUMSKAS}/status", known_at="2026-11-01T00:00:00Z"),
    get(f"/v1/crossings/{SUMSKAS}/timeline"),
    get("/v1/events"),
    get("/v1/changes"),
    get("/v1/borders/BY-LT"),
]
READS = [*PRESENT, *HISTORY]
WRITES: list[Request] = [write(), write(idempotency_key="kept"), write(validate_only="true")]


hanging: list[asyncio.Future[httpx2.Response]] = []


async def ask(api: Api, *requests: Request) -> list[httpx2.Response]:
    """Make requests together; fail if one of them is not answered in time."""
    tasks = [asyncio.ensure_future(request(api)) for request in requests]
    # Not cancelled when time is up: a request that hangs may hang on that, too.
    done, pending = await asyncio.wait(tasks, timeout=ANSWERED_SECONDS)
    hanging.extend(pending)
    assert not pending, f"{len(pending)} of {len(tasks)} requests hang"
    return [task.result() for task in tasks if task in done]


async def fill_the_pool(api: Api) -> None:
    """Let the application have connections that it will find dead."""
    await ask(api, *READS)


async def assert_degraded(fragile: Fragile, *requests: Request) -> None:
    """See that the present is told as ever, with its age, and the rest has to come back."""
    (live,) = await ask(fragile.api, get("/health/live"))
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    for answer in await ask(fragile.api, *PRESENT):
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["knowledge-age"]) >= 0
    for answer in await ask(fragile.api, *requests):
        assert_unavailable(answer)
    await until(fragile.is_degraded)


# Gone


@pytest.mark.parametrize("how", [signal.SIGKILL, *in_full(signal.SIGINT, signal.SIGQUIT)])
async def test_without_its_database_the_service_says_so(
    fragile: Fragile, how: signal.Signals
) -> None:
    """However it went: the present is told, all else is a 503 soon, the process is alive."""
    before = await all_changes(fragile.api)
    await fill_the_pool(fragile.api)
    with fragile.gone(how):
        for _ in range(2):
            await assert_degraded(fragile, *HISTORY, *WRITES)
    await fragile.recovers()
    (retry,) = await ask(fragile.api, write(idempotency_key="kept"))
    assert retry.status_code == 201
    assert "idempotent-replayed" not in retry.headers
    assert len(await all_changes(fragile.api)) == len(before) + 2


# Hung


@full
async def test_a_database_that_takes_no_new_connections_is_told_of_in_time(
    fragile: Fragile,
) -> None:
    """Its main process hangs: what has a connection goes on, the rest is a 503."""
    await ask(fragile.api, get("/health/ready"))
    with fragile.hung(backends=False):
        answers = await ask(fragile.api, *READS, *WRITES)
        for answer in answers:
            if answer.status_code not in {200, 201}:
                assert_unavailable(answer)
        (live,) = await ask(fragile.api, get("/health/live"))
        assert live.status_code == 200
    await fragile.recovers()


@full
async def test_a_database_that_hangs_is_told_of_in_time(fragile: Fragile) -> None:
    """Every process of it is halted: nobody waits for long, and nothing is done twice."""
    await fill_the_pool(fragile.api)
    before = await all_changes(fragile.api)
    with fragile.hung(backends=True):
        await assert_degraded(fragile, *HISTORY, write(idempotency_key="hung"))
    await fragile.recovers()
    for _ in range(2):
        (retry,) = await ask(fragile.api, write(idempotency_key="hung"))
        assert retry.status_code == 201
    assert len(await all_changes(fragile.api)) == len(before) + 2


async def test_more_requests_than_connections_do_not_hang_with_the_database(
    fragile: Fragile,
) -> None:
    """Those that wait for a connection are answered, too."""
    async with fragile.database.api(pool_size=3) as api:
        await fill_the_pool(api)
        with fragile.hung(backends=True):
            await assert_degraded(replace(fragile, api=api), *HISTORY, *WRITES)
        await replace(fragile, api=api).recovers()


async def test_a_pause_shorter_than_patience_is_not_noticed(fragile: Fragile) -> None:
    """Only slow: a database that goes on in time answers everything."""
    await fill_the_pool(fragile.api)
    with fragile.hung(backends=True):
        tasks = [asyncio.ensure_future(request(fragile.api)) for request in HISTORY]
        done, _ = await asyncio.wait(tasks, timeout=0.2)
        assert not done
    for task in tasks:
        assert (await task).status_code == 200
    assert await fragile.is_ready()


# Too long


@full
async def test_what_was_open_is_unknown_once_the_database_was_away_for_too_long(
    fragile: Fragile,
) -> None:
    """Nobody may drive to a border for what may have changed meanwhile. A closed stays closed."""
    await fragile.api.declare(crossings=[SUMSKAS], status="closed")
    await fragile.api.declare(crossings=[MEDININKAI], status="open", traffic=["car"])
    async with fragile.database.api(board_max_age=2) as api:
        before = await api.status(MEDININKAI)
        with fragile.gone(signal.SIGKILL):
            await until(partial(has_given_up, api))
            opened, closed = await api.status(MEDININKAI), await api.status(SUMSKAS)
            told = await api.get(f"/v1/crossings/{MEDININKAI}/status")
            listed = (await api.get("/v1/crossings", border="BY-LT")).json()["items"]
            counted = (await api.get("/v1/borders", limit=1)).json()["items"][0]["counts"]
            assert_unavailable((await ask(api, get("/health/ready")))[0])
        await replace(fragile, api=api).recovers()
        after = await api.status(MEDININKAI)

    lanes = [lane for lane in lanes_of(before) if lane["status"] in {"open", "restricted"}]
    assert lanes
    for lane in lanes:
        assert {**lane, "status": "unknown", "last_known": lane["status"]} in lanes_of(opened)
    assert not {lane["status"] for lane in lanes_of(opened)} & {"open", "restricted"}
    assert opened["status"] == "unknown"
    assert opened["until"] is opened["expires_at"] is opened["next_change_at"] is None
    assert opened["decided_by"] == before["decided_by"]
    assert told.headers["cache-control"].startswith("public, max-age=0,")
    assert told.headers["cache-control"].endswith("stale-if-error=0")
    assert int(told.headers["knowledge-age"]) >= 2
    assert closed["status"] == "closed"
    assert {one["status"] for one in listed} <= {"closed", "unknown"}
    assert counted["open"] == counted["restricted"] == 0
    assert after["lanes"] == before["lanes"]


async def has_given_up(api: Api) -> bool:
    return (await api.get("/health/ready")).status_code == 503


def lanes_of(status: Json) -> list[Json]:
    lanes = status["lanes"]
    assert isinstance(lanes, list)
    return [lane for lane in lanes if isinstance(lane, dict)]


# Short of something


async def test_a_database_without_a_connection_to_spare_is_a_503(seeded: Database) -> None:
    """The pool asks for more than the database gives."""
    async with seeded.api() as api:
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 1").format(sql.Identifier(seeded.name))
        with seeded.connect(SUPERUSER) as connection:
            connection.execute(limit)
        answers = await ask(api, *READS, *WRITES)
        refused = [answer for answer in answers if answer.status_code not in {200, 201}]
        for answer in refused:
            assert_unavailable(answer)
        assert refused


async def test_a_database_that_takes_no_writes_still_answers_readers(seeded: Database) -> None:
    """As a standby that is about to take over: a writer may come back later."""
    read_only = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
        sql.Identifier(seeded.name)
    )
    key = await seeded.new_key()
    with seeded.connect(SUPERUSER) as connection:
        connection.execute(read_only)
    async with started(seeded.url) as (_, client):
        for answer in await ask(Api(client, key), *WRITES):
            assert_unavailable(answer)
        for answer in await ask(Api(client, key), *READS):
            assert answer.status_code == 200


# Under load


@full
@pytest.mark.parametrize("strikes", [5])
async def test_no_outage_is_ever_a_fault_of_the_service(fragile: Fragile, strikes: int) -> None:
    """Readers of the present notice nothing, the others see 503 at worst; then all is whole."""
    others = written_by_hand(await all_changes(fragile.api))
    ledger, seen, stop = Ledger(), list[httpx2.Response](), anyio.Event()
    present: list[httpx2.Response] = []
    async with anyio.create_task_group() as group:
        for request in PRESENT:
            group.start_soon(partial(read_on, fragile.api, request, present, stop=stop))
        for request in (*HISTORY, write(validate_only="true")):
            group.start_soon(partial(read_on, fragile.api, request, seen, stop=stop))
        for number in range(4):
            author = Author(f"outage-{number}")
            group.start_soon(partial(write_on, fragile.api, author, ledger, stop=stop))
        for strike in STRIKES[:strikes]:
            await until(partial(is_more, ledger.answers, len(ledger.answers) + 8))
            refused = len(ledger.refused)
            strike(fragile.data_dir)
            await until(partial(is_more, ledger.refused, refused))
        await until(partial(is_more, ledger.answers, len(ledger.answers) + 8))
        stop.set()

    assert {answer.status_code for answer in present} == {200}
    assert {answer.status_code for answer in seen} == {200, 503}
    for answer in seen:
        if answer.status_code == 503:
            assert_unavailable(answer)
    with fragile.database.connect() as connection:
        await assert_kept(fragile.api, ledger, connection, others=others)


async def read_on(
    api: Api, request: Request, seen: list[httpx2.Response], *, stop: anyio.Event
) -> None:
    while not stop.is_set():
        seen.append(await request(api))
        await anyio.sleep(0.1)  # leaves the processor to the writers


def is_more(found: Sized, number: int) -> bool:
    return len(found) > number


def kill_a_backend(data_dir: Path) -> None:
    """As the kernel does when memory is short; PostgreSQL then throws everybody out."""
    backends = [
        one for one in postmaster(data_dir).children() if SERVICE in " ".join(one.cmdline())
    ]
    backends[0].kill()


def terminate_backends(data_dir: Path) -> None:
    """As an operator does; the server itself stays."""
    with database_of(data_dir).connect(SUPERUSER, DATABASE) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [SERVICE]
        )


STRIKES: list[Callable[[Path], None]] = [
    terminate_backends,
    lambda data_dir: postmaster(data_dir).send_signal(signal.SIGKILL),
    kill_a_backend,
    lambda data_dir: postmaster(data_dir).send_signal(signal.SIGINT),
    lambda data_dir: postmaster(data_dir).send_signal(signal.SIGQUIT),
]
