"""`/badges/{id}.svg`: a status for other sites."""

from xml.etree import ElementTree as ET

import pytest

from tests.api import MEDININKAI, SUMSKAS, problem
from tests.marks import full
from tests.pages.conftest import Get, LookAt, freshness


@pytest.mark.parametrize(
    ("lang", "told"),
    [
        ("en", "Šumskas – Losha: closed"),
        ("lt", "Šumskas – Loša: uždaryta"),
        ("pl", "Szumsk – Łosza: zamknięte"),
        ("ru", "Шумскас – Лоша: закрыто"),
        ("be", "Шумск – Лоша: закрыта"),
        ("lv", "Šumskas – Losha: slēgta"),
        ("uk", "Шумск – Лоша: закрито"),
    ],
)
def test_it_says_the_status_in_words(get: Get, lang: str, told: str) -> None:
    badge = get(f"/badges/{SUMSKAS}.svg?lang={lang}")

    assert badge.headers["content-type"] == "image/svg+xml"
    assert ET.fromstring(badge.text).attrib["aria-label"] == told  # noqa: S314  # our own


def test_each_status_has_a_shape_of_its_own(get: Get) -> None:
    closed, unknown = (get(f"/badges/{one}.svg?lang=en").text for one in (SUMSKAS, MEDININKAI))

    assert "stroke-dasharray" in unknown
    assert "stroke-dasharray" not in closed


def test_it_is_cached_like_a_status(get: Get) -> None:
    badge = get(f"/badges/{SUMSKAS}.svg?lang=en")
    status = get(f"/v1/crossings/{SUMSKAS}/status")

    assert freshness(badge) == freshness(status)
    assert badge.headers["etag"]
    again = get(f"/badges/{SUMSKAS}.svg?lang=en", If_None_Match=badge.headers["etag"])
    assert again.status_code == 304


def test_other_sites_may_show_it(get: Get) -> None:
    headers = get(f"/badges/{SUMSKAS}.svg").headers

    assert headers["cross-origin-resource-policy"] == "cross-origin"


@full
def test_the_page_of_the_crossing_shows_it(look: LookAt) -> None:
    page = look().open(f"/crossings/{SUMSKAS}")
    shown = page.locator("#embed img")

    assert shown.evaluate("image => image.complete && image.naturalWidth > 0")


def test_a_crossing_that_there_is_not_has_none(get: Get) -> None:
    problem(get("/badges/nowhere.svg"), 404, "crossing-not-found")
