"""Crossings over HTTP: lists, details, and how a crossing comes into being."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.vocabulary import KeyScope
from tests.api import (
    MEDININKAI,
    SUMSKAS,
    TVERECIUS,
    Api,
    Json,
    citation,
    crossing,
    decision,
    fields_of,
    problem,
)
from tests.conftest import Database
from tests.marks import full

Body = dict[str, Any]

CROSSINGS = "/v1/crossings"
KENA = "kena-hudahaj-rail"
LITHUANIAN = [
    KENA,
    "lavoriskes-katlouka",
    MEDININKAI,
    "raigardas-pryvalka",
    "salcininkai-bieniakoni",
    SUMSKAS,
    TVERECIUS,
]
LATVIAN = ["paternieki-hryharauscyna", "silene-urbany"]
POLISH = [
    "bobrowniki-bierastavica",
    "kukuryki-kazlovicy",
    "kuznica-bruzhi",
    "kuznica-hrodna-rail",
    "polowce-piascatka",
    "siemianowka-svislac-rail",
    "slawatycze-damacava",
    "terespol-brest",
    "terespol-brest-rail",
]
ALL = sorted([*LITHUANIAN, *LATVIAN, *POLISH])
RAIL = [name for name in ALL if name.endswith("-rail")]
CLOSED = sorted(
    [
        "lavoriskes-katlouka",
        "raigardas-pryvalka",
        SUMSKAS,
        TVERECIUS,
        "polowce-piascatka",
        "silene-urbany",
        "slawatycze-damacava",
    ]
)
FIELDS = [
    "id",
    "border",
    "sides",
    "mode",
    "traffic",
    "names",
    "aliases",
    "location",
    "confirm_within_days",
    "confirm_within_hours",
    "retired_at",
    "replaced_by",
    "hours",
    "max_weight_kg",
    "max_height_m",
    "contacts",
    "citations",
    "version",
    "status",
    "since",
    "last_known",
    "stale",
    "overdue",
    "last_confirmed_at",
    "opens_at",
    "waits",
    "links",
]


async def listed(api: Api, **parameters: str | int) -> list[Body]:
    response = await api.get(CROSSINGS, **parameters)
    assert response.status_code == 200, response.text
    found: list[Body] = response.json()["items"]
    return found


async def ids(api: Api, **parameters: str | int) -> list[str]:
    return [one["id"] for one in await listed(api, **parameters)]


async def newest_change(api: Api) -> int:
    return int((await api.get(CROSSINGS)).headers["change-number"])


def days(number: float) -> str:
    instant = datetime.now(UTC).replace(microsecond=0) + timedelta(days=number)
    return instant.isoformat().replace("+00:00", "Z")


# Lists


async def test_crossings_are_listed_by_id_with_the_summary_of_their_status(
    seeded_api: Api,
) -> None:
    found = await listed(seeded_api)
    assert [one["id"] for one in found] == ALL
    for one in found:
        assert [*one] == FIELDS
        answer = await seeded_api.status(one["id"])
        for name in ("status", "since", "last_known", "stale", "overdue", "last_confirmed_at"):
            assert one[name] == answer[name]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ALL),
        (f"id={SUMSKAS}", [SUMSKAS]),
        (f"id={TVERECIUS}&id={SUMSKAS}", [SUMSKAS, TVERECIUS]),
        (f"id={SUMSKAS}&id={SUMSKAS}", [SUMSKAS]),
        ("border=BY-LT", LITHUANIAN),
        ("border=LT-BY", LITHUANIAN),
        ("country=LT", LITHUANIAN),
        ("country=BY", ALL),
        ("country=PL", POLISH),
        ("mode=road", [name for name in ALL if name not in RAIL]),
        ("mode=rail", RAIL),
        ("status=closed", CLOSED),
        ("status=open", []),
        (f"status=closed&id={SUMSKAS}&id={MEDININKAI}", [SUMSKAS]),
        (f"country=PL&id={SUMSKAS}", []),
    ],
)
async def test_a_list_is_filtered_by_every_condition_given(
    seeded_api: Api, query: str, expected: list[str]
) -> None:
    response = await seeded_api.client.get(f"{CROSSINGS}?{query}")
    assert [one["id"] for one in response.json()["items"]] == expected


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"id": "Šumskas"}, "id.0"),
        ({"border": "BYLT"}, "border"),
        ({"border": "by-lt"}, "border"),
        ({"country": "XX"}, "country"),
        ({"country": "lt"}, "country"),
        ({"status": "shut"}, "status"),
        ({"mode": "tunnel"}, "mode"),
        ({"limit": "0"}, "limit"),
        ({"at": "2024-01-01"}, "at"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused_by_name(
    seeded_api: Api, parameters: dict[str, str], field: str
) -> None:
    response = await seeded_api.get(CROSSINGS, **parameters)
    assert fields_of(problem(response, 422, "invalid")) == [field]


@pytest.mark.parametrize(("query", "limit"), [("", 1), ("", 4), ("status=closed&border=LT-BY&", 1)])
async def test_a_list_is_paged_by_id_and_keeps_its_filter(
    seeded_api: Api, query: str, limit: int
) -> None:
    whole = (await seeded_api.client.get(f"{CROSSINGS}?{query}limit=200")).json()
    assert whole["next"] is None
    found: list[Body] = []
    address: str | None = f"{CROSSINGS}?{query}limit={limit}"
    while address:
        response = await seeded_api.client.get(address)
        address = response.json()["next"]
        assert response.headers.get("link") == (address and f'<{address}>; rel="next"')
        found += response.json()["items"]
    assert found == whole["items"]
    assert [one["id"] for one in found] == sorted(one["id"] for one in found)
    assert len(found) >= 4


async def test_the_list_shows_a_status_as_soon_as_it_is_declared(api: Api) -> None:
    await api.declare(status="open", crossings=[MEDININKAI], sides=["LT", "BY"])
    assert await ids(api, status="open") == [MEDININKAI]


# One crossing


async def test_one_crossing_is_as_listed_with_the_whole_answer_for_now(seeded_api: Api) -> None:
    for one in await listed(seeded_api):
        response = await seeded_api.get(f"{CROSSINGS}/{one['id']}")
        assert response.json() == {**one, "now": await seeded_api.status(one["id"])}
        assert response.headers["change-number"] == str(await newest_change(seeded_api))


@full
async def test_every_link_of_a_crossing_leads_somewhere(seeded_api: Api) -> None:
    for one in await listed(seeded_api):
        here = f"{CROSSINGS}/{one['id']}"
        assert one["links"] == {
            "self": here,
            "status": f"{here}/status",
            "timeline": f"{here}/timeline",
            "events": f"{here}/events",
            "alternatives": f"{here}/alternatives",
            "border": f"/v1/borders/{one['border']}",
        }
        for address in one["links"].values():
            assert (await seeded_api.get(address)).status_code == 200


async def test_the_citations_of_a_crossing_lead_to_their_sources(seeded_api: Api) -> None:
    body = (await seeded_api.get(f"{CROSSINGS}/{SUMSKAS}")).json()
    assert len(body["citations"]) > 1
    for one in body["citations"]:
        assert (await seeded_api.get(f"/v1/sources/{one['source']}")).status_code == 200


async def test_an_unknown_crossing_is_not_found(seeded_api: Api) -> None:
    problem(await seeded_api.get(f"{CROSSINGS}/nowhere"), 404, "crossing-not-found")
    problem(await seeded_api.get(f"{CROSSINGS}/Nowhere"), 422, "invalid")


# A new crossing


async def test_a_new_crossing_is_told_back_whole(database: Database) -> None:
    async with database.api() as api:
        source = (await api.post("/v1/sources", {"title": "A map"})).json()["id"]
        said = {
            "id": "kuznica-bruzgi",
            "sides": ["PL", "BY"],
            "mode": "water",
            "traffic": ["train", "pedestrian"],
            "names": [
                {"lang": "pl", "side": "PL", "name": "Kuźnica Białostocka"},
                {"lang": "be", "side": "BY", "name": "Брузгі"},
            ],
            "aliases": ["Kuznica", "Bruzgi"],
            "location": {"lat": 53.5, "lon": 23.75, "precision_km": 2.0},
            "confirm_within_days": 7,
            "confirm_within_hours": 12,
            "citations": [{"source": source, "locator": "sheet 3", "basis": "inferred"}],
        }
        response = await api.post(CROSSINGS, said)
        body = response.json()
        here = f"{CROSSINGS}/kuznica-bruzgi"
        unknown = {
            "status": "unknown",
            "last_known": None,
            "stale": False,
            "overdue": False,
        }
        since = {"since": None, "last_confirmed_at": None, "opens_at": None}
        in_use: Json = {"retired_at": None, "replaced_by": None, "waits": []}

        assert response.status_code == 201
        assert response.headers["location"] == here
        assert response.headers["change-number"] == "2"
        assert [*body] == [*FIELDS, "now"]
        assert body == {
            **said,
            "sides": ["BY", "PL"],
            "traffic": ["pedestrian", "train"],
            "border": "BY-PL",
            "version": 2,
            **unknown,
            **since,
            **in_use,
            "hours": [],
            "max_weight_kg": None,
            "max_height_m": None,
            "contacts": [],
            "links": {
                "self": here,
                "status": f"{here}/status",
                "timeline": f"{here}/timeline",
                "events": f"{here}/events",
                "alternatives": f"{here}/alternatives",
                "border": "/v1/borders/BY-PL",
            },
            "now": {
                "crossing": "kuznica-bruzgi",
                **unknown,
                **since,
                **in_use,
                "at": None,
                "known_at": None,
                "until": None,
                "expires_at": None,
                "expected_until": None,
                "next_change_at": None,
                "sides": {"BY": "unknown", "PL": "unknown"},
                "lanes": [
                    {"traffic": traffic, "to": to, **unknown, "decided_by": None, "reason": None}
                    for traffic in ("pedestrian", "train")
                    for to in ("BY", "PL")
                ],
                "decided_by": [],
                "also_said": [],
                "change": 2,
            },
        }
        assert (await api.get(here)).json() == body


async def test_a_crossing_needs_neither_location_nor_aliases_and_is_trusted_for_thirty_days(
    database: Database,
) -> None:
    async with database.api() as api:
        response = await api.post(CROSSINGS, crossing())
        body = response.json()
        assert response.status_code == 201
        assert (body["mode"], body["location"], body["aliases"]) == ("road", None, [])
        assert body["confirm_within_days"] == 30
        explicit = await api.post(CROSSINGS, crossing("another", location=None))
        assert explicit.json()["location"] is None


async def test_a_border_comes_into_being_with_its_first_crossing(api: Api) -> None:
    problem(await api.get("/v1/borders/LT-LV"), 404, "border-not-found")
    new = crossing(
        "medumi-silene", sides=["LV", "LT"], names=[{"lang": "lv", "side": "LV", "name": "Medumi"}]
    )
    assert (await api.post(CROSSINGS, new)).json()["border"] == "LT-LV"
    body = (await api.get("/v1/borders/LV-LT")).json()
    assert (body["id"], body["countries"]) == ("LT-LV", ["LT", "LV"])
    assert [one["id"] for one in body["crossings"]] == ["medumi-silene"]
    assert await ids(api, country="LV") == sorted([*LATVIAN, "medumi-silene"])
    assert await ids(api, country="LT") == sorted([*LITHUANIAN, "medumi-silene"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": "Šumskas"}, "id"),
        ({"id": "x"}, "id"),
        ({"id": "double--dash"}, "id"),
        ({"id": "x" * 81}, "id"),
        ({"sides": ["LT"]}, "sides"),
        ({"sides": ["LT", "LT"]}, "sides"),
        ({"sides": ["BY", "LT", "PL"]}, "sides"),
        ({"sides": ["LT", "XX"]}, "sides.1"),
        ({"sides": ["by", "LT"]}, "sides.0"),
        ({"mode": "tunnel"}, "mode"),
        ({"traffic": []}, "traffic"),
        ({"traffic": ["car", "car"]}, "traffic"),
        ({"traffic": ["tram"]}, "traffic.0"),
        ({"mode": "rail"}, "traffic"),
        ({"mode": "rail", "traffic": ["train", "car"]}, "traffic"),
        ({"traffic": ["car", "train"]}, "traffic"),
        ({"mode": "air", "traffic": ["train"]}, "traffic"),
        ({"names": []}, "names"),
        ({"names": [{"lang": "pl", "side": "PL", "name": "X"}]}, "names"),
        ({"names": [{"lang": "Lithuanian", "side": "LT", "name": "X"}]}, "names.0.lang"),
        ({"names": [{"lang": "lt", "side": "LT", "name": ""}]}, "names.0.name"),
        ({"aliases": [""]}, "aliases.0"),
        ({"location": {"lat": 91, "lon": 0, "precision_km": 1}}, "location.lat"),
        ({"location": {"lat": 0, "lon": -181, "precision_km": 1}}, "location.lon"),
        ({"location": {"lat": 0, "lon": 0, "precision_km": 0}}, "location.precision_km"),
        ({"location": {"lat": 0, "lon": 0}}, "location.precision_km"),
        ({"location": {"lat": 25.7557, "lon": 54.6063, "precision_km": 1}}, "location"),
        ({"location": {"lat": 54.6063, "lon": -25.7557, "precision_km": 1}}, "location"),
        ({"confirm_within_days": 0}, "confirm_within_days"),
        ({"confirm_within_days": 3651}, "confirm_within_days"),
        ({"confirm_within_hours": 0}, "confirm_within_hours"),
        ({"confirm_within_hours": 1.5}, "confirm_within_hours"),
        ({"confirm_within_hours": 241}, "confirm_within_hours"),
        ({"citations": []}, "citations"),
        ({"border": "BY-LT"}, "border"),
        ({"status": "open"}, "status"),
    ],
)
async def test_a_crossing_with_a_fault_is_refused_by_the_name_of_the_field(
    seeded_api: Api, fields: Body, field: str
) -> None:
    before = await newest_change(seeded_api)
    response = await seeded_api.post(CROSSINGS, crossing(**{"id": "new", **fields}))
    preview = await seeded_api.post(
        CROSSINGS, crossing(**{"id": "new", **fields}), validate_only="true"
    )
    told = problem(response, 422, "invalid")
    assert fields_of(told) == [field]
    assert (preview.status_code, preview.json()) == (422, told)
    assert await newest_change(seeded_api) == before


async def test_an_id_that_is_taken_is_refused_and_leaves_no_trace(api: Api) -> None:
    before = (await api.get(f"{CROSSINGS}/{SUMSKAS}")).content
    changes = await newest_change(api)
    new = crossing(SUMSKAS, sides=["LT", "LV"], names=[{"lang": "lt", "side": "LT", "name": "X"}])
    for parameters in ({}, {"validate_only": "true"}):
        response = await api.post(CROSSINGS, new, **parameters)
        assert SUMSKAS in str(problem(response, 409, "crossing-exists")["detail"])
    assert (await api.get(f"{CROSSINGS}/{SUMSKAS}")).content == before
    assert await newest_change(api) == changes
    problem(await api.get("/v1/borders/LT-LV"), 404, "border-not-found")
    titles = [one["title"] for one in (await api.get("/v1/sources", limit=200)).json()["items"]]
    assert "Told by a test" not in titles


async def test_only_an_admin_adds_crossings(api: Api, seeded: Database) -> None:
    others = [scope for scope in KeyScope if scope is not KeyScope.ADMIN]
    key = await seeded.new_key(*others)
    problem(await api.post(CROSSINGS, crossing(), key=key), 403, "forbidden")
    problem(await api.post(CROSSINGS, crossing(), key=key, validate_only="true"), 403, "forbidden")
    admin = await seeded.new_key(KeyScope.ADMIN)
    assert (await api.post(CROSSINGS, crossing(), key=admin)).status_code == 201


async def test_validate_only_tells_the_crossing_as_it_would_be_and_adds_nothing(
    api: Api,
) -> None:
    new = crossing(sides=["LT", "LV"], names=[{"lang": "lt", "side": "LT", "name": "X"}])
    before = (await api.get("/v1/changes?after=100")).content
    preview = await api.post(CROSSINGS, new, validate_only="true")

    assert preview.status_code == 200
    assert "location" not in preview.headers
    assert (await api.get("/v1/changes?after=100")).content == before
    problem(await api.get("/v1/borders/LT-LV"), 404, "border-not-found")
    problem(await api.get(f"{CROSSINGS}/new-crossing"), 404, "crossing-not-found")
    told = (await api.post(CROSSINGS, new)).json()
    assert preview.json() == {
        **told,
        "version": None,
        "citations": [{**citation(), "source": None}],
        "now": {**told["now"], "change": None},
    }


@pytest.mark.parametrize(
    ("confirm_within", "status", "last_known"),
    [
        ({"confirm_within_days": 1}, "unknown", "open"),
        ({"confirm_within_days": 4}, "open", None),
        ({"confirm_within_days": 4, "confirm_within_hours": 24}, "unknown", "open"),
        ({"confirm_within_days": 1, "confirm_within_hours": 96}, "open", None),
    ],
)
async def test_an_open_runs_out_when_nobody_confirmed_it_within_the_crossings_own_time(
    database: Database, confirm_within: dict[str, object], status: str, last_known: str | None
) -> None:
    """In days, or instead of them in hours."""
    start = days(-3)
    async with database.api() as api:
        await api.post(CROSSINGS, crossing("new-crossing", **confirm_within))
        opening = decision(
            crossings=["new-crossing"],
            status="open",
            effective={"from": start},
            announced_at=start,
        )
        assert (await api.post("/v1/events", opening)).status_code == 201
        body = (await api.get(f"{CROSSINGS}/new-crossing")).json()
    assert (body["status"], body["last_known"]) == (status, last_known)
    assert (body["last_confirmed_at"], body["now"]["status"]) == (start, status)
