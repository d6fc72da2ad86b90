"""Followers of the stream of changes: what each costs, and how soon a change reaches all.

As a program, the followers: `python -m bench.parts.changes.stream PORT COUNT` opens COUNT streams,
says when all are open, and then for each change the instants at which each of them had it.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

import psycopg
import uvloop

from app.embedded.server import SUPERUSER
from bench.crowd import WATCHED
from bench.findings import Finding, median_of, percentile, unmeasured
from bench.processes import BenchError, Web, ask, connection
from bench.stage import Database, Stage

MANY, SOME, FEW = 5_000, 2_000, 100
BESIDES = 200
"""Files that a process has open besides."""
PATIENCE = 300
"""Seconds that the followers stay at most, should a change not come."""

_REQUEST = b"GET /v1/changes HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"
_CHANGE = """
    INSERT INTO change (number, kind, recorded_at, subjects, payload, hash)
    SELECT number + 1, kind, greatest(clock_timestamp(), recorded_at + interval '1 microsecond'),
           subjects, payload, sha256(hash)
    FROM change ORDER BY number DESC LIMIT 1
"""
"""The newest change over again: a commit and nothing else."""


def stream(stage: Stage) -> Iterator[Finding]:
    """Let thousands follow one worker, and commit one change after the other."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < MANY + BESIDES:
        yield unmeasured("stream of changes", f"{files} files may be open, not {MANY + BESIDES}")
        return
    database, rounds = stage.copy(stage.usual), 5 if stage.quick else 15
    with stage.service(database) as service:
        _write(service, database)
        yield _memory(service)
        for count, at_most in ((MANY, 250), (SOME, 100)):
            reached = _delays(service, database, count, rounds)
            yield _at(reached, 50, f"a change to all of {count:,} followers: p50")
            yield _at(reached, 99, f"a change to all of {count:,} followers: p99", at_most)
        first = _delays(service, database, FEW, 10 * rounds)
        yield _at(first, 50, f"from a commit to each of {FEW} followers: p50", 10)


def _write(service: Web, database: Database) -> None:
    """Make a change of the usual kind, to be made over again."""
    body = database.closures()[WATCHED].encode()
    with connection(service.port) as client:
        written = ask(client, "POST", "/v1/events", headers=database.headers(), body=body)
    if written.status != 201:
        raise BenchError(f"POST /v1/events answers {written.status}: {written.body!r}")


def _memory(service: Web) -> Finding:
    with _followers(service, FEW):
        pass  # what the first ones cost is not theirs
    before = service.process.memory_info().rss
    with _followers(service, MANY):
        time.sleep(2)
        after = service.process.memory_info().rss
    return Finding(
        name=f"memory of one of {MANY:,} idle followers",
        value=(after - before) / MANY / 1000,
        unit="kB",
        at_most=15,
        rounds=[{"before": before, "after": after}],
    )


def _delays(service: Web, database: Database, count: int, rounds: int) -> list[list[float]]:
    """Return for each change the milliseconds from its commit to each follower."""
    found = []
    with (
        _followers(service, count) as told,
        database.server.connect(SUPERUSER, database.name) as superuser,
    ):
        for _ in range(1 + rounds):
            committed = _commit(superuser)
            instants: list[float] = json.loads(told.readline() or "[]")
            if len(instants) != count:
                raise BenchError(f"{len(instants)} of {count} followers had the change")
            found.append([1000 * (instant - committed) for instant in instants])
            time.sleep(0.2)
    return found[1:]


def _commit(superuser: psycopg.Connection) -> float:
    superuser.execute(_CHANGE)
    return time.monotonic()


def _at(
    reached: list[list[float]], percent: int, name: str, at_most: float | None = None
) -> Finding:
    values = [percentile(delays, percent) for delays in reached]
    longest = max(map(max, reached))
    return median_of(name, values, unit="ms", at_most=at_most, note=f"longest {longest:.0f}")


@contextmanager
def _followers(service: Web, count: int) -> Iterator[IO[str]]:
    """Give what so many followers tell, once all are there."""
    command = [sys.executable, "-m", "bench.parts.changes.stream", str(service.port), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "open\n":
                raise BenchError(f"{count} streams could not be opened")
            yield process.stdout
        finally:
            process.kill()


class _Followers:
    """As many connections, and when each of them had the change that is awaited."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.opened = 0
        self.all_open = asyncio.Event()
        self.instants: list[float] = []

    def open(self) -> None:
        self.opened += 1
        if self.opened == self.count:
            self.all_open.set()

    def hear(self) -> None:
        self.instants.append(time.monotonic())
        if len(self.instants) == self.count:
            print(json.dumps(self.instants), flush=True)
            self.instants = []


class _Follower(asyncio.Protocol):
    """Counts the blank lines that end an event: the first ends the opening."""

    def __init__(self, all_of_them: _Followers) -> None:
        self._all = all_of_them
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        if not self._is_open and b"\nid: " in data:
            self._is_open = True
            self._all.open()
        if b"\nevent: " in data:
            self._all.hear()


async def _follow(port: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    followers = _Followers(count)
    for _ in range(count):
        await loop.create_connection(lambda: _Follower(followers), "127.0.0.1", port)
    async with asyncio.timeout(PATIENCE):
        await followers.all_open.wait()
        print("open", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_follow(int(sys.argv[1]), int(sys.argv[2])))
