"""Messages to one host are spaced, however many subscriptions lead there.

A host that many lead to may not keep others waiting, either: only some turns of it are under way,
and the others are put off, each to an instant of its own.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_MOST_HOSTS = 10_000
"""Hosts that are remembered: beyond, those are forgotten to which nothing was sent just now."""


class Pacing:
    """The pace of one delivery worker; ``per_second`` 0 is no limit."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._under_way: Counter[str] = Counter()
        self._next_send: dict[str, float] = {}
        self._next_turn: dict[str, float] = {}

    @asynccontextmanager
    async def turn(self, host: str | None) -> AsyncIterator[float | None]:
        """Give None to a turn that may begin, and to others the seconds until they may.

        Without a host there is no limit.
        """
        if host is None or not self._per_second:
            yield None
            return
        if self._under_way[host] >= self._per_second:
            yield self._reserve(self._next_turn, host)
            return
        self._under_way[host] += 1
        try:
            yield None
        finally:
            self._under_way[host] -= 1
            if not self._under_way[host]:
                del self._under_way[host]

    async def wait(self, host: str | None) -> None:
        """Wait until the next message to a host may be sent."""
        if host is not None and self._per_second:
            await asyncio.sleep(self._reserve(self._next_send, host))

    def _reserve(self, reserved: dict[str, float], host: str) -> float:
        """Return the seconds until the next instant that nobody has, which is the caller's now."""
        now = self._clock()
        if len(reserved) >= _MOST_HOSTS:
            for other in [other for other, instant in reserved.items() if instant <= now]:
                del reserved[other]
        instant = max(reserved.get(host, now), now)
        reserved[host] = instant + 1 / self._per_second
        return instant - now
