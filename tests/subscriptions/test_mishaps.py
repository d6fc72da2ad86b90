"""Delivery workers that are killed: every change is still told, by one id, in order."""

import asyncio
import random
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from app.delivery.worker import wait_for_event
from tests import clients
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS
from tests.commands import environment, finish, start
from tests.conftest import Database
from tests.marks import full
from tests.servers import Service, is_alive, service
from tests.subscriptions.conftest import LOOPBACK, Hooks
from tests.subscriptions.receivers import Arrival, Receiver, Write, accept, receiving, status
from tests.waiting import PATIENCE, eventually, until

ROUND_SECONDS = 3
MOST_CHANGES = 12
"""In a round: what is written must be told in the end."""


@contextmanager
def worker(database: Database) -> Iterator[subprocess.Popen[str]]:
    """Run `crossings worker`, as the service's own role, until the block ends."""
    env = environment(DATABASE_URL=database.url, CROSSINGS_WEBHOOK_ALLOW=LOOPBACK)
    process = start("crossings", "worker", env=env)
    try:
        yield process
    finally:
        process.terminate()
        finish(process)


async def unreliable(receiver: Receiver, arrival: Arrival, write: Write) -> None:
    """Now and then take a message and fail to say so, or refuse it; the next time take it.

    A third attempt would come half a minute later, a fourth two minutes.
    """
    comes_again = [one.id for one in receiver.arrived].count(arrival.id) > 1
    match 9 if comes_again else random.randrange(40):  # noqa: S311  # it is no secret
        case 0:
            receiver.accepted.append(arrival)
        case 1:
            await write(status(429))
        case _:
            await accept(receiver, arrival, write)


@full
@pytest.mark.parametrize("rounds", [5])
async def test_killed_workers_lose_nothing_and_confuse_nothing(
    quiet: Hooks, rounds: int, record_property: Callable[[str, object], None]
) -> None:
    """Two at a time, one of them killed every three seconds while changes come."""
    async with receiving(unreliable) as every, receiving() as one_crossing:
        all_of = await quiet.subscribe(every)
        some_of = await quiet.subscribe(one_crossing, filter={"crossings": [TVERECIUS]})
        declared: list[int] = []

        async def write_on() -> None:
            deadline = time.monotonic() + rounds * ROUND_SECONDS
            turns = [[SUMSKAS], [TVERECIUS], [MEDININKAI], [SUMSKAS, TVERECIUS]]
            while time.monotonic() < deadline and len(declared) < rounds * MOST_CHANGES:
                number = len(declared)
                made = await quiet.api.declare(
                    crossings=turns[number % 4], status=("open", "closed")[number // 4 % 2]
                )
                declared.append(int(str(made["change"])))

        with worker(quiet.database):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write_on)
                for _ in range(rounds):
                    with worker(quiet.database) as victim:
                        await anyio.sleep(ROUND_SECONDS)
                        victim.kill()
            await until(lambda: not pending(quiet.database))

        assert len(declared) > rounds
        for subscription, receiver in ((all_of, every), (some_of, one_crossing)):
            wanted = set(declared)
            if receiver is one_crossing:
                wanted = {one for place, one in enumerate(declared) if place % 4 in {1, 3}}
            assert {one.change for one in receiver.accepted} == wanted
            ids: dict[int, set[str]] = defaultdict(set)
            for one in receiver.arrived:
                one.verify(subscription["secret"])
                ids[one.change].add(one.id)
            assert all(len(same) == 1 for same in ids.values())
            assert_in_order(receiver.accepted)
        record_property("changes", len(declared))


def pending(database: Database) -> int:
    with database.connect() as connection:
        asked = "SELECT count(*) FROM delivery WHERE state <> 'delivered'"
        behind = "SELECT max(number) FROM change WHERE number > (SELECT change FROM fan_out)"
        (count,) = connection.execute(asked).fetchone() or (1,)
        (newest,) = connection.execute(behind).fetchone() or (None,)
        return int(count) + int(newest is not None)


def assert_in_order(arrivals: list[Arrival]) -> None:
    """Check that of each crossing no change is first heard of after a later one."""
    first: dict[str, dict[int, None]] = defaultdict(dict)
    for one in arrivals:
        for crossing in one.crossings:
            first[crossing][one.change] = None
    for changes in first.values():
        assert [*changes] == sorted(changes)


# Beside a server


def workers_of(server: Service) -> list[psutil.Process]:
    return [
        one
        for one in psutil.Process(server.process.pid).children()
        if is_alive(one) and "spawn_main" in " ".join(one.cmdline())
    ]


@pytest.mark.parametrize("steps", range(5))
async def test_a_stop_is_not_lost_when_it_comes_with_news(steps: int) -> None:
    """However many steps of the event loop lie between the two."""
    news = asyncio.Event()
    waiting = asyncio.create_task(wait_for_event(news, PATIENCE))
    await asyncio.sleep(0.01)
    news.set()
    for _ in range(steps):
        await asyncio.sleep(0)

    stopped = waiting.cancel()
    (ended,) = await asyncio.gather(waiting, return_exceptions=True)

    assert isinstance(ended, asyncio.CancelledError) == stopped


@full
def test_serve_has_a_worker_that_is_started_again_and_ends_with_it(
    seeded_dir: Path, tmp_path: Path
) -> None:
    with service(tmp_path / "serve.log", data_dir=seeded_dir) as server:
        eventually(lambda: len(workers_of(server)) == 1)
        (first,) = workers_of(server)
        first.kill()
        eventually(lambda: [one for one in workers_of(server) if one.pid != first.pid])
        (second,) = workers_of(server)
        ready = clients.get(f"{server.url}/health/ready")
        assert ready.status_code == 200

        server.kill()

        eventually(lambda: not is_alive(second))
    assert "The delivery worker exited with -9" in (tmp_path / "serve.log").read_text(
        encoding="utf-8"
    )
