"""Pages about the present follow the changes: in place, without taking the reader anywhere."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from app.embedded.server import Server
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, decision
from tests.conftest import SEEDED, clone
from tests.marks import full
from tests.pages.conftest import Get, Look, LookAt
from tests.pages.writing.conftest import Post
from tests.servers import Service, service

NOTICE = "#live [role=status]"
AGE = "#live .age"
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def declare(post: Post, status: str, crossing: str = SUMSKAS) -> None:
    post("/v1/events", decision(crossings=[crossing], status=status, sides=["BY", "LT"]))


def following(window: Look, path: str) -> Page:
    """Open a page and wait until it hears of changes."""
    page = window.open(path)
    window.wait_until_following()
    return page


def test_a_change_is_shown_where_it_is_with_a_discreet_notice(look: LookAt, post: Post) -> None:
    declare(post, "open")
    window = look()
    page = following(window, f"/crossings/{SUMSKAS}")
    expect(page.locator(".verdict")).to_contain_text("Open")

    declare(post, "closed")

    expect(page.locator(".verdict")).to_contain_text("Closed")
    expect(page.locator(NOTICE)).to_contain_text("Updated at")
    assert page.title().startswith("Šumskas – Losha: closed")
    assert "closed" in (page.locator("link[rel=icon]").get_attribute("href") or "")
    assert window.violations() == []
    assert window.complaints == []


@full
def test_the_map_changes_with_its_list_and_leaves_the_reader_alone(
    look: LookAt, post: Post
) -> None:
    declare(post, "open")
    window = look()
    page = following(window, "/#11/54.6063/25.7557")
    expect(page.get_by_role("button", name="Šumskas – Losha, road crossing: Open")).to_be_visible()
    page.get_by_text("Past or future date").click()

    declare(post, "closed")

    expect(
        page.get_by_role("button", name="Šumskas – Losha, road crossing: Closed")
    ).to_be_visible()
    expect(page.locator(f"#{SUMSKAS} .status")).to_have_text("Closed")
    expect(page.get_by_label("Move through the days")).to_be_visible()
    assert page.url.endswith("/#11/54.6063/25.7557")
    assert window.complaints == []


@full
def test_a_screen_reader_hears_what_changed(look: LookAt, post: Post) -> None:
    """Not only that something did."""
    declare(post, "open")
    crossing, listing = look(), look()
    page, home = following(crossing, f"/crossings/{SUMSKAS}"), following(listing, "/")
    expect(page.locator(".verdict")).to_contain_text("Open")

    declare(post, "closed")

    for one in (page, home):
        expect(one.locator(NOTICE)).to_contain_text("Šumskas – Losha: Closed. Updated at")


@full
def test_a_map_of_the_past_stands_still_until_one_is_back(look: LookAt, post: Post) -> None:
    declare(post, "open")
    page = following(look(), "/")
    page.get_by_text("Past or future date").click()
    page.get_by_label("As of (UTC)").fill("2023-09-01T00:00")
    page.wait_for_url("**/?at=*")
    expect(page.locator("#time")).to_contain_text("You are looking at")
    expect(page.locator(f"#{SUMSKAS} .status")).to_have_text("Closed")
    declare(post, "restricted")
    page.wait_for_timeout(2_500)
    expect(page.locator(f"#{SUMSKAS} .status")).to_have_text("Closed")
    page.get_by_label("As of (UTC)").fill("")
    expect(page.locator("#time")).to_have_text("")
    expect(page.locator(f"#{SUMSKAS} .status")).to_have_text("Restricted")

    declare(post, "open")

    expect(page.locator(f"#{SUMSKAS} .status")).to_have_text("Open")


@full
def test_focus_scroll_and_opened_details_stay(look: LookAt, post: Post) -> None:
    declare(post, "open")
    page = following(look("phone"), f"/crossings/{SUMSKAS}")
    page.locator("details summary").first.click()
    link = page.locator("main a").last
    link.focus()
    page.evaluate("document.activeElement.mark = 'the same element'")
    before = page.evaluate("scrollY")
    assert before > 0

    declare(post, "restricted")
    expect(page.locator(".verdict")).to_contain_text("Restricted")

    assert page.evaluate("document.activeElement.mark") == "the same element"
    assert page.locator("details[open]").count() >= 1
    assert abs(page.evaluate("scrollY") - before) < 400


@full
def test_what_happens_elsewhere_leaves_the_page_alone(look: LookAt, post: Post) -> None:
    window = look()
    page = following(window, f"/crossings/{SUMSKAS}")
    asked = len(window.requests)

    declare(post, "closed", TVERECIUS)
    page.wait_for_timeout(2_500)

    assert len(window.requests) == asked


@full
def test_the_map_and_the_list_follow_together(look: LookAt, post: Post) -> None:
    """What the reader typed, and where the map is, stay."""
    declare(post, "open", TVERECIUS)
    window = look()
    page = following(window, "/")
    page.locator("[name=q]").evaluate("box => { box.value = 'half a na'; }")
    row = page.locator(f"#{TVERECIUS}")
    expect(row).to_contain_text("Open")

    with page.expect_response("**/map.json**"):
        declare(post, "closed", TVERECIUS)

    expect(row).to_contain_text("Closed")
    assert page.locator("[name=q]").input_value() == "half a na"
    assert page.locator(".leaflet-container").count() == 1
    assert window.complaints == []


@full
def test_the_map_stops_following_when_it_shows_the_past(look: LookAt, post: Post) -> None:
    window = look()
    page = following(window, "/")
    page.get_by_text("Past or future date").click()
    page.get_by_label("As of (UTC)").fill("2023-09-01T00:00")
    expect(page.get_by_text("You are looking at")).to_be_visible()
    window.wait_until_quiet()
    asked = len(window.requests)

    declare(post, "open", TVERECIUS)
    page.wait_for_timeout(2_500)

    assert len(window.requests) == asked


@full
def test_without_the_stream_the_page_says_how_old_it_is_and_catches_up(
    look: LookAt, post: Post
) -> None:
    declare(post, "open", MEDININKAI)
    window = look()
    window.page.clock.install()
    window.page.route("**/v1/changes**", lambda route: route.fulfill(status=503))
    page = window.open(f"/crossings/{MEDININKAI}")
    expect(page.locator(AGE)).to_be_hidden()
    window.wait_until_following()
    page.clock.fast_forward(6_000)

    expect(page.locator(AGE)).to_contain_text("No live updates at the moment.")
    expect(page.locator(AGE).get_by_role("link", name="Reload")).to_be_visible()
    page.clock.fast_forward(130_000)
    expect(page.locator(AGE)).to_contain_text("2 minutes ago")
    assert window.violations() == []

    declare(post, "closed", MEDININKAI)
    page.unroute("**/v1/changes**")
    page.clock.fast_forward(16_000)

    expect(page.locator(".verdict")).to_contain_text("Closed")
    expect(page.locator(AGE)).to_be_hidden()


@full
def test_a_window_that_nobody_sees_holds_no_connection(look: LookAt, post: Post) -> None:
    """Browsers allow six to a host; what was missed is there when it is looked at again."""
    declare(post, "open")
    window = look()
    page = following(window, f"/crossings/{SUMSKAS}")
    page.evaluate(HIDE, arg=True)
    asked = len(window.requests)
    declare(post, "closed")
    page.wait_for_timeout(2_000)
    assert len(window.requests) == asked

    page.evaluate(HIDE, arg=False)

    expect(page.locator(".verdict")).to_contain_text("Closed")


@full
def test_the_page_about_the_service_renews_itself_until_it_is_told_not_to(
    look: LookAt, get: Get
) -> None:
    window = look()
    window.page.clock.install()
    page = following(window, "/status")
    window.wait_until_quiet()
    asked = len(window.requests)
    page.clock.fast_forward(11_000)
    window.wait_until(lambda: any(one.endswith("/status") for one in window.requests[asked:]))

    page.get_by_role("link", name="Stop").click()
    page.wait_for_url("**/status?refresh=false*")
    window.wait_until_quiet()
    asked = len(window.requests)
    page.clock.fast_forward(60_000)
    window.wait_until_quiet()
    assert len(window.requests) == asked
    assert '<noscript><meta http-equiv="refresh"' in get("/status").text
    assert "http-equiv" not in get("/status?refresh=false").text


@pytest.fixture
def stopped(
    postgres: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, str]]:
    """A service that ends as soon as it ran, and the log it wrote to."""
    log = tmp_path_factory.mktemp("restart") / "serve.log"
    with (
        clone(postgres, SEEDED) as database,
        service(log, database_url=database.url, worker=False) as running,
    ):
        yield running, database.url


@full
def test_a_service_that_comes_back_is_followed_on(
    look: LookAt, stopped: tuple[Service, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    running, url = stopped
    window = look()
    window.service = running
    page = following(window, f"/crossings/{SUMSKAS}")
    running.process.terminate()
    running.process.wait()
    expect(page.locator(AGE)).to_be_visible(timeout=15_000)

    log = tmp_path_factory.mktemp("again") / "serve.log"
    with service(log, port=running.port, database_url=url, worker=False):
        expect(page.locator(AGE)).to_be_hidden(timeout=60_000)
