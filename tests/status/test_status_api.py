"""The question over HTTP: its body, its parameters, and that the past stays as it was told."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import psycopg
import pytest

from app.crossings.recording import revise_crossing
from app.embedded.server import SUPERUSER
from app.places.schemas import CrossingIn
from app.seeding.service import SEEDER
from app.status.recording import record_decision
from app.status.schemas import DecisionIn
from tests.api import SUMSKAS, TVERECIUS, Api, citation, crossing, decision, fields_of, problem
from tests.conftest import Database
from tests.marks import full

Body = dict[str, Any]
Asked = dict[str, str | int]

HERE = "new-crossing"
PATH = f"/v1/crossings/{HERE}/status"
NOON = "2024-01-05T12:00:00Z"
STATUS_FIELDS = """
    crossing status last_known at known_at since until expires_at expected_until overdue
    next_change_at opens_at last_confirmed_at stale sides lanes waits decided_by also_said
    retired_at replaced_by change
"""
EVENT_FIELDS = """
    id kind crossing decision change sides status effective expected_until traffic to reason
    exceptions max_weight_kg max_height_m certainty precision time_zone announced_at confirmed_at
    recorded_at recorded_by supersedes retracts superseded_by retracted_by incident citations
"""


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with one crossing of car lanes, and nothing said about it."""
    async with database.api() as api:
        await add(api)
        yield api


async def add(api: Api, crossing_id: str = HERE, **fields: object) -> Body:
    response = await api.post("/v1/crossings", crossing(crossing_id, **fields))
    assert response.status_code == 201, response.text
    body: Body = response.json()
    return body


async def declare(api: Api, status: str, start: str, **fields: object) -> Body:
    """Record that ``HERE`` is ``status`` from ``start`` on, announced at that instant."""
    effective = {"from": start, "until": fields.pop("until", None)}
    said: dict[str, object] = {"crossings": [HERE], "announced_at": start, **fields}
    return await api.declare(status=status, effective=effective, **said)


async def confirm(api: Api, at: str, **fields: object) -> Body:
    body = {"sides": ["LT"], "confirmed_at": at, "citations": [citation()], **fields}
    response = await api.post(f"/v1/crossings/{HERE}/confirmations", body)
    assert response.status_code == 201, response.text
    told: Body = response.json()
    return told


async def ask(api: Api, crossing_id: str = HERE, **parameters: str | int) -> Body:
    return await api.status(crossing_id, **parameters)


def event(told: Body) -> Body:
    (found,) = told["events"]
    assert isinstance(found, dict)
    return found


def picked(body: Body, names: str) -> Body:
    return {name: body[name] for name in names.split()}


# The body


async def test_an_answer_has_exactly_these_fields_in_this_order(here: Api) -> None:
    source = (await here.post("/v1/sources", {"title": "A decree"})).json()["id"]
    told = await here.declare(
        crossings=[HERE],
        sides=["LT"],
        effective={"from": "2023-08-18T00:00:00+03:00", "until": None},
        expected_until="2023-10-01T00:00:00Z",
        reason={"code": "security", "text": "Preventive measure"},
        exceptions=[{"code": "diplomats", "text": None}],
        precision="day",
        announced_at="2023-08-16T00:00:00+03:00",
        citations=[{"source": source, "locator": "paragraph 1", "basis": "inferred"}],
    )
    event_id, decision_id = event(told)["id"], told["decision"]
    lane = {
        "status": "closed",
        "last_known": None,
        "stale": False,
        "overdue": False,
        "decided_by": event_id,
        "reason": None,
    }
    expected: Body = {
        "crossing": HERE,
        "status": "closed",
        "last_known": None,
        "at": "2023-09-01T00:00:00Z",
        "known_at": None,
        "since": "2023-08-17T21:00:00Z",
        "until": None,
        "expires_at": None,
        "expected_until": "2023-10-01T00:00:00Z",
        "overdue": False,
        "next_change_at": "2023-09-16T21:00:00Z",
        "opens_at": None,
        "last_confirmed_at": "2023-08-17T21:00:00Z",
        "stale": False,
        "sides": {"BY": "unknown", "LT": "closed"},
        "lanes": [
            {"traffic": "car", "to": "BY", **lane},
            {"traffic": "car", "to": "LT", **lane},
        ],
        "waits": [],
        "decided_by": [
            {
                "id": event_id,
                "kind": "declaration",
                "crossing": HERE,
                "decision": decision_id,
                "change": 3,
                "sides": ["LT"],
                "status": "closed",
                "effective": {"from": "2023-08-17T21:00:00Z", "until": None},
                "expected_until": "2023-10-01T00:00:00Z",
                "traffic": None,
                "to": None,
                "reason": {"code": "security", "text": "Preventive measure"},
                "exceptions": [{"code": "diplomats", "text": None}],
                "max_weight_kg": None,
                "max_height_m": None,
                "certainty": "confirmed",
                "precision": "day",
                "time_zone": "Europe/Vilnius",
                "announced_at": "2023-08-15T21:00:00Z",
                "confirmed_at": None,
                "recorded_at": event(told)["recorded_at"],
                "recorded_by": "reporter",
                "supersedes": None,
                "retracts": None,
                "superseded_by": None,
                "retracted_by": None,
                "incident": None,
                "citations": [{"source": source, "locator": "paragraph 1", "basis": "inferred"}],
            }
        ],
        "also_said": [],
        "retired_at": None,
        "replaced_by": None,
        "change": 3,
    }
    assert [*expected] == STATUS_FIELDS.split()
    assert [*expected["decided_by"][0]] == EVENT_FIELDS.split()

    response = await here.get(PATH, at="2023-09-01T00:00:00Z")

    assert response.text == json.dumps(expected, separators=(",", ":"))
    assert response.headers["change-number"] == "3"
    assert response.headers["content-type"] == "application/json"


