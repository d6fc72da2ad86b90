"""A payload becomes one batch of one source, once; what is wrong with it is told and kept."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.importers.fetching import Fetcher
from app.importers.findings import Finding
from app.importers.importer import Importer, importers
from app.importers.places import Places
from app.importers.reading import list_feeds
from app.importers.running import ImportOutcome
from app.importers.schemas import FeedOut
from tests.api import Json, citation
from tests.importers import samples
from tests.importers.agency import giving, hang, publishing, validated
from tests.importers.conftest import Imports
from tests.importers.samples import CLOSED, cbp, clock, echerha, lanes, port, queue
from tests.observations.observing import listed

NOW = datetime.now(UTC)
LATELY = NOW - timedelta(minutes=5)


def waiting(minutes: str = "25", *, at: datetime = LATELY) -> Json:
    """Return a port with a wait of cars, as of lately."""
    return port(at=at + timedelta(minutes=2), car=lanes(minutes, clock(at)))


def reasons(outcome: ImportOutcome) -> list[str]:
    return [one.reason for one in outcome.refused]


async def feed(imports: Imports, name: str = "us-cbp") -> FeedOut:
    (found,) = [one for one in await imports.transact(list_feeds) if one.name == name]
    return found


async def test_a_payload_becomes_a_batch_of_one_source(imports: Imports) -> None:
    outcome = await imports.take(cbp(waiting()))

    assert (outcome.recorded, outcome.duplicates, outcome.error) == (1, 0, None)
    async with imports.database.api() as api:
        (row,) = await listed(api, "peace-bridge")
        source = (await api.get(f"/v1/sources/{row['source']}")).json()
    assert (row["wait"], row["recorded_by"]) == ({"state": "known", "minutes": 25}, "us-cbp")
    assert (source["kind"], source["publisher"]) == ("dataset", "US Customs and Border Protection")


async def test_the_source_is_recorded_once(imports: Imports) -> None:
    for minutes in ("5", "10", "15"):
        await imports.take(cbp(waiting(minutes, at=NOW - timedelta(minutes=int(minutes)))))

    assert imports.observations == 3
    assert imports.rows("SELECT count(*) FROM source WHERE recorded_by = 'us-cbp'") == [(1,)]


async def test_the_same_payload_again_is_not_read(imports: Imports) -> None:
    payload = echerha(queue())
    await imports.take(payload, "ua-echerha")

    outcome = await imports.take(payload, "ua-echerha")

    assert outcome.is_unchanged
    assert imports.observations == 1


async def test_the_same_values_in_another_payload_are_known(imports: Imports) -> None:
    await imports.take(cbp(waiting()))

    outcome = await imports.take(cbp(waiting(), port("999999")))

    assert (outcome.recorded, outcome.duplicates) == (0, 1)
    assert (await feed(imports)).rows == 1


async def test_values_without_an_instant_are_of_when_they_were_fetched(imports: Imports) -> None:
    await imports.take(echerha(queue()), "ua-echerha", at=LATELY)

    assert imports.rows("SELECT observed_at FROM observation") == [(LATELY,)]


async def test_or_of_the_instant_that_is_given(imports: Imports) -> None:
    at = NOW - timedelta(days=3)

    first = await imports.take(echerha(queue()), "ua-echerha", observed_at=at)
    again = await imports.take(echerha(queue()), "ua-echerha", observed_at=at)

    assert (first.recorded, again.recorded, again.duplicates) == (1, 0, 1)
    assert imports.rows("SELECT observed_at FROM observation") == [(at,)]


async def test_an_instant_of_the_payload_is_not_replaced(imports: Imports) -> None:
    await imports.take(cbp(waiting()), observed_at=NOW - timedelta(days=3))

    assert imports.rows("SELECT observed_at < now() - interval '1 day' FROM observation") == [
        (False,)
    ]


# What is refused


async def test_values_older_than_are_kept_are_refused_and_that_is_no_failure(
    imports: Imports,
) -> None:
    outcome = await imports.take(cbp(port(car=lanes(), truck=CLOSED)))

    assert (outcome.recorded, outcome.error, outcome.kept) == (0, None, None)
    assert reasons(outcome) == ["observed_at is older than the 400 days that are kept"] * 2


async def test_a_payload_of_which_nothing_was_recorded_is_read_again(imports: Imports) -> None:
    """Its values may have been too old, and are kept for longer now."""
    payload = cbp(port(car=lanes()))
    await imports.take(payload)

    outcome = await imports.take(payload)

    assert not outcome.is_unchanged
    assert len(outcome.refused) == 1


async def test_however_many_values_are_refused_all_are_told(imports: Imports) -> None:
    places = importers()["us-cbp"].places.place
    old = [port(one.key, zone=str(one.zone), car=CLOSED, nexus=CLOSED) for one in places]

    outcome = await imports.take(cbp(*old))

    assert len(outcome.refused) == 2 * len(old) > 100
    assert (outcome.recorded, outcome.error) == (0, None)


async def test_a_crossing_or_lane_that_is_missing_is_refused_and_the_others_go_on(
    imports: Imports,
) -> None:
    """The seeds of a feed may have been left out, and a crossing changes."""
    payload = echerha(
        queue(),
        queue(3, "Порубне – Сірет (для вантажівок ≥ 3,5 тонн)", country_id=136),
    )
    on_foot = cbp(port(at=LATELY, car=CLOSED, nexus=CLOSED, pedestrian=CLOSED))

    outcome = await imports.take(payload, "ua-echerha")
    other = await imports.take(on_foot)

    assert outcome.recorded == 1
    assert reasons(outcome) == ["crossing there is no crossing 'porubne-siret'"]
    assert other.recorded == 2
    assert reasons(other) == ["traffic peace-bridge is not authorised for pedestrian"]


async def test_a_retired_crossing_is_refused_and_the_others_go_on(imports: Imports) -> None:
    async with imports.database.api() as api:
        retired = {"retired_at": "2026-01-01T00:00:00Z", "citations": [citation()]}
        assert (await api.patch("/v1/crossings/peace-bridge", retired)).status_code == 200
    other = port(samples.YSLETA, at=LATELY, zone="America/Denver", pedestrian=CLOSED)

    outcome = await imports.take(cbp(port(at=LATELY, car=CLOSED, nexus=CLOSED), other))

    assert outcome.recorded == 1
    assert [one.place for one in outcome.refused] == [
        "090101 Buffalo/Niagara Falls, Peace Bridge"
    ] * 2
    assert all("retired" in one for one in reasons(outcome))


async def test_a_value_of_the_future_is_refused(imports: Imports) -> None:
    tomorrow = NOW + timedelta(days=1)

    outcome = await imports.take(cbp(port(at=tomorrow, car=CLOSED, nexus=CLOSED)))

    assert reasons(outcome) == ["observed_at lies in the future"] * 2


async def test_values_that_contradict_each_other_are_refused(imports: Imports) -> None:
    """Two queues that are set apart by nothing that we know."""
    payload = echerha(queue(8), queue(9, wait_time=60), queue(1, "Ягодин – Дорогуськ"))

    outcome = await imports.take(payload, "ua-echerha")

    assert outcome.recorded == 1
    assert reasons(outcome) == ["is contradicted by another value of shehyni-medyka"] * 2
    assert outcome.kept


async def test_values_that_repeat_each_other_are_one(imports: Imports) -> None:
    outcome = await imports.take(echerha(queue(8), queue(9)), "ua-echerha")

    assert (outcome.recorded, outcome.duplicates, reasons(outcome)) == (1, 0, [])


# What is broken


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", "The payload is empty."),
        (b"<html>Sorry</html>", "The payload is not JSON but HTML or XML."),
        (cbp(waiting())[:-20], "The payload is cut off: "),
        (b'[{"port": 1}, {}]', "The payload has no value that can be read; the first is row 1"),
    ],
)
async def test_a_broken_payload_is_kept_aside_with_a_report(
    imports: Imports, payload: bytes, error: str
) -> None:
    outcome = await imports.take(payload)

    assert outcome.error is not None
    assert outcome.error.startswith(error)
    assert outcome.kept is not None
    assert outcome.kept.with_suffix(".payload").read_bytes() == payload
    report = outcome.kept.read_text(encoding="utf-8")
    assert f"SHA-256 {outcome.sha256}" in report
    assert outcome.error in report
    assert imports.observations == 0


async def test_a_broken_payload_does_not_hide_the_last_good_one(imports: Imports) -> None:
    await imports.take(cbp(waiting()))
    await imports.take(b"")

    found = await feed(imports)

    assert (found.rows, found.observed_at is not None) == (1, True)
    assert (await imports.take(cbp(waiting()))).is_unchanged


async def test_a_payload_that_is_damaged_in_part_is_recorded_and_kept_aside(
    imports: Imports,
) -> None:
    outcome = await imports.take(cbp(waiting(), {"port_number": 7}))

    assert (outcome.recorded, outcome.error) == (1, None)
    assert outcome.kept is not None
    assert "port_number: must be text" in outcome.kept.read_text(encoding="utf-8")


async def test_the_same_broken_payload_is_kept_once_and_only_the_newest_stay(
    imports: Imports,
) -> None:
    for _ in range(3):
        await imports.take(b"<html>")
    assert len(imports.kept()) == 2

    for number in range(30):
        await imports.take(f"<html>{number}".encode())

    assert len(imports.kept()) == 40


async def test_where_nothing_can_be_kept_everything_else_goes_on(imports: Imports) -> None:
    imports.quarantine.folder.write_text("a file", encoding="ascii")

    outcome = await imports.take(b"")

    assert (outcome.error, outcome.kept) == ("The payload is empty.", None)


def failing(message: str, *, has_personal_data: bool = False) -> Importer:
    """Return an importer with a mistake in it."""

    def parse(_: bytes, __: Places) -> Iterable[Finding]:
        raise KeyError(message)

    return replace(importers()["us-cbp"], parse=parse, has_personal_data=has_personal_data)


async def test_a_mistake_of_an_importer_breaks_its_payload_alone(imports: Imports) -> None:
    outcome = await imports.take(b"anything", failing("lanes"))

    assert outcome.error == "The importer failed: KeyError."
    assert outcome.kept


async def test_of_a_feed_with_personal_data_only_the_hash_and_the_report_are_kept(
    imports: Imports, caplog: pytest.LogCaptureFixture
) -> None:
    plate = "PLATE-4711"
    importer = failing(plate, has_personal_data=True)
    caplog.set_level(logging.DEBUG)

    outcome = await imports.take(plate.encode(), importer)

    assert outcome.kept is not None
    assert imports.kept() == [outcome.kept.name]
    told = [outcome.kept.read_text(encoding="utf-8"), caplog.text, str(outcome)]
    assert not any(plate in one for one in told)
    assert f"SHA-256 {outcome.sha256}" in told[0]


# Fetched


async def test_a_feed_is_fetched_only_if_it_changed(imports: Imports) -> None:
    runner, payload = imports.runner(), cbp(waiting())
    async with (
        publishing(validated(payload, '"a"', "Sun, 29 Nov 2026 10:00:00 GMT")) as agency,
        Fetcher() as fetcher,
    ):
        (first,) = await runner.run(fetcher, [agency.url])
        (second,) = await runner.run(fetcher, [agency.url])

    assert (first.recorded, second.is_unchanged) == (1, True)
    assert agency.requests[1].headers["if-none-match"] == '"a"'


async def test_a_broken_payload_is_asked_for_again(imports: Imports) -> None:
    runner = imports.runner()
    async with (
        publishing(validated(b"<html>", '"a"', "Sun, 29 Nov 2026 10:00:00 GMT")) as agency,
        Fetcher() as fetcher,
    ):
        for _ in range(2):
            (outcome,) = await runner.run(fetcher, [agency.url])
            assert outcome.has_failed

    assert "if-none-match" not in agency.requests[1].headers


async def test_one_address_that_fails_does_not_keep_the_others_from_being_read(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.importers.running.PAUSE_SECONDS", 0)
    runner = imports.runner()
    async with (
        publishing(giving(b"", code=500)) as broken,
        publishing(giving(cbp(waiting()))) as sound,
        Fetcher() as fetcher,
    ):
        outcomes = await runner.run(fetcher, [broken.url, sound.url])
        await runner.note(outcomes)

    assert [one.recorded for one in outcomes] == [0, 1]
    found = await feed(imports)
    assert (found.error, found.failures) == ("1 of 2 addresses: The address answered 500.", 0)
    assert found.last_success_at is not None


async def test_who_asks_to_be_left_alone_is_not_asked_for_the_rest(imports: Imports) -> None:
    async with (
        publishing(giving(b"", "Retry-After: 60", code=429)) as agency,
        Fetcher() as fetcher,
    ):
        outcomes = await imports.runner().run(fetcher, [agency.url] * 3)

    assert [one.retry_after for one in outcomes] == [timedelta(minutes=1)]
    assert len(agency.requests) == 1


async def test_failures_are_counted_until_one_succeeds(imports: Imports) -> None:
    runner = imports.runner()
    async with publishing(hang) as agency, Fetcher(seconds=0.05) as hasty, Fetcher() as fetcher:
        for _ in range(2):
            await runner.note(await runner.run(hasty, [agency.url]))
        failed = await feed(imports)
        agency.answer = giving(cbp(waiting()))
        await runner.note(await runner.run(fetcher, [agency.url]))
    succeeded = await feed(imports)

    assert failed.failures == 2
    assert failed.error == "The address gave no complete answer in time."
    assert (failed.last_success_at, failed.source, failed.age) == (None, None, None)
    assert (succeeded.failures, succeeded.error, succeeded.rows) == (0, None, 1)
    assert succeeded.last_change_at is not None


async def test_an_unchanged_feed_is_a_success_and_no_change(imports: Imports) -> None:
    runner = imports.runner()
    async with publishing(giving(cbp(waiting()))) as agency, Fetcher() as fetcher:
        await runner.note(await runner.run(fetcher, [agency.url]))
        before = await feed(imports)
        await runner.note(await runner.run(fetcher, [agency.url]))
    after = await feed(imports)

    assert before.last_success_at is not None
    assert after.last_success_at is not None
    assert after.last_success_at > before.last_success_at
    assert after.last_change_at == before.last_change_at
