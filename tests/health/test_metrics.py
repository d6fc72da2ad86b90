"""What Prometheus reads: requests by route, and the state of what answers them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families as families

from app.health.metrics import DurationHistogram
from app.http.requests import SECONDS, RequestKind, RequestTally
from tests import clients
from tests.api import SUMSKAS, Api
from tests.conftest import Database, started
from tests.marks import full
from tests.servers import service
from tests.waiting import eventually, until

DURATION = "crossings_request_duration_seconds"
STATUS_ROUTE = "/v1/crossings/{crossing_id}/status"
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Return the value of each sample by its name and labels."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in families(text)
        for one in family.samples
    }


def read(response: httpx2.Response) -> Samples:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=")
    return samples(response.text)


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def count(found: Samples, method: str, route: str, status: int) -> float:
    return value(found, f"{DURATION}_count", method=method, route=route, status=str(status))


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", f"/v1/crossings/{SUMSKAS}/status", STATUS_ROUTE, 200),
        ("HEAD", f"/v1/crossings/{SUMSKAS}/status", STATUS_ROUTE, 200),
        ("GET", f"/v1/crossings/{SUMSKAS}/status?at=2024-01-01T00:00:00Z", STATUS_ROUTE, 200),
        ("GET", "/v1/crossings/no-such-place/status", STATUS_ROUTE, 404),
        ("GET", f"/crossings/{SUMSKAS}", "/crossings/{crossing_id}", 200),
        ("GET", "/wp-login.php", "none", 404),
        ("POST", "/v1/events", "/v1/events", 401),
        ("DELETE", "/v1/events", "/v1/events", 405),
    ],
)
async def test_requests_are_counted_by_method_route_and_status(
    seeded_api: Api, method: str, path: str, route: str, status: int
) -> None:
    before = read(await seeded_api.get("/metrics"))
    answer = await seeded_api.client.request(method, path)
    after = read(await seeded_api.get("/metrics"))

    assert answer.status_code == status
    counted = [count(found, method, route, status) for found in (before, after)]
    assert counted[1] - counted[0] == 1


async def test_what_was_not_modified_is_counted_as_that(seeded_api: Api) -> None:
    path = f"/v1/crossings/{SUMSKAS}/status"
    tag = (await seeded_api.get(path)).headers["etag"]
    before = read(await seeded_api.get("/metrics"))
    await seeded_api.client.get(path, headers={"If-None-Match": tag})
    after = read(await seeded_api.get("/metrics"))

    assert count(after, "GET", STATUS_ROUTE, 304) - count(before, "GET", STATUS_ROUTE, 304) == 1


async def test_the_board_the_log_and_deliveries_are_told(seeded: Database) -> None:
    async with seeded.api(webhook_allow="127.0.0.0/8") as api:
        receiver = {"url": "http://127.0.0.1:9/", "filter": {}}
        assert (await api.post("/v1/subscriptions", receiver)).status_code == 201
        written = await api.declare()
        found = read(await api.get("/metrics"))

    assert value(found, "crossings_change") == written["change"]
    assert value(found, "crossings_board_change") == written["change"]
    assert value(found, "crossings_board_crossings") > 10
    assert value(found, "crossings_board_age_seconds") < 60
    assert value(found, "crossings_database_up") == 1
    assert value(found, "crossings_subscriptions", status="active") == 1
    assert value(found, "crossings_delivery_lag_changes") == written["change"]
    assert value(found, "crossings_database_connections_limit", pool="readers") == 10


async def test_every_cache_is_told_with_its_bound(seeded_api: Api) -> None:
    await seeded_api.get(f"/v1/crossings/{SUMSKAS}/status")
    found = read(await seeded_api.get("/metrics"))

    for name in ("board", "pages", "gzip", "recent changes"):
        held = value(found, "crossings_cache_bytes", cache=name)
        assert held <= value(found, "crossings_cache_limit_bytes", cache=name)
    assert value(found, "crossings_cache_entries", cache="board") >= 1


async def test_without_the_database_the_figures_that_need_none_are_still_told() -> None:
    async with started("postgresql://nobody@127.0.0.1:9/nothing") as (_, client):

        async def is_lost() -> bool:
            found = read(await client.get("/metrics"))
            return value(found, "crossings_database_up") == 0

        await until(is_lost)


@pytest.mark.parametrize(
    ("networks", "status"), [("10.0.0.0/8", 404), ("", 404), ("::/0,0.0.0.0/0", 200)]
)
async def test_the_figures_are_for_the_networks_that_may_read_them(
    seeded: Database, networks: str, status: int
) -> None:
    async with seeded.api(metrics_allow=networks) as api:
        assert (await api.get("/metrics")).status_code == status


@given(st.lists(st.floats(0, 20, allow_subnormal=False), max_size=50))
def test_durations_counted_at_once_are_those_observed_one_by_one(durations: list[float]) -> None:
    tally, registries = RequestTally(), (CollectorRegistry(), CollectorRegistry())
    at_once = DurationHistogram("x", "", buckets=SECONDS, registry=registries[0])
    one_by_one = Histogram("x", "", buckets=SECONDS, registry=registries[1])
    for one in durations:
        tally.add(RequestKind("GET", "/", 200), one)
        one_by_one.observe(one)
    for _, found in tally.drain():
        at_once.add(found.counts, found.total)

    assert buckets(registries[0]) == buckets(registries[1])
    assert list(tally.drain()) == []


def buckets(registry: CollectorRegistry) -> Iterable[tuple[Mapping[str, str], float]]:
    return [
        (one.labels, round(one.value, 6))
        for family in registry.collect()
        for one in family.samples
        if not one.name.endswith("_created")
    ]


@full
def test_the_figures_of_all_workers_are_added_up_also_of_those_that_died(
    seeded: Database, tmp_path: Path
) -> None:
    with service(tmp_path / "log", workers=2, database_url=seeded.url, worker=False) as running:
        url = f"{running.url}/v1/borders"
        first = [clients.get(url).status_code for _ in range(40)]
        eventually(lambda: borders_of(running.url) == len(first))
        (victim, _) = running.workers()
        victim.kill()
        eventually(lambda: len([one for one in running.workers() if one != victim]) == 2)
        second = [clients.get(url).status_code for _ in range(10)]

        eventually(lambda: borders_of(running.url) == len(first) + len(second))
        eventually(lambda: connections_of(running.url) == 2 * 10)


def connections_of(url: str) -> float:
    """Return how many connections all living workers may hold together."""
    found = read(clients.get(f"{url}/metrics"))
    return value(found, "crossings_database_connections_limit", pool="readers")


def borders_of(url: str) -> float:
    return count(read(clients.get(f"{url}/metrics")), "GET", "/v1/borders", 200)
