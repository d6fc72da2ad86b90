"""Pages are rendered once for all who request the same one within a second."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import Request

from app.board.board import Board
from app.database.monitor import DatabaseMonitor
from app.errors import CrossingNotFound
from app.http.origin import Origins
from app.limits.requests import RequestLimits
from app.limits.stores import MemoryAllowances
from app.pages.page_cache import CACHE_BYTES, CACHE_SECONDS, PageCache
from app.pages.rendering import HtmlPage, PageReader


class Clock(DatabaseMonitor):
    """A clock that tests set."""

    time = 1_000_000.0

    def now(self) -> float:
        return self.time


class PageSource:
    """Renders pages, and counts them."""

    def __init__(self) -> None:
        self.clock = Clock(request_seconds=6)
        self.board = Board(self.clock, max_age=900)
        self.board.change = 7
        self.cache = PageCache()
        self.rendered = 0

    def reader(self, query: str = "") -> PageReader:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/about",
            "query_string": query.encode(),
            "headers": [],
            "scheme": "http",
            "server": ("crossings.test", 80),
            "app": SimpleNamespace(
                state=SimpleNamespace(
                    board=self.board, origins=Origins(), limits=RequestLimits(MemoryAllowances())
                )
            ),
        }
        return PageReader(Request(scope))

    async def request(self, query: str = "", *, due: float | None = None) -> HtmlPage:
        async def render() -> HtmlPage:
            self.rendered += 1
            number = self.rendered
            await asyncio.sleep(0)
            page = HtmlPage(f"page {number}")
            if due is not None:
                page.due = due
            return page

        return cast("HtmlPage", await self.cache.get_or_render(self.reader(query), render))


@pytest.fixture
async def source() -> PageSource:
    return PageSource()


async def test_simultaneous_requests_wait_for_one_rendering(source: PageSource) -> None:
    pages = await asyncio.gather(*(source.request() for _ in range(50)))

    assert source.rendered == 1
    assert {page.body for page in pages} == {b"page 1"}


async def test_each_response_has_its_own_headers(source: PageSource) -> None:
    """Later layers add headers to it."""
    first = await source.request()
    first.headers["ETag"] = '"mine"'

    assert "etag" not in (await source.request()).headers


async def test_after_a_second_it_is_rendered_again(source: PageSource) -> None:
    await source.request()
    source.clock.time += CACHE_SECONDS

    assert (await source.request()).body == b"page 2"


async def test_after_the_next_change_it_is_rendered_again(source: PageSource) -> None:
    await source.request()
    source.board.revision += 1

    assert (await source.request()).body == b"page 2"


async def test_when_something_comes_due_it_is_rendered_again(source: PageSource) -> None:
    await source.request(due=source.clock.time + CACHE_SECONDS / 2)
    source.clock.time += CACHE_SECONDS / 2

    assert (await source.request()).body == b"page 2"


async def test_another_query_gets_another_page(source: PageSource) -> None:
    assert (await source.request()).body != (await source.request("lang=lt")).body


async def test_nothing_is_cached_before_the_board_is_loaded(source: PageSource) -> None:
    source.board.change = -1
    await source.request()
    await source.request()

    assert source.rendered == 2


async def test_a_client_that_disconnects_does_not_cancel_the_rendering_for_others(
    source: PageSource,
) -> None:
    first = asyncio.create_task(source.request())
    second = asyncio.create_task(source.request())
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).body == b"page 1"


async def test_a_problem_is_not_cached(source: PageSource) -> None:
    async def fail() -> HtmlPage:
        raise CrossingNotFound("There is none.")

    with pytest.raises(CrossingNotFound):
        await source.cache.get_or_render(source.reader(), fail)

    assert (await source.request()).body == b"page 1"


async def test_the_cache_is_bounded_in_bytes(source: PageSource) -> None:
    async def render() -> HtmlPage:
        return HtmlPage("x" * 2**20)

    for number in range(CACHE_BYTES // 2**20 + 10):
        await source.cache.get_or_render(source.reader(f"q={number}"), render)

    usage = source.cache._pages.usage()
    assert CACHE_BYTES - 2 * 2**20 < usage.bytes <= CACHE_BYTES


async def test_a_page_with_a_long_query_is_not_cached(source: PageSource) -> None:
    assert (await source.request("q=" + "x" * 1_000)).body == b"page 1"
    assert (await source.request("q=" + "x" * 1_000)).body == b"page 2"