async def test_sumskas_is_closed_for_years_and_nobody_confirmed_it_lately(
    seeded_api: Api,
) -> None:
    """The example that the documentation gives, from the seeds."""
    body = await ask(seeded_api, SUMSKAS)

    assert [*body] == STATUS_FIELDS.split()
    (decider,) = body["decided_by"]
    assert [*decider] == EVENT_FIELDS.split()
    assert picked(body, STATUS_FIELDS.partition("lanes")[0]) == {
        "crossing": SUMSKAS,
        "status": "closed",
        "last_known": None,
        "at": None,
        "known_at": None,
        "since": "2023-08-17T21:00:00Z",
        "until": None,
        "expires_at": None,
        "expected_until": None,
        "overdue": False,
        "next_change_at": None,
        "opens_at": None,
        "last_confirmed_at": "2025-10-28T22:00:00Z",
        "stale": True,
        "sides": {"BY": "unknown", "LT": "closed"},
    }
    assert body["also_said"] == []


async def test_at_is_null_unless_asked_for(here: Api) -> None:
    assert (await ask(here))["at"] is None
    assert (await ask(here, at="2024-01-01T01:00:00+01:00"))["at"] == "2024-01-01T00:00:00Z"


async def test_a_crossing_of_which_nothing_was_said_is_unknown(here: Api) -> None:
    lane = {
        "status": "unknown",
        "last_known": None,
        "stale": False,
        "overdue": False,
        "decided_by": None,
        "reason": None,
    }
    assert await ask(here) == {
        "crossing": HERE,
        "status": "unknown",
        "last_known": None,
        "at": None,
        "known_at": None,
        "since": None,
        "until": None,
        "expires_at": None,
        "expected_until": None,
        "overdue": False,
        "next_change_at": None,
        "opens_at": None,
        "last_confirmed_at": None,
        "stale": False,
        "sides": {"BY": "unknown", "LT": "unknown"},
        "lanes": [{"traffic": "car", "to": "BY", **lane}, {"traffic": "car", "to": "LT", **lane}],
        "waits": [],
        "decided_by": [],
        "also_said": [],
        "retired_at": None,
        "replaced_by": None,
        "change": 1,
    }


