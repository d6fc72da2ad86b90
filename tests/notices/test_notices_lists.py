"""Which notices a list has: all of them newest first, or what is asked for."""

import pytest

from tests.api import Api, citation, fields_of, problem
from tests.notices.conftest import (
    AWAY,
    HERE,
    NOTICES,
    THERE,
    Body,
    days,
    ids,
    items,
    one,
    retract,
    say,
    tell,
    texts,
    write,
)

PLACES: dict[str, Body] = {
    HERE: {"crossings": [HERE]},
    THERE: {"crossings": [THERE]},
    AWAY: {"crossings": [AWAY]},
    "BY-LT": {"borders": ["BY-LT"]},
    "BY-PL": {"borders": ["BY-PL"]},
    "BY": {"countries": ["BY"]},
    "LT": {"countries": ["LT"]},
    "PL": {"countries": ["PL"]},
    "US": {"countries": ["US"]},
}


async def say_of_every_place(api: Api) -> None:
    """Record one notice about each place alone, and by none of the places themselves."""
    for name, subjects in PLACES.items():
        await say(api, subjects=subjects, issuer={"country": "LV"}, text={"en": name})


# All of them


async def test_notices_come_newest_first_corrected_and_withdrawn_ones_included(here: Api) -> None:
    first = await say(here)
    second = await say(here, supersedes=first["id"])
    third = await say(here)
    await retract(here, third)
    listed = await items(here, NOTICES)

    assert ids(listed) == ids([third, second, first])
    for each in listed:
        assert each == await one(here, NOTICES, each)


async def test_pages_follow_one_another_and_each_says_where_the_next_is(here: Api) -> None:
    said = [await say(here, text={"en": f"Notice {number}"}) for number in range(5)]
    await say(here, kind="context")
    found: list[list[str]] = []
    address: str | None = f"{NOTICES}?kind=security_measure&limit=2"
    while address is not None:
        response = await here.client.get(address)
        body = response.json()
        found.append(ids(body["items"]))
        # What is said meanwhile shifts nothing.
        await say(here)
        address = body["next"]
        if address is not None:
            assert address.startswith("http://crossings.test/v1/notices?")
            assert response.headers["link"] == f'<{address}>; rel="next"'
        else:
            assert "link" not in response.headers

    one_, two, three, four, five = ids(said)
    assert found == [[five, four], [three, two], [one_]]


async def test_a_list_may_be_empty(here: Api) -> None:
    assert (await here.get(NOTICES)).json() == {"items": [], "next": None}


# What concerns a place


async def test_a_crossing_is_concerned_by_its_border_and_both_countries_too(here: Api) -> None:
    await say_of_every_place(here)
    found = {name: await texts(here, crossing=name) for name in (HERE, THERE, AWAY)}
    assert found == {
        HERE: sorted([HERE, "BY-LT", "BY", "LT"]),
        THERE: sorted([THERE, "BY-LT", "BY", "LT"]),
        AWAY: sorted([AWAY, "BY-PL", "BY", "PL"]),
    }


async def test_a_border_is_concerned_by_its_crossings_and_both_countries_too(here: Api) -> None:
    await say_of_every_place(here)
    borders = ("BY-LT", "LT-BY", "BY-PL")
    found = {name: await texts(here, border=name) for name in borders}
    assert found == {
        "BY-LT": sorted([HERE, THERE, "BY-LT", "BY", "LT"]),
        "LT-BY": sorted([HERE, THERE, "BY-LT", "BY", "LT"]),
        "BY-PL": sorted([AWAY, "BY-PL", "BY", "PL"]),
    }


async def test_a_country_is_concerned_by_its_borders_and_their_crossings_too(here: Api) -> None:
    """But not by what it merely says, as Latvia does here of all the others."""
    await say_of_every_place(here)
    countries = ("BY", "LT", "PL", "US", "LV")
    found = {name: await texts(here, country=name) for name in countries}
    assert found == {
        "BY": sorted([HERE, THERE, AWAY, "BY-LT", "BY-PL", "BY"]),
        "LT": sorted([HERE, THERE, "BY-LT", "LT"]),
        "PL": sorted([AWAY, "BY-PL", "PL"]),
        "US": ["US"],
        "LV": [],
    }


