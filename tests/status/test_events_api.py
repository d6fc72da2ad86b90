"""Writing to the log over HTTP, and reading it back: decisions, corrections, what they do."""

import base64
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.api import (
    SUMSKAS,
    TVERECIUS,
    Api,
    citation,
    crossing,
    decision,
    fields_of,
    messages_of,
    problem,
)
from tests.conftest import Database

Body = dict[str, Any]

HERE, THERE = "new-crossing", "other-crossing"
EVENTS = "/v1/events"
NOBODY = "00000000-0000-0000-0000-000000000000"
LANES = [{"traffic": "car", "to": "BY"}, {"traffic": "car", "to": "LT"}]
NOW = datetime.now(UTC).replace(microsecond=0)
EXPIRY = timedelta(days=30)


def days(number: float) -> str:
    """Return the instant so many days from now, as bodies write it."""
    return wire(NOW + timedelta(days=number))


def wire(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def later(instant: str, by: timedelta = EXPIRY) -> str:
    return wire(datetime.fromisoformat(instant) + by)


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with two crossings of car lanes, and nothing said about them."""
    async with database.api() as api:
        for name in (HERE, THERE):
            response = await api.post("/v1/crossings", crossing(name))
            assert response.status_code == 201, response.text
        yield api


async def declare(api: Api, status: str, start: float | None = None, **fields: object) -> Body:
    """Record that ``HERE`` is ``status`` from so many days after now on."""
    fields.setdefault("crossings", [HERE])
    if start is not None:
        fields["effective"] = {"from": days(start), "until": fields.pop("until", None)}
        fields.setdefault("announced_at", days(min(start, -0.01)))
    return await api.declare(status=status, **fields)


async def write(api: Api, path: str, body: Mapping[str, object]) -> Body:
    response = await api.post(path, body)
    assert response.status_code == 201, response.text
    told: Body = response.json()
    return told


async def confirm(api: Api, crossing_id: str = HERE, **fields: object) -> Body:
    body = {"sides": ["LT"], "citations": [citation()], **fields}
    return await write(api, f"/v1/crossings/{crossing_id}/confirmations", body)


async def retract(api: Api, event_id: str) -> Body:
    return await write(api, f"{EVENTS}/{event_id}/retraction", {"reason": {"code": "other"}})


async def items(api: Api, path: str = EVENTS, **parameters: str | int) -> list[Body]:
    response = await api.get(path, **parameters)
    assert response.status_code == 200, response.text
    found: list[Body] = response.json()["items"]
    return found


async def newest_change(api: Api) -> int:
    return int((await api.get("/v1/crossings")).headers["change-number"])


def event(told: Body) -> Body:
    (found,) = told["events"]
    assert isinstance(found, dict)
    return found


def effect(told: Body) -> list[tuple[str, str, str, str | None]]:
    """Return the effect's items of one crossing with both lanes, shortly."""
    for one in told["effect"]:
        assert one["crossing"] == HERE
        assert one["lanes"] == LANES
    return [(one["before"], one["after"], one["from"], one["until"]) for one in told["effect"]]


# Decisions


async def test_what_a_decision_leaves_out_takes_its_default(here: Api) -> None:
    response = await here.post(
        EVENTS,
        {
            "crossings": [HERE],
            "sides": ["LT", "BY"],
            "status": "closed",
            "reason": {"code": "weather"},
            "citations": [{"source": {"title": "A bulletin"}}],
        },
    )
    told = response.json()
    (source,) = await items(here, "/v1/sources", limit=1)
    recorded_at = event(told)["recorded_at"]

    assert response.status_code == 201
    assert response.headers["change-number"] == "3"
    assert response.headers["location"] == f"/v1/events?decision={told['decision']}"
    assert abs(datetime.fromisoformat(recorded_at) - datetime.now(UTC)) < timedelta(minutes=5)
    assert told == {
        "decision": told["decision"],
        "change": 3,
        "events": [
            {
                "id": event(told)["id"],
                "kind": "declaration",
                "crossing": HERE,
                "decision": told["decision"],
                "change": 3,
                "sides": ["BY", "LT"],
                "status": "closed",
                "effective": {"from": recorded_at, "until": None},
                "expected_until": None,
                "traffic": None,
                "to": None,
                "reason": {"code": "weather", "text": None},
                "exceptions": [],
                "max_weight_kg": None,
                "max_height_m": None,
                "certainty": "confirmed",
                "precision": "minute",
                "time_zone": "Europe/Minsk",
                "announced_at": None,
                "confirmed_at": None,
                "recorded_at": recorded_at,
                "recorded_by": "reporter",
                "supersedes": None,
                "retracts": None,
                "superseded_by": None,
                "retracted_by": None,
                "incident": None,
                "citations": [{"source": source["id"], "locator": None, "basis": "stated"}],
            }
        ],
        "effect": [
            {
                "crossing": HERE,
                "before": "unknown",
                "after": "closed",
                "from": recorded_at,
                "until": None,
                "lanes": LANES,
            }
        ],
        "undo": [f"/v1/events/{event(told)['id']}/retraction"],
    }
    assert UUID(told["decision"]).version == 7
    assert await items(here, response.headers["location"]) == told["events"]


async def test_what_a_decision_says_is_kept_as_said_in_utc(here: Api) -> None:
    said = {
        "crossings": [HERE],
        "sides": ["LT"],
        "status": "restricted",
        "effective": {"from": "2023-08-18T00:00:00+03:00", "until": None},
        "expected_until": "2023-12-01T00:00:00+02:00",
        "traffic": ["car"],
        "to": "BY",
        "reason": {"code": "diplomatic", "text": "Ответ – atsakymas"},
        "exceptions": [{"code": "diplomats", "text": None}, {"code": "other", "text": "Mail"}],
        "certainty": "reported",
        "precision": "day",
        "announced_at": "2023-08-16T10:30:00.5+03:00",
        "incident": None,
    }
    told = event(await write(here, EVENTS, {**said, "citations": [citation()], "supersedes": []}))
    in_utc = {
        "effective": {"from": "2023-08-17T21:00:00Z", "until": None},
        "expected_until": "2023-11-30T22:00:00Z",
        "announced_at": "2023-08-16T07:30:00.500000Z",
    }
    kept = {name: told[name] for name in said if name != "crossings"}
    assert {"crossings": [told["crossing"]], **kept} == {**said, **in_utc}


async def test_one_decision_on_many_crossings_is_one_change_with_its_new_sources(
    here: Api,
) -> None:
    existing = (await write(here, "/v1/sources", {"title": "Known before"}))["id"]
    new = {"title": "New with it", "published_at": "2023-11-13"}
    told = await here.declare(
        crossings=[THERE, HERE],
        citations=[
            {"source": existing, "locator": "page 2", "basis": "background"},
            {"source": new, "locator": "paragraph 1"},
            {"source": new, "locator": "paragraph 2", "basis": "inferred"},
        ],
    )
    sources = await items(here, "/v1/sources", limit=2)
    events: Any = told["events"]
    change: Any = told["change"]

    assert [one["crossing"] for one in events] == [THERE, HERE]
    assert {(one["change"], one["decision"]) for one in events} == {(4, told["decision"])}
    assert len({one["recorded_at"] for one in events}) == 1
    assert await newest_change(here) == change == 4
    assert [(one["title"], one["change"]) for one in sources] == [
        ("New with it", 4),
        ("Known before", 3),
    ]
    for one in events:
        assert one["citations"] == [
            {"source": existing, "locator": "page 2", "basis": "background"},
            {"source": sources[0]["id"], "locator": "paragraph 1", "basis": "stated"},
            {"source": sources[0]["id"], "locator": "paragraph 2", "basis": "inferred"},
        ]


async def test_undo_takes_the_decision_back(here: Api) -> None:
    await declare(here, "open", -1)
    before = await here.status(HERE)
    told = await declare(here, "closed", crossings=[HERE, THERE])
    assert (await here.status(HERE))["status"] == "closed"
    for address in told["undo"]:
        await write(here, address, {"reason": {"code": "other", "text": "Wrong crossing"}})

    after = await here.status(HERE)
    assert len(told["undo"]) == 2
    assert after == {**before, "change": after["change"]}
    assert (await here.status(THERE))["status"] == "unknown"


async def test_a_retraction_tells_the_same_envelope_and_takes_its_targets_scope(
    here: Api,
) -> None:
    target = event(await declare(here, "closed", sides=["LT", "BY"], traffic=["car"], to="LT"))
    response = await here.post(
        f"{EVENTS}/{target['id']}/retraction",
        {"reason": {"code": "technical", "text": "Entered twice"}},
    )
    told = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/events?decision={told['decision']}"
    assert told == {
        "decision": told["decision"],
        "change": 4,
        "events": [
            {
                **target,
                "id": event(told)["id"],
                "kind": "retraction",
                "decision": told["decision"],
                "change": 4,
                "status": None,
                "effective": None,
                "reason": {"code": "technical", "text": "Entered twice"},
                "certainty": None,
                "precision": None,
                "recorded_at": event(told)["recorded_at"],
                "retracts": target["id"],
                "citations": [],
            }
        ],
        "effect": [
            {
                "crossing": HERE,
                "before": "closed",
                "after": "unknown",
                "from": event(told)["recorded_at"],
                "until": None,
                "lanes": LANES[1:],
            }
        ],
        "undo": [],
    }
    assert await items(here, response.headers["location"]) == told["events"]


async def test_a_confirmation_tells_the_same_envelope_and_can_be_undone(here: Api) -> None:
    await declare(here, "closed", -1)
    response = await here.post(
        f"/v1/crossings/{HERE}/confirmations",
        {
            "sides": ["LT", "BY"],
            "traffic": ["car"],
            "to": "LT",
            "confirmed_at": "2026-01-01T00:00:00+02:00",
            "citations": [citation(source={"title": "Seen"})],
        },
    )
    told = response.json()
    (source,) = await items(here, "/v1/sources", limit=1)
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/events?decision={told['decision']}"
    assert told == {
        "decision": told["decision"],
        "change": 4,
        "events": [
            {
                "id": event(told)["id"],
                "kind": "confirmation",
                "crossing": HERE,
                "decision": told["decision"],
                "change": 4,
                "sides": ["BY", "LT"],
                "status": None,
                "effective": None,
                "expected_until": None,
                "traffic": ["car"],
                "to": "LT",
                "reason": None,
                "exceptions": [],
                "max_weight_kg": None,
                "max_height_m": None,
                "certainty": None,
                "precision": None,
                "time_zone": "Europe/Minsk",
                "announced_at": None,
                "confirmed_at": "2025-12-31T22:00:00Z",
                "recorded_at": event(told)["recorded_at"],
                "recorded_by": "reporter",
                "supersedes": None,
                "retracts": None,
                "superseded_by": None,
                "retracted_by": None,
                "incident": None,
                "citations": [{"source": source["id"], "locator": "line 1", "basis": "stated"}],
            }
        ],
        "effect": [],
        "undo": [f"/v1/events/{event(told)['id']}/retraction"],
    }
    assert await items(here, response.headers["location"]) == told["events"]
    await write(here, told["undo"][0], {"reason": {"code": "other"}})


async def test_a_confirmation_is_of_the_recorded_instant_unless_it_says_otherwise(
    here: Api,
) -> None:
    told = event(await confirm(here))
    assert told["confirmed_at"] == told["recorded_at"]


# Effects


async def test_closing_an_open_crossing_now_tells_what_it_replaces(here: Api) -> None:
    """That the open would have expired does not divide it."""
    await declare(here, "open", -1)
    told = await declare(here, "closed")
    assert effect(told) == [("open", "closed", event(told)["recorded_at"], None)]


async def test_a_planned_closure_takes_effect_when_it_starts(here: Api) -> None:
    await declare(here, "open", -1)
    assert effect(await declare(here, "closed", 10)) == [("open", "closed", days(10), None)]


async def test_a_bounded_closure_takes_effect_within_its_bounds_and_is_evidence_beyond(
    here: Api,
) -> None:
    """Its end supports the open that it gives way to, counted from when it was recorded."""
    await declare(here, "open", -1)
    told = await declare(here, "closed", 1, until=days(2))
    assert effect(told) == [
        ("open", "closed", days(1), days(2)),
        ("unknown", "open", later(days(-1)), None),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"certainty": "unconfirmed"}, id="a rumour"),
        pytest.param({"certainty": "reported"}, id="a report against an official word"),
        pytest.param({"sides": ["BY"]}, id="the other side's open"),
        pytest.param(
            {
                "effective": {"from": days(-20), "until": days(-10)},
                "announced_at": days(-20),
            },
            id="a period that is over",
        ),
        pytest.param(
            {
                "effective": {"from": days(-2), "until": None},
                "announced_at": days(-2),
            },
            id="what was replaced already",
        ),
    ],
)
async def test_an_entry_that_does_nothing_has_an_empty_effect(
    here: Api, fields: dict[str, object]
) -> None:
    await declare(here, "closed", -1)
    before = await here.status(HERE)
    told = await here.declare(crossings=[HERE], status="open", **fields)
    assert told["effect"] == []
    after = await here.status(HERE)
    assert (after["status"], after["decided_by"]) == (before["status"], before["decided_by"])