# Fields by example


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2023-12-31T23:59:59.999999Z", ("unknown", None, None, "2024-01-01", "2024-01-01", None)),
        ("2024-01-01T00:00:00Z", ("open", None, "2024-01-01", "2024-01-10", "2024-01-10", 1)),
        ("2024-01-09T23:59:59Z", ("open", None, "2024-01-01", "2024-01-10", "2024-01-10", 1)),
        ("2024-01-10T00:00:00Z", ("closed", None, "2024-01-10", "2024-01-12", "2024-01-12", 10)),
        ("2024-01-12T00:00:00Z", ("open", None, "2024-01-12", None, "2024-02-11", 12)),
        ("2024-02-11T00:00:00Z", ("unknown", "open", "2024-02-11", None, None, 12)),
    ],
)
async def test_since_until_and_next_change_bound_the_period(
    here: Api, at: str, expected: tuple[str, str | None, str | None, str | None, str | None, int]
) -> None:
    """Open, shut for two days, open again until further notice; it expires after thirty days."""
    await declare(here, "open", "2024-01-01T00:00:00Z")
    await declare(here, "closed", "2024-01-10T00:00:00Z", until="2024-01-12T00:00:00Z")
    body = await ask(here, at=at)

    status, last_known, since, until, next_change_at, confirmed = expected
    assert picked(body, "status last_known since until next_change_at last_confirmed_at") == {
        "status": status,
        "last_known": last_known,
        "since": since and f"{since}T00:00:00Z",
        "until": until and f"{until}T00:00:00Z",
        "next_change_at": next_change_at and f"{next_change_at}T00:00:00Z",
        "last_confirmed_at": confirmed and f"2024-01-{confirmed:02}T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("at", "status", "until", "expires_at"),
    [
        ("2024-01-02T00:00:00Z", "open", "2024-01-10T00:00:00Z", None),
        ("2024-01-11T00:00:00Z", "closed", "2024-01-12T00:00:00Z", None),
        ("2024-01-13T00:00:00Z", "open", None, "2024-02-11T00:00:00Z"),
        ("2024-02-12T00:00:00Z", "unknown", None, None),
    ],
)
async def test_an_open_without_an_end_has_no_until_but_tells_when_it_expires(
    here: Api, at: str, status: str, until: str | None, expires_at: str | None
) -> None:
    await declare(here, "open", "2024-01-01T00:00:00Z")
    await declare(here, "closed", "2024-01-10T00:00:00Z", until="2024-01-12T00:00:00Z")

    assert picked(await ask(here, at=at), "status until expires_at") == {
        "status": status,
        "until": until,
        "expires_at": expires_at,
    }


@pytest.mark.parametrize(
    ("at", "overdue", "stale", "next_change_at"),
    [
        ("2024-01-09T23:59:59.999999Z", False, False, "2024-01-10T00:00:00Z"),
        ("2024-01-10T00:00:00Z", True, False, "2024-01-31T00:00:00Z"),
        ("2024-01-31T00:00:00Z", True, True, None),
    ],
)
async def test_an_expected_end_that_passes_makes_a_closure_overdue_and_then_it_grows_stale(
    here: Api, at: str, overdue: bool, stale: bool, next_change_at: str | None
) -> None:
    await declare(here, "closed", "2024-01-01T00:00:00Z", expected_until="2024-01-10T00:00:00Z")
    body = await ask(here, at=at)

    assert picked(body, "status expected_until overdue stale until next_change_at") == {
        "status": "closed",
        "expected_until": "2024-01-10T00:00:00Z",
        "overdue": overdue,
        "stale": stale,
        "until": None,
        "next_change_at": next_change_at,
    }
    assert {(lane["overdue"], lane["stale"]) for lane in body["lanes"]} == {(overdue, stale)}


async def test_a_confirmation_moves_last_confirmed_at_and_puts_off_stale(here: Api) -> None:
    await declare(here, "closed", "2024-01-01T00:00:00Z")
    await confirm(here, "2024-01-20T00:00:00Z")

    body = await ask(here, at="2024-02-01T00:00:00Z")
    assert picked(body, "status stale last_confirmed_at next_change_at") == {
        "status": "closed",
        "stale": False,
        "last_confirmed_at": "2024-01-20T00:00:00Z",
        "next_change_at": "2024-02-19T00:00:00Z",
    }
    assert (await ask(here, at="2024-02-19T00:00:00Z"))["stale"] is True


async def test_a_rumour_is_shown_beside_the_status_and_decides_nothing(here: Api) -> None:
    firm = event(await declare(here, "open", "2024-01-01T00:00:00Z"))
    before = await ask(here, at=NOON)
    rumour = event(await declare(here, "closed", "2024-01-02T00:00:00Z", certainty="unconfirmed"))
    after = await ask(here, at=NOON)

    assert after == {**before, "also_said": [rumour], "change": rumour["change"]}
    assert after["decided_by"] == [firm]


