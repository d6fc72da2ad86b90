"""Upgrading while the service works: migrations wait briefly, and older code may go on."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from app import schema
from app.embedded.server import SERVICE
from tests.api import MEDININKAI, SUMSKAS, Api
from tests.commands import call, environment, run
from tests.conftest import Database
from tests.database.next_release import ADD_COLUMNS, ADD_INDEX, VALIDATE, NextRelease
from tests.faults.writes import WRITES, is_done, send
from tests.marks import full
from tests.servers import free_port, service
from tests.waiting import PATIENCE, until

Later = Callable[..., str]


@pytest.fixture
def later(next_release: NextRelease, monkeypatch: pytest.MonkeyPatch) -> Later:
    """Return what adds a migration, which this process alone knows then, and gives its revision."""
    monkeypatch.setattr(schema, "data_folder", lambda _: next_release.folder)
    return next_release.add


def migrate(database: Database, *, lock_wait: float = PATIENCE) -> None:
    schema.migrate(database.owner_url, service_role=SERVICE, lock_wait=lock_wait)


def revision_of(database: Database) -> str:
    with database.connect() as connection:
        ((revision,),) = connection.execute("TABLE alembic_version").fetchall()
    return str(revision)


@contextmanager
def reading(database: Database, table: str) -> Iterator[psycopg.Connection]:
    """Hold what a long read holds, which is in the way of every change to the table."""
    with database.connect() as connection, connection.transaction():
        connection.execute(f"SELECT FROM {table} LIMIT 1".encode())
        yield connection


def waits_for_lock(database: Database) -> bool:
    """Ask whether a migration waits for a table: whoever comes after it has to wait, too."""
    waiting = """
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE datname = current_database() AND mode = 'AccessExclusiveLock' AND NOT granted
    """
    with database.connect() as connection:
        return connection.execute(waiting).fetchone() is not None


# Locks


@full
async def test_a_migration_in_the_way_of_a_long_read_lets_writers_through(
    api: Api, seeded: Database, later: Later
) -> None:
    """They wait for a try of it at most, and it is done once the read has ended."""
    revision = later(ADD_COLUMNS)
    before = revision_of(seeded)
    with reading(seeded, "status_event"):
        migrating = asyncio.create_task(asyncio.to_thread(migrate, seeded))
        for _ in range(3):
            await until(lambda: waits_for_lock(seeded))
            await api.declare()
        assert not migrating.done()
        assert revision_of(seeded) == before
    await migrating

    assert revision_of(seeded) == revision
    await api.declare()


def test_a_migration_that_gives_up_leaves_nothing_of_it(database: Database, later: Later) -> None:
    """What was migrated before it stays, and the next call goes on from there."""
    first, second = (
        later("    op.create_table('note', sa.Column('id', sa.Integer()))"),
        later(ADD_COLUMNS),
    )
    with reading(database, "status_event"), pytest.raises(OperationalError, match="lock timeout"):
        migrate(database, lock_wait=0)

    assert revision_of(database) == first
    with database.connect() as connection:
        assert connection.execute("SELECT to_regclass('note') IS NULL").fetchone() == (False,)
        columns = "SELECT FROM information_schema.columns WHERE column_name = 'remark'"
        assert connection.execute(columns).fetchall() == []
    migrate(database)
    assert revision_of(database) == second


def test_what_a_migration_made_is_granted_with_it(database: Database, later: Later) -> None:
    """A trigger that writes to a new table works from the first moment."""
    later("    op.create_table('note', sa.Column('id', sa.Integer()))")
    later(ADD_COLUMNS)
    with reading(database, "status_event"), pytest.raises(OperationalError):
        migrate(database, lock_wait=0)

    with database.connect(SERVICE) as connection:
        connection.execute("INSERT INTO note VALUES (1)")


# Newer schemas


@full
async def test_code_goes_on_with_a_newer_schema_that_serves_it(
    seeded: Database, later: Later
) -> None:
    """Whether it runs already or starts then, and through several such migrations."""
    async with seeded.api() as api:
        later(ADD_COLUMNS)
        newest = later(VALIDATE)
        migrate(seeded)
        await until(lambda: has_revision(api, newest))

        assert (await api.get("/health/ready")).json()["status"] == "ready"
        await api.declare()
    async with seeded.api() as api:
        assert (await api.get("/health/ready")).json()["status"] == "ready"
        await api.declare()
    assert run("crossings", "check", env=environment(seeded)).code == 0
    # A rollback of the program leaves the schema alone.
    done = run("crossings", "migrate", env=environment(seeded))
    assert (done.code, done.told) == (0, f"The schema is at {newest}.\n")


async def has_revision(api: Api, revision: str) -> bool:
    """Ask whether the service has noticed the revision, be it one that it can use or not."""
    response = await api.get("/health/ready")
    return revision in response.text


@full
async def test_code_refuses_a_newer_schema_that_does_not_serve_it(
    seeded: Database, later: Later
) -> None:
    """One that says nothing does not; and neither does one after it that serves only that."""
    async with seeded.api() as api:
        contracting = later(ADD_COLUMNS, header="")
        newest = later(VALIDATE, header=f"oldest_code = {contracting!r}")
        migrate(seeded)
        await until(lambda: has_revision(api, newest))

        ready = await api.get("/health/ready")
        assert ready.status_code == 503
        assert f"The schema is at {newest}" in ready.json()["detail"]
    served = run("crossings", "serve", "--port", str(free_port()), env=environment(seeded))
    migrated = run("crossings", "migrate", env=environment(seeded))
    assert (served.code, migrated.code) == (1, 1)
    assert served.complained.startswith(f"The schema is at {newest}, this code needs")
    assert migrated.complained == (
        f"The schema is at {newest}, which this version does not know: run the newer version that"
        " made it.\n"
    )


def test_what_a_newer_schema_said_ends_with_it(database: Database, later: Later) -> None:
    """Were it migrated down by code that leaves the comment, that would say nothing any more."""
    later(ADD_COLUMNS)
    migrate(database)
    with database.connect() as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'another revision'")

    done = call("serve", "--port", str(free_port()), env=environment(database))

    assert (done.code, done.complained.partition(",")[0]) == (
        1,
        "The schema is at another revision",
    )


# A service at work


@full
async def test_no_request_fails_while_migrations_expand_the_schema(
    seeded: Database, later: Later, tmp_path: Path
) -> None:
    """With two workers, a delivery worker, every kind of write, and a long read in the way."""
    key = await seeded.new_key()
    newest = [later(part) for part in (ADD_COLUMNS, VALIDATE, ADD_INDEX)][-1]
    with service(tmp_path / "log", workers=2, database_url=seeded.url) as running:
        async with running.api(key) as api:
            requests = Requests(api)
            async with requests.under_way():
                await requests.some_more()
                with reading(seeded, "change"):
                    migrating = asyncio.create_task(asyncio.to_thread(migrate, seeded))
                    await until(lambda: waits_for_lock(seeded))
                    await requests.some_more()
                await migrating
                await requests.some_more()
        assert requests.failed == []
        assert revision_of(seeded) == newest
        log = running.log.read_text(encoding="utf-8")
    assert "Lost contact" not in log
    assert "Traceback" not in log

    # A replacement of a process that has ended finds the newer schema, and is ready with it.
    with service(tmp_path / "log", workers=2, database_url=seeded.url) as running:
        async with running.api(key) as api:
            await api.declare()
    assert run("crossings", "check", env=environment(seeded)).code == 0


class Requests:
    """Readers of the present and of history, and writers, that go on and on."""

    def __init__(self, api: Api) -> None:
        self.failed: list[str] = []
        self._api = api
        self._done = dict.fromkeys(("present", "history", "list", "write"), 0)

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        kinds = {
            "present": lambda: self._read(f"/v1/crossings/{MEDININKAI}/status"),
            "history": lambda: self._read(
                f"/v1/crossings/{SUMSKAS}/status", at=datetime.now(UTC).isoformat()
            ),
            "list": lambda: self._read("/v1/changes", limit=5),
            "write": self._writer(),
        }
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._go_on(*kind)) for kind in kinds.items()]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    async def some_more(self) -> None:
        """Wait until several of each kind that began from now on were answered."""
        goals = {kind: number + 3 for kind, number in self._done.items()}
        goals["write"] += len(WRITES)
        await until(lambda: all(self._done[kind] >= goal for kind, goal in goals.items()))

    async def _go_on(self, kind: str, request: Callable[[], Awaitable[str | None]]) -> None:
        while True:
            fault = await request()
            self._done[kind] += 1
            if fault is not None:
                self.failed.append(f"{kind}: {fault}")

    async def _read(self, path: str, **parameters: str | int) -> str | None:
        response = await self._api.get(path, **parameters)
        return None if response.status_code == 200 else response.text

    def _writer(self) -> Callable[[], Awaitable[str | None]]:
        numbers = itertools.count()
        prepares = itertools.cycle(WRITES)

        async def write() -> str | None:
            prepared = await next(prepares)(self._api, f"upgrade-{next(numbers)}")
            response = await send(self._api, prepared)
            return None if is_done(prepared, response) else response.text

        return write
