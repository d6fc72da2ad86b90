"""What holds on every page: whoever adds one adds it here."""

import pytest

from app.changes.ids import seed_id
from tests.api import SUMSKAS
from tests.pages.conftest import VIEWS, Get, LookAt

STORY = f"/incidents/{seed_id('incident/two-of-six-2023', 'incident')}"
ARTICLE = f"/sources/{seed_id('source/article', 'source')}"
PRESENT = (
    f"/crossings/{SUMSKAS}",
    "/borders/BY-LT",
    STORY,
    "/incidents",
    ARTICLE,
    "/sources",
    "/status",
)
"""They follow the changes."""
TIMELESS = ("/about", f"/report?crossing={SUMSKAS}")
PAST = (
    f"/crossings/{SUMSKAS}?at=2023-09-01T00:00:00Z",
    "/borders/BY-LT?at=2023-09-01T00:00:00Z",
)
PAGES = (*PRESENT, *TIMELESS, *PAST)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_it_is_accessible_and_fits(look: LookAt, size: str, scheme: str, path: str) -> None:
    window = look(size, scheme)
    page = window.open(path)

    window.assert_presentable()
    assert page.locator("main").count() == 1
    assert page.locator("main h1").count() == 1


@pytest.mark.parametrize("path", PAGES)
def test_it_can_be_walked_through_with_the_keyboard(look: LookAt, path: str) -> None:
    """The first stop leads past the navigation; every stop can be seen, and none is a trap."""
    page = look().open(path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    seen: list[str] = []
    for _ in range(400):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        seen.append(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
        box = page.evaluate("document.activeElement.getBoundingClientRect().toJSON()")
        assert box["width"] > 0, seen[-1]
        assert box["height"] > 0, seen[-1]
        assert box["bottom"] > 0, seen[-1]
        assert box["top"] < 800, seen[-1]

    assert page.evaluate("document.activeElement === document.body"), seen[-3:]
    assert any("/docs" in one for one in seen)


@pytest.mark.parametrize("path", PAGES)
def test_it_can_be_read_without_script(look: LookAt, path: str) -> None:
    page = look(script=False).open(path)

    assert page.locator("main h1").is_visible()
    assert len(page.locator("main").inner_text()) > 200


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("lang", ["lt", "pl", "ru", "be"])
def test_it_is_there_in_every_language(get: Get, path: str, lang: str) -> None:
    response = get(f"{path}{'&' if '?' in path else '?'}lang={lang}")

    assert response.status_code == 200
    assert response.headers["content-language"] == lang


@pytest.mark.parametrize("path", PRESENT)
def test_a_page_about_the_present_follows_the_changes(look: LookAt, path: str) -> None:
    window = look()
    page = window.open(path)
    page.wait_for_function(
        "performance.getEntriesByType('resource').some(one => one.name.includes('live.js'))"
    )
    page.wait_for_timeout(300)

    assert any("/v1/changes" in one for one in window.requests)


@pytest.mark.parametrize("path", [*PAST, *TIMELESS])
def test_no_other_page_does(look: LookAt, path: str) -> None:
    window = look()
    window.open(path).wait_for_timeout(300)

    assert not any("/v1/changes" in one or "live.js" in one for one in window.requests)