async def test_what_the_other_side_says_otherwise_is_shown_beside_the_status(here: Api) -> None:
    opened = event(await declare(here, "open", "2024-01-01T00:00:00Z", sides=["BY"]))
    closed = event(await declare(here, "closed", "2024-01-02T00:00:00Z", sides=["LT"]))
    body = await ask(here, at=NOON)

    assert picked(body, "status sides decided_by also_said") == {
        "status": "closed",
        "sides": {"BY": "open", "LT": "closed"},
        "decided_by": [closed],
        "also_said": [opened],
    }


# Parameters


async def test_an_instant_is_the_same_in_every_offset_even_with_its_plus_unescaped(
    seeded_api: Api,
) -> None:
    path = f"/v1/crossings/{SUMSKAS}/status"
    raw = await seeded_api.client.get(f"{path}?at=2023-08-18T00:00:00+03:00")
    assert raw.request.url.query == b"at=2023-08-18T00:00:00+03:00"
    assert raw.status_code == 200
    assert raw.json()["at"] == "2023-08-17T21:00:00Z"
    assert raw.json()["status"] == "closed"
    for instant in (
        "2023-08-18T00:00:00+03:00",
        "2023-08-17T21:00:00Z",
        "2023-08-17t21:00:00z",
        "2023-08-17T16:00:00.000-05:00",
        "2023-08-17T21:00:00.000000-00:00",
    ):
        assert (await seeded_api.get(path, at=instant)).content == raw.content
    just_before = await seeded_api.get(path, at="2023-08-17T20:59:59.999999Z")
    assert just_before.json()["status"] == "restricted"


async def test_an_unescaped_plus_is_read_in_every_parameter_that_is_an_instant(
    seeded_api: Api,
) -> None:
    path = f"/v1/crossings/{SUMSKAS}/timeline"
    raw = await seeded_api.client.get(
        f"{path}?start=2023-08-18T00:00:00+03:00&end=2023-09-18T00:00:00+03:00"
        "&known_at=2024-01-01T00:00:00+02:00"
    )
    escaped = await seeded_api.get(
        path,
        start="2023-08-17T21:00:00Z",
        end="2023-09-17T21:00:00Z",
        known_at="2023-12-31T22:00:00Z",
    )
    assert raw.status_code == 200
    assert raw.content == escaped.content


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"at": "2023-08-18T00:00:00"}, "at"),
        ({"at": "2023-08-18"}, "at"),
        ({"at": "1692306000"}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"at": ""}, "at"),
        ({"at": "2023-02-30T00:00:00Z"}, "at"),
        ({"at": "2023-08-18T25:00:00Z"}, "at"),
        ({"at": "1899-12-31T23:59:59Z"}, "at"),
        ({"at": "2200-01-01T00:00:00Z"}, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "at"),
        ({"known_at": "2023-08-18T00:00:00"}, "known_at"),
        ({"known_at": "2190-01-01T00:00:00Z"}, "known_at"),
        ({"known_change": "-1"}, "known_change"),
        ({"known_change": "1000000"}, "known_change"),
        ({"known_change": str(2**70)}, "known_change"),
        ({"known_change": "latest"}, "known_change"),
        ({"known_change": "1", "known_at": "2023-08-18T00:00:00Z"}, "known_change"),
        ({"traffic": "tram"}, "traffic"),
        ({"traffic": ""}, "traffic"),
        ({"to": "XX"}, "to"),
        ({"to": "lt"}, "to"),
        ({"to": ""}, "to"),
        ({"when": "now"}, "when"),
    ],
)
@pytest.mark.parametrize("what", ["status", "timeline"])
async def test_a_parameter_that_makes_no_sense_is_refused_by_name(
    seeded_api: Api, what: str, parameters: dict[str, str], named: str
) -> None:
    if what == "timeline" and "at" in parameters:
        parameters = {"start": parameters["at"]}
        named = "start"
    response = await seeded_api.get(f"/v1/crossings/{SUMSKAS}/{what}", **parameters)
    assert fields_of(problem(response, 422, "invalid")) == [named]


