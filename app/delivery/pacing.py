"""Messages to one host are spaced, however many subscriptions lead there.

All delivery workers share the pace, by a row of the database for each host. A host that many lead
to may not keep others waiting, either: in each worker only some turns of it are under way, and the
others are put off, each to an instant of its own.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.limits.stores import reserve

_MOST_HOSTS = 10_000
"""Hosts that are remembered: beyond, those are forgotten of which no turn is put off any more."""


class Pacing:
    """The pace of a delivery worker; ``per_second`` 0 is no limit, and neither is no host."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._under_way: Counter[str] = Counter()
        self._next_turn: dict[str, float] = {}

    @asynccontextmanager
    async def turn(self, host: str | None) -> AsyncIterator[float | None]:
        """Give None to a turn that may begin, and to others the seconds until they may."""
        if host is None or not self._per_second:
            yield None
            return
        if self._under_way[host] >= self._per_second:
            yield self._put_off(host)
            return
        self._under_way[host] += 1
        try:
            yield None
        finally:
            self._under_way[host] -= 1
            if not self._under_way[host]:
                del self._under_way[host]

    async def waits(
        self, session: AsyncSession, host: str | None, messages: int = 1
    ) -> Sequence[float]:
        """Return the seconds after which each of so many messages to a host may be sent.

        Their instants are reserved by the commit of the session's transaction.
        """
        if host is None or not self._per_second or not messages:
            return [0.0] * messages
        interval = 1 / self._per_second
        first = await reserve(
            session, f"webhooks {host}", interval=timedelta(seconds=interval), count=messages
        )
        return [first + number * interval for number in range(messages)]

    def _put_off(self, host: str) -> float:
        """Return the seconds until the next instant to which no turn was put off."""
        now = self._clock()
        if len(self._next_turn) >= _MOST_HOSTS:
            for other in [other for other, instant in self._next_turn.items() if instant <= now]:
                del self._next_turn[other]
        instant = max(self._next_turn.get(host, now), now)
        self._next_turn[host] = instant + 1 / self._per_second
        return instant - now
