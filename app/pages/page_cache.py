"""Pages made for one reader and given to all who ask the same within a second.

A crisis brings many readers to few pages, and making one costs a hundred times what giving it
does. No page outlives the next change, recorded or due, and so none is older than without this.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial, wraps
from typing import ParamSpec

from fastapi import Response

from app.caches import Cache
from app.http.origin import origin_of, path_of
from app.pages.rendering import ORIGIN, HtmlPage, PageReader

CACHE_SECONDS = 1.0
CACHE_BYTES = 32 * 2**20

Params = ParamSpec("Params")
_Key = tuple[str, str, int]
"""The path and query, the language, and what the board reflects."""


@dataclass(frozen=True, slots=True)
class _CachedPage:
    response: Response
    until: float
    """By the database's clock, in seconds of 1970."""


class PageCache:
    """The pages of one service."""

    def __init__(self) -> None:
        self._pages: Cache[_Key, _CachedPage] = Cache("pages", bound=CACHE_BYTES, weigh=_weight)
        self._making: dict[_Key, asyncio.Task[Response]] = {}

    async def give(self, reader: PageReader, make: Callable[[], Awaitable[Response]]) -> Response:
        """Return the page that was made for the same question just now; else make it."""
        board = reader.board
        if not board.is_loaded:
            return await make()
        key = (path_of(reader.request.scope), reader.language.code, board.revision)
        page = self._pages.get(key)
        if page is not None and board.monitor.now() < page.until:
            return _copy(page.response, origin_of(reader.request))
        making = self._making.get(key)
        if making is None:
            reader.is_shared = True
            making = asyncio.ensure_future(_awaited(make))
            self._making[key] = making
            making.add_done_callback(partial(self._keep, key, board.monitor.now() + CACHE_SECONDS))
        # Shielded: who goes away must not take the page from the others who wait for it.
        return _copy(await asyncio.shield(making), origin_of(reader.request))

    def _keep(self, key: _Key, until: float, made: asyncio.Task[Response]) -> None:
        del self._making[key]
        if not made.cancelled() and made.exception() is None:
            response = made.result()
            due = response.due if isinstance(response, HtmlPage) else math.inf
            self._pages.put(key, _CachedPage(response, min(until, due)))


async def _awaited(make: Callable[[], Awaitable[Response]]) -> Response:
    return await make()


def _weight(page: _CachedPage) -> int:
    return len(page.response.body) + 2_000


def _copy(response: Response, origin: str) -> Response:
    """Return a response of its own, with the origin that its reader knows.

    On its way out headers are added to it.
    """
    copy = Response(bytes(response.body).replace(ORIGIN.encode(), origin.encode()))
    length = copy.raw_headers
    copy.status_code = response.status_code
    copy.raw_headers = [one for one in response.raw_headers if one[0] != b"content-length"] + length
    return copy


def cached(
    endpoint: Callable[Params, Awaitable[Response]],
) -> Callable[Params, Coroutine[None, None, Response]]:
    """Give the pages of an endpoint, which has a ``reader``, from those kept."""

    @wraps(endpoint)
    async def give(*args: Params.args, **kwargs: Params.kwargs) -> Response:
        reader = kwargs["reader"]
        assert isinstance(reader, PageReader)
        pages: PageCache = reader.request.app.state.page_cache
        return await pages.give(reader, lambda: endpoint(*args, **kwargs))

    return give
