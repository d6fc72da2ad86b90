"""`crossings import`: one feed, once, from a file too, with a report of all that was refused."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from tests.commands import Done, call, environment
from tests.conftest import Database
from tests.importers.agency import Answer, giving, publishing
from tests.importers.samples import echerha, queue

THEN = datetime.now(UTC) - timedelta(days=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "payload"


def run(database: Database, file: Path, *arguments: str | Path, **settings: str) -> Done:
    env = environment(database, CROSSINGS_DATA_DIR=str(file.parent), **settings)
    return call("import", *arguments, env=env)


@contextmanager
def published(answer: Answer) -> Iterator[str]:
    """Give the address of an agency that answers in a thread of its own."""
    loop, address = asyncio.new_event_loop(), asyncio.Queue[str]()
    done = asyncio.Event()

    async def serve() -> None:
        async with publishing(answer) as agency:
            await address.put(agency.url)
            await done.wait()

    thread = Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(address.get(), loop).result()
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def test_it_imports_a_file_and_tells_what_it_refused(mapped: Database, file: Path) -> None:
    file.write_bytes(
        echerha(queue(tooltip="Не більше 3,5 тонн"), queue(1, "Тут – Там (для вантажівок)"))
    )

    done = run(mapped, file, "ua-echerha", file)

    assert done == Done(
        0,
        "1 observations recorded; 1 values refused.\n"
        "Refused:\n"
        "  Шегині – Медика, note of queue 8: “Не більше 3,5 тонн” may say something of the status,"
        " which this feed may not\n"
        "Not among our crossings:\n"
        "  Тут – Там (queue 1)\n",
        "",
    )


def test_the_second_time_it_writes_nothing(mapped: Database, file: Path) -> None:
    file.write_bytes(echerha(queue()))
    at = f"--observed-at={THEN.isoformat()}"
    first, again, third = (
        run(mapped, file, "ua-echerha", file, *options) for options in ([at], [at], [])
    )

    assert first.told == "1 observations recorded; 0 values refused.\n"
    assert again.told == "0 observations recorded, 1 known already; 0 values refused.\n"
    assert third.told == "Not changed since it was last read; nothing was recorded.\n"
    assert (first.code, again.code, third.code) == (0, 0, 0)


def test_values_older_than_are_kept_are_refused_which_is_no_failure(
    mapped: Database, file: Path
) -> None:
    file.write_bytes(echerha(queue()))
    at = "--observed-at=2020-01-01T00:00:00Z"

    refused = run(mapped, file, "ua-echerha", file, at)
    kept = run(mapped, file, "ua-echerha", file, at, CROSSINGS_OBSERVATIONS_KEEP_DAYS="3660")

    assert refused.code == 0
    assert "“2020-01-01T00:00:00Z” observed_at is older than the 400 days" in refused.told
    assert kept == Done(0, "1 observations recorded; 0 values refused.\n", "")


@pytest.mark.parametrize(
    "payload",
    [b"", b"<html>", echerha(queue())[:40], b"\xff", b"[" * 10**6, b" " * 50_000_000],
    ids=["empty", "html", "truncated", "encoding", "deep", "50 MB"],
)
def test_a_broken_file_is_kept_aside(mapped: Database, file: Path, payload: bytes) -> None:
    file.write_bytes(payload)

    done = run(mapped, file, "ua-echerha", file)

    assert done.code == 1
    assert done.told.startswith("The payload ")
    (report,) = (file.parent / "feeds" / "ua-echerha").glob("*.txt")
    assert f"Kept aside: {report}\n" in done.told
    assert "Traceback" not in done.complained


def test_it_imports_an_address(mapped: Database, file: Path) -> None:
    with published(giving(echerha(queue()))) as address:
        done = run(mapped, file, "ua-echerha", address)

    assert done == Done(0, "1 observations recorded; 0 values refused.\n", "")


def test_an_address_that_does_not_answer_well_is_told(mapped: Database, file: Path) -> None:
    with published(giving(b"", code=503)) as address:
        done = run(mapped, file, "ua-echerha", address)

    assert done == Done(1, "The address answered 503.\n", "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nobody", "x"), "name: There is no importer 'nobody'. There are "),
        (("ua-echerha", "nowhere"), "file: nowhere cannot be read: No such file or directory"),
        (
            ("ua-echerha", "x", "--observed-at=noon"),
            "observed-at: must be an RFC 3339 instant with an offset",
        ),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    mapped: Database, file: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = run(mapped, file, *arguments)

    assert (done.code, done.told) == (1, "")
    assert done.complained.startswith(complaint)


def test_a_worker_with_a_feed_that_has_no_importer_does_not_start(mapped: Database) -> None:
    done = call("worker", env=environment(mapped, CROSSINGS_IMPORTERS="nobody"))

    assert done.code == 1
    assert done.complained.startswith("importers: There is no importer 'nobody'. There are ")
