"""Restarts and stops that no reader notices: nobody who was let in is cut off."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from tests.api import SUMSKAS
from tests.conftest import Database
from tests.marks import full
from tests.servers import Service, is_alive, service
from tests.waiting import until

READERS = 8
REQUEST = f"GET /v1/crossings/{SUMSKAS}/status HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
CUT_OFF, REFUSED = "cut off", "refused"


async def read_on(port: int, told: Counter[str], stop: anyio.Event) -> None:
    """Ask again and again on connections that are kept for as long as the service keeps them."""
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            told[REFUSED] += 1
            await anyio.sleep(0.01)
            continue
        try:
            while not stop.is_set() and await ask(reader, writer, told):
                pass
        except (OSError, asyncio.IncompleteReadError):
            told[CUT_OFF] += 1
        finally:
            writer.close()


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: Counter[str]
) -> bool:
    """Ask once; return whether the connection may be used again."""
    writer.write(REQUEST)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    lines = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
    await reader.readexactly(int(lines["content-length"]))
    told[head.split()[1]] += 1
    return lines.get("connection") != "close"


@asynccontextmanager
async def reading(running: Service) -> AsyncIterator[Counter[str]]:
    """Let readers ask until the block ends; give what they were told, and how often."""
    told, stop = Counter[str](), anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(READERS):
            group.start_soon(read_on, running.port, told, stop)
        await until(lambda: answered(told) > 100)
        yield told
        stop.set()


def answered(told: Counter[str]) -> int:
    return told["200"]


def are_replaced(running: Service, before: list[psutil.Process]) -> bool:
    """Tell whether workers were replaced. One that starts too slowly is given up: ask again."""
    log = running.log.read_text(encoding="utf-8")
    if "aborting the restart" in log:
        running.log.write_text(log.replace("aborting", "aborted"), encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
    return not any(is_alive(one) for one in before)


@full
async def test_workers_are_replaced_without_a_failed_request(
    seeded: Database, tmp_path: Path
) -> None:
    """By SIGHUP, for new settings or new code, one after the other."""
    log = tmp_path / "log"
    with service(log, workers=2, database_url=seeded.url, worker=False) as running:
        before = running.workers()
        async with reading(running) as told:
            running.process.send_signal(signal.SIGHUP)
            await until(lambda: are_replaced(running, before))
            more = answered(told) + 100
            await until(lambda: answered(told) >= more)
        after = running.workers()

    assert len(after) == 2
    assert set(told) == {"200"}


@full
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=full)])
async def test_a_service_that_stops_cuts_nobody_off(
    seeded: Database, tmp_path: Path, workers: int
) -> None:
    log = tmp_path / "log"
    with service(log, workers=workers, database_url=seeded.url, worker=False) as running:
        async with reading(running) as told:
            running.process.terminate()
            await until(lambda: running.process.poll() is not None)
            await until(lambda: told[REFUSED] > 0)

    assert told[CUT_OFF] == 0
    assert set(told) == {"200", REFUSED}
