"""Backups of a database that is not the embedded one: dumps, restored to an empty database."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from app.embedded.server import OWNER, SUPERUSER, Server
from tests.commands import Done, call, environment, finish, start
from tests.conftest import SECRET_KEY, Database
from tests.marks import full
from tests.waiting import eventually

_numbers = itertools.count(1)


@contextmanager
def new_database(server: Server) -> Iterator[Database]:
    """Give a database with nothing in it, that belongs to the owner."""
    name = f"restored_{next(_numbers)}"
    with server.connect(SUPERUSER, "postgres") as connection:
        for statement in ("CREATE DATABASE {} OWNER {}", "REVOKE ALL ON DATABASE {} FROM PUBLIC"):
            connection.execute(
                sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(OWNER))
            )
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO PUBLIC").format(sql.Identifier(name))
        )
        try:
            yield Database(server, name)
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


@pytest.fixture
def another(postgres: Server) -> Iterator[Database]:
    with new_database(postgres) as found:
        yield found


@pytest.fixture
def backup(seeded: Database, tmp_path: Path) -> Path:
    done = call("backup", tmp_path / "backup", env=environment(seeded))
    assert (done.code, done.complained) == (0, "")
    return tmp_path / "backup"


def exported(database: Database) -> str:
    done = call("export", env=environment(database))
    assert (done.code, done.complained) == (0, "")
    return done.told


def restore(backup: Path, database: Database) -> Done:
    return call("restore", backup, env=environment(database))


def test_a_dump_restored_to_an_empty_database_is_the_same_log(
    seeded: Database, backup: Path, another: Database
) -> None:
    """Whom the service's role may be there, a migration says."""
    newest = exported(seeded).splitlines()[-1]

    done = restore(backup, another)

    assert (done.code, done.complained) == (0, "")
    assert done.told.startswith("Restored; the newest is change ")
    assert done.told.endswith("Next: crossings migrate\n")
    assert call("migrate", env=environment(another)).code == 0
    assert exported(another).splitlines()[-1] == newest
    assert exported(another) == exported(seeded)
    assert call("check", env=environment(another)).told == "The change log is intact.\n"


def test_a_dump_says_that_it_lacks_the_key_of_its_secrets(seeded: Database, tmp_path: Path) -> None:
    done = call("backup", tmp_path / "backup", env=environment(seeded))

    assert "It does not have CROSSINGS_SECRET_KEY" in done.told
    files = [path.read_bytes() for path in (tmp_path / "backup").iterdir()]
    assert not any(SECRET_KEY.encode() in content for content in files)


def test_the_restored_database_takes_writes(backup: Path, another: Database) -> None:
    """Its constraints and triggers are those that a migration makes."""
    assert restore(backup, another).code == 0
    assert call("migrate", env=environment(another)).code == 0

    async def write() -> int:
        async with another.api() as api:
            answer = await api.declare()
            return int(str(answer["change"]))

    number = asyncio.run(write())

    assert f'"change": {number}' in exported(another).splitlines()[-1]
    with another.connect() as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("DELETE FROM change")


def test_a_database_with_something_in_it_is_left_alone(backup: Path, seeded: Database) -> None:
    before = exported(seeded)

    done = restore(backup, seeded)

    assert (done.code, done.told) == (1, "")
    assert done.complained == "the database is not empty: create a new one and set DATABASE_URL\n"
    assert exported(seeded) == before


def test_a_damaged_dump_is_refused(backup: Path, another: Database) -> None:
    dump = backup / "crossings.dump"
    dump.write_bytes(dump.read_bytes()[:-1])

    done = restore(backup, another)

    assert (done.code, done.told) == (1, "")
    assert done.complained == f"{dump} was altered: restore another backup\n"


def test_a_dump_needs_a_database_to_be_restored_to(backup: Path, tmp_path: Path) -> None:
    done = call("restore", backup, "--data-dir", tmp_path / "new")

    assert (done.code, done.told) == (1, "")
    assert done.complained == (
        f"{backup} is a dump: set DATABASE_URL to the empty database to restore it to.\n"
    )
    assert not (tmp_path / "new").exists()


def test_a_dump_is_of_one_instant(backup: Path, another: Database, tmp_path: Path) -> None:
    done = call("restore", backup, "--wal", tmp_path, env=environment(another))

    assert (done.code, done.told) == (1, "")
    assert "without --wal and --until" in done.complained


def test_a_database_that_is_away_leaves_no_backup(tmp_path: Path) -> None:
    nowhere = environment(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    done = call("backup", tmp_path / "backup", env=nowhere)

    assert (done.code, done.told) == (1, "")
    assert "Traceback" not in done.complained
    assert list(tmp_path.iterdir()) == []


@full
def test_kill_9_during_a_dump_leaves_no_backup(seeded: Database, tmp_path: Path) -> None:
    """It waits for a lock when it is killed, so that it cannot have ended."""
    with seeded.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE change IN ACCESS EXCLUSIVE MODE")
        process = start("crossings", "backup", tmp_path / "backup", env=environment(seeded))
        eventually((tmp_path / "backup.partial").exists)
        process.kill()
        finish(process)

    assert not (tmp_path / "backup").exists()
    assert call("restore", tmp_path / "backup.partial", env=environment(seeded)).code == 1
