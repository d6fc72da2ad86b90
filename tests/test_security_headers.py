"""What browsers are told with every answer, and which sites may read what."""

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from pydantic import ValidationError

from app.config import Settings
from app.embedded.server import Server
from app.http.security import SECURITY_TXT_EXPIRES
from tests.api import SUMSKAS, Api, decision, problem
from tests.conftest import SEEDED, clone
from tests.servers import Service, service
from tests.streams import reading
from tests.waiting import PATIENCE

STATUS = f"/v1/crossings/{SUMSKAS}/status"
PUBLIC_READS = (
    STATUS,
    "/v1",
    "/v1/crossings?limit=1",
    "/v1/events",
    "/v1/changes",
    "/feeds/events.atom",
    "/feeds/closures.ics",
    "/feeds/crossings.geojson",
    "/feeds/events.csv",
    f"/badges/{SUMSKAS}.svg",
    "/openapi.json",
)
PAGES = ("/", "/about", f"/crossings/{SUMSKAS}", "/docs", "/health/live", "/favicon.ico")
PROBLEMS = ("/v1/nothing", "/nothing", "/v1/events?surplus=1", "/v1/crossings/nowhere/status")
EXPOSED = {"etag", "change-number", "knowledge-age", "link"}
SITE = {"Origin": "https://another.example"}


