"""Loads what answers, with wrk over HTTP and with pgbench in SQL, and compares two of a kind."""

import json
import math
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.embedded.programs import bin_dir
from app.embedded.server import SERVICE
from bench.findings import Finding, percentile, ratio_of
from bench.processes import BenchError, environment, started
from bench.stage import Database, Stage

_SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What a load came to: answers or transactions a second, milliseconds."""

    rate: float
    p99: float


@dataclass(frozen=True, slots=True)
class Contest:
    """The loads of a subject and of its baseline, round by round."""

    rounds: Sequence[tuple[Load, Load]]

    def rate(self, name: str, *, at_least: float | None = None, note: str = "") -> Finding:
        pairs = [(one.rate, other.rate) for one, other in self.rounds]
        return ratio_of(name, pairs, at_least=at_least, note=note)

    def p99(self, name: str, *, at_most: float | None) -> Finding:
        pairs = [(one.p99, other.p99) for one, other in self.rounds]
        return ratio_of(name, pairs, at_most=at_most)


@dataclass(frozen=True, slots=True)
class Asking:
    """Something for wrk to ask. With ``lines``: one of them at random, as wrk.lua tells."""

    url: str
    headers: Mapping[str, str] | None = None
    connections: int = 64
    method: str = "GET"
    lines: Path | None = None

    def load(self, seconds: float) -> Load:
        """Ask for so long. Raises BenchError if a single answer is missing or no success."""
        with self.going_on() as loads:
            time.sleep(seconds)
        return loads[0]

    @contextmanager
    def going_on(self) -> Iterator[list[Load]]:
        """Ask until the block ends, and then add to the list what it came to."""
        loads: list[Load] = []
        with tempfile.TemporaryFile() as output, started(*self._command(), output=output) as wrk:
            yield loads
            wrk.send_signal(signal.SIGINT)  # it tells what it did
            wrk.wait()
            output.seek(0)
            loads.append(self._told(output.read().decode()))

    def _command(self) -> Iterator[str]:
        yield from ("wrk", "-t1", f"-c{self.connections}", "-d3600s", "-s", str(_SCRIPT))
        for name, value in (self.headers or {}).items():
            yield from ("-H", f"{name}: {value}")
        yield self.url
        if self.lines is not None:
            yield from ("--", str(self.lines), self.method, f"{uuid.uuid4()}-")

    def _told(self, output: str) -> Load:
        found = re.search(r"^\{.*\}$", output, re.MULTILINE)
        if found is None:
            raise BenchError(f"wrk failed at {self.url}:\n{output}")
        told = json.loads(found[0])
        if told["errors"]:
            raise BenchError(f"{told['errors']} requests to {self.url} failed:\n{output}")
        return Load(told["requests"] / told["seconds"], told["p99_ms"])


@dataclass(frozen=True, slots=True)
class Transacting:
    """A script of SQL for pgbench, a transaction each time."""

    database: Database
    script: Path
    clients: int
    variables: Mapping[str, str | int]

    def load(self, seconds: float) -> Load:
        """Run the script over and over. Raises BenchError if it fails a single time."""
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                list(self._command(math.ceil(seconds))),
                cwd=folder,
                capture_output=True,
                text=True,
                env=environment(),
                check=False,
            )
            rate = re.search(r"tps = ([\d.]+)", done.stdout)
            if done.returncode or rate is None or "failed transactions: 0 " not in done.stdout:
                raise BenchError(f"pgbench failed on {self.script.name}:\n{done.stderr}")
            logs = [path.read_text(encoding="ascii") for path in Path(folder).iterdir()]
        # The third column is the time taken, in microseconds.
        taken = [int(line.split()[2]) / 1000 for log in logs for line in log.splitlines()]
        return Load(float(rate[1]), percentile(taken, 99))

    def _command(self, seconds: int) -> Iterator[str]:
        yield str(bin_dir() / "pgbench")
        yield from ("--no-vacuum", "--protocol=prepared", "--log", "--jobs=2")
        yield from (f"--client={self.clients}", f"--time={seconds}", f"--file={self.script}")
        for name, value in self.variables.items():
            yield f"--define={name}={value}"
        yield from (f"--host={self.database.server.socket_dir}", "--port=5432")
        yield from (f"--username={SERVICE}", self.database.name)


def alternate(
    stage: Stage, subject: Callable[[float], Load], baseline: Callable[[float], Load]
) -> Contest:
    """Run both in every round, in turns the one or the other first, after a warm-up of both.

    Raises BenchError if a round has no answer at all.
    """
    runs = [subject, baseline]
    for run in runs:
        run(stage.warm_up_seconds)
    pairs = []
    for number in range(stage.rounds):
        first, second = number % 2, 1 - number % 2
        loads = {first: runs[first](stage.seconds), second: runs[second](stage.seconds)}
        pairs.append((loads[0], loads[1]))
    if not all(load.rate for pair in pairs for load in pair):
        raise BenchError("not one answer came within a round")
    return Contest(pairs)


def require_wrk() -> None:
    """Raise BenchError with how to install it, unless wrk is there."""
    if shutil.which("wrk") is None:
        raise BenchError(
            "wrk is not on the PATH: `apt-get install wrk` on Debian and Ubuntu,"
            " or build it from https://github.com/wg/wrk"
        )
