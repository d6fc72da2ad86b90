"""The service and, behind its board, the ordinary routes alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from app.board.board import Board
from app.database.monitor import monotonic_seconds
from app.embedded.server import Server
from app.http.caching import CachingMiddleware
from app.http.security import SecurityHeaders
from tests.api import Api
from tests.conftest import SEEDED, Database, clone, started
from tests.waiting import PATIENCE


@dataclass(frozen=True)
class Sides:
    """What a reader meets, what is behind it, and the state between the two."""

    front: Api
    routes: httpx2.AsyncClient
    board: Board

    async def get_timed(self, address: str) -> tuple[datetime, httpx2.Response, datetime]:
        """Return an answer of the board between two instants by its own clock.

        What it knows of PostgreSQL's clock may get better meanwhile: the two enclose both.
        """
        known_before, began = self.board.monitor.offset, monotonic_seconds()
        answer = await self.front.get(address)
        ended, known_after = monotonic_seconds(), self.board.monitor.offset
        before = began + min(known_before, known_after)
        after = ended + max(known_before, known_after)
        return datetime.fromtimestamp(before, UTC), answer, datetime.fromtimestamp(after, UTC)

    async def both(self, address: str, **headers: str) -> tuple[httpx2.Response, httpx2.Response]:
        """Ask the board and then the routes, once the board knows all that there is.

        Again, where a second went by between the two answers: both tell how old they are.
        """
        newest = (await self.routes.get("/v1/crossings?limit=1")).headers["change-number"]
        assert await self.board.reached(int(newest), within=PATIENCE)
        while True:
            by_board = await self.front.client.get(address, headers=headers)
            by_routes = await self.routes.get(address, headers=headers)
            ages = [one.headers.get("knowledge-age") for one in (by_board, by_routes)]
            if None in ages or ages[0] == ages[1]:
                return by_board, by_routes


def without_board(application: ASGIApp) -> ASGIApp:
    """Return the ordinary routes alone, with the headers that all answers get."""
    routes, security = CachingMiddleware(application), SecurityHeaders()

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        await routes(scope, receive, security.securing(scope, send))

    return behind


@asynccontextmanager
async def sides_of(database: Database, **settings: object) -> AsyncIterator[Sides]:
    async with started(database.url, **settings) as (service, client):
        assert await service.board.reached(0, within=PATIENCE)
        transport = httpx2.ASGITransport(app=without_board(service.application))
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://crossings.test"
        ) as routes:
            yield Sides(Api(client, await database.new_key()), routes, service.board)


@pytest.fixture
async def sides(seeded: Database) -> AsyncIterator[Sides]:
    async with sides_of(seeded) as found:
        yield found


@pytest.fixture(scope="module")
async def read_sides(postgres: Server) -> AsyncIterator[Sides]:
    """Those of a database that a module's tests share and only read."""
    with clone(postgres, SEEDED) as database:
        async with sides_of(database) as found:
            yield found
