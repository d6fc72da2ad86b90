"""The service with a delivery worker beside it, and receivers on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from pydantic import JsonValue

from app.config import Settings
from app.delivery.worker import DeliveryWorker
from app.subscriptions import deliveries
from tests.api import Api, Json
from tests.conftest import SECRET_KEY, Database
from tests.subscriptions.receivers import Receiver, receiving
from tests.waiting import PATIENCE, until

LOOPBACK = "127.0.0.0/8"


class Hooks:
    """What a test of webhooks does, in its words."""

    def __init__(self, api: Api, database: Database) -> None:
        self.api = api
        self.database = database

    async def subscribe(self, receiver: Receiver | str, **fields: object) -> Json:
        """Return a new subscription with its secret."""
        url = receiver if isinstance(receiver, str) else receiver.url
        made = await self.api.post("/v1/subscriptions", {"url": url, **fields})
        assert made.status_code == 201, made.text
        body: Json = made.json()
        return body

    async def act(self, subscription: Json, action: str, *, status: int = 200) -> Json:
        done = await self.api.post(f"/v1/subscriptions/{subscription['id']}/{action}", {})
        assert done.status_code == status, done.text
        body: Json = done.json()
        return body

    async def look(self, subscription: Json) -> Json:
        return await self.get(f"/v1/subscriptions/{subscription['id']}")

    async def deliveries(self, subscription: Json, **parameters: str) -> list[Json]:
        """Return its newest deliveries, the oldest of them first."""
        address = f"/v1/subscriptions/{subscription['id']}/deliveries"
        page = await self.get(address, limit="200", **parameters)
        items = page["items"]
        assert isinstance(items, list)
        return [one for one in reversed(items) if isinstance(one, dict)]

    async def settled(self, subscription: Json, count: int = 1) -> list[Json]:
        """Wait until there are so many deliveries and none is pending, and return them."""
        return await self.when(
            subscription, lambda all_of: len(all_of) >= count and not of_state(all_of, "pending")
        )

    async def attempted(self, subscription: Json, count: int) -> list[Json]:
        """Wait until so many attempts were recorded, and return its deliveries."""
        return await self.when(
            subscription, lambda all_of: sum(len(attempts_of(one)) for one in all_of) >= count
        )

    async def when(self, subscription: Json, holds: Callable[[list[Json]], bool]) -> list[Json]:
        """Wait until something holds of its deliveries, and return them."""
        found: list[Json] = []

        async def look() -> bool:
            found[:] = await self.deliveries(subscription)
            return holds(found)

        await until(look)
        return found

    async def get(self, address: str, **parameters: str) -> Json:
        headers = {"Authorization": f"Bearer {self.api.key}"}
        found = await self.api.client.get(address, params=parameters or None, headers=headers)
        assert found.status_code == 200, found.text
        body: Json = found.json()
        return body


def of_state(deliveries: list[Json], state: str) -> list[Json]:
    return [one for one in deliveries if one["state"] == state]


def attempts_of(delivery: Json) -> Sequence[dict[str, JsonValue]]:
    attempts = delivery["attempts"]
    assert isinstance(attempts, list)
    return [one for one in attempts if isinstance(one, dict)]


@asynccontextmanager
async def with_worker(database: Database, **settings: object) -> AsyncIterator[DeliveryWorker]:
    """Run a delivery worker in this process until the block ends."""
    given = {
        "database_url": database.url,
        "secret_key": SECRET_KEY,
        "webhook_allow": LOOPBACK,
        **settings,
    }
    async with running(DeliveryWorker(Settings.model_validate(given))) as worker:
        yield worker


@asynccontextmanager
async def running(worker: DeliveryWorker) -> AsyncIterator[DeliveryWorker]:
    """Run a delivery worker until the block ends."""
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(PATIENCE):
            await task


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once: all fifteen attempts take two seconds."""
    short = tuple(timedelta(milliseconds=100) for _ in deliveries.DELAYS)
    monkeypatch.setattr(deliveries, "DELAYS", short)


@pytest.fixture
async def quiet(seeded: Database) -> AsyncIterator[Hooks]:
    """The service, with nobody who delivers."""
    async with seeded.api(webhook_allow=LOOPBACK) as api:
        yield Hooks(api, seeded)


@pytest.fixture
async def hooks(quiet: Hooks) -> AsyncIterator[Hooks]:
    """The service, with a delivery worker beside it."""
    async with with_worker(quiet.database):
        yield quiet


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found
