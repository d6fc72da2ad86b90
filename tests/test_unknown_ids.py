"""A filter that names what does not exist is refused by its name, and never answered by nothing."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.api import SUMSKAS, Api, citation, crossing, fields_of, problem, whole
from tests.conftest import Database, started
from tests.waiting import PATIENCE

NOBODY = "01999999-0000-7000-8000-000000000000"
UNKNOWN = {
    "id": "nowhere-at-all",
    "crossing": "nowhere-at-all",
    "border": "EE-LV",
    "country": "EE",
    "to": "EE",
    "source": NOBODY,
    "incident": NOBODY,
    "decision": NOBODY,
}
"""Of each kind of filter, an id that is well formed."""
OF_A_LANE = tuple(
    f"/v1/crossings/{{crossing_id}}/{name}"
    for name in ("status", "timeline", "statistics", "observations", "observations/summary")
)
"""Here it is the lane that does not exist: a 404."""


async def filters_of(api: Api) -> list[tuple[str, str]]:
    """Return every read with a parameter that may name what does not exist, by the document."""
    document = (await api.get("/openapi.json")).json()

    def found() -> Iterator[tuple[str, str]]:
        for path, operations in document["paths"].items():
            parameters: Any = whole(document, operations.get("get", {}).get("parameters", []))
            for parameter in parameters:
                if parameter["in"] == "query" and parameter["name"] in UNKNOWN:
                    yield path, parameter["name"]

    return [(path, name) for path, name in found() if path not in OF_A_LANE]


async def test_every_list_and_feed_refuses_an_unknown_id_and_names_it(seeded_api: Api) -> None:
    filters = await filters_of(seeded_api)
    paths = {path for path, _ in filters}

    assert paths >= {
        "/v1/crossings", "/v1/borders", "/v1/events", "/v1/changes", "/v1/notices",
        "/v1/incidents", "/feeds/closures.ics", "/feeds/events.csv", "/feeds/events.ndjson",
        "/feeds/events.xlsx",
        "/feeds/timelines.csv", "/feeds/timelines.ndjson", "/feeds/crossings.geojson",
        "/feeds/statistics.csv", "/v1/borders/{border_id}/statistics",
    }  # fmt: skip
    for path, name in filters:
        address = path.replace("{crossing_id}", SUMSKAS).replace("{border_id}", "BY-LT")
        refused(await seeded_api.get(address, **{name: UNKNOWN[name]}), name)


@pytest.mark.parametrize("query", ["id=sumskas-losa&id={}", "id={}&id=sumskas-losa"])
async def test_one_unknown_id_among_known_ones_is_refused(seeded_api: Api, query: str) -> None:
    response = await seeded_api.client.get(f"/v1/crossings?{query.format(UNKNOWN['id'])}")
    refused(response, "id")


async def test_several_unknown_ids_are_each_named(seeded_api: Api) -> None:
    query = "crossing=nowhere&crossing=sumskas-losa&crossing=elsewhere&border=EE-LV"

    response = await seeded_api.client.get(f"/feeds/closures.ics?{query}")

    body = problem(response, 422, "invalid")
    assert fields_of(body) == ["crossing", "crossing", "border"]
    told = str(body["detail"])
    assert "nowhere" in told
    assert "elsewhere" in told
    assert SUMSKAS not in told


@pytest.mark.parametrize("name", ["crossing", "border", "country", "to"])
async def test_a_stream_with_a_typo_is_refused_instead_of_staying_silent(
    seeded: Database, name: str
) -> None:
    async with started(seeded.url) as (service, client):
        assert await service.stream.reached(1, within=PATIENCE)
        stream = {"Accept": "text/event-stream"}
        for _ in range(2):
            response = await client.get(f"/v1/changes?{name}={UNKNOWN[name]}", headers=stream)
            refused(response, name)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("crossings", [SUMSKAS, "nowhere-at-all"], "nowhere-at-all"),
        ("borders", ["EE-LV"], "EE-LV"),
        ("countries", ["EE"], "EE"),
        ("to", "EE", "EE"),
    ],
)
async def test_a_subscription_to_what_does_not_exist_is_refused(
    api: Api, field: str, value: object, named: str
) -> None:
    body = {"url": "https://example.com/crossings", "filter": {field: value}}

    response = await api.post("/v1/subscriptions", body)

    told = problem(response, 422, "invalid")
    assert fields_of(told) == [f"filter.{field}"]
    assert named in str(told["detail"])


@pytest.mark.parametrize("name", ["border", "country", "to"])
@pytest.mark.parametrize("past", ["", "&at=2023-09-01T00:00"])
async def test_the_page_of_all_crossings_refuses_a_filter_for_what_does_not_exist(
    seeded_api: Api, name: str, past: str
) -> None:
    for path in ("/", "/map.json"):
        refused(await seeded_api.client.get(f"{path}?{name}={UNKNOWN[name]}{past}"), name)


async def test_what_exists_since_now_may_be_asked_for_in_the_past(api: Api) -> None:
    """It was not there then, which is an answer."""
    number = int((await api.get("/v1/crossings")).headers["change-number"])
    added = await api.post("/v1/crossings", crossing(sides=["EE", "LV"], location=None, names=[
        {"lang": "et", "side": "EE", "name": "Uus"}]))  # fmt: skip
    assert added.status_code == 201, added.text

    for name, value in (("id", "new-crossing"), ("border", "EE-LV"), ("country", "EE")):
        assert (await api.get("/v1/crossings", **{name: value})).json()["items"]
        asked: dict[str, str | int] = {name: value, "known_change": number}
        then = await api.get("/v1/crossings", **asked)
        assert (then.status_code, then.json()["items"]) == (200, [])


async def test_a_country_that_only_notices_are_about_exists(api: Api) -> None:
    notice = {
        "kind": "travel_advice",
        "issuer": {"country": "EE", "name": None},
        "subjects": {"countries": ["EE"]},
        "text": {"en": "Travel is discouraged."},
        "citations": [citation()],
    }
    refused(await api.get("/v1/notices", country="EE"), "country")

    assert (await api.post("/v1/notices", notice)).status_code == 201

    assert len((await api.get("/v1/notices", country="EE")).json()["items"]) == 1


def refused(response: httpx2.Response, field: str) -> None:
    body = problem(response, 422, "invalid")
    assert fields_of(body) == [field]
    assert UNKNOWN[field] in str(body["detail"])
