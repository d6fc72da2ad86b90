"""What caches are told: how long an answer is good, and which one it is (RFC 9111, RFC 5861).

An answer about the present is fresh for a few seconds at most and never past the instant at
which it next differs by itself. Conditional requests go by the strong ETag alone:
`Last-Modified` counts whole seconds, and two changes may share one.
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
"""For so long a cache may go on with what it has while it asks for the new."""

IMMUTABLE = "public, max-age=3600"
"""Of answers that name an instant and the knowledge: they never differ."""
REVALIDATED = "public, no-cache"

HEAD_ASKED = "crossings.head"
"""In the scope of a request that is answered like a GET: whether only the headers are wanted."""

COMPRESSED_FROM = 1_000
"""Bytes: what is smaller fits one packet as it is."""
_LEVEL = 6
_GZIP = zlib.MAX_WBITS | 16


@dataclass(frozen=True, slots=True)
class Validity:
    """When an answer came to be so, and when it next differs by itself; None is never."""

    modified: datetime | None
    due: datetime | None

    def also(self, other: "Validity") -> "Validity":
        """Return the validity of an answer that holds both."""
        modified = [one for one in (self.modified, other.modified) if one is not None]
        due = [one for one in (self.due, other.due) if one is not None]
        return Validity(max(modified, default=None), min(due, default=None))


ALWAYS_VALID = Validity(None, None)


def cache_control(due_in: float, trust_in: float) -> str:
    """Return how long to keep what differs in ``due_in`` seconds, which may be infinite.

    ``trust_in`` is for how long the knowledge behind it may be relied on without more. Less
    two seconds: headers may be told again for one, and nginx counts whole seconds, one too many.
    """
    limit = int(max(0.0, min(due_in, trust_in) - 2))
    fresh = min(FRESH_SECONDS, limit)
    meanwhile = min(REVALIDATE_SECONDS, limit - fresh)
    if_error = limit - fresh
    return f"public, max-age={fresh}, stale-while-revalidate={meanwhile}, stale-if-error={if_error}"


def http_date(instant: datetime) -> str:
    return format_datetime(instant.astimezone(UTC), usegmt=True)


def etag_of(body: bytes, coding: str = "") -> str:
    """Return a strong validator: each content coding of the same body has its own."""
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    return f'"{digest}-{coding}"' if coding else f'"{digest}"'


_compressed_bodies: Cache[bytes, bytes] = Cache("gzip", bound=16 * 2**20, weigh=len)


def compressed(body: bytes) -> bytes:
    """Return the body in gzip, the same bytes every time."""
    digest = hashlib.blake2b(body).digest()
    found = _compressed_bodies.get(digest)
    if found is None:
        found = gzip.compress(body, _LEVEL, mtime=0)
        _compressed_bodies.put(digest, found)
    return found


def matches(if_none_match: str, etag: str) -> bool:
    """Compare as RFC 9110 has it for ``If-None-Match``: a weak tag counts, too."""
    given = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in given or "*" in given


UNTOLD_UNMODIFIED = ("content-length", "content-type", "last-modified", "link")
"""RFC 9110, 15.4.5: a 304 is best left without what the asker has from the 200 before."""


class CacheHeaders:
    """The headers of an answer that say what it reflects and how long it is good."""

    def __init__(self, request: Request, response: Response) -> None:
        self._monitor: DatabaseMonitor = request.app.state.monitor
        self._trust: float = request.app.state.board_max_age
        self._headers = response.headers

    def set_change(self, change: int) -> None:
        """Say which change it reflects: asked again as ``known_change`` it is the same."""
        self._headers["Change-Number"] = str(change)

    def tell_present(self, change: int, now: datetime, validity: Validity) -> None:
        """Say how long an answer for ``now`` is good."""
        self.set_change(change)
        due = validity.due
        due_in = math.inf if due is None else (due - now).total_seconds()
        self._headers["Cache-Control"] = cache_control(due_in, self._trust)
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
        """Say what an answer reflects, and how long it is good.

        One about the present is good for as long as its ``validity`` says. One that names its
        instant and its knowledge never differs, if that ``is_complete`` and it ``is_repeatable``.
        """
        if at is None and as_of.is_newest and validity is not None:
            self.tell_present(change, now, validity)
        elif at is not None and is_complete and is_repeatable:
            self.tell_immutable(change)
        else:
            self.set_change(change)

    def tell_immutable(self, change: int) -> None:
        """Say that an answer about an instant, as known then, never differs."""
        self.set_change(change)
        self._headers["Cache-Control"] = IMMUTABLE


ResponseCacheHeaders = Annotated[CacheHeaders, Depends(CacheHeaders)]


class CachingMiddleware:
    """Gives the answers of ``app`` to GET an ETag; knows HEAD, If-None-Match and gzip."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self.app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        answer = _OutgoingResponse(Headers(scope=scope), send, head=head)
        asked = {**scope, "method": "GET", HEAD_ASKED: head}
        try:
            await self.app(asked, receive, answer.send)
        finally:
            scope["route"] = asked.get("route")


class _OutgoingResponse:
    """One answer on its way out: held until its body is whole, if it comes in one piece."""

    def __init__(self, asked: Headers, send: Send, *, head: bool) -> None:
        self._asked = asked
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
            if accepts_gzip(self._asked.get("accept-encoding", "")):
                coding = "gzip"
        headers["ETag"] = etag_of(body, coding)
        headers.setdefault("Cache-Control", REVALIDATED)
        if matches(self._asked.get("if-none-match", ""), headers["ETag"]):
            start["status"] = HTTPStatus.NOT_MODIFIED.value
            for name in UNTOLD_UNMODIFIED:
                del headers[name]
            return b""
        if coding:
            body = compressed(body)
            headers["Content-Encoding"] = coding
            headers["Content-Length"] = str(len(body))
        return body


async def streamed(
    request: Request,
    told: Response,
    pieces: AsyncIterator[bytes],
    *,
    version: str,
    media_type: str,
) -> Response:
    """Return an answer too long to hold: the headers of ``told``, and ``pieces`` as they are sent.

    The same address with the same ``version`` must be the same bytes. The first piece is made
    before the answer begins: a problem until then is told as one; a later one leaves the
    chunked body without its end, which no client takes for a whole one.
    """
    coding = "gzip" if accepts_gzip(request.headers.get("accept-encoding", "")) else ""
    headers = dict(told.headers)
    headers["etag"] = etag_of(f"{address_of(request)} {version}".encode(), coding)
    headers["vary"] = ", ".join(filter(None, [headers.get("vary"), "Accept-Encoding"]))
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
