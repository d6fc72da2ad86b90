"""What was drawn from a source: in its order, in pages that lose nothing and stay small."""

from typing import Any

from tests.api import Api, crossing, decision, fields_of, problem
from tests.conftest import Database
from tests.marks import full

Body = dict[str, Any]


async def source_of(api: Api) -> str:
    response = await api.post("/v1/sources", {"title": "A source"})
    found: str = response.json()["id"]
    return found


async def say(api: Api, source: str, locator: str | None) -> Body:
    notice = {
        "kind": "context",
        "issuer": {"name": "A test"},
        "subjects": {"countries": ["LT"]},
        "text": {"en": f"Said in {locator}"},
        "citations": [{"source": source, "locator": locator}],
    }
    response = await api.post("/v1/notices", notice)
    assert response.status_code == 201, response.text
    found: Body = response.json()
    return found


async def page(api: Api, address: str) -> Body:
    response = await api.client.get(address)
    assert response.status_code == 200, response.text
    found: Body = response.json()["facts"]
    return found


def locators(facts: Body) -> list[str | None]:
    return [one["locator"] for one in facts["items"]]


async def test_facts_stand_in_the_order_of_the_numbers_of_their_locators(
    database: Database,
) -> None:
    async with database.api() as api:
        source = await source_of(api)
        for locator in ("page 10", "page 2, line 11", None, "page 2, line 3", "page 2", "page 10"):
            await say(api, source, locator)

        facts = await page(api, f"/v1/sources/{source}")

    assert locators(facts) == [
        None, "page 2", "page 2, line 3", "page 2, line 11", "page 10", "page 10",
    ]  # fmt: skip


async def test_a_fact_withdrawn_between_two_pages_loses_none_of_the_others(
    database: Database,
) -> None:
    async with database.api() as api:
        source = await source_of(api)
        said = [await say(api, source, f"paragraph {number}") for number in range(6)]
        first = await page(api, f"/v1/sources/{source}?limit=2")
        withdrawn = await api.post(said[1]["undo"][0], {"reason": {"code": "other"}})
        assert withdrawn.status_code == 201

        second = await page(api, first["next"])

    assert locators(first) == ["paragraph 0", "paragraph 1"]
    assert locators(second) == ["paragraph 2", "paragraph 3"]


async def test_what_was_corrected_stands_as_its_correction_alone(database: Database) -> None:
    async with database.api() as api:
        source = await source_of(api)
        told = await say(api, source, "page 1")
        kept = ("kind", "issuer", "subjects")
        correction = {
            **{name: told[name] for name in kept},
            "text": {"en": "Better"},
            "supersedes": told["id"],
            "citations": [{"source": source, "locator": "page 2"}],
        }
        assert (await api.post("/v1/notices", correction)).status_code == 201

        assert locators(await page(api, f"/v1/sources/{source}")) == ["page 2"]


@full
async def test_a_page_holds_as_many_events_as_one_can_wait_for(database: Database) -> None:
    """Decisions come whole, so that of large ones fewer stand on a page."""
    async with database.api() as api:
        source = await source_of(api)
        names = [f"crossing-{number:03}" for number in range(120)]
        for name in names:
            assert (await api.post("/v1/crossings", crossing(name))).status_code == 201
        cited = [{"source": source, "locator": f"page {number}"} for number in range(3)]
        response = await api.post("/v1/events", decision(crossings=names, citations=cited))
        assert response.status_code == 201, response.text

        address: str | None = f"/v1/sources/{source}"
        pages = []
        while address:
            pages.append(await page(api, address))
            address = pages[-1]["next"]

    assert [locators(one) for one in pages] == [["page 0"], ["page 1"], ["page 2"]]
    assert {len(one["items"][0]["decision"]) for one in pages} == {120}


async def test_the_cursor_of_another_source_is_refused(database: Database) -> None:
    async with database.api() as api:
        here, there = await source_of(api), await source_of(api)
        for number in range(2):
            await say(api, here, f"page {number}")
        cursor = (await page(api, f"/v1/sources/{here}?limit=1"))["next"].rpartition("=")[2]

        response = await api.get(f"/v1/sources/{there}", cursor=cursor)

    assert fields_of(problem(response, 422, "invalid")) == ["cursor"]
