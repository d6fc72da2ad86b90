"""Where a follower of the stream of changes is, apart from how it reads it."""

from dataclasses import dataclass, field, replace

import httpx2

from crossing_status.client.errors import ChangesDropped, UnexpectedAnswer, Unreachable
from crossing_status.client.models import Change
from crossing_status.client.requests import Attempts, Request, media_type_of, parsed, problem_of
from crossing_status.client.retries import Retries, is_passing

SILENCE_SECONDS = 45.0
"""Seconds without a byte after which a connection is given up: three heartbeats of the service."""
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStream(Request):
    """The request for the stream of changes, and the change after which it begins."""

    after: int | None = None
    """None: with the next change."""


@dataclass(slots=True)
class Following:
    """The position in the log, and when to connect again.

    Until the stream has begun, it is tried like any request. After that it is resumed for as long
    as it takes, unless the service refuses that for good.
    """

    stream: ChangeStream
    retries: Retries
    position: int | None = field(default=None, init=False)
    """The last change that was received, or passed over; None before the stream has begun."""
    _attempts: Attempts = field(init=False)
    _reconnect_delay: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        self._attempts = Attempts(self.retries)

    def request(self) -> Request:
        """Return the request that begins the stream, or resumes it."""
        if self.position is not None:
            headers = {**self.stream.headers, "Last-Event-ID": str(self.position)}
            return replace(self.stream, headers=headers)
        if self.stream.after is not None:
            after = ("after", str(self.stream.after))
            return replace(self.stream, parameters=[*self.stream.parameters, after])
        return self.stream

    def receive(self, event: httpx2.ServerSentEvent, response: httpx2.Response) -> Change | None:
        """Return the change of an event; None if it only says how far the stream has come.

        Raises ChangesDropped.
        """
        self._attempts = Attempts(self.retries)
        if event.retry is not None:
            self._reconnect_delay = event.retry / 1_000
        if event.id.isascii() and event.id.isdigit():
            self.position = int(event.id)
        if event.event == "dropped":
            raise ChangesDropped(self.position or 0)
        return parsed(Change, event.data, response.url) if event.data else None

    def failed(self, error: httpx2.TransportError) -> float:
        """Return the seconds to wait after a broken connection. Raises Unreachable."""
        return self._attempts.failed(error) if self.position is None else self.ended()

    def refused(self, response: httpx2.Response) -> float:
        """Return the seconds to wait after a refusal. Raises ProblemError if it does not pass."""
        problem = problem_of(response)
        if self.position is None or not is_passing(problem.status, problem.slug):
            return self._attempts.refused(response)
        return max(self.ended(), problem.retry_after or 0)

    def ended(self) -> float:
        """Return the seconds to wait after the end of a stream that is to be resumed."""
        self._attempts.number += 1
        if self.position is None and self._attempts.number >= self.retries.attempts:
            raise Unreachable("The stream of changes ends before it has begun.")
        return max(self._reconnect_delay, self.retries.backoff(self._attempts.number))


def events_of(response: httpx2.Response) -> httpx2.EventSource:
    """Return the events of a stream. Raises UnexpectedAnswer if it is something else."""
    if media_type_of(response) != EVENT_STREAM:
        raise UnexpectedAnswer(f"{response.url} does not answer with a stream of changes")
    return httpx2.EventSource(response, max_event_size=None)
