"""Finding crossings: in any spelling, by place, by what passes there, by what was last heard."""

from typing import Any

import pytest

from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, Api, citation, crossing, fields_of, problem

Body = dict[str, Any]

CROSSINGS = "/v1/crossings"
KUZNICA, PATERNIEKI = "kuznica-bruzhi", "paternieki-hryharauscyna"


async def items(api: Api, **parameters: str | int) -> list[Body]:
    response = await api.get(CROSSINGS, **parameters)
    assert response.status_code == 200, response.text
    found: list[Body] = response.json()["items"]
    return found


async def ids(api: Api, **parameters: str | int) -> list[str]:
    return [one["id"] for one in await items(api, **parameters)]


async def paged(api: Api, query: str, limit: int) -> list[str]:
    found: list[str] = []
    address: str | None = f"{CROSSINGS}?{query}&limit={limit}"
    while address:
        page = (await api.client.get(address)).json()
        found += [one["id"] for one in page["items"]]
        address = page["next"]
    return found


# By name


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("Šumskas", SUMSKAS),
        ("Sumskas", SUMSKAS),
        ("Sumsko", SUMSKAS),
        ("Shumskas", SUMSKAS),
        ("Szumsk", SUMSKAS),
        ("Шумскас", SUMSKAS),
        ("Лоша", SUMSKAS),
        ("Losha", SUMSKAS),
        ("Medininkai", MEDININKAI),
        ("Мядининкай", MEDININKAI),
        ("Kamenny Log", MEDININKAI),
        ("Каменны Лог", MEDININKAI),
        ("Miedniki", MEDININKAI),
        ("Kuznica", KUZNICA),
        ("Кузница", KUZNICA),
        ("Paternieki", PATERNIEKI),
        ("Grigorovshchina", PATERNIEKI),
        ("Tverecuis", TVERECIUS),
        # In no list of ours:
        ("šumskas", SUMSKAS),
        ("SHUMSKASS", SUMSKAS),
        ("Losha - Šumskas", SUMSKAS),
        ("log kamenny", MEDININKAI),
        ("medin", MEDININKAI),
        ("Kamienny Loh", MEDININKAI),
        ("Tvereciuss", TVERECIUS),
        ("Гродно", "kuznica-hrodna-rail"),
        ("Brest", "terespol-brest"),
        ("Šumskas Lithuania", SUMSKAS),
        ("Brest, Belarus", "terespol-brest"),
        ("border crossing Šumskas", SUMSKAS),
        ("пункт пропуска Шумскас", SUMSKAS),
        ("Terespol railway", "terespol-brest-rail"),
        ("Riga", None),
        ("Kraków", None),
        ("Daugavpils", None),
        ("xyzzy", None),
    ],
)
async def test_a_crossing_is_found_in_any_spelling_and_no_other_first(
    seeded_api: Api, q: str, found: str | None
) -> None:
    assert (await ids(seeded_api, q=q))[:1] == ([found] if found else [])


async def test_a_name_is_found_as_soon_as_it_is_recorded_and_the_old_one_no_more(
    api: Api,
) -> None:
    new = crossing(names=[{"lang": "lt", "side": "LT", "name": "Pavyzdys"}])
    assert await ids(api, q="Pavyzdis") == []
    assert (await api.post(CROSSINGS, new)).status_code == 201
    assert await ids(api, q="Pavyzdis") == ["new-crossing"]

    renamed = [{"lang": "lt", "side": "LT", "name": "Kryžkelė"}]
    body = {"names": renamed, "citations": [citation()]}
    assert (await api.patch(f"{CROSSINGS}/new-crossing", body)).status_code == 200
    assert await ids(api, q="Крижкеле") == ["new-crossing"]
    assert await ids(api, q="Pavyzdis") == []


