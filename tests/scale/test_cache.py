"""The cache in front: a real nginx with the file that is deployed, before a real service.

Of its two upstreams the second is never there. The tests share both, and the last one ends
the service.
"""

import asyncio
import math
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from app.config import PROJECT
from app.embedded.server import Server
from app.http.caching import cache_control
from tests import clients
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, decision, problem
from tests.conftest import SEEDED, clone
from tests.marks import full
from tests.servers import Service, free_port, service
from tests.waiting import eventually

FIXED = "/v1/borders/BY-LT?at=2023-09-01T00:00:00Z&known_change=400"
"""An answer that is good for an hour, and long enough to be compressed."""
CLOCK_SECONDS = 1
"""How far the service's notion of the database's clock may be off on a very busy machine.

A cache that were told nothing of an end would go on for seconds.
"""
TRUSTED = {"CROSSINGS_TRUSTED_PROXIES": "127.0.0.1, 127.0.0.2"}


@dataclass(frozen=True)
class Cached:
    """A service, and a client that asks it through nginx."""

    service: Service
    key: str
    client: httpx2.Client

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Ask with ``headers``, whose names are in snake case."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers=named)

    def declare(self, **fields: object) -> str:
        """Record a decision through the cache and return its change."""
        authorization = {"Authorization": f"Bearer {self.key}"}
        answer = self.client.post("/v1/events", json=decision(**fields), headers=authorization)
        assert answer.status_code == 201, answer.text
        change: str = answer.headers["change-number"]
        return change


