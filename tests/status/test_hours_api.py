"""Regular hours through the API: when a lane is closed by them, and what is said instead."""

from typing import Any

import pytest

from app.audit.service import find_faults
from tests.api import MEDININKAI, Api, citation, decision, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

HERE = f"/v1/crossings/{MEDININKAI}"
NIGHTLY: Body = {
    "side": "LT",
    "traffic": ["car"],
    "time_zone": "Europe/Vilnius",
    "opening_hours": "06:00-22:00",
}
NIGHT, MORNING = "2026-01-14T23:30:00Z", "2026-01-15T04:00:00Z"
DAY = "2026-01-15T10:00:00Z"


async def set_hours(api: Api, *hours: Body) -> Body:
    response = await api.patch(HERE, {"hours": list(hours), "citations": [citation()]})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def opened(api: Api, **more: object) -> None:
    body = decision(
        crossings=[MEDININKAI],
        sides=["BY", "LT"],
        status="open",
        effective={"from": "2026-01-01T00:00:00Z", "until": None},
        **more,
    )
    assert (await api.post("/v1/events", body)).status_code == 201


async def ask(api: Api, **asked: str) -> Body:
    return dict((await api.get(f"{HERE}/status", **asked)).json())


async def test_outside_its_hours_a_lane_is_closed_and_says_when_it_opens(api: Api) -> None:
    await opened(api)
    await set_hours(api, NIGHTLY)

    night = await ask(api, at=NIGHT, traffic="car", to="LT")
    assert (night["status"], night["opens_at"], night["next_change_at"]) == (
        "closed",
        MORNING,
        MORNING,
    )
    assert (night["since"], night["until"]) == ("2026-01-14T20:00:00Z", MORNING)
    assert night["lanes"][0]["reason"] == "hours"
    assert (night["lanes"][0]["decided_by"], night["decided_by"]) == (None, [])
    assert [event["status"] for event in night["also_said"]] == ["open"]
    day = await ask(api, at=DAY, traffic="car", to="LT")
    assert (day["status"], day["opens_at"]) == ("open", None)
    assert (day["since"], day["until"]) == ("2025-11-19T22:00:00Z", None)
    assert day["next_change_at"] == "2026-01-15T20:00:00Z"


async def test_lanes_that_the_hours_are_not_of_stay_as_they_are(api: Api) -> None:
    await opened(api)
    await set_hours(api, NIGHTLY)

    assert (await ask(api, at=NIGHT, traffic="truck"))["status"] == "open"
    assert (await ask(api, at=NIGHT))["status"] == "restricted"


async def test_a_declared_closure_decides_by_night_and_by_day(api: Api) -> None:
    await opened(api)
    await set_hours(api, NIGHTLY)
    body = decision(
        crossings=[MEDININKAI],
        sides=["LT"],
        status="closed",
        effective={"from": "2026-01-14T00:00:00Z", "until": None},
    )
    await api.post("/v1/events", body)

    night = await ask(api, at=NIGHT, traffic="car")
    assert (night["status"], night["opens_at"], len(night["decided_by"])) == ("closed", None, 1)
    assert {lane["reason"] for lane in night["lanes"]} == {None}


async def test_what_was_known_before_the_hours_has_none(api: Api) -> None:
    await opened(api)
    known = (await api.get(HERE)).headers["change-number"]
    await set_hours(api, NIGHTLY)

    assert (await ask(api, at=NIGHT, traffic="car", known_change=known))["status"] == "open"
    await set_hours(api)
    assert (await ask(api, at=NIGHT, traffic="car"))["status"] == "open"


async def test_nights_are_no_changes_of_the_log(api: Api, seeded: Database) -> None:
    await opened(api)
    version = (await set_hours(api, NIGHTLY))["version"]
    (change,) = (await api.get("/v1/changes", after=version - 1)).json()["items"]

    assert change["payload"]["crossings"][0]["hours"] == [{**NIGHTLY, "to": None}]
    for answer in change["payload"].get("answers", ()):
        assert answer["lanes"] == []
    async with seeded.session() as session:
        assert [fault async for fault in find_faults(session)] == []


async def test_a_timeline_shows_hours_only_if_asked_and_for_a_year_at_most(api: Api) -> None:
    await opened(api)
    await set_hours(api, NIGHTLY)
    asked = {"traffic": "car", "to": "LT", "start": "2026-01-14T12:00:00Z"}
    path = f"{HERE}/timeline"

    declared = (await api.get(path, **asked, end="2026-01-16T12:00:00Z")).json()["items"]
    shown = (await api.get(path, **asked, end="2026-01-16T12:00:00Z", hours="true")).json()["items"]
    assert [one["status"] for one in declared] == ["open"]
    assert [(one["status"], one["from"]) for one in shown] == [
        ("open", "2026-01-14T12:00:00Z"),
        ("closed", "2026-01-14T20:00:00Z"),
        ("open", "2026-01-15T04:00:00Z"),
        ("closed", "2026-01-15T20:00:00Z"),
        ("open", "2026-01-16T04:00:00Z"),
    ]
    for more in ({}, {"end": "2027-01-16T12:00:00Z"}):
        response = await api.get(path, **asked, **more, hours="true")
        assert fields_of(problem(response, 422, "invalid")) == ["hours"]


async def test_pages_of_a_timeline_with_hours_follow_each_other(api: Api) -> None:
    await opened(api)
    await set_hours(api, NIGHTLY)
    asked = {"traffic": "car", "start": DAY, "end": "2026-01-20T10:00:00Z", "hours": "true"}
    whole = (await api.get(f"{HERE}/timeline", **asked)).json()["items"]

    found: list[Body] = []
    page = (await api.get(f"{HERE}/timeline", **asked, limit=2)).json()
    found += page["items"]
    while page["next"]:
        page = (await api.get(page["next"])).json()
        found += page["items"]
    assert found == whole
    assert len(whole) == 11


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"opening_hours": "Mo-Fr 6-22"}, "hours.0.opening_hours"),
        ({"opening_hours": ""}, "hours.0.opening_hours"),
        ({"opening_hours": "sunrise-sunset"}, "hours.0.opening_hours"),
        ({"opening_hours": "x" * 501}, "hours.0.opening_hours"),
        ({"opening_hours": None}, "hours.0.opening_hours"),
        ({"time_zone": "Europe/Nowhere"}, "hours.0.time_zone"),
        ({"time_zone": "../etc/passwd"}, "hours.0.time_zone"),
        ({"side": "PL"}, "hours"),
        ({"to": "PL"}, "hours"),
        ({"traffic": []}, "hours.0.traffic"),
        ({"traffic": ["train"]}, "hours"),
        ({"colour": "red"}, "hours.0.colour"),
    ],
)
async def test_bad_hours_are_refused_by_field(api: Api, change: Body, field: str) -> None:
    body = {"hours": [{**NIGHTLY, **change}], "citations": [citation()]}
    assert fields_of(problem(await api.patch(HERE, body), 422, "invalid")) == [field]
