"""One change, told to many receivers by webhook."""

import time
from collections.abc import Iterator

import psutil
import psycopg

from app.embedded.server import SUPERUSER
from app.encryption import Cipher, new_secret_key
from app.subscriptions.service import new_secret
from bench.findings import Finding, median_of
from bench.processes import BenchError, Web, ask, connection
from bench.stage import Stage

PATIENCE = 600.0
"""Seconds for all of them to be delivered to."""

_SUBSCRIBE = """
    INSERT INTO subscription (key_id, url, filter, "after", agreed_at, status, secret)
    SELECT (SELECT min(id) FROM api_key), %s, '{}', (SELECT max(number) FROM change), now(),
           'active', %s
    FROM generate_series(1, %s)
"""
_DONE = "SELECT count(*) FROM delivery WHERE change = %s AND state = 'delivered'"
_FIRST = """
    SELECT extract(epoch FROM min(ended_at) - min(recorded_at))::float8
    FROM delivery JOIN change ON number = change WHERE number = %s
"""


def webhooks(stage: Stage) -> Iterator[Finding]:
    """Record a change that concerns every subscription, and wait until all were told."""
    receivers = 1_000 if stage.quick else 10_000
    database = stage.copy(stage.few)
    headers, (body, *_) = database.headers(), database.closures().values()
    with (
        stage.server.connect(SUPERUSER, database.name) as superuser,
        stage.uvicorn("bench.bare:app") as receiver,
    ):
        secret_key = new_secret_key()
        secret = Cipher([secret_key]).encrypt(new_secret())
        url = f"http://127.0.0.1:{receiver.port}/"
        superuser.execute(_SUBSCRIBE, [url, secret, receivers])
        superuser.execute("ANALYZE subscription")
        settings = {"CROSSINGS_WEBHOOK_ALLOW": "127.0.0.0/8", "CROSSINGS_SECRET_KEY": secret_key}
        with stage.service(database, **settings) as service:
            worker = _worker(service)
            before, cpu_before = worker.memory_info().rss, _cpu_seconds(worker)
            rates, firsts = [], []
            for _ in range(3):
                seconds, first = _told(superuser, service, headers, body, receivers)
                rates.append(receivers / seconds)
                firsts.append(1000 * first)
            after, cpu = worker.memory_info().rss, _cpu_seconds(worker) - cpu_before
    yield median_of(f"one change to {receivers:,} receivers: deliveries a second", rates, unit="/s")
    yield median_of("from its commit to the end of the first delivery", firsts, unit="ms")
    yield Finding(
        name="the delivery worker's own processor time for a delivery",
        value=1000 * cpu / (3 * receivers),
        unit="ms",
    )
    yield Finding(
        name=f"the delivery worker's memory after three times {receivers:,} deliveries",
        value=after / 2**20,
        unit="MiB",
        note=f"{before / 2**20:.0f} before",
    )


def _worker(service: Web) -> psutil.Process:
    """Return the delivery worker beside a service, once it has been up for a while."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for one in service.process.children():
            if "spawn_main" in " ".join(one.cmdline()):
                time.sleep(5)
                return one
        time.sleep(0.1)
    raise BenchError("the service has no delivery worker")


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _told(
    superuser: psycopg.Connection,
    service: Web,
    headers: dict[str, str],
    body: str,
    receivers: int,
) -> tuple[float, float]:
    """Return the seconds from an acknowledgement until all, and the first, were told."""
    with connection(service.port) as writer:
        written = ask(writer, "POST", "/v1/events", headers=headers, body=body.encode())
    began = time.perf_counter()
    number = written.header("change-number")
    if written.status != 201 or number is None:
        raise BenchError(f"POST /v1/events answers {written.status}: {written.body!r}")
    done = 0
    while (waited := time.perf_counter() - began) < PATIENCE:
        (done,) = superuser.execute(_DONE, [number]).fetchone() or (0,)
        if done == receivers:
            (first,) = superuser.execute(_FIRST, [number]).fetchone() or (0.0,)
            return waited, first
        time.sleep(0.05)
    raise BenchError(f"{done} of {receivers} were told within {PATIENCE:.0f} s")
