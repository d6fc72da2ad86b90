"""New details of a crossing: a new version, cited, while every past answer stays."""

from typing import Any

import pytest

from app.audit.service import find_faults
from app.vocabulary import KeyScope
from tests.api import MEDININKAI, SUMSKAS, Api, citation, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

HERE = f"/v1/crossings/{SUMSKAS}"
ALIASES = {"aliases": ["Shum-skas"], "citations": [citation()]}


async def body_of(api: Api, path: str = HERE) -> Body:
    found: Body = (await api.get(path)).json()
    return found


async def newest_change(api: Api) -> int:
    return int((await api.get("/v1/crossings")).headers["change-number"])


NEW: dict[str, object] = {
    "mode": "water",
    "traffic": ["car", "bicycle", "truck"],
    "names": [{"lang": "lt", "side": "LT", "name": "Kitas"}],
    "aliases": [],
    "location": {"lat": 54.6, "lon": 25.75, "precision_km": 0.1},
    "confirm_within_days": 7,
    "confirm_within_hours": 6,
    "hours": [
        {
            "side": "LT",
            "traffic": ["car"],
            "to": "BY",
            "time_zone": "Europe/Vilnius",
            "opening_hours": "Mo-Fr 06:00-22:00; PH off",
        }
    ],
}
NEW["contacts"] = [
    {
        "side": "BY",
        "authority": "Дзяржаўны пагранічны камітэт",
        "phone": "+375152450911",
        "email": None,
        "url": "https://example.org/contacts",
        "address": "Мінск",
    }
]
TOLD = {"traffic": ["bicycle", "car", "truck"]}
"""In the order in which lanes are listed."""


