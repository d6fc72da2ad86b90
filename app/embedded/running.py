"""Run PostgreSQL on a data directory, or use the server that already runs there.

This creates one database and two roles, and knows nothing of the schema.
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
    """Run PostgreSQL on a directory, and restart it if it ends. Raises DirectoryInUse.

    Finished segments of the write-ahead log are copied to ``wal_archive``.
    """
    with ExitStack() as stack:
        with _with_explanation(data_dir):
            directory = open_data_directory(stack, data_dir)
            settings = archive_settings(directory, wal_archive) if wal_archive else {}
            supervisor = PostgresSupervisor(directory, settings)
            stack.callback(supervisor.stop)
            supervisor.start()
            supervisor.ready.result()
            server = Server(directory.socket_dir)
            _create_missing(server)
        yield server


@contextmanager
def reaching(data_dir: Path, wal_archive: Path | None = None) -> Iterator[Server]:
    """Use the server that runs on a directory, or else run one as long as it is needed."""
    deadline = time.monotonic() + START_SECONDS
    with ExitStack() as stack:
        while not (
            server := _start_server(stack, data_dir, wal_archive) or _find_server(stack, data_dir)
        ):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the PostgreSQL in {data_dir} does not answer: see its log")
            time.sleep(0.05)
        yield server


def _start_server(stack: ExitStack, data_dir: Path, wal_archive: Path | None) -> Server | None:
    lock = stack.enter_context(ExitStack())
    try:
        server = stack.enter_context(serving(data_dir, wal_archive))
    except DirectoryInUse:
        return None
    # Other processes may use our server: wait for them before it stops, and admit no more.
    stack.callback(lambda: lock.enter_context(locked(data_dir / "reach.lock", shared=False)))
    return server


def _find_server(stack: ExitStack, data_dir: Path) -> Server | None:
    with ExitStack() as cleanup:
        cleanup.enter_context(locked(data_dir / "reach.lock", shared=True))
        try:
            lines = (data_dir / "postgres" / "postmaster.pid").read_bytes().splitlines()
            if lines[7].strip() != b"ready":
                return None  # the line with the socket may still be missing
            server = Server(Path(os.fsdecode(lines[4])))
            server.connect(OWNER, DATABASE).close()
        except (FileNotFoundError, IndexError, psycopg.OperationalError):
            return None  # no server yet, or no longer
        stack.enter_context(cleanup.pop_all())
        return server


@contextmanager
def _with_explanation(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, psycopg.Error) as error:
        raise EmbeddedError(
            f"PostgreSQL cannot run in {data_dir}: {error}; choose another directory, {ELSEWHERE}"
        ) from error


def _create_missing(server: Server) -> None:
    """Create the roles and the database, except those left by an interrupted first start.

    Errors of the roles are logged without details, which have the values of the row that was
    refused. Those of a start keep theirs: they say what is wrong with the data directory.
    """
    with server.connect(SUPERUSER, "postgres") as connection:
        names = "SELECT rolname FROM pg_roles UNION ALL SELECT datname FROM pg_database"
        existing = {name for (name,) in connection.execute(names)}
        for role in {OWNER, SERVICE} - existing:
            connection.execute(f"CREATE ROLE {role} LOGIN")
        # Only where it is missing: a start must not have to write, since the disk may be full.
        terse = "SELECT rolname FROM pg_roles WHERE 'log_error_verbosity=terse' = ANY (rolconfig)"
        for role in {OWNER, SERVICE} - {name for (name,) in connection.execute(terse)}:
            connection.execute(f"ALTER ROLE {role} SET log_error_verbosity = terse")
        if DATABASE not in existing:
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
