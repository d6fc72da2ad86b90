"""The way into the stream: a request is read by the ordinary route, and then let go of it.

So parameters and refusals are those that are documented, and an open stream holds nothing
of the framework.
"""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.changes.stream.stream import Stream, StreamQuery
from app.changes.stream.wire import END, RESPONSE_START
from app.errors import Invalid, Problem, Unavailable, invalid
from app.http.negotiation import preferred
from app.http.problems import RETRY_AFTER, render

PATH = "/v1/changes"
EVENT_STREAM = "text/event-stream"
ADMIT = "crossing_status.admit"
"""In the scope of a request for the stream: what the route calls with what it read."""
CHANGE_WAIT_SECONDS = 2.0
"""How long a request waits for the change that it demands."""
MAX_CHANGES_AHEAD = 10_000
"""A change so far ahead will not come while one waits for it."""

Admit = Callable[[StreamQuery], None]


def asks_for_stream(scope: Scope) -> bool:
    """Return whether a GET or HEAD is of the stream, rather than of a page of JSON."""
    if scope["path"] != PATH:
        return False
    accept = ",".join(Headers(scope=scope).getlist("accept"))
    return preferred(accept, ("application/json", EVENT_STREAM)) == EVENT_STREAM


class StreamEndpoint:
    """Lets followers into the stream."""

    def __init__(self, application: ASGIApp, stream: Stream, root: str) -> None:
        """``root`` is the path that a proxy adds to addresses."""
        self._application = application
        self._stream = stream
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await self._read(scope, receive, send)
        if asked is None:
            return
        problem = await self._refusal(asked) or await self._unknown(asked)
        if problem is not None:
            await render(problem, self._root)(scope, receive, send)
            return
        await send(RESPONSE_START)
        if scope["method"] == "HEAD":
            await send(END)
            return
        follower = await self._stream.join(asked, send)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._stream.leave(follower)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> StreamQuery | None:
        """Return what is asked for; None if the route refused it, and answered."""
        found: list[StreamQuery] = []

        async def answer(message: Message) -> None:
            if not found:
                await send(message)

        asking = {**scope, "method": "GET", ADMIT: found.append}
        await self._application(asking, receive, answer)
        return found[0] if found else None

    async def _unknown(self, asked: StreamQuery) -> Problem | None:
        try:
            await self._stream.require_existing(asked.wanted)
        except Invalid as problem:
            return problem
        return None

    async def _refusal(self, asked: StreamQuery) -> Problem | None:
        stream, after = self._stream, asked.after
        headers = {"Retry-After": RETRY_AFTER}
        if stream.is_draining:
            return Unavailable("The service is stopping.", headers=headers)
        if stream.place < 0:
            return Unavailable("The log is not loaded here yet.", headers=headers)
        if after is None or after <= stream.place:
            return None
        if after <= stream.place + MAX_CHANGES_AHEAD:
            if await stream.reached(after, within=CHANGE_WAIT_SECONDS):
                return None
            if stream.is_lost:
                return Unavailable(f"Change {after} is not known here yet.", headers=headers)
        where, field = ("header", "Last-Event-ID") if asked.resumes else ("query", "after")
        return invalid(field, f"is later than the newest change, {stream.place}", where=where)
