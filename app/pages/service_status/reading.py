"""What the page about the service tells: how it is, what it knows, what it runs on."""

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
    """How the imports of a feed went."""

    feed: FeedOut
    refusals: Mapping[str, int]
    """How many values were refused, by the reason; of those that are told."""

    @property
    def is_imported(self) -> bool:
        return self.feed.last_attempt_at is not None


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """What the database says: of itself, of its newest change, and of what was imported."""

    version: str
    newest_at: datetime | None
    feeds: tuple[FeedStatus, ...]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """How the service is. ``database`` is None while that does not answer."""

    status: Literal["ready", "degraded", "unavailable"]
    detail: str | None
    """Why it cannot answer."""
    change: int
    age: int | None
    """Seconds since the database was last heard; None if it never was."""
    schema: str | None
    database: DatabaseStatus | None
    version: str
    python: str


async def read_service_status(
    board: Board,
    updater: BoardUpdater,
    writability: Writability,
    opening: AbstractAsyncContextManager[AsyncSession],
) -> ServiceStatus:
    """Return how the service is, whether or not its database is there."""
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
        database=await _database(opening),
        version=version("crossing-status"),
        python=platform.python_version(),
    )


async def _database(opening: AbstractAsyncContextManager[AsyncSession]) -> DatabaseStatus | None:
    newest = select(Change.recorded_at).order_by(Change.number.desc()).limit(1)
    try:
        async with opening as session:
            told = str(await session.scalar(text("SHOW server_version")))
            feeds = tuple(
                FeedStatus(feed, dict(Counter(one.reason for one in feed.refused).most_common()))
                for feed in await list_feeds(session)
            )
            return DatabaseStatus(told, await session.scalar(newest), feeds)
    except OUTAGES as error:
        _log.warning("The service status page is shown without the database: %s", reason(error))
        return None
