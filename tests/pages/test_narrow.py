"""Windows of 320 pixels, in the languages with the longest words."""

import pytest

from tests.api import MEDININKAI, SUMSKAS
from tests.marks import full, in_full
from tests.pages.conftest import LookAt
from tests.pages.test_every_page import STORY

pytestmark = full

SHORT = ".status, .basis, .language, .verdict, .site li a, select, button"
BESIDE = """(short) => [...document.querySelectorAll(short)]
    .filter(one => one.checkVisibility() && !one.closest(".scroll"))
    .filter(one => {
        const {left, right} = one.getBoundingClientRect();
        const card = one.closest("li, section, .card, main").getBoundingClientRect();
        return left < card.left - 1 || right > card.right + 1;
    })
    .map(one => one.outerHTML.slice(0, 100))"""


@pytest.mark.parametrize("lang", ["lv", "ru", "uk"])
@pytest.mark.parametrize(
    "path",
    [
        f"/crossings/{SUMSKAS}?at=2023-08-17T00:00:00Z",
        *in_full("/", f"/crossings/{MEDININKAI}", "/borders/BY-PL", STORY, "/sources"),
    ],
)
def test_no_word_leaves_its_card(look: LookAt, path: str, lang: str) -> None:
    window = look("narrow")
    page = window.open(f"{path}{'&' if '?' in path else '?'}lang={lang}")

    assert window.overflow() == 0
    assert page.evaluate(BESIDE, SHORT) == []


def test_the_map_reaches_the_foot_of_the_window_however_far_one_scrolls(look: LookAt) -> None:
    """No strip of the page stands below it."""
    page = look("desk").open("/")
    ends = "document.querySelector('#map-frame').getBoundingClientRect().bottom - innerHeight"
    page.locator("#map .leaflet-control-attribution").wait_for()
    at_first = page.evaluate(ends)
    page.evaluate("scrollTo(0, 600)")

    assert abs(at_first) <= 1
    assert abs(page.evaluate(ends)) <= 1


def test_the_map_is_a_tab_stop_with_a_name(look: LookAt) -> None:
    page = look("desk").open("/?lang=en")
    page.locator("#map[tabindex='0']").wait_for()

    name = page.locator("#map").get_attribute("aria-label")
    assert name == "Map: the arrow keys move it, plus and minus zoom"


def test_two_crossings_of_one_name_are_told_apart(look: LookAt) -> None:
    page = look("desk").open("/?q=terespol&lang=en")
    names = page.locator(".places a").all_inner_texts()

    assert "Terespol – Brest" in names
    assert "Terespol – Brest (rail)" in names