async def test_an_open_that_lifts_a_closure_has_no_end_though_it_expires(here: Api) -> None:
    await declare(here, "closed", -1)
    told = await declare(here, "open")
    recorded_at = event(told)["recorded_at"]
    assert effect(told) == [("closed", "open", recorded_at, None)]
    status = await here.status(HERE)
    assert (status["until"], status["expires_at"]) == (None, later(recorded_at))


async def test_the_same_status_decided_anew_is_an_effect_too(here: Api) -> None:
    await declare(here, "closed", -1)
    told = await declare(here, "closed")
    assert effect(told) == [("closed", "closed", event(told)["recorded_at"], None)]


async def test_a_decision_on_one_direction_takes_effect_on_its_lane_alone(here: Api) -> None:
    await declare(here, "closed", -1)
    told = await declare(here, "restricted", traffic=["car"], to="LT")
    assert [(one["before"], one["after"], one["lanes"]) for one in told["effect"]] == [
        ("closed", "restricted", [{"traffic": "car", "to": "LT"}]),
    ]


async def test_lanes_that_change_differently_are_told_apart(here: Api) -> None:
    await declare(here, "closed", -1, to="LT")
    told = await declare(here, "closed", to=None)
    assert [(one["before"], one["after"], one["lanes"]) for one in told["effect"]] == [
        ("unknown", "closed", LANES[:1]),
        ("closed", "closed", LANES[1:]),
    ]


