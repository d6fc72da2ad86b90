"""Measures, part by part; prints a table and keeps every round as JSON: `python -m bench`."""

import argparse
import http.client
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from app.embedded.programs import bin_dir
from app.embedded.server import EmbeddedError
from bench.findings import HEADING, Finding, keep, unmeasured
from bench.load import require_wrk
from bench.parts.board import bare, orm, size
from bench.parts.cache import cache
from bench.parts.changes.news import news
from bench.parts.changes.pushes import pushes
from bench.parts.changes.stream import stream
from bench.parts.changes.webhooks import webhooks
from bench.parts.growth import growth
from bench.parts.observations import observations
from bench.parts.pages import pages
from bench.parts.past import past
from bench.parts.rule import rule
from bench.parts.start import start
from bench.parts.write import write
from bench.processes import BenchError
from bench.stage import Stage, staging

LOAD_BEFORE = os.getloadavg()[0]
"""Of the last minute: what others did to the machine when the run began."""

RESULTS = Path(__file__).with_name("results")

_BUSY = 0.5

PARTS: dict[str, Callable[[Stage], Iterator[Finding]]] = {
    part.__name__: part
    for part in (
        bare,
        orm,
        size,
        cache,
        past,
        write,
        growth,
        news,
        stream,
        webhooks,
        pushes,
        observations,
        pages,
        start,
        rule,
    )
}

LONG = {stream, webhooks, pushes, observations, pages}
"""What takes its time on the smallest database too: a quick run has it only if it is asked for."""


def main() -> None:
    asked = _arguments()
    # A stop must unwind what runs, like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    findings = []
    try:
        require_wrk()
        began = time.monotonic()
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            staging(Path(folder), quick=asked.quick) as stage,
        ):
            if LOAD_BEFORE > _BUSY:
                print(f"The machine is busy (load {LOAD_BEFORE:.1f}): expect wide spreads.")
            print(HEADING)
            for name in _names(asked):
                for finding in _measured(name, stage):
                    print(finding.row(), flush=True)
                    findings.append(finding)
    except (BenchError, EmbeddedError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped")
    path = _path(asked)
    keep(path, machine=_machine(), findings=findings)
    print(f"{time.monotonic() - began:.0f} s; every round is in {path}")
    if any(one.name in PARTS for one in findings):
        sys.exit(1)  # a part failed


def _names(asked: argparse.Namespace) -> list[str]:
    if asked.only:
        return [asked.only]
    return [name for name, part in PARTS.items() if not asked.quick or part not in LONG]


def _measured(name: str, stage: Stage) -> Iterator[Finding]:
    """Yield a part's findings; should it fail, that is the last of them."""
    try:
        yield from PARTS[name](stage)
    except (BenchError, OSError, http.client.HTTPException) as error:
        print(error, file=sys.stderr)
        yield unmeasured(name, f"failed: {str(error).splitlines()[0]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="under two minutes: small databases, short rounds"
    )
    parser.add_argument("--only", choices=PARTS, help="one part")
    return parser.parse_args()


def _path(asked: argparse.Namespace) -> Path:
    """Return where to keep the results: a short or partial run never replaces a whole one."""
    names = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{os.cpu_count()}",
        asked.only,
        "quick" if asked.quick else None,
    ]
    return RESULTS / ("-".join(filter(None, names)) + ".json")


def _machine() -> dict[str, object]:
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": LOAD_BEFORE,
        "python": platform.python_version(),
        "postgresql": _first_line(str(bin_dir() / "postgres"), "--version"),
        "wrk": _first_line("wrk", "-v"),
    }


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).partition("\n")[0]


if __name__ == "__main__":
    main()
