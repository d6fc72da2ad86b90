"""A write that fails at any of its statements, or at its commit, was never there."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import AsyncMock

import httpx2
import psutil
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.util import await_only

from app import schema
from app.access.attempts import AuditTrail
from app.database.writability import Writability
from app.embedded.server import SERVICE, SUPERUSER, Server
from tests.api import SUMSKAS, Api, decision, problem
from tests.conftest import Database, started
from tests.faults.servers import all_changes, assert_chained, assert_unavailable
from tests.faults.writes import (
    WRITES,
    Prepare,
    confirmation,
    is_done,
    send,
    told,
    two_crossings,
)
from tests.marks import full

SECRET = "the password is swordfish"  # noqa: S105 -- bait, to be looked for in answers
TABLES = sorted(schema.metadata.tables)

Harm = Callable[[psycopg.AsyncConnection], Awaitable[None]]


@dataclass(frozen=True)
class Bench:
    """An application on a database of its own, and its engines to put faults into."""

    api: Api
    engines: Sequence[Engine]
    database: Database

    def state(self) -> dict[str, object]:
        """Return the number of rows of every table, and the newest hash."""
        with self.database.connect() as connection:
            state: dict[str, object] = {}
            for table in TABLES:
                rows = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
                state[table] = connection.execute(rows).fetchone()
            newest = "SELECT hash FROM change ORDER BY number DESC LIMIT 1"
            state["newest"] = connection.execute(newest).fetchone()
        return state


@pytest.fixture
async def bench(seeded: Database) -> AsyncIterator[Bench]:
    async with bench_at(seeded, seeded.url) as found:
        yield found


@asynccontextmanager
async def bench_at(database: Database, url: str) -> AsyncIterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        # What the service writes beside requests would take the harm that is meant for theirs.
        patch.setattr(AuditTrail, "note", lambda *_: None)
        patch.setattr(Writability, "probe", AsyncMock())
        async with started(url, pool_size=3) as (service, client):
            engines = service.application.state.pools.engines.values()
            sync = [engine.sync_engine for engine in engines]
            yield Bench(Api(client, await database.new_key()), sync, database)


READS = [
    f"/v1/crossings/{SUMSKAS}/status?at=2023-09-01T00:00:00Z",
    f"/v1/crossings/{SUMSKAS}/timeline",
    "/v1/crossings?mode=road",
    "/v1/events",
    "/v1/borders?country=LT",
    "/v1/notices",
    "/v1/incidents",
    "/v1/changes",
]


# The faults


@dataclass
class Fault:
    """Harm that is done to a connection just before its n-th statement, or its commit."""

    harm: Harm
    before: int
    seen: int = 0
    struck: bool = False
    connections: list[psycopg.AsyncConnection] = field(default_factory=list)
    """Those that requests have: the board has its own."""

    def checkout(self, connection: DBAPIConnection, *_: object) -> None:
        inner = connection.driver_connection
        assert isinstance(inner, psycopg.AsyncConnection)
        self.connections.append(inner)

    def checkin(self, connection: DBAPIConnection | None, *_: object) -> None:
        """The pool's question whether a connection is alive is no step of a request."""
        inner = connection and connection.driver_connection
        self.connections = [one for one in self.connections if one is not inner]

    def commit(self, connection: SyncConnection) -> None:
        inner = connection.connection.driver_connection
        assert isinstance(inner, psycopg.AsyncConnection)
        if not inner.autocommit:  # else there is nothing left to commit, nor to lose
            await_only(self.step(inner))

    async def step(self, connection: psycopg.AsyncConnection) -> None:
        # To look a key up takes no transaction, which could be idle.
        is_out_of_reach = connection.autocommit and self.harm is idling_too_long
        if connection not in self.connections or is_out_of_reach:
            return
        self.seen += 1
        if self.seen == self.before:
            self.struck = True
            await self.harm(connection)


@contextmanager
def failing(bench: Bench, harm: Harm, *, before: int) -> Iterator[Fault]:
    """Do harm before the n-th step of a transaction, its commit being the last one."""
    fault = Fault(harm, before)
    for engine in bench.engines:
        event.listen(engine, "checkout", fault.checkout)
        event.listen(engine, "checkin", fault.checkin)
        event.listen(engine, "commit", fault.commit)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute", "executemany"):
            original = getattr(psycopg.AsyncCursor, name)
            patch.setattr(psycopg.AsyncCursor, name, stepping(fault, original))
        try:
            yield fault
        finally:
            for engine in bench.engines:
                event.remove(engine, "checkout", fault.checkout)
                event.remove(engine, "checkin", fault.checkin)
                event.remove(engine, "commit", fault.commit)


