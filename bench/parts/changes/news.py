"""How soon a write that was acknowledged is seen at another worker."""

import itertools
import statistics
import time
from collections.abc import Iterator

from bench.findings import Finding, percentile
from bench.load import Asking
from bench.parts.board import STATUS
from bench.processes import BenchError, Web, ask, connection
from bench.stage import Stage

WARM_UP = 10
PATIENCE = 10
"""Seconds for a write to come through at all."""


def news(stage: Stage) -> Iterator[Finding]:
    """Write to one worker, of one crossing after the other, and ask the other until it knows."""
    database, samples = stage.copy(stage.usual), 30 if stage.quick else 300
    headers, closures = database.headers(), itertools.cycle(database.closures().values())
    with stage.service(database) as writing, stage.service(database) as reading:

        def delays() -> list[float]:
            return [
                _delay(writing, reading, headers, body)
                for body in itertools.islice(closures, WARM_UP + samples)
            ][WARM_UP:]

        yield _finding("idle", delays(), at_most=10)
        with Asking(reading.url(STATUS)).going_on():
            yield _finding("saturated", delays(), at_most=40)


def _delay(writing: Web, reading: Web, headers: dict[str, str], body: str) -> float:
    """Return the milliseconds from the acknowledgement to the first answer that knows of it."""
    with connection(writing.port) as writer, connection(reading.port) as reader:
        ask(reader, "GET", STATUS)  # connected before the clock runs
        written = ask(writer, "POST", "/v1/events", headers=headers, body=body.encode())
        acknowledged = time.perf_counter()
        number = written.header("change-number")
        if written.status != 201 or number is None:
            raise BenchError(f"POST /v1/events answers {written.status}: {written.body!r}")
        while (waited := time.perf_counter() - acknowledged) < PATIENCE:
            known = ask(reader, "GET", STATUS).header("change-number")
            if known is not None and int(known) >= int(number):
                return (time.perf_counter() - acknowledged) * 1000
            time.sleep(0.001)  # the worker is to be idle but for these questions
    raise BenchError(f"the other worker does not know of change {number} after {waited:.0f} s")


def _finding(how: str, delays: list[float], *, at_most: float) -> Finding:
    return Finding(
        name=f"from a commit to its being seen at another worker, {how}: p99",
        value=percentile(delays, 99),
        unit="ms",
        at_most=at_most,
        note=f"median {statistics.median(delays):.1f}, longest {max(delays):.1f}",
        rounds=[{"value": one} for one in delays],
    )
