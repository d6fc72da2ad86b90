"""How soon a write that was acknowledged is seen at another worker."""

import json
import statistics
import time
from collections.abc import Iterator
from http.client import HTTPConnection

from bench.crowd import WATCHED
from bench.findings import Finding, percentile
from bench.load import Asking, saturated
from bench.parts.board import STATUS
from bench.processes import BenchError, Web, ask, connection
from bench.stage import Stage

PATIENCE = 10
"""Seconds for a write to come through at all."""

_CLOSURE = json.dumps(
    {
        "crossings": [WATCHED],
        "sides": ["LT"],
        "status": "closed",
        "reason": {"code": "technical"},
        "citations": [{"source": {"title": "Call from the shift leader", "kind": "observation"}}],
    }
).encode()


def news(stage: Stage) -> Iterator[Finding]:
    """Write to one worker and ask the other until it knows."""
    database = stage.copy(stage.usual)
    headers = {
        "Authorization": f"Bearer {database.new_key()}",
        "Content-Type": "application/json",
    }
    with (
        stage.service(database) as writing,
        stage.service(database) as reading,
        connection(reading.port) as reader,
    ):
        yield _finding("idle", _delays(stage, writing, reader, headers), at_most=10)
        with saturated(Asking(reading.url(STATUS))):
            yield _finding("saturated", _delays(stage, writing, reader, headers), at_most=40)


def _delays(
    stage: Stage, writing: Web, reader: HTTPConnection, headers: dict[str, str]
) -> list[float]:
    """Return the milliseconds from each acknowledgement to the answer that knows of it."""
    return [_delay(writing, reader, headers) for _ in range(50 if stage.quick else 300)]


def _delay(writing: Web, reader: HTTPConnection, headers: dict[str, str]) -> float:
    # A connection of its own, since the worker closes those that are idle for long.
    with connection(writing.port) as writer:
        written = ask(writer, "POST", "/v1/events", headers=headers, body=_CLOSURE)
        acknowledged = time.perf_counter()
    number = written.header("change-number")
    if written.status != 201 or number is None:
        raise BenchError(f"POST /v1/events answers {written.status}: {written.body!r}")
    while True:
        known = ask(reader, "GET", STATUS).header("change-number")
        waited = time.perf_counter() - acknowledged
        if known is not None and int(known) >= int(number):
            return waited * 1000
        if waited > PATIENCE:
            raise BenchError(f"the other worker does not know of change {number}")
        time.sleep(0.001)  # the worker is to be idle but for these questions


def _finding(how: str, delays: list[float], *, at_most: float) -> Finding:
    return Finding(
        name=f"from a commit to its being seen at another worker, {how}: p99",
        value=percentile(delays, 99),
        unit="ms",
        at_most=at_most,
        note=f"median {statistics.median(delays):.1f}, longest {max(delays):.1f}",
        rounds=[{"value": one} for one in delays],
    )
