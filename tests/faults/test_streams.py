"""Followers of the stream while processes die, the database goes, and nobody reads."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import anyio
import httpx2
import psutil
import pytest

from app.embedded.server import Server
from tests import clients
from tests.api import Api
from tests.conftest import SEEDED, Database, clone
from tests.faults.servers import all_changes, postmaster
from tests.marks import full, in_full
from tests.servers import service, signal_all
from tests.streams import EVENT_STREAM, Follower, changes_in, parse
from tests.waiting import PATIENCE, until

WRITERS, READERS = 8, 6


@pytest.fixture
def shared(postgres: Server) -> Iterator[Database]:
    with clone(postgres, SEEDED) as found:
        yield found


async def write(api: Api, name: str, count: int) -> None:
    """Record so many sources, each once, whatever becomes of the connection."""
    for number in range(count):
        while True:
            with suppress(httpx2.TransportError):
                key = f"{name}-{number}"
                source = {"title": f"Source {key}", "publisher": "Tests"}
                answer = await api.post("/v1/sources", source, idempotency_key=key)
                if answer.status_code == 201:
                    break
                assert answer.status_code == 503, answer.text
            await anyio.sleep(0.05)


async def newest(api: Api) -> int:
    return int((await api.get("/v1/crossings?limit=1")).headers["change-number"])


async def assert_all_told(api: Api, followers: list[Follower], since: int) -> None:
    """Check that each was told exactly the log after ``since``, in order."""
    log = (await all_changes(api))[since:]
    await until(lambda: all(len(one.told) >= len(log) for one in followers))
    for one in followers:
        told = one.told[: len(log)]  # what comes due meanwhile is told, too
        assert [change["change"] for change in told] == [change["change"] for change in log]
        assert told == log


def has_been_told(follower: Follower, count: int) -> bool:
    return len(follower.told) >= count


@full
@pytest.mark.parametrize(("writes", "kills"), [(40, 2)])
async def test_followers_that_come_and_go_are_told_exactly_the_log(
    shared: Database, tmp_path: Path, writes: int, kills: int
) -> None:
    """Under concurrent writers, while each drops its connection and a worker is killed."""
    key = await shared.new_key()
    with service(tmp_path / "log", workers=2, database_url=shared.url) as running:
        async with running.api(key) as api, anyio.create_task_group() as following:
            since = await newest(api)
            drops_after = [writes * (10 + 3 * one) // 13 for one in range(READERS)]
            followers = [Follower(running.url, since, count) for count in drops_after]
            for one in followers:
                following.start_soon(one.follow)
            async with anyio.create_task_group() as writing:
                for number in range(WRITERS):
                    writing.start_soon(write, api, f"writer-{number}", writes)
                for number in range(1, kills + 1):
                    told = number * writes * WRITERS // 5
                    await until(partial(has_been_told, followers[0], told))
                    running.workers()[0].kill()
            await assert_all_told(api, followers, since)
            following.cancel_scope.cancel()
    assert all(one.ended > 1 for one in followers)


@full
@pytest.mark.parametrize("how", ["killed", "hung"])
async def test_a_lost_database_leaves_streams_open_and_loses_them_nothing(
    how: str, seeded_dir: Path, tmp_path: Path
) -> None:
    with service(tmp_path / "log", data_dir=seeded_dir, worker=False) as running:
        async with running.api(running.key) as api, anyio.create_task_group() as following:
            since = await newest(api)
            followers = [Follower(running.url, since, 10_000) for _ in range(3)]
            for one in followers:
                following.start_soon(one.follow)
            async with anyio.create_task_group() as writing:
                for number in range(WRITERS):
                    writing.start_soon(write, api, f"writer-{number}", 20)
                await until(partial(has_been_told, followers[0], 20))
                database = postmaster(seeded_dir)
                if how == "killed":
                    database.kill()
                else:
                    family = [database, *database.children(recursive=True)]
                    signal_all(family, signal.SIGSTOP)
                    try:
                        await anyio.sleep(3)
                    finally:
                        signal_all(family, signal.SIGCONT)
            await assert_all_told(api, followers, since)
            assert [one.ended for one in followers] == [0, 0, 0]
            following.cancel_scope.cancel()


@full
@pytest.mark.parametrize("workers", [1, *in_full(2)])
async def test_a_stopping_service_ends_a_hundred_streams_in_order_and_soon(
    shared: Database, tmp_path: Path, workers: int
) -> None:
    key = await shared.new_key()
    with service(
        tmp_path / "log",
        workers=workers,
        database_url=shared.url,
        drain_seconds=10 * PATIENCE,
        worker=False,
    ) as running:
        ends: list[str] = []

        opened: list[int] = []

        async def read(client: httpx2.AsyncClient) -> None:
            headers = {"Accept": EVENT_STREAM}
            async with client.stream("GET", f"{running.url}/v1/changes", headers=headers) as answer:
                assert answer.status_code == 200
                opened.append(answer.status_code)
                # A connection that is broken off raises.
                ends.append("".join([part async for part in answer.aiter_text()]))

        limits = httpx2.Limits(max_connections=200)
        async with (
            running.api(key) as api,
            clients.async_client(limits=limits) as client,
            anyio.create_task_group() as reading,
        ):
            for _ in range(100):
                reading.start_soon(read, client)
            await until(lambda: len(opened) == 100)
            written = await api.post("/v1/sources", {"title": "Before the end"})
            number = int(written.headers["change-number"])
            running.process.terminate()
            # Far less than the time that it would give them.
            await until(lambda: running.process.poll() is not None)
    assert len(ends) == 100
    for text in ends:
        told = [int(str(one["change"])) for one in changes_in(parse(text))]
        first = told[0] if told else number
        assert told == [*range(first, first + len(told))]


@full
async def test_who_stops_reading_is_cut_off_by_the_service(
    shared: Database, tmp_path: Path
) -> None:
    """Its socket does not stay open for ever, full of what nobody takes."""
    with service(tmp_path / "log", database_url=shared.url, worker=False) as running:
        main = psutil.Process(running.process.pid)

        def streams() -> int:
            return sum(
                one.status == psutil.CONN_ESTABLISHED and one.laddr.port == running.port
                for one in main.net_connections()
            )

        with closing(socket.socket()) as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stuck.connect(("127.0.0.1", running.port))
            stuck.sendall(
                b"GET /v1/changes?after=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
            )
            assert stuck.recv(100).startswith(b"HTTP/1.1 200")
            await until(lambda: streams() == 1)
            await until(lambda: streams() == 0)
        ready = clients.get(f"{running.url}/health/ready")
        assert json.loads(ready.text)