async def test_a_confirmation_prolongs_an_open(here: Api) -> None:
    await declare(here, "open", -10)
    told = await confirm(here)
    assert effect(told) == [("unknown", "open", later(days(-10)), None)]
    assert (await here.status(HERE))["expires_at"] == later(event(told)["recorded_at"])


async def test_a_retraction_gives_back_what_was_replaced(here: Api) -> None:
    await declare(here, "open", -1)
    closed = event(await declare(here, "closed"))
    told = await retract(here, closed["id"])
    assert effect(told) == [("closed", "open", event(told)["recorded_at"], None)]


async def test_the_effect_on_several_crossings_is_told_for_each(here: Api) -> None:
    await declare(here, "closed", -1)
    told = await declare(here, "closed", 1, crossings=[THERE, HERE])
    assert [(one["crossing"], one["before"]) for one in told["effect"]] == [
        (THERE, "unknown"),
        (HERE, "closed"),
    ]


# Corrections


async def test_a_whole_decision_is_corrected_at_once(here: Api) -> None:
    first = await declare(here, "closed", crossings=[HERE, THERE])
    wrong = [one["id"] for one in first["events"]]
    second = await declare(here, "restricted", crossings=[THERE, HERE], supersedes=wrong)

    right = {one["crossing"]: one for one in second["events"]}
    assert second["undo"] == []
    for old in first["events"]:
        new = right[old["crossing"]]
        assert new["supersedes"] == old["id"]
        kept = (await here.get(f"{EVENTS}/{old['id']}")).json()
        assert kept == {**old, "superseded_by": new["id"]}
        assert (await here.status(old["crossing"]))["decided_by"] == [new]


async def test_a_correction_is_corrected_again(here: Api) -> None:
    first = event(await declare(here, "closed"))
    second = event(await declare(here, "restricted", supersedes=[first["id"]]))
    third = event(await declare(here, "open", supersedes=[second["id"]]))
    assert (await here.status(HERE))["decided_by"] == [third]


