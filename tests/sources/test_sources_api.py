"""Where facts come from, over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api import Api, citation, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

SOURCES = "/v1/sources"
FULL: Body = {
    "kind": "official",
    "title": "Dėl pasienio kontrolės punktų",
    "publisher": "Vyriausybė",
    "published_at": "2023-08-16",
    "retrieved_at": "2023-11-13T10:00:00+02:00",
    "url": "https://example.org/nutarimas?id=1#2",
    "file_name": "nutarimas.pdf",
    "sha256": "0123456789abcdef" * 4,
    "language": "lt",
    "note": "Two\nlines",
}


@pytest.fixture
async def empty(database: Database) -> AsyncIterator[Api]:
    async with database.api() as api:
        yield api


async def test_a_source_is_told_back_and_found_as_it_was_recorded(empty: Api) -> None:
    response = await empty.post(SOURCES, FULL)
    body = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == f"{SOURCES}/{body['id']}"
    assert response.headers["change-number"] == "1"
    assert body == {
        **FULL,
        "retrieved_at": "2023-11-13T08:00:00Z",
        "id": body["id"],
        "change": 1,
        "recorded_at": body["recorded_at"],
        "recorded_by": "reporter",
    }
    assert [*body] == [*FULL, "id", "change", "recorded_at", "recorded_by"]
    found = (await empty.get(response.headers["location"])).json()
    assert found == {**body, "facts": {"items": [], "next": None}}
    assert (await empty.get(SOURCES)).json() == {"items": [body], "next": None}


async def test_only_the_title_is_required_and_a_source_is_an_article_by_default(
    empty: Api,
) -> None:
    body = (await empty.post(SOURCES, {"title": "A title"})).json()
    assert {name: body[name] for name in FULL} == {
        **dict.fromkeys(FULL),
        "kind": "article",
        "title": "A title",
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("2023-11-13", "2023-11-13"),
        ("2024-02-29", "2024-02-29"),
        ("2023-11-13T00:00:00Z", "2023-11-13T00:00:00Z"),
        ("2023-11-13T01:30:00+02:00", "2023-11-12T23:30:00Z"),
        ("2023-11-13t00:00:00z", "2023-11-13T00:00:00Z"),
        ("2023-11-13T00:00:00.5-00:30", "2023-11-13T00:30:00.500000Z"),
    ],
)
async def test_a_date_stays_a_date_and_an_instant_is_told_in_utc(
    seeded_api: Api, given: str, told: str
) -> None:
    body = {"title": "x", "published_at": given, "retrieved_at": given}
    response = await seeded_api.post(SOURCES, body, validate_only="true")
    assert response.status_code == 200, response.text
    assert response.json()["published_at"] == response.json()["retrieved_at"] == told


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": None}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": 1}, "title"),
        ({"kind": "rumour"}, "kind"),
        ({"kind": None}, "kind"),
        ({"publisher": ""}, "publisher"),
        ({"published_at": "13.11.2023"}, "published_at"),
        ({"published_at": "yesterday"}, "published_at"),
        ({"published_at": "2023-02-30"}, "published_at"),
        ({"published_at": "2023-11"}, "published_at"),
        ({"published_at": ""}, "published_at"),
        ({"published_at": 2023}, "published_at"),
        ({"published_at": "2023-11-13T00:00:00"}, "published_at"),
        ({"published_at": "2023-11-13T24:00:00Z"}, "published_at"),
        ({"retrieved_at": "2023-13-01"}, "retrieved_at"),
        ({"retrieved_at": "2300-01-01T00:00:00Z"}, "retrieved_at"),
        ({"url": "ftp://example.org"}, "url"),
        ({"url": "example.org"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "https://example.org/a b"}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://"}, "url"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": "0" * 65}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"sha256": "g" * 64}, "sha256"),
        ({"language": "Lithuanian"}, "language"),
        ({"language": ""}, "language"),
        ({"note": "x" * 2001}, "note"),
        ({"author": "nobody"}, "author"),
        ({"id": "00000000-0000-0000-0000-000000000000"}, "id"),
        ({"recorded_at": "2023-11-13T00:00:00Z"}, "recorded_at"),
    ],
)
async def test_a_source_with_a_fault_is_refused_by_the_name_of_the_field(
    seeded_api: Api, fields: Body, field: str
) -> None:
    before = (await seeded_api.get(SOURCES)).content
    for parameters in ({}, {"validate_only": "true"}):
        response = await seeded_api.post(SOURCES, {"title": "x", **fields}, **parameters)
        assert fields_of(problem(response, 422, "invalid")) == [field]
    assert (await seeded_api.get(SOURCES)).content == before


async def test_a_source_without_a_title_is_refused(seeded_api: Api) -> None:
    response = await seeded_api.post(SOURCES, {"publisher": "Somebody"})
    assert fields_of(problem(response, 422, "invalid")) == ["title"]


async def test_validate_only_tells_the_source_as_it_would_be_and_records_nothing(
    empty: Api,
) -> None:
    preview = await empty.post(SOURCES, FULL, validate_only="true")
    assert preview.status_code == 200
    assert "location" not in preview.headers
    assert (await empty.get(SOURCES)).json() == {"items": [], "next": None}
    told = (await empty.post(SOURCES, FULL)).json()
    assert preview.json() == {**told, "id": None, "change": None, "recorded_at": None}


async def test_equal_sources_are_recorded_as_often_as_they_are_posted(empty: Api) -> None:
    """Only within one request, and by an idempotency key, is the same the same."""
    first = (await empty.post(SOURCES, FULL)).json()
    second = (await empty.post(SOURCES, FULL)).json()
    assert (second["id"] != first["id"], second["change"]) == (True, 2)


async def test_an_unknown_source_is_not_found(seeded_api: Api) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    problem(await seeded_api.get(f"{SOURCES}/{nobody}"), 404, "source-not-found")
    problem(await seeded_api.get(f"{SOURCES}/nothing"), 422, "invalid")


async def test_sources_are_paged_newest_first_and_never_more_than_200_at_a_time(
    api: Api,
) -> None:
    """Sources that came with one decision share its change and are told apart all the same."""
    for number in range(5):
        sources = [citation(source={"title": f"Source {number} {place}"}) for place in range(45)]
        await api.declare(citations=sources)
    first = (await api.get(SOURCES, limit=10_000)).json()
    assert len(first["items"]) == 200
    found: list[Body] = []
    address: str | None = f"{SOURCES}?limit=10000"
    while address:
        response = await api.client.get(address)
        address = response.json()["next"]
        assert response.headers.get("link") == (address and f'<{address}>; rel="next"')
        found += response.json()["items"]
    small: list[Body] = []
    address = f"{SOURCES}?limit=37"
    while address:
        body = (await api.client.get(address)).json()
        address = body["next"]
        assert len(body["items"]) == 37 or address is None
        small += body["items"]

    assert small == found
    assert len(found) > 225
    changes = [one["change"] for one in found]
    assert changes == sorted(changes, reverse=True)
    assert len({one["id"] for one in found}) == len(found)


async def test_a_list_has_fifty_items_unless_asked_for_others(api: Api) -> None:
    citations = [citation(source={"title": f"Source {place}"}) for place in range(50)]
    await api.declare(citations=citations)
    body = (await api.get(SOURCES)).json()
    assert [one["title"] for one in body["items"]] == [
        f"Source {place}" for place in reversed(range(50))
    ]
    assert body["next"] is not None
