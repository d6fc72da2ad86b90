"""Waits on the board: as new as those of the routes, honest to caches, and no work for the rule."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from app.board.views import View
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS
from tests.board.conftest import Sides, sides_of
from tests.board.test_board_api import ADDRESSES, told
from tests.conftest import Database
from tests.marks import full
from tests.observations.observing import ago, known, minutes_of, record, row, waits
from tests.waiting import PATIENCE, until

PATH = f"/v1/crossings/{MEDININKAI}/status"


async def test_the_board_and_the_routes_tell_the_same_waits(sides: Sides) -> None:
    await sides.front.declare(crossings=[MEDININKAI], sides=["LT", "BY"], status="open")
    await record(
        sides.front,
        row(SUMSKAS, observed_at=ago(minutes=5)),
        row(to="BY", vehicles=7),
        row(traffic="truck", queue={"empty": True}, wait={"state": "unknown"}),
        row(TVERECIUS, observed_at=ago(hours=5)),
        row(observed_at=ago(hours=2)),
    )
    lanes = [f"{PATH}?traffic=truck", f"{PATH}?to=BY", f"/v1/crossings/{MEDININKAI}"]
    for address in [*ADDRESSES, PATH, *lanes, "/feeds/crossings.geojson"]:
        by_board, by_routes = await sides.both(address)
        assert told(by_board) == told(by_routes)


async def test_a_writers_next_read_sees_its_observation(sides: Sides) -> None:
    for minutes in range(20):
        await record(sides.front, row(wait=known(minutes)))
        assert minutes_of(await waits(sides.front)) == [minutes]


async def test_other_workers_hear_of_it(sides: Sides, seeded: Database) -> None:
    async with sides_of(seeded) as other:
        await record(other.front, row(wait=known(5)))
        await until(lambda: is_shown(sides, 5))


async def test_a_notification_that_is_lost_is_made_up_for(sides: Sides, seeded: Database) -> None:
    with seeded.connect() as connection:
        connection.execute("DROP TRIGGER place ON observation")
        await record(sides.front, row(wait=known(5)))
        assert await waits(sides.front) == []
        connection.execute("INSERT INTO latest_observation SELECT * FROM observation")
    await until(lambda: is_shown(sides, 5))


async def test_a_database_that_lost_what_the_board_has_seen_is_believed(
    sides: Sides, seeded: Database
) -> None:
    """As when a standby takes over that had not everything yet."""
    await record(sides.front, row(wait=known(5), observed_at=ago(minutes=5)))
    await record(sides.front, row(SUMSKAS))
    assert minutes_of(await waits(sides.front)) == [5]
    with seeded.connect() as connection:
        connection.execute("DELETE FROM latest_observation")

    async def is_forgotten() -> bool:
        return await waits(sides.front) == []

    await until(is_forgotten)


async def is_shown(sides: Sides, minutes: int) -> bool:
    return minutes_of(await waits(sides.front)) == [minutes]


async def test_the_validators_change_with_the_waits_and_only_with_them(sides: Sides) -> None:
    first = await sides.front.get(PATH)
    await record(sides.front, row(SUMSKAS))
    elsewhere = await sides.front.get(PATH)
    await record(sides.front, row())
    here = await sides.front.get(PATH)
    await record(sides.front, row(observed_at=ago(minutes=1), wait=known(99)))
    late = await sides.front.get(PATH)

    assert elsewhere.content == first.content
    assert elsewhere.headers["etag"] == first.headers["etag"]
    assert here.headers["etag"] != first.headers["etag"]
    assert late.headers["etag"] == here.headers["etag"]
    unchanged = await sides.front.client.get(PATH, headers={"If-None-Match": here.headers["etag"]})
    assert unchanged.status_code == 304
    assert late.headers["last-modified"] == here.headers["last-modified"]


@full
async def test_no_cache_is_told_to_keep_a_wait_beyond_its_end(seeded: Database) -> None:
    """And the board lets it go to the instant, though nobody writes anything."""
    async with sides_of(seeded, wait_max_age=60) as sides:
        await record(sides.front, row(observed_at=ago(seconds=55)))
        (wait,) = await waits(sides.front)
        ends = datetime.fromisoformat(wait["shown_until"])
        while True:
            before, answer, after = await sides.get_timed(PATH)
            if not answer.json()["waits"]:
                break
            fresh, meanwhile, on_error = (
                int(part.partition("=")[2])
                for part in answer.headers["cache-control"].split(", ")[1:]
            )
            assert before < ends
            kept = fresh + max(meanwhile, on_error)
            assert before + timedelta(seconds=kept) <= ends
            await anyio.sleep(0.01)
        assert after >= ends
        by_board, by_routes = await sides.both(PATH)
        assert told(by_board) == told(by_routes)


async def test_new_waits_do_not_make_the_rule_work(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand crossings may have new ones at once, many times a minute."""
    await waits(sides.front)
    resolve, resolved = View.of, 0

    def counted(*given: object, **named: object) -> View:
        nonlocal resolved
        resolved += 1
        return resolve(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(View, "of", counted)
    for minutes in range(3):
        await record(sides.front, row(wait=known(minutes)))
        assert minutes_of(await waits(sides.front)) == [minutes]

    assert resolved <= 1  # the first batch has a new source, which is a change


async def test_a_change_of_the_crossing_keeps_its_waits(sides: Sides) -> None:
    await record(sides.front, row())
    await sides.front.declare(crossings=[MEDININKAI], sides=["BY"], status="open")
    patch = {"confirm_within_days": 7, "citations": [{"source": {"title": "A decree"}}]}
    assert (await sides.front.patch(f"/v1/crossings/{MEDININKAI}", patch)).status_code == 200

    assert minutes_of(await waits(sides.front)) == [35]


async def test_a_board_that_is_loaded_has_them_at_once(sides: Sides, seeded: Database) -> None:
    await record(sides.front, row())
    async with sides_of(seeded) as other:
        assert minutes_of(await waits(other.front)) == [35]


@full
async def test_a_database_that_is_away_is_no_reason_to_tell_old_waits(seeded: Database) -> None:
    """What a wait is told until does not depend on whether anybody is heard of."""
    async with sides_of(seeded, wait_max_age=60) as sides:
        await record(sides.front, row(observed_at=ago(seconds=58)))
        (wait,) = await waits(sides.front)
        with seeded.connect() as connection:
            connection.execute("ALTER TABLE latest_observation RENAME TO gone")
            try:

                async def is_gone() -> bool:
                    return await waits(sides.front) == []

                await until(is_gone)
            finally:
                connection.execute("ALTER TABLE gone RENAME TO latest_observation")
        assert datetime.now(UTC) >= datetime.fromisoformat(wait["shown_until"])
        assert await sides.board.reached(0, within=PATIENCE)
