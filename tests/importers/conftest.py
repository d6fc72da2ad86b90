"""A database with the crossings of the feeds, and what imports a feed into it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.embedded.server import Server
from app.importers.fetching import Payload
from app.importers.importer import Importer, importers
from app.importers.quarantine import Quarantine
from app.importers.running import ImportOutcome, Runner
from app.observations.recording import ObservationLimits
from app.seeding.service import load_seeds
from tests.conftest import SEEDED, Database, clone

Result = TypeVar("Result")

LIMITS = ObservationLimits(keep=timedelta(days=400), shown_for=timedelta(hours=3))
FEEDS = ("ca-us", "mx-us", "pl-ua")


@pytest.fixture(scope="session")
def mapped_once(postgres: Server) -> Iterator[Database]:
    with clone(postgres, SEEDED) as found:

        async def load() -> None:
            async with found.session() as session:
                await load_seeds(session, only=FEEDS)

        asyncio.run(load())
        yield found


@pytest.fixture
def mapped(mapped_once: Database) -> Iterator[Database]:
    """A database with the crossings of some feeds, for this test alone."""
    with clone(mapped_once.server, mapped_once.name) as found:
        yield found


class Imports:
    """What a test of imports does, in its words."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.quarantine = Quarantine(folder)

    async def transact(self, work: Callable[[AsyncSession], Awaitable[Result]], /) -> Result:
        async with self.database.session() as session:
            return await work(session)

    def runner(
        self, importer: Importer | str = "us-cbp", limits: ObservationLimits = LIMITS
    ) -> Runner:
        found = importers()[importer] if isinstance(importer, str) else importer
        return Runner(found, self.transact, self.quarantine, limits)

    async def take(
        self,
        body: bytes,
        importer: Importer | str = "us-cbp",
        *,
        at: datetime | None = None,
        observed_at: datetime | None = None,
    ) -> ImportOutcome:
        """Import a payload that was fetched at an instant, by default now."""
        payload = Payload(body, at or datetime.now(UTC))
        return await self.runner(importer).take(payload, address="a", observed_at=observed_at)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.database.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    @property
    def observations(self) -> int:
        ((count,),) = self.rows("SELECT count(*) FROM observation")
        assert isinstance(count, int)
        return count

    def kept(self, feed: str = "us-cbp") -> list[str]:
        """Return the names of what was kept aside."""
        return sorted(file.name for file in (self.quarantine.folder / feed).glob("*"))


@pytest.fixture
def imports(mapped: Database, tmp_path: Path) -> Imports:
    return Imports(mapped, tmp_path / "feeds")
