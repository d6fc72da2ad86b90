"""Pages in a frame of another site: the answer alone, without script, from the board."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.api import SUMSKAS, Api, decision, problem
from tests.marks import full
from tests.pages.conftest import LookAt

FRAMES = (f"/embed/{SUMSKAS}", "/embed/borders/BY-LT")


@pytest.mark.parametrize("path", FRAMES)
async def test_every_site_may_frame_it_and_only_it(seeded_api: Api, path: str) -> None:
    response = await seeded_api.client.get(path)
    policy = response.headers["content-security-policy"]
    assert "frame-ancestors *" in policy
    assert "default-src 'none'" in policy
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "<script" not in response.text
    assert "noindex" in response.text
    for page in ("/", f"/crossings/{SUMSKAS}", "/borders/BY-LT", "/report"):
        whole = await seeded_api.client.get(page)
        assert "frame-ancestors 'none'" in whole.headers["content-security-policy"]


@pytest.mark.parametrize("path", FRAMES)
async def test_its_links_lead_to_the_whole_page_in_a_window_of_its_own(
    seeded_api: Api, path: str
) -> None:
    response = await seeded_api.client.get(
        f"{path}?lang=lt&traffic=car", headers={"Host": "status.example"}
    )
    links = re.findall(r"<a ([^>]*)>", response.text)
    assert links
    for link in links:
        assert 'href="http://status.example/' in link
        assert "lang=lt" in link
        assert "traffic=car" in link
        assert 'target="_blank" rel="noopener"' in link
    assert response.headers["content-language"] == "lt"


async def test_it_tells_the_status_and_follows_it(api: Api) -> None:
    path = f"/embed/{SUMSKAS}"
    assert "Closed" in (await api.get(path)).text
    await api.post("/v1/events", decision(status="restricted"))
    shown = (await api.get(path)).text
    assert "Restricted" in shown
    assert '<meta http-equiv="refresh" content="60">' in shown
    assert "Restricted" in (await api.get("/embed/borders/BY-LT")).text


async def test_a_page_names_the_address_to_frame(seeded_api: Api) -> None:
    for page, frame in zip((f"/crossings/{SUMSKAS}", "/borders/BY-LT"), FRAMES, strict=True):
        text = (await seeded_api.client.get(page, headers={"Host": "status.example"})).text
        assert f'&lt;iframe src="http://status.example{frame}?lang=en"' in text


async def test_what_is_not_there_is_not_framed(seeded_api: Api) -> None:
    for path, slug in (
        ("/embed/nowhere", "crossing-not-found"),
        ("/embed/borders/XX-YY", "border-not-found"),
    ):
        response = await seeded_api.client.get(path, headers={"Accept": "application/json"})
        problem(response, 404, slug)


@full
@pytest.mark.parametrize("path", ["/?border=BY-LT&display=wall", "/borders/BY-LT?display=wall"])
def test_a_wall_shows_all_of_it_in_turn_and_nothing_to_touch(look: LookAt, path: str) -> None:
    """On a screen that is too low for it, too."""
    window = look("narrow")
    window.page.clock.install()
    page = window.open(path)

    expect(page.locator("h1")).to_be_visible()
    expect(page.get_by_role("main").get_by_text("Šumskas – Losha").first).to_be_visible()
    for untouchable in ("header nav", "footer.site", "form", ".map-frame", "details"):
        for element in page.locator(untouchable).all():
            expect(element).to_be_hidden()
    tops = [scroll_top(page)]
    while len(tops) == 1 or tops[-1] > tops[-2]:
        page.clock.fast_forward(12_000)
        tops.append(scroll_top(page))
    assert (tops[0], tops[-1]) == (0, 0)
    assert len(tops) >= 3
    assert window.violations() == []


def scroll_top(page: Page) -> float:
    return float(page.evaluate("document.scrollingElement.scrollTop"))
