"""Observations that confirm an `open`: no changes, and yet on every board at once."""

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from app.changes.service import reserve_slot
from app.status.confirming import ObservedLane, record_confirming
from app.status.rule.history import Lane
from app.vocabulary import Traffic
from tests.api import MEDININKAI
from tests.board.conftest import Sides, sides_of
from tests.board.test_board_api import ADDRESSES, told
from tests.conftest import Database
from tests.marks import full
from tests.observations.observing import ago, known, record, row
from tests.waiting import until

PATH = f"/v1/crossings/{MEDININKAI}/status"
CAR = Lane(Traffic.CAR, "LT")


async def opened(sides: Sides) -> UUID:
    """Declare the lane open ten days ago, and return the source of an observation of it."""
    start = datetime.now(UTC) - timedelta(days=10)
    await sides.front.declare(
        crossings=[MEDININKAI],
        sides=["LT", "BY"],
        status="open",
        effective={"from": start.isoformat()},
    )
    recorded = await record(sides.front, row(wait=known(5), observed_at=ago(minutes=5)))
    return UUID(recorded["source"])


async def confirm(database: Database, source: UUID, **age: float) -> str:
    """Keep an observation of so long ago; return its instant, as an answer has it."""
    at = (datetime.now(UTC) - timedelta(**age)).replace(microsecond=0)
    async with database.session() as session:
        slot = await reserve_slot(session)
        await record_confirming(
            session, slot, source=source, lanes=[ObservedLane(MEDININKAI, CAR, at)]
        )
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


async def is_confirmed(sides: Sides, instant: str) -> bool:
    answer = await sides.front.status(MEDININKAI, traffic="car", to="LT")
    return answer["last_confirmed_at"] == instant


@full
async def test_the_board_and_the_routes_tell_the_same(sides: Sides, seeded: Database) -> None:
    source = await opened(sides)
    lane = f"{PATH}?traffic=car&to=LT"
    for hours in (5, 3, 1):
        confirmed = await confirm(seeded, source, hours=hours)
        await until(partial(is_confirmed, sides, confirmed))
        for address in [*ADDRESSES, PATH, lane, f"/v1/crossings/{MEDININKAI}"]:
            by_board, by_routes = await sides.both(address)
            assert told(by_board) == told(by_routes)


async def test_a_notification_that_is_lost_is_made_up_for(sides: Sides, seeded: Database) -> None:
    source = await opened(sides)
    with seeded.connect() as connection:
        connection.execute("DROP TRIGGER tell ON confirming_observation")

    confirmed = await confirm(seeded, source, hours=1)

    await until(lambda: is_confirmed(sides, confirmed))


async def test_other_workers_and_a_new_one_know_of_it(sides: Sides, seeded: Database) -> None:
    source = await opened(sides)
    async with sides_of(seeded) as other:
        confirmed = await confirm(seeded, source, hours=1)
        await until(lambda: is_confirmed(other, confirmed))
    async with sides_of(seeded) as later:
        assert await is_confirmed(later, confirmed)


async def test_the_answer_is_as_old_as_its_newest_confirmation(
    sides: Sides, seeded: Database
) -> None:
    """So that what is asked for again by date is given again."""
    source = await opened(sides)
    before = await sides.front.client.get(PATH)
    confirmed = await confirm(seeded, source, hours=1)
    await until(lambda: is_confirmed(sides, confirmed))

    after = await sides.front.client.get(PATH)

    assert after.headers["etag"] != before.headers["etag"]
    assert after.headers["change-number"] == before.headers["change-number"]
