"""Serves PostgreSQL on a data directory, or reaches the one that somebody serves there.

Nothing here knows the schema: one database and two roles are all that is made.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from app.embedded.data_directory import locked, open_data_directory
from app.embedded.server import (
    DATABASE,
    ELSEWHERE,
    OWNER,
    SERVICE,
    SUPERUSER,
    DirectoryInUse,
    EmbeddedError,
    Server,
)
from app.embedded.supervisor import START_SECONDS, PostgresSupervisor
from app.embedded.wal_archive import archive_settings


@contextmanager
def serving(data_dir: Path, wal_archive: Path | None = None) -> Iterator[Server]:
    """Run PostgreSQL on a directory that no other process serves; restart it if it dies.

    Finished segments of its write-ahead log are copied to ``wal_archive``.
    """
    with ExitStack() as stack:
        with _explained(data_dir):
            place = open_data_directory(stack, data_dir)
            settings = archive_settings(place, wal_archive) if wal_archive else {}
            keeper = PostgresSupervisor(place, settings)
            stack.callback(keeper.stop)
            keeper.start()
            keeper.ready.result()
            server = Server(place.socket_dir)
            _furnish(server)
        yield server


@contextmanager
def reaching(data_dir: Path, wal_archive: Path | None = None) -> Iterator[Server]:
    """Use the server that somebody runs on a directory, or else run one for the time being."""
    deadline = time.monotonic() + START_SECONDS
    with ExitStack() as stack:
        while not (server := _own(stack, data_dir, wal_archive) or _neighbours(stack, data_dir)):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the PostgreSQL in {data_dir} does not answer: see its log")
            time.sleep(0.05)
        yield server


def _own(stack: ExitStack, data_dir: Path, wal_archive: Path | None) -> Server | None:
    gate = stack.enter_context(ExitStack())
    try:
        server = stack.enter_context(serving(data_dir, wal_archive))
    except DirectoryInUse:
        return None
    # Others may have found our server: it stays until they are done, and no more get in.
    stack.callback(lambda: gate.enter_context(locked(data_dir / "reach.lock", shared=False)))
    return server


def _neighbours(stack: ExitStack, data_dir: Path) -> Server | None:
    with ExitStack() as visit:
        visit.enter_context(locked(data_dir / "reach.lock", shared=True))
        try:
            lines = (data_dir / "postgres" / "postmaster.pid").read_bytes().splitlines()
            if lines[7].strip() != b"ready":
                return None  # and the line of the socket may not be there yet
            server = Server(Path(os.fsdecode(lines[4])))
            server.connect(OWNER, DATABASE).close()
        except (FileNotFoundError, IndexError, psycopg.OperationalError):
            return None  # nobody yet, or nobody any more
        stack.enter_context(visit.pop_all())
        return server


@contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, psycopg.Error) as error:
        raise EmbeddedError(
            f"PostgreSQL cannot run in {data_dir}: {error}; choose another directory, {ELSEWHERE}"
        ) from error


def _furnish(server: Server) -> None:
    """Make the roles and the database that are missing: an earlier first start may have died."""
    with server.connect(SUPERUSER, "postgres") as connection:
        names = "SELECT rolname FROM pg_roles UNION ALL SELECT datname FROM pg_database"
        have = {name for (name,) in connection.execute(names)}
        for role in {OWNER, SERVICE} - have:
            connection.execute(f"CREATE ROLE {role} LOGIN")
        if DATABASE not in have:
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
