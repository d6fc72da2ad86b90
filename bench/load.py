"""Loads what answers, with wrk over HTTP and with pgbench in SQL, and compares two of a kind."""

import json
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app import embedded
from bench.findings import Finding, percentile, ratio_of
from bench.processes import BenchError, environment, started
from bench.stage import Database

CONNECTIONS = 64

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
    connections: int = CONNECTIONS
    method: str = "GET"
    lines: Path | None = None

    def command(self, seconds: int) -> list[str]:
        return [
            *("wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s", str(_SCRIPT)),
            *(
                part
                for name, value in (self.headers or {}).items()
                for part in ("-H", f"{name}: {value}")
            ),
            self.url,
            *(
                []
                if self.lines is None
                else ["--", str(self.lines), self.method, f"{uuid.uuid4()}-"]
            ),
        ]


def require_wrk() -> None:
    """Raise BenchError with how to install it, unless wrk is there."""
    if shutil.which("wrk") is None:
        raise BenchError(
            "wrk is not on the PATH: `apt-get install wrk` on Debian and Ubuntu,"
            " `brew install wrk`, or build it from https://github.com/wg/wrk"
        )


def wrk(asking: Asking, *, seconds: int) -> Load:
    """Load for so long. Raises BenchError if a single answer is missing or no success."""
    done = subprocess.run(
        asking.command(seconds), capture_output=True, text=True, env=environment(), check=False
    )
    return _load(asking, done.stdout + done.stderr)


@contextmanager
def saturated(asking: Asking) -> Iterator[None]:
    """Load until the block ends. Raises BenchError as ``wrk`` does."""
    with tempfile.TemporaryFile() as output, started(*asking.command(3600), output=output) as one:
        yield
        one.send_signal(signal.SIGINT)  # it then tells what it did
        one.wait()
        output.seek(0)
        _load(asking, output.read().decode())


def pgbench(
    database: Database,
    script: Path,
    *,
    seconds: int,
    clients: int,
    variables: Mapping[str, str | int] | None = None,
) -> Load:
    """Run a script of SQL, one transaction each time. Raises BenchError if a single one fails."""
    defined = [
        part for name, value in (variables or {}).items() for part in ("-D", f"{name}={value}")
    ]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(embedded.bin_dir() / "pgbench", "--no-vacuum", "--protocol=prepared", "--jobs=2"),
                *(f"--client={clients}", f"--time={seconds}", f"--file={script}", "--log"),
                *(f"--host={database.server.socket_dir}", "--port=5432"),
                *(f"--username={embedded.SERVICE}", *defined, database.name),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        if done.returncode or rate is None or "failed transactions: 0 " not in done.stdout:
            raise BenchError(f"pgbench failed on {script.name}:\n{done.stdout}{done.stderr}")
        lines = [line for log in Path(folder).iterdir() for line in log.read_text().splitlines()]
    # The third column is the time taken, in microseconds.
    return Load(float(rate[1]), percentile([int(line.split()[2]) for line in lines], 99) / 1000)


def alternate(rounds: int, subject: Callable[[], Load], baseline: Callable[[], Load]) -> Contest:
    """Run both in every round, in turns the one or the other first, after a warm-up of both.

    Raises BenchError if a round has no answer at all.
    """
    runs = [subject, baseline]
    for run in runs:
        run()
    pairs = []
    for number in range(rounds):
        first, second = number % 2, 1 - number % 2
        loads = {first: runs[first](), second: runs[second]()}
        pairs.append((loads[0], loads[1]))
    if not all(load.rate for pair in pairs for load in pair):
        raise BenchError("not one answer came within a round")
    return Contest(pairs)


def _load(asking: Asking, output: str) -> Load:
    found = re.search(r"^\{.*\}$", output, re.MULTILINE)
    if found is None:
        raise BenchError(f"wrk failed at {asking.url}:\n{output}")
    told = json.loads(found[0])
    if told["errors"]:
        raise BenchError(f"{told['errors']} requests to {asking.url} failed:\n{output}")
    return Load(told["requests"] / told["seconds"], told["p99_ms"])
