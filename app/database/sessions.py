"""Engines, sessions, and the one transaction of each request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from operator import attrgetter
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from app.database.connections import Connector
from app.database.tables import Base
from app.database.watch import Watch

Sessions = async_sessionmaker[AsyncSession]

# A waiting writer is told to come back rather than left hanging; nothing the service
# asks of the database takes long.
OPTIONS = (
    "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=15s"
    " -c idle_in_transaction_session_timeout=30s"
)


def create_engine(url: str, *, pool_size: int = 5, pre_ping: bool = True) -> AsyncEngine:
    """Return an engine that gives up soon on a dead server.

    With ``pre_ping`` it notices a dead connection before it is used.
    """
    return create_async_engine(
        "postgresql+psycopg://",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=pre_ping,
        connect_args={"async_creator_fn": Connector(url), "options": OPTIONS},
    )


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Return a maker of sessions whose objects stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def append(session: AsyncSession, *rows: Base) -> None:
    """Insert ``rows`` now: keys and triggers of the next ones look at what is there.

    The session does not keep them: a unit of work costs more than the statement.
    """
    for table, group in groupby(rows, attrgetter("__table__")):
        values = [_given(row) for row in group]
        await session.execute(insert(table).inline(), values if len(values) > 1 else values[0])


def _given(row: Base) -> dict[str, object]:
    return {column: value for column, value in vars(row).items() if column in row.__table__.c}


@asynccontextmanager
async def snapshot(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """Give a session that only reads, all of it from one state of the database."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    async with sessions() as session, session.begin():
        _ = await session.connection(execution_options=options)
        yield session


@asynccontextmanager
async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """Open the transaction of a request on the primary."""
    sessions: Sessions = request.app.state.sessions
    watch: Watch = request.app.state.watch
    async with watch.patience(), sessions() as session, session.begin():
        yield session


async def _request_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give the transaction of a request; it commits when the endpoint has returned."""
    async with transaction(request) as session:
        yield session


# scope="function" commits before the response goes out, so a failed commit is a 5xx and
# a client never holds a 201 for a row that was rolled back.
Session = Annotated[AsyncSession, Depends(_request_session, scope="function")]
