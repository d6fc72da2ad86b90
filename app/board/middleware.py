"""A thin ASGI layer in front of the application, which answers from the board.

All other requests are passed on to the ordinary routes, which document the operations and give the
same bytes. The common case is a lookup in a dictionary and two messages.
"""

import math
from collections.abc import Callable
from datetime import datetime
from functools import partial
from time import perf_counter

from fastapi import FastAPI, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.board.board import Board
from app.board.questions import BoardAnswer, question_of
from app.board.views import Moment
from app.caches import Cache
from app.changes.stream.endpoint import (
    CHANGE_WAIT_SECONDS,
    MAX_CHANGES_AHEAD,
    StreamEndpoint,
    asks_for_stream,
)
from app.changes.stream.stream import Stream
from app.config import LoggedRequests
from app.errors import FieldError, Invalid, Problem, RateLimited, Unavailable
from app.http.caching import (
    COMPRESSED_FROM,
    CachingMiddleware,
    cache_control,
    compressed,
    etag_of,
    http_date,
    matches,
)
from app.http.negotiation import accepts_gzip
from app.http.origin import Origins, path_of
from app.http.problems import RETRY_AFTER, render
from app.http.requests import (
    RequestKind,
    RequestObserver,
    RequestOutcome,
    RequestTally,
    id_header,
    log_request,
)
from app.http.security import OF_PUBLIC_READS, SecurityHeaders, preflight
from app.limits.requests import RequestLimits
from app.observations.recording import WAITS_AS_OF

OWN_WRITE_WAIT_SECONDS = 1.0
"""How long the response to a write waits until the board of its worker reflects it."""
STREAM_ROUTE = "/v1/changes (stream)"
"""The route under which streams are counted separately, because they last long."""
CACHE_BYTES = 64 * 2**20
"""The size of the cache of responses."""
_OVERHEAD = 2_000
"""The approximate size of a cached response besides its bodies, in bytes."""

_Header = tuple[bytes, bytes]


class _EncodedResponse:
    """A response in one content coding, with the headers of a 200 and of a 304."""

    def __init__(self, etag: str, body: bytes, fixed: list[_Header], own: list[_Header]) -> None:
        self.etag = etag.encode()
        self.body = body
        self.headers: list[_Header] = []
        self.unmodified: list[_Header] = []
        self.board_headers: BoardHeaders | None = None
        """The board headers that are included above."""
        self._unmodified = [*fixed, (b"etag", self.etag)]
        self._headers = [*self._unmodified, *own, (b"content-length", b"%d" % len(body))]

    def set_board_headers(self, board_headers: "BoardHeaders", due: float) -> None:
        shared = board_headers.headers(due)
        self.headers = self._headers + shared
        self.unmodified = self._unmodified + shared
        self.board_headers = board_headers


class CachedResponse:
    """A body with its own headers, in each content coding."""

    def __init__(
        self,
        body: bytes,
        link: str | None,
        media_type: str,
        route: str,
    ) -> None:
        self.body = body
        self.route = route
        """The path of the operation in the documentation."""
        self.revision = -1
        """The revision of the board at which this was last known to be valid."""
        self.withheld_since: datetime | None = None
        self.due = math.inf
        """When it next changes by time alone, in seconds since 1970 by the database."""
        self.etag = etag_of(body)
        self.gzip_etag = etag_of(body, "gzip")
        self._gzip: bytes | None = None
        self._modified: datetime | None = None
        self._variants: dict[bool, _EncodedResponse] = {}
        self._media_type = media_type.encode()
        self._link = None if link is None else f'<{link}>; rel="next"'.encode("latin-1")

    @property
    def is_compressible(self) -> bool:
        return len(self.body) >= COMPRESSED_FROM

    @property
    def gzip(self) -> bytes:
        if self._gzip is None:
            self._gzip = compressed(self.body)
        return self._gzip

    def renew(self, answer: BoardAnswer, moment: Moment, revision: int) -> None:
        """Note that this is still the answer, and until when."""
        validity = answer.validity
        self.revision = revision
        self.withheld_since = moment.withheld_since
        self.due = math.inf if validity.due is None else validity.due.timestamp()
        self._modified = validity.modified
        self._variants.clear()

    def coded(
        self, accepted: bytes, if_none_match: bytes, board_headers: "BoardHeaders"
    ) -> tuple[int, list[_Header], bytes]:
        """Return status, headers and body for the headers of a request."""
        coding = (
            bool(accepted) and self.is_compressible and accepts_gzip(accepted.decode("latin-1"))
        )
        variant = self._variants.get(coding) or self._encode(coding)
        if variant.board_headers is not board_headers:
            variant.set_board_headers(board_headers, self.due)
        if if_none_match and (
            if_none_match == variant.etag
            or matches(if_none_match.decode("latin-1"), variant.etag.decode())
        ):
            return 304, variant.unmodified, b""
        return 200, variant.headers, variant.body

    def _encode(self, coding: bool) -> _EncodedResponse:
        fixed = [(b"vary", b"Accept-Encoding")] if self.is_compressible else []
        fixed += OF_PUBLIC_READS
        own = [(b"content-type", self._media_type)]
        if self._link is not None:
            own.append((b"link", self._link))
        if self._modified is not None:
            own.append((b"last-modified", http_date(self._modified).encode()))
        if coding:
            own.append((b"content-encoding", b"gzip"))
        etag, body = (self.gzip_etag, self.gzip) if coding else (self.etag, self.body)
        self._variants[coding] = variant = _EncodedResponse(etag, body, fixed, own)
        return variant


