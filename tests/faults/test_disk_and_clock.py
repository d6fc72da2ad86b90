"""A full disk and a wrong clock: nothing acknowledged is lost, and nobody is misled."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import anyio
import psycopg
import pytest

from app.embedded.programs import ENVIRONMENT
from app.embedded.running import serving
from app.embedded.server import DATABASE, SUPERUSER
from tests.api import SUMSKAS, Api, Json, decision
from tests.conftest import Database
from tests.faults.servers import all_changes, assert_chained, database_of
from tests.marks import full
from tests.servers import service
from tests.waiting import until

HALF_AN_HOUR = timedelta(minutes=30)
MEGABYTE = 2**20
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")

pytestmark = full


# The disk


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of so many megabytes, in memory. Skips where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left, and return the file that has it."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * MEGABYTE)
                file.flush()
        except OSError:
            pass  # it is full now
    return ballast


async def declare(api: Api, number: int, *, status: str = "closed") -> int:
    """Return the status code of a new write."""
    body = decision(status=status, reason={"code": "technical", "text": f"Write {number}"})
    return (await api.post("/v1/events", body)).status_code


async def is_degraded(api: Api) -> bool:
    return bool((await api.client.get("/health/ready")).json()["status"] == "degraded")


async def key_of(data_dir: Path) -> str:
    """Return the key that the first start has made."""
    return (await anyio.Path(data_dir / "admin.key").read_text(encoding="ascii")).strip()


@pytest.fixture(params=["data", "pg_wal"])
def disk_and_data(
    request: pytest.FixtureRequest, seeded_dir: Path, tmp_path: Path
) -> Iterator[tuple[Path, Path]]:
    """A small disk with the data directory, or with the database's own log of it alone."""
    size = sum(file.stat().st_size for file in seeded_dir.rglob("*") if file.is_file())
    with small_disk(tmp_path / "small", size // MEGABYTE + 96) as disk:
        if request.param == "data":
            yield disk, Path(shutil.move(seeded_dir, disk / "data"))
        else:
            own_log = seeded_dir / "postgres" / "pg_wal"
            own_log.symlink_to(shutil.move(own_log, disk / "pg_wal"))
            yield disk, seeded_dir


def begin_next_file(data_dir: Path) -> None:
    """Let the database's own log go on in a new file, for which there may be no room."""
    with (
        suppress(psycopg.Error),
        closing(database_of(data_dir).connect(SUPERUSER, DATABASE)) as superuser,
    ):
        superuser.execute("SELECT pg_switch_wal()")


async def test_while_the_disk_is_full_writes_are_refused_and_the_present_is_told(
    disk_and_data: tuple[Path, Path], tmp_path: Path
) -> None:
    """Once there is room again it goes on by itself; what was acknowledged is there."""
    disk, data_dir = disk_and_data
    numbers = itertools.count()
    acknowledged: list[int] = []

    async def is_written(api: Api) -> bool:
        number = next(numbers)
        if await declare(api, number) != HTTPStatus.CREATED:
            return False
        acknowledged.append(number)
        return True

    with service(tmp_path / "log", data_dir=data_dir, worker=False) as running:
        async with running.api(await key_of(data_dir)) as api:
            assert await is_written(api)
            ballast = fill(disk)
            while await is_written(api):
                begin_next_file(data_dir)
            await until(lambda: is_degraded(api))
            status = await api.client.get(f"/v1/crossings/{SUMSKAS}/status")
            assert (status.status_code, status.json()["status"]) == (200, "closed")

            ballast.unlink()
            await until(lambda: is_written(api))
            changes = await all_changes(api)
    assert_chained(changes)
    texts = [text for change in changes for text in texts_of(change)]
    assert {f"Write {number}" for number in acknowledged} <= {*texts}
    assert len(texts) == len({*texts})


def texts_of(change: Json) -> list[str]:
    """Return the reasons that this test gave."""
    return re.findall(r'"(Write \d+)"', json.dumps(change["payload"]))


# The clock


@pytest.mark.skipif(not FAKETIME.exists(), reason="libfaketime is not installed")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_of_the_database_that_jumps_leaves_the_log_in_order(
    seeded_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Changes are recorded in the order of their numbers, and answers are as new as each write."""
    offset = tmp_path / "offset"
    await anyio.Path(offset).write_text("+0", encoding="ascii")
    for name, value in {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    with serving(seeded_dir) as server:
        async with Database(server, DATABASE).api() as api:
            assert await declare(api, 0) == HTTPStatus.CREATED
            before = await all_changes(api)
            await anyio.Path(offset).write_text(f"{hours:+d}h", encoding="ascii")
            for number, status in enumerate(["restricted", "closed"] * 3, start=1):
                assert await declare(api, number, status=status) == HTTPStatus.CREATED
                answer = await api.client.get(f"/v1/crossings/{SUMSKAS}/status")
                assert answer.json()["status"] == status
            after = await all_changes(api)
    assert_chained(after)
    first, last = (
        datetime.fromisoformat(str(changes[-1]["recorded_at"])) for changes in (before, after)
    )
    # Forward it follows the clock; backward it stays just after what was recorded.
    assert (last - first > HALF_AN_HOUR) is (hours > 0)
