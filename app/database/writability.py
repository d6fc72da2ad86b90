"""Whether the database accepts writes, so that a full disk is noticed before the next report."""

import asyncio
import logging
from datetime import datetime

from sqlalchemy import CheckConstraint, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from app.database.monitor import OUTAGES, DatabaseMonitor, reason
from app.database.sessions import Sessions
from app.database.tables import Base
from app.errors import sqlstate_of

PROBE_SECONDS, FAILING_PROBE_SECONDS = 30.0, 5.0
"""The interval of probes after a success, and after a failure."""

_FAULTS = {
    "53100": "its disk is full",
    "25006": "it is read-only",
    "XX001": "its data are corrupt",
    "XX002": "an index of it is corrupt",
}
"""Error codes of PostgreSQL (appendix A), in words that may be shown to anybody."""

_log = logging.getLogger(__name__)


class WriteProbe(Base):
    """A single row that is written to test whether writes are accepted."""

    __tablename__ = "write_probe"
    __table_args__ = (CheckConstraint("one", name="single_row"),)

    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    at: Mapped[datetime]


class Writability:
    """Probes regularly whether the database accepts writes."""

    def __init__(self, sessions: Sessions, monitor: DatabaseMonitor) -> None:
        self.fault: str | None = None
        """Why the last probe failed; None if it succeeded."""
        self._sessions = sessions
        self._monitor = monitor

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            await asyncio.sleep(FAILING_PROBE_SECONDS if self.fault else PROBE_SECONDS)
            await self.probe()

    async def probe(self) -> None:
        """Test whether the database accepts a write."""
        try:
            async with self._monitor.deadline(), self._sessions.begin() as session:
                values = {"one": True, "at": func.now()}
                statement = insert(WriteProbe).values(values)
                await session.execute(
                    statement.on_conflict_do_update(index_elements=["one"], set_=values)
                )
        except OUTAGES as error:
            if self.fault is None and not self._monitor.is_lost:
                _log.error(
                    "The database does not accept writes; they are answered 503 until it does: %s",
                    reason(error),
                )
            self.fault = _fault(error)
        else:
            if self.fault is not None:
                _log.warning("The database accepts writes again.")
            self.fault = None


def _fault(error: Exception) -> str:
    code = sqlstate_of(error) if isinstance(error, DBAPIError) else None
    return _FAULTS.get(code or "", "see the log of the service")
