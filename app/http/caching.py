"""HTTP caching: how long a response is fresh, and its ETag (RFC 9111, RFC 5861).

A response about the present is fresh for a few seconds at most, and never beyond the instant at
which it changes by time alone. Conditional requests are decided by the strong ETag alone:
`Last-Modified` has whole seconds, and there may be several changes in one.
"""

import gzip
import hashlib
import math
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.caches import Cache
from app.database.monitor import DatabaseMonitor
from app.http.negotiation import accepts_gzip
from app.http.origin import address_of
from app.http.parameters import AsOf

FRESH_SECONDS = 2
REVALIDATE_SECONDS = 3
"""Seconds that a cache may serve a stale response while it fetches a new one."""

IMMUTABLE = "public, max-age=3600"
"""For responses about an instant as known at another: they never change."""
REVALIDATED = "public, no-cache"

HEAD_ASKED = "crossings.head"
"""Key in the scope of a GET: whether it was a HEAD, so that only the headers are sent."""

COMPRESSED_FROM = 1_000
"""Bytes from which a body is compressed; a smaller one fits one packet as it is."""
_LEVEL = 6
_GZIP = zlib.MAX_WBITS | 16


@dataclass(frozen=True, slots=True)
class Validity:
    """When an answer last changed, and when it next changes by time alone; None is never."""

    modified: datetime | None
    due: datetime | None

    def also(self, other: "Validity") -> "Validity":
        """Return the validity of an answer that contains both."""
        modified = [instant for instant in (self.modified, other.modified) if instant is not None]
        due = [instant for instant in (self.due, other.due) if instant is not None]
        return Validity(max(modified, default=None), min(due, default=None))


ALWAYS_VALID = Validity(None, None)


def cache_control(due_in: float, trust_in: float) -> str:
    """Return the header for an answer that changes in ``due_in`` seconds, which may be infinite.

    ``trust_in`` is for how many seconds the state behind it may be relied on without an update.
    Two seconds are subtracted: headers may be reused for one, and nginx counts whole seconds, one
    too many.
    """
    limit = int(max(0.0, min(due_in, trust_in) - 2))
    fresh = min(FRESH_SECONDS, limit)
    meanwhile = min(REVALIDATE_SECONDS, limit - fresh)
    if_error = limit - fresh
    return f"public, max-age={fresh}, stale-while-revalidate={meanwhile}, stale-if-error={if_error}"


def http_date(instant: datetime) -> str:
    return format_datetime(instant.astimezone(UTC), usegmt=True)


def etag_of(body: bytes, coding: str = "") -> str:
    """Return a strong ETag, which differs for each content coding of the same body."""
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    return f'"{digest}-{coding}"' if coding else f'"{digest}"'


_compressed_bodies: Cache[bytes, bytes] = Cache("gzip", bound=16 * 2**20, weigh=len)


def compressed(body: bytes) -> bytes:
    """Return the body compressed by gzip, always as the same bytes."""
    digest = hashlib.blake2b(body).digest()
    content = _compressed_bodies.get(digest)
    if content is None:
        content = gzip.compress(body, _LEVEL, mtime=0)
        _compressed_bodies.put(digest, content)
    return content


