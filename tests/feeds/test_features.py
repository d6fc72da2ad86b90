"""GeoJSON, held against a schema of RFC 7946 and against the list that it is made of."""

import jsonschema
import pytest

from tests.api import Api
from tests.board.conftest import Sides, sides_of
from tests.board.conftest import read_sides as read_sides  # noqa: PLC0414  # a fixture
from tests.conftest import Database
from tests.feeds.conftest import HERE, THERE, Body, declare

ALL = "/feeds/crossings.geojson"
POINT = {
    "type": "object",
    "required": ["type", "coordinates"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "Point"},
        "coordinates": {
            "prefixItems": [
                {"type": "number", "minimum": -180, "maximum": 180},
                {"type": "number", "minimum": -90, "maximum": 90},
            ],
            "items": False,
            "minItems": 2,
        },
    },
}
RFC7946 = {
    "type": "object",
    "required": ["type", "features"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "id", "geometry", "properties"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "Feature"},
                    "id": {"type": "string"},
                    "geometry": {"anyOf": [{"type": "null"}, POINT]},
                    "properties": {"type": "object"},
                },
            },
        },
    },
}


async def read(api: Api, **parameters: str) -> list[Body]:
    response = await api.get(ALL, **parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/geo+json"
    found = response.json()
    jsonschema.validate(found, RFC7946, cls=jsonschema.Draft202012Validator)
    features: list[Body] = found["features"]
    return features


async def test_every_crossing_is_there_as_the_list_shows_it(seeded_api: Api) -> None:
    listed = (await seeded_api.get("/v1/crossings", limit=200)).json()["items"]

    found = await read(seeded_api)

    assert len(found) == len(listed) == 18
    for feature, one in zip(found, listed, strict=True):
        properties = feature["properties"]
        precision_km = properties.pop("precision_km")
        assert feature["id"] == one["id"]
        if location := one["location"]:
            assert feature["geometry"]["coordinates"] == [location["lon"], location["lat"]]
            assert precision_km == location["precision_km"]
        assert properties == {name: one[name] for name in properties}
        assert {"status", "since", "last_known", "stale", "overdue", "links"} <= properties.keys()


async def test_a_crossing_that_is_nowhere_has_no_geometry(here: Api) -> None:
    located, nowhere = await read(here)

    assert (located["id"], nowhere["id"]) == (HERE, THERE)
    assert located["geometry"] == {"type": "Point", "coordinates": [25.75, 54.5]}
    assert nowhere["geometry"] is None
    assert nowhere["properties"]["precision_km"] is None


async def test_it_is_filtered_like_the_list(here: Api) -> None:
    await declare(here)

    for query in ({"border": "LT-BY"}, {"country": "LT"}, {"status": "closed"}):
        assert [one["id"] for one in await read(here, **query)] == [HERE]
    assert len(await read(here, country="BY")) == 2
    assert await read(here, border="BY-PL", status="closed") == []


@pytest.mark.parametrize(
    "query", ["", "?border=LT-BY", "?country=PL", "?status=unknown&country=LT", "?retired=true"]
)
async def test_the_board_and_the_route_behind_it_say_the_same(
    read_sides: Sides, query: str
) -> None:
    by_board, by_route = await read_sides.both(ALL + query)

    assert by_board.content == by_route.content
    assert by_board.headers["etag"] == by_route.headers["etag"]
    assert by_board.headers["content-type"] == by_route.headers["content-type"]


@pytest.mark.parametrize(
    "query", ["border=LT", "country=XX", "status=shut", "q=x", "status=a&status=b"]
)
async def test_what_it_does_not_know_is_refused(seeded_api: Api, query: str) -> None:
    assert (await seeded_api.client.get(f"{ALL}?{query}")).status_code == 422


async def test_what_has_not_changed_is_not_sent_again(empty: Database) -> None:
    async with sides_of(empty) as sides:
        first = await sides.front.get(ALL)
        tag = {"If-None-Match": first.headers["etag"]}

        again = await sides.front.client.get(ALL, headers=tag)
        head = await sides.front.client.head(ALL)

    assert first.json() == {"type": "FeatureCollection", "features": []}
    assert (again.status_code, again.content) == (304, b"")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == first.headers["etag"]
