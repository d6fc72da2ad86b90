"""Borders and countries over HTTP: counts by status, what holds there, what is not covered."""

from collections import Counter
from typing import Any

import pytest

from app.changes.ids import seed_id
from tests.api import MEDININKAI, SUMSKAS, Api, citation, crossing, fields_of, problem
from tests.marks import full
from tests.observations.observing import record, row

Body = dict[str, Any]

BORDERS = "/v1/borders"
AUTUMN = "2023-09-01T00:00:00Z"
LISTED = ["id", "countries", "counts", "counts_by_mode", "newest_evidence", "links"]
FIELDS = [*LISTED, "at", "known_at", "crossings", "notices", "not_covered"]
STATUSES = ("open", "restricted", "closed", "unknown")


async def border(api: Api, border_id: str = "BY-LT", **parameters: str | int) -> Body:
    response = await api.get(f"{BORDERS}/{border_id}", **parameters)
    assert response.status_code == 200, response.text
    body: Body = response.json()
    return body


def counted(statuses: list[str]) -> dict[str, int]:
    found = Counter(statuses)
    return {status: found[status] for status in STATUSES}


def gaps(body: Body, code: str) -> list[Body]:
    return [gap for gap in body["not_covered"] if gap["code"] == code]


# Counts


async def test_a_border_counts_its_crossings_by_status_and_by_mode(seeded_api: Api) -> None:
    response = await seeded_api.get(f"{BORDERS}/BY-LT", at=AUTUMN)
    body = response.json()

    assert [*body] == FIELDS
    assert (body["id"], body["countries"]) == ("BY-LT", ["BY", "LT"])
    assert (body["at"], body["known_at"]) == (AUTUMN, None)
    road = {"open": 4, "restricted": 0, "closed": 2, "unknown": 0}
    rail = {"open": 0, "restricted": 0, "closed": 0, "unknown": 1}
    assert body["counts_by_mode"] == {"rail": rail, "road": road}
    assert body["counts"] == {status: road[status] + rail[status] for status in STATUSES}
    listed = (await seeded_api.get("/v1/crossings")).headers["change-number"]
    assert response.headers["change-number"] == listed


@pytest.mark.parametrize("border_id", ["BY-LT", "BY-LV", "BY-PL"])
async def test_every_crossing_of_a_border_is_as_it_answers_for_itself(
    seeded_api: Api, border_id: str
) -> None:
    body = await border(seeded_api, border_id, at=AUTUMN)

    assert body["counts"] == counted([one["status"] for one in body["crossings"]])
    for one in body["crossings"]:
        answer = await seeded_api.status(one["id"], at=AUTUMN)
        for name in ("status", "since", "last_known", "stale", "overdue", "last_confirmed_at"):
            assert one[name] == answer[name]


async def test_a_border_now_is_the_list_of_its_crossings(seeded_api: Api) -> None:
    body = await border(seeded_api)
    listed = (await seeded_api.get("/v1/crossings", border="BY-LT")).json()["items"]

    assert body["at"] is None
    assert body["crossings"] == listed
    assert body["counts"] == counted([one["status"] for one in listed])


async def test_a_border_is_found_in_both_orders_of_its_countries(seeded_api: Api) -> None:
    one = await seeded_api.get(f"{BORDERS}/BY-LT", at=AUTUMN)
    other = await seeded_api.get(f"{BORDERS}/LT-BY", at="2023-09-01T02:00:00+02:00")

    assert other.status_code == 200
    assert other.content == one.content


async def test_borders_are_listed_by_id_each_as_it_is_now(seeded_api: Api) -> None:
    response = await seeded_api.get(BORDERS)
    items = response.json()["items"]

    assert [one["id"] for one in items] == ["BY-LT", "BY-LV", "BY-PL"]
    for one in items:
        assert [*one] == LISTED
        alone = await border(seeded_api, one["id"])
        assert one == {name: alone[name] for name in LISTED}
        for address in one["links"].values():
            assert (await seeded_api.get(address)).status_code == 200
    assert response.headers["change-number"].isdigit()


async def test_borders_are_filtered_by_country_and_paged(seeded_api: Api) -> None:
    one = (await seeded_api.get(BORDERS, country="LV")).json()
    assert ([item["id"] for item in one["items"]], one["next"]) == (["BY-LV"], None)

    found: list[str] = []
    address: str | None = f"{BORDERS}?country=BY&limit=1"
    while address:
        page = (await seeded_api.client.get(address)).json()
        found += [item["id"] for item in page["items"]]
        address = page["next"]
    assert found == ["BY-LT", "BY-LV", "BY-PL"]


# What holds there


