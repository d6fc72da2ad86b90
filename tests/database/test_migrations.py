"""Migrations: up from nothing, down to nothing, one at a time, and never for long in the way."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from app import schema
from app.embedded.server import SERVICE, Server
from app.seeding.service import load_seeds
from tests import clients
from tests.commands import Done, call, environment, finish, run, start
from tests.conftest import Database, clone
from tests.marks import full
from tests.seeds import SETS, seeded_crossings
from tests.servers import free_port
from tests.waiting import PATIENCE

SCRIPTS = ScriptDirectory.from_config(schema._config())
REVISIONS = [one.revision for one in SCRIPTS.walk_revisions()][::-1]
"""From the first to the head."""

# Everything in the schema that a migration can make, in words.
SCHEMA = """
    SELECT 'column', table_name || '.' || column_name,
           concat_ws(' ', data_type, column_default, is_nullable, generation_expression)
        FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
        FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', oid::regprocedure::text, pg_get_functiondef(oid)
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'relation', relname, relkind::text
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
    UNION ALL
    SELECT 'type', typname, typtype::text
        FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd', 'r', 'm')
    ORDER BY 1, 2, 3
"""

Schema = list[tuple[str, str, str]]


@pytest.fixture
def nothing(postgres: Server) -> Iterator[Database]:
    """A database in which nothing was made yet."""
    with clone(postgres, "template1") as found:
        yield found


def downgrade(database: Database, revision: str) -> None:
    engine = create_engine(database.owner_url)
    try:
        with engine.connect() as connection:
            config = schema._config(connection)
            config.attributes["lock_wait"] = 1
            command.downgrade(config, revision)
    finally:
        engine.dispose()


def found_in(database: Database) -> Schema:
    with database.connect() as connection:
        return connection.execute(SCHEMA).fetchall()


# Up and down


def test_there_is_one_head() -> None:
    assert SCRIPTS.get_heads() == [schema.head()]


def test_from_nothing_to_head_makes_the_tables_that_the_code_declares(nothing: Database) -> None:
    schema.migrate(nothing.owner_url)

    tables = {
        name for what, name, kind in found_in(nothing) if what == "relation" and kind in {"r", "p"}
    }
    assert tables == {"alembic_version", *schema.metadata.tables}
    engine = create_engine(nothing.owner_url)
    with engine.connect() as connection:
        assert schema.current(connection) == schema.head()
    engine.dispose()


def test_alembic_check_finds_no_difference_between_code_and_schema(database: Database) -> None:
    done = run("alembic", "check", env=environment(database))

    assert done.code == 0, done.told + done.complained


@full
async def test_every_step_down_leaves_what_was_there_before_it_with_rows_in_place(
    nothing: Database,
) -> None:
    """And up again: a schema is the same whichever way it was reached."""
    reached: list[Schema] = []
    for revision in REVISIONS:
        schema.migrate(nothing.owner_url, revision=revision, service_role=SERVICE)
        reached.append(found_in(nothing))
    loaded = await load(nothing)
    assert loaded > 0

    for place in reversed(range(len(REVISIONS))):
        downgrade(nothing, "-1")
        below = found_in(nothing)
        assert below == (reached[place - 1] if place else only_the_version_table(below))
        schema.migrate(nothing.owner_url, revision="+1", service_role=SERVICE)
        assert found_in(nothing) == reached[place]
        downgrade(nothing, "-1")

    schema.migrate(nothing.owner_url, service_role=SERVICE)
    assert await load(nothing) == loaded


@full
async def test_down_to_base_leaves_nothing_and_up_again_works(seeded: Database) -> None:
    before = found_in(seeded)

    downgrade(seeded, "base")

    left = found_in(seeded)
    assert left == only_the_version_table(left)
    with seeded.connect() as connection:
        assert connection.execute("TABLE alembic_version").fetchall() == []
    schema.migrate(seeded.owner_url, service_role=SERVICE)
    assert found_in(seeded) == before
    assert await load(seeded) > 0


def only_the_version_table(found: Schema) -> Schema:
    return [one for one in found if "alembic_version" in one[1]]


async def load(database: Database) -> int:
    async with database.session() as session:
        return await load_seeds(session, only=SETS)


def test_migrating_again_changes_nothing(database: Database) -> None:
    before = found_in(database)

    schema.migrate(database.owner_url, service_role=SERVICE)

    assert found_in(database) == before


# Two at once, and others in the way


@full
def test_two_migrators_at_once_both_succeed(nothing: Database) -> None:
    """Both are made to wait for the same lock first, so that they do meet."""
    with migration_held(nothing) as holder:
        both = [start("crossings", "migrate", env=environment(nothing)) for _ in range(2)]
        await_waiting(holder, both, at_least=1, within=PATIENCE)
        await_waiting(holder, both, at_least=2, within=3)
    ends = [finish(process) for process in both]

    assert ends == [Done(0, f"The schema is at {schema.head()}.\n", "")] * 2


@full
def test_a_migration_that_cannot_have_its_locks_gives_up(
    nothing: Database, database: Database
) -> None:
    """Whether another migrator or readers are in the way: it says so and changes nothing."""
    before = found_in(database)
    with migration_held(nothing), database.connect() as reader, reader.transaction():
        for table in schema.metadata.tables:
            reader.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE".encode())
        waiting = start("crossings", "migrate", "--lock-wait", "1", env=environment(nothing))
        with pytest.raises(OperationalError) as raised:
            downgrade(database, "base")
        gave_up = finish(waiting)

    assert isinstance(raised.value.orig, psycopg.errors.LockNotAvailable)
    assert found_in(database) == before
    assert (gave_up.code, gave_up.told) == (1, "")
    assert "lock timeout" in gave_up.complained
    assert "cannot be reached" not in gave_up.complained
    assert "Traceback" not in gave_up.complained
    assert only_the_version_table(found_in(nothing)) == found_in(nothing)


@contextmanager
def migration_held(database: Database) -> Iterator[psycopg.Connection]:
    """Hold the lock that every migrator takes."""
    with database.connect() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [schema.MIGRATION_LOCK])
        yield connection


def await_waiting(
    connection: psycopg.Connection,
    processes: list[subprocess.Popen[str]],
    *,
    at_least: int,
    within: float,
) -> None:
    """Poll until so many wait for an advisory lock, or one has ended, or the time is over."""
    waiting = """
        SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and all(one.poll() is None for one in processes):
        if (connection.execute(waiting).fetchone() or (0,))[0] >= at_least:
            return
        time.sleep(0.02)