async def test_an_event_is_ended_by_a_correction_with_an_end(here: Api) -> None:
    first = event(await declare(here, "closed", -5))
    await declare(here, "closed", -5, until=days(-1), supersedes=[first["id"]])
    body = await here.status(HERE)
    assert (body["status"], body["since"]) == ("unknown", days(-1))


async def test_mending_an_old_closure_does_not_undo_the_reopening_that_followed(
    here: Api,
) -> None:
    closed = event(await declare(here, "closed", -5))
    opened = event(await declare(here, "open", -1))
    fields = {"announced_at": None, "reason": {"code": "strike", "text": "The real one"}}
    told = await declare(here, "closed", -5, supersedes=[closed["id"]], **fields)
    assert told["effect"] == []
    assert (await here.status(HERE))["decided_by"] == [opened]


async def conflict(api: Api, slug: str, path: str, body: Mapping[str, object]) -> None:
    """Check that the write is refused, asked for in earnest or not, and leaves no trace."""
    before = await newest_change(api)
    preview = await api.post(path, body, validate_only="true")
    response = await api.post(path, body)
    problem(response, 409, slug)
    assert preview.status_code == 409
    assert preview.json() == response.json()
    assert await newest_change(api) == before


async def test_what_was_corrected_can_be_neither_corrected_again_nor_retracted(here: Api) -> None:
    old = event(await declare(here, "closed"))["id"]
    await declare(here, "closed", supersedes=[old])
    body = decision(crossings=[HERE], supersedes=[old])
    await conflict(here, "superseded", EVENTS, body)
    reason = {"reason": {"code": "other"}}
    await conflict(here, "superseded", f"{EVENTS}/{old}/retraction", reason)


async def test_what_was_retracted_can_be_neither_corrected_nor_retracted_again(here: Api) -> None:
    declared = event(await declare(here, "closed"))["id"]
    confirmed = event(await confirm(here))["id"]
    reason = {"reason": {"code": "other"}}
    for old in (declared, confirmed):
        await retract(here, old)
        await conflict(here, "superseded", f"{EVENTS}/{old}/retraction", reason)
    body = decision(crossings=[HERE], supersedes=[declared])
    await conflict(here, "superseded", EVENTS, body)


async def test_a_closure_that_was_corrected_can_be_withdrawn_with_all_its_versions(
    here: Api,
) -> None:
    opened = event(await declare(here, "open", -9))
    first = event(await declare(here, "closed", -5))["id"]
    second = event(await declare(here, "closed", -4, supersedes=[first]))["id"]
    third = event(await declare(here, "closed", -3, supersedes=[second]))
    change = third["change"]

    withdrawn = await retract(here, third["id"])

    assert event(withdrawn)["retracts"] == third["id"]
    effect = withdrawn["effect"][0]
    assert (effect["before"], effect["after"]) == ("closed", "open")
    assert withdrawn["undo"] == []
    now = await here.status(HERE)
    assert (now["status"], now["since"]) == ("open", days(-9))
    assert now["decided_by"] == [opened]
    assert (await here.status(HERE, known_change=change))["status"] == "closed"
    for old, new in ((first, second), (second, third["id"])):
        found = (await here.get(f"{EVENTS}/{old}")).json()
        assert (found["superseded_by"], found["retracted_by"]) == (new, None)
    reason = {"reason": {"code": "other"}}
    for old in (first, second, third["id"]):
        await conflict(here, "superseded", f"{EVENTS}/{old}/retraction", reason)


async def test_no_undo_is_offered_for_a_correction_as_it_would_withdraw_more(here: Api) -> None:
    first = await declare(here, "closed")
    second = await declare(here, "closed", supersedes=[event(first)["id"]])

    assert first["undo"] == [f"{EVENTS}/{event(first)['id']}/retraction"]
    assert second["undo"] == []


async def test_a_retraction_can_be_neither_retracted_nor_corrected(here: Api) -> None:
    target = event(await declare(here, "closed"))["id"]
    retraction = event(await retract(here, target))["id"]
    reason = {"reason": {"code": "other"}}
    await conflict(here, "not-retractable", f"{EVENTS}/{retraction}/retraction", reason)
    body = decision(crossings=[HERE], supersedes=[retraction])
    await conflict(here, "not-correctable", EVENTS, body)


async def test_a_confirmation_cannot_be_corrected(here: Api) -> None:
    confirmation = event(await confirm(here))["id"]
    body = decision(crossings=[HERE], supersedes=[confirmation])
    await conflict(here, "not-correctable", EVENTS, body)


@pytest.mark.parametrize("firmer", ["confirmed", "reported"])
async def test_a_rumour_corrects_only_a_rumour(here: Api, firmer: str) -> None:
    firm = event(await declare(here, "closed", certainty=firmer))["id"]
    rumour = event(await declare(here, "open", certainty="unconfirmed"))["id"]
    body = decision(crossings=[HERE], certainty="unconfirmed")
    await conflict(here, "not-correctable", EVENTS, {**body, "supersedes": [firm]})
    await write(here, EVENTS, {**body, "supersedes": [rumour]})


async def test_a_decision_of_which_one_correction_is_refused_corrects_nothing(here: Api) -> None:
    first = await declare(here, "closed", crossings=[HERE, THERE])
    here_id, there_id = (one["id"] for one in first["events"])
    await retract(here, there_id)
    body = decision(crossings=[HERE, THERE], supersedes=[here_id, there_id])
    await conflict(here, "superseded", EVENTS, body)
    assert (await here.get(f"{EVENTS}/{here_id}")).json()["superseded_by"] is None


# Faults of the input


def without(name: str) -> Body:
    body = decision()
    del body[name]
    return body


