"""Statistics over HTTP: of a crossing, of a border, and as a table."""

import csv
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from tests.api import SUMSKAS, Api, citation, crossing, fields_of, problem
from tests.conftest import Database
from tests.observations.observing import known, record, row

Body = dict[str, Any]

HERE, THERE = "new-crossing", "other-crossing"
BORDER = "LT-PL"
DAY = 86_400.0
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=320)


def day(number: int) -> str:
    """Return a midnight, counted from the beginning of the range."""
    return f"{START + timedelta(days=number):%Y-%m-%dT%H:%M:%SZ}"


RANGE = {"from": day(0), "until": day(300)}


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with a border of two crossings, one of which was closed twice."""
    async with database.api() as api:
        for name in (HERE, THERE):
            body = crossing(name, sides=["LT", "PL"], traffic=["car", "truck"])
            response = await api.post("/v1/crossings", {**body, "confirm_within_days": 3_650})
            assert response.status_code == 201, response.text
        await declare(api, "open", -30)
        await declare(api, "closed", -4, until=4)
        await declare(api, "closed", 100, until=102)
        await declare(api, "closed", 298, traffic=["truck"])
        yield api


async def declare(
    api: Api, status: str, start: int, until: int | None = None, **fields: object
) -> None:
    await api.declare(
        crossings=[HERE],
        status=status,
        effective={"from": day(start), "until": None if until is None else day(until)},
        announced_at=day(start),
        **fields,
    )


async def statistics(api: Api, path: str = f"crossings/{HERE}", /, **parameters: str | int) -> Body:
    response = await api.get(f"/v1/{path}/statistics", **{**RANGE, **parameters})
    assert response.status_code == 200, response.text
    body: Body = response.json()
    return body


async def test_time_by_status_and_closures_of_a_crossing(here: Api) -> None:
    assert await statistics(here) == {
        "crossing": HERE,
        **RANGE,
        "seconds": {
            "open": 292 * DAY, "restricted": 2 * DAY, "closed": 6 * DAY, "unknown": 0,
        },
        "shares": {
            "open": 292 / 300, "restricted": 2 / 300, "closed": 6 / 300, "unknown": 0,
        },
        "closures": {
            "count": 2,
            "total": 6 * DAY,
            "median": 3 * DAY,
            "longest": 4 * DAY,
            "began_before": 1,
            "continued_after": 0,
        },
        "waits": [],
    }  # fmt: skip


async def test_statistics_of_some_lanes(here: Api) -> None:
    trucks = await statistics(here, traffic="truck", to="LT")

    assert trucks["seconds"]["closed"] == 8 * DAY
    assert (trucks["closures"]["count"], trucks["closures"]["continued_after"]) == (3, 1)


async def test_statistics_as_known_then(here: Api) -> None:
    before = (await here.get("/v1/changes?after=0&limit=200")).json()["items"][-3]["change"]

    known_then = await statistics(here, known_change=before)

    assert (await statistics(here))["closures"]["count"] == 2
    assert known_then["closures"]["count"] == 1


async def test_a_time_of_which_nothing_is_known_is_unknown(here: Api) -> None:
    unknown = await statistics(here, f"crossings/{THERE}")

    assert unknown["shares"] == {"open": 0, "restricted": 0, "closed": 0, "unknown": 1}
    assert unknown["closures"]["median"] is None


async def test_regular_hours_are_not_closures(here: Api) -> None:
    before = await statistics(here)
    hours = [{"side": "LT", "time_zone": "Europe/Vilnius", "opening_hours": "Mo-Fr 08:00-17:00"}]
    patch = {"hours": hours, "citations": [citation()]}
    response = await here.patch(f"/v1/crossings/{HERE}", patch)
    assert response.status_code == 200, response.text

    assert await statistics(here) == before


async def test_the_median_wait_of_each_lane_and_queue(here: Api) -> None:
    queue = {"empty": True}
    lane = {"crossing": HERE, "traffic": "truck", "to": "LT"}
    await record(
        here,
        *(
            row(**lane, observed_at=day(number), wait=known(minutes))
            for number, minutes in ((1, 10), (2, 20), (3, 40), (4, 400))
        ),
        row(**lane, observed_at=day(5), wait={"state": "unknown"}, vehicles=3),
        row(**lane, observed_at=day(5), wait=known(5), queue=queue),
        row(HERE, observed_at=day(5), wait=known(7)),
        row(HERE, observed_at=day(305), wait=known(700)),
    )
    figures = [
        {"traffic": "car", "to": "LT", "queue": None, "count": 1, "median_minutes": 7},
        {"traffic": "truck", "to": "LT", "queue": None, "count": 4, "median_minutes": 30},
        {"traffic": "truck", "to": "LT", "queue": {**ANY_QUEUE, **queue}, "count": 1,
         "median_minutes": 5},
    ]  # fmt: skip

    assert (await statistics(here))["waits"] == figures
    assert (await statistics(here, traffic="car"))["waits"] == figures[:1]
    assert (await statistics(here, known_at=day(300)))["waits"] == []


ANY_QUEUE: Body = {
    "weight_kg": None, "empty": False, "priority": False, "pre_booked": False, "goods": None,
}  # fmt: skip


async def test_a_border_has_its_crossings_and_all_of_them_together(here: Api) -> None:
    found = await statistics(here, f"borders/{BORDER}")
    crossings = {one["crossing"]: one for one in found["crossings"]}

    assert (found["border"], found["from"], found["until"]) == (BORDER, *RANGE.values())
    assert crossings == {
        name: await statistics(here, f"crossings/{name}") for name in (HERE, THERE)
    }
    assert found["total"]["seconds"]["unknown"] == 300 * DAY
    assert found["total"]["shares"]["unknown"] == 0.5
    assert found["total"]["closures"] == crossings[HERE]["closures"]


async def test_a_border_leaves_out_what_was_retired_before_the_range(here: Api) -> None:
    patch = {"retired_at": day(-1), "citations": [citation()]}
    assert (await here.patch(f"/v1/crossings/{THERE}", patch)).status_code == 200
    path = f"borders/{BORDER}"

    names = [one["crossing"] for one in (await statistics(here, path))["crossings"]]
    every = await statistics(here, path, retired="true")
    earlier = await statistics(here, path, **{"from": day(-30)})

    assert names == [HERE]
    assert len(every["crossings"]) == len(earlier["crossings"]) == 2


async def test_the_range_is_the_last_365_days_by_default(seeded_api: Api) -> None:
    body = (await seeded_api.get(f"/v1/crossings/{SUMSKAS}/statistics")).json()

    assert sum(body["seconds"].values()) == 365 * DAY
    assert body["shares"]["closed"] == 1
    assert (body["closures"]["count"], body["closures"]["began_before"]) == (1, 1)


async def test_the_table_has_what_the_answers_have(here: Api) -> None:
    await record(here, row(HERE, observed_at=day(5), wait=known(7)))
    response = await here.get("/feeds/statistics.csv", border=BORDER, **RANGE)
    found = list(csv.DictReader(StringIO(response.text, newline=""), strict=True))

    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert [line["crossing"] for line in found] == [HERE, THERE]
    for line in found:
        body = await statistics(here, f"crossings/{line['crossing']}")
        for name in ("seconds", "shares", "closures"):
            for within, value in body[name].items():
                assert line[f"{name}_{within}"] == ("" if value is None else json.dumps(value))
        assert json.loads(line["waits"] or "[]") == body["waits"]
    again = await here.client.get(
        response.request.url.raw_path.decode(), headers={"If-None-Match": response.headers["etag"]}
    )
    assert again.status_code == 304


PATHS = [
    "/v1/crossings/sumskas-losa/statistics",
    "/v1/borders/BY-LT/statistics",
    "/feeds/statistics.csv",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"from": "2024-02-01T00:00:00Z", "until": "2024-01-01T00:00:00Z"}, "until"),
        ({"from": "2024-02-01T00:00:00Z", "until": "2024-02-01T00:00:00Z"}, "until"),
        ({"from": "2014-01-01T00:00:00Z", "until": "2024-02-01T00:00:00Z"}, "from"),
        ({"from": "2190-01-01T00:00:00Z"}, "from"),
        ({"until": "2190-01-01T00:00:00Z"}, "until"),
        ({"from": "2024-02-01"}, "from"),
        ({"traffic": "tram"}, "traffic"),
        ({"to": "XX"}, "to"),
        ({"known_at": "2190-01-01T00:00:00Z"}, "known_at"),
        ({"start": "2024-02-01T00:00:00Z"}, "start"),
    ],
)
async def test_a_bad_parameter_is_named(
    seeded_api: Api, path: str, parameters: dict[str, str], field: str
) -> None:
    body = problem(await seeded_api.get(path, **parameters), 422, "invalid")

    assert set(fields_of(body)) == {field}


async def test_what_does_not_exist_is_refused(seeded_api: Api) -> None:
    problem(await seeded_api.get("/v1/crossings/nowhere/statistics"), 404, "crossing-not-found")
    problem(await seeded_api.get("/v1/borders/EE-LV/statistics"), 404, "border-not-found")
    lane = await seeded_api.get(PATHS[0], traffic="train")
    assert problem(lane, 404, "lane-not-found")["lanes"]
    side = await seeded_api.get(PATHS[1], to="PL")
    assert fields_of(problem(side, 422, "invalid")) == ["to"]


async def test_an_answer_about_given_instants_as_known_then_may_be_kept(seeded_api: Api) -> None:
    present = await seeded_api.get(PATHS[0], **RANGE)
    past = await seeded_api.get(PATHS[0], **RANGE, known_change=100)

    assert "no-cache" in present.headers["cache-control"]
    assert "max-age=3600" in past.headers["cache-control"]
    assert past.headers["change-number"] == "100"