@pytest.mark.parametrize("field", NEW)
async def test_what_is_given_is_new_and_what_is_left_out_stays(api: Api, field: str) -> None:
    before = await body_of(api)

    response = await api.patch(HERE, {field: NEW[field], "citations": [citation()]})

    after = response.json()
    assert response.status_code == 200
    assert "location" not in response.headers
    assert response.headers["change-number"] == str(after["version"])
    assert after["version"] == await newest_change(api) > before["version"]
    assert after[field] == TOLD.get(field, NEW[field])
    kept = before.keys() - {field, "version", "citations", "now", "since"}
    if field in {
        "traffic",
        "confirm_within_days",
        "confirm_within_hours",
    }:  # on which the status depends
        kept -= {"status", "last_known", "stale", "last_confirmed_at"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert [one["locator"] for one in after["citations"]] == ["line 1"]
    assert await body_of(api) == after


async def test_null_takes_the_location_and_the_hours_to_confirm_within_away_and_nothing_else(
    api: Api,
) -> None:
    nullable = {"location", "confirm_within_hours"}
    for field in nullable:
        await api.patch(HERE, {field: NEW[field], "citations": [citation()]})
        gone = await api.patch(HERE, {field: None, "citations": [citation()]})
        assert (gone.status_code, gone.json()[field]) == (200, None)

    for field in NEW.keys() - nullable:
        response = await api.patch(HERE, {field: None, "citations": [citation()]})
        assert fields_of(problem(response, 422, "invalid")) == [field]


async def test_a_road_becomes_a_railway_with_its_traffic(api: Api) -> None:
    body = {"mode": "rail", "traffic": ["train"], "citations": [citation()]}

    response = await api.patch(HERE, body)

    assert response.status_code == 200, response.text
    assert (response.json()["mode"], response.json()["traffic"]) == ("rail", ["train"])


async def test_past_answers_do_not_change(api: Api) -> None:
    number = await newest_change(api)
    asked: dict[str, str | int] = {"at": "2023-09-01T00:00:00Z", "known_change": number}
    status = await api.get(f"{HERE}/status", **asked)
    border = await api.get("/v1/borders/BY-LT", **asked)

    await api.patch(HERE, {**NEW, "citations": [citation()]})

    assert (await api.get(f"{HERE}/status", **asked)).content == status.content
    assert (await api.get("/v1/borders/BY-LT", **asked)).content == border.content
    assert (await api.get(f"{HERE}/status")).json()["change"] == number + 1


async def test_traffic_that_is_no_longer_authorised_has_no_lane(api: Api) -> None:
    body = {"traffic": ["car"], "citations": [citation()]}
    assert (await api.patch(HERE, body)).status_code == 200

    problem(await api.get(f"{HERE}/status", traffic="truck"), 404, "lane-not-found")
    number = await newest_change(api) - 1
    lane = await api.get(f"{HERE}/status", traffic="truck", known_change=number)
    assert lane.json()["status"] == "closed"


async def test_a_revision_is_a_change_of_the_log(api: Api, seeded: Database) -> None:
    number = (await api.patch(HERE, ALIASES)).json()["version"]

    (change,) = (await api.get("/v1/changes", after=number - 1)).json()["items"]
    assert (change["kind"], change["subjects"]["crossings"]) == ("crossing", [SUMSKAS])
    (told,) = change["payload"]["crossings"]
    after = await body_of(api)
    assert told == {name: after[name] for name in told}
    async with seeded.session() as session:
        assert [fault async for fault in find_faults(session)] == []


async def test_validate_only_tells_what_would_be_and_writes_nothing(api: Api) -> None:
    before, number = await body_of(api), await newest_change(api)

    preview = await api.patch(HERE, ALIASES, validate_only="true")

    assert preview.status_code == 200
    told = preview.json()
    assert (told["aliases"], told["version"]) == (["Shum-skas"], None)
    assert told["citations"] == [{**citation(), "source": None}]
    assert (await body_of(api), await newest_change(api)) == (before, number)


async def test_a_retry_gets_the_first_answer_again_and_writes_nothing_more(api: Api) -> None:
    first = await api.patch(HERE, ALIASES, idempotency_key="once")
    again = await api.patch(HERE, ALIASES, idempotency_key="once")

    assert again.content == first.content
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.headers["change-number"] == first.headers["change-number"]
    assert await newest_change(api) == first.json()["version"]
    other = {**ALIASES, "aliases": ["Other"]}
    response = await api.patch(HERE, other, idempotency_key="once")
    problem(response, 409, "idempotency-key-reused")


async def test_null_and_left_out_are_not_the_same_request(api: Api) -> None:
    body = {"citations": [citation()]}
    assert (await api.patch(HERE, body, idempotency_key="once")).status_code == 200

    response = await api.patch(HERE, {**body, "location": None}, idempotency_key="once")

    problem(response, 409, "idempotency-key-reused")


async def test_only_an_admin_for_both_sides_revises(api: Api, seeded: Database) -> None:
    others = await seeded.new_key(*(scope for scope in KeyScope if scope is not KeyScope.ADMIN))
    one_side = await seeded.new_key(KeyScope.ADMIN, sides=["LT"])
    both = await seeded.new_key(KeyScope.ADMIN, sides=["LT", "BY"])

    for key in (others, one_side):
        problem(await api.patch(HERE, ALIASES, key=key), 403, "forbidden")
    assert (await api.patch(HERE, ALIASES, key=both)).status_code == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"citations": []}, "citations"),
        ({"citations": None}, "citations"),
        ({"id": "another"}, "id"),
        ({"sides": ["BY", "LT"]}, "sides"),
        ({"version": 3}, "version"),
        ({"mode": "tunnel"}, "mode"),
        ({"mode": "rail"}, "mode"),  # of cars and trucks, which it keeps
        ({"traffic": ["train"]}, "traffic"),  # of a road, which it stays
        ({"mode": "rail", "traffic": ["train", "car"]}, "traffic"),
        ({"traffic": []}, "traffic"),
        ({"traffic": ["car", "car"]}, "traffic"),
        ({"names": []}, "names"),
        ({"names": [{"lang": "pl", "side": "PL", "name": "X"}]}, "names"),
        ({"names": [{"lang": "xx", "side": "LT", "name": "X"}]}, "names"),
        ({"aliases": [""]}, "aliases.0"),
        ({"location": {"lat": 90.1, "lon": 0, "precision_km": 1}}, "location.lat"),
        ({"location": {"lat": 0, "lon": 180.1, "precision_km": 1}}, "location.lon"),
        ({"location": {"lat": 0, "lon": 0}}, "location.precision_km"),
        ({"location": {"lat": 25.7557, "lon": 54.6063, "precision_km": 1}}, "location"),
        ({"confirm_within_days": 0}, "confirm_within_days"),
        ({"confirm_within_hours": 0}, "confirm_within_hours"),
        ({"confirm_within_days": True}, "confirm_within_days"),
        ({"confirm_within_days": "31"}, "confirm_within_days"),
        ({"location": {"lat": "54", "lon": 0, "precision_km": 1}}, "location.lat"),
        ({"location": {"lat": 54, "lon": True, "precision_km": 1}}, "location.lon"),
    ],
)
async def test_a_revision_with_a_fault_is_refused_by_the_name_of_the_field(
    seeded_api: Api, fields: Body, field: str
) -> None:
    before = await newest_change(seeded_api)
    for parameters in ({}, {"validate_only": "true"}):
        response = await seeded_api.patch(HERE, {**ALIASES, **fields}, **parameters)
        assert fields_of(problem(response, 422, "invalid")) == [field]
    assert await newest_change(seeded_api) == before


async def test_citations_are_required(seeded_api: Api) -> None:
    response = await seeded_api.patch(HERE, {"aliases": []})
    assert fields_of(problem(response, 422, "invalid")) == ["citations"]


async def test_an_unknown_crossing_cannot_be_revised(seeded_api: Api) -> None:
    response = await seeded_api.patch("/v1/crossings/nowhere", ALIASES)
    problem(response, 404, "crossing-not-found")


async def test_a_revision_takes_json_alone_and_a_valid_key(seeded_api: Api) -> None:
    problem(await seeded_api.patch(HERE, ALIASES, key="none"), 401, "unauthorized")
    response = await seeded_api.client.patch(
        HERE, content="{}", headers={"Authorization": f"Bearer {seeded_api.key}"}
    )
    problem(response, 415, "unsupported-media-type")


async def test_the_crossing_answers_as_before_while_another_is_revised(api: Api) -> None:
    before = await api.get(f"/v1/crossings/{MEDININKAI}/status")
    await api.patch(HERE, ALIASES)
    after = await api.get(f"/v1/crossings/{MEDININKAI}/status")
    assert after.content == before.content
