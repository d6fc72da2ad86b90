"""The article, read back as data: every statement of it stands somewhere, with its paragraph."""

import re
from typing import Any

import pytest

from app.changes.ids import seed_id
from app.seeding.files import SEEDS, Fact, Seeds
from tests.api import Api

Body = dict[str, Any]

ARTICLE = str(seed_id("source/article", "source"))
FACTS = Seeds(SEEDS).facts()
STANDING = [(fact, name) for fact in FACTS for name in fact.stands_as]


async def facts(api: Api) -> list[Body]:
    body: Body = (await api.get(f"/v1/sources/{ARTICLE}")).json()["facts"]
    assert body["next"] is None
    items: list[Body] = body["items"]
    return items


async def stands(api: Api, name: str) -> list[Body]:
    """Return what a seed became, by the documented addresses alone."""
    kind, _, _ = name.partition("/")
    if kind == "notice":
        return [(await api.get(f"/v1/notices/{seed_id(name, 'notice')}")).json()]
    decision = str(seed_id(name, "decision"))
    items: list[Body] = (await api.get("/v1/events", decision=decision)).json()["items"]
    assert items, name
    return items


def citations_at(body: Body, fact: Fact) -> list[Body]:
    return [
        one
        for one in body["citations"]
        if one["source"] == ARTICLE
        and one["basis"] == "stated"
        and re.match(rf"paragraph {fact.paragraph}\b", one["locator"])
    ]


def test_the_list_has_every_statement_once_and_in_order() -> None:
    assert [fact.row for fact in FACTS] == list(range(1, 23))
    assert [fact.paragraph for fact in FACTS] == sorted(fact.paragraph for fact in FACTS)


def test_only_opinion_is_left_out_and_it_is_named() -> None:
    left_out = {fact.row: fact.left_out for fact in FACTS if fact.left_out}

    assert left_out.keys() == {5, 22}
    assert all(str(why).startswith("opinion: ") for why in left_out.values())


@pytest.mark.parametrize(
    ("fact", "name"), STANDING, ids=[f"{fact.row}-{name}" for fact, name in STANDING]
)
async def test_every_fact_is_reached_by_a_documented_address_and_cites_its_paragraph(
    seeded_api: Api, fact: Fact, name: str
) -> None:
    for body in await stands(seeded_api, name):
        assert citations_at(body, fact), name


async def test_the_source_answers_with_every_fact_in_the_articles_order(seeded_api: Api) -> None:
    items = await facts(seeded_api)

    stated = [one for one in items if one["basis"] == "stated"]
    places = [
        [int(number) for number in re.findall(r"\d+", one["locator"])]
        for one in stated
        if one["locator"].startswith("paragraph")
    ]
    assert places == sorted(places)
    assert {place[0] for place in places} == {1, 2, 3, 4, 5, 6}
    told = {one["notice"]["id"] for one in items if one["notice"]}
    told |= {one["decision"][0]["decision"] for one in items if one["decision"]}
    for _, name in STANDING:
        kind = name.partition("/")[0]
        assert str(seed_id(name, "decision" if kind == "record" else kind)) in told, name


async def test_a_fact_is_whole_wherever_it_is_shown(seeded_api: Api) -> None:
    for item in await facts(seeded_api):
        shown = [item["decision"], item["notice"], item["incident"], item["crossing"]]
        assert sum(one is not None for one in shown) == 1
        if item["notice"]:
            alone = await seeded_api.get(f"/v1/notices/{item['notice']['id']}")
            assert alone.json() == item["notice"]
        for event in item["decision"] or ():
            assert (await seeded_api.get(f"/v1/events/{event['id']}")).json() == event


async def test_figures_are_as_sure_as_the_article_has_them(seeded_api: Api) -> None:
    def figures(name: str, body: Body) -> list[tuple[float, str, str, bool]]:
        assert body["id"] == str(seed_id(f"notice/{name}", "notice"))
        return [
            (one["value"], one["unit"], one["qualifier"], one["hedge"] is not None)
            for one in body["figures"]
        ]

    expected = {
        "wagner-4500-near-borders": [(4500, "persons", "up_to", True)],
        "poland-troops": [(4000, "persons", "exactly", False), (6000, "persons", "exactly", False)],
        "latvia-presence": [],
        "two-of-six": [(2, "crossings", "exactly", False), (6, "crossings", "exactly", False)],
    }
    for name, wanted in expected.items():
        (body,) = await stands(seeded_api, f"notice/{name}")
        assert figures(name, body) == wanted


async def test_what_is_only_discussed_is_no_status(seeded_api: Api) -> None:
    (body,) = await stands(seeded_api, "notice/total-closure-discussed")
    assert body["kind"] == "negotiation"

    for border in ("BY-LT", "BY-PL"):
        counts = (await seeded_api.get(f"/v1/borders/{border}", at="2023-08-31T12:00:00Z")).json()
        assert sum(counts["counts"].values()) > counts["counts"]["closed"]


@pytest.mark.parametrize(
    ("ours", "articles"),
    [
        ("content-of-mid-august", "date-line-november"),
        ("smuggling-first", "preventive-step"),
        ("wagner-4500-in-belarus", "wagner-4500-near-borders"),
        ("warsaw-interior-ministers", "warsaw-foreign-ministers"),
    ],
)
async def test_where_sources_differ_both_claims_stand_and_are_linked(
    seeded_api: Api, ours: str, articles: str
) -> None:
    (one,) = await stands(seeded_api, f"notice/{ours}")
    (other,) = await stands(seeded_api, f"notice/{articles}")

    assert other["id"] in one["contradicts"]
    assert one["id"] in other["contradicted_by"]
    for body in (one, other):
        assert body["citations"]
        assert (body["superseded_by"], body["retraction"]) == (None, None)


async def test_the_incident_answers_as_one_timeline(seeded_api: Api) -> None:
    incident = seed_id("incident/two-of-six-2023", "incident")

    body = (await seeded_api.get(f"/v1/incidents/{incident}")).json()

    items = body["timeline"]["items"]
    assert [one["at"] for one in items] == sorted(one["at"] for one in items)
    told = {one["notice"]["id"] for one in items if one["notice"]}
    decided = {one["decision"][0]["decision"] for one in items if one["decision"]}
    for _, name in STANDING:
        kind = name.partition("/")[0]
        found = decided if kind == "record" else told
        assert str(seed_id(name, "decision" if kind == "record" else kind)) in found, name
