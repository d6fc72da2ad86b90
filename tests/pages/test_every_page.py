"""What holds on every page: whoever adds one adds it here."""

from itertools import cycle, product
from typing import Any

import pytest

from app.changes.ids import seed_id
from app.languages.languages import LANGUAGES
from tests.api import SUMSKAS
from tests.marks import full, in_full
from tests.pages.conftest import SCHEMES, SIZES, VIEWS, Get, LookAt

STORY = f"/incidents/{seed_id('incident/two-of-six-2023', 'incident')}"
ARTICLE = f"/sources/{seed_id('source/article', 'source')}"
PRESENT = (
    "/",
    "/trip",
    f"/crossings/{SUMSKAS}",
    "/borders/BY-LT",
    STORY,
    "/incidents",
    ARTICLE,
    "/sources",
    "/status",
)
"""They follow the changes."""
TIMELESS = (
    "/about",
    "/data",
    f"/report?crossing={SUMSKAS}",
    f"/report?action=confirm&crossing={SUMSKAS}",
)
PAST = (
    "/?at=2023-09-01",
    f"/crossings/{SUMSKAS}?at=2023-09-01T00:00:00Z",
    "/borders/BY-LT?at=2023-09-01T00:00:00Z",
)
PAGES = (*PRESENT, *TIMELESS, *PAST)
VIEWED = [
    (path, *view)
    for some in ((*PRESENT, *TIMELESS), PAST)
    for path, view in zip(some, cycle(VIEWS), strict=False)
]
LANGS = tuple(code for code in LANGUAGES if code != "en")
IN_TURN = [*zip(PAGES, cycle(LANGS), strict=False)]
"""Each page in one language, and each language on some page."""
IN_OTHERS = [one for one in product(PAGES, LANGS) if one not in IN_TURN]

READ = ("/", "/trip", f"/crossings/{SUMSKAS}", STORY)
"""What travellers read."""

Stop = dict[str, Any]
"""Where the keyboard leads next, as the browser tells it."""
MOST_STOPS = 1_000
HEIGHT = SIZES["desk"][1]
STOP = """() => {
    const stop = document.activeElement;
    if (stop === document.body) return null;
    return {html: stop.outerHTML.slice(0, 200), ...stop.getBoundingClientRect().toJSON()};
}"""


@pytest.mark.parametrize(
    ("path", "size", "scheme"),
    [*VIEWED[:2], *in_full(*VIEWED[2:])],
)
def test_it_is_accessible_and_fits(look: LookAt, size: str, scheme: str, path: str) -> None:
    window = look(size, scheme)
    page = window.open(path)

    window.assert_presentable()
    assert page.locator("main").count() == 1
    assert page.locator("main h1").count() == 1


@full
@pytest.mark.parametrize(("path", "lang"), [*product(READ, LANGS)])
def test_it_is_accessible_and_fits_in_every_language(look: LookAt, path: str, lang: str) -> None:
    """Both schemes in turn, at every width from 320 to 1920 pixels."""
    window = look("phone", SCHEMES[LANGS.index(lang) % 2], lang=lang)
    page = window.open(path)

    assert page.locator("html").get_attribute("lang") == lang
    window.assert_presentable()


@full
@pytest.mark.parametrize("path", [PAGES[0], *in_full(*PAGES[1:])])
def test_it_can_be_walked_through_with_the_keyboard(look: LookAt, path: str) -> None:
    """The first stop leads past the navigation; every stop can be seen, and none is a trap."""
    page = look().open(path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    stops: list[Stop] = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop: Stop | None = page.evaluate(STOP)
        if stop is None:
            break
        stops.append(stop)
    else:
        raise AssertionError(f"it has no end, or a trap: {stops[-3:]}")

    unseen = [
        one
        for one in stops
        if not (one["width"] and one["height"] and one["bottom"] > 0) or one["top"] > HEIGHT
    ]
    assert unseen == []
    assert "/docs" in stops[-1]["html"]


@pytest.mark.parametrize("path", [PAGES[0], *in_full(*PAGES[1:])])
def test_it_can_be_read_without_script(look: LookAt, path: str) -> None:
    page = look(script=False).open(path)

    assert page.locator("main h1").is_visible()
    assert len(page.locator("main").inner_text()) > 200


@pytest.mark.parametrize(
    ("path", "lang"),
    [*IN_TURN, *in_full(*IN_OTHERS)],
)
def test_it_is_there_in_every_language(get: Get, path: str, lang: str) -> None:
    response = get(f"{path}{'&' if '?' in path else '?'}lang={lang}")

    assert response.status_code == 200
    assert response.headers["content-language"] == lang


@full
@pytest.mark.parametrize("path", PRESENT)
def test_a_page_about_the_present_follows_the_changes(look: LookAt, path: str) -> None:
    window = look()
    window.open(path)

    window.wait_until_following()


@full
@pytest.mark.parametrize("path", [*PAST, *TIMELESS])
def test_no_other_page_does(look: LookAt, path: str) -> None:
    window = look()
    window.open(path)
    window.wait_until_quiet()

    assert not any("/v1/changes" in one or "live.js" in one for one in window.requests)
