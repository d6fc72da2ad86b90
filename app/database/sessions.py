"""Engines, sessions, and the single transaction of each request."""

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
    """Runs a function in a transaction of its own, which commits when the function returns."""

    def __call__(self, work: Callable[[AsyncSession], Awaitable[Result]], /) -> Awaitable[Result]:
        """Return the result of the function."""
        ...


# A writer that waits too long gets an error and can retry; no statement of the service takes long.
# The statements are few and repeated: planning the longest takes longer than running it.
OPTIONS = (
    "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=15s"
    " -c idle_in_transaction_session_timeout=30s -c plan_cache_mode=force_generic_plan"
)


COMPILED_STATEMENTS = 1_000
"""How many compiled statements are cached. A process has about three hundred."""


class SharedDialect(PGDialectAsync_psycopg):
    """The dialect of all engines, which is equal for servers of the same version.

    SQLAlchemy caches compiled statements by dialect, so that engines share them.
    """

    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type["SharedDialect"]:
        """Return this class, which is made for asynchronous engines."""
        del url
        return cls

    def __eq__(self, other: object) -> bool:
        """Return whether compiled statements are valid for both."""
        if not isinstance(other, SharedDialect):
            return NotImplemented
        return self.server_version_info == other.server_version_info

    def __hash__(self) -> int:
        """Return a constant, because the version is not known before the first connection."""
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
        # What goes wrong is logged with its statement.
        hide_parameters=True,
    )


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Return a factory of sessions whose objects remain readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def append(session: AsyncSession, *rows: Base) -> None:
    """Insert ``rows`` now and in their order, on which foreign keys and triggers depend.

    They are not added to the session, because its unit of work costs more than the statements. The
    statements, one for each run of rows of the same table, are sent in one round trip.
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
    """Return the value of a column in the form that the driver expects."""
    if value is None:
        return None
    if isinstance(kind, JSONB):
        return Jsonb(value)
    if isinstance(value, Range):
        return DriverRange(value.lower, value.upper, value.bounds)
    return value


@asynccontextmanager
async def read_only_session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """Open a read-only session that sees a single state of the database."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    async with sessions() as session, session.begin():
        _ = await session.connection(execution_options=options)
        yield session


@asynccontextmanager
async def transaction(
    request: Request, sessions: Sessions | None = None, *, limited: bool = True
) -> AsyncIterator[AsyncSession]:
    """Open the transaction of a request on the primary, with its deadline if it is ``limited``.

    By default it uses the connections for reads of the present.
    """
    opened: Sessions = sessions or request.app.state.sessions
    monitor: DatabaseMonitor = request.app.state.monitor
    async with monitor.deadline(limited=limited), opened() as session, session.begin():
        yield session


async def _request_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Open the transaction of a request, which commits when the endpoint has returned."""
    async with transaction(request) as session:
        yield session


async def _write_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Open the transaction of a write, in its turn."""
    queue: WriteQueue = request.app.state.write_queue
    monitor: DatabaseMonitor = request.app.state.monitor
    # After the wait, only a lost database or the timeouts of statements end a write. The commit,
    # which may wait for a synchronous standby, has no timeout but this one.
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