INLINE = citation(source={"title": "x", "colour": "red"})
BAD_DECISIONS: list[tuple[str, Body, str]] = [
    ("no crossings", without("crossings"), "crossings"),
    ("no sides", without("sides"), "sides"),
    ("no status", without("status"), "status"),
    ("no reason", without("reason"), "reason"),
    ("no citations", without("citations"), "citations"),
    ("no crossing", decision(crossings=[]), "crossings"),
    ("an unknown crossing", decision(crossings=["nowhere"]), "crossings"),
    ("a crossing twice", decision(crossings=[SUMSKAS, SUMSKAS]), "crossings"),
    ("a crossing that is no slug", decision(crossings=["Šumskas"]), "crossings.0"),
    ("crossings as a text", decision(crossings=SUMSKAS), "crossings"),
    ("no side", decision(sides=[]), "sides"),
    ("a side twice", decision(sides=["LT", "LT"]), "sides"),
    ("three sides", decision(sides=["LT", "BY", "PL"]), "sides"),
    ("a side of another border", decision(sides=["PL"]), "sides"),
    ("a side that is no country", decision(sides=["XX"]), "sides.0"),
    ("a side in lower case", decision(sides=["lt"]), "sides.0"),
    ("the status unknown", decision(status="unknown"), "status"),
    ("a word that is no status", decision(status="shut"), "status"),
    ("no traffic", decision(traffic=[]), "traffic"),
    ("traffic twice", decision(traffic=["car", "car"]), "traffic"),
    ("a word that is no traffic", decision(traffic=["tram"]), "traffic.0"),
    ("traffic of no lane here", decision(traffic=["car", "train"]), "traffic"),
    (
        "traffic of a lane of only one of them",
        decision(crossings=[SUMSKAS, "medininkai-kamienny-loh"], traffic=["bus"]),
        "traffic",
    ),
    ("an empty direction", decision(to=""), "to"),
    ("a direction that is no country", decision(to="XX"), "to"),
    ("a direction of another border", decision(to="PL"), "to"),
    ("a reason without a code", decision(reason={"text": "Why"}), "reason.code"),
    ("a word that is no reason", decision(reason={"code": "whim"}), "reason.code"),
    ("a reason too long", decision(reason={"code": "other", "text": "x" * 2001}), "reason.text"),
    ("a word that is no exception", decision(exceptions=[{"code": "me"}]), "exceptions.0.code"),
    ("a word that is no certainty", decision(certainty="sure"), "certainty"),
    ("a word that is no precision", decision(precision="second"), "precision"),
    ("no citation", decision(citations=[]), "citations"),
    ("a citation of nothing", decision(citations=[{}]), "citations.0.source"),
    ("no basis", decision(citations=[citation(basis="heard")]), "citations.0.basis"),
    ("an unknown source", decision(citations=[citation(source=NOBODY)]), "citations.0.source"),
    (
        "a source without a title",
        decision(citations=[citation(source={})]),
        "citations.0.source.title",
    ),
    ("an unknown field of a source", decision(citations=[INLINE]), "citations.0.source.colour"),
    ("an unknown field", decision(colour="red"), "colour"),
    ("an unknown field of the period", decision(effective={"form": None}), "effective.form"),
    ("an unknown field of the reason", decision(reason={"code": "other", "x": 1}), "reason.x"),
    ("an unknown field of a citation", decision(citations=[citation(x=1)]), "citations.0.x"),
    (
        "an end that is its start",
        decision(effective={"from": days(1), "until": days(1)}),
        "effective.until",
    ),
    (
        "an end before its start",
        decision(effective={"from": days(2), "until": days(1)}),
        "effective.until",
    ),
    ("an end before now", decision(effective={"until": days(-1)}), "effective.until"),
    (
        "an end and an expected end",
        decision(effective={"until": days(2)}, expected_until=days(1)),
        "expected_until",
    ),
    (
        "an expected end before its start",
        decision(effective={"from": days(2)}, expected_until=days(1)),
        "expected_until",
    ),
    ("an expected end before now", decision(expected_until=days(-1)), "expected_until"),
    ("an announcement to come", decision(announced_at=days(1)), "announced_at"),
    (
        "a start without offset",
        decision(effective={"from": "2030-01-01T00:00:00"}),
        "effective.from",
    ),
    ("an end without offset", decision(effective={"until": "2030-01-01T00:00"}), "effective.until"),
    ("a start as a number", decision(effective={"from": 1700000000}), "effective.from"),
    ("an announcement without offset", decision(announced_at="2020-01-01"), "announced_at"),
    ("a start too early", decision(effective={"from": "1899-12-31T23:59:59Z"}), "effective.from"),
    ("an end too late", decision(effective={"until": "2200-01-01T00:00:00Z"}), "effective.until"),
    ("an expected end too late", decision(expected_until="9999-12-31T23:59:59Z"), "expected_until"),
    ("an incident", decision(incident=NOBODY), "incident"),
    ("a correction of nothing", decision(supersedes=[NOBODY]), "supersedes"),
    ("a correction of no event", decision(supersedes=["x"]), "supersedes.0"),
]


@pytest.mark.parametrize(
    ("body", "field"),
    [pytest.param(body, field, id=name) for name, body, field in BAD_DECISIONS],
)
async def test_a_decision_with_a_fault_is_refused_by_the_name_of_the_field(
    seeded_api: Api, body: Body, field: str
) -> None:
    """Nothing is written, and asked with `validate_only` the answer is the same."""
    before = await newest_change(seeded_api)
    response = await seeded_api.post(EVENTS, body)
    preview = await seeded_api.post(EVENTS, body, validate_only="true")

    told = problem(response, 422, "invalid")
    assert fields_of(told) == [field]
    assert (preview.status_code, preview.json()) == (422, told)
    assert await newest_change(seeded_api) == before


