"""Database sessions for reads: history from the standby, if it is available and recent enough.

The present and the growing log are read from the primary only, since a standby lags behind.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.models import Change
from app.database.monitor import DatabaseMonitor, answer_within, monotonic_seconds, reason
from app.database.sessions import Sessions, transaction
from app.database.turns import Turns
from app.errors import HistoryOverloaded
from app.http.parameters import AsOf

STANDBY_SECONDS = 1.0
"""How long to wait for the standby before using the primary."""
WAIT_SECONDS = 2.0
"""How long a read of history waits for its turn."""
EXPORT_PIECE_SECONDS = 60.0
"""How long the client of an export may take for a piece of it."""
STANDBY_PAUSE_SECONDS = 5.0
"""How long a standby is not used after it has failed."""

_log = logging.getLogger(__name__)


class Standby:
    """A read-only replica of the database, which lags behind."""

    def __init__(self, sessions: Sessions, monitor: DatabaseMonitor) -> None:
        self._sessions = sessions
        self._monitor = monitor
        self._paused_until = 0.0

    async def session(self, as_of: AsOf) -> AsyncSession | None:
        """Return a session on the standby; None if it is not available or not recent enough."""
        if monotonic_seconds() < self._paused_until:
            return None
        try:
            return await answer_within(STANDBY_SECONDS, self._open(as_of))
        except (SQLAlchemyError, TimeoutError) as error:
            _log.warning("The standby does not answer: %s", reason(error))
            self._paused_until = monotonic_seconds() + STANDBY_PAUSE_SECONDS
            return None

    async def _open(self, as_of: AsOf) -> AsyncSession | None:
        known_change, known_hash = self._monitor.change, self._monitor.hash
        hash_on_standby = select(Change.hash).where(Change.number == known_change).scalar_subquery()
        newest = (
            select(Change.number, Change.recorded_at, hash_on_standby)
            .order_by(Change.number.desc())
            .limit(1)
        )
        async with AsyncExitStack() as cleanup:
            session = await cleanup.enter_async_context(self._sessions())
            row = (await session.execute(newest)).one_or_none()
            number, recorded_at, standby_hash = row or (0, None, None)
            # The standby must have every change that this process has already shown.
            if (standby_hash or b"") != known_hash or number < (as_of.known_change or 0):
                return None
            # Changes that the primary lacks may have been lost in a failover to it.
            if number > known_change and not self._monitor.is_lost:
                return None
            # Only a later change proves that all changes before the instant have arrived.
            if as_of.known_at is not None and (
                recorded_at is None or recorded_at <= as_of.known_at
            ):
                return None
            cleanup.pop_all()
            return session


class HistoryTurns:
    """Limits the concurrent reads of history in a process.

    Waiting is short, because requests about the present need the processor, too.
    """

    def __init__(self, at_once: int) -> None:
        turns = partial(Turns, HistoryOverloaded, deadline=WAIT_SECONDS, at_once=at_once)
        self.questions = turns(
            "questions about history are waiting. Try again later.", limit=16 * at_once
        )
        self.exports = turns("exports are waiting. Try again later.", limit=at_once)
        """An export lasts for as long as its client reads."""


class ReadSessions:
    """Opens read transactions on the standby or on the primary."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._standby: Standby | None = request.app.state.standby
        self._turns: HistoryTurns = request.app.state.history_turns

    @asynccontextmanager
    async def history(self, as_of: AsOf) -> AsyncIterator[AsyncSession]:
        """Open a session for a read of history, in its turn. Raises HistoryOverloaded."""
        async with self._turns.questions.turn(), self.part_of_history(as_of) as session:
            yield session

    @asynccontextmanager
    async def part_of_history(self, as_of: AsOf) -> AsyncIterator[AsyncSession]:
        """Open a session for a part of an export, which has one turn for all of its parts."""
        session = None if self._standby is None else await self._standby.session(as_of)
        if session is None:
            async with transaction(self._request, self._request.app.state.history) as session:
                yield session
        else:
            async with session:
                yield session

    async def export(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the pieces of an export in its turn. Raises HistoryOverloaded before the first.

        The export is aborted if the client takes too long for a piece, so that others get a turn.
        """
        loop = asyncio.get_running_loop()
        async with self._turns.exports.turn():
            async for piece in pieces:
                sent_at = loop.time()
                yield piece
                if loop.time() - sent_at > EXPORT_PIECE_SECONDS:
                    raise TimeoutError("the reader of an export is too slow")

    def for_question(
        self, at: datetime | None, as_of: AsOf
    ) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a session for a read of the present or, in its turn, of history."""
        if as_of.is_present(at):
            return transaction(self._request)
        return self.history(as_of)


AnyReadSessions = Annotated[ReadSessions, Depends(ReadSessions)]


async def _history_session(read_sessions: AnyReadSessions) -> AsyncIterator[AsyncSession]:
    """Open a session for a read of the present state that takes as long as one of history."""
    async with read_sessions.history(AsOf()) as session:
        yield session


HistorySession = Annotated[AsyncSession, Depends(_history_session, scope="function")]