async def test_a_search_is_joined_with_every_filter_and_paged_by_the_best_match(
    seeded_api: Api,
) -> None:
    assert await ids(seeded_api, q="Terespol") == ["terespol-brest", "terespol-brest-rail"]
    assert await ids(seeded_api, q="Terespol", mode="rail") == ["terespol-brest-rail"]
    assert await ids(seeded_api, q="Terespol", country="LT") == []
    assert await paged(seeded_api, "q=Terespol", 1) == ["terespol-brest", "terespol-brest-rail"]


# By place


async def test_the_nearest_come_first_each_with_its_distance(seeded_api: Api) -> None:
    found = await items(seeded_api, near="54.69,25.28")

    distances = [one["distance_km"] for one in found]
    assert distances == sorted(distances)
    nearest = {one["id"]: one["distance_km"] for one in found[:2]}
    assert nearest == {"kena-hudahaj-rail": 27.4, "lavoriskes-katlouka": 29.5}
    # A crossing of which nobody knows where it is is not near anything.
    assert len(found) == len(await items(seeded_api)) - 1


async def test_a_radius_cuts_and_its_pages_come_to_the_same(seeded_api: Api) -> None:
    near = await items(seeded_api, near="54.69,25.28", radius_km=60)

    assert 2 <= len(near) < 8
    assert all(one["distance_km"] <= 60 for one in near)
    query = "near=54.69,25.28&radius_km=60"
    assert await paged(seeded_api, query, 1) == [one["id"] for one in near]


async def test_only_a_list_by_distance_tells_distances(seeded_api: Api) -> None:
    assert "distance_km" not in (await items(seeded_api))[0]


@pytest.mark.parametrize(
    ("bbox", "found"),
    [
        ("25.7,54.6,25.8,54.61", [SUMSKAS]),
        ("-180,-90,180,54", None),
        ("25,54,26,55", None),
        ("26.55,55,-170,56", [PATERNIEKI, "silene-urbany", TVERECIUS]),
        ("0,0,1,1", []),
    ],
)
async def test_a_box_holds_what_lies_in_it(
    seeded_api: Api, bbox: str, found: list[str] | None
) -> None:
    """West, south, east, north; over the 180th meridian where the west lies east of the east."""
    inside = await ids(seeded_api, bbox=bbox)
    if found is not None:
        assert inside == found
    west, south, east, north = map(float, bbox.split(","))
    for one in await items(seeded_api):
        if (place := one["location"]) and west <= east:
            within = west <= place["lon"] <= east and south <= place["lat"] <= north
            assert (one["id"] in inside) == within


