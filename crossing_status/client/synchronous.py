"""The client for programs without an event loop."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


class Connection:
    """Sends requests to the service at ``base_url``, again where that is worth while."""

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        retries: Retries = Retries(),  # noqa: B008  # frozen
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx2.Client(
            **http_options(base_url, key=key, timeout=timeout), transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, call: Call[Answer]) -> Answer:
        return call.parse(self._send(call))

    def iterate(self, listing: Listing[Item]) -> Iterator[Item]:
        request: Request | None = listing.first_page()
        while request is not None:
            items, request = listing.page(request, self._send(request))
            yield from items

    def follow_stream(self, stream: ChangeStream) -> Iterator[Change]:
        following = Following(stream, self._retries)
        while True:
            try:
                with self._open(following.request()) as response:
                    if response.is_success:
                        for event in events_of(response):
                            change = following.receive(event, response)
                            if change is not None:
                                yield change
                        delay = following.ended()
                    else:
                        response.read()
                        delay = following.refused(response)
            except httpx2.TransportError as error:
                delay = following.failed(error)
            time.sleep(delay)

    def save(self, download: Download) -> int:
        attempts = Attempts(self._retries)
        with download.draft() as draft:
            while True:
                try:
                    with self._open(download) as response:
                        if response.is_success:
                            draft.begin(response)
                            for chunk in response.iter_bytes():
                                draft.write(chunk)
                            return draft.finish()
                        response.read()
                        delay = attempts.refused(response)
                except httpx2.TransportError as error:
                    delay = attempts.failed(error)
                time.sleep(delay)

    def _send(self, request: Request) -> httpx2.Response:
        attempts = Attempts(self._retries, request.idempotency_key)
        while True:
            try:
                response = self._http.send(request.build(self._http))
            except httpx2.TransportError as error:
                delay = attempts.failed(error)
            else:
                if response.is_success:
                    return response
                delay = attempts.refused(response)
            time.sleep(delay)

    @contextmanager
    def _open(self, request: Request) -> Iterator[httpx2.Response]:
        """Send a request and give its answer, whose body is still to be read."""
        response = self._http.send(request.build(self._http), stream=True)
        try:
            yield response
        finally:
            response.close()


def _answer(operation: Callable[P, Call[Answer]]) -> Callable[Concatenate[Connection, P], Answer]:
    """Make an operation a method that returns its answer."""

    def method(connection: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return connection.call(operation(*args, **kwargs))

    return as_method(method, operation)


def _items(
    operation: Callable[P, Listing[Item]],
) -> Callable[Concatenate[Connection, P], Iterator[Item]]:
    """Make an operation a method that iterates over its items; pages are fetched when needed."""

    def method(connection: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Item]:
        return connection.iterate(operation(*args, **kwargs))

    return as_method(method, operation)


def _changes(
    operation: Callable[P, ChangeStream],
) -> Callable[Concatenate[Connection, P], Iterator[Change]]:
    """Make an operation a method that follows a stream."""

    def method(connection: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Change]:
        return connection.follow_stream(operation(*args, **kwargs))

    return as_method(method, operation)


def _file(operation: Callable[P, Download]) -> Callable[Concatenate[Connection, P], int]:
    """Make an operation a method that writes a file."""

    def method(connection: Connection, /, *args: P.args, **kwargs: P.kwargs) -> int:
        return connection.save(operation(*args, **kwargs))

    return as_method(method, operation)


class Client(Connection):
    """A client of the service at ``base_url``, which may have a path.

    ``key`` is an API key, which only writes need. ``timeout`` is in seconds, for each attempt to
    connect and for each silence while reading. ``transport`` replaces the network: for proxies,
    certificates of one's own, or tests. The methods raise CrossingStatusError.
    """

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
