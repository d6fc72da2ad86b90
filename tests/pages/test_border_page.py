"""`/borders/{id}`: its crossings with their statuses, what else holds, what is not covered."""

import pytest

from tests.api import SUMSKAS
from tests.marks import full
from tests.pages.conftest import VIEWS, Get, LookAt


@full
@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_it_is_accessible_and_fits(look: LookAt, size: str, scheme: str) -> None:
    window = look(size, scheme)
    window.open("/borders/BY-LT")

    window.assert_presentable()


@full
def test_it_counts_and_lists_as_the_api_does(look: LookAt, get: Get) -> None:
    border = get("/v1/borders/BY-LT").json()
    page = look().open("/borders/BY-LT")

    assert page.locator("h1").inner_text() == "Belarus – Lithuania"
    assert page.locator(".counts strong").all_inner_texts() == [
        str(border["counts"][status]) for status in ("open", "restricted", "closed", "unknown")
    ]
    links = page.locator(".crossings a").all()
    assert [link.get_attribute("href") for link in links] == [
        f"/crossings/{one['id']}" for one in border["crossings"]
    ]


@full
def test_it_has_the_notices_with_their_sources_and_basis(look: LookAt, get: Get) -> None:
    notices = get("/v1/borders/BY-LT").json()["notices"]
    page = look().open("/borders/BY-LT")

    assert notices
    assert page.locator("section:has(#notices) .event").count() == len(notices)
    assert page.locator("section:has(#notices) .event:not(:has(.basis))").count() == 0


@full
def test_it_says_what_it_does_not_cover(look: LookAt) -> None:
    gaps = look().open("/borders/BY-LT").locator("section:has(#gaps)").inner_text()

    assert "We have no information from Belarus." in gaps
    assert "The opening hours of at least one side are unknown." in gaps


def test_either_order_of_the_countries_leads_there(get: Get) -> None:
    assert get("/borders/LT-BY").status_code == 200


def test_the_border_as_it_was_answers_for_the_vehicle_as_well(get: Get) -> None:
    past = "at=2023-09-01T00:00:00Z"
    answers = get(f"/v1/crossings?border=BY-LT&traffic=train&{past}").json()["items"]
    page = get(f"/borders/BY-LT?traffic=train&{past}").text

    assert len(answers) == 1
    assert page.count('data-said="') == 1


@full
def test_a_link_from_its_past_leads_to_the_same_past(look: LookAt) -> None:
    page = look().open("/borders/BY-LT?at=2023-08-17T00:00:00Z&lang=en&path=x")
    assert page.locator("body").get_attribute("class") == "past"
    page.get_by_role("link", name="Šumskas").first.click()

    assert page.url.endswith(f"/crossings/{SUMSKAS}?lang=en&at=2023-08-17T00%3A00%3A00Z")
    assert page.locator("body.past").count() == 1


def test_a_border_that_there_is_not_is_told_as_a_page(get: Get) -> None:
    page = get("/borders/FI-NO")

    assert page.status_code == 404
    assert "<h1>Border not found</h1>" in page.text
