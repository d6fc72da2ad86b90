"""What the measurements stand on: a PostgreSQL, databases of every size, the service on them."""

import asyncio
import itertools
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from psycopg import sql

from app import schema
from app.embedded.running import serving
from app.embedded.server import OWNER, SERVICE, SUPERUSER, Server
from bench.crowd import Crowd, closures, compact, fill
from bench.processes import (
    BIN,
    BenchError,
    Web,
    answering,
    ask,
    connection,
    environment,
    free_port,
)


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.url(SERVICE, self.name)

    def closures(self) -> dict[str, str]:
        """Return for each crossing a body by which one of its sides closes it."""
        with self.server.connect(SERVICE, self.name) as reader:
            return closures(reader)

    def headers(self, scope: str = "events:write") -> dict[str, str]:
        """Return the headers of a write, with a new key that has ``scope``."""
        name = f"bench-{secrets.token_hex(4)}"
        command = [str(BIN / "crossings"), "keys", "create", name, "--scope", scope]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment(DATABASE_URL=self.url),
            check=False,
        )
        if done.returncode:
            raise BenchError(f"crossings keys create failed: {done.stderr}")
        return {
            "Authorization": f"Bearer {done.stdout.strip()}",
            "Content-Type": "application/json",
        }


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run takes place, and how long it may take."""

    folder: Path
    server: Server
    quick: bool
    _databases: dict[Crowd, Database] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def rounds(self) -> int:
        return 3 if self.quick else 7

    @property
    def seconds(self) -> float:
        """How long one load lasts."""
        return 0.5 if self.quick else 2

    @property
    def warm_up_seconds(self) -> float:
        return 0.3 if self.quick else 2

    @property
    def few(self) -> Crowd:
        return Crowd(300, 1_000)

    @property
    def usual(self) -> Crowd:
        return Crowd(300, 3_000 if self.quick else 30_000)

    @property
    def long(self) -> Crowd:
        return Crowd(300, 10_000 if self.quick else 1_000_000)

    @property
    def wide(self) -> Crowd:
        """As many events a crossing as usual."""
        return Crowd(1_000, 10_000) if self.quick else Crowd(10_000, 1_000_000)

    def database(self, crowd: Crowd) -> Database:
        """Return the database with this crowd, which is built once and only read."""
        if crowd not in self._databases:
            made = self._create("template1")
            schema.migrate(self.server.url(OWNER, made.name), service_role=SERVICE)
            with self.server.connect(SUPERUSER, made.name) as superuser:
                fill(superuser, crowd)
            asyncio.run(compact(made.url))
            self._databases[crowd] = made
        return self._databases[crowd]

    def copy(self, crowd: Crowd) -> Database:
        """Return a database of one's own to write to; nobody may be using the original."""
        return self._create(self.database(crowd).name)

    @contextmanager
    def service(self, database: Database, **more: str) -> Iterator[Web]:
        """Run `crossings serve` with one worker; ``more`` are settings, as in its environment."""
        port = free_port()
        command = (BIN / "crossings", "serve", "--port", str(port))
        env = environment(DATABASE_URL=database.url, **more)
        with self._answering(*command, port=port, ready="/health/ready", env=env) as found:
            # Nobody asks for it in what is measured, but it is made some seconds after the start.
            with connection(found.port) as client:
                ask(client, "GET", "/openapi.json")
            yield found

    @contextmanager
    def uvicorn(self, app: str, *, ready: str = "/", **env: str) -> Iterator[Web]:
        """Run another application with the options that the service runs with."""
        port = free_port()
        command = (sys.executable, "-m", "uvicorn", app, "--port", str(port))
        options = ("--no-access-log", "--log-level", "warning", "--no-server-header")
        with self._answering(
            *command, *options, port=port, ready=ready, env=environment(**env)
        ) as found:
            yield found

    def path(self, name: str) -> Path:
        """Return a path in the run's folder that was never given before."""
        return self.folder / f"{next(self._numbers)}-{name}"

    def processor_seconds(self) -> float:
        """Return the processor time that all processes started here have taken so far."""
        times = [
            process.cpu_times()
            for process in psutil.Process().children(recursive=True)
            if process.name() != "wrk"
        ]
        return sum(one.user + one.system for one in times)

    def lines(self, lines: Iterable[str]) -> Path:
        """Return a new file of these lines."""
        path = self.path("lines")
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    @contextmanager
    def _answering(
        self, *command: str | Path, port: int, ready: str, env: dict[str, str]
    ) -> Iterator[Web]:
        log = self.path("log")
        with answering(*command, port=port, log=log, ready=ready, env=env) as found:
            yield found

    def _create(self, template: str) -> Database:
        name = f"bench_{next(self._numbers)}"
        with self.server.connect(SUPERUSER, "postgres") as superuser:
            superuser.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                    *map(sql.Identifier, (name, template, OWNER))
                )
            )
        return Database(self.server, name)


@contextmanager
def staging(folder: Path, *, quick: bool) -> Iterator[Stage]:
    """Run a PostgreSQL as the service would run its own, for the time of the block."""
    with serving(folder / "data") as server:
        yield Stage(folder, server, quick)
