"""Questions about history: a standby answers them, if it is there and knows enough.

The present, and the log as it grows, are the primary's alone: a standby shows commits late.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.models import Change
from app.database.sessions import Sessions, transaction
from app.database.watch import Watch, answer_within, ticks
from app.http.parameters import AskedKnowledge, At, Knowledge

PATIENCE = 1.0
"""Seconds until the primary is asked instead."""
REST_SECONDS = 5.0
"""For so long a standby that failed is left alone."""

_log = logging.getLogger(__name__)


class Standby:
    """A copy of the database that only reads, and lags behind."""

    def __init__(self, sessions: Sessions, watch: Watch) -> None:
        self._sessions = sessions
        self._watch = watch
        self._left_alone_until = 0.0

    async def session(self, knowledge: Knowledge) -> AsyncSession | None:
        """Return a session for a question; None if it is not there or knows too little."""
        if ticks() < self._left_alone_until:
            return None
        try:
            return await answer_within(PATIENCE, self._open(knowledge))
        except (SQLAlchemyError, TimeoutError) as error:
            _log.warning("The standby does not answer: %s", error)
            self._left_alone_until = ticks() + REST_SECONDS
            return None

    async def _open(self, knowledge: Knowledge) -> AsyncSession | None:
        newest = select(Change.number, Change.recorded_at).order_by(Change.number.desc()).limit(1)
        async with AsyncExitStack() as unless_kept:
            session = await unless_kept.enter_async_context(self._sessions())
            number, recorded_at = (await session.execute(newest)).one_or_none() or (0, None)
            # What this process has told already must be in the answer.
            if number < max(self._watch.change, knowledge.known_change or 0):
                return None
            # Only a later change shows that all those before the instant are here.
            if knowledge.known_at is not None and (
                recorded_at is None or recorded_at <= knowledge.known_at
            ):
                return None
            unless_kept.pop_all()
            return session


@asynccontextmanager
async def _history(request: Request, knowledge: Knowledge) -> AsyncIterator[AsyncSession]:
    standby: Standby | None = request.app.state.standby
    session = None if standby is None else await standby.session(knowledge)
    if session is None:
        async with transaction(request) as session:
            yield session
    else:
        async with session:
            yield session


async def _on_history(request: Request, knowledge: AskedKnowledge) -> AsyncIterator[AsyncSession]:
    """Open the transaction of a question about history."""
    async with _history(request, knowledge) as session:
        yield session


async def _on_either(
    request: Request, knowledge: AskedKnowledge, at: At = None
) -> AsyncIterator[AsyncSession]:
    """Open the transaction of a question about the present, or about history."""
    is_present = at is None and knowledge == Knowledge()
    opened = transaction(request) if is_present else _history(request, knowledge)
    async with opened as session:
        yield session


HistorySession = Annotated[AsyncSession, Depends(_on_history, scope="function")]
PresentOrHistorySession = Annotated[AsyncSession, Depends(_on_either, scope="function")]
