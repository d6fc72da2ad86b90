"""The audit trail: who tried to write what, when, from where, and what came of it."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import ApiKey, WriteAttempt
from app.database.monitor import OUTAGES, DatabaseMonitor, reason
from app.database.sessions import Sessions, append
from app.errors import RateLimited
from app.http.requests import READS, RequestOutcome

MOST_WAITING = 10_000
"""Attempts that wait to be written down: while the database is away the oldest are lost."""
PAUSE_SECONDS = 0.5
_PAGE = 1_000
_LONGEST_PATH = 300

_FORGET = text("DELETE FROM write_attempt WHERE at < now() - CAST(:age AS interval)")

_log = logging.getLogger(__name__)


class AuditTrail:
    """Writes down the attempts of one process, a moment after they were answered.

    A process that is killed loses those of its last half second. What was recorded itself is never
    lost so: it is in the log of changes, with who recorded it.
    """

    def __init__(self, sessions: Sessions, monitor: DatabaseMonitor) -> None:
        self.lost = 0
        """Attempts that could not be written down."""
        self._sessions = sessions
        self._monitor = monitor
        self._waiting: deque[WriteAttempt] = deque()
        self._news = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._flush: asyncio.Task[None] | None = None

    def note(self, outcome: RequestOutcome) -> None:
        """Take a request in, if it was to write.

        One that was refused before its key was looked up is only counted: there may be any number.
        """
        is_stranger = outcome.kind.status == RateLimited.status and outcome.key is None
        if outcome.kind.method in READS or is_stranger:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(_attempt(outcome))
        self._news.set()

    async def run(self) -> None:
        """Write attempts down until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            # Who stops this waits for what is under way by the next flush: else it came twice.
            self._flush = asyncio.create_task(self._try_to_flush())
            await asyncio.shield(self._flush)
            await asyncio.sleep(PAUSE_SECONDS)

    async def flush(self) -> None:
        """Write down what waits. Raises what the database raises, and keeps it then."""
        async with self._flushing:
            while self._waiting:
                # Taken out, for meanwhile the oldest may have to go for new ones.
                page = [self._waiting.popleft() for _ in range(min(_PAGE, len(self._waiting)))]
                try:
                    async with self._monitor.deadline(), self._sessions.begin() as session:
                        await append(session, *page)
                except BaseException:
                    self._waiting.extendleft(reversed(page))
                    raise

    async def _try_to_flush(self) -> None:
        lost = self.lost
        try:
            await self.flush()
        except OUTAGES as error:
            self._news.set()
            if self.lost > lost or not self._monitor.is_lost:
                _log.warning(
                    "%d write attempts wait to be written to the audit trail, %d were lost: %s",
                    len(self._waiting), self.lost, reason(error),
                )  # fmt: skip


async def attempts_since(
    session: AsyncSession, since: datetime, *, key_id: str | None = None
) -> AsyncIterator[tuple[WriteAttempt, str | None]]:
    """Yield the attempts since an instant, the oldest first, with the name of each one's key."""
    rows = (
        select(WriteAttempt, ApiKey.name)
        .outerjoin(ApiKey, ApiKey.id == WriteAttempt.key_id)
        .where(WriteAttempt.at >= since)
        .order_by(WriteAttempt.id)
    )
    if key_id is not None:
        rows = rows.where(WriteAttempt.key_id == key_id)
    async for attempt, name in await session.stream(rows.execution_options(yield_per=_PAGE)):
        yield attempt, name


async def forget_attempts(session: AsyncSession, *, keep_days: int) -> None:
    """Delete the attempts that are older than so many days."""
    await session.execute(_FORGET, {"age": timedelta(days=keep_days)})


def _attempt(outcome: RequestOutcome) -> WriteAttempt:
    return WriteAttempt(
        at=datetime.fromtimestamp(outcome.at, UTC),
        request_id=outcome.request_id,
        key_id=outcome.key,
        client=_address(outcome.client),
        method=outcome.kind.method,
        path=outcome.path[:_LONGEST_PATH],
        status=outcome.kind.status,
        change=outcome.change,
        seconds=outcome.seconds,
    )


def _address(client: str | None) -> str | None:
    with suppress(ValueError):
        return None if client is None else str(ip_address(client))
    return None
