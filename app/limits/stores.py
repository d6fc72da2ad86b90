"""Where allowances are kept: in the memory of this process, in Redis, or in PostgreSQL.

All of them count by the generic cell rate algorithm: an allowance is the instant at which it will
be whole again, so that one number says what is left and when there will be more.
"""

import logging
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from throttled.asyncio import MemoryStore, RedisStore, per_duration
from throttled.asyncio.rate_limiter import GCRARateLimiter
from throttled.exceptions import BaseThrottledError

from app.caches import CacheUsage, register
from app.database.driver import fetch
from app.database.monitor import OUTAGES, answer_within, monotonic_seconds, reason
from app.database.sessions import Sessions

ANSWER_SECONDS = 0.5
"""For so long a request waits for the store; then it is let through."""
REST_SECONDS = 1.0
"""For so long a store that failed is left alone."""
MOST_IN_MEMORY = 50_000
"""Allowances in the memory of a process: those that were not used for longest go first."""
_ENTRY_BYTES = 400

_TAKE = """
    INSERT INTO allowance AS kept (name, full_at) VALUES (%(name)s, now() + %(used)s)
    ON CONFLICT (name) DO UPDATE SET full_at = CASE
        WHEN greatest(kept.full_at, now()) + %(used)s <= now() + %(whole)s
            THEN greatest(kept.full_at, now()) + %(used)s
        ELSE kept.full_at END
    RETURNING old.full_at, new.full_at, now()
"""
_RESERVE = text("""
    INSERT INTO allowance AS kept (name, full_at) VALUES (:name, clock_timestamp() + :reserved)
    ON CONFLICT (name) DO UPDATE SET full_at = greatest(kept.full_at, clock_timestamp()) + :reserved
    RETURNING greatest(extract(epoch FROM new.full_at - :reserved - clock_timestamp()), 0)::float8
""")
_FORGET = text("DELETE FROM allowance WHERE full_at < now()")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds, and ``burst`` at once after a rest."""

    requests: int
    seconds: int
    burst: int

    @property
    def interval(self) -> float:
        """Seconds until there is one more."""
        return self.seconds / self.requests


class Taken(NamedTuple):
    """What came of taking from an allowance."""

    is_refused: bool
    remaining: int
    whole_after: float
    """Seconds until it is whole again."""

    def next_after(self, rate: Rate) -> float:
        """Return the seconds until there is at least one request left."""
        return max(0.0, self.whole_after - (rate.burst - 1) * rate.interval)


class Store(Protocol):
    """Keeps allowances by their names."""

    async def take(self, name: str, rate: Rate, cost: int = 1) -> Taken:
        """Take from an allowance; a negative cost gives back.

        Raises what the store raises where it does not answer.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class _Closing(Protocol):
    """What the library knows of a client of Redis is less than it has."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None: ...


class LibraryStore:
    """Allowances in memory or in Redis."""

    def __init__(self, store: MemoryStore | RedisStore) -> None:
        self._store = store
        self._limiters: dict[Rate, GCRARateLimiter] = {}

    async def take(self, name: str, rate: Rate, cost: int = 1) -> Taken:
        """Take from an allowance. Raises StoreUnavailableError."""
        limiter = self._limiters.get(rate)
        if limiter is None:
            quota = per_duration(timedelta(seconds=rate.seconds), rate.requests, rate.burst)
            limiter = self._limiters[rate] = GCRARateLimiter(quota, self._store)
        result = await limiter.limit(name, cost)
        return Taken(result.limited, result.state.remaining, result.state.reset_after)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if isinstance(self._store, RedisStore):
            client = self._store._backend.get_client()  # noqa: SLF001 -- the library closes nothing
            await cast("_Closing", client).aclose(close_connection_pool=True)


class MemoryAllowances(LibraryStore):
    """Allowances in the memory of this process, of a bounded number of clients."""

    def __init__(self) -> None:
        self._memory = MemoryStore(options={"MAX_SIZE": MOST_IN_MEMORY})
        super().__init__(self._memory)
        register(self)

    def usage(self) -> CacheUsage:
        """Return how much it holds."""
        entries = len(self._memory._backend.get_client())  # noqa: SLF001 -- nothing else counts
        bound = MOST_IN_MEMORY * _ENTRY_BYTES
        return CacheUsage("allowances", entries * _ENTRY_BYTES, bound, entries)


class RedisAllowances(LibraryStore):
    """Allowances in Redis, by the clock of its server."""

    def __init__(self, url: str) -> None:
        super().__init__(RedisStore(url))


class _Allowance(NamedTuple):
    before: datetime | None
    full_at: datetime
    now: datetime


class DatabaseAllowances:
    """Allowances in PostgreSQL: one statement each, on connections that serve nothing else."""

    def __init__(self, sessions: Sessions) -> None:
        """``sessions`` commit each statement by itself."""
        self._sessions = sessions

    async def take(self, name: str, rate: Rate, cost: int = 1) -> Taken:
        """Take from an allowance. Raises what the database raises."""
        interval = timedelta(seconds=rate.interval)
        parameters = {"name": name, "used": cost * interval, "whole": rate.burst * interval}
        async with self._sessions() as session:
            (row,) = await fetch(session, _Allowance, _TAKE, parameters)
        whole_after = max(timedelta(), row.full_at - row.now)
        is_refused = cost > 0 and row.before == row.full_at
        remaining = math.floor((rate.burst * interval - whole_after) / interval)
        return Taken(is_refused, remaining, whole_after.total_seconds())

    async def close(self) -> None:
        """Do nothing: the pool is closed with the others."""


class PatientStore:
    """A shared store that is asked for a moment only, and left alone while it is away.

    So a limit is never a reason why the service does not answer.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._left_alone_until = 0.0
        self._is_away = False

    async def take(self, name: str, rate: Rate, cost: int = 1) -> Taken | None:
        """Take from an allowance. None if the store does not answer: nobody is refused then."""
        if monotonic_seconds() < self._left_alone_until:
            return None
        try:
            taken = await answer_within(ANSWER_SECONDS, self._store.take(name, rate, cost))
        except (*OUTAGES, BaseThrottledError) as error:
            self._leave_alone(error)
            return None
        self._is_away = False
        return taken

    async def close(self) -> None:
        """Close the store's connections."""
        await self._store.close()

    def _leave_alone(self, error: Exception) -> None:
        self._left_alone_until = monotonic_seconds() + REST_SECONDS
        if not self._is_away:
            self._is_away = True
            cause = error.__cause__ if isinstance(error, BaseThrottledError) else None
            _log.warning(
                "Requests are not limited, since the store of limits does not answer: %s",
                reason(cause if isinstance(cause, Exception) else error),
            )


async def reserve(session: AsyncSession, name: str, *, interval: timedelta, count: int) -> float:
    """Reserve the next ``count`` instants that nobody has, each an ``interval`` after another.

    Return the seconds until the first. Whoever reserves by the same name waits for the commit.
    """
    parameters = {"name": name, "reserved": count * interval}
    seconds: float | None = await session.scalar(_RESERVE, parameters)
    return seconds or 0.0


async def forget_allowances(session: AsyncSession) -> None:
    """Delete the allowances that are whole again."""
    await session.execute(_FORGET)
