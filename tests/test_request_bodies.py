"""What a request may cost before it is known who sends it, and afterwards: within limits."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import httpx2
import pytest
from pydantic import JsonValue
from starlette.types import Message

from app.errors import Invalid, Malformed, TooLarge
from app.http import routing
from app.http.routing import LONG_BODY, MAX_PARTS, SMALL_BODY, parse_json
from app.vocabulary import KeyScope
from tests.api import SUMSKAS, Api, citation, crossing, decision, problem
from tests.conftest import Database
from tests.waiting import until

DEFAULT_LIMIT = 1_000_000
SOURCE = {"title": "A title"}
CONFIRMATION = {"sides": ["LT"], "citations": [citation()]}
BATCH = {"confirmations": [{"crossing": SUMSKAS, **CONFIRMATION}]}
LIMITS = [
    pytest.param("/v1/sources", SOURCE, SMALL_BODY, id="source"),
    pytest.param("/v1/crossings", crossing(), SMALL_BODY, id="crossing"),
    pytest.param("/v1/subscriptions", {"url": "https://192.0.2.1/"}, SMALL_BODY, id="webhook"),
    pytest.param(f"/v1/crossings/{SUMSKAS}/confirmations", CONFIRMATION, SMALL_BODY, id="one"),
    pytest.param("/v1/events", decision(), LONG_BODY, id="decision"),
    pytest.param("/v1/confirmations", BATCH, DEFAULT_LIMIT, id="batch"),
]


async def send(api: Api, path: str, content: bytes | AsyncIterator[bytes]) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    return await api.client.post(path, content=content, headers=headers)


async def in_chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 10_000):
        yield content[start : start + 10_000]


async def exchange(
    api: Api,
    path: str,
    headers: dict[str, str],
    body: Callable[[], Message],
    method: str = "POST",
) -> int:
    """Ask the service itself: the client of the tests reads all of a body before it sends it."""
    statuses: list[int] = []

    async def receive() -> Message:
        return body()

    async def hear(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    transport = api.client._transport
    assert isinstance(transport, httpx2.ASGITransport)
    given = {"host": "crossings.test", "content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "server": ("crossings.test", 80),
        "client": ("127.0.0.1", 1),
    }
    await transport.app(scope, receive, hear)
    (status,) = statuses
    return status


def unread() -> Message:
    raise AssertionError("the body was asked for")


@pytest.fixture
async def nothing_written(seeded_api: Api) -> AsyncIterator[None]:
    """What the test sends leaves no change behind."""
    before = (await seeded_api.get("/v1/crossings")).headers["change-number"]
    yield
    assert (await seeded_api.get("/v1/crossings")).headers["change-number"] == before


# Before it is known who sends it


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic dTpw"])
async def test_nothing_of_a_body_is_read_without_a_key(seeded_api: Api, token: str) -> None:
    """Of no operation: a 401 needs the headers alone."""
    document = (await seeded_api.get("/openapi.json")).json()
    operations = [
        (method, path.replace("{crossing_id}", SUMSKAS))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    ]
    assert len(operations) >= 10
    for method, path in operations:
        address = re.sub(r"\{\w+\}", str(uuid4()), path)
        headers = {"authorization": token}
        status = await exchange(seeded_api, address, headers, unread, method=method.upper())
        assert status == 401, path


async def test_nothing_of_a_body_is_read_with_a_key_of_another_scope(
    seeded: Database, api: Api
) -> None:
    key = await seeded.new_key(KeyScope.NOTICES)
    headers = {"authorization": f"Bearer {key}"}
    assert await exchange(api, "/v1/events", headers, unread) == 403


async def test_nothing_of_a_body_of_another_type_is_read(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.key}", "content-type": "text/plain"}
    assert await exchange(api, "/v1/events", headers, unread) == 415


# Afterwards


@pytest.mark.parametrize(("path", "body", "limit"), LIMITS)
async def test_each_operation_takes_a_body_of_its_limit(
    api: Api, path: str, body: dict[str, JsonValue], limit: int
) -> None:
    content = json.dumps(body).encode().ljust(limit)
    for sent in (content, in_chunks(content)):
        response = await send(api, f"{path}?validate_only=true", sent)
        # The webhook's address is not public: it was read, at any rate.
        assert response.status_code == (422 if "subscriptions" in path else 200), response.text


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(("path", "body", "limit"), LIMITS)
async def test_each_operation_refuses_a_byte_more(
    seeded_api: Api, path: str, body: dict[str, JsonValue], limit: int
) -> None:
    content = json.dumps(body).encode().ljust(limit + 1)
    for sent in (content, in_chunks(content)):
        told = problem(await send(seeded_api, path, sent), 413, "too-large")
        assert str(limit) in str(told["detail"])


@pytest.mark.usefixtures("nothing_written")
async def test_a_body_without_an_end_is_refused_when_it_grows_too_large(seeded_api: Api) -> None:
    sent = 0

    def endless() -> Message:
        nonlocal sent
        sent += 1_000
        return {"type": "http.request", "body": b" " * 1_000, "more_body": True}

    headers = {"authorization": f"Bearer {seeded_api.key}"}
    assert await exchange(seeded_api, "/v1/sources", headers, endless) == 413
    assert sent <= SMALL_BODY + 1_000


async def test_the_setting_lowers_every_limit(database: Database) -> None:
    async with database.api(max_body_bytes=1_000) as api:
        for path, body in (("/v1/sources", SOURCE), ("/v1/confirmations", BATCH)):
            content = json.dumps(body).encode()
            assert (await send(api, path, content.ljust(1_000))).status_code != 413
            problem(await send(api, path, content.ljust(1_001)), 413, "too-large")


@pytest.mark.usefixtures("nothing_written")
async def test_a_body_of_nothing_but_items_is_refused_unread(seeded_api: Api) -> None:
    content = b'{"confirmations": [' + b"{}," * 300_000 + b"{}]}"
    told = problem(await send(seeded_api, "/v1/confirmations", content), 413, "too-large")
    assert str(MAX_PARTS) in str(told["detail"])


async def test_others_are_served_while_a_long_body_is_read(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slowly(content: bytes) -> JsonValue:
        reading.set()
        assert go_on.wait(60)
        return parse_json(content)

    monkeypatch.setattr(routing, "parse_json", slowly)
    content = json.dumps(BATCH).encode().ljust(DEFAULT_LIMIT)
    writing = asyncio.create_task(send(api, "/v1/confirmations", content))
    try:
        await until(reading.is_set)
        assert (await api.get("/health/live")).status_code == 200
        assert not writing.done()
    finally:
        go_on.set()
    assert (await writing).status_code == 201


# JSON


def test_a_body_may_have_so_many_parts_and_not_one_more() -> None:
    most = b"[" + b",".join([b"0"] * MAX_PARTS) + b"]"
    assert parse_json(most) == [0] * MAX_PARTS
    with pytest.raises(TooLarge):
        parse_json(b"[" + b",".join([b"0"] * (MAX_PARTS + 1)) + b"]")


@pytest.mark.parametrize("content", [b"{", b"\xff", b'"\xed\xa0\x80"', b"[" * 50_000, b"9" * 5_000])
def test_what_is_not_json_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(content)


def test_a_name_that_is_given_twice_is_named_wherever_it_stands() -> None:
    with pytest.raises(Invalid, match="inner"):
        parse_json(b'{"a": [{"other": 1, "inner": 1, "inner": 2}]}')