async def test_a_correction_must_have_one_event_of_each_crossing(here: Api) -> None:
    both = await declare(here, "closed", crossings=[HERE, THERE])
    here_id, there_id = (one["id"] for one in both["events"])
    another = event(await declare(here, "closed"))["id"]
    for crossings, supersedes in (
        ([HERE], [there_id]),
        ([HERE], [here_id, there_id]),
        ([HERE, THERE], [here_id]),
        ([HERE, THERE], [here_id, another]),
        ([HERE], [here_id, another]),
        ([HERE], [here_id, here_id]),
    ):
        body = decision(crossings=crossings, supersedes=supersedes)
        response = await here.post(EVENTS, body)
        assert fields_of(problem(response, 422, "invalid")) == ["supersedes"], body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": {}}, "reason.code"),
        ({"reason": {"code": "whim"}}, "reason.code"),
        ({"reason": {"code": "other"}, "sides": ["LT"]}, "sides"),
        (
            {"reason": {"code": "other"}, "citations": [citation(source=NOBODY)]},
            "citations.0.source",
        ),
    ],
)
async def test_a_retraction_with_a_fault_is_refused_by_the_name_of_the_field(
    seeded_api: Api, body: Body, field: str
) -> None:
    target = (await items(seeded_api, kind="declaration"))[0]["id"]
    for parameters in ({}, {"validate_only": "true"}):
        response = await seeded_api.post(f"{EVENTS}/{target}/retraction", body, **parameters)
        assert fields_of(problem(response, 422, "invalid")) == [field]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sides": []}, "sides"),
        ({"sides": ["PL"]}, "sides"),
        ({"traffic": []}, "traffic"),
        ({"traffic": ["train"]}, "traffic"),
        ({"to": "PL"}, "to"),
        ({"confirmed_at": days(1)}, "confirmed_at"),
        ({"confirmed_at": "2024-01-01T00:00:00"}, "confirmed_at"),
        ({"citations": []}, "citations"),
        ({"citations": [citation(source=NOBODY)]}, "citations.0.source"),
        ({"status": "closed"}, "status"),
    ],
)
async def test_a_confirmation_with_a_fault_is_refused_by_the_name_of_the_field(
    seeded_api: Api, fields: Body, field: str
) -> None:
    body = {"sides": ["LT"], "citations": [citation()], **fields}
    path = f"/v1/crossings/{SUMSKAS}/confirmations"
    for parameters in ({}, {"validate_only": "true"}):
        response = await seeded_api.post(path, body, **parameters)
        assert fields_of(problem(response, 422, "invalid")) == [field]


async def test_what_is_not_there_cannot_be_retracted_or_confirmed(seeded_api: Api) -> None:
    reason = {"reason": {"code": "other"}}
    response = await seeded_api.post(f"{EVENTS}/{NOBODY}/retraction", reason)
    problem(response, 404, "event-not-found")
    response = await seeded_api.post(f"{EVENTS}/nothing/retraction", reason)
    problem(response, 422, "invalid")
    body = {"sides": ["LT"], "citations": [citation()]}
    response = await seeded_api.post("/v1/crossings/nowhere/confirmations", body)
    problem(response, 404, "crossing-not-found")


@pytest.mark.parametrize("digits", ["1234567", "123456789", "123456999999999"])
async def test_digits_beyond_microseconds_are_cut_off(here: Api, digits: str) -> None:
    """As .NET writes seven of them, and Go nine."""
    told = await here.declare(
        crossings=[HERE],
        effective={"from": f"2026-01-01T00:00:00.{digits}+02:00"},
        citations=[
            citation(source={"title": "A", "published_at": f"2026-01-01T00:00:00.{digits}Z"})
        ],
    )
    (source,) = await items(here, "/v1/sources", limit=1)

    assert event(told)["effective"]["from"] == "2025-12-31T22:00:00.123456Z"
    assert source["published_at"] == "2026-01-01T00:00:00.123456Z"
    before = await here.status(HERE, at="2025-12-31T22:00:00.1234559Z")
    since = await here.status(HERE, at="2025-12-31T22:00:00.1234569Z")
    assert (before["status"], since["status"]) == ("unknown", "closed")


@pytest.mark.parametrize(
    ("instant", "advice"),
    [
        ("2026-10-01T24:00:00Z", "must not have the hour 24: write 00:00 of the following day"),
        (
            "2026-12-31T23:59:60Z",
            "must not have a leap second (:60): write :59, or :00 of the next minute",
        ),
    ],
)
async def test_a_time_that_no_clock_shows_is_refused_with_advice(
    here: Api, instant: str, advice: str
) -> None:
    body = decision(crossings=[HERE], effective={"from": instant})
    written = problem(await here.post("/v1/events", body), 422, "invalid")
    asked = problem(await here.get(f"/v1/crossings/{HERE}/status", at=instant), 422, "invalid")
    source = {"title": "A", "published_at": instant}
    cited = decision(crossings=[HERE], citations=[citation(source=source)])
    published = problem(await here.post("/v1/events", cited), 422, "invalid")

    for refusal in (written, asked, published):
        assert messages_of(refusal) == [advice]


async def test_the_outermost_instants_are_taken(here: Api) -> None:
    told = await here.declare(
        crossings=[HERE],
        effective={"from": "1900-01-01T00:00:00Z", "until": "2199-12-31T23:59:59.999999Z"},
        announced_at="1900-01-01T00:00:00Z",
    )
    assert event(told)["effective"] == {
        "from": "1900-01-01T00:00:00Z",
        "until": "2199-12-31T23:59:59.999999Z",
    }
    assert (await here.status(HERE, at="1900-01-01T00:00:00Z"))["status"] == "closed"


