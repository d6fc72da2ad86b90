"""What time alone changes is in the log: once, in order, with the answer before and after."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.audit.service import find_faults
from app.status.due import announce_due
from app.status.models import CompactedLog
from tests.api import SUMSKAS, TVERECIUS, Api, crossing
from tests.conftest import Database
from tests.marks import full

NEXT_DUE = select(func.min(CompactedLog.due_at))

Body = dict[str, Any]

HERE, THERE = "new-crossing", "other-crossing"


async def changes(api: Api, after: int = 0) -> list[Body]:
    response = await api.get("/v1/changes", after=after, limit=200)
    assert response.status_code == 200, response.text
    found: list[Body] = response.json()["items"]
    return found


async def newest(api: Api) -> int:
    found = 0
    while items := await changes(api, found):
        found = items[-1]["change"]
    return found


async def announce(database: Database) -> None:
    """Announce all that is due, each change in a transaction of its own."""
    more = True
    while more:
        async with database.session() as session:
            more = await announce_due(session)


async def effective(api: Api, after: int) -> list[Body]:
    return [one for one in await changes(api, after) if one["kind"] == "effective"]


async def later(instant: datetime) -> None:
    await asyncio.sleep(max(0.0, (instant - datetime.now(UTC)).total_seconds()) + 0.05)


def lanes_of(answer: Body) -> set[tuple[object, ...]]:
    return {
        (lane["traffic"], lane["to"], lane["before"], lane["after"]) for lane in answer["lanes"]
    }


async def add(api: Api, *names: str) -> None:
    for name in names:
        response = await api.post("/v1/crossings", crossing(name))
        assert response.status_code == 201, response.text


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with two crossings of a car lane each way, both open."""
    async with database.api() as api:
        await add(api, HERE, THERE)
        await api.declare(crossings=[HERE, THERE], status="open")
        yield api


async def test_a_decision_carries_the_answer_before_and_after(api: Api) -> None:
    before = await api.status(SUMSKAS)

    body = await api.declare(status="open", sides=["LT"])

    (change,) = await changes(api, int(str(body["change"])) - 1)
    (answer,) = change["payload"]["answers"]
    after = await api.status(SUMSKAS)
    assert answer["crossing"] == SUMSKAS
    told = set(answer["after"])
    assert answer["before"] == {name: before[name] for name in told}
    assert answer["after"] == {name: after[name] for name in told}
    assert {"status", "since", "until", "expires_at", "next_change_at", "sides"} <= told
    opened = {("closed", "open")}
    assert {(lane["before"], lane["after"]) for lane in answer["lanes"]} == opened
    assert len(answer["lanes"]) == len(after["lanes"])  # type: ignore[arg-type]


async def test_what_alters_no_answer_carries_none(api: Api) -> None:
    body = await api.declare(certainty="unconfirmed")

    (change,) = await changes(api, int(str(body["change"])) - 1)
    assert "answers" not in change["payload"]


async def test_a_new_crossing_has_no_answer_before(here: Api) -> None:
    first = (await changes(here))[0]

    (answer,) = first["payload"]["answers"]
    assert answer["before"] is None
    assert answer["after"]["status"] == "unknown"
    assert lanes_of(answer) == {("car", "BY", None, "unknown"), ("car", "LT", None, "unknown")}


async def test_new_traffic_adds_lanes_to_the_answer(here: Api) -> None:
    patch = {"traffic": ["bus", "car"], "citations": crossing()["citations"]}
    response = await here.patch(f"/v1/crossings/{HERE}", patch)

    (change,) = await changes(here, response.json()["version"] - 1)
    (answer,) = change["payload"]["answers"]
    assert lanes_of(answer) == {("bus", "BY", None, "open"), ("bus", "LT", None, "open")}


async def test_a_planned_closure_is_announced_when_it_begins(here: Api, database: Database) -> None:
    begins = await here.soon(HERE)
    body = await here.declare(crossings=[HERE], effective={"from": begins.isoformat()})
    planned = int(str(body["change"]))
    (recorded,) = await changes(here, planned - 1)
    (plan,) = recorded["payload"]["answers"]
    assert plan["after"]["status"] == "open"
    assert plan["after"]["next_change_at"] == begins.isoformat().replace("+00:00", "Z")
    assert plan["lanes"] == []
    await announce(database)
    # On a slow machine it has begun by now.
    early = await effective(here, planned)
    assert all(datetime.fromisoformat(str(one["recorded_at"])) >= begins for one in early)

    await later(begins)
    await announce(database)

    (change,) = await effective(here, planned)
    assert change["payload"]["at"] == plan["after"]["next_change_at"]
    assert change["payload"]["recorded_by"] == "crossing-status"
    assert change["subjects"] == {
        "crossings": [HERE],
        "borders": ["BY-LT"],
        "countries": ["BY", "LT"],
    }
    (answer,) = change["payload"]["answers"]
    assert answer["before"] == plan["after"] | {"until": change["payload"]["at"]}
    assert answer["after"]["status"] == "closed"
    assert answer["after"]["since"] == change["payload"]["at"]
    assert lanes_of(answer) == {("car", "BY", "open", "closed"), ("car", "LT", "open", "closed")}


async def test_an_open_that_runs_out_is_announced(database: Database) -> None:
    async with database.api() as api:
        await add(api, HERE)
        runs_out = await api.soon(HERE)
        opened = (runs_out - timedelta(days=30)).isoformat()
        await api.declare(
            crossings=[HERE], status="open", effective={"from": opened}, announced_at=opened
        )
        # The entry itself is evidence of the start, not of today.
        assert (await api.status(HERE))["status"] == "open"
        number = await newest(api)

        await later(runs_out)
        await announce(database)

        (change,) = await effective(api, number)
        (answer,) = change["payload"]["answers"]
        assert (answer["before"]["status"], answer["after"]["status"]) == ("open", "unknown")
        assert answer["after"]["last_known"] == "open"


