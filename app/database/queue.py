"""The queue of jobs: pgqueuer's tables, in a schema of their own.

A job is written by `enqueue` in the transaction that makes it necessary: both last, or neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import psycopg
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.qb import (
    DBSettings,
    QueryBuilderEnvironment,
    QueryQueueBuilder,
)
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.ports.driver import NotifyCallback
from sqlalchemy.ext.asyncio import AsyncSession

SCHEMA = "queue"

_SETTINGS = DBSettings(db_schema=SCHEMA)
_BUILDER = QueryQueueBuilder(_SETTINGS)
CHANNEL = _SETTINGS.channel


@dataclass(frozen=True, slots=True)
class Errand:
    """A job to be: who does it and on what, not before when, and how urgent beside others.

    Of those that have the same ``key`` at the same time there is only the first.
    """

    entrypoint: str
    payload: bytes
    key: str
    delay: timedelta = timedelta()
    priority: int = 0


async def enqueue(session: AsyncSession, errands: Sequence[Errand]) -> None:
    """Write jobs that come to be with the session's transaction."""
    if not errands:
        return
    connection = await (await session.connection()).get_raw_connection()
    # The queue's statements number their parameters, as only the driver's own cursor takes them.
    driver = cast("psycopg.AsyncConnection", connection.driver_connection)
    await psycopg.AsyncRawCursor(driver).execute(
        _BUILDER.build_enqueue_query("skip").encode(),
        [
            [one.priority for one in errands],
            [one.entrypoint for one in errands],
            [one.payload for one in errands],
            [one.delay for one in errands],
            [one.key for one in errands],
            ["{}"] * len(errands),
        ],
    )


class Line(PsycopgDriver):
    """The queue's way to the database: one connection to ask by, another to listen on.

    Both must be in autocommit. Who listens holds its connection for up to a second. ``also`` are
    channels to be heard besides the queue's own, which comes first: it is tried out at once.
    """

    def __init__(
        self,
        asking: psycopg.AsyncConnection,
        hearing: psycopg.AsyncConnection,
        *,
        also: Mapping[str, NotifyCallback],
    ) -> None:
        super().__init__(asking)
        self._ear = PsycopgDriver(hearing)
        self._also = dict(also)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        await self._ear.add_listener(channel, callback)
        while self._also:
            await self._ear.add_listener(*self._also.popitem())

    async def remove_listener(self, channel: str, callback: NotifyCallback) -> None:
        await self._ear.remove_listener(channel, callback)

    async def __aexit__(self, *details: object) -> None:
        await self._ear.__aexit__(*details)
        await super().__aexit__(*details)


def queries(line: Line) -> Queries:
    """Return the queue's own statements, on a line."""
    return Queries(line, qbe=QueryBuilderEnvironment(_SETTINGS), qbq=QueryQueueBuilder(_SETTINGS))


def installation() -> str:
    """Return the statements that make the queue's schema, as this version of it wants."""
    return QueryBuilderEnvironment(_SETTINGS).build_install_query()