# Serving


@pytest.mark.parametrize("at", ["nothing", "another revision"])
def test_serve_refuses_a_schema_that_is_not_at_head(
    nothing: Database, database: Database, at: str
) -> None:
    found = nothing if at == "nothing" else database
    if found is database:
        with database.connect() as connection:
            connection.execute("UPDATE alembic_version SET version_num = 'another revision'")

    done = call("serve", "--port", str(free_port()), env=environment(found))

    assert (done.code, done.told) == (1, "")
    assert done.complained == (
        f"The schema is at {at}, this code needs {schema.head()}: run `crossings migrate` first.\n"
    )


@pytest.mark.parametrize("arguments", [["seed"], ["check"], ["export"], ["keys", "list"]])
def test_no_command_is_at_a_loss_for_words_without_a_schema(
    nothing: Database, arguments: list[str]
) -> None:
    done = call(*arguments, env=environment(nothing))

    assert done.code == 1
    assert "crossings migrate" in done.complained
    assert "Traceback" not in done.complained


@full
def test_after_migrate_the_service_reads_and_writes_in_its_own_role(nothing: Database) -> None:
    env, port = environment(nothing), free_port()
    assert call("migrate", env=env).code == 0
    # The service itself knows only its own role.
    del env["DATABASE_OWNER_URL"]
    assert call("seed", env=env).code == 0

    serving = start("crossings", "serve", "--port", str(port), env=env)
    try:
        ready = await_answer(serving, f"http://127.0.0.1:{port}/health/ready")
        crossings = clients.get(f"http://127.0.0.1:{port}/v1/crossings")
    finally:
        serving.terminate()
        finish(serving)

    told = ready.json()
    assert (told["status"], told["schema_revision"]) == ("ready", schema.head())
    assert len(crossings.json()["items"]) == len(seeded_crossings())
    with nothing.connect() as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert owners == [("crossings_owner",)]


def await_answer(process: subprocess.Popen[str], address: str) -> httpx2.Response:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            response = clients.get(address)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            if response.status_code == 200:
                return response
    raise AssertionError("it did not answer")