@full
async def test_after_a_pause_all_is_announced_in_the_order_in_which_it_came_due(
    here: Api, database: Database
) -> None:
    number = await newest(here)
    start, step = await here.soon(HERE), timedelta(milliseconds=250)
    plans = [(HERE, 0, 2), (THERE, 1, 3)]
    for name, first, last in plans:
        period = {
            "from": (start + first * step).isoformat(),
            "until": (start + last * step).isoformat(),
        }
        await here.declare(crossings=[name], effective=period)

    await later(start + 4 * step)
    await announce(database)

    found = await effective(here, number)
    assert [one["subjects"]["crossings"] for one in found] == [[HERE], [THERE], [HERE], [THERE]]
    instants = [one["payload"]["at"] for one in found]
    assert instants == sorted(set(instants))
    statuses = [one["payload"]["answers"][0]["after"]["status"] for one in found]
    assert statuses == ["closed", "closed", "open", "open"]


async def test_however_many_announce_each_change_is_written_once(
    here: Api, database: Database
) -> None:
    number = await newest(here)
    begins = await here.soon(HERE)
    await here.declare(crossings=[HERE], effective={"from": begins.isoformat()})
    await here.declare(crossings=[THERE], effective={"from": begins.isoformat()})

    await later(begins)
    await asyncio.gather(*(announce(database) for _ in range(8)))

    (change,) = await effective(here, number)
    assert change["subjects"]["crossings"] == [HERE, THERE]


async def test_a_record_comes_behind_what_came_due_before_it(here: Api, database: Database) -> None:
    number = await newest(here)
    begins = await here.soon(HERE)
    await here.declare(crossings=[HERE], effective={"from": begins.isoformat()})
    await later(begins)

    # Nobody has announced the closure yet; the reporter is the first to take the lock.
    body = await here.declare(crossings=[HERE], status="open")

    found = await changes(here, number)
    assert [one["kind"] for one in found] == ["decision", "effective", "decision"]
    assert found[-1]["change"] == body["change"]
    came_due, recorded = (one["payload"]["answers"][0] for one in found[1:])
    assert came_due["after"]["status"] == recorded["before"]["status"] == "closed"
    await announce(database)
    assert await newest(here) == body["change"]


async def test_a_preview_announces_nothing(here: Api, database: Database) -> None:
    begins = await here.soon(HERE)
    await here.declare(crossings=[HERE], effective={"from": begins.isoformat()})
    number = await newest(here)
    await later(begins)

    response = await here.post(
        f"/v1/crossings/{HERE}/confirmations",
        {"sides": ["LT"], "citations": crossing()["citations"]},
        validate_only="true",
    )

    assert response.status_code == 200, response.text
    assert await newest(here) == number
    async with database.session() as session:
        assert await session.scalar(NEXT_DUE) == begins


async def test_an_effective_change_is_not_the_crossings_newest_record(
    here: Api, database: Database
) -> None:
    begins = await here.soon(HERE)
    body = await here.declare(crossings=[HERE], effective={"from": begins.isoformat()})
    await later(begins)
    came_due = await here.status(HERE)

    await announce(database)

    number = await newest(here)
    assert number == int(str(body["change"])) + 1
    headers = {"At-Least-Change": str(number)}
    response = await here.client.get(f"/v1/crossings/{HERE}/status", headers=headers)
    assert response.json() == came_due
    assert response.json()["change"] == body["change"]
    assert response.headers["change-number"] == str(number)


@full
async def test_what_many_crossings_share_is_one_change_for_each_hundred(
    database: Database,
) -> None:
    names = [f"crossing-{number:03}" for number in range(130)]
    async with database.api() as api:
        await add(api, *names)
        begins = await api.soon(*names)
        body = await api.declare(crossings=names, effective={"from": begins.isoformat()})
        await later(begins)

        await announce(database)

        found = await effective(api, int(str(body["change"])))
        assert [len(one["payload"]["answers"]) for one in found] == [100, 30]
        assert [*found[0]["subjects"]["crossings"], *found[1]["subjects"]["crossings"]] == names


async def test_the_log_stays_whole(here: Api, database: Database) -> None:
    begins = await here.soon(HERE)
    await here.declare(crossings=[HERE], effective={"from": begins.isoformat()})
    await later(begins)
    await announce(database)

    async with database.session() as session:
        assert [fault async for fault in find_faults(session)] == []


async def test_a_withdrawn_plan_never_comes_due(here: Api, database: Database) -> None:
    begins = await here.soon(HERE)
    body = await here.declare(
        crossings=[
            HERE,
            THERE,
        ],
        effective={"from": begins.isoformat()},
    )
    for address in body["undo"]:  # type: ignore[union-attr]
        response = await here.post(str(address), {"reason": {"code": "other"}})
        assert response.status_code == 201, response.text
    number = await newest(here)
    await later(begins)

    await announce(database)

    assert await effective(here, number) == []


async def test_every_seeded_crossing_has_its_next_instant(
    seeded: Database,
) -> None:
    async with seeded.api() as api:
        status = await api.status(TVERECIUS)
        number = await newest(api)
        await announce(seeded)
        assert await effective(api, number) == []
        next_change_at = status["next_change_at"]
        async with seeded.session() as session:
            soonest = await session.scalar(NEXT_DUE)
    assert soonest is None or soonest > datetime.now(UTC)
    assert next_change_at is None or (
        soonest is not None and soonest <= datetime.fromisoformat(str(next_change_at))
    )
