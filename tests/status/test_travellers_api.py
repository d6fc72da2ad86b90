"""The status for one traveller through the API: exceptions, limits, and who says so."""

from typing import Any

import pytest

from app.audit.service import find_faults
from tests.api import MEDININKAI, SUMSKAS, Api, citation, crossing, decision, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

HERE = f"/v1/crossings/{MEDININKAI}"
FOR_OWN_CITIZENS = {"code": "own_citizens", "text": "Returning home, until midnight"}
MALFORMED = [
    ("as", "everybody"),
    ("as", "other"),
    ("citizen_of", "lithuania"),
    ("weight_kg", "0"),
    ("weight_kg", "-5"),
    ("weight_kg", "heavy"),
    ("weight_kg", "1000001"),
    ("height_m", "0"),
    ("height_m", "nan"),
    ("height_m", "inf"),
    ("height_m", "51"),
    ("empty", "maybe"),
]


async def declare(api: Api, **body: object) -> Body:
    response = await api.post("/v1/events", decision(**{"crossings": [MEDININKAI], **body}))
    assert response.status_code == 201, response.text
    return dict(response.json())


async def ask(
    api: Api, path: str = f"{HERE}/status", **parameters: str | float | list[str]
) -> Body:
    response = await api.client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_a_closure_is_a_restriction_for_whom_it_excepts_with_the_text(api: Api) -> None:
    closure = await declare(
        api, sides=["LT"], status="closed", exceptions=[FOR_OWN_CITIZENS, {"code": "diplomats"}]
    )
    anyone = await ask(api)
    mine = await ask(api, citizen_of="LT")
    assert (anyone["status"], mine["status"]) == ("closed", "restricted")
    assert {lane["reason"] for lane in mine["lanes"]} == {"exception"}
    assert mine["lanes"][0]["exceptions"] == [FOR_OWN_CITIZENS]
    assert "exceptions" not in anyone["lanes"][0]
    assert [event["id"] for event in mine["decided_by"]] == [closure["events"][0]["id"]]
    assert mine["decided_by"][0]["status"] == "closed"  # what was said stays what was said
    assert (await ask(api, citizen_of="PL"))["status"] == "closed"
    assert (await ask(api, HERE, **{"as": ["residents", "diplomats"]}))["status"] == "restricted"


async def test_limits_close_to_those_who_exceed_them_and_say_which(api: Api) -> None:
    await declare(api, sides=["LT"], status="restricted", max_weight_kg=7_500, max_height_m=4.0)
    body = {"max_height_m": 3.5, "citations": [citation()]}
    assert (await api.patch(HERE, body)).status_code == 200

    heavy = await ask(api, weight_kg=7_501)
    assert (heavy["status"], heavy["lanes"][0]["reason"]) == ("closed", "max_weight")
    assert heavy["decided_by"][0]["max_weight_kg"] == 7_500
    high = await ask(api, height_m=3.6)
    assert (high["status"], high["lanes"][0]["reason"]) == ("closed", "max_height")
    assert (high["since"], high["until"], high["decided_by"]) == (None, None, [])
    assert (await ask(api, weight_kg=7_500, height_m=3.5))["status"] == "restricted"
    record = await ask(api, HERE, height_m=3.6)
    assert (record["max_height_m"], record["status"]) == (3.5, "closed")


async def test_lists_borders_and_alternatives_answer_for_the_traveller(api: Api) -> None:
    await declare(
        api, crossings=[MEDININKAI], sides=["LT"], status="closed", exceptions=[FOR_OWN_CITIZENS]
    )
    listed = "/v1/crossings"

    async def closed_or_restricted(path: str, **parameters: str) -> list[str]:
        items = (await ask(api, path, **parameters)).get("items")
        crossings = items or (await ask(api, path, **parameters))["crossings"]
        return [one["status"] for one in crossings if one["id"] == MEDININKAI]

    for path in (listed, "/v1/borders/BY-LT"):
        assert await closed_or_restricted(path) == ["closed"]
        assert await closed_or_restricted(path, citizen_of="LT") == ["restricted"]
    found = await ask(api, listed, status="restricted", citizen_of="LT")
    assert MEDININKAI in [one["id"] for one in found["items"]]
    elsewhere = f"/v1/crossings/{SUMSKAS}/alternatives"
    assert MEDININKAI not in [one["id"] for one in (await ask(api, elsewhere))["items"]]
    mine = await ask(api, elsewhere, citizen_of="LT")
    assert MEDININKAI in [one["id"] for one in mine["items"]]


async def test_the_answer_for_a_traveller_is_that_of_the_whole_log_at_any_instant(
    api: Api,
) -> None:
    """Also of one that was closed and excepted somebody before its present status began."""
    new = "new-crossing"
    assert (await api.post("/v1/crossings", crossing(new))).status_code == 201
    await declare(
        api,
        crossings=[new],
        sides=["LT"],
        status="closed",
        effective={"from": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"},
        exceptions=[FOR_OWN_CITIZENS],
    )
    await declare(
        api,
        crossings=[new],
        sides=["LT"],
        status="restricted",
        effective={"from": "2026-02-01T00:00:00Z", "until": None},
    )
    path = f"/v1/crossings/{new}/status"
    at = "2026-02-10T00:00:00Z"
    assert (await ask(api, path, at=at))["since"] == "2026-02-01T00:00:00Z"
    assert (await ask(api, path, at=at, citizen_of="LT"))["since"] == "2026-01-01T00:00:00Z"
    before = await ask(api, path, at="2026-01-10T00:00:00Z", citizen_of="LT")
    assert before["status"] == "restricted"


@pytest.mark.parametrize(("name", "value"), MALFORMED)
async def test_nonsense_about_oneself_is_refused(seeded_api: Api, name: str, value: str) -> None:
    for path in (
        f"{HERE}/status",
        HERE,
        "/v1/crossings",
        "/v1/borders/BY-LT",
        f"{HERE}/alternatives",
    ):
        body = problem(await seeded_api.client.get(path, params={name: value}), 422, "invalid")
        assert {field.split(".")[0] for field in fields_of(body)} == {name}, path


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"max_weight_kg": 0}, "max_weight_kg"),
        ({"max_weight_kg": 1_000_001}, "max_weight_kg"),
        ({"max_height_m": -1}, "max_height_m"),
        ({"max_height_m": 51}, "max_height_m"),
        ({"max_height_m": "high"}, "max_height_m"),
    ],
)
async def test_absurd_limits_are_refused(api: Api, limits: Body, field: str) -> None:
    restricted = decision(crossings=[MEDININKAI], sides=["LT"], status="restricted", **limits)
    assert field in str(
        fields_of(problem(await api.post("/v1/events", restricted), 422, "invalid"))
    )
    patch = {**limits, "citations": [citation()]}
    assert field in str(fields_of(problem(await api.patch(HERE, patch), 422, "invalid")))


async def test_a_closure_has_no_limits(api: Api) -> None:
    body = decision(crossings=[MEDININKAI], sides=["LT"], status="closed", max_weight_kg=3_500)
    assert fields_of(problem(await api.post("/v1/events", body), 422, "invalid")) == [
        "max_weight_kg"
    ]


async def test_limits_are_part_of_the_hash_chain_and_can_be_taken_away(
    api: Api, seeded: Database
) -> None:
    await declare(api, sides=["LT"], status="open", max_weight_kg=3_500)
    for limit in (40_000, None):
        body = {"max_weight_kg": limit, "citations": [citation()]}
        assert (await api.patch(HERE, body)).json()["max_weight_kg"] == limit
    async with seeded.session() as session:
        assert not [fault async for fault in find_faults(session)]
