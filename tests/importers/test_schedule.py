"""The enabled feeds are imported on their schedule, by one process at a time, politely."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Settings
from app.delivery.worker import DeliveryWorker
from app.importers import schedule
from app.importers.importer import importers
from app.importers.running import ImportOutcome
from app.importers.schedule import ImportSchedule, enabled_importers, pause_after
from tests.conftest import Database
from tests.importers.agency import Agency, giving, publishing
from tests.importers.conftest import Imports
from tests.importers.samples import cbp, cbsa, echerha, port, queue
from tests.subscriptions.conftest import running
from tests.waiting import until

INTERVAL = timedelta(minutes=10)
END_HOLDER = """
    SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND datname = current_database()
      AND ((classid::bigint << 32) | objid::bigint) = %s
"""
FAILED, DONE = ImportOutcome("a", error="It failed."), ImportOutcome("a")


# How long a feed is left alone


def test_after_a_success_it_is_left_alone_for_its_interval() -> None:
    assert pause_after([DONE], INTERVAL, 5, jitter=0) == INTERVAL
    assert pause_after([FAILED, DONE], INTERVAL, 5, jitter=0) == INTERVAL


@pytest.mark.parametrize(
    ("failures", "pause"),
    [
        (0, 2 * INTERVAL),
        (1, 4 * INTERVAL),
        (5, schedule.LONGEST_PAUSE),
        (10**6, timedelta(hours=6)),
    ],
)
def test_after_failures_it_is_left_alone_for_longer_and_longer(
    failures: int, pause: timedelta
) -> None:
    assert pause_after([FAILED], INTERVAL, failures, jitter=0) == pause


def test_a_server_that_asks_for_more_gets_it() -> None:
    asked = replace(FAILED, retry_after=timedelta(hours=7))

    assert pause_after([asked], INTERVAL, 0, jitter=0) == timedelta(hours=7)
    assert pause_after([DONE, asked], INTERVAL, 0, jitter=0) == timedelta(hours=7)


def test_a_server_that_asks_for_less_does_not() -> None:
    asked = replace(FAILED, retry_after=timedelta(seconds=1))

    assert pause_after([asked], INTERVAL, 0, jitter=0) == 2 * INTERVAL


@given(
    failures=st.integers(0, 10_000),
    minutes=st.integers(1, 10_000),
    has_failed=st.booleans(),
    retry_after=st.none() | st.timedeltas(timedelta(), timedelta(days=1)),
)
def test_a_feed_is_never_asked_sooner_than_its_interval(
    failures: int, minutes: int, *, has_failed: bool, retry_after: timedelta | None
) -> None:
    outcome = ImportOutcome(
        "a", error="It failed." if has_failed else None, retry_after=retry_after
    )
    interval = timedelta(minutes=minutes)

    pause = pause_after([outcome], interval, failures)

    longest = max(interval, schedule.LONGEST_PAUSE, retry_after or timedelta())
    assert max(interval, retry_after or timedelta()) <= pause <= longest * 1.1


# Which feeds


def test_feeds_are_enabled_by_name_and_may_be_fetched_elsewhere() -> None:
    settings = Settings(importers="us-cbp, ca-cbsa=http://127.0.0.1:8000/a?b=c,")

    assert enabled_importers(settings) == {
        "us-cbp": None,
        "ca-cbsa": ["http://127.0.0.1:8000/a?b=c"],
    }
    assert enabled_importers(Settings()) == {}


def test_a_feed_that_has_no_importer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no importer 'us-cpb'\. There are .*ca-cbsa, .*us-cbp"):
        enabled_importers(Settings(importers="us-cpb"))


# In the delivery worker


@asynccontextmanager
async def working(
    database: Database, folder: Path, **agencies: Agency
) -> AsyncIterator[DeliveryWorker]:
    """Run a delivery worker that imports feeds from agencies, until the block ends."""
    enabled = ",".join(
        f"{name.replace('_', '-')}={agency.url}" for name, agency in agencies.items()
    )
    settings = Settings(database_url=database.url, data_dir=folder, importers=enabled)
    async with running(DeliveryWorker(settings, [ImportSchedule(settings).run])) as worker:
        yield worker


@pytest.fixture
def frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feeds are fetched, and the lock is asked for, without a pause to speak of."""
    monkeypatch.setattr(schedule, "LOCK_SECONDS", 0.05)
    for name, importer in importers().items():
        short = replace(importer, interval=timedelta(milliseconds=50))
        monkeypatch.setitem(importers(), name, short)