async def test_places_asked_for_together_must_all_be_concerned(here: Api) -> None:
    await say_of_every_place(here)
    assert await texts(here, country="BY", border="BY-LT") == sorted([HERE, THERE, "BY-LT", "BY"])
    assert await texts(here, country="LT", crossing=HERE) == sorted([HERE, "BY-LT", "LT"])
    assert await texts(here, border="BY-PL", crossing=HERE) == ["BY"]
    assert await texts(here, country="LT", border="BY-PL") == []


async def test_a_notice_about_many_places_is_listed_once_with_each(here: Api) -> None:
    subjects = {"countries": ["BY", "LT"], "borders": ["BY-LT"], "crossings": [HERE, AWAY]}
    told = await say(here, subjects=subjects)
    for asked in ({"country": "PL"}, {"border": "BY-LT"}, {"crossing": THERE}, {"country": "BY"}):
        assert ids(await items(here, NOTICES, **asked)) == [told["id"]]


# What is of a kind, a story or a source


async def test_a_list_may_be_of_one_kind(here: Api) -> None:
    advice = await say(here, kind="travel_advice")
    await say(here)
    assert ids(await items(here, NOTICES, kind="travel_advice")) == [advice["id"]]
    assert await items(here, NOTICES, kind="reaction") == []


async def test_a_list_may_be_of_one_incident(here: Api) -> None:
    story, other = await tell(here), await tell(here)
    told = await say(here, incident=story["id"])
    await say(here, incident=other["id"])
    await say(here)
    assert ids(await items(here, NOTICES, incident=story["id"])) == [told["id"]]


async def test_a_list_may_be_of_what_cites_a_source(here: Api) -> None:
    """Once each, however often it cites it; what a withdrawal cites does not count."""
    source = (await write(here, "/v1/sources", {"title": "A source"}))["id"]
    cited = [citation(source=source, locator="1"), citation(source=source, locator="2")]
    told = await say(here, citations=[citation(), *cited])
    withdrawn = await say(here)
    await write(here, withdrawn["undo"][0], {"reason": {"code": "other"}, "citations": cited})

    assert ids(await items(here, NOTICES, source=source)) == [told["id"]]


# All together


async def test_everything_that_is_asked_for_must_hold(here: Api) -> None:
    story = (await tell(here))["id"]
    source = (await write(here, "/v1/sources", {"title": "A source"}))["id"]
    whole: Body = {
        "kind": "reaction",
        "subjects": {"crossings": [HERE]},
        "incident": story,
        "citations": [{"source": source}],
        "effective": {"from": days(-2), "until": days(2)},
    }
    told = await say(here, **whole)
    for but in (
        {"kind": "context"},
        {"subjects": {"crossings": [AWAY]}},
        {"incident": None},
        {"citations": [citation()]},
        {"effective": {"from": days(1)}},
    ):
        await say(here, **{**whole, **but})
    await retract(here, await say(here, **whole))
    asked = {
        "kind": "reaction",
        "country": "LT",
        "border": "BY-LT",
        "crossing": HERE,
        "incident": story,
        "source": source,
        "in_force_at": days(0),
    }
    assert ids(await items(here, NOTICES, **asked)) == [told["id"]]


# Questions that make no sense


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"kind": "rumour"}, "kind"),
        ({"kind": ""}, "kind"),
        ({"country": "XX"}, "country"),
        ({"country": "lt"}, "country"),
        ({"border": "BYLT"}, "border"),
        ({"border": "by-lt"}, "border"),
        ({"crossing": "Šumskas"}, "crossing"),
        ({"incident": "x"}, "incident"),
        ({"source": "x"}, "source"),
        ({"in_force_at": "2023-09-01"}, "in_force_at"),
        ({"in_force_at": "2023-09-01T00:00:00"}, "in_force_at"),
        ({"in_force_at": "now"}, "in_force_at"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "MQ"}, "cursor"),
        ({"cursor": "c" * 201}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": "closed"}, "status"),
        ({"known_change": "1"}, "known_change"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused_by_name(
    seeded_api: Api, parameters: dict[str, str], field: str
) -> None:
    response = await seeded_api.get(NOTICES, **parameters)
    assert fields_of(problem(response, 422, "invalid")) == [field]


async def test_another_lists_cursor_is_refused(seeded_api: Api) -> None:
    following = (await seeded_api.get("/v1/crossings", limit=1)).json()["next"]
    cursor = following.partition("cursor=")[2]
    assert cursor
    for path in (NOTICES, "/v1/incidents"):
        response = await seeded_api.client.get(f"{path}?cursor={cursor}")
        assert fields_of(problem(response, 422, "invalid")) == ["cursor"]