@pytest.mark.parametrize(
    "fields",
    [
        {"crossings": [SUMSKAS, TVERECIUS, "nowhere"]},
        {"crossings": [SUMSKAS, TVERECIUS, "medininkai-kamienny-loh"], "supersedes": [NOBODY]},
        {"crossings": [SUMSKAS, "medininkai-kamienny-loh"], "traffic": ["bus"]},
    ],
)
async def test_a_decision_with_one_bad_crossing_writes_nothing_at_all(
    seeded_api: Api, fields: Body
) -> None:
    async def everything() -> list[object]:
        return [
            (await seeded_api.get(path, limit=200)).content
            for path in (EVENTS, "/v1/sources", "/v1/crossings", "/v1/changes?limit=200")
        ]

    before = await everything()
    body = decision(**fields, citations=[citation(source={"title": "Must not stay"})])
    problem(await seeded_api.post(EVENTS, body), 422, "invalid")
    assert await everything() == before


# Asking what a write would do


def as_preview(told: Body) -> Body:
    """Return the answer to a write as the preview of it should have been."""
    events = [
        {
            **one,
            "id": None,
            "decision": None,
            "change": None,
            "recorded_at": None,
        }
        for one in told["events"]
    ]
    return {**told, "decision": None, "change": None, "events": events, "undo": []}


async def test_validate_only_tells_what_a_decision_would_do_and_writes_nothing(
    here: Api,
) -> None:
    await declare(here, "open", -1)
    existing = (await write(here, "/v1/sources", {"title": "Known before"}))["id"]
    body = decision(
        crossings=[HERE],
        effective={"from": days(10)},
        citations=[{"source": existing, "locator": None, "basis": "stated"}],
    )
    before = (await here.get("/v1/changes")).content
    preview = await here.post(EVENTS, body, validate_only="true")

    assert preview.status_code == 200
    assert "location" not in preview.headers
    assert (await here.get("/v1/changes")).content == before
    told = await write(here, EVENTS, body)
    assert preview.json() == as_preview(told)
    assert len(told["effect"]) == 1


async def test_validate_only_has_null_for_the_ids_of_new_sources(here: Api) -> None:
    existing = (await write(here, "/v1/sources", {"title": "Known before"}))["id"]
    body = decision(
        crossings=[HERE], citations=[citation(), {"source": existing}, citation(locator=None)]
    )
    preview = await here.post(EVENTS, body, validate_only="true")
    assert event(preview.json())["citations"] == [
        {"source": None, "locator": "line 1", "basis": "stated"},
        {"source": existing, "locator": None, "basis": "stated"},
        {"source": None, "locator": None, "basis": "stated"},
    ]
    assert len(await items(here, "/v1/sources")) == 3


async def test_validate_only_of_a_correction_names_what_it_would_supersede(here: Api) -> None:
    old = event(await declare(here, "closed", -1))["id"]
    body = decision(crossings=[HERE], effective={"from": days(-1)}, supersedes=[old])
    preview = await here.post(EVENTS, body, validate_only="true")
    told = event(preview.json())
    assert (told["id"], told["supersedes"]) == (None, old)
    assert (await here.get(f"{EVENTS}/{old}")).json()["superseded_by"] is None


async def test_validate_only_goes_for_retractions_and_confirmations_alike(here: Api) -> None:
    target = event(await declare(here, "closed", 1))["id"]
    before = await newest_change(here)
    for path, body in (
        (f"{EVENTS}/{target}/retraction", {"reason": {"code": "other"}}),
        (
            f"/v1/crossings/{HERE}/confirmations",
            {
                "sides": ["LT"],
                "confirmed_at": days(-1),
                "citations": [{"source": (await items(here, "/v1/sources"))[0]["id"]}],
            },
        ),
    ):
        preview = await here.post(path, body, validate_only="true")
        assert preview.status_code == 200
        assert "location" not in preview.headers
        assert await newest_change(here) == before
        told = await write(here, path, body)
        before = told["change"]
        assert preview.json() == as_preview(told)


async def test_validate_only_ignores_the_idempotency_key(here: Api) -> None:
    def body(status: str) -> Body:
        return decision(crossings=[HERE], status=status)

    first = await here.post(EVENTS, body("open"), idempotency_key="k", validate_only="true")
    real = await here.post(EVENTS, body("closed"), idempotency_key="k")
    again = await here.post(EVENTS, body("restricted"), idempotency_key="k", validate_only="true")

    assert [one.status_code for one in (first, real, again)] == [200, 201, 200]
    assert "idempotent-replayed" not in again.headers
    assert event(again.json())["status"] == "restricted"


async def test_validate_only_may_be_said_to_be_false_and_must_be_a_yes_or_no(here: Api) -> None:
    refused = await here.post(EVENTS, decision(crossings=[HERE]), validate_only="perhaps")
    assert fields_of(problem(refused, 422, "invalid")) == ["validate_only"]
    written = await here.post(EVENTS, decision(crossings=[HERE]), validate_only="false")
    assert written.status_code == 201


async def test_a_write_does_not_take_unknown_parameters(here: Api) -> None:
    refused = await here.post(EVENTS, decision(crossings=[HERE]), dry_run="true")
    assert fields_of(problem(refused, 422, "invalid")) == ["dry_run"]


# Reading the log


