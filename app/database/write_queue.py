"""Writers of a process wait here for their turn, in order, before they take a connection."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import Overloaded

WRITERS_AT_ONCE = 4
"""Writes of a process that are under way at most: one holds the log, others prepare or commit."""
_SMOOTHING = 0.1


class WriteQueue:
    """Lets a few writers in at a time, and refuses those that could not be served in time."""

    def __init__(self, *, limit: int, deadline: float, at_once: int = WRITERS_AT_ONCE) -> None:
        self._limit = limit
        self._deadline = deadline
        self._at_once = at_once
        self._turns = asyncio.Semaphore(at_once)
        self.waiting = 0
        self.refused = 0
        """How many writes were refused so far."""
        self._seconds = 0.0
        """How long a write takes, about."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, first come, first served. Raises Overloaded, at once if it is plain."""
        expected = (self.waiting + 1) * self._seconds / self._at_once
        if self.waiting >= self._limit or (self._turns.locked() and expected > self._deadline):
            raise self._refusal(expected)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._deadline):
                await self._turns.acquire()
        except TimeoutError as error:
            raise self._refusal(expected) from error
        finally:
            self.waiting -= 1
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds += _SMOOTHING * (time.monotonic() - began - self._seconds)
            self._turns.release()

    def _refusal(self, expected: float) -> Overloaded:
        self.refused += 1
        return Overloaded(
            f"{self.waiting} writes are waiting. Nothing was written; try again later.",
            headers={"Retry-After": str(max(1, math.ceil(expected)))},
        )
