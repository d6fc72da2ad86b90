"""A notice over HTTP: told back as it was said, with what follows from it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.api import Api, citation, problem
from tests.notices.conftest import (
    CHANGES,
    HERE,
    NOBODY,
    NOTICES,
    THERE,
    Body,
    days,
    items,
    one,
    recorded,
    say,
    tell,
    write,
)

# Recording


async def test_a_notice_is_told_back_and_found_as_it_was_said(here: Api) -> None:
    source = await write(here, "/v1/sources", {"title": "Known before"})
    story, other = await tell(here), await say(here)
    body = {
        "kind": "threat_assessment",
        "issuer": {"country": "LT", "name": "Ministry of the Interior"},
        "subjects": {
            "countries": ["LT", "BY"],
            "borders": ["BY-PL", "BY-LT"],
            "crossings": [THERE, HERE],
        },
        "text": {"lt": "Gali būti provokacijų.", "en": "There may be provocations."},
        "figures": [
            {
                "value": 4500,
                "unit": "persons",
                "qualifier": "up_to",
                "of": "Fighters",
                "hedge": "may be",
            },
            {"value": 0.25, "unit": "share", "qualifier": "about", "of": None, "hedge": None},
        ],
        "certainty": "reported",
        "effective": {"from": "2023-08-01T00:00:00Z", "until": "2023-09-01T00:00:00Z"},
        "precision": "month",
        "announced_at": "2023-08-16T09:30:00Z",
        "incident": story["id"],
        "contradicts": [other["id"]],
        "supersedes": None,
        "citations": [{"source": source["id"], "locator": "paragraph 3", "basis": "inferred"}],
    }
    response = await here.post(NOTICES, body)
    told = response.json()
    derived: Body = {
        "contradicted_by": [],
        "superseded_by": None,
        "retraction": None,
        "stale": False,
    }

    assert response.status_code == 201
    assert response.headers["location"] == f"{NOTICES}/{told['id']}"
    assert response.headers["change-number"] == "7"
    assert told == {
        **body,
        "id": told["id"],
        "change": 7,
        "recorded_at": told["recorded_at"],
        "recorded_by": "reporter",
        **derived,
        "undo": [f"{NOTICES}/{told['id']}/retraction"],
    }
    assert UUID(told["id"]).version == 7
    found = await here.get(response.headers["location"])
    assert found.json() == recorded(told)
    assert found.headers["change-number"] == "7"
    assert (await items(here, NOTICES))[0] == recorded(told)


async def test_what_a_notice_leaves_out_takes_its_default(here: Api) -> None:
    told = await write(
        here,
        NOTICES,
        {
            "kind": "context",
            "issuer": {"name": "Somebody"},
            "subjects": {"countries": ["BY"]},
            "text": {"en": "So it is."},
            "citations": [{"source": {"title": "A bulletin"}}],
        },
    )
    (source,) = await items(here, "/v1/sources", limit=1)

    assert abs(datetime.fromisoformat(told["recorded_at"]) - datetime.now(UTC)) < timedelta(
        minutes=5
    )
    assert recorded(told) == {
        "id": told["id"],
        "kind": "context",
        "change": 4,
        "issuer": {"country": None, "name": "Somebody"},
        "subjects": {"countries": ["BY"], "borders": [], "crossings": []},
        "text": {"en": "So it is."},
        "figures": [],
        "certainty": "confirmed",
        "effective": {"from": told["recorded_at"], "until": None},
        "precision": "minute",
        "announced_at": None,
        "incident": None,
        "contradicts": [],
        "supersedes": None,
        "recorded_at": told["recorded_at"],
        "recorded_by": "reporter",
        "citations": [{"source": source["id"], "locator": None, "basis": "stated"}],
        "contradicted_by": [],
        "superseded_by": None,
        "retraction": None,
        "stale": False,
    }


@pytest.mark.parametrize(
    "kind",
    [
        "announcement",
        "travel_advice",
        "security_measure",
        "threat_assessment",
        "reaction",
        "negotiation",
        "expected_impact",
        "context",
    ],
)
async def test_a_notice_of_every_kind_is_recorded(here: Api, kind: str) -> None:
    assert (await say(here, kind=kind))["kind"] == kind


async def test_a_border_may_be_named_either_way_round(here: Api) -> None:
    told = await say(here, subjects={"borders": ["LT-BY"]})
    assert told["subjects"]["borders"] == ["BY-LT"]


async def test_a_notice_may_be_about_or_from_a_country_without_a_crossing_here(here: Api) -> None:
    told = await say(here, issuer={"country": "US"}, subjects={"countries": ["FR"]})
    assert await one(here, NOTICES, told) == recorded(told)


async def test_instants_are_told_in_utc(here: Api) -> None:
    told = await say(
        here,
        effective={"from": "2023-08-18T00:00:00+03:00", "until": "2023-08-19T00:00:00+03:00"},
        announced_at="2023-08-16T12:00:00.5+03:00",
    )
    assert told["effective"] == {"from": "2023-08-17T21:00:00Z", "until": "2023-08-18T21:00:00Z"}
    assert told["announced_at"] == "2023-08-16T09:00:00.500000Z"
    assert await one(here, NOTICES, told) == recorded(told)


@pytest.mark.parametrize(
    "figure",
    [
        {"value": 0, "unit": "persons", "qualifier": "exactly"},
        {"value": -17.5, "unit": "°C", "qualifier": "about"},
        {"value": 0.1, "unit": "share", "qualifier": "at_least"},
        {"value": 1e15, "unit": "EUR", "qualifier": "up_to"},
        {"value": -1e15, "unit": "EUR", "qualifier": "exactly"},
        {"value": 1234567.8901234567, "unit": "t", "qualifier": "exactly"},
        {"value": 1e-9, "unit": "m", "qualifier": "exactly", "of": "Ūkas", "hedge": "„gal“"},
    ],
)
async def test_figures_come_back_as_they_were_sent(here: Api, figure: Body) -> None:
    """In the answer, in the log and in the change that recorded them."""
    whole = {"of": None, "hedge": None, **figure}
    told = await say(here, figures=[figure, figure])
    (change,) = await items(here, CHANGES, after=3)

    assert told["figures"] == [whole, whole]
    assert (await one(here, NOTICES, told))["figures"] == [whole, whole]
    assert change["payload"]["notices"][0]["figures"] == [whole, whole]


async def test_a_figure_is_exact_unless_its_source_says_otherwise(here: Api) -> None:
    (figure,) = (await say(here, figures=[{"value": 2, "unit": "crossings"}]))["figures"]
    assert figure["qualifier"] == "exactly"


@pytest.mark.parametrize(
    "text",
    [
        {"en": "x" * 2000},
        {"lt": "Ąžuolas ėjo", "be-tarask": "Пункт пропуску", "ru": "Пункт", "sr-Latn": "Prelaz"},
        {"pl": '"quoted" \\ / \n\t\x01\u2028', "uk": "\U0001f6c2", "et": "e\u0301 \u00e9"},
    ],
)
async def test_texts_come_back_to_the_character_each_under_its_language(
    here: Api, text: Body
) -> None:
    told = await say(here, text=text)
    assert told["text"] == (await one(here, NOTICES, told))["text"] == text


# When it holds


@pytest.mark.parametrize("precision", ["minute", "hour", "day", "month"])
async def test_without_a_start_a_notice_holds_from_the_recorded_instant(
    here: Api, precision: str
) -> None:
    told = await say(here, precision=precision, effective={"until": days(30)})
    assert told["effective"] == {"from": told["recorded_at"], "until": days(30)}
    assert await one(here, NOTICES, told) == recorded(told)


@pytest.mark.parametrize("end", [None, -3, 3])
async def test_a_start_that_nobody_told_stays_unknown(here: Api, end: float | None) -> None:
    until = end and days(end)
    told = await say(here, precision="unknown", effective={"until": until})
    assert told["effective"] == {"from": None, "until": until}
    assert await one(here, NOTICES, told) == recorded(told)


@pytest.mark.parametrize("precision", ["minute", "hour", "day", "month", "unknown"])
async def test_a_start_that_was_told_is_kept_however_vague(here: Api, precision: str) -> None:
    period = {"from": days(-60), "until": days(60)}
    told = await say(here, precision=precision, effective=period)
    assert (told["effective"], told["precision"]) == (period, precision)


@pytest.mark.parametrize(
    ("said", "until", "stale"),
    [
        (None, None, False),
        (-29.9, None, False),
        (-30, None, True),
        (-1000, None, True),
        (-1000, 1, False),
        (-1000, -999, False),
    ],
)
async def test_word_without_an_end_is_stale_after_thirty_days(
    here: Api, said: float | None, until: float | None, stale: bool
) -> None:
    """However long ago it took effect: what counts is when it was last said."""
    period = {"from": days(-2000), "until": until and days(until)}
    told = await say(here, announced_at=said and days(said), effective=period)
    assert told["stale"] is stale
    assert await one(here, NOTICES, told) == recorded(told)


@pytest.mark.parametrize(("at", "stale"), [(29.9, False), (30.1, True)])
async def test_what_is_in_force_at_an_instant_is_stale_as_of_then(
    here: Api, at: float, stale: bool
) -> None:
    await say(here, effective={"from": days(-1)})
    (found,) = await items(here, NOTICES, in_force_at=days(at))
    assert found["stale"] is stale


# What is not there


async def test_a_notice_that_nobody_recorded_is_not_found(here: Api) -> None:
    story = await tell(here)
    for missing in (NOBODY, story["id"]):
        problem(await here.get(f"{NOTICES}/{missing}"), 404, "notice-not-found")
        reason = {"reason": {"code": "other"}}
        response = await here.post(f"{NOTICES}/{missing}/retraction", reason)
        problem(response, 404, "notice-not-found")
    assert await items(here, NOTICES) == []


async def test_every_notice_is_exactly_one_change_its_new_sources_included(here: Api) -> None:
    """Sources that are equal are one, as in any write."""
    other = citation(source={"title": "Told by another"})
    told = await say(here, citations=[citation(), other, citation(locator="line 2")])
    sources = await items(here, "/v1/sources", limit=3)
    first, second, third = (each["source"] for each in told["citations"])

    assert [each["change"] for each in sources] == [4, 4, 3]
    assert first == third != second
    assert told["change"] == 4
    assert (await say(here))["change"] == 5