def stepping(
    fault: Fault, original: Callable[..., Awaitable[object]]
) -> Callable[..., Awaitable[object]]:
    """Return a method of a cursor that takes a step before it does what it should."""

    async def stepped(cursor: psycopg.AsyncCursor, *given: object, **more: object) -> object:
        await fault.step(cursor.connection)
        return await original(cursor, *given, **more)

    return stepped


def losing_connection(database: Database) -> Harm:
    async def lose(connection: psycopg.AsyncConnection) -> None:
        with database.connect(SUPERUSER) as superuser:
            pid = connection.info.backend_pid
            superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    return lose


async def failing_inside(_: psycopg.AsyncConnection) -> None:
    raise RuntimeError(SECRET)


async def idling_too_long(connection: psycopg.AsyncConnection) -> None:
    """Halt as a suspended machine does: PostgreSQL ends a transaction that does nothing."""
    await connection.execute("SET idle_in_transaction_session_timeout = 1")
    if connection._pipeline is not None:
        await connection._pipeline.sync()
    pid = connection.info.backend_pid
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def assert_all_or_nothing(
    bench: Bench,
    prepare: Prepare,
    harm: Harm,
    check: Callable[[httpx2.Response], None],
) -> None:
    """Do harm at each step of a write in turn; see that nothing is left, and retry."""
    step, struck = 0, True
    while struck:
        step += 1
        write = await prepare(bench.api, f"step-{step}")
        before = bench.state()
        with failing(bench, harm, before=step) as fault:
            response = await send(bench.api, write)
        struck = fault.struck
        if not struck:
            assert is_done(write, response), response.text
            continue
        check(response)
        assert SECRET not in response.text
        assert bench.state() == before

        retry = await send(bench.api, write)
        assert is_done(write, retry), retry.text
        assert "idempotent-replayed" not in retry.headers
        after = bench.state()
        assert after["change"] == plus_one(before["change"])
        assert after["kept_answer"] == plus_one(before["kept_answer"])
        again = await send(bench.api, write)
        assert again.headers["idempotent-replayed"] == "true"
        assert told(again) == told(retry)
        assert bench.state() == after
    assert step > 8  # key, lock, answer kept, place, change, row, answer, commit
    assert_chained(await all_changes(bench.api))


def plus_one(row: object) -> tuple[int]:
    assert isinstance(row, tuple)
    return (row[0] + 1,)


def assert_internal(response: httpx2.Response) -> None:
    problem(response, 500, "internal")


# One connection


@full
@pytest.mark.parametrize("prepare", WRITES)
async def test_a_write_whose_connection_is_lost_before_any_step_leaves_nothing(
    bench: Bench, prepare: Prepare
) -> None:
    """Commit included: a 503, nothing written, and the retry does it once."""
    lose = losing_connection(bench.database)
    await assert_all_or_nothing(bench, prepare, lose, assert_unavailable)


@full
async def test_a_write_that_fails_inside_before_any_step_leaves_nothing(bench: Bench) -> None:
    """A fault of ours is a 500 that tells nothing of what happened."""
    await assert_all_or_nothing(bench, two_crossings, failing_inside, assert_internal)


@full
async def test_a_write_that_halts_for_too_long_before_any_step_leaves_nothing(
    bench: Bench,
) -> None:
    """PostgreSQL gives up on it, so that others are not held up; that is no fault of ours."""
    await assert_all_or_nothing(bench, confirmation, idling_too_long, assert_unavailable)


@full
async def test_a_preview_whose_connection_is_lost_before_any_step_is_a_503(bench: Bench) -> None:
    """Savepoint and all."""
    before = bench.state()
    answers = await with_connections_lost(
        bench, lambda: bench.api.post("/v1/events", decision(), validate_only="true")
    )
    for answer in answers:
        assert_unavailable(answer)
    assert len(answers) > 8
    assert bench.state() == before


@full
async def test_a_read_whose_connection_is_lost_before_any_step_is_a_503(bench: Bench) -> None:
    for path in READS:
        answers = await with_connections_lost(bench, partial(bench.api.get, path))
        *during, at_commit = answers
        assert during
        for answer in during:
            assert_unavailable(answer)
        # Of a read, the commit is a formality.
        if at_commit.status_code != 200:
            assert_unavailable(at_commit)