async def test_the_newest_evidence_is_the_last_that_was_heard_of_any_lane(api: Api) -> None:
    before = await border(api)
    heard = {
        (str(lane["last_confirmed_at"]), one["id"])
        for one in before["crossings"]
        for traffic in one["traffic"]
        for to in one["sides"]
        if (lane := await api.status(one["id"], traffic=traffic, to=to))["last_confirmed_at"]
    }
    newest = before["newest_evidence"]
    assert (newest["at"], newest["crossing"]) == max(heard)

    confirmed = {"sides": ["LT"], "citations": [citation()], "confirmed_at": "2026-06-01T10:00:00Z"}
    path = f"/v1/crossings/{SUMSKAS}/confirmations"
    assert (await api.post(path, confirmed)).status_code == 201

    after = await border(api)
    assert after["newest_evidence"] == {"at": "2026-06-01T10:00:00Z", "crossing": SUMSKAS}
    past = await border(api, at="2023-08-20T00:00:00Z")
    assert past["newest_evidence"]["at"] <= "2023-08-20T00:00:00Z"


async def test_a_border_of_which_nothing_was_ever_heard_has_no_evidence(api: Api) -> None:
    names = [{"lang": "lv", "side": "LV", "name": "Medumi"}]
    await api.post("/v1/crossings", crossing("medumi", sides=["LT", "LV"], names=names))

    body = await border(api, "LT-LV")

    assert body["newest_evidence"] is None
    assert [gap["crossings"] for gap in gaps(body, "nothing_holds")] == [["medumi"]]
    assert [gap["side"] for gap in gaps(body, "side_silent")] == ["LT", "LV"]
    assert gaps(body, "evidence_old") == []


async def test_a_border_shows_the_notices_in_force_then(seeded_api: Api) -> None:
    presence = str(seed_id("notice/wagner-presence", "notice"))

    then = await border(seeded_api, at="2023-08-20T00:00:00Z")
    later = await border(seeded_api, at="2025-01-01T00:00:00Z")

    assert presence in [one["id"] for one in then["notices"]]
    assert presence not in [one["id"] for one in later["notices"]]
    listed = await seeded_api.get(
        "/v1/notices", border="BY-LT", in_force_at="2023-08-20T00:00:00Z", limit=200
    )
    assert then["notices"] == listed.json()["items"][:50]


# What is not covered


async def test_what_is_not_covered_is_said_plainly(seeded_api: Api) -> None:
    lithuanian = await border(seeded_api, at=AUTUMN)
    polish = await border(seeded_api, "BY-PL")

    (silent,) = [gap for gap in gaps(lithuanian, "side_silent") if gap["side"] == "BY"]
    assert {SUMSKAS, MEDININKAI} <= set(silent["crossings"])
    assert "BY" in silent["text"]
    assert gaps(lithuanian, "location_unknown") == []
    (nowhere,) = gaps(polish, "location_unknown")
    assert nowhere["crossings"] == ["siemianowka-svislac-rail"]
    (old,) = gaps(polish, "evidence_old")
    assert "terespol-brest" in old["crossings"]
    for body in (lithuanian, polish):
        ids = [one["id"] for one in body["crossings"]]
        for code in ("opening_hours", "waiting_times"):
            assert [gap["crossings"] for gap in gaps(body, code)] == [ids]
        assert len(gaps(body, "other_crossings")) == 1


async def test_a_gap_closes_when_it_is_filled(api: Api) -> None:
    assert MEDININKAI in gaps(await border(api), "evidence_old")[0]["crossings"]

    await api.declare(status="open", crossings=[MEDININKAI], sides=["LT", "BY"])

    body = await border(api)
    assert MEDININKAI not in gaps(body, "evidence_old")[0]["crossings"]
    assert MEDININKAI not in gaps(body, "side_silent")[0]["crossings"]


async def test_waiting_times_are_a_gap_until_there_is_one(api: Api) -> None:
    assert MEDININKAI in gaps(await border(api), "waiting_times")[0]["crossings"]

    await record(api, row())

    assert MEDININKAI not in gaps(await border(api), "waiting_times")[0]["crossings"]


async def test_a_side_that_spoke_of_some_lanes_is_not_silent(api: Api) -> None:
    """Though it sums up as unknown, since its lanes differ."""
    await api.post("/v1/crossings", crossing("two-lanes", traffic=["car", "truck"]))
    await api.declare(crossings=["two-lanes"], sides=["LT"], traffic=["car"])

    body = await border(api)

    silent = {gap["side"]: gap["crossings"] for gap in gaps(body, "side_silent")}
    assert "two-lanes" in silent["BY"]
    assert "two-lanes" not in silent.get("LT", [])
    assert "two-lanes" in gaps(body, "nothing_holds")[0]["crossings"]


async def test_one_lane_whose_evidence_is_old_is_told_though_others_are_fresh(api: Api) -> None:
    await api.post("/v1/crossings", crossing("old-lane", traffic=["car", "truck"]))
    old = {"effective": {"from": "2025-01-01T00:00:00Z"}, "announced_at": "2025-01-01T00:00:00Z"}
    both: dict[str, object] = {"crossings": ["old-lane"], "sides": ["BY", "LT"], "status": "open"}
    await api.declare(**both, **old, traffic=["truck"])
    await api.declare(**both, traffic=["car"])

    assert "old-lane" in gaps(await border(api), "evidence_old")[0]["crossings"]


