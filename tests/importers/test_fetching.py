"""Payloads are fetched only if they changed, within limits, and from nowhere else."""

import gzip
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.importers.fetching import Fetcher, FetchFailed, Validators
from tests.importers.agency import (
    Answer,
    cut_off,
    flood,
    giving,
    hang,
    mumble,
    publishing,
    trickle,
    validated,
)
from tests.servers import free_port

MODIFIED = "Sun, 29 Nov 2026 10:00:00 GMT"


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(max_bytes=1_000_000) as found:
        yield found


@pytest.fixture
async def hasty() -> AsyncIterator[Fetcher]:
    async with Fetcher(seconds=0.3) as found:
        yield found


async def test_it_says_who_it_is_and_asks_for_what_changed(fetcher: Fetcher) -> None:
    async with publishing(validated(b"[1]", '"one"', MODIFIED)) as agency:
        first = await fetcher.fetch(agency.url, Validators())
        assert first is not None
        second = await fetcher.fetch(agency.url, first.validators)

    assert (first.body, first.validators) == (b"[1]", Validators('"one"', MODIFIED))
    assert second is None
    asked, again = agency.requests
    assert asked.headers["user-agent"].startswith("crossing-status/")
    assert "if-none-match" not in asked.headers
    assert again.headers["if-none-match"] == '"one"'
    assert again.headers["if-modified-since"] == MODIFIED


async def test_a_compressed_payload_is_read(fetcher: Fetcher) -> None:
    async with publishing(giving(gzip.compress(b"[1]"), "Content-Encoding: gzip")) as agency:
        found = await fetcher.fetch(agency.url, Validators())

    assert found is not None
    assert found.body == b"[1]"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (giving(b"", "Location: http://127.0.0.1/elsewhere", code=301), "with a redirect to http"),
        (giving(b"", code=302), "with a redirect to nowhere"),
        (giving(b"", code=404), "answered 404"),
        (giving(b"", code=500), "answered 500"),
        (giving(b"", code=204), "answered 204"),
        (giving(b"x" * 1_000_001), "answered with more than 1000000 bytes"),
        (flood, "answered with more than 1000000 bytes"),
        (
            giving(gzip.compress(b"[" * 2_000_000), "Content-Encoding: gzip"),
            "answered with more than 1000000 bytes",
        ),
        (giving(b"[1]", "Content-Encoding: gzip"), "closed the connection"),
        (cut_off, "closed the connection before the answer was complete"),
        (mumble, "did not answer with HTTP"),
    ],
)
async def test_what_is_no_payload_is_told(fetcher: Fetcher, answer: Answer, reason: str) -> None:
    async with publishing(answer) as agency:
        with pytest.raises(FetchFailed, match=reason):
            await fetcher.fetch(agency.url, Validators())

    assert len(agency.requests) == 1


@pytest.mark.parametrize("answer", [hang, trickle])
async def test_a_slow_answer_is_given_up(hasty: Fetcher, answer: Answer) -> None:
    async with publishing(answer) as agency:
        with pytest.raises(FetchFailed, match="gave no complete answer in time"):
            await hasty.fetch(agency.url, Validators())


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}/", "http://nowhere.invalid/", "http://"])
async def test_an_address_where_nobody_is_is_told(fetcher: Fetcher, address: str) -> None:
    with pytest.raises(FetchFailed):
        await fetcher.fetch(address.format(free_port()), Validators())


@pytest.mark.parametrize(
    ("header", "delay"),
    [
        ("120", timedelta(minutes=2)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta()),
        ("999999", timedelta(days=1)),
        ("soon", None),
    ],
)
async def test_a_server_may_ask_to_be_left_alone(
    fetcher: Fetcher, header: str, delay: timedelta | None
) -> None:
    async with publishing(giving(b"", f"Retry-After: {header}", code=503)) as agency:
        with pytest.raises(FetchFailed) as raised:
            await fetcher.fetch(agency.url, Validators())

    assert raised.value.retry_after == delay
