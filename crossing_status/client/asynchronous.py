"""The client for programs with an event loop of asyncio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, Self

import httpx2

from crossing_status.client import operations
from crossing_status.client.downloads import Download
from crossing_status.client.following import ChangeStream, Following, events_of
from crossing_status.client.models import Change
from crossing_status.client.requests import (
    Answer,
    Attempts,
    Call,
    Item,
    Listing,
    Request,
    as_method,
    http_options,
)
from crossing_status.client.retries import Retries

P = ParamSpec("P")


class AsyncConnection:
    """Sends requests to the service at ``base_url``, again where that is worth while."""

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        retries: Retries = Retries(),  # noqa: B008  # frozen
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx2.AsyncClient(
            **http_options(base_url, key=key, timeout=timeout), transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, call: Call[Answer]) -> Answer:
        return call.parse(await self._send(call))

    async def iterate(self, listing: Listing[Item]) -> AsyncIterator[Item]:
        request: Request | None = listing.first_page()
        while request is not None:
            items, request = listing.page(request, await self._send(request))
            for item in items:
                yield item

    async def follow_stream(self, stream: ChangeStream) -> AsyncIterator[Change]:
        following = Following(stream, self._retries)
        while True:
            try:
                async with self._open(following.request()) as response:
                    if response.is_success:
                        async for event in events_of(response):
                            change = following.receive(event, response)
                            if change is not None:
                                yield change
                        delay = following.ended()
                    else:
                        await response.aread()
                        delay = following.refused(response)
            except httpx2.TransportError as error:
                delay = following.failed(error)
            await asyncio.sleep(delay)

    async def save(self, download: Download) -> int:
        attempts = Attempts(self._retries)
        with download.draft() as draft:
            while True:
                try:
                    async with self._open(download) as response:
                        if response.is_success:
                            draft.begin(response)
                            async for chunk in response.aiter_bytes():
                                draft.write(chunk)
                            return draft.finish()
                        await response.aread()
                        delay = attempts.refused(response)
                except httpx2.TransportError as error:
                    delay = attempts.failed(error)
                await asyncio.sleep(delay)

    async def _send(self, request: Request) -> httpx2.Response:
        attempts = Attempts(self._retries, request.idempotency_key)
        while True:
            try:
                response = await self._http.send(request.build(self._http))
            except httpx2.TransportError as error:
                delay = attempts.failed(error)
            else:
                if response.is_success:
                    return response
                delay = attempts.refused(response)
            await asyncio.sleep(delay)

    @asynccontextmanager
    async def _open(self, request: Request) -> AsyncIterator[httpx2.Response]:
        """Send a request and give its answer, whose body is still to be read."""
        response = await self._http.send(request.build(self._http), stream=True)
        try:
            yield response
        finally:
            await response.aclose()


def _answer(
    operation: Callable[P, Call[Answer]],
) -> Callable[Concatenate[AsyncConnection, P], Awaitable[Answer]]:
    """Make an operation a method that returns its answer."""

    async def method(connection: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return await connection.call(operation(*args, **kwargs))

    return as_method(method, operation)


def _items(
    operation: Callable[P, Listing[Item]],
) -> Callable[Concatenate[AsyncConnection, P], AsyncIterator[Item]]:
    """Make an operation a method that iterates over its items; pages are fetched when needed."""

    def method(
        connection: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncIterator[Item]:
        return connection.iterate(operation(*args, **kwargs))

    return as_method(method, operation)


def _changes(
    operation: Callable[P, ChangeStream],
) -> Callable[Concatenate[AsyncConnection, P], AsyncIterator[Change]]:
    """Make an operation a method that follows a stream."""

    def method(
        connection: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncIterator[Change]:
        return connection.follow_stream(operation(*args, **kwargs))

    return as_method(method, operation)


def _file(
    operation: Callable[P, Download],
) -> Callable[Concatenate[AsyncConnection, P], Awaitable[int]]:
    """Make an operation a method that writes a file."""

    async def method(connection: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> int:
        return await connection.save(operation(*args, **kwargs))

    return as_method(method, operation)


class AsyncClient(AsyncConnection):
    """What `Client` is, with methods that are awaited or iterated over asynchronously."""

    status = _answer(operations.status)
    timeline = _items(operations.timeline)
    statistics = _answer(operations.statistics)
    crossing = _answer(operations.crossing)
    crossings = _items(operations.crossings)
    alternatives = _items(operations.alternatives)
    border = _answer(operations.border)
    borders = _items(operations.borders)
    border_statistics = _answer(operations.border_statistics)
    event = _answer(operations.event)
    events = _items(operations.events)
    changes = _items(operations.changes)
    follow = _changes(operations.follow)
    observations = _items(operations.observations)
    download = _file(operations.download)

    declare = _answer(operations.declare)
    preview_declaration = _answer(operations.preview_declaration)
    retract = _answer(operations.retract)
    preview_retraction = _answer(operations.preview_retraction)
    confirm = _answer(operations.confirm)
    preview_confirmation = _answer(operations.preview_confirmation)
    record_observations = _answer(operations.record_observations)
    preview_observations = _answer(operations.preview_observations)
