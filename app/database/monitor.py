"""The state of the primary database as a process knows it: availability, clock, newest change."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psycopg
from sqlalchemy.exc import SQLAlchemyError

OUTAGES = (psycopg.Error, SQLAlchemyError, TimeoutError, OSError)
"""Exceptions when the database does not answer, or refuses a statement."""
RECONNECT_SECONDS = 0.25
"""The pause before the next attempt to reach a lost database."""

_SECOND_CANCEL_SECONDS = 0.1
"""Seconds after which a task is cancelled again: at the first cancellation, the driver asks the
server to cancel, and a silent server does not answer.
"""

_POLL_SECONDS = 0.1

AnswerT = TypeVar("AnswerT")

monotonic_seconds = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""A clock that runs even while the machine sleeps, since data gets old then, too."""


@dataclass(eq=False)
class _Wait:
    """A task that waits for the database."""

    task: asyncio.Task[object]
    is_cancelled: bool = False


class DatabaseMonitor:
    """Updated by the listener to the database, and read by all that wait for the database."""

    def __init__(self, request_seconds: float) -> None:
        self.request_seconds = request_seconds
        """How long a request waits for an available database."""
        self.change = 0
        """The newest change known."""
        self.hash = b""
        """The hash of that change, which distinguishes one history from another."""
        self.offset = 0.0
        """The database's clock, in seconds since 1970, less `monotonic_seconds`."""
        self.heard_at = -math.inf
        """When the database last answered, in `monotonic_seconds`."""
        self.is_lost = False
        self._waiting: set[_Wait] = set()

    def now(self) -> float:
        """Return the present by the database's clock, in seconds since 1970."""
        return monotonic_seconds() + self.offset

    def heard(self, change: int, change_hash: bytes, clock: float, *, asked_at: float) -> None:
        """Note an answer: the newest change, and the clock at some time since ``asked_at``.

        The offset changes only as far as the answer contradicts it. So time does not jitter, and
        goes back only if the database's clock was set back.
        """
        heard_at = monotonic_seconds()
        if self.heard_at == -math.inf:
            self.offset = clock - (asked_at + heard_at) / 2
        else:
            self.offset = min(max(self.offset, clock - heard_at), clock - asked_at)
        self.change, self.hash = change, change_hash
        self.heard_at = heard_at
        self.is_lost = False

    def lost(self) -> None:
        """Note that the database does not answer, and cancel all waits, in any thread."""
        self.is_lost = True
        for wait in list(self._waiting):
            wait.task.get_loop().call_soon_threadsafe(self._cancel, wait)

    def _cancel(self, wait: _Wait) -> None:
        if wait in self._waiting:
            wait.is_cancelled = True
            wait.task.cancel()
            wait.task.get_loop().call_later(_SECOND_CANCEL_SECONDS, self._cancel_again, wait)

    def _cancel_again(self, wait: _Wait) -> None:
        if wait in self._waiting:
            wait.task.cancel()

    @asynccontextmanager
    async def deadline(self, *, limited: bool = True) -> AsyncIterator[None]:
        """Bound the duration of the block by the deadline of a request, if it is ``limited``.

        Raises TimeoutError at the deadline, and as soon as the database is lost.
        """
        if self.is_lost:
            raise TimeoutError("the database is unavailable")
        task = asyncio.current_task()
        assert task is not None
        wait = _Wait(task)
        self._waiting.add(wait)
        try:
            # The timeouts of the database do not help against a server that hangs.
            async with asyncio.timeout(self.request_seconds if limited else None):
                yield
        except asyncio.CancelledError:
            if not wait.is_cancelled:
                raise
            while task.uncancel():
                pass
            raise TimeoutError("the database went away") from None
        finally:
            self._waiting.discard(wait)


async def answer_within(seconds: float, answering: Coroutine[object, object, AnswerT]) -> AnswerT:
    """Return the answer of a database. Raises TimeoutError if it does not answer in time.

    A pause of this process does not count, since the answer may have arrived meanwhile.
    """
    task = asyncio.ensure_future(answering)
    waited = 0.0
    try:
        while waited < seconds:
            before = monotonic_seconds()
            done, _ = await asyncio.wait({task}, timeout=_POLL_SECONDS)
            if done:
                return task.result()
            waited += _POLL_SECONDS if monotonic_seconds() - before < 2 * _POLL_SECONDS else 0
    finally:
        for _ in range(0 if task.done() else 2):
            task.cancel()
            await asyncio.wait({task}, timeout=_SECOND_CANCEL_SECONDS)
    raise TimeoutError(f"no answer within {seconds:g} s")


def reason(error: Exception) -> str:
    """Return the database's message about an error, without the statement and its data."""
    cause: object = getattr(error, "orig", None) or error
    # The text of the driver also contains the values of the row that was refused.
    message = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return message or str(cause) or type(cause).__name__
