"""The answer in one sentence at the top of a crossing's page."""

import re

import pytest

from app.languages.languages import LANGUAGES
from tests.api import MEDININKAI, SUMSKAS, Api, crossing, decision

HERE = "/crossings/new-crossing"
START = "2026-03-01T00:00:00+02:00"


async def in_words(api: Api, path: str = HERE, **query: str) -> str:
    text = (await api.client.get(path, params={"lang": "en", **query})).text
    found = re.search(r'<p class="in-words" id="in-words">(.*?)</p>', text)
    return "" if found is None else found[1]


async def declare(api: Api, **fields: object) -> None:
    assert (await api.post("/v1/crossings", crossing())).status_code in {201, 409}
    body = decision(
        **{"crossings": ["new-crossing"], "sides": ["LT"], "status": "closed", **fields}
    )
    response = await api.post("/v1/events", body)
    assert response.status_code == 201, response.text


async def test_it_says_what_since_when_until_when_and_who_says_so(api: Api) -> None:
    await declare(api, effective={"from": START, "until": None}, precision="day")
    said = await in_words(api)
    assert said.startswith(
        "Closed since 1 Mar 2026, until further notice, says Lithuania. Confirmed "
    )


@pytest.mark.parametrize(
    ("fields", "clause"),
    [
        (
            {"effective": {"from": START, "until": "2099-07-01T00:00:00+03:00"},
             "precision": "day"},
            ", until 30 Jun 2099",
        ),
        ({"expected_until": "2099-07-01T00:00:00+03:00"}, ", expected until 1 Jul 2099"),
        (
            {"effective": {"from": START, "until": None},
             "expected_until": "2026-07-01T00:00:00+03:00"},
            ", although the announced end has passed",
        ),
        ({"sides": ["BY", "LT"]}, ", say Belarus and Lithuania. "),
    ],
)  # fmt: skip
async def test_it_says_how_long_and_by_whom(
    api: Api, fields: dict[str, object], clause: str
) -> None:
    await declare(api, **fields)
    assert clause in await in_words(api)


async def test_it_is_about_the_vehicle_that_asks(seeded_api: Api) -> None:
    said = await in_words(seeded_api, f"/crossings/{SUMSKAS}", traffic="car", to="BY")
    assert said.startswith("Closed for cars to Belarus since 18 Aug 2023, until "), said


async def test_of_an_unknown_status_it_says_what_was_known_last(seeded_api: Api) -> None:
    said = await in_words(seeded_api, f"/crossings/{MEDININKAI}")
    assert re.match(
        r"Last known: restricted, say Lithuania and Belarus\. Confirmed \d+ months ago\.", said
    ), said


async def test_of_nothing_it_says_nothing(api: Api) -> None:
    assert (await api.post("/v1/crossings", crossing())).status_code == 201
    assert await in_words(api) == ""


async def test_it_is_said_in_each_language(seeded_api: Api) -> None:
    sentences = {
        code: await in_words(seeded_api, f"/crossings/{SUMSKAS}", lang=code) for code in LANGUAGES
    }
    assert len(set(sentences.values())) == len(LANGUAGES)
    assert all(len(one) > 40 for one in sentences.values())
    assert "Lithuania" not in "".join(text for code, text in sentences.items() if code != "en")