def listed(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


async def preflight(api: Api, path: str, method: str, **more: str) -> httpx2.Response:
    asked = {"Access-Control-Request-Method": method, **SITE}
    given = {name.replace("_", "-"): value for name, value in more.items()}
    return await api.client.options(path, headers={**asked, **given})


# Every answer


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
async def test_every_answer_tells_browsers_to_guess_and_to_leak_nothing(
    seeded_api: Api, method: str
) -> None:
    for path in (*PUBLIC_READS, *PAGES, *PROBLEMS):
        headers = (await seeded_api.client.request(method, path)).headers
        for name in ("x-content-type-options", "referrer-policy", "content-security-policy"):
            assert len(headers.get_list(name)) == 1, (path, name)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "strict-transport-security" not in headers


async def test_an_answer_that_was_not_modified_tells_it_too(seeded_api: Api) -> None:
    for path in (STATUS, "/v1/events"):
        tag = (await seeded_api.get(path)).headers["etag"]
        answer = await seeded_api.client.get(path, headers={"If-None-Match": tag})
        assert answer.status_code == 304
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_hsts_is_told_over_https_for_as_long_as_is_set(postgres: Server) -> None:
    with clone(postgres, SEEDED) as database:
        async with database.api(hsts_seconds=31_536_000) as api:
            for path in (STATUS, "/about", "/nothing", "/v1/events"):
                plain = await api.client.get(path)
                secure = await api.client.get(f"https://crossings.test{path}")
                assert "strict-transport-security" not in plain.headers
                assert secure.headers["strict-transport-security"] == "max-age=31536000"


# Other sites


@pytest.mark.parametrize("path", PUBLIC_READS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_public_reads_are_for_every_site(seeded_api: Api, path: str, method: str) -> None:
    headers = (await seeded_api.client.request(method, path, headers=SITE)).headers
    assert headers["access-control-allow-origin"] == "*"
    assert listed(headers["access-control-expose-headers"]) >= EXPOSED
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert "access-control-allow-credentials" not in headers


async def test_the_stream_is_for_every_site(seeded_api: Api) -> None:
    transport = seeded_api.client._transport
    assert isinstance(transport, httpx2.ASGITransport)
    async with reading(transport.app) as first, reading(transport.app) as second:
        for reader in (first, second):
            assert reader.headers["access-control-allow-origin"] == "*"
            assert reader.header_names.count("x-request-id") == 1


@pytest.mark.parametrize("path", PROBLEMS[0:1] + PROBLEMS[2:])
async def test_another_site_is_told_what_went_wrong(seeded_api: Api, path: str) -> None:
    answer = await seeded_api.client.get(path, headers=SITE)
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/", "/about", "/report", "/nothing", "/docs", "/metrics"])
async def test_pages_are_for_no_other_site(seeded_api: Api, path: str) -> None:
    answer = await seeded_api.client.get(path, headers=SITE)
    assert "access-control-allow-origin" not in answer.headers


async def test_what_is_for_holders_of_a_key_is_for_no_other_site(seeded_api: Api) -> None:
    key = {"Authorization": f"Bearer {seeded_api.key}"}
    answer = await seeded_api.client.get("/v1/subscriptions", headers={**SITE, **key})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    asked = await preflight(seeded_api, "/v1/subscriptions", "GET")
    assert (asked.status_code, "access-control-allow-origin" in asked.headers) == (405, False)


async def test_a_write_is_for_no_other_site(api: Api) -> None:
    key = {"Authorization": f"Bearer {api.key}"}
    answer = await api.client.post("/v1/events", json=decision(), headers={**SITE, **key})
    assert answer.status_code == 201
    assert "access-control-allow-origin" not in answer.headers
    for method in ("POST", "PATCH", "DELETE"):
        asked = await preflight(
            api, "/v1/events", method, Access_Control_Request_Headers="authorization"
        )
        assert method not in listed(asked.headers["access-control-allow-methods"].upper())
        assert "authorization" not in listed(asked.headers["access-control-allow-headers"])


@pytest.mark.parametrize("path", PUBLIC_READS)
async def test_a_read_is_allowed_for_a_day(seeded_api: Api, path: str) -> None:
    asked = await preflight(
        seeded_api, path, "GET", Access_Control_Request_Headers="at-least-change"
    )
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == "*"
    assert listed(asked.headers["access-control-allow-methods"]) == {"get", "head"}
    allowed = listed(asked.headers["access-control-allow-headers"])
    assert allowed >= {"at-least-change", "if-none-match", "last-event-id"}
    assert asked.headers["access-control-max-age"] == "86400"
    assert "max-age=86400" in asked.headers["cache-control"]


async def test_options_that_no_browser_asks_beforehand_are_refused(seeded_api: Api) -> None:
    for headers in ({}, SITE, {"Access-Control-Request-Method": "GET"}):
        problem(await seeded_api.client.options(STATUS, headers=headers), 405, "method-not-allowed")


# What went wrong


@pytest.mark.parametrize("path", PROBLEMS)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_a_problem_is_not_kept_and_differs_by_what_is_accepted(
    seeded_api: Api, path: str, accept: str
) -> None:
    headers = (await seeded_api.client.get(path, headers={"Accept": accept})).headers
    assert headers["cache-control"] == "no-store"
    assert "accept" in listed(headers["vary"])


async def test_a_refused_write_is_not_kept(seeded_api: Api) -> None:
    answer = await seeded_api.client.post("/v1/events", json={})
    assert (answer.status_code, answer.headers["cache-control"]) == (401, "no-store")


@pytest.fixture(scope="module")
def server(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("headers") / "serve.log"
    with (
        clone(postgres, SEEDED) as database,
        service(log, database_url=database.url, worker=False) as running,
    ):
        yield running


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: crossings.test\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: crossings.test\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http_is_told_so_as_a_problem(server: Service, sent: bytes) -> None:
    answer = exchanged(server, sent)
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    problem(answer, 400, "bad-request")


def test_two_hosts_are_refused_by_the_server_too(server: Service) -> None:
    sent = b"GET /v1 HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"
    problem(exchanged(server, sent), 400, "host-refused")


def exchanged(server: Service, sent: bytes) -> httpx2.Response:
    """Return what the server answers before it closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = httpx2.Headers(
        [(name, value) for name, _, value in (one.partition(b": ") for one in lines)]
    )
    assert int(headers["content-length"]) == len(body)
    return httpx2.Response(int(status.split()[1]), headers=headers, content=body)


# Where to report a vulnerability


@pytest.fixture
async def reachable(postgres: Server) -> AsyncIterator[Api]:
    with clone(postgres, SEEDED) as database:
        settings = {"security_contact": "mailto:security@status.example"}
        async with database.api(public_url="https://status.example/borders", **settings) as api:
            yield api


async def test_security_txt_has_a_contact_and_an_end(reachable: Api) -> None:
    answer = await reachable.get("/.well-known/security.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields["Contact"] == "mailto:security@status.example"
    assert fields["Canonical"] == "https://status.example/borders/.well-known/security.txt"
    assert datetime.fromisoformat(fields["Expires"]) == SECURITY_TXT_EXPIRES


async def test_without_a_contact_there_is_no_security_txt(seeded_api: Api) -> None:
    problem(await seeded_api.get("/.well-known/security.txt"), 404, "not-found")


def test_security_txt_is_renewed_in_time() -> None:
    """Fails in its last month: whoever releases then looks whether it is still true."""
    left = SECURITY_TXT_EXPIRES - datetime.now(UTC)
    assert timedelta(days=30) < left < timedelta(days=366)


@pytest.mark.parametrize("contact", ["security@status.example", "http://status.example", "a b"])
def test_a_contact_is_a_url(contact: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"security_contact": contact})
