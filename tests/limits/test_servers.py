"""Limits of real servers: with several workers, and behind proxies."""

from pathlib import Path

import httpx2
import pytest

from tests import clients
from tests.conftest import Database
from tests.marks import full
from tests.servers import Service, service

ONE_WRONG_KEY = {"CROSSINGS_RATE_LIMIT_WRONG_KEYS": "1"}


def try_key(running: Service, **headers: str) -> httpx2.Response:
    """Send a wrong key on a connection of its own."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return clients.post(
        f"{running.url}/v1/events", json={}, headers={"Authorization": "Bearer wrong", **named}
    )


@full
def test_workers_count_together(tmp_path: Path, seeded: Database) -> None:
    """By their connections they come to one worker or the other: once a minute in all."""
    log = tmp_path / "log"
    with service(
        log, database_url=seeded.url, worker=False, workers=2, more=ONE_WRONG_KEY
    ) as running:
        statuses = [try_key(running).status_code for _ in range(8)]

    assert statuses == [401] + [429] * 7


def test_clients_are_told_apart_by_a_proxy_that_is_trusted(
    tmp_path: Path, seeded: Database
) -> None:
    with service(
        tmp_path / "log", database_url=seeded.url, worker=False, more=ONE_WRONG_KEY
    ) as running:
        first = try_key(running, X_Forwarded_For="192.0.2.1")
        again = try_key(running, X_Forwarded_For="192.0.2.66, 192.0.2.1")
        other = try_key(running, X_Forwarded_For="192.0.2.2")
        network = try_key(running, X_Forwarded_For="2001:db8::1")
        neighbour = try_key(running, X_Forwarded_For="2001:db8::2")

    answers = [first, again, other, network, neighbour]
    assert [one.status_code for one in answers] == [401, 429, 401, 401, 429]
    assert again.json()["detail"].startswith("The address 192.0.2.1 may ")


@full
def test_forwarded_alone_is_read_where_proxies_send_that(tmp_path: Path, seeded: Database) -> None:
    """Whatever stands in the other header, it is what the client made up."""
    more = {**ONE_WRONG_KEY, "CROSSINGS_FORWARDED_HEADER": "forwarded"}
    with service(
        tmp_path / "log", database_url=seeded.url, worker=False, workers=2, more=more
    ) as running:
        first = try_key(running, Forwarded='for=192.0.2.66, for="192.0.2.1:4711";proto=https')
        again = try_key(running, Forwarded="for=192.0.2.1", X_Forwarded_For="192.0.2.3")
        other = try_key(running, Forwarded="for=192.0.2.2, for=127.0.0.1")
        network = try_key(running, Forwarded='for="[2001:db8::1]"')
        neighbour = try_key(running, Forwarded='for="[2001:db8::2]:80"')
        unknown = try_key(running, Forwarded="for=unknown")
        malformed = try_key(running, Forwarded="for=192.0.2.9;")

    answers = [first, again, other, network, neighbour, unknown, malformed]
    assert [one.status_code for one in answers] == [401, 429, 401, 401, 429, 401, 429]
    assert again.json()["detail"].startswith("The address 192.0.2.1 may ")


@full
@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_nobody_else_is_believed(tmp_path: Path, seeded: Database, header: str) -> None:
    more = {
        **ONE_WRONG_KEY,
        "CROSSINGS_TRUSTED_PROXIES": "127.0.0.250",
        "CROSSINGS_FORWARDED_HEADER": header,
    }
    with service(tmp_path / "log", database_url=seeded.url, worker=False, more=more) as running:
        answers = [
            try_key(running, X_Forwarded_For=f"192.0.2.{number}", Forwarded=f"for=192.0.2.{number}")
            for number in range(1, 4)
        ]

    assert [one.status_code for one in answers] == [401, 429, 429]
