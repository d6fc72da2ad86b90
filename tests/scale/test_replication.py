"""A primary and a standby: who answers what, and who takes over with what."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import httpx2
import pytest

from app.embedded.server import Server
from tests.api import SUMSKAS, Api, crossing, decision, problem
from tests.conftest import Database, _roomy_memory, started
from tests.faults.servers import Author, Ledger, assert_kept, assert_unavailable, write_on
from tests.marks import full
from tests.scale.clusters import SYNCHRONOUS, Cluster, Pair, pair
from tests.servers import service
from tests.waiting import PATIENCE, eventually, until

pytestmark = full

PAST = "2023-09-01T00:00:00Z"
PRESENT = (f"/v1/crossings/{SUMSKAS}/status", "/v1/crossings", "/v1/borders")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pair-", dir=_roomy_memory()) as name:
        yield Path(name)


@pytest.fixture
def synchronous(postgres: Server, folder: Path) -> Iterator[Pair]:
    """A pair whose standby has every change that was acknowledged."""
    with pair(postgres, folder, synchronous_standby_names=SYNCHRONOUS) as found:
        yield found


@pytest.fixture
def asynchronous(postgres: Server, folder: Path) -> Iterator[Pair]:
    """A pair whose standby may lack the newest changes."""
    with pair(postgres, folder, synchronous_standby_names="") as found:
        yield found


# History


async def test_the_standby_answers_history_and_the_primary_what_it_cannot(
    synchronous: Pair,
) -> None:
    """While one of the two hangs, the answers tell which of them was asked."""
    primary, standby = synchronous.primary, synchronous.standby
    settings = {"database_read_url": standby.database.url}
    async with primary.database.api(**settings) as api:
        eventually(lambda: standby.has_all_of(primary))
        with primary.hung():
            for parameters in ({"at": PAST}, {"known_at": PAST}, {"known_change": 1}):
                await api.status(**parameters)
            timeline = await api.get(f"/v1/crossings/{SUMSKAS}/timeline")
            assert timeline.status_code == 200
            assert_unavailable(await api.get("/v1/changes"))

        await until_ready(api)
        standby.kill()
        await api.status(at=PAST)


async def test_a_standby_that_lags_is_not_asked_for_what_it_lacks(synchronous: Pair) -> None:
    """A writer reads its own change back, in history too, however late the standby is."""
    primary, standby = synchronous.primary, synchronous.standby
    async with primary.database.api(database_read_url=standby.database.url) as api:
        standby.ask("SELECT pg_wal_replay_pause()")
        change = int(str((await api.declare(status="open"))["change"]))
        told = await api.get(f"/v1/crossings/{SUMSKAS}/status", at="2199-01-01T00:00:00Z")
        assert int(told.headers["change-number"]) == change
        assert not standby.has_all_of(primary)
        assert (await api.status(known_change=change))["sides"] == {"BY": "unknown", "LT": "open"}


# Taking over


async def test_an_answer_waits_for_the_standby_however_often_it_is_asked_for(
    synchronous: Pair,
) -> None:
    """A retry, too: the primary has the change, but may be lost with it."""
    async with synchronous.primary.database.api() as api:
        with synchronous.standby.hung():
            for _ in range(2):
                refused = await api.post("/v1/events", decision(), idempotency_key="once")
                assert_unavailable(refused)
        kept = await api.post("/v1/events", decision(), idempotency_key="once")
        assert (kept.status_code, kept.headers["idempotent-replayed"]) == (201, "true")


async def test_a_standby_takes_over_while_writers_write(synchronous: Pair, folder: Path) -> None:
    """The present is told all the while, writers find the new primary, and nothing is lost."""
    primary, standby = synchronous.primary, synchronous.standby
    key = await primary.database.new_key()
    ledger, seen, stop = Ledger(), list[httpx2.Response](), anyio.Event()
    log, more = folder / "serve.log", {"DATABASE_READ_URL": standby.database.url}
    with service(log, database_url=synchronous.url, more=more) as running:
        async with running.api(key) as api:
            async with anyio.create_task_group() as group:
                group.start_soon(partial(read_on, api, seen, stop=stop))
                for number in range(3):
                    author = Author(f"writer-{number}")
                    group.start_soon(partial(write_on, api, author, ledger, stop=stop))
                await until(lambda: len(ledger.answers) >= 8)
                primary.kill()
                await until(lambda: ledger.refused)
                assert standby.ask("SELECT pg_promote()") is True
                enough = len(ledger.answers) + 8
                await until(lambda: len(ledger.answers) >= enough)
                stop.set()
            assert not ledger.cut
            assert {answer.status_code for answer in seen} == {200}
            with standby.database.connect() as connection:
                await assert_kept(api, ledger, connection)
            await assert_exact(api.client, standby.database)


async def test_what_a_late_standby_never_had_is_not_told_any_more(asynchronous: Pair) -> None:
    """Asynchronous replication loses the newest changes: only the new primary's log counts.

    Not the old one's either, which is back as it was, and as long.
    """
    primary, standby = asynchronous.primary, asynchronous.standby
    key = await primary.database.new_key()
    read_url = primary.database.url
    async with started(asynchronous.url, database_read_url=read_url) as (front, client):
        api = Api(client, key)
        assert await front.board.reached(1, within=PATIENCE)
        await until(lambda: standby.has_all_of(primary))
        before = await api.status()
        standby.stop_receiving()
        await api.declare(status="open")
        assert (await api.post("/v1/crossings", crossing("lost"))).status_code == 201
        assert (await api.status())["status"] != before["status"]
        primary.kill()
        assert standby.ask("SELECT pg_promote()") is True

        await until(lambda: front.board.change == standby.newest_change)
        assert await api.status() == before
        problem(await api.get("/v1/crossings/lost"), 404, "crossing-not-found")
        await assert_exact(client, standby.database)

        with Cluster.started(primary.place).ended():
            await api.declare(status="restricted")
            told = await api.status(at="2199-01-01T00:00:00Z")
            assert told["sides"] == {"BY": "unknown", "LT": "restricted"}


async def until_ready(api: Api) -> None:
    """Wait until the primary is heard again."""

    async def is_ready() -> bool:
        return bool((await api.get("/health/ready")).json()["status"] == "ready")

    await until(is_ready)


async def read_on(api: Api, seen: list[httpx2.Response], *, stop: anyio.Event) -> None:
    """Ask about the present until told to stop."""
    while not stop.is_set():
        seen.extend([await api.get(address) for address in PRESENT])
        await anyio.sleep(0.02)  # leaves the processor to the writers


async def assert_exact(client: httpx2.AsyncClient, database: Database) -> None:
    """Check that the board's answers are those that the database gives without a board."""
    async with started(database.url) as (front, _):
        transport = httpx2.ASGITransport(app=front.application)
        async with httpx2.AsyncClient(transport=transport, base_url=client.base_url) as plain:
            for address in (*PRESENT, "/v1/crossings?limit=200"):
                told, asked = await client.get(address), await plain.get(address)
                assert told.json() == asked.json()
                assert told.headers["change-number"] == asked.headers["change-number"]