async def test_the_newest_change_may_be_asked_for_and_the_next_one_not(seeded_api: Api) -> None:
    path = f"/v1/crossings/{SUMSKAS}/status"
    newest = int((await seeded_api.get(path)).headers["change-number"])
    assert (await seeded_api.get(path, known_change=newest)).status_code == 200
    refused = await seeded_api.get(path, known_change=newest + 1)
    assert str(newest) in str(problem(refused, 422, "invalid")["detail"])


@pytest.mark.parametrize(
    ("parameters", "lanes"),
    [
        ({"traffic": "truck"}, ["truck BY", "truck LT"]),
        ({"to": "LT"}, ["car LT", "truck LT"]),
        ({"traffic": "car", "to": "BY"}, ["car BY"]),
        ({}, ["car BY", "car LT", "truck BY", "truck LT"]),
    ],
)
async def test_traffic_and_direction_pick_the_lanes_that_are_asked_about(
    seeded_api: Api, parameters: Asked, lanes: list[str]
) -> None:
    body = await ask(seeded_api, SUMSKAS, **parameters)
    assert [f"{lane['traffic']} {lane['to']}" for lane in body["lanes"]] == lanes


async def test_an_answer_for_lanes_is_about_those_lanes_only(here: Api) -> None:
    """The other lane's events neither decide, nor are also said, nor bound the period."""
    opened = event(await declare(here, "open", "2024-01-01T00:00:00Z", to="LT"))
    await declare(here, "closed", "2024-01-04T00:00:00Z", to="BY")
    await declare(here, "closed", "2024-01-03T00:00:00Z", to="BY", certainty="unconfirmed")
    whole = await ask(here, at=NOON)
    lane = await ask(here, at=NOON, traffic="car", to="LT")

    assert picked(whole, "status since sides") == {
        "status": "restricted",
        "since": "2024-01-01T00:00:00Z",
        "sides": {"BY": "unknown", "LT": "restricted"},
    }
    assert len(whole["also_said"]) == 1
    assert picked(lane, "status since until expires_at sides decided_by also_said lanes") == {
        "status": "open",
        "since": "2024-01-01T00:00:00Z",
        "until": None,
        "expires_at": "2024-01-31T00:00:00Z",
        "sides": {"BY": "unknown", "LT": "open"},
        "decided_by": [opened],
        "also_said": [],
        "lanes": [one for one in whole["lanes"] if one["to"] == "LT"],
    }


@pytest.mark.parametrize(
    "parameters",
    [{"traffic": "train"}, {"to": "PL"}, {"traffic": "car", "to": "PL"}, {"traffic": "bicycle"}],
)
@pytest.mark.parametrize("what", ["status", "timeline"])
async def test_a_lane_that_the_crossing_lacks_is_not_found_and_those_it_has_are_listed(
    seeded_api: Api, what: str, parameters: Asked
) -> None:
    response = await seeded_api.get(f"/v1/crossings/{SUMSKAS}/{what}", **parameters)
    assert problem(response, 404, "lane-not-found")["lanes"] == [
        {"traffic": traffic, "to": to} for traffic in ("car", "truck") for to in ("BY", "LT")
    ]


@pytest.mark.parametrize("what", ["status", "timeline", "events"])
async def test_an_unknown_crossing_is_not_found(seeded_api: Api, what: str) -> None:
    response = await seeded_api.get(f"/v1/crossings/nowhere-at-all/{what}")
    assert "nowhere-at-all" in str(problem(response, 404, "crossing-not-found")["detail"])


# Knowledge


async def test_before_its_first_version_a_crossing_has_that_versions_lanes_all_unknown(
    here: Api, database: Database
) -> None:
    await revise(database, traffic=["car", "bus"])
    await declare(here, "closed", "2024-01-01T00:00:00Z")
    lane = {
        "status": "unknown",
        "last_known": None,
        "stale": False,
        "overdue": False,
        "decided_by": None,
        "reason": None,
    }

    response = await here.get(PATH, known_change=0, at=NOON)

    assert response.headers["change-number"] == "0"
    assert response.json() == {
        "crossing": HERE,
        "status": "unknown",
        "last_known": None,
        "at": NOON,
        "known_at": None,
        "since": None,
        "until": None,
        "expires_at": None,
        "expected_until": None,
        "overdue": False,
        "next_change_at": None,
        "opens_at": None,
        "last_confirmed_at": None,
        "stale": False,
        "sides": {"BY": "unknown", "LT": "unknown"},
        "lanes": [{"traffic": "car", "to": "BY", **lane}, {"traffic": "car", "to": "LT", **lane}],
        "waits": [],
        "decided_by": [],
        "also_said": [],
        "retired_at": None,
        "replaced_by": None,
        "change": None,
    }


