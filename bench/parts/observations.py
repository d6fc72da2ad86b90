"""What observations cost: to record, to tell the latest of, to list and to summarise many."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import psycopg

from app.embedded.server import SERVICE, SUPERUSER
from app.observations.reading import LATEST
from bench.crowd import WATCHED, Crowd
from bench.findings import Finding, median_of
from bench.processes import BenchError, Web, ask, connection
from bench.stage import Database, Stage

ROWS = 1_000
"""Observations in a request."""
WRITERS = 2

_FILL = Path(__file__).parents[1] / "observations.sql"


def observations(stage: Stage) -> Iterator[Finding]:
    """Ask and write beside ten million observations of ten thousand crossings."""
    crowd = Crowd(1_000, 10_000) if stage.quick else Crowd(10_000, 10_000)
    count = 100_000 if stage.quick else 10_000_000
    database = stage.copy(crowd)
    with stage.service(database) as service:
        before = service.process.memory_info().rss
    _fill(stage, database, count)
    with stage.server.connect(SERVICE, database.name) as reader:
        yield _timed(
            stage,
            f"the latest of two lanes of {crowd.crossings:,} crossings, {count:,} observations",
            lambda: _latest(reader),
            rounds=stage.rounds,
            at_most=100,
        )
    with stage.service(database) as service:
        waits = (service.process.memory_info().rss - before) / crowd.crossings / 1024
        yield Finding(
            name="memory of the waits of a crossing, two lanes", value=waits, unit="KiB", at_most=4
        )
        yield from _read(stage, service, crowd)
        yield _write(stage, service, database, key=False)
        yield _write(stage, service, database, key=True)


def _fill(stage: Stage, database: Database, count: int) -> None:
    with stage.server.connect(SUPERUSER, database.name) as superuser:
        with superuser.transaction(), psycopg.ClientCursor(superuser) as cursor:
            cursor.execute(_FILL.read_bytes(), {"observations": count})
        superuser.execute("VACUUM ANALYZE")


def _latest(reader: psycopg.Connection) -> None:
    """Let the database send them; to read them is the reader's work."""
    with reader.cursor() as cursor, cursor.copy(f"COPY ({LATEST}) TO STDOUT") as sent:
        if sum(1 for _ in sent) < ROWS:
            raise BenchError("there are no waits")


def _read(stage: Stage, service: Web, crowd: Crowd) -> Iterator[Finding]:
    now = datetime.now(UTC)
    week = {"from": f"{now - timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"}
    month = {"from": f"{now - timedelta(days=28):%Y-%m-%dT%H:%M:%SZ}"}
    past = {"at": f"{now - timedelta(days=100):%Y-%m-%dT%H:%M:%SZ}", "limit": "200"}
    every_minute = WATCHED
    for name, ids, path, at_most in (
        ("a week's summary of a crossing", crowd.ids(), f"/summary?{urlencode(week)}", 50),
        (
            "the same of two lanes that are observed each minute",
            [every_minute],
            f"/summary?{urlencode(week)}",
            50,
        ),
        ("four weeks of them", [every_minute], f"/summary?{urlencode(month)}", None),
        ("the newest 50 observations of a crossing", crowd.ids(), "", None),
    ):
        addresses = itertools.cycle([f"/v1/crossings/{one}/observations{path}" for one in ids])
        yield _timed(
            stage,
            name,
            partial(_get_next, service, addresses),
            rounds=stage.rounds * 10,
            at_most=at_most,
        )
    yield _timed(
        stage,
        "200 crossings with their waits at an instant of the past",
        lambda: _get(service, f"/v1/crossings?{urlencode(past)}"),
        rounds=stage.rounds,
    )


def _get_next(service: Web, addresses: Iterator[str]) -> None:
    _get(service, next(addresses))


def _get(service: Web, path: str) -> None:
    answer = service.get(path)
    if answer.status != http.client.OK:
        raise BenchError(f"GET {path} answers {answer.status}: {answer.body!r}")


def _timed(
    stage: Stage, name: str, act: Callable[[], None], *, rounds: int, at_most: float | None = None
) -> Finding:
    """Time something, and tell the processor time that it took of all processes."""
    act()
    times = []
    processor = stage.processor_seconds()
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    used = (stage.processor_seconds() - processor) / rounds * 1000
    return median_of(name, times, unit="ms", at_most=at_most, note=_processor(used))


def _processor(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms of processor time"


def _write(stage: Stage, service: Web, database: Database, *, key: bool) -> Finding:
    """Record batches from as many clients as there are writers; their bodies are made before."""
    batches = 4 if stage.quick else 60
    headers = database.headers("observations:write")
    lanes_of = _lanes(stage, database)
    shift = 500 if key else 0
    bodies = [
        [_body(lanes_of, writer, number + shift) for number in range(batches)]
        for writer in range(WRITERS)
    ]
    rates: list[float] = []
    processor = stage.processor_seconds()
    for turn in range(3):
        began = time.perf_counter()
        part = slice(turn * batches // 3, (turn + 1) * batches // 3)
        sent = _send(service, headers, [one[part] for one in bodies], key=key)
        rates.append(sent / (time.perf_counter() - began))
    used = (stage.processor_seconds() - processor) / (WRITERS * batches) * 1000
    name = f"observations recorded a second, {ROWS:,} a request, {WRITERS} clients"
    return median_of(
        f"{name}, with Idempotency-Key" if key else name,
        rates,
        unit="/s",
        at_least=None if key else 10_000,
        note=f"{_processor(used)} a request",
    )


def _send(
    service: Web, headers: Mapping[str, str], bodies: Sequence[Sequence[bytes]], *, key: bool
) -> int:
    faults: list[str] = []

    def work(own: Sequence[bytes]) -> None:
        with connection(service.port) as client:
            for body in own:
                more = {"Idempotency-Key": str(hash(body))} if key else {}
                answer = ask(
                    client, "POST", "/v1/observations", headers={**headers, **more}, body=body
                )
                if answer.status != http.client.CREATED or b'"duplicates":0' not in answer.body:
                    faults.append(f"{answer.status}: {answer.body[:500]!r}")

    threads = [threading.Thread(target=work, args=[own]) for own in bodies]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if faults:
        raise BenchError(f"POST /v1/observations answers {faults[0]}")
    return ROWS * sum(map(len, bodies))


def _lanes(stage: Stage, database: Database) -> list[tuple[str, str]]:
    with stage.server.connect(SERVICE, database.name) as reader:
        return [
            (str(crossing), str(to))
            for crossing, to in reader.execute(
                'SELECT crossing_id, "to" FROM observation_series ORDER BY id'
            ).fetchall()
        ]


def _body(lanes_of: Sequence[tuple[str, str]], writer: int, number: int) -> bytes:
    """Return a batch of a thousand lanes, none of whose rows another batch has."""
    instant = datetime.now(UTC) - timedelta(seconds=7 * number + writer, minutes=1)
    start = (2 * number + writer) * ROWS
    rows = [
        {
            "crossing": crossing,
            "traffic": "car",
            "to": to,
            "observed_at": instant.isoformat(),
            "wait": {"state": "known", "minutes": place % 240},
            "vehicles": place % 90,
            "method": "sensor",
        }
        for place, (crossing, to) in enumerate(
            lanes_of[(start + place) % len(lanes_of)] for place in range(ROWS)
        )
    ]
    return json.dumps({"source": {"title": f"Bench {writer}"}, "observations": rows}).encode()
