"""The weekly partitions of the observations: made in advance, and dropped when they are old.

Any number of processes may do so at once. Recording a batch makes the partitions that it needs.
"""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.database.driver import driver, fetch
from app.observations.recording import TAKE_LOCK

_MAKE = "SELECT make_observation_partitions(now(), now() + interval '14 days')"
DROP_LOCK = 0x44524F50  # any number, as long as every process takes the same
# PostgreSQL fails, rather than waits, where two drop the same partition.
_DROP = f"""
    SELECT CASE WHEN pg_try_advisory_xact_lock({DROP_LOCK})
                THEN drop_observation_partitions(now() - %(keep)s) ELSE 0 END
"""


class _Dropped(NamedTuple):
    partitions: int


async def make_partitions(session: AsyncSession) -> None:
    """Make the partitions of this week and the next two."""
    async with driver(session) as connection, connection.pipeline():
        await connection.execute(TAKE_LOCK)
        await connection.execute(_MAKE)


async def drop_partitions(session: AsyncSession, *, keep: timedelta) -> int:
    """Drop the partitions in which everything is older than ``keep``; return how many.

    One that is being read is left for the next time, and all of them if another process drops some.
    """
    [(dropped,)] = await fetch(session, _Dropped, _DROP, {"keep": keep})
    return dropped
