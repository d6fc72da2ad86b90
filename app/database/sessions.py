"""Engines, sessions, and the one transaction of each request."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from app.database.tables import Base

Sessions = async_sessionmaker[AsyncSession]

PATIENCE = 6.0
"""Seconds that a request waits for the database in all: a little more than for one lock."""

# A waiting writer is told to come back rather than left hanging; nothing the service
# asks of the database takes long.
_OPTIONS = (
    "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=15s"
    " -c idle_in_transaction_session_timeout=30s"
)


def create_engine(url: str, *, pool_size: int = 5) -> AsyncEngine:
    """Return an engine that notices dead connections and gives up soon on a dead server."""
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 2, "options": _OPTIONS},
    )


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Return a maker of sessions whose objects stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def append(session: AsyncSession, *rows: Base) -> None:
    """Insert ``rows`` now: keys and triggers of the next ones look at what is there."""
    session.add_all(rows)
    await session.flush()


async def request_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Open the transaction of a request; it commits when the endpoint has returned."""
    sessions: Sessions = request.app.state.sessions
    # The database's own limits do not help against a server that hangs.
    async with asyncio.timeout(PATIENCE), sessions() as session, session.begin():
        yield session


# scope="function" commits before the response goes out, so a failed commit is a 5xx and
# a client never holds a 201 for a row that was rolled back.
Session = Annotated[AsyncSession, Depends(request_session, scope="function")]
