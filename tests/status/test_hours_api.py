"""Regular hours through the API: when a lane is closed by them, and what is said instead."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.audit.service import find_faults
from tests.api import MEDININKAI, Api, citation, decision, fields_of, problem
from tests.conftest import Database
from tests.marks import full

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


async def opened(api: Api, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
    body = decision(
        crossings=[MEDININKAI],
        sides=["BY", "LT"],
        status="open",
        effective={"from": start.isoformat(), "until": None},
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


BAD: list[tuple[Body, str]] = [
    ({"opening_hours": "Mo-Fr 6-22"}, "hours.0.opening_hours"),
    ({"opening_hours": ""}, "hours.0.opening_hours"),
    ({"opening_hours": "sunrise-sunset"}, "hours.0.opening_hours"),
    ({"opening_hours": "Mo-Fr 06:00-22:00 || unknown"}, "hours.0.opening_hours"),
    ({"opening_hours": "x" * 501}, "hours.0.opening_hours"),
    ({"opening_hours": None}, "hours.0.opening_hours"),
    ({"time_zone": "Europe/Nowhere"}, "hours.0.time_zone"),
    ({"time_zone": "../etc/passwd"}, "hours.0.time_zone"),
    ({"side": "PL"}, "hours"),
    ({"to": "PL"}, "hours"),
    ({"traffic": []}, "hours.0.traffic"),
    ({"traffic": ["train"]}, "hours"),
    ({"colour": "red"}, "hours.0.colour"),
]


async def test_bad_hours_are_refused_by_field(api: Api) -> None:
    for change, field in BAD:
        body = {"hours": [{**NIGHTLY, **change}], "citations": [citation()]}
        response = await api.patch(HERE, body)
        assert fields_of(problem(response, 422, "invalid")) == [field], change


async def test_traffic_that_has_hours_of_its_own_cannot_be_left_out(api: Api) -> None:
    await set_hours(api, NIGHTLY)

    response = await api.patch(HERE, {"traffic": ["truck"], "citations": [citation()]})
    assert fields_of(problem(response, 422, "invalid")) == ["traffic"]


SAYABLE = [
    # Overnight.
    ("Mo-Fr 20:00-06:00", "2026-01-17T03:00:00Z", "open", None),
    ("Mo-Fr 20:00-06:00", "2026-01-17T05:00:00Z", "closed", "2026-01-19T18:00:00Z"),
    # A public holiday of the side.
    ("08:00-20:00; PH off", "2026-02-16T10:00:00Z", "closed", "2026-02-17T06:00:00Z"),
    # The nights in which clocks are put forward and back.
    ("06:00-22:00", "2026-03-29T00:30:00Z", "closed", "2026-03-29T03:00:00Z"),
    ("06:00-22:00", "2026-10-25T00:30:00Z", "closed", "2026-10-25T04:00:00Z"),
    # A season, and the summer time in it.
    ("Apr-Oct 08:00-20:00", "2026-03-30T10:00:00Z", "closed", "2026-04-01T05:00:00Z"),
    # Every night from 22:00 to 06:00, until May.
    (
        "00:00-24:00; 2026 Jan 01-2026 Apr 30 06:00-22:00",
        "2026-04-29T20:00:00Z",
        "closed",
        "2026-04-30T03:00:00Z",
    ),
    ("00:00-24:00; 2026 Jan 01-2026 Apr 30 06:00-22:00", "2026-05-03T20:00:00Z", "open", None),
    # Never.
    ("off", NIGHT, "closed", None),
]
"""What is asked of a crossing with these hours, and when it opens."""


@full
async def test_what_hours_can_say(api: Api) -> None:
    for hours, at, status, opens_at in SAYABLE:
        await opened(api, datetime.fromisoformat(at) - timedelta(days=5))
        await set_hours(api, {**NIGHTLY, "opening_hours": hours})

        told = await ask(api, at=at, traffic="car", to="LT")
        assert (told["status"], told["opens_at"]) == (status, opens_at), hours
        if opens_at:
            assert told["next_change_at"] == opens_at


async def test_hours_open_nothing(api: Api) -> None:
    """Before anything was declared, and where it is restricted."""
    await set_hours(api, NIGHTLY)
    lane = {"traffic": "car", "to": "LT"}
    assert (await ask(api, at="2001-01-15T10:00:00Z", **lane))["status"] == "unknown"
    assert (await ask(api, at="2001-01-15T23:00:00Z", **lane))["status"] == "closed"

    body = decision(
        crossings=[MEDININKAI],
        sides=["LT"],
        status="restricted",
        effective={"from": "2026-01-14T00:00:00Z", "until": None},
    )
    assert (await api.post("/v1/events", body)).status_code == 201
    assert (await ask(api, at=DAY, **lane))["status"] == "restricted"
    assert (await ask(api, at=NIGHT, **lane))["status"] == "closed"


async def test_at_night_no_list_has_it_among_what_is_open(api: Api) -> None:
    await opened(api)
    await set_hours(api, {**NIGHTLY, "traffic": None})

    async def listed(at: str) -> bool:
        response = await api.get("/v1/crossings", status="open", at=at, traffic="car")
        return MEDININKAI in {one["id"] for one in response.json()["items"]}

    assert await listed(DAY)
    assert not await listed(NIGHT)


async def test_feeds_and_exports_leave_hours_out(api: Api) -> None:
    await opened(api)
    paths = (f"/feeds/crossings/{MEDININKAI}.ics", "/feeds/timelines.ndjson")
    before = [(await api.get(path)).text for path in paths]
    await set_hours(api, {**NIGHTLY, "opening_hours": "off"})

    assert [(await api.get(path)).text for path in paths] == before


async def test_hours_that_nobody_told_us_are_a_gap_and_not_always_open(api: Api) -> None:
    async def unknown() -> bool:
        gaps = (await api.get("/v1/borders/BY-LT")).json()["not_covered"]
        found = {gap["code"]: gap["crossings"] for gap in gaps}
        return MEDININKAI in found["opening_hours"]

    def all_day(side: str, **some: object) -> Body:
        return {"side": side, "time_zone": "Europe/Vilnius", "opening_hours": "24/7", **some}

    assert (await api.get(HERE)).json()["hours"] == []
    assert await unknown()
    await set_hours(api, all_day("LT"))
    assert await unknown()
    await set_hours(api, all_day("LT"), all_day("BY", to="BY"))
    assert await unknown()
    await set_hours(api, all_day("LT"), all_day("BY", to="BY"), all_day("BY", to="LT"))
    assert not await unknown()
