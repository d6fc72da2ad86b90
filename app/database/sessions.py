"""Engines, sessions, and the one transaction of each request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import groupby
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Request
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg.types.range import Range as DriverRange
from sqlalchemy import URL, FromClause
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql import JSONB, Range
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import LRUCache

from app.database.connections import Connector
from app.database.driver import pipelined
from app.database.monitor import DatabaseMonitor
from app.database.tables import Base
from app.database.write_queue import WriteQueue

Sessions = async_sessionmaker[AsyncSession]
Result = TypeVar("Result")


class Transact(Protocol):
    """Gives work a session in a transaction of its own, which commits when the work is done."""

    def __call__(self, work: Callable[[AsyncSession], Awaitable[Result]], /) -> Awaitable[Result]:
        """Return what the work returns."""
        ...


# A waiting writer is told to come back rather than left hanging; nothing the service
# asks of the database takes long.
# Statements are few and said again and again: to plan the longest anew takes longer than to run it.
OPTIONS = (
    "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=15s"
    " -c idle_in_transaction_session_timeout=30s -c plan_cache_mode=force_generic_plan"
)


COMPILED_STATEMENTS = 1_000
"""A process has about three hundred."""


class SharedDialect(PGDialectAsync_psycopg):
    """The dialect of all engines, equal where the servers are of one version.

    SQLAlchemy looks a compiled statement up by its dialect: so each engine uses what another one
    compiled.
    """

    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type["SharedDialect"]:
        """Return itself: it is made for asynchronous engines."""
        del url
        return cls

    def __eq__(self, other: object) -> bool:
        """Return whether the same text and types are right for both."""
        if not isinstance(other, SharedDialect):
            return NotImplemented
        return self.server_version_info == other.server_version_info

    def __hash__(self) -> int:
        """Return one number for all: the version is not known before the first connection."""
        return hash(SharedDialect)


registry.register("postgresql.shared", __name__, SharedDialect.__name__)
_compiled: LRUCache[object, object] = LRUCache(COMPILED_STATEMENTS)


def create_engine(
    connector: Connector, *, pool_size: int = 5, pre_ping: bool = True
) -> AsyncEngine:
    """Return an engine that gives up soon on a dead server.

    With ``pre_ping`` it notices a dead connection before it is used.
    """
    return create_async_engine(
        "postgresql+shared://",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=pre_ping,
        connect_args={"async_creator_fn": connector, "options": OPTIONS},
        execution_options={"compiled_cache": _compiled},
    )


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Return a maker of sessions whose objects stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def append(session: AsyncSession, *rows: Base) -> None:
    """Insert ``rows`` now, in their order: keys and triggers of the next look at what is there.

    The session does not keep them: a unit of work costs more than the statements. These go to
    the database in one trip, one for each run of rows of a table.
    """
    async with pipelined(session) as connection:
        for (table, names), group in groupby(rows, lambda row: (row.__table__, _set_columns(row))):
            values = [_values(table, names, row) for row in group]
            async with connection.cursor() as cursor:
                await cursor.executemany(_insert(table, names), values)


def _set_columns(row: Base) -> tuple[str, ...]:
    set_attributes = vars(row)
    return tuple(column.key for column in row.__table__.c if column.key in set_attributes)


@cache
def _insert(table: FromClause, names: tuple[str, ...]) -> bytes:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table.description),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join([sql.Placeholder()] * len(names)),
    )
    return statement.as_string().encode()


def _values(table: FromClause, names: Sequence[str], row: Base) -> list[object]:
    return [_adapted(table.c[name].type, getattr(row, name)) for name in names]


def _adapted(kind: TypeEngine[object], value: object) -> object:
    """Return a column's value as the driver takes it."""
    if value is None:
        return None
    if isinstance(kind, JSONB):
        return Jsonb(value)
    if isinstance(value, Range):
        return DriverRange(value.lower, value.upper, value.bounds)
    return value


@asynccontextmanager
async def read_only_session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """Give a session that only reads, all of it from one state of the database."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    async with sessions() as session, session.begin():
        _ = await session.connection(execution_options=options)
        yield session


@asynccontextmanager
async def transaction(
    request: Request, sessions: Sessions | None = None, *, limited: bool = True
) -> AsyncIterator[AsyncSession]:
    """Open the transaction of a request on the primary, by its deadline if it is ``limited``.

    Without ``sessions`` it is one of the readers of the present.
    """
    opened: Sessions = sessions or request.app.state.sessions
    monitor: DatabaseMonitor = request.app.state.monitor
    async with monitor.deadline(limited=limited), opened() as session, session.begin():
        yield session


async def _request_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give the transaction of a request; it commits when the endpoint has returned."""
    async with transaction(request) as session:
        yield session


async def _write_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give the transaction of a write in its turn."""
    queue: WriteQueue = request.app.state.write_queue
    monitor: DatabaseMonitor = request.app.state.monitor
    # It waited already: now only a lost database ends it, or its statements' own limits. Nothing
    # but this limits a commit, which waits for a synchronous standby.
    async with (
        queue.turn(),
        asyncio.timeout(None) as limit,
        transaction(request, request.app.state.write_sessions, limited=False) as session,
    ):
        yield session
        limit.reschedule(asyncio.get_running_loop().time() + monitor.request_seconds)


# scope="function" commits before the response goes out, so a failed commit is a 5xx and
# a client never holds a 201 for a row that was rolled back.
Session = Annotated[AsyncSession, Depends(_request_session, scope="function")]
WriteSession = Annotated[AsyncSession, Depends(_write_session, scope="function")]