async def test_the_log_is_filtered_by_decision_crossing_and_kind(here: Api) -> None:
    first = await declare(here, "open", -3, crossings=[HERE, THERE])
    second = await declare(here, "closed", -2)
    confirmed = event(await confirm(here, THERE))
    retracted = event(await retract(here, event(second)["id"]))
    closed = {**event(second), "retracted_by": retracted["id"]}
    here_event, there_event = first["events"]
    newest_first = sorted(first["events"], key=lambda one: str(one["id"]), reverse=True)

    everything = [retracted, confirmed, closed, *newest_first]
    assert await items(here) == everything
    assert await items(here, decision=first["decision"]) == newest_first
    assert await items(here, crossing=HERE) == [retracted, closed, here_event]
    assert await items(here, kind="confirmation") == [confirmed]
    assert await items(here, kind="retraction") == [retracted]
    assert await items(here, kind="declaration", crossing=THERE) == [there_event]
    assert await items(here, f"/v1/crossings/{HERE}/events") == [retracted, closed, here_event]
    assert await items(here, f"/v1/crossings/{THERE}/events") == [confirmed, there_event]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"decision": "x"}, "decision"),
        ({"kind": "rumour"}, "kind"),
        ({"crossing": "Šumskas"}, "crossing"),
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": ""}, "cursor"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused_by_name(
    seeded_api: Api, parameters: dict[str, str], field: str
) -> None:
    response = await seeded_api.get(EVENTS, **parameters)
    assert fields_of(problem(response, 422, "invalid")) == [field]


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        (EVENTS, 7),
        (f"{EVENTS}?kind=confirmation", 1),
        (f"{EVENTS}?crossing={SUMSKAS}", 2),
        (f"/v1/crossings/{SUMSKAS}/events", 3),
    ],
)
async def test_the_log_is_paged_newest_first_without_gap_or_overlap(
    seeded_api: Api, path: str, limit: int
) -> None:
    def page(size: int) -> str:
        return f"{path}{'&' if '?' in path else '?'}limit={size}"

    whole = (await seeded_api.get(page(200))).json()
    assert whole["next"] is None
    found: list[Body] = []
    address: str | None = page(limit)
    while address:
        response = await seeded_api.client.get(address)
        body = response.json()
        found += body["items"]
        address = body["next"]
        assert response.headers.get("link") == (address and f'<{address}>; rel="next"')
        assert address is None or address.startswith("http://crossings.test/v1/")
    assert found == whole["items"]
    changes = [one["change"] for one in found]
    assert changes == sorted(changes, reverse=True)
    assert len(found) > 3


async def test_a_page_that_ends_with_the_log_has_no_next(here: Api) -> None:
    await declare(here, "closed", crossings=[HERE, THERE])
    for limit, more in ((1, True), (2, False), (3, False)):
        response = await here.get(EVENTS, limit=limit)
        assert (response.json()["next"] is not None) == more
        assert ("link" in response.headers) == more


@pytest.mark.parametrize("limit", [200, 201, 10**6, 10**12])
async def test_a_limit_over_200_is_lowered_not_refused(seeded_api: Api, limit: int) -> None:
    assert await items(seeded_api, limit=limit) == await items(seeded_api, limit=200)


def encoded(*parts: str) -> str:
    return base64.urlsafe_b64encode("\n".join(parts).encode()).decode().rstrip("=")


GARBAGE = [
    "",
    "x",
    "!!!!",
    "/w",
    "a b",
    "%",
    "ž",
    "A" * 201,
    encoded(""),
    encoded("1", "2", "3"),
    encoded("-1", NOBODY),
    encoded("1", "nothing"),
    encoded("one", NOBODY),
    encoded("9" * 30, NOBODY),
    encoded("\0"),
    encoded("Šumskas"),
    encoded("not a slug"),
    encoded("2023-08-18T00:00:00"),
    encoded("0001-01-01T00:00:00+14:00"),
    encoded("9999-12-31T23:59:59-14:00"),
]
LISTS = {
    "events": EVENTS,
    "crossing events": f"/v1/crossings/{SUMSKAS}/events",
    "sources": "/v1/sources",
    "crossings": "/v1/crossings",
    "timeline": f"/v1/crossings/{SUMSKAS}/timeline",
}


@pytest.mark.parametrize("path", [*LISTS.values()], ids=[*LISTS])
@pytest.mark.parametrize("cursor", GARBAGE)
async def test_a_cursor_that_is_garbage_is_refused(seeded_api: Api, path: str, cursor: str) -> None:
    response = await seeded_api.get(path, cursor=cursor)
    assert fields_of(problem(response, 422, "invalid")) == ["cursor"]


@pytest.mark.parametrize(
    ("of", "used_on"),
    [
        ("events", "crossings"),
        ("events", "timeline"),
        ("sources", "crossings"),
        ("sources", "timeline"),
        ("crossings", "events"),
        ("crossings", "sources"),
        ("crossings", "timeline"),
        ("timeline", "events"),
        ("timeline", "sources"),
        ("timeline", "crossings"),
        ("timeline", "crossing events"),
    ],
)
async def test_a_cursor_of_another_kind_of_list_is_refused(
    seeded_api: Api, of: str, used_on: str
) -> None:
    following = (await seeded_api.get(LISTS[of], limit=1)).json()["next"]
    cursor = dict(part.split("=") for part in following.partition("?")[2].split("&"))["cursor"]
    response = await seeded_api.get(LISTS[used_on], cursor=cursor)
    assert fields_of(problem(response, 422, "invalid")) == ["cursor"]


async def test_one_event_is_found_by_its_id_and_nothing_else(seeded_api: Api) -> None:
    for one in await items(seeded_api, limit=5):
        assert (await seeded_api.get(f"{EVENTS}/{one['id']}")).json() == one
    problem(await seeded_api.get(f"{EVENTS}/{NOBODY}"), 404, "event-not-found")
    problem(await seeded_api.get(f"{EVENTS}/nothing"), 422, "invalid")