class BoardHeaders:
    """The headers about the board that all answers share, good for a change and a second."""

    def __init__(self, board: Board, policy: list[_Header]) -> None:
        """``policy`` is the rate limit's, if there is one."""
        age = max(0, int(board.age))
        self.change = board.change
        self.withheld_since = board.moment().withheld_since
        self._begun = board.as_of + board.monitor.offset + age
        self._trust = board.max_age - age
        self.until = self._begun + 1
        self._about = [
            (b"change-number", b"%d" % board.change),
            (b"knowledge-age", b"%d" % age),
            *policy,
        ]
        self._for_long = self._headers(math.inf)
        self._long = self._begun + max(self._trust, 0)

    def headers(self, due: float) -> list[_Header]:
        """Return those of an answer that next differs at ``due``."""
        return self._for_long if due > self._long else self._headers(due)

    def _headers(self, due: float) -> list[_Header]:
        control = cache_control(due - self._begun, self._trust)
        return [(b"cache-control", control.encode()), *self._about]


class BoardMiddleware:
    """The whole service: answers from the board, and the application behind it."""

    def __init__(
        self,
        application: FastAPI,
        board: Board,
        stream: Stream,
        origins: Origins,
        security: SecurityHeaders,
        limits: RequestLimits,
        *,
        tally: RequestTally,
        logged: LoggedRequests,
        note: Callable[[RequestOutcome], None],
    ) -> None:
        self.application = application
        self.board = board
        self.stream = stream
        self._origins = origins
        self._security = security
        self._limits = limits
        self._policy = [] if limits.board is None else limits.board.policy
        self._tally = tally
        self._logs_all = logged == "all"
        self._observed = partial(RequestObserver, tally=tally, logged=logged, note=note)
        self._behind: ASGIApp = self._observed(CachingMiddleware(application))
        self._way_in = RequestObserver(
            StreamEndpoint(application, stream, origins.root), tally, logged, route=STREAM_ROUTE
        )
        self._pages: Cache[bytes, CachedResponse] = Cache("board", bound=CACHE_BYTES, weigh=_weight)
        self._telling: BoardHeaders | None = None
        self._is_draining = False

    def drain(self) -> None:
        """End the streams, and close each connection after its next response."""
        self._is_draining = True
        self.stream.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_draining:
            send = _closing(send)
        if scope["type"] != "http":
            await self.application(scope, receive, send)
        elif scope["method"] in {"GET", "HEAD"}:
            await self._read(scope, receive, send)
        else:
            host = b",".join(value for name, value in scope["headers"] if name == b"host")
            problem = self._origins.refusal(scope, host)
            if problem is not None:
                await self._refuse(problem, scope, receive, send)
                return
            answer = preflight(scope)
            if answer is not None:
                await self._give(answer, scope, receive, send)
                return
            await self._pass_on(self._behind, perf_counter(), scope, receive, self._showing(send))

    async def _read(  # noqa: C901, PLR0912  # the path that is to be short
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        begun = perf_counter()
        accepted = if_none_match = host = b""
        brings_id = False
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepted = accepted + b"," + value if accepted else value
            elif name == b"if-none-match":
                if_none_match = value
            elif name == b"host":
                host = host + b"," + value if host else value
            elif name == b"x-request-id":
                brings_id = True
            elif name == b"at-least-change":
                problem = await self._demand(value)
                if problem is not None:
                    await self._refuse(problem, scope, receive, send)
                    return
        problem = self._origins.refusal(scope, host)
        if problem is not None:
            await self._refuse(problem, scope, receive, send)
            return
        page = self._page(scope)
        if page is None or self._telling is None:
            behind = self._way_in if asks_for_stream(scope) else self._behind
            await self._pass_on(behind, begun, scope, receive, send)
            return
        status, headers, body = page.coded(accepted, if_none_match, self._telling)
        if body:
            problem = self._limits.refusal(scope, begun)
            if problem is not None:
                await self._refuse(problem, scope, receive, send)
                return
        if brings_id:
            headers = headers + id_header(scope)
        if self._security.hsts and scope["scheme"] == "https":
            headers = headers + self._security.hsts
        await self._answer(scope, send, status, headers, body)
        kind, seconds = RequestKind(scope["method"], page.route, status), perf_counter() - begun
        self._tally.add(kind, seconds)
        if self._logs_all:
            log_request(kind, seconds)

    async def _pass_on(
        self, behind: ASGIApp, begun: float, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have a request answered by what is behind the board, within its limits."""
        try:
            await self._limits.count(scope, begun, is_stream=behind is self._way_in)
        except RateLimited as problem:
            tell: Callable[[Request, Problem], ASGIApp] = self.application.state.tell_problem
            request = Request({**scope, "app": self.application})
            await self._give(tell(request, problem), scope, receive, send)
            return
        secured = self._security.securing(scope, self._limits.telling(scope, send))
        await behind(scope, receive, secured)

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        await self._give(render(problem, self._origins.root), scope, receive, send)

    async def _give(self, answer: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        secured = self._security.securing(scope, send)
        await self._observed(answer)(scope, receive, secured)

    async def _answer(
        self, scope: Scope, send: Send, status: int, headers: list[_Header], body: bytes
    ) -> None:
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _page(self, scope: Scope) -> CachedResponse | None:
        """Return the cached or computed response; None if the board does not answer the request."""
        board = self.board
        if not board.is_loaded:
            return None
        now = board.monitor.now()
        telling = self._telling
        if telling is None or now >= telling.until or telling.change != board.change:
            telling = self._telling = BoardHeaders(board, self._policy)
        key: bytes = scope["raw_path"] + b"?" + scope["query_string"]
        page = self._pages.get(key) or self._pages.get(self._key_with_origin(key, scope))
        if (
            page is not None
            and page.revision == board.revision
            and now < page.due
            and page.withheld_since == telling.withheld_since
        ):
            return page
        question = question_of(scope["path"], scope["query_string"])
        moment = board.moment()
        answer = question and question.answer(board, moment)
        if not question or not answer:
            return None
        link = None
        if answer.cursor is not None:
            link = self._origins.of(scope) + path_of(scope, cursor=answer.cursor)
        body = answer.complete_body(link)
        if page is None or page.body != body:
            page = CachedResponse(body, link, answer.media_type, question.route)
            self._pages.drop(key)
            self._pages.put(key if link is None else self._key_with_origin(key, scope), page)
        page.renew(answer, moment, board.revision)
        return page

    def _key_with_origin(self, key: bytes, scope: Scope) -> bytes:
        """Return the key of a response that contains the origin which the client named."""
        return b"%b %b" % (key, self._origins.of(scope).encode())

    async def _demand(self, value: bytes) -> Problem | None:
        """Wait until the board reflects the change that is demanded. Return a problem if not."""
        if not value.isdigit() or len(value) > len(str(2**62)):
            fault = FieldError("header", "At-Least-Change", "must be the number of a change")
            return Invalid([fault])
        demanded = int(value)
        if self.board.is_loaded and demanded > self.board.change + MAX_CHANGES_AHEAD:
            newest = f"is much later than the newest change, {self.board.change}"
            return Invalid([FieldError("header", "At-Least-Change", newest)])
        if await self.board.reached(demanded, within=CHANGE_WAIT_SECONDS):
            return None
        return Unavailable(
            f"Change {demanded} is not known here yet.", headers={"Retry-After": RETRY_AFTER}
        )

    async def _await_shown(self, headers: Headers) -> None:
        change, observed = headers.get("change-number"), headers.get(WAITS_AS_OF)
        if change is not None:
            await self.board.reached(int(change), within=OWN_WRITE_WAIT_SECONDS)
        if observed is not None:
            until = datetime.fromisoformat(observed)
            await self.board.observed(until, within=OWN_WRITE_WAIT_SECONDS)

    def _showing(self, send: Send) -> Send:
        """Hold the response to a write until the board of this worker reflects it."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                if self.board.is_loaded:
                    await self._await_shown(headers)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = self._origins.root + headers["location"]
            await send(message)

        return told


def _closing(send: Send) -> Send:
    """Announce to the client that its connection ends with this response."""

    async def last(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return last


def _weight(page: CachedResponse) -> int:
    # The compressed body is added later, and is a fraction of the plain one.
    return _OVERHEAD + len(page.body) * 5 // 4
