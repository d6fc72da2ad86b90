"""Pages answer for one traveller: what applies to them, what their vehicle exceeds, and why."""

import html
import re

import pytest

from tests.api import MEDININKAI, SUMSKAS, Api, crossing, decision
from tests.marks import full
from tests.pages.conftest import Get, LookAt

HERE = f"/crossings/{MEDININKAI}"
HOME = {"code": "own_citizens", "text": "Returning home, until midnight"}
LIMITED = {"max_weight_kg": 3_500, "max_height_m": 2.5}


async def page(api: Api, path: str = HERE, **query: str | list[str]) -> str:
    answer = await api.client.get(
        path, params={"lang": "en", **query}, headers={"Accept": "text/html"}
    )
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


def said(text: str) -> str:
    """Return the statuses that a page says, as screen readers hear of them."""
    return " | ".join(re.findall(r'data-said="([^"]*)"', text))


async def close_except_for_own_citizens(api: Api) -> None:
    body = decision(crossings=[MEDININKAI], sides=["LT"], status="closed", exceptions=[HOME])
    assert (await api.post("/v1/events", body)).status_code == 201


async def test_a_crossing_is_restricted_for_whom_an_exception_applies_to(api: Api) -> None:
    await close_except_for_own_citizens(api)

    assert "Closed" in said(await page(api))
    mine = await page(api, citizen_of="LT")
    assert "Restricted" in said(mine)
    assert "Closed, but an exception applies to you:" in mine
    assert HOME["text"] in mine
    assert "For you: citizenship: Lithuania." in mine


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        ("/borders/BY-LT", ": Restricted"),
        ("/", ": Restricted"),
        ("/trip", ": Restricted"),
        (f"/embed/{MEDININKAI}", "answer answer-restricted"),
    ],
)
async def test_every_page_answers_for_the_traveller(api: Api, path: str, marked: str) -> None:
    await close_except_for_own_citizens(api)

    assert marked not in await page(api, path)
    assert marked in await page(api, path, citizen_of="LT")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"weight_kg": "3501"}, "Your vehicle is too heavy for this crossing"),
        ({"height_m": "2.51"}, "Your vehicle is too high for this crossing"),
    ],
)
async def test_a_limit_closes_a_crossing_and_is_named(
    api: Api, query: dict[str, str], why: str
) -> None:
    assert (await api.post("/v1/crossings", crossing("low", **LIMITED))).status_code == 201
    assert (
        await api.post("/v1/events", decision(crossings=["low"], sides=["LT"], status="open"))
    ).status_code == 201

    assert why not in await page(api, "/crossings/low")
    exceeding = await page(api, "/crossings/low", **query)
    assert "Closed" in said(exceeding)
    assert why in exceeding


async def test_links_keep_who_asks(api: Api) -> None:
    query: dict[str, str | list[str]] = {
        "traffic": "truck",
        "as": ["permit_holders", "residents"],
        "weight_kg": "40000",
    }
    text = await page(api, "/borders/BY-LT", **query)
    links = re.findall(r'href="(/crossings/[^"]*)"', text)

    assert links
    for link in links:
        assert "as=permit_holders&as=residents" in link
        assert "weight_kg=40000" in link


@full
def test_a_driver_is_answered_on_the_first_screen_of_a_phone(look: LookAt) -> None:
    """With the vehicle in the address: the answer and its sentence, within 600 pixels."""
    page = look("phone").open(f"/crossings/{SUMSKAS}?lang=en&traffic=truck&to=BY&citizen_of=LT")
    box = page.locator("#in-words").bounding_box()

    assert box is not None
    assert box["y"] + box["height"] <= 600


@full
def test_other_crossings_are_those_for_the_vehicle(look: LookAt) -> None:
    page = look().open(f"/crossings/{SUMSKAS}?lang=en&traffic=truck&to=BY")
    others = page.locator("section:has(#alternatives)")

    assert others.locator("h3").all_inner_texts() == ["Trucks"]
    for link in others.get_by_role("link").all():
        assert "traffic=truck&to=BY" in str(link.get_attribute("href"))


def test_the_form_says_what_was_chosen(get: Get) -> None:
    text = get(
        f"/crossings/{SUMSKAS}?lang=en&citizen_of=PL&as=diplomats&empty=true&weight_kg=40000&height_m=4"
    ).text

    assert '<option value="PL" selected>Poland</option>' in text
    assert 'value="40000"' in text
    assert 'value="4.0"' in text
    assert 'name="empty" value="true" checked' in text
    assert 'name="as" value="diplomats" checked' in text
    assert "For you: citizenship: Poland, diplomats, empty vehicle, 40,000 kg, 4 m." in text


def test_an_empty_form_is_anyone(get: Get) -> None:
    empty = "traffic=&to=&citizen_of=&weight_kg=&height_m="
    assert "For you:" not in get(f"/crossings/{SUMSKAS}?lang=en&{empty}").text


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("weight_kg=heavy", "give the weight in whole kilograms, up to 1,000,000, such as 40000"),
        ("height_m=-1", "give the height in metres, up to 50, such as 4.0"),
        ("citizen_of=Atlantis", "give the two-letter code of a country, such as LT"),
        ("as=other", "leave it out, or choose it from the lists on the pages"),
        ("empty=half", "give true or false"),
    ],
)
@pytest.mark.parametrize("path", [f"/crossings/{SUMSKAS}", "/borders/BY-LT", "/", "/trip"])
def test_nonsense_is_refused_with_a_sentence(get: Get, path: str, query: str, hint: str) -> None:
    answer = get(f"{path}?lang=en&{query}")

    assert answer.status_code == 422
    assert hint in html.unescape(answer.text)


def test_the_sentence_is_in_the_language_of_the_reader(get: Get) -> None:
    text = html.unescape(get("/trip?lang=lt&height_m=-1").text)
    assert "give the height" not in text
