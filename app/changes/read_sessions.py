"""Questions about history: a standby answers them, if it is there and knows enough.

The present, and the log as it grows, are the primary's alone: a standby shows commits late.
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
"""Seconds until the primary is asked instead."""
WAIT_SECONDS = 2.0
"""For so long a question about history waits for its turn."""
PIECE_SECONDS = 60.0
"""For so long the reader of an export may take for a piece of it."""
REST_SECONDS = 5.0
"""For so long a standby that failed is left alone."""

_log = logging.getLogger(__name__)


class Standby:
    """A copy of the database that only reads, and lags behind."""

    def __init__(self, sessions: Sessions, monitor: DatabaseMonitor) -> None:
        self._sessions = sessions
        self._monitor = monitor
        self._left_alone_until = 0.0

    async def session(self, as_of: AsOf) -> AsyncSession | None:
        """Return a session for a question; None if it is not there or knows too little."""
        if monotonic_seconds() < self._left_alone_until:
            return None
        try:
            return await answer_within(STANDBY_SECONDS, self._open(as_of))
        except (SQLAlchemyError, TimeoutError) as error:
            _log.warning("The standby does not answer: %s", reason(error))
            self._left_alone_until = monotonic_seconds() + REST_SECONDS
            return None

    async def _open(self, as_of: AsOf) -> AsyncSession | None:
        heard, heard_hash = self._monitor.change, self._monitor.hash
        hash_there = select(Change.hash).where(Change.number == heard).scalar_subquery()
        newest = (
            select(Change.number, Change.recorded_at, hash_there)
            .order_by(Change.number.desc())
            .limit(1)
        )
        async with AsyncExitStack() as unless_kept:
            session = await unless_kept.enter_async_context(self._sessions())
            found = (await session.execute(newest)).one_or_none()
            number, recorded_at, found_hash = found or (0, None, None)
            # What this process has told already must be in the answer.
            if (found_hash or b"") != heard_hash or number < (as_of.known_change or 0):
                return None
            # More than the primary has may be what was lost when that took over.
            if number > heard and not self._monitor.is_lost:
                return None
            # Only a later change shows that all those before the instant are here.
            if as_of.known_at is not None and (
                recorded_at is None or recorded_at <= as_of.known_at
            ):
                return None
            unless_kept.pop_all()
            return session


class HistoryTurns:
    """The turns of those who ask a process about history.

    They wait for a moment only: whoever asks about the present needs the processor, too.
    """

    def __init__(self, at_once: int) -> None:
        turns = partial(Turns, HistoryOverloaded, deadline=WAIT_SECONDS, at_once=at_once)
        self.questions = turns(
            "questions about history are waiting. Try again later.", limit=16 * at_once
        )
        self.exports = turns("exports are waiting. Try again later.", limit=at_once)
        """Each goes on for as long as its reader takes."""


class ReadSessions:
    """Opens the transaction of a question where it is best answered."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._standby: Standby | None = request.app.state.standby
        self._turns: HistoryTurns = request.app.state.history_turns

    @asynccontextmanager
    async def history(self, as_of: AsOf) -> AsyncIterator[AsyncSession]:
        """Give the session of a question about history, in its turn. Raises HistoryOverloaded."""
        async with self._turns.questions.turn(), self.part_of_history(as_of) as session:
            yield session

    @asynccontextmanager
    async def part_of_history(self, as_of: AsOf) -> AsyncIterator[AsyncSession]:
        """Give the session of a part of an export, which has its turn for all of its parts."""
        session = None if self._standby is None else await self._standby.session(as_of)
        if session is None:
            async with transaction(self._request, self._request.app.state.history) as session:
                yield session
        else:
            async with session:
                yield session

    async def export(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the pieces of an export in its turn. Raises HistoryOverloaded before the first.

        A reader who takes too long for a piece does not keep others out: the export breaks off.
        """
        loop = asyncio.get_running_loop()
        async with self._turns.exports.turn():
            async for piece in pieces:
                given = loop.time()
                yield piece
                if loop.time() - given > PIECE_SECONDS:
                    raise TimeoutError("the reader of an export is too slow")

    def for_question(
        self, at: datetime | None, as_of: AsOf
    ) -> AbstractAsyncContextManager[AsyncSession]:
        """Give the session of a question about the present, or about history."""
        if as_of.is_present(at):
            return transaction(self._request)
        return self.history(as_of)


AnyReadSessions = Annotated[ReadSessions, Depends(ReadSessions)]


async def _history_session(read_sessions: AnyReadSessions) -> AsyncIterator[AsyncSession]:
    """Give a session for what takes long to read, although it is about all that is known."""
    async with read_sessions.history(AsOf()) as session:
        yield session


HistorySession = Annotated[AsyncSession, Depends(_history_session, scope="function")]
