"""Pages are made once for all who ask the same within a second."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import Request

from app.board.board import Board
from app.database.monitor import DatabaseMonitor
from app.errors import CrossingNotFound
from app.http.origin import Origins
from app.pages.page_cache import CACHE_BYTES, CACHE_SECONDS, PageCache
from app.pages.rendering import HtmlPage, PageReader


class Clock(DatabaseMonitor):
    """A watch whose time a test sets."""

    time = 1_000_000.0

    def now(self) -> float:
        return self.time


class Press:
    """Makes pages, and counts them."""

    def __init__(self) -> None:
        self.clock = Clock(request_seconds=6)
        self.board = Board(self.clock, max_age=900)
        self.board.change = 7
        self.kept = PageCache()
        self.made = 0

    def reader(self, query: str = "") -> PageReader:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/about",
            "query_string": query.encode(),
            "headers": [],
            "scheme": "http",
            "server": ("crossings.test", 80),
            "app": SimpleNamespace(state=SimpleNamespace(board=self.board, origins=Origins())),
        }
        return PageReader(Request(scope))

    async def ask(self, query: str = "", *, due: float | None = None) -> HtmlPage:
        async def make() -> HtmlPage:
            self.made += 1
            made = self.made
            await asyncio.sleep(0)
            page = HtmlPage(f"page {made}")
            if due is not None:
                page.due = due
            return page

        return cast("HtmlPage", await self.kept.give(self.reader(query), make))


@pytest.fixture
async def press() -> Press:
    return Press()


async def test_those_who_ask_at_once_wait_for_one_page(press: Press) -> None:
    pages = await asyncio.gather(*(press.ask() for _ in range(50)))

    assert press.made == 1
    assert {page.body for page in pages} == {b"page 1"}


async def test_each_answer_has_headers_of_its_own(press: Press) -> None:
    """On its way out more are added."""
    first = await press.ask()
    first.headers["ETag"] = '"mine"'

    assert "etag" not in (await press.ask()).headers


async def test_after_a_second_it_is_made_anew(press: Press) -> None:
    await press.ask()
    press.clock.time += CACHE_SECONDS

    assert (await press.ask()).body == b"page 2"


async def test_the_next_change_makes_it_anew(press: Press) -> None:
    await press.ask()
    press.board.revision += 1

    assert (await press.ask()).body == b"page 2"


async def test_what_comes_due_makes_it_anew(press: Press) -> None:
    await press.ask(due=press.clock.time + CACHE_SECONDS / 2)
    press.clock.time += CACHE_SECONDS / 2

    assert (await press.ask()).body == b"page 2"


async def test_another_question_has_another_page(press: Press) -> None:
    assert (await press.ask()).body != (await press.ask("lang=lt")).body


async def test_a_board_that_knows_nothing_keeps_nothing(press: Press) -> None:
    press.board.change = -1
    await press.ask()
    await press.ask()

    assert press.made == 2


async def test_who_goes_away_does_not_take_the_page_along(press: Press) -> None:
    first = asyncio.create_task(press.ask())
    second = asyncio.create_task(press.ask())
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).body == b"page 1"


async def test_a_problem_is_not_kept(press: Press) -> None:
    async def fail() -> HtmlPage:
        raise CrossingNotFound("There is none.")

    with pytest.raises(CrossingNotFound):
        await press.kept.give(press.reader(), fail)

    assert (await press.ask()).body == b"page 1"


async def test_only_so_many_bytes_are_kept(press: Press) -> None:
    async def make() -> HtmlPage:
        return HtmlPage("x" * 2**20)

    for number in range(CACHE_BYTES // 2**20 + 10):
        await press.kept.give(press.reader(f"q={number}"), make)

    usage = press.kept._pages.usage()
    assert CACHE_BYTES - 2 * 2**20 < usage.bytes <= CACHE_BYTES


async def test_who_asks_in_many_words_gets_a_page_that_is_not_kept(press: Press) -> None:
    assert (await press.ask("q=" + "x" * 1_000)).body == b"page 1"
    assert (await press.ask("q=" + "x" * 1_000)).body == b"page 2"
