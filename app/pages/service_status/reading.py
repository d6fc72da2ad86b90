"""The content of the page about the service: its state, its data, its versions."""

import logging
import platform
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Literal

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.board.board import Board
from app.board.updater import BoardUpdater
from app.changes.models import Change
from app.database.monitor import OUTAGES, reason
from app.database.writability import Writability
from app.errors import Unavailable
from app.health.readiness import readiness
from app.importers.reading import list_feeds
from app.importers.schemas import FeedOut

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """A feed, and how its last import went."""

    feed: FeedOut
    refusals: Mapping[str, int]
    """How many values were refused, by reason; only of those that the feed lists."""

    @property
    def is_imported(self) -> bool:
        return self.feed.last_attempt_at is not None


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """The database's version, the time of its newest change, and the imported feeds."""

    version: str
    newest_at: datetime | None
    feeds: tuple[FeedStatus, ...]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The state of the service. ``database`` is None while that does not answer."""

    status: Literal["ready", "degraded", "unavailable"]
    detail: str | None
    """Why it is unavailable."""
    change: int
    age: int | None
    """Seconds since the last contact with the database; None if there was none."""
    schema: str | None
    database: DatabaseStatus | None
    version: str
    python: str


async def read_service_status(
    board: Board,
    updater: BoardUpdater,
    writability: Writability,
    database_session: AbstractAsyncContextManager[AsyncSession],
) -> ServiceStatus:
    """Return the state of the service, whether or not its database answers."""
    status: Literal["ready", "degraded", "unavailable"]
    try:
        status, detail = readiness(board, updater, writability).status, None
    except Unavailable as problem:
        status, detail = "unavailable", problem.detail
    return ServiceStatus(
        status=status,
        detail=detail,
        change=board.change,
        age=max(0, int(board.age)) if board.is_loaded else None,
        schema=updater.schema_revision,
        database=await _database(database_session),
        version=version("crossing-status"),
        python=platform.python_version(),
    )


async def _database(
    database_session: AbstractAsyncContextManager[AsyncSession],
) -> DatabaseStatus | None:
    newest = select(Change.recorded_at).order_by(Change.number.desc()).limit(1)
    try:
        async with database_session as session:
            server_version = str(await session.scalar(text("SHOW server_version")))
            feeds = tuple(
                FeedStatus(
                    feed, dict(Counter(refusal.reason for refusal in feed.refused).most_common())
                )
                for feed in await list_feeds(session)
            )
            return DatabaseStatus(server_version, await session.scalar(newest), feeds)
    except OUTAGES as error:
        _log.warning("The service status page is shown without the database: %s", reason(error))
        return None
