"""Long use at 70 % of the limit: counts errors and follows the memory: `python -m bench.soak`.

The clients share the machine with the service, so that the limit is that of both together.
"""

import argparse
import http.client
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.embedded.server import EmbeddedError
from bench.figures import Figures, record_figures
from bench.findings import HEADING, Finding, percentile
from bench.processes import BenchError, Web, ask, connection
from bench.stage import Database, Stage, staging

MINUTES = 30
LIMIT_SECONDS = 20.0
SHARE_OF_LIMIT = 0.7
CLIENTS, FOLLOWERS, WORKERS = 12, 10, 2
WEIGHTS = {"status": 55, "304": 20, "list": 12, "at an instant": 8, "write": 5}
SECONDS_PER_SAMPLE = 2.0
MAX_SLOPE = 256.0
"""KiB a minute; docs/benchmarks.md states it, too."""
MINUTES_OF_SLOPE = 10
"""In less time the caches fill, which says nothing about what leaks."""
SETTLED = 1 / 3
"""The share of the samples that is left out at the start."""


@dataclass
class Tally:
    """What came of the requests of a phase; milliseconds, by kind."""

    milliseconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(map(len, self.milliseconds.values()))


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of a process that is its own alone, in KiB; samples are minutes apart."""

    process: str
    minutes: Sequence[float]
    kib: Sequence[float]

    @property
    def growth(self) -> float:
        return self.kib[-1] - self.kib[0]

    @property
    def slope(self) -> float:
        """KiB a minute, by least squares, once the process has settled."""
        start = int(len(self.kib) * SETTLED)
        return statistics.linear_regression(self.minutes[start:], self.kib[start:]).slope


@dataclass(frozen=True, slots=True)
class Report:
    minutes: float
    limit: float
    """Requests a second."""
    tally: Tally
    memories: Sequence[Memory]

    def findings(self) -> Iterator[Finding]:
        rate = self.tally.requests / (60 * self.minutes)
        yield Finding(name="limit", value=self.limit, unit="/s", note="measured before")
        yield Finding(
            name="requests", value=rate, unit="/s", note=f"{self.tally.requests:,} in all"
        )
        yield Finding(name="errors", value=len(self.tally.errors), unit="", at_most=0)
        for kind, milliseconds in sorted(self.tally.milliseconds.items()):
            for percent in (50, 99):
                value = percentile(milliseconds, percent)
                yield Finding(name=f"{kind}: p{percent}", value=value, unit="ms")
        at_most = MAX_SLOPE if self.minutes >= MINUTES_OF_SLOPE else None
        for memory in self.memories:
            yield Finding(
                name=f"memory of {memory.process}",
                value=memory.slope,
                unit="KiB/min",
                at_most=at_most,
                note=f"{memory.kib[-1] / 1024:.0f} MiB at the end",
            )

    def figures(self) -> Figures:
        return {
            "minutes": round(self.minutes),
            "requests": self.tally.requests,
            "errors": len(self.tally.errors),
            "steepest": round(max(memory.slope for memory in self.memories)),
        }

    @property
    def is_good(self) -> bool:
        return not any(finding.verdict.startswith("missed") for finding in self.findings())


class Client:
    """Sends one request after the other, of a kind at random, at a rate or as fast as it can."""

    def __init__(self, service: Web, database: Database, headers: dict[str, str]) -> None:
        self._port = service.port
        self._headers = headers
        self._closures = list(database.closures().items())
        self._tags: dict[str, str] = {}
        self._random = random.Random()  # noqa: S311 -- nothing secret

    def run(self, tally: Tally, stop: threading.Event, interval: float) -> None:
        due = time.perf_counter() + self._random.random() * interval
        with connection(self._port) as client:
            while not stop.wait(max(0.0, due - time.perf_counter())):
                (kind,) = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))
                begun = time.perf_counter()
                due = max(due + interval, begun)
                try:
                    error = self._send(client, kind)
                except (OSError, http.client.HTTPException) as broken:
                    error = repr(broken)
                    client.close()
                tally.milliseconds[kind].append(1000 * (time.perf_counter() - begun))
                if error is not None:
                    tally.errors.append(f"{kind}: {error}")

    def _send(self, client: http.client.HTTPConnection, kind: str) -> str | None:
        """Return what is wrong with the answer, if anything."""
        crossing, closure = self._random.choice(self._closures)
        path, expected = f"/v1/crossings/{crossing}/status", {200}
        headers: dict[str, str] = {}
        match kind:
            case "write":
                body = closure.replace('"closed"', f'"{self._random.choice(["open", "closed"])}"')
                answer = ask(
                    client, "POST", "/v1/events", headers=self._headers, body=body.encode()
                )
                return None if answer.status == 201 else f"{answer.status} {answer.body!r}"
            case "304":
                headers = {"If-None-Match": self._tags.get(path, '"none"')}
                expected = {200, 304}  # it may have changed, or is asked for the first time
            case "list":
                path = "/v1/crossings?limit=200"
            case "at an instant":
                path += f"?at={self._random.randint(2022, 2025)}-06-01T12:00:00Z"
            case _:
                pass
        answer = ask(client, "GET", path, headers=headers)
        self._tags[path] = answer.header("etag") or ""
        return None if answer.status in expected else f"{answer.status} {answer.body!r}"


class Follower:
    """Follows the stream of changes; a change that it misses is an error."""

    def __init__(self, service: Web) -> None:
        self._port = service.port
        self._socket: socket.socket | None = None
        self.last: int | None = None

    def run(self, tally: Tally, stop: threading.Event) -> None:
        while not stop.is_set():
            with connection(self._port) as client:
                try:
                    self._read(client, tally)
                except (OSError, http.client.HTTPException) as broken:
                    if not stop.is_set():
                        tally.errors.append(f"stream: {broken!r}")

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self, client: http.client.HTTPConnection, tally: Tally) -> None:
        headers = {"Accept": "text/event-stream"}
        if self.last is not None:
            headers["Last-Event-ID"] = str(self.last)
        client.request("GET", "/v1/changes", headers=headers)
        self._socket = client.sock
        response = client.getresponse()
        if response.status != http.HTTPStatus.OK:
            tally.errors.append(f"stream: {response.status}")
            return
        number, is_change = 0, False
        while line := response.readline():
            if line.startswith(b"id: "):
                number = int(line[4:])
            elif line.startswith(b"event: "):
                is_change = True
            elif line == b"\n" and is_change:
                is_change = False
                if self.last is not None and number != self.last + 1:
                    tally.errors.append(f"stream: {number} after {self.last}")
                self.last = number


def soak(stage: Stage, minutes: float) -> Report:
    """Use a service of two workers for so long, after measuring the limit for a short time."""
    database = stage.copy(stage.usual)
    headers = database.headers()
    with stage.service(database, CROSSINGS_WORKERS=str(WORKERS)) as service:
        clients = [Client(service, database, headers) for _ in range(CLIENTS)]
        followers = [Follower(service) for _ in range(FOLLOWERS)]
        seconds = min(LIMIT_SECONDS, 20 * minutes)
        with _running(clients, followers, Tally(), interval=0) as first:
            time.sleep(seconds)
        limit = first.requests / seconds
        interval = CLIENTS / (SHARE_OF_LIMIT * limit)
        with _running(clients, followers, Tally(), interval=interval) as tally:
            memories = _memories(service, 60 * minutes)
    tally.errors[:0] = first.errors
    return Report(minutes, limit, tally, memories)


@contextmanager
def _running(
    clients: Sequence[Client], followers: Sequence[Follower], tally: Tally, *, interval: float
) -> Iterator[Tally]:
    stop = threading.Event()
    threads = [
        *(threading.Thread(target=one.run, args=(tally, stop, interval)) for one in clients),
        *(threading.Thread(target=one.run, args=(tally, stop)) for one in followers),
    ]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stop.set()
        for follower in followers:
            follower.stop()
        for thread in threads:
            thread.join()


def _memories(service: Web, seconds: float) -> list[Memory]:
    """Follow the memory of every process of the service for so long."""
    processes = [service.process, *service.process.children(recursive=True)]
    begun = time.monotonic()
    minutes: list[float] = []
    kib: list[list[float]] = [[] for _ in processes]
    while not minutes or 60 * minutes[-1] < seconds:
        minutes.append((time.monotonic() - begun) / 60)
        for process, samples in zip(processes, kib, strict=True):
            samples.append(process.memory_full_info().uss / 1024)
        time.sleep(SECONDS_PER_SAMPLE)
    return [
        Memory(f"{number}: {_role(process, service)}", minutes, samples)
        for number, (process, samples) in enumerate(zip(processes, kib, strict=True), 1)
    ]


def _role(process: psutil.Process, service: Web) -> str:
    if process == service.process:
        return "main"
    if "resource_tracker" in " ".join(process.cmdline()):
        return "resource tracker"
    answers = any(one.laddr.port == service.port for one in process.net_connections("tcp"))
    return "answering" if answers else "delivery worker"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    minutes = parser.parse_args().minutes
    # A stop must unwind what runs, like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="soak-") as folder,
            staging(Path(folder), quick=True) as stage,
        ):
            report = soak(stage, minutes)
    except (BenchError, EmbeddedError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped")
    print(HEADING)
    for finding in report.findings():
        print(finding.row())
    print(*report.tally.errors[:20], sep="\n")
    if minutes >= MINUTES:
        record_figures({"bench/soak.py": report.figures()})
    if not report.is_good:
        sys.exit(1)


if __name__ == "__main__":
    main()