async def test_a_new_version_of_the_details_leaves_past_answers_as_they_were(
    here: Api, database: Database
) -> None:
    await declare(here, "open", "2024-01-01T00:00:00Z")
    before = await here.get(PATH, at="2024-01-15T00:00:00Z")
    await revise(database, traffic=["car", "bus"], confirm_within_days=7)
    now = await ask(here, at="2024-01-15T00:00:00Z")
    then = await here.get(PATH, at="2024-01-15T00:00:00Z", known_change=2)

    assert (now["status"], now["last_known"], len(now["lanes"])) == ("unknown", "open", 4)
    assert now["change"] == 3
    assert then.content == before.content
    gone = await here.get(PATH, traffic="bus", known_change=2)
    problem(gone, 404, "lane-not-found")


async def test_the_change_number_is_the_newest_change_that_the_answer_reflects(here: Api) -> None:
    told = await declare(here, "closed", "2024-01-01T00:00:00Z")
    await add(here, "elsewhere")
    recorded_at = event(told)["recorded_at"]
    just_before = str(datetime.fromisoformat(recorded_at) - timedelta(microseconds=1))

    async def number(**parameters: str | int) -> str:
        return str((await here.get(PATH, **parameters)).headers["change-number"])

    assert await number() == "3"
    assert await number(known_change=2) == "2"
    assert await number(known_at=recorded_at) == "2"
    assert await number(known_at=just_before.replace(" ", "T")) == "1"
    assert await number(known_at="2000-01-01T00:00:00Z") == "0"
    assert await number(at="2000-01-01T00:00:00Z") == "3"


async def test_the_change_in_the_body_is_the_last_one_that_touched_the_crossing(here: Api) -> None:
    await declare(here, "closed", "2024-01-01T00:00:00Z")
    await add(here, "elsewhere")
    await here.declare(crossings=["elsewhere"])
    await confirm(here, "2024-01-02T00:00:00Z")
    await here.declare(crossings=["elsewhere"])

    assert (await ask(here))["change"] == 5
    assert (await ask(here, known_change=4))["change"] == 2
    assert (await ask(here, known_change=1))["change"] == 1


async def test_the_same_knowledge_gives_the_same_bytes_whatever_happens_elsewhere(
    here: Api,
) -> None:
    await add(here, "elsewhere")
    await declare(here, "closed", "2024-01-01T00:00:00Z")
    first = await here.get(PATH)
    await here.declare(crossings=["elsewhere"])
    second = await here.get(PATH)

    assert second.content == first.content
    assert (first.headers["change-number"], second.headers["change-number"]) == ("3", "4")


async def test_what_became_of_an_event_is_told_as_known_at_the_time(here: Api) -> None:
    first = event(await declare(here, "closed", "2024-01-01T00:00:00Z"))
    mended = event(await declare(here, "closed", "2024-01-02T00:00:00Z", supersedes=[first["id"]]))
    other = event(await declare(here, "restricted", "2024-01-03T00:00:00Z", sides=["BY"]))
    retraction = await here.post(
        f"/v1/events/{other['id']}/retraction", {"reason": {"code": "other"}}
    )
    withdrawn = event(retraction.json())

    assert (await ask(here, at=NOON, known_change=2))["decided_by"] == [first]
    known = await ask(here, at=NOON, known_change=4)
    assert (known["decided_by"], known["also_said"]) == ([mended], [other])
    now = await ask(here, at=NOON)
    assert (now["decided_by"], now["also_said"]) == ([mended], [])
    after_first = (await here.get(f"/v1/events/{first['id']}")).json()
    assert after_first == {**first, "superseded_by": mended["id"]}
    after_other = (await here.get(f"/v1/events/{other['id']}")).json()
    assert after_other == {**other, "retracted_by": withdrawn["id"]}