async def test_an_enabled_feed_is_imported_and_next_due_after_its_interval(
    imports: Imports, tmp_path: Path
) -> None:
    async with publishing(giving(echerha(queue()))) as agency:
        async with working(imports.database, tmp_path, ua_echerha=agency):
            await until(
                lambda: imports.rows("SELECT FROM imported_feed WHERE succeeded_at < now()")
            )

        assert len(agency.requests) == 1
    assert imports.observations == 1
    ((due,),) = imports.rows("SELECT next_attempt_at FROM imported_feed")
    assert isinstance(due, datetime)
    assert due > datetime.now(UTC) + timedelta(minutes=4)


@pytest.mark.usefixtures("frequent")
async def test_it_is_imported_again_and_again(imports: Imports, tmp_path: Path) -> None:
    async with (
        publishing(giving(echerha(queue()))) as agency,
        working(imports.database, tmp_path, ua_echerha=agency),
    ):
        await agency.asked(3)
        agency.answer = giving(echerha(queue(wait_time=60)))

        await until(lambda: imports.observations == 2)


async def test_a_worker_that_starts_anew_waits_until_the_feed_is_due(
    imports: Imports, tmp_path: Path
) -> None:
    async with publishing(giving(echerha(queue()))) as other, publishing(giving(b"")) as agency:
        imports.rows(
            "INSERT INTO imported_feed (name, next_attempt_at)"
            " VALUES ('us-cbp', now() + interval '1 hour') RETURNING 1"
        )
        async with working(imports.database, tmp_path, us_cbp=agency, ua_echerha=other):
            await until(lambda: imports.observations == 1)

    assert agency.requests == []


@pytest.mark.usefixtures("frequent")
async def test_a_feed_that_is_broken_does_not_keep_another_from_being_imported(
    imports: Imports, tmp_path: Path
) -> None:
    async with (
        publishing(giving(b"<html>")) as broken,
        publishing(giving(b"", code=503)) as down,
        publishing(giving(echerha(queue()))) as sound,
        working(imports.database, tmp_path, us_cbp=broken, ca_cbsa=down, ua_echerha=sound),
    ):
        await until(lambda: imports.observations == 1)
        await until(lambda: len(imports.rows("SELECT FROM imported_feed WHERE failures > 0")) == 2)

    assert [file.suffix for file in (tmp_path / "feeds" / "us-cbp").iterdir()].count(".txt") == 1


@pytest.mark.usefixtures("frequent")
async def test_one_worker_at_a_time_imports_and_another_takes_over(
    imports: Imports, tmp_path: Path
) -> None:
    async with (
        publishing(giving(cbsa())) as one,
        publishing(giving(cbsa())) as other,
        AsyncExitStack() as second,
    ):
        async with working(imports.database, tmp_path, ca_cbsa=one):
            await one.asked(1)
            await second.enter_async_context(working(imports.database, tmp_path, ca_cbsa=other))
            await one.asked(len(one.requests) + 2)
            assert other.requests == []

        await other.asked(1)


@pytest.mark.usefixtures("frequent")
async def test_a_lost_lock_ends_the_imports_and_they_begin_again(
    imports: Imports, tmp_path: Path
) -> None:
    async with (
        publishing(giving(cbp(port()))) as agency,
        working(imports.database, tmp_path, us_cbp=agency),
    ):
        await agency.asked(1)
        with imports.database.connect("postgres") as connection:
            assert connection.execute(END_HOLDER, [schedule.IMPORT_LOCK]).fetchall() == [(True,)]

        await agency.asked(len(agency.requests) + 2)
