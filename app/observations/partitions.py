"""The weekly partitions of the observations: made in advance, and dropped when they are old.

Any number of processes may do so at once. Recording a batch makes the partitions that it needs.
"""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.database.driver import driver, fetch
from app.observations.recording import TAKE_LOCK

_MAKE = "SELECT make_observation_partitions(now(), now() + interval '14 days')"
_DROP = "SELECT drop_observation_partitions(now() - %(keep)s)"


class _Dropped(NamedTuple):
    partitions: int


async def make_partitions(session: AsyncSession) -> None:
    """Make the partitions of this week and the next two."""
    async with driver(session) as connection, connection.pipeline():
        await connection.execute(TAKE_LOCK)
        await connection.execute(_MAKE)


async def drop_partitions(session: AsyncSession, *, keep: timedelta) -> int:
    """Drop the partitions in which everything is older than ``keep``; return how many.

    One that is being read is left for the next time.
    """
    [(dropped,)] = await fetch(session, _Dropped, _DROP, {"keep": keep})
    return dropped