@pytest.fixture(scope="module")
def cached(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cached]:
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("cached")
    with (
        clone(postgres, SEEDED) as database,
        service(
            folder / "serve.log", database_url=database.url, worker=False, more=TRUSTED
        ) as running,
        nginx(folder, running.port) as url,
        clients.client(base_url=url) as client,
    ):
        yield Cached(running, asyncio.run(database.new_key()), client)


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[str]:
    """Run nginx before a port of this machine, with nothing but addresses and paths changed."""
    port = free_port()
    text = (PROJECT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for told, here in (
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("server api-1:8000 ", f"server 127.0.0.1:{upstream} "),
        ("server api-2:8000 ", f"server 127.0.0.1:{free_port()} "),
        (" /tmp/", f" {folder}/"),
    ):
        assert told in text
        text = text.replace(told, here)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    # Started by root it would turn into somebody who may not enter the folder.
    directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    process = subprocess.Popen(
        ["nginx", "-e", "stderr", "-c", folder / "nginx.conf", "-g", directives]
    )
    try:
        eventually(lambda: process.poll() is not None or (folder / "nginx.pid").exists())
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def is_hit(answer: httpx2.Response) -> bool:
    hit: bool = answer.headers["x-cache"] == "HIT"
    return hit


# What is kept


@full
def test_a_second_reader_is_given_what_the_first_was(cached: Cached) -> None:
    first, second = cached.get(FIXED), cached.get(FIXED)
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("MISS", "HIT")
    assert second.content == first.content
    for name in ("date", "etag", "cache-control", "change-number"):
        assert second.headers[name] == first.headers[name]


def test_conditional_requests_go_by_the_etag_alone(cached: Cached) -> None:
    """Two changes may share the second of `Last-Modified`."""
    path = f"/v1/crossings/{SUMSKAS}/status"
    kept = cached.get(path)
    same = cached.get(path, if_none_match=kept.headers["etag"])
    assert (same.status_code, same.content) == (304, b"")
    assert cached.get(path, if_none_match='"other"').status_code == 200
    assert cached.get(path, if_modified_since=kept.headers["last-modified"]).status_code == 200


def test_head_is_answered_from_what_get_left(cached: Cached) -> None:
    kept = cached.get(FIXED, accept_encoding="gzip")
    head = cached.client.head(FIXED, headers={"Accept-Encoding": "gzip"})
    assert is_hit(head)
    assert head.content == b""
    assert head.headers["etag"] == kept.headers["etag"]


def test_codings_are_kept_apart(cached: Cached) -> None:
    def ask(coding: str) -> httpx2.Response:
        return cached.get(FIXED, accept_encoding=coding)

    ask("gzip"), ask("identity")
    compressed, plain = ask("gzip"), ask("identity")
    assert is_hit(compressed)
    assert is_hit(plain)
    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert compressed.json() == plain.json()


def test_a_next_link_is_of_the_scheme_that_was_asked_by(cached: Cached) -> None:
    """Whoever ends TLS before the cache says so; another's word does not count."""
    path = "/v1/crossings?limit=1"
    for scheme in ("https", "http", "https", "http"):
        answer = cached.get(path, x_forwarded_proto=scheme)
        assert str(answer.json()["next"]).startswith(f"{scheme}://127.0.0.1:")
    for address, scheme in (("127.0.0.2", "https"), ("127.0.0.3", "http")):
        transport = httpx2.HTTPTransport(local_address=address)
        with clients.client(base_url=cached.service.url, transport=transport) as client:
            answer = client.get(path, headers={"X-Forwarded-Proto": "https"})
        assert str(answer.json()["next"]).startswith(f"{scheme}://")


# What is not


@full
def test_a_change_is_seen_through_the_cache(cached: Cached) -> None:
    """Soon by everyone, at once by who demands it."""
    path = f"/v1/crossings/{MEDININKAI}/status"
    before = cached.get(path)
    change = cached.declare(crossings=[MEDININKAI])
    eventually(lambda: cached.get(path).content != before.content)
    assert cached.get(path).headers["change-number"] == change
    for status in ("open", "closed"):
        change = cached.declare(crossings=[MEDININKAI], status=status)
        answer = cached.get(path, at_least_change=change)
        assert answer.headers["x-cache"] == "BYPASS"
        assert answer.headers["change-number"] == change
        assert answer.json()["sides"]["LT"] == status


@full
def test_nothing_is_told_past_its_end(cached: Cached) -> None:
    """An opening that ends is over for readers of the cache, too."""
    ends: dict[str, datetime] = {}
    for name in (SUMSKAS, TVERECIUS, MEDININKAI):
        ends[name] = until = datetime.now(UTC) + timedelta(seconds=5.3)
        effective = {"until": until.isoformat()}
        change = cached.declare(crossings=[name], status="open", effective=effective)
        _ = cached.get(f"/v1/crossings/{name}/status", at_least_change=change)
    kept: set[str] = set()
    while (asked_at := datetime.now(UTC)) < max(ends.values()) + timedelta(seconds=2.5):
        for name, until in ends.items():
            answer = cached.get(f"/v1/crossings/{name}/status")
            if answer.json()["sides"]["LT"] == "open":
                assert asked_at < until + timedelta(seconds=CLOCK_SECONDS)
                kept |= {name} if is_hit(answer) else set()
        time.sleep(0.02)
    assert kept == set(ends)


@pytest.mark.parametrize("due_in", [0, 0.5, 1.9, 2, 2.9, 3, 4.5, 6.9, 7, 60, math.inf])
def test_an_answer_is_let_go_two_seconds_before_it_differs(due_in: float) -> None:
    """One for headers that are a second old, one for caches that count whole seconds."""
    told = dict(part.split("=") for part in cache_control(due_in, 900).split(", ")[1:])
    fresh = int(told["max-age"])
    assert fresh <= 2
    for kept in (
        fresh,
        *(fresh + int(told[f"stale-{why}"]) for why in ("while-revalidate", "if-error")),
    ):
        assert kept <= max(0, min(due_in, 900) - 2)


def test_problems_are_not_kept(cached: Cached) -> None:
    for _ in range(2):
        answer = cached.get("/v1/crossings/nowhere")
        problem(answer, 404, "crossing-not-found")
        assert answer.headers["x-cache"] == "MISS"
    path = f"/v1/crossings/{TVERECIUS}/status"
    problem(cached.get(path, at_least_change="1000000"), 422, "invalid")
    assert cached.get(path).status_code == 200


def test_what_is_for_one_or_for_no_cache_passes_through(cached: Cached) -> None:
    path = f"/v1/crossings/{SUMSKAS}/status"
    for _ in range(2):
        assert cached.get(path, authorization="Bearer mine").headers["x-cache"] == "BYPASS"
        for uncached in ("/health/ready", "/v1/events", "/docs"):
            answer = cached.get(uncached)
            assert answer.status_code == 200
            assert "x-cache" not in answer.headers
    etag = cached.get("/v1/events").headers["etag"]
    assert cached.get("/v1/events", if_none_match=etag).status_code == 304


# When the service is gone


def test_a_stream_goes_through_at_once_and_is_not_kept(cached: Cached) -> None:
    """Also its first bytes, with which a browser learns that it is open."""
    headers = {"Accept": "text/event-stream"}
    with cached.client.stream("GET", "/v1/changes", headers=headers) as stream:
        assert "x-cache" not in stream.headers
        parts = stream.iter_text()
        assert next(parts).startswith("retry: ")
        change = cached.declare(status="closed")
        assert any(f"id: {change}\nevent: decision\n" in part for part in parts)


@full
def test_without_the_service_what_is_kept_is_told_on(cached: Cached) -> None:
    """For as long as `stale-if-error` says; what is not kept is a problem."""
    path = "/v1/borders"
    kept = cached.get(path)
    cached.service.kill()
    eventually(lambda: not is_hit(stale := cached.get(path)) and stale.status_code == 200)
    stale = cached.get(path)
    assert (stale.status_code, stale.headers["x-cache"]) == (200, "STALE")
    assert stale.content == kept.content
    unavailable = cached.get("/v1/crossings?limit=2")
    problem(unavailable, 503, "unavailable")
    assert int(unavailable.headers["retry-after"]) > 0
