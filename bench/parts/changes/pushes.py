"""One change, told to many browsers by Web Push."""

import base64
import json
import os
import statistics
import time
from collections.abc import Iterator

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.alerts.push import PushAddress, VapidKey
from app.alerts.service import Recipient
from app.embedded.server import SUPERUSER
from app.encryption import Cipher, new_secret_key
from bench.findings import Finding, percentile
from bench.processes import BenchError, Web, ask, connection
from bench.stage import Stage

BROWSERS = 1_000
PATIENCE = 120.0
"""Seconds for all of them to be told."""
WARM_UP = 1

_SUBSCRIBE = """
    INSERT INTO alert (channel, recipient, language, crossings, borders, "after", confirmed_at)
    SELECT 'push', recipient, (ARRAY['en', 'lt', 'pl', 'ru', 'be'])[1 + mod(number, 5)],
           '{}', ARRAY(SELECT id FROM border LIMIT 50), (SELECT max(number) FROM change), now()
    FROM unnest(%s::text[]) WITH ORDINALITY recipients (recipient, number)
"""
_RECORDED = "SELECT extract(epoch FROM recorded_at)::float8 FROM change WHERE number = %s"


def pushes(stage: Stage) -> Iterator[Finding]:
    """Record a change that every browser waits for, and see when the push service has each."""
    rounds = 2 if stage.quick else 5
    database = stage.copy(stage.few)
    headers, bodies = database.headers(), list(database.closures().values())
    vapid = stage.path("vapid.key")
    vapid.write_text(VapidKey.generate().pem(), encoding="ascii")
    secret_key = new_secret_key()
    with (
        stage.server.connect(SUPERUSER, database.name) as superuser,
        stage.uvicorn("bench.endpoint:app") as endpoint,
    ):
        url = f"http://127.0.0.1:{endpoint.port}/"
        superuser.execute(_SUBSCRIBE, [_recipients(url, Cipher([secret_key]))])
        superuser.execute("ANALYZE alert")
        settings = {
            "CROSSINGS_WEBHOOK_ALLOW": "127.0.0.0/8",
            "CROSSINGS_SECRET_KEY": secret_key,
            "CROSSINGS_VAPID_KEY": str(vapid),
        }
        with stage.service(database, **settings) as service:
            time.sleep(5)  # the delivery worker starts beside it
            delays = [
                _delays(superuser, service, endpoint, headers, bodies[number])
                for number in range(WARM_UP + rounds)
            ][WARM_UP:]
    p99 = [percentile(of_round, 99) for of_round in delays]
    yield Finding(
        name=f"from a commit to the push service, of {BROWSERS:,} browsers: p99",
        value=statistics.median(p99),
        unit="ms",
        at_most=1_000,
        note=f"median {statistics.median(delays[0]):.0f}",
        rounds=[{"value": one} for one in p99],
    )


def _recipients(url: str, cipher: Cipher) -> list[str]:
    return [
        Recipient(str(number), push=_address(f"{url}{number}")).encrypted(cipher)
        for number in range(BROWSERS)
    ]


def _address(endpoint: str) -> PushAddress:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    p256dh, auth = (
        base64.urlsafe_b64encode(content).rstrip(b"=").decode()
        for content in (point, os.urandom(16))
    )
    return PushAddress(endpoint, p256dh, auth)


def _delays(
    superuser: psycopg.Connection,
    service: Web,
    endpoint: Web,
    headers: dict[str, str],
    body: str,
) -> list[float]:
    """Return the milliseconds from recording a change to each arrival of it."""
    with connection(service.port) as writer:
        written = ask(writer, "POST", "/v1/events", headers=headers, body=body.encode())
    number = written.header("change-number")
    if written.status != 201 or number is None:
        raise BenchError(f"POST /v1/events answers {written.status}: {written.body!r}")
    arrivals: list[float] = []
    deadline = time.monotonic() + PATIENCE
    with connection(endpoint.port) as push_service:
        while len(arrivals) < BROWSERS:
            time.sleep(1.5)  # to ask more often would slow it down
            arrivals += json.loads(ask(push_service, "GET", "/").body)
            if time.monotonic() > deadline:
                raise BenchError(f"{len(arrivals)} of {BROWSERS} arrived in {PATIENCE:.0f} s")
    (recorded,) = superuser.execute(_RECORDED, [number]).fetchone() or (0.0,)
    return [1_000 * (arrival - recorded) for arrival in arrivals]
