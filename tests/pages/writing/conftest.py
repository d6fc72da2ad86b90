"""Pages while reporters write: each module has a service and a database of its own."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.embedded.server import Server
from app.vocabulary import KeyScope
from tests import clients
from tests.api import Json
from tests.conftest import SEEDED, Database, clone
from tests.servers import ThreadedService, service_in_thread

Post = Callable[[str, Mapping[str, object]], Json]


@pytest.fixture(scope="module")
def database(postgres: Server) -> Iterator[Database]:
    """A seeded database that a module's tests share."""
    with clone(postgres, SEEDED) as found:
        yield found


@pytest.fixture(scope="module")
def served(database: Database) -> Iterator[ThreadedService]:
    with service_in_thread(database.url) as running:
        yield running


@pytest.fixture(scope="module")
def key(database: Database) -> str:
    """A key that may report, and record observations and crossings."""
    # In another thread: in this one a browser may have its own event loop going.
    with ThreadPoolExecutor(1) as thread:
        made = database.new_key(KeyScope.EVENTS, KeyScope.OBSERVATIONS, KeyScope.ADMIN)
        return thread.submit(asyncio.run, made).result()


@pytest.fixture(scope="module")
def post(served: ThreadedService, key: str) -> Post:
    """Write to the service; what was written is on the board."""

    def write(path: str, body: Mapping[str, object]) -> Json:
        answer = clients.post(
            served.url + path,
            json=body,
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 201, answer.text
        told: Json = answer.json()
        return told

    return write
