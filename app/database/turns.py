"""Queues for expensive uses of the database, which wait before they take a connection."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import Problem

_SMOOTHING = 0.1


class Turns:
    """Admits a few at a time, and refuses those that could not be served in time."""

    def __init__(
        self, problem: type[Problem], message: str, *, limit: int, deadline: float, at_once: int
    ) -> None:
        """Let ``limit`` wait at most, for ``deadline`` seconds.

        Others are refused with ``problem``; its detail is the number waiting and ``message``.
        """
        self._problem = problem
        self._message = message
        self._limit = limit
        self._deadline = deadline
        self._at_once = at_once
        self._turns = asyncio.Semaphore(at_once)
        self.waiting = 0
        self.refused = 0
        """The number refused so far."""
        self._seconds = 0.0
        """A moving average of how long a turn lasts."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, first come, first served.

        Raises the problem, and at once if the wait would probably be too long.
        """
        expected = (self.waiting + 1) * self._seconds / self._at_once
        is_busy = self._turns.locked()
        if is_busy and (self.waiting >= self._limit or expected > self._deadline):
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

    def _refusal(self, expected: float) -> Problem:
        self.refused += 1
        return self._problem(
            f"{self.waiting} {self._message}",
            headers={"Retry-After": str(max(1, math.ceil(expected)))},
        )