async def with_connections_lost(
    bench: Bench, request: Callable[[], Awaitable[httpx2.Response]]
) -> list[httpx2.Response]:
    """Make a request again and again, its connection lost at each of its steps in turn."""
    answers: list[httpx2.Response] = []
    while True:
        lose = losing_connection(bench.database)
        with failing(bench, lose, before=len(answers) + 1) as fault:
            answer = await request()
        if not fault.struck:
            assert answer.status_code == 200
            return answers
        answers.append(answer)


# The commit


@full
@pytest.mark.parametrize(
    ("code", "check"),
    [
        pytest.param("P0001", assert_internal, id="fault"),
        pytest.param("23514", assert_internal, id="constraint", marks=full),
        pytest.param("53100", assert_unavailable, id="disk full"),
        pytest.param("40001", assert_unavailable, id="conflict", marks=full),
    ],
)
async def test_a_write_refused_at_its_commit_is_never_acknowledged(
    bench: Bench, code: str, check: Callable[[httpx2.Response], None]
) -> None:
    """The answer goes out after the commit, so that a 201 is a promise."""
    for prepare in WRITES:
        write = await prepare(bench.api, prepare.__name__)
        before = bench.state()
        with refused_at_commit(bench.database, code):
            response = await send(bench.api, write)
        check(response)
        assert SECRET not in response.text
        assert "location" not in response.headers
        assert bench.state() == before

        retry = await send(bench.api, write)
        assert is_done(write, retry), retry.text
        assert "idempotent-replayed" not in retry.headers
        assert bench.state()["change"] == plus_one(before["change"])


@contextmanager
def refused_at_commit(database: Database, code: str) -> Iterator[None]:
    with database.connect() as owner:
        raising = sql.SQL(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION {} USING ERRCODE = {}; END$$"
        ).format(sql.Literal(SECRET), sql.Literal(code))
        owner.execute(raising)
        owner.execute(
            "CREATE CONSTRAINT TRIGGER refused AFTER INSERT ON change"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        try:
            yield
        finally:
            owner.execute("DROP TRIGGER refused ON change")
            owner.execute("DROP FUNCTION refuse()")


@full
async def test_a_commit_that_was_done_but_not_heard_of_is_replayed(
    seeded: Database, tmp_path: Path
) -> None:
    """The connection is lost after the commit: a 503, and the retry tells what was written."""
    async with deaf_to_commits(seeded, tmp_path) as (url, deafness), bench_at(seeded, url) as bench:
        # A new connection commits once for itself: the writers' is there before that is not heard.
        await bench.api.declare()
        for prepare in WRITES:
            write = await prepare(bench.api, prepare.__name__)
            before = bench.state()
            deafness.set()
            response = await send(bench.api, write)
            deafness.clear()
            assert_unavailable(response)
            after = bench.state()
            assert after["change"] == plus_one(before["change"])

            retry = await send(bench.api, write)
            assert is_done(write, retry), retry.text
            assert retry.headers["idempotent-replayed"] == "true"
            newest = (await all_changes(bench.api))[-1]["change"]
            assert retry.headers["change-number"] == str(newest)
            assert bench.state() == after


@asynccontextmanager
async def deaf_to_commits(
    database: Database, folder: Path
) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Stand between a client and its server; while the event is set, hang up after a COMMIT."""
    deafness = asyncio.Event()
    ours = Server(folder)
    streams: list[asyncio.StreamWriter] = []

    async def pass_on(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        path = database.server.socket_dir / ".s.PGSQL.5432"
        server, to_server = await asyncio.open_unix_connection(path)
        streams.extend([to_client, to_server])
        committing = asyncio.Event()

        async def ask() -> None:
            while data := await client.read(2**16):
                # Whole: what begins a transaction may say READ COMMITTED.
                if deafness.is_set() and b"COMMIT\x00" in data:
                    committing.set()
                to_server.write(data)
            to_server.close()

        async def answer() -> None:
            while (data := await server.read(2**16)) and not committing.is_set():
                to_client.write(data)
            to_client.close()
            to_server.close()

        await asyncio.gather(ask(), answer(), return_exceptions=True)

    listener = await asyncio.start_unix_server(pass_on, folder / ".s.PGSQL.5432")
    async with listener:
        yield ours.url(SERVICE, database.name), deafness
        for stream in streams:
            stream.close()
