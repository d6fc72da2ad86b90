"""Pages made for one reader and given to all who ask the same within a second.

A crisis brings many readers to few pages, and making one costs a hundred times what giving it
does. No page outlives the next change, recorded or due, and so none is older than without this.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

from fastapi import Response

from app.http.origin import origin_of, path_of
from app.pages.rendering import ORIGIN, HtmlPage, PageReader

CACHE_SECONDS = 1.0
MOST = 200
"""Of pages: the oldest go first."""

Asked = ParamSpec("Asked")
_Key = tuple[str, str, int]
"""The path and query, the language, and what the board reflects."""


@dataclass(frozen=True, slots=True)
class _CachedPage:
    made: asyncio.Task[Response]
    until: float
    """By the database's clock, in seconds of 1970."""


class PageCache:
    """The pages of one service."""

    def __init__(self) -> None:
        self._pages: dict[_Key, _CachedPage] = {}

    async def give(self, reader: PageReader, make: Callable[[], Awaitable[Response]]) -> Response:
        """Return the page that was made for the same question just now; else make it."""
        board = reader.board
        if not board.is_loaded:
            return await make()
        key = (path_of(reader.request.scope), reader.language.code, board.revision)
        now = board.monitor.now()
        page = self._pages.get(key)
        if page is None or now >= page.until or not _holds(page.made, now):
            self._pages.pop(key, None)
            reader.is_shared = True
            page = _CachedPage(asyncio.ensure_future(_made(make)), now + CACHE_SECONDS)
            self._pages[key] = page
            while len(self._pages) > MOST:
                del self._pages[next(iter(self._pages))]
        # Shielded: who goes away must not take the page from the others who wait for it.
        return _copy(await asyncio.shield(page.made), origin_of(reader.request))


async def _made(make: Callable[[], Awaitable[Response]]) -> Response:
    return await make()


def _holds(made: asyncio.Task[Response], now: float) -> bool:
    """Tell whether a page may be given, or waited for."""
    if not made.done():
        return True
    if made.cancelled() or made.exception() is not None:
        return False
    response = made.result()
    return not isinstance(response, HtmlPage) or now < response.due


def _copy(response: Response, origin: str) -> Response:
    """Return a response of its own, with the origin that its reader knows.

    On its way out headers are added to it.
    """
    copy = Response(bytes(response.body).replace(ORIGIN.encode(), origin.encode()))
    length = copy.raw_headers
    copy.status_code = response.status_code
    copy.raw_headers = [one for one in response.raw_headers if one[0] != b"content-length"] + length
    return copy


def kept(
    endpoint: Callable[Asked, Awaitable[Response]],
) -> Callable[Asked, Coroutine[None, None, Response]]:
    """Give the pages of an endpoint, which has a ``reader``, from those kept."""

    @wraps(endpoint)
    async def give(*args: Asked.args, **kwargs: Asked.kwargs) -> Response:
        reader = kwargs["reader"]
        assert isinstance(reader, PageReader)
        pages: PageCache = reader.request.app.state.kept
        return await pages.give(reader, lambda: endpoint(*args, **kwargs))

    return give