def matches(if_none_match: str, etag: str) -> bool:
    """Compare as RFC 9110 says for ``If-None-Match``: a weak tag matches, too."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags


HEADERS_ABSENT_FROM_304 = ("content-length", "content-type", "last-modified", "link")
"""RFC 9110, 15.4.5: a 304 should not repeat what the client has from the 200 before."""


class CacheHeaders:
    """The headers of a response that say which change it reflects and how long it is fresh."""

    def __init__(self, request: Request, response: Response) -> None:
        self._monitor: DatabaseMonitor = request.app.state.monitor
        self._max_age: float = request.app.state.board_max_age
        self._headers = response.headers

    def set_change(self, change: int) -> None:
        """Set the change that it reflects; with it as ``known_change`` the answer is the same."""
        self._headers["Change-Number"] = str(change)

    def set_present(self, change: int, now: datetime, validity: Validity) -> None:
        """Set how long an answer about ``now`` is fresh."""
        self.set_change(change)
        due = validity.due
        due_in = math.inf if due is None else (due - now).total_seconds()
        self._headers["Cache-Control"] = cache_control(due_in, self._max_age)
        self._headers["Knowledge-Age"] = "0"
        if validity.modified is not None:
            self._headers["Last-Modified"] = http_date(validity.modified)

    def tell(
        self,
        *,
        at: datetime | None,
        as_of: AsOf,
        change: int,
        now: datetime,
        is_complete: bool,
        validity: Validity | None = None,
        is_repeatable: bool = True,
    ) -> None:
        """Set the change that an answer reflects, and how long it is fresh.

        One about the present is fresh for as long as its ``validity`` says. One for a given
        instant and a given state of the log never changes, if that state ``is_complete`` and the
        answer ``is_repeatable``.
        """
        if as_of.is_present(at) and validity is not None:
            self.set_present(change, now, validity)
        elif at is not None and is_complete and is_repeatable:
            self.set_immutable(change)
        else:
            self.set_change(change)

    def set_immutable(self, change: int) -> None:
        """Set that an answer never changes, being about an instant as known at another."""
        self.set_change(change)
        self._headers["Cache-Control"] = IMMUTABLE


ResponseCacheHeaders = Annotated[CacheHeaders, Depends(CacheHeaders)]


class CachingMiddleware:
    """Adds an ETag to responses to GET; handles HEAD, If-None-Match and gzip."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self.app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        answer = _OutgoingResponse(Headers(scope=scope), send, head=head)
        get_scope = {**scope, "method": "GET", HEAD_ASKED: head}
        try:
            await self.app(get_scope, receive, answer.send)
        finally:
            scope["route"] = get_scope.get("route")


class _OutgoingResponse:
    """A response whose start is held back until the first part of its body is there."""

    def __init__(self, request_headers: Headers, send: Send, *, head: bool) -> None:
        self._request_headers = request_headers
        self._send = send
        self._head = head
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        start, self._start = self._start, None
        body = message.get("body", b"")
        headers = MutableHeaders(raw=start["headers"])
        is_whole = not message.get("more_body", False) and "etag" not in headers
        if start["status"] == HTTPStatus.OK and is_whole:
            body = self._validate(start, headers, body)
        await self._send(start)
        await self._send({**message, "body": b"" if self._head else body})

    def _validate(self, start: Message, headers: MutableHeaders, body: bytes) -> bytes:
        coding = ""
        if len(body) >= COMPRESSED_FROM and "content-encoding" not in headers:
            headers.add_vary_header("Accept-Encoding")
            if accepts_gzip(self._request_headers.get("accept-encoding", "")):
                coding = "gzip"
        headers["ETag"] = etag_of(body, coding)
        headers.setdefault("Cache-Control", REVALIDATED)
        if matches(self._request_headers.get("if-none-match", ""), headers["ETag"]):
            start["status"] = HTTPStatus.NOT_MODIFIED.value
            for name in HEADERS_ABSENT_FROM_304:
                del headers[name]
            return b""
        if coding:
            body = compressed(body)
            headers["Content-Encoding"] = coding
            headers["Content-Length"] = str(len(body))
        return body


async def streamed(
    request: Request,
    response_headers: Response,
    pieces: AsyncIterator[bytes],
    *,
    version: str,
    media_type: str,
    is_compressed: bool = False,
) -> Response:
    """Return a response that is streamed: ``response_headers``, and ``pieces`` as they are made.

    The same address with the same ``version`` must have the same bytes. The first piece is made
    before the response starts, so that an error until then is answered as a problem; after a later
    error the chunked body has no end, and clients notice that it is incomplete. Pieces of a format
    that ``is_compressed`` by itself are sent as they are.
    """
    headers = dict(response_headers.headers)
    coding = ""
    if not is_compressed:
        headers["vary"] = ", ".join(filter(None, [headers.get("vary"), "Accept-Encoding"]))
        coding = "gzip" if accepts_gzip(request.headers.get("accept-encoding", "")) else ""
    headers["etag"] = etag_of(f"{address_of(request)} {version}".encode(), coding)
    headers.setdefault("cache-control", REVALIDATED)
    if matches(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers=headers)
    if coding:
        headers["content-encoding"] = coding
    if request.scope.get(HEAD_ASKED):
        bare = Response(headers=headers, media_type=media_type)
        del bare.headers["content-length"]
        return bare
    first = await anext(pieces, b"")
    body = _after(first, pieces)
    if coding:
        body = _compressed(body)
    return StreamingResponse(body, headers=headers, media_type=media_type)


async def _after(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


async def _compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    async for piece in pieces:
        yield gzip.compress(piece)
    yield gzip.flush()