@pytest.mark.parametrize(
    ("parameters", "field", "told"),
    [
        ({"near": "54.69"}, "near", "lat,lon"),
        ({"near": "54.69,25.28,1"}, "near", "lat,lon"),
        ({"near": "north,east"}, "near", "lat,lon"),
        ({"near": "91,25"}, "near", "latitude of 91"),
        ({"near": "54,181"}, "near", "longitude of 181"),
        ({"near": "nan,25"}, "near", "lat,lon"),
        ({"near": "1e1,25"}, "near", "lat,lon"),
        ({"near": ""}, "near", "lat,lon"),
        ({"radius_km": "10"}, "radius_km", "requires near"),
        ({"near": "54,25", "radius_km": "0"}, "radius_km", "greater than 0"),
        ({"near": "54,25", "radius_km": "-1"}, "radius_km", "greater than 0"),
        ({"near": "54,25", "radius_km": "inf"}, "radius_km", "finite"),
        ({"near": "54,25", "radius_km": "20041"}, "radius_km", "20040"),
        ({"bbox": "23,53,27"}, "bbox", "west,south,east,north"),
        ({"bbox": "23,56,27,53"}, "bbox", "south"),
        ({"bbox": "23,53,27,91"}, "bbox", "latitude of 91"),
        ({"bbox": "-181,53,27,56"}, "bbox", "longitude of -181"),
        ({"q": ""}, "q", "at least one visible character"),
        ({"q": "–"}, "q", "letter"),
        ({"q": "x" * 101}, "q", "100"),
        ({"q": "a\0b"}, "q", "NUL"),
        ({"traffic": "tram"}, "traffic", "car, bus"),
        ({"to": "Lithuania"}, "to", "ISO 3166-1"),
        ({"to": "XX"}, "to", "ISO 3166-1"),
        ({"order": "name"}, "order", "must be one of: evidence"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused_by_the_name_of_the_field(
    seeded_api: Api, parameters: dict[str, str], field: str, told: str
) -> None:
    body = problem(await seeded_api.get(CROSSINGS, **parameters), 422, "invalid")

    assert fields_of(body) == [field]
    assert told in str(body["detail"])


# By what passes there


async def test_by_traffic_and_direction_the_status_is_that_of_the_lanes(seeded_api: Api) -> None:
    found = await items(seeded_api, traffic="pedestrian", to="LT")

    assert [one["id"] for one in found] == [MEDININKAI, "salcininkai-bieniakoni"]
    for one in found:
        answer = await seeded_api.status(one["id"], traffic="pedestrian", to="LT")
        assert (one["status"], one["since"]) == ("closed", answer["since"])
    assert {one["status"] for one in await items(seeded_api, id=MEDININKAI)} == {"unknown"}


async def test_a_filter_by_status_is_of_the_lanes_asked_for(seeded_api: Api) -> None:
    closed = await ids(seeded_api, traffic="bus", status="closed")

    assert KUZNICA in closed
    assert KUZNICA not in await ids(seeded_api, traffic="car", status="closed")
    assert set(await ids(seeded_api, traffic="train")) == set(await ids(seeded_api, mode="rail"))
    assert await ids(seeded_api, to="LV") == [PATERNIEKI, "silene-urbany"]


# By what was last heard


async def test_in_order_of_evidence_the_longest_unconfirmed_comes_first(api: Api) -> None:
    await api.post(CROSSINGS, crossing("never-heard-of"))

    found = await items(api, order="evidence")

    heard = [one["last_confirmed_at"] for one in found]
    assert (found[0]["id"], heard[0]) == ("never-heard-of", None)
    assert heard[1:] == sorted(heard[1:])
    assert sorted(one["id"] for one in found) == await ids(api)
    assert await paged(api, "order=evidence", 4) == [one["id"] for one in found]

    confirmed = {"sides": ["LT"], "citations": [citation()]}
    path = f"{CROSSINGS}/{found[1]['id']}/confirmations"
    sides = {"sides": [side for side in found[1]["sides"] if side != "BY"]}
    assert (await api.post(path, confirmed | sides)).status_code == 201
    assert (await ids(api, order="evidence"))[-1] == found[1]["id"]


async def test_the_order_of_evidence_keeps_to_the_filters(seeded_api: Api) -> None:
    closed = await items(seeded_api, order="evidence", status="closed", border="BY-LT")

    assert {one["status"] for one in closed} == {"closed"}
    heard = [one["last_confirmed_at"] for one in closed]
    assert heard == sorted(heard)


# Where else


async def others(api: Api, crossing_id: str, **parameters: str | int) -> list[Body]:
    response = await api.get(f"{CROSSINGS}/{crossing_id}/alternatives", **parameters)
    assert response.status_code == 200, response.text
    found: list[Body] = response.json()["items"]
    return found


async def test_elsewhere_is_what_is_not_closed_the_nearest_first(seeded_api: Api) -> None:
    found = await others(seeded_api, SUMSKAS, traffic="car")

    assert found[0]["id"] == MEDININKAI
    assert SUMSKAS not in [one["id"] for one in found]
    assert {one["status"] for one in found} <= {"open", "restricted", "unknown"}
    distances = [one["distance_km"] for one in found]
    assert distances == sorted(distances)
    # Belarus is left by other countries too.
    assert {"BY-LT", "BY-LV", "BY-PL"} == {one["border"] for one in found}
    into = await others(seeded_api, SUMSKAS, traffic="car", to="LT")
    assert [one["id"] for one in into] == [MEDININKAI, "salcininkai-bieniakoni"]


async def test_what_is_known_to_be_open_comes_before_what_is_unknown(api: Api) -> None:
    open_one = "salcininkai-bieniakoni"
    await api.declare(status="open", crossings=[open_one], sides=["LT", "BY"])

    found = await others(api, SUMSKAS, traffic="truck", to="BY")

    assert [(one["id"], one["status"]) for one in found[:2]] == [
        (open_one, "open"),
        (MEDININKAI, "unknown"),
    ]
    pages = [
        await api.get(f"{CROSSINGS}/{SUMSKAS}/alternatives", traffic="truck", to="BY", limit=1)
    ]
    while address := pages[-1].json()["next"]:
        pages.append(await api.client.get(address))
    assert [page.json()["items"][0] for page in pages] == found


async def test_the_status_elsewhere_is_of_the_lanes_asked_for(seeded_api: Api) -> None:
    assert MEDININKAI in [one["id"] for one in await others(seeded_api, SUMSKAS)]
    walking = await others(seeded_api, SUMSKAS, traffic="pedestrian")
    assert walking == []


@pytest.mark.parametrize("closed", [SUMSKAS, "slawatycze-damacava"])
async def test_a_car_is_never_sent_to_a_railway_or_to_a_crossing_for_trucks_alone(
    seeded_api: Api, closed: str
) -> None:
    here = (await seeded_api.get(f"{CROSSINGS}/{closed}")).json()

    found = await others(seeded_api, closed)

    assert found
    for one in found:
        assert one["usable_for"]
        assert set(one["usable_for"]) <= set(here["traffic"]) & set(one["traffic"])
        assert one["mode"] == "road"
    assert "kukuryki-kazlovicy" not in {
        one["id"] for one in found if "truck" not in here["traffic"]
    }


async def test_the_status_of_an_alternative_is_of_the_traffic_that_both_are_for(api: Api) -> None:
    await api.declare(crossings=[MEDININKAI], sides=["LT", "BY"], traffic=["truck"])
    await api.declare(crossings=[MEDININKAI], sides=["LT"], status="open", traffic=["car"])

    found = {one["id"]: one for one in await others(api, SUMSKAS)}

    assert found[MEDININKAI]["usable_for"] == ["car"]
    assert found[MEDININKAI]["status"] == "restricted"
    assert MEDININKAI not in [one["id"] for one in await others(api, SUMSKAS, traffic="truck")]


async def test_where_the_crossing_itself_is_need_not_be_known(seeded_api: Api) -> None:
    found = await others(seeded_api, "siemianowka-svislac-rail", traffic="train")

    assert [one["id"] for one in found] == sorted(one["id"] for one in found)
    assert "terespol-brest-rail" in [one["id"] for one in found]
    assert {one["distance_km"] for one in found} == {None}


async def test_a_crossing_of_unknown_place_is_elsewhere_too_behind_the_others(api: Api) -> None:
    await api.post(CROSSINGS, crossing("somewhere"))
    await api.declare(status="open", crossings=["somewhere"], sides=["LT", "BY"])

    found = await others(api, SUMSKAS, traffic="car")

    assert found[0]["id"] == "somewhere"
    assert found[0]["distance_km"] is None
    await api.declare(status="open", crossings=[MEDININKAI], sides=["LT", "BY"])
    assert [one["id"] for one in await others(api, SUMSKAS, traffic="car")][:2] == [
        MEDININKAI,
        "somewhere",
    ]


async def test_elsewhere_of_an_unknown_crossing_is_not_found(seeded_api: Api) -> None:
    response = await seeded_api.get(f"{CROSSINGS}/nowhere/alternatives")
    problem(response, 404, "crossing-not-found")
