"""Writers of a process wait here for their turn, in order, before they take a connection."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.sessions import transaction
from app.errors import Overloaded

AT_ONCE = 4
"""Writes of a process that are under way: one holds the log, while others prepare or commit."""
_SMOOTHING = 0.1


class WriteQueue:
    """Lets a few writers in at a time, and refuses those that could not be served in time."""

    def __init__(self, *, limit: int, deadline: float) -> None:
        self._limit = limit
        self._deadline = deadline
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._seconds = 0.0
        """How long a write takes, about."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, first come, first served. Raises Overloaded, at once if it is plain."""
        expected = (self._waiting + 1) * self._seconds / AT_ONCE
        if self._waiting >= self._limit or (self._turns.locked() and expected > self._deadline):
            raise self._refusal(expected)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline):
                await self._turns.acquire()
        except TimeoutError as error:
            raise self._refusal(expected) from error
        finally:
            self._waiting -= 1
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds += _SMOOTHING * (time.monotonic() - began - self._seconds)
            self._turns.release()

    def _refusal(self, expected: float) -> Overloaded:
        return Overloaded(
            f"{self._waiting} writes are waiting. Nothing was written; try again later.",
            headers={"Retry-After": str(max(1, math.ceil(expected)))},
        )


async def _write_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give the transaction of a write in its turn; it commits when the endpoint has returned."""
    queue: WriteQueue = request.app.state.write_queue
    # It waited already: now only a lost database ends it, or its statements' own limits.
    async with queue.turn(), transaction(request, seconds=None) as session:
        yield session


# As for every session of a request: it commits before the response goes out.
WriteSession = Annotated[AsyncSession, Depends(_write_session, scope="function")]