# As known


async def test_a_border_as_it_was_known_does_not_have_what_was_added_since(api: Api) -> None:
    """Else an answer given before could not be given again."""
    before = await api.get(f"{BORDERS}/BY-LT", at=AUTUMN)
    number = int(before.headers["change-number"])
    await api.post("/v1/crossings", crossing("added-later"))
    await api.declare(effective={"from": "2023-08-01T00:00:00Z"}, status="closed")
    notice = {
        "kind": "context",
        "issuer": {"name": "A test"},
        "subjects": {"borders": ["BY-LT"]},
        "text": {"en": "Added later."},
        "effective": {"from": "2023-08-01T00:00:00Z"},
        "citations": [citation()],
    }
    assert (await api.post("/v1/notices", notice)).status_code == 201
    retracted = before.json()["notices"][0]["id"]
    reason = {"reason": {"code": "other"}}
    assert (await api.post(f"/v1/notices/{retracted}/retraction", reason)).status_code == 201

    after = await api.get(f"{BORDERS}/BY-LT", at=AUTUMN, known_change=number)
    now = await api.get(f"{BORDERS}/BY-LT", at=AUTUMN)

    assert after.content == before.content
    assert after.headers["change-number"] == str(number)
    assert now.content != before.content


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"at": "2024-01-01"}, "at"),
        ({"known_at": "2190-01-01T00:00:00Z"}, "known_at"),
        ({"known_change": "100000"}, "known_change"),
        ({"known_change": "1", "known_at": "2024-01-01T00:00:00Z"}, "known_change"),
    ],
)
async def test_a_question_about_a_border_that_makes_no_sense_is_refused_by_name(
    seeded_api: Api, parameters: dict[str, str], field: str
) -> None:
    response = await seeded_api.get(f"{BORDERS}/BY-LT", **parameters)
    assert fields_of(problem(response, 422, "invalid")) == [field]


async def test_an_unknown_border_is_not_found(seeded_api: Api) -> None:
    for border_id in ("LT-PL", "PL-LT", "LT-LT"):
        problem(await seeded_api.get(f"{BORDERS}/{border_id}"), 404, "border-not-found")
    problem(await seeded_api.get(f"{BORDERS}/LTBY"), 422, "invalid")


# Countries and collections


async def test_countries_are_named_by_language_and_have_their_borders(seeded_api: Api) -> None:
    items = (await seeded_api.get("/v1/countries")).json()["items"]
    codes = [one["code"] for one in items]

    assert codes == sorted(codes)
    assert {"BY", "LT", "LV", "PL"} <= set(codes)
    by_code = {one["code"]: one for one in items}
    assert by_code["BY"]["borders"] == ["BY-LT", "BY-LV", "BY-PL"]
    assert by_code["LT"]["borders"] == ["BY-LT"]
    assert by_code["LT"]["names"] == {
        "en": "Lithuania",
        "lt": "Lietuva",
        "lv": "Lietuva",
        "pl": "Litwa",
        "be": "Літва",
        "ru": "Литва",
        "uk": "Литва",
        "de": "Litauen",
        "et": "Leedu",
    }
    for one in items:
        assert (await seeded_api.get(f"/v1/countries/{one['code']}")).json() == one


async def test_countries_are_paged_by_code(seeded_api: Api) -> None:
    whole = (await seeded_api.get("/v1/countries")).json()["items"]
    found: list[Body] = []
    address: str | None = "/v1/countries?limit=2"
    while address:
        page = (await seeded_api.client.get(address)).json()
        found += page["items"]
        address = page["next"]
    assert found == whole


async def test_a_country_that_is_not_known_here_is_not_found(seeded_api: Api) -> None:
    problem(await seeded_api.get("/v1/countries/NZ"), 404, "country-not-found")
    for code in ("XX", "lt", "LTU"):
        problem(await seeded_api.get(f"/v1/countries/{code}"), 422, "invalid")


@full
async def test_the_root_leads_to_every_collection(seeded_api: Api) -> None:
    body = (await seeded_api.get("/v1")).json()
    document = (await seeded_api.get("/openapi.json")).json()

    lists = [*body["collections"], *body["feeds"]]
    listed = {one["url"].removeprefix("http://crossings.test") for one in lists}
    documented = {
        path
        for path, operations in document["paths"].items()
        if path.count("/") == 2 and "{" not in path and "get" in operations
    }
    assert listed == documented - {"/health/live", "/health/ready"}
    for one in lists:
        answer = await seeded_api.client.get(
            one["url"], headers={"Authorization": f"Bearer {seeded_api.key}"}
        )
        assert answer.status_code == 200, one
    for address in (body["openapi"], body["docs"]):
        assert (await seeded_api.get(address)).status_code == 200