async def test_a_correction_changes_the_past_but_not_what_was_known_then(here: Api) -> None:
    wrong = event(await declare(here, "closed", "2024-01-01T00:00:00Z"))
    known_at = wrong["recorded_at"]
    await declare(here, "open", "2024-01-01T00:00:00Z", supersedes=[wrong["id"]])

    assert (await ask(here, at=NOON))["status"] == "open"
    assert (await ask(here, at=NOON, known_at=known_at))["status"] == "closed"
    assert (await ask(here, at=NOON, known_at=known_at))["known_at"] == known_at


async def test_a_question_by_instant_waits_for_the_writer_in_flight(
    here: Api, database: Database
) -> None:
    """What is recorded before the instant and committed after the question is in the answer."""
    closure = DecisionIn.model_validate(decision(crossings=[HERE]))
    async with database.session() as session:
        written = await record_decision(session, SEEDER, decision=closure)
        known_at = datetime.now(UTC).isoformat()
        asked_now = await here.get(PATH)  # everything committed: nobody waits for that
        assert asked_now.json()["status"] == "unknown"
        asked = asyncio.create_task(here.get(PATH, known_at=known_at))
        with database.connect(SUPERUSER) as observer:
            await until_someone_waits(observer)
        assert not asked.done()
    answer = await asyncio.wait_for(asked, 30)

    assert answer.json()["status"] == "closed"
    assert answer.headers["change-number"] == str(written.change)
    again = await here.get(PATH, known_at=known_at)
    assert again.content == answer.content


async def until_someone_waits(observer: psycopg.Connection) -> None:
    """Return once somebody waits for an advisory lock in this database."""
    deadline = time.monotonic() + 10
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
    )
    while observer.execute(waiting).fetchone() == (0,):
        assert time.monotonic() < deadline, "nobody waits"
        await asyncio.sleep(0.01)


async def revise(database: Database, **fields: object) -> None:
    """Write a new version of the details of ``HERE``, as a changed seed does."""
    details = CrossingIn.model_validate(crossing(fields.pop("crossing_id", HERE), **fields))  # type: ignore[arg-type]
    async with database.session() as session:
        await revise_crossing(session, SEEDER, crossing=details)


# A random run


@dataclass
class Told:
    """An answer that was given, and how to ask for it again."""

    path: str
    parameters: Asked
    content: bytes


