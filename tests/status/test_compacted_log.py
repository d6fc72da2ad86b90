"""What each write leaves behind of a log is never relied on where it is out of date."""

from typing import Any

from app.audit.service import find_faults
from app.status.models import CompactedLog
from tests.api import SUMSKAS, Api, decision
from tests.conftest import Database
from tests.marks import full

LATER = "2030-01-01T00:00:00Z"


async def test_each_write_leaves_behind_what_still_matters(api: Api, seeded: Database) -> None:
    """However often a crossing is closed, the last closure is what is left of them."""
    repeated = [await declare(api, "closed") for _ in range(3)]

    async with seeded.session() as session:
        left = await session.get(CompactedLog, SUMSKAS)
        assert left is not None
        assert left.change == repeated[-1]["change"]
        found = {str(one) for one in left.events or ()} & {str(one["id"]) for one in repeated}
    assert found == {repeated[-1]["id"]}


async def test_what_was_left_before_a_later_write_is_passed_over(
    api: Api, seeded: Database
) -> None:
    """As if that write had left nothing: the answers are those of the log."""
    await declare(api, "open")
    old = compacted(seeded)
    closed = await declare(api, "closed")
    expected = await api.status(at=LATER)
    assert expected["status"] == "closed"

    with seeded.connect() as connection:
        connection.execute(
            "UPDATE compacted_log SET (due_at, change, known_from, events, held)"
            " = (%s, %s, %s, %s, %s::jsonb) WHERE crossing_id = %s",
            [*old, SUMSKAS],
        )

    assert await api.status(at=LATER) == expected
    assert await faults(seeded) == []
    answer = (await api.post("/v1/events", decision(status="restricted"))).json()
    assert answer["effect"][0]["before"] == "closed"
    then = await api.status(at=str(closed["recorded_at"]))
    assert then["lanes"][0]["decided_by"] == closed["id"]  # type: ignore[index, call-overload]


async def test_a_crossing_of_which_nothing_is_left_answers_from_its_log(
    api: Api, seeded: Database
) -> None:
    """As after an upgrade, until it is written to or comes due."""
    expected = await api.status(at=LATER)
    with seeded.connect() as connection:
        connection.execute(
            "UPDATE compacted_log SET (change, known_from, events, held) = (NULL, NULL, NULL, NULL)"
        )

    assert await api.status(at=LATER) == expected
    assert (await api.post("/v1/events", decision())).status_code == 201
    assert compacted(seeded)[3]


@full
async def test_the_check_tells_of_a_compacted_log_that_lacks_something(seeded: Database) -> None:
    assert await faults(seeded) == []
    with seeded.connect() as connection:
        connection.execute(
            "UPDATE compacted_log SET events = '{}' WHERE crossing_id = %s", [SUMSKAS]
        )

    assert await faults(seeded) == [
        f"the compacted log of {SUMSKAS} answers differently from the whole log"
    ]


async def declare(api: Api, status: str) -> dict[str, Any]:
    """Declare a status from now on and return the event."""
    response = await api.post("/v1/events", decision(status=status, effective={"from": None}))
    assert response.status_code == 201, response.text
    event: dict[str, Any] = response.json()["events"][0]
    return event


def compacted(database: Database) -> tuple[Any, ...]:
    with database.connect() as connection:
        found = connection.execute(
            "SELECT due_at, change, known_from, events, held::text FROM compacted_log"
            " WHERE crossing_id = %s",
            [SUMSKAS],
        ).fetchone()
    assert found is not None
    return found


async def faults(database: Database) -> list[str]:
    async with database.session() as session:
        return [fault async for fault in find_faults(session)]
