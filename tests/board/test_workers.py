"""Workers as processes of their own: a writer's next read sees its write on whichever answers."""

import signal
from collections.abc import Iterator

import httpx2
import pytest

from app.embedded.server import Server
from tests import clients
from tests.api import MEDININKAI, decision
from tests.conftest import SEEDED, Database, clone
from tests.marks import full
from tests.servers import Service, service
from tests.waiting import eventually

STATUS = f"/v1/crossings/{MEDININKAI}/status"


@pytest.fixture(scope="module")
def shared(postgres: Server) -> Iterator[Database]:
    with clone(postgres, SEEDED) as found:
        yield found


@pytest.fixture(scope="module")
def one(shared: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two workers."""
    log = tmp_path_factory.mktemp("one") / "log"
    with service(log, workers=2, database_url=shared.url, worker=False) as found:
        yield found


@pytest.fixture(scope="module")
def other(shared: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("other") / "log"
    with service(log, database_url=shared.url, worker=False) as found:
        yield found


def ask(running: Service, **headers: str) -> httpx2.Response:
    """Ask over a new connection, which any worker may take."""
    return clients.get(f"{running.url}{STATUS}", headers=headers)


def write(running: Service, key: str, status: str) -> str:
    answer = clients.post(
        f"{running.url}/v1/events",
        json=decision(crossings=[MEDININKAI], status=status),
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.headers["change-number"])


@full
async def test_a_writers_next_read_sees_its_write_on_any_worker(
    one: Service, other: Service, shared: Database
) -> None:
    key = await shared.new_key()
    for status in ("open", "closed") * 4:
        change = write(one, key, status)
        for running in (one, one, one, other):
            answer = ask(running, **{"At-Least-Change": change})
            assert answer.json()["sides"]["LT"] == status
            assert int(answer.headers["change-number"]) >= int(change)


@full
async def test_a_process_that_was_paused_catches_up(
    one: Service, other: Service, shared: Database
) -> None:
    """It knows that time has passed: whatever it tells first, it says how old that is."""
    key = await shared.new_key()
    write(one, key, "open")
    main = other.family()[0]
    main.send_signal(signal.SIGSTOP)
    try:
        change = write(one, key, "closed")
    finally:
        main.send_signal(signal.SIGCONT)

    demanding = ask(other, **{"At-Least-Change": change})
    assert demanding.json()["sides"]["LT"] == "closed"
    eventually(lambda: ask(other).headers["change-number"] == change)
