"""Rendered pages, shared for a second by everybody who requests the same one.

A crisis brings many readers to few pages, and rendering a page costs a hundred times as much as
sending it. A page is dropped at the next change, recorded or due, so none is out of date.
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
from app.limits.requests import RequestLimits
from app.pages.rendering import ORIGIN, HtmlPage, PageReader

CACHE_SECONDS = 1.0
CACHE_BYTES = 32 * 2**20

Params = ParamSpec("Params")
_Key = tuple[str, str, int]
"""The path and query, the language, and the revision of the board."""


@dataclass(frozen=True, slots=True)
class _CachedPage:
    response: Response
    until: float
    """By the database's clock, in seconds since 1970."""


class PageCache:
    """The rendered pages of one application."""

    def __init__(self) -> None:
        self._pages: Cache[_Key, _CachedPage] = Cache("pages", bound=CACHE_BYTES, weigh=_size_of)
        self._rendering: dict[_Key, asyncio.Task[Response]] = {}

    async def get_or_render(
        self, reader: PageReader, render: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return the page rendered for the same request within the last second, or render it."""
        board = reader.board
        if not board.is_loaded:
            return await render()
        key = (path_of(reader.request.scope), reader.language.code, board.revision)
        page = self._pages.get(key)
        if page is not None and board.monitor.now() < page.until:
            return _copy(page.response, origin_of(reader.request))
        task = self._rendering.get(key)
        if task is None:
            # Before it is made for all: the others who wait are not refused with this reader.
            limits: RequestLimits = reader.request.app.state.limits
            await limits.count_question(reader.request.scope)
            task = self._rendering.get(key)
        if task is None:
            reader.is_shared = True
            task = asyncio.ensure_future(_await(render))
            self._rendering[key] = task
            task.add_done_callback(partial(self._store, key, board.monitor.now() + CACHE_SECONDS))
        # Shielded: a client that disconnects must not cancel the rendering for the others.
        return _copy(await asyncio.shield(task), origin_of(reader.request))

    def _store(self, key: _Key, until: float, task: asyncio.Task[Response]) -> None:
        del self._rendering[key]
        if not task.cancelled() and task.exception() is None:
            response = task.result()
            next_change = response.due if isinstance(response, HtmlPage) else math.inf
            self._pages.put(key, _CachedPage(response, min(until, next_change)))


async def _await(render: Callable[[], Awaitable[Response]]) -> Response:
    return await render()


def _size_of(page: _CachedPage) -> int:
    return len(page.response.body) + 2_000


def _copy(response: Response, origin: str) -> Response:
    """Return a copy with the reader's origin, since later layers add headers to each response."""
    copy = Response(bytes(response.body).replace(ORIGIN.encode(), origin.encode()))
    content_length = copy.raw_headers
    copy.status_code = response.status_code
    copy.raw_headers = [
        header for header in response.raw_headers if header[0] != b"content-length"
    ] + content_length
    return copy


def cached(
    endpoint: Callable[Params, Awaitable[Response]],
) -> Callable[Params, Coroutine[None, None, Response]]:
    """Let an endpoint, which has a parameter ``reader``, answer from the page cache."""

    @wraps(endpoint)
    async def respond(*args: Params.args, **kwargs: Params.kwargs) -> Response:
        reader = kwargs["reader"]
        assert isinstance(reader, PageReader)
        pages: PageCache = reader.request.app.state.page_cache
        return await pages.get_or_render(reader, lambda: endpoint(*args, **kwargs))

    return respond
