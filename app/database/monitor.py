"""What a process knows of its primary database: is it there, its clock, its newest change."""

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
"""What is raised where the database does not answer, besides what it refuses."""
RECONNECT_SECONDS = 0.25
"""Pause before a lost database is asked again."""

_AGAIN_AFTER = 0.1
"""Seconds. The driver takes a first cancellation as leave to ask a silent server to cancel."""

_POLL_SECONDS = 0.1

AnswerT = TypeVar("AnswerT")

monotonic_seconds = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds that pass even while the machine sleeps: knowledge grows old then, too."""


@dataclass(eq=False)
class _Wait:
    """Somebody who waits for the database."""

    task: asyncio.Task[object]
    given_up: bool = False


class DatabaseMonitor:
    """Kept by whoever listens to the database; asked by all who wait for it."""

    def __init__(self, request_seconds: float) -> None:
        self.request_seconds = request_seconds
        """How long a request waits for a database that is there."""
        self.change = 0
        """The newest change heard of."""
        self.hash = b""
        """Of that change: it tells one history from another."""
        self.offset = 0.0
        """What `monotonic_seconds` lacks to the database's clock, in seconds of 1970."""
        self.heard_at = -math.inf
        """When the database last answered, in `monotonic_seconds`."""
        self.is_lost = False
        self._waiting: set[_Wait] = set()

    def now(self) -> float:
        """Return the present by the database's clock, in seconds of 1970."""
        return monotonic_seconds() + self.offset

    def heard(self, change: int, change_hash: bytes, clock: float, *, asked_at: float) -> None:
        """Take in an answer: the newest change, and the clock at some time since ``asked_at``.

        The offset moves only as far as the answer contradicts it, so that time neither
        jitters nor, but for a clock set back, goes back.
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
        """Let go of everyone who waits, in whatever thread: the database does not answer."""
        self.is_lost = True
        for one in list(self._waiting):
            one.task.get_loop().call_soon_threadsafe(self._give_up, one)

    def _give_up(self, one: _Wait) -> None:
        if one in self._waiting:
            one.given_up = True
            one.task.cancel()
            one.task.get_loop().call_later(_AGAIN_AFTER, self._cancel_again, one)

    def _cancel_again(self, one: _Wait) -> None:
        if one in self._waiting:
            one.task.cancel()

    @asynccontextmanager
    async def deadline(self, *, limited: bool = True) -> AsyncIterator[None]:
        """Bound what is done within: by the deadline of a request, unless it is not ``limited``.

        Raises TimeoutError then, and as soon as the database is unavailable.
        """
        if self.is_lost:
            raise TimeoutError("the database is unavailable")
        task = asyncio.current_task()
        assert task is not None
        wait = _Wait(task)
        self._waiting.add(wait)
        try:
            # The database's own limits do not help against a server that hangs.
            async with asyncio.timeout(self.request_seconds if limited else None):
                yield
        except asyncio.CancelledError:
            if not wait.given_up:
                raise
            while task.uncancel():
                pass
            raise TimeoutError("the database went away") from None
        finally:
            self._waiting.discard(wait)


async def answer_within(seconds: float, waiting: Coroutine[object, object, AnswerT]) -> AnswerT:
    """Return what a database answers. Raises TimeoutError when it does not answer in time.

    A pause of this process does not count: the answer may have come meanwhile.
    """
    task = asyncio.ensure_future(waiting)
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
            await asyncio.wait({task}, timeout=_AGAIN_AFTER)
    raise TimeoutError(f"no answer within {seconds:g} s")


def reason(error: Exception) -> str:
    """Return what went wrong in the database's own words, without the statement and its data."""
    cause: object = getattr(error, "orig", None) or error
    # The driver's own text goes on with the values of the row that was refused.
    told = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return told or str(cause) or type(cause).__name__