@dataclass
class Run:
    """Random writes of every kind, and random questions in between."""

    api: Api
    database: Database
    random: random.Random
    crossings: list[str] = field(default_factory=lambda: ["first", "second", "third"])
    events: list[Body] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    written: set[str] = field(default_factory=set)

    async def write(self) -> None:
        kinds = ["decision"] * 6 + ["correction"] * 2 + ["retraction", "confirmation"] * 2
        kind = self.random.choice([*kinds, "version", "crossing", "source"])
        if kind in {"correction", "retraction"} and not self.events:
            kind = "decision"
        wrote = await getattr(self, f"_{kind}")()
        if wrote:
            self.written.add(kind)

    async def _decision(self) -> bool:
        count = self.random.randint(1, len(self.crossings))
        return await self._post("/v1/events", self._body(self.random.sample(self.crossings, count)))

    async def _correction(self) -> bool:
        target = self.random.choice(self.events)
        body = self._body([target["crossing"]])
        return await self._post("/v1/events", {**body, "supersedes": [target["id"]]})

    async def _retraction(self) -> bool:
        target = self.random.choice(self.events)["id"]
        return await self._post(f"/v1/events/{target}/retraction", {"reason": {"code": "other"}})

    async def _confirmation(self) -> bool:
        body = {
            "sides": self._sides(),
            "confirmed_at": self._past(),
            "traffic": self.random.choice([None, ["car"]]),
            "to": self.random.choice([None, "LT"]),
            "citations": [citation()],
        }
        place = self.random.choice(self.crossings)
        return await self._post(f"/v1/crossings/{place}/confirmations", body)

    async def _version(self) -> bool:
        await revise(
            self.database,
            crossing_id=self.random.choice(self.crossings),
            traffic=self.random.choice([["car"], ["car", "bus"], ["truck", "car"]]),
            confirm_within_days=self.random.choice([5, 30, 90]),
        )
        return True

    async def _crossing(self) -> bool:
        await add(self.api, f"added-{self.random.getrandbits(40)}")
        return True

    async def _source(self) -> bool:
        return (await self.api.post("/v1/sources", {"title": "Beside"})).status_code == 201

    async def _post(self, path: str, body: Body) -> bool:
        response = await self.api.post(path, body)
        assert response.status_code in {201, 409}, response.text
        if response.status_code == 201:
            self.events += response.json()["events"]
        return response.status_code == 201

    def _body(self, crossings: list[str]) -> Body:
        start = self._instant()
        end = start + timedelta(hours=self.random.randint(1, 2000))
        ends = self.random.choice(["never", "until", "expected"])
        return decision(
            crossings=crossings,
            sides=self._sides(),
            status=self.random.choice(["open", "restricted", "closed"]),
            effective={
                "from": start.isoformat(),
                "until": end.isoformat() if ends == "until" else None,
            },
            expected_until=end.isoformat() if ends == "expected" else None,
            traffic=self.random.choice([None, None, ["car"]]),
            to=self.random.choice([None, None, "LT", "BY"]),
            certainty=self.random.choice(["confirmed"] * 3 + ["reported", "unconfirmed"]),
            announced_at=self.random.choice([None, self._past()]),
        )

    def _sides(self) -> list[str]:
        return self.random.choice([["LT"], ["BY"], ["LT", "BY"]])

    def _instant(self) -> datetime:
        hours = self.random.randint(-200 * 24, 100 * 24)
        return datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)

    def _past(self) -> str:
        return (datetime.now(UTC) - timedelta(hours=self.random.randint(1, 5000))).isoformat()

    async def ask(self) -> None:
        """Ask something and remember the answer with the knowledge that it came from."""
        path, parameters = self._question()
        known: Asked = {}
        if self.random.random() < 0.3:
            known = {"known_at": datetime.now(UTC).isoformat()}
        response = await self.api.get(path, **parameters, **known)
        if response.status_code == 404:  # a lane that a version took away
            return
        assert response.status_code == 200, response.text
        assert response.json().get("next") is None
        told = Told(path, parameters, response.content)
        if known:
            told.parameters = {**parameters, **known}
        else:
            told.parameters = {
                **parameters,
                "known_change": int(response.headers["change-number"]),
            }
        self.told.append(told)

    def _question(self) -> tuple[str, Asked]:
        place = f"/v1/crossings/{self.random.choice(self.crossings)}"
        lane: Asked = self.random.choice(
            [{}, {}, {"traffic": "car"}, {"to": "LT"}, {"traffic": "bus", "to": "BY"}]
        )
        at: Asked = {"at": self._instant().isoformat()}
        return self.random.choice(
            [
                (f"{place}/status", {**at, **lane}),
                (f"{place}/status", {**at, **lane}),
                (f"{place}/timeline", {**lane, "limit": 200}),
                (f"{place}/timeline", {**lane, "limit": 200, "start": at["at"]}),
                ("/v1/borders/BY-LT", at),
            ]
        )

    async def ask_again(self, told: Told) -> httpx2.Response:
        return await self.api.get(told.path, **told.parameters)


@full
async def test_every_answer_given_during_a_random_run_is_given_again_byte_for_byte(
    database: Database,
) -> None:
    """Asked later with the same instant and, as `known_change`, the Change-Number it came with.

    A question with `known_at` is asked again as it was.
    """
    async with database.api() as api:
        run = Run(api, database, random.Random(1))  # noqa: S311 -- to be repeatable
        for name in run.crossings:
            await add(api, name)
        for _ in range(60):
            await run.write()
            for _ in range(3):
                await run.ask()
        assert len(run.written) == 7
        assert len(run.told) > 100
        for told in run.told:
            again = await run.ask_again(told)
            assert again.content == told.content, (told.path, told.parameters)


async def test_two_crossings_asked_about_together_are_one_decision(seeded_api: Api) -> None:
    """Both were closed by one act, and each answer leads to it."""
    deciders = [
        (await ask(seeded_api, name, at="2023-09-01T00:00:00Z"))["decided_by"]
        for name in (SUMSKAS, TVERECIUS)
    ]
    (one,), (other,) = deciders
    assert one["decision"] == other["decision"]
    assert (one["crossing"], other["crossing"]) == (SUMSKAS, TVERECIUS)
