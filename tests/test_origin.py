"""Whoever asks decides what the service is called in the own answer, and in nobody else's."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urljoin

import httpx2
import pytest
from pydantic import ValidationError

from app.changes.stream.endpoint import EVENT_STREAM
from app.config import Settings
from app.embedded.server import Server
from tests.api import SUMSKAS, Api, decision, problem
from tests.conftest import SEEDED, clone
from tests.marks import full

EVIL = "evil.example"
PUBLIC = "https://status.example/borders"
LINKING = (
    "/v1/crossings?limit=1",
    "/v1/borders?limit=1",
    "/v1/events?limit=1",
    "/v1/sources?limit=1",
    "/v1/changes?limit=1",
    "/v1",
    "/feeds/events.atom",
    f"/feeds/crossings/{SUMSKAS}.ics",
    "/",
    "/about",
    f"/crossings/{SUMSKAS}",
    "/borders/BY-LT",
    "/report",
)
"""Addresses of answers that tell where the service is, by the board and by the routes."""
CODINGS = ("identity", "gzip")


async def ask(
    api: Api, path: str, *hosts: str, method: str = "GET", **more: str
) -> httpx2.Response:
    headers = [("Host", host) for host in hosts]
    headers += [(name.replace("_", "-"), value) for name, value in more.items()]
    return await api.client.request(method, path, headers=headers)


def told(response: httpx2.Response) -> str:
    """Return all that a response says."""
    return response.text + "".join(f"{name}: {value}\n" for name, value in response.headers.items())


@pytest.fixture
async def public_api(postgres: Server) -> AsyncIterator[Api]:
    with clone(postgres, SEEDED) as database:
        async with database.api(public_url=PUBLIC) as api:
            yield api


@pytest.fixture
async def guarded_api(postgres: Server) -> AsyncIterator[Api]:
    with clone(postgres, SEEDED) as database:
        async with database.api(allowed_hosts="status.example, [2001:db8::1]:8000") as api:
            yield api


@pytest.mark.parametrize("hosts", [("good.example", EVIL), (EVIL, "good.example"), (EVIL, EVIL)])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_more_than_one_host_is_refused_everywhere(
    seeded_api: Api, hosts: Sequence[str], method: str
) -> None:
    for path in (*LINKING, f"/v1/crossings/{SUMSKAS}/status", "/health/live", "/nothing"):
        response = await ask(seeded_api, path, *hosts, method=method)
        assert response.status_code == 400, path
        assert EVIL not in told(response)
    problem(await ask(seeded_api, "/v1", *hosts), 400, "host-refused")


@pytest.mark.parametrize(
    "host",
    ["", " ", "a b", "evil.example/", "evil.example/x", "user@evil.example", "evil.example,other",
     "evil.example:", "evil.example:x", "evil.example:123456", "[::1", "::1", "evil.example\\@x",
     '"><script>', "ėvil.example", "-evil.example", "e" * 254 + ".example", "%65vil.example"],
)  # fmt: skip
async def test_a_malformed_host_is_refused(seeded_api: Api, host: str) -> None:
    for path in LINKING:
        headers = [(b"Host", host.encode())]
        response = await seeded_api.client.get(path, headers=headers)
        assert response.status_code == 400, path
        assert EVIL not in told(response)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("status.example", "http://status.example"),
        ("Status.Example:8080", "http://status.example:8080"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]:80"),
        ("api_1:8000", "http://api_1:8000"),
        ("xn--viena-9ya.example.", "http://xn--viena-9ya.example."),
    ],
)
async def test_links_begin_with_the_host_that_was_asked(
    seeded_api: Api, host: str, origin: str
) -> None:
    response = await ask(seeded_api, "/v1/crossings?limit=1", host)
    assert str(response.json()["next"]).startswith(f"{origin}/v1/crossings?limit=1&cursor=")
    assert response.headers["link"] == f'<{response.json()["next"]}>; rel="next"'


@full
async def test_nobody_is_told_the_host_of_another(seeded_api: Api) -> None:
    """Whatever is remembered: by GET and HEAD, in both codings, by whoever comes first or next."""
    for path in LINKING:
        for coding in CODINGS:
            for method in ("HEAD", "GET"):
                mine = await ask(seeded_api, path, EVIL, method=method, Accept_Encoding=coding)
                assert mine.status_code == 200, path
                if method == "GET":
                    assert EVIL in told(mine), path
                others = await ask(
                    seeded_api, path, "good.example", method=method, Accept_Encoding=coding
                )
                assert EVIL not in told(others), path
                if method == "GET":
                    assert "good.example" in told(others), path
                    assert int(others.headers.get("content-length", 0)) >= 0


async def test_those_who_wait_for_one_page_are_each_told_their_own_host(seeded_api: Api) -> None:
    names = [f"reader-{number}.example" for number in range(20)]
    pages = await asyncio.gather(*(ask(seeded_api, "/about", name) for name in names))
    for name, page in zip(names, pages, strict=True):
        assert f'content="http://{name}/about"' in page.text
        assert all(other not in page.text for other in names if other not in name)


async def test_a_validator_of_another_host_is_not_this_ones(seeded_api: Api) -> None:
    """The bodies differ, and so do their ETags."""
    for path in ("/v1/crossings?limit=1", "/v1/events?limit=1", f"/feeds/crossings/{SUMSKAS}.ics"):
        theirs = (await ask(seeded_api, path, EVIL)).headers["etag"]
        mine = await ask(seeded_api, path, "good.example", If_None_Match=theirs)
        assert (mine.status_code, EVIL in told(mine)) == (200, False)


async def test_with_a_public_url_no_other_host_is_ever_told(public_api: Api) -> None:
    for path in LINKING:
        for coding in CODINGS:
            response = await ask(public_api, path, EVIL, Accept_Encoding=coding)
            assert response.status_code == 200, path
            assert EVIL not in told(response), path
            assert PUBLIC in told(response), path
    page = await ask(public_api, "/v1/crossings?limit=1", EVIL)
    assert page.json()["next"].startswith(f"{PUBLIC}/v1/crossings?")
    refused = await ask(public_api, "/v1", EVIL, "other.example")
    problem(refused, 400, "host-refused", root="/borders")


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/v1/nothing", "not-found"),
        ("/v1/events?surplus=1", "invalid"),
        ("/v1/crossings?limit=none", "invalid"),
        ("/nothing", "not-found"),
    ],
)
async def test_the_type_of_a_problem_is_below_the_path_of_the_public_url(
    public_api: Api, path: str, slug: str
) -> None:
    told = (await ask(public_api, path, "internal")).json()
    assert told["type"] == f"/borders/problems/{slug}"
    assert (await ask(public_api, f"/problems/{slug}", "internal")).status_code == 200


async def test_the_type_of_a_streams_problem_is_below_it_too(public_api: Api) -> None:
    asked = await ask(public_api, "/v1/changes?after=1000000", "internal", Accept=EVENT_STREAM)
    problem(asked, 422, "invalid", root="/borders")


async def test_the_documentation_is_below_the_path_of_the_public_url(public_api: Api) -> None:
    """Its links are relative to its address, which is below that path."""
    page = (await ask(public_api, "/docs", "internal")).text
    links = re.findall(r' (?:href|src)="([^#"]+)"', page)
    assert len(links) >= 8
    for link in links:
        found = urljoin(f"{PUBLIC}/docs", link)
        assert found.startswith(f"{PUBLIC}/")
        answer = await ask(public_api, found.removeprefix(PUBLIC), "internal")
        assert answer.status_code == 200, link
    script = (await ask(public_api, "/docs/start.js", "internal")).text
    assert 'url: "openapi.json"' in script
    document = (await ask(public_api, "/openapi.json", "internal")).json()
    assert [server["url"] for server in document["servers"]] == ["/borders"]


async def test_all_links_of_a_page_are_below_the_path_of_the_public_url(public_api: Api) -> None:
    for path in (
        "/",
        "/about",
        f"/crossings/{SUMSKAS}",
        "/borders/BY-LT",
        "/incidents",
        "/report",
        "/status",
    ):
        text = (await ask(public_api, path, "internal")).text
        for name in (
            "href",
            "src",
            "action",
            "data-live",
            "data-markers",
            "data-outlines",
            "data-roads",
            "data-towns",
        ):
            for address in text.split(f' {name}="/')[1:]:
                assert address.startswith("borders/"), (path, address[:60])
        assert 'data-root="/borders"' in text


async def test_a_location_is_below_the_path_of_the_public_url(public_api: Api) -> None:
    written = await public_api.post("/v1/events", decision())
    assert written.headers["location"].startswith("/borders/v1/events?decision=")


async def test_only_allowed_hosts_are_served(guarded_api: Api) -> None:
    for host in ("status.example", "STATUS.example", "[2001:db8::1]:8000"):
        assert (await ask(guarded_api, "/v1/crossings?limit=1", host)).status_code == 200
    for host in (EVIL, "status.example:81", "status.example.", f"status.example.{EVIL}"):
        response = await ask(guarded_api, "/v1/crossings?limit=1", host)
        assert host not in told(response)
        problem(response, 400, "host-refused")


async def test_health_is_told_whatever_the_machine_is_called(guarded_api: Api) -> None:
    response = await ask(guarded_api, "/health/live", "10.0.0.7:8000")
    assert (response.status_code, "10.0.0.7" in told(response)) == (200, False)


async def test_two_slashes_are_not_the_name_of_another_host(seeded_api: Api) -> None:
    for path in (f"//{EVIL}/", f"///{EVIL}/x", f"/\\{EVIL}/"):
        scope_path = f"http://crossings.test{path}"
        response = await seeded_api.client.get(scope_path, headers={"Accept": "text/html"})
        assert response.status_code == 404
        assert f'="//{EVIL}' not in response.text
        assert f'="/\\{EVIL}' not in response.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("public_url", "status.example"),
        ("public_url", "ftp://status.example"),
        ("public_url", "https://user@status.example"),
        ("public_url", "https://status.example/?x"),
        ("public_url", "https://status.example/#x"),
        ("public_url", "https://a b/"),
        ("public_url", "https://"),
        ("allowed_hosts", "https://status.example"),
        ("allowed_hosts", "a b"),
        ("allowed_hosts", "*"),
    ],
)
def test_a_setting_that_is_no_host_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({name: value})


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("", None),
        ("https://status.example/", "https://status.example"),
        ("http://[::1]:8000/a/b/", "http://[::1]:8000/a/b"),
    ],
)
def test_a_public_url_ends_without_a_slash(url: str, meant: str | None) -> None:
    assert Settings.model_validate({"public_url": url}).public_url == meant


async def test_what_a_proxy_would_say_is_not_taken_from_just_anybody(seeded_api: Api) -> None:
    said = {
        "X_Forwarded_Host": EVIL,
        "X_Forwarded_Server": EVIL,
        "X_Forwarded_Prefix": f"/{EVIL}",
        "X_Forwarded_Proto": "https",
        "Forwarded": f"host={EVIL};proto=https",
        "X_Original_URL": f"http://{EVIL}/",
    }
    for path in LINKING:
        response = await ask(seeded_api, path, "good.example", **said)
        assert EVIL not in told(response), path
        assert "https://good.example" not in told(response), path
