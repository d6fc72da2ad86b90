"""Whether what is asked of one crossing, or written about it, costs more as its history grows."""

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from app.embedded.server import SUPERUSER
from bench.crowd import compact, lengthen
from bench.findings import Finding, ratio_of
from bench.processes import BenchError, Web, ask, connection
from bench.stage import Database, Stage

MANY, FEW = 10_000, 10
_LOGS = {
    "crossing-2": ("declaration", FEW),
    "crossing-3": ("declaration", MANY),
    "crossing-4": ("confirmation", FEW),
    "crossing-5": ("confirmation", MANY),
}


def growth(stage: Stage) -> Iterator[Finding]:
    """Ask and write in turns about a crossing with a long history and one with a short one."""
    database = stage.copy(stage.few)
    with stage.server.connect(SUPERUSER, database.name) as superuser:
        for crossing, (kind, events) in _LOGS.items():
            lengthen(superuser, crossing, kind, events)
    asyncio.run(compact(database.url))
    with stage.service(database) as service:
        yield _compared(
            stage,
            f"a write at {MANY:,} events of the crossing / at {FEW}",
            _writing(service, database, "crossing-3"),
            _writing(service, database, "crossing-2"),
            at_most=1.2,
        )
        yield _compared(
            stage,
            f"a write at {MANY:,} confirmations / at {FEW}",
            _writing(service, database, "crossing-5"),
            _writing(service, database, "crossing-4"),
            at_most=1.2,
        )
        yield _compared(
            stage,
            f"status at an instant at {MANY:,} events of the crossing / at {FEW}",
            _asking(service, "crossing-3"),
            _asking(service, "crossing-2"),
            at_most=1.3,
        )


def _compared(
    stage: Stage,
    name: str,
    subject: Callable[[], float],
    baseline: Callable[[], float],
    *,
    at_most: float,
) -> Finding:
    """Compare the medians of so many milliseconds, taken in turns."""
    samples, rounds = (20, 3) if stage.quick else (60, 7)
    for _ in range(samples):
        subject(), baseline()
    pairs = []
    for _ in range(rounds):
        times = [(subject(), baseline()) for _ in range(samples)]
        pairs.append((_median(one for one, _ in times), _median(one for _, one in times)))
    return ratio_of(name, pairs, at_most=at_most, note=f"{_median(a for a, _ in pairs):.1f} ms")


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _writing(service: Web, database: Database, crossing: str) -> Callable[[], float]:
    """Return a write about the crossing that tells how many milliseconds it took."""
    headers = database.headers()
    body = json.loads(database.closures()[crossing])
    statuses = itertools.cycle(["closed", "restricted"])

    def write() -> float:
        sent = json.dumps(body | {"status": next(statuses)}).encode()
        return _timed(service, "POST", "/v1/events", headers, sent, expected=201)

    return write


def _asking(service: Web, crossing: str) -> Callable[[], float]:
    """Return a question about one of a hundred instants that tells how long its answer took."""
    now = datetime.now(UTC)
    instants = itertools.cycle(
        [f"{now - timedelta(days=18 * number):%Y-%m-%dT%H:%M:%SZ}" for number in range(1, 100)]
    )

    def read() -> float:
        path = f"/v1/crossings/{crossing}/status?{urlencode({'at': next(instants)})}"
        return _timed(service, "GET", path, {}, None, expected=200)

    return read


def _timed(
    service: Web,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes | None,
    *,
    expected: int,
) -> float:
    with connection(service.port) as client:
        began = time.perf_counter()
        answer = ask(client, method, path, headers=headers, body=body)
        took = (time.perf_counter() - began) * 1000
    if answer.status != expected:
        raise BenchError(f"{method} {path} answers {answer.status}: {answer.body!r}")
    return took
