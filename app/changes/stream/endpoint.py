"""The ASGI endpoint of the stream. The ordinary route parses the request and hands it over.

So parameters and errors are those of the documented route, while an open stream holds no
resources of the framework.
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
"""The key in the scope of a callback, which the route calls with the parsed query."""
CHANGE_WAIT_SECONDS = 2.0
"""How long a request waits for the change after which it begins."""
MAX_CHANGES_AHEAD = 10_000
"""Changes further ahead are not waited for."""

Admit = Callable[[StreamQuery], None]


def asks_for_stream(scope: Scope) -> bool:
    """Return whether a GET or HEAD requests the stream instead of a JSON page."""
    if scope["path"] != PATH:
        return False
    accept = ",".join(Headers(scope=scope).getlist("accept"))
    return preferred(accept, ("application/json", EVENT_STREAM)) == EVENT_STREAM


class StreamEndpoint:
    """Serves requests for the stream."""

    def __init__(self, application: ASGIApp, stream: Stream, root: str) -> None:
        """``root`` is the path prefix that a proxy adds."""
        self._application = application
        self._stream = stream
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = await self._read(scope, receive, send)
        if query is None:
            return
        problem = await self._refusal(query) or await self._unknown(query)
        if problem is not None:
            await render(problem, self._root)(scope, receive, send)
            return
        await send(RESPONSE_START)
        if scope["method"] == "HEAD":
            await send(END)
            return
        follower = await self._stream.join(query, send)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._stream.leave(follower)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> StreamQuery | None:
        """Return the parsed query; None if the route has answered with an error."""
        queries: list[StreamQuery] = []

        async def forward(message: Message) -> None:
            if not queries:
                await send(message)

        query_scope = {**scope, "method": "GET", ADMIT: queries.append}
        await self._application(query_scope, receive, forward)
        return queries[0] if queries else None

    async def _unknown(self, query: StreamQuery) -> Problem | None:
        try:
            await self._stream.require_existing(query.change_filter)
        except Invalid as problem:
            return problem
        return None

    async def _refusal(self, query: StreamQuery) -> Problem | None:
        stream, after = self._stream, query.after
        headers = {"Retry-After": RETRY_AFTER}
        if stream.is_draining:
            return Unavailable("The service is stopping.", headers=headers)
        if stream.newest_change < 0:
            return Unavailable("The log is not loaded here yet.", headers=headers)
        if after is None or after <= stream.newest_change:
            return None
        if after <= stream.newest_change + MAX_CHANGES_AHEAD:
            if await stream.reached(after, within=CHANGE_WAIT_SECONDS):
                return None
            if stream.is_lost:
                return Unavailable(f"Change {after} is not known here yet.", headers=headers)
        where, field = ("header", "Last-Event-ID") if query.resumes else ("query", "after")
        return invalid(
            field, f"is later than the newest change, {stream.newest_change}", where=where
        )
