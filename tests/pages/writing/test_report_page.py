"""The report: what it would change is seen first, what is wrong is told where it is."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests import clients
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, crossing, decision
from tests.marks import full, in_full
from tests.pages.conftest import Look, LookAt
from tests.pages.writing.conftest import Post

PREVIEW = "Preview"
Open = Callable[..., Page]


@pytest.fixture
def form(look: LookAt, key: str) -> Open:
    """Open the form with a key in it, and all that a closure by Lithuania needs."""

    def open_form(crossing: str = SUMSKAS, *, window: Look | None = None) -> Page:
        page = (window or look()).open(f"/report?crossing={crossing}")
        page.locator("#key").fill(key)
        page.get_by_label("Lithuania", exact=True).check()
        page.locator("#title").fill("Told by phone")
        return page

    return open_form


def newest(page: Page) -> int:
    address = page.url.partition("/report")[0] + "/health/ready"
    response = clients.get(address)
    return int(response.json()["change"])


def previewed(page: Page) -> dict[str, Any]:
    """Look at the preview, and return the body that was sent for it."""
    with page.expect_request("**/v1/*?validate_only=true") as asked:
        page.get_by_role("button", name=PREVIEW).click()
    expect(page.locator("#preview")).to_be_visible()
    body: dict[str, Any] = json.loads(asked.value.post_data or "")
    return body


def next_autumn() -> date:
    """Return the last Sunday of October of next year, when the clocks are put back."""
    last = date(datetime.now(UTC).year + 1, 10, 31)
    return last - timedelta(days=last.isoweekday() % 7)


def preview(page: Page) -> str:
    page.get_by_role("button", name=PREVIEW).click()
    expect(page.locator("#preview")).to_be_visible()
    return page.locator("#preview").inner_text()


@full
def test_it_shows_what_would_change_and_records_nothing(form: Open, post: Post) -> None:
    post("/v1/events", decision(crossings=[TVERECIUS], status="open", sides=["BY", "LT"]))
    page = form(TVERECIUS)
    before = newest(page)
    text = preview(page)

    assert re.search(r"Tverečius – Vidzy\s+all traffic to Belarus, to Lithuania", text)
    assert re.search(r"open\s+closed", text)
    assert f"{datetime.now(UTC):%Y}" in text
    assert "(Vilnius)" in text
    assert "until further notice" in text
    assert newest(page) == before


@full
def test_it_is_recorded_with_its_number_and_taken_back(form: Open, post: Post) -> None:
    post("/v1/events", decision(crossings=[TVERECIUS], status="open", sides=["BY", "LT"]))
    page = form(TVERECIUS)
    before = newest(page)
    preview(page)
    page.get_by_role("button", name="Publish").click()

    heading = page.get_by_role("heading", name=f"Recorded as change {before + 1}.")
    expect(heading).to_be_focused()
    expect(page.locator("#result a[href='/crossings/tverecius-vidzy']").first).to_be_visible()

    page.locator("#undo-reason").fill("Posted by mistake")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("heading", name=f"Withdrawn with change {before + 2}.")).to_be_focused()


@full
def test_what_is_wrong_is_told_at_its_field_and_at_the_top(look: LookAt, key: str) -> None:
    window = look()
    page = window.open("/report")
    page.locator("#key").fill(key)
    page.get_by_role("button", name=PREVIEW).click()

    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    links = summary.get_by_role("link")
    assert links.count() == 3
    assert links.first.inner_text().startswith("Which crossings: ")
    title = page.locator("#title")
    assert title.get_attribute("aria-invalid") == "true"
    described = title.get_attribute("aria-describedby") or ""
    assert "at least one visible" in page.locator(f"#{described}").inner_text()
    links.last.click()
    expect(title).to_be_focused()
    assert window.violations() == []


@full
def test_a_key_that_does_not_do_is_told_at_the_key(form: Open) -> None:
    page = form()
    page.locator("#key").fill("nonsense")
    page.get_by_role("button", name=PREVIEW).click()

    expect(page.get_by_role("alert")).to_contain_text("API key:")
    assert page.locator("#key").get_attribute("aria-invalid") == "true"


@full
def test_an_end_before_the_start_is_the_services_own_message(form: Open) -> None:
    page = form()
    page.locator("#from").fill("2026-01-02T12:00")
    page.get_by_label("ends at a set time").check()
    page.locator("#until").fill("2026-01-01T12:00")
    page.get_by_role("button", name=PREVIEW).click()

    expect(page.locator("#until-error")).to_have_text("must lie after effective.from")


@full
def test_an_end_that_is_not_given_is_asked_for(form: Open) -> None:
    page = form()
    page.get_by_label("an expected end does not reopen it by itself").check()
    page.get_by_role("button", name=PREVIEW).click()

    expect(page.locator("#until-error")).to_have_text("give the date and the time")


@full
def test_times_are_by_the_clocks_that_are_chosen(form: Open) -> None:
    """Also on the other side of a change of the clocks; the browser's own zone is no matter."""
    page = form()
    page.locator("#from").fill("2026-07-01T12:00")
    page.locator("#announced").fill("2026-01-15T12:00")

    body = previewed(page)
    assert body["effective"]["from"] == "2026-07-01T09:00:00.000Z"
    assert body["announced_at"] == "2026-01-15T10:00:00.000Z"


@full
def test_the_clock_is_that_of_the_side_that_is_chosen(look: LookAt, key: str) -> None:
    """23:00 of a Lithuanian decision was recorded as 22:00, since the form stayed with Minsk."""
    page = look().open("/report")
    page.locator("#key").fill(key)
    page.locator("#title").fill("Told by phone")
    page.locator(f"[name=crossing][value={SUMSKAS}]").check()
    page.get_by_label("Belarus", exact=True).check()
    expect(page.locator("#from-zone")).to_have_text("Minsk")
    page.get_by_label("Belarus", exact=True).uncheck()
    page.get_by_label("Lithuania", exact=True).check()
    for time in ("from", "announced"):
        expect(page.locator(f"#{time}-zone")).to_have_text("Vilnius")
    page.locator("#from").fill("2026-11-20T23:00")

    assert previewed(page)["effective"]["from"] == "2026-11-20T21:00:00.000Z"


@full
def test_the_clock_that_a_person_picks_stays(form: Open) -> None:
    page = form()
    page.locator("#zone").select_option("UTC")
    page.get_by_label("Belarus", exact=True).check()
    page.get_by_label("Lithuania", exact=True).uncheck()
    expect(page.locator("#from-zone")).to_have_text("UTC")
    page.locator("#from").fill("2026-11-20T23:00")

    assert previewed(page)["effective"]["from"] == "2026-11-20T23:00:00.000Z"


@full
def test_the_clock_is_that_of_the_place_where_a_country_has_several(
    look: LookAt, post: Post
) -> None:
    """Kaliningrad is an hour behind Moscow."""
    place = {"lat": 55.08, "lon": 21.88, "precision_km": 1}
    fields = {"sides": ["LT", "RU"], "location": place}
    post("/v1/crossings", crossing("panemune-sovetsk", **fields))
    page = look().open("/report?crossing=panemune-sovetsk")
    page.get_by_label("Russia", exact=True).check()

    expect(page.locator("#from-zone")).to_have_text("Kaliningrad")


@full
@pytest.mark.parametrize(
    ("which", "hour", "offset"), [("the earlier", 0, "UTC+3"), *in_full(("the later", 1, "UTC+2"))]
)
def test_an_hour_that_occurs_twice_is_asked_about(
    form: Open, which: str, hour: int, offset: str
) -> None:
    """03:30 in Vilnius was taken for the later one, so that a closure began an hour late."""
    page = form()
    question = page.locator("#from-which")
    expect(question).to_be_hidden()
    day = next_autumn()
    page.locator("#from").fill(f"{day}T03:30")
    page.get_by_role("button", name=PREVIEW).click()
    expect(question).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_contain_text("choose which of the two is meant")

    question.get_by_label(which).check()
    body = previewed(page)
    assert body["effective"]["from"] == f"{day}T0{hour}:30:00.000Z"
    expect(page.locator("#preview")).to_contain_text(f"{day:%Y}, 03:30 (Vilnius, {offset})")


@full
def test_the_question_which_hour_is_meant_is_of_that_time_alone(form: Open, look: LookAt) -> None:
    window = look()
    page = form(window=window)
    page.locator("#from").fill("2026-10-25T03:30")
    page.locator("#from-which").get_by_label("the earlier").check()
    assert window.violations() == []
    page.locator("#from").fill("2026-10-25T03:45")
    assert page.locator("#from-which :checked").count() == 0
    page.locator("#zone").select_option("UTC")
    expect(page.locator("#from-which")).to_be_hidden()

    assert previewed(page)["effective"]["from"] == "2026-10-25T03:45:00.000Z"


@full
def test_an_hour_that_does_not_exist_is_not_moved(form: Open, look: LookAt) -> None:
    window = look()
    page = form(window=window)
    page.locator("#from").fill("2026-03-29T03:30")
    expect(page.locator("#from-missing")).to_be_visible()
    page.get_by_role("button", name=PREVIEW).click()

    expect(page.locator("#from-error")).to_have_text(
        "does not exist in Vilnius: the clocks are put forward then"
    )
    assert window.violations() == []
    assert not any("/v1/events" in one for one in window.requests)


@full
def test_a_report_that_does_nothing_is_warned_of(form: Open) -> None:
    page = form()
    page.locator("#certainty").select_option("unconfirmed")

    assert "An unconfirmed report never decides a status." in preview(page)


@full
def test_a_report_that_the_other_side_holds_down_is_warned_of(form: Open, post: Post) -> None:
    post("/v1/events", decision(crossings=[MEDININKAI], status="closed", sides=["BY", "LT"]))
    page = form(MEDININKAI)
    page.locator("[name=status][value=open]").check()
    text = preview(page)

    assert "this contradicts what Belarus, Lithuania said:" in text
    assert re.search(r"would stay\s+closed", text)


@full
def test_only_the_lanes_reported_are_compared_and_ones_own_statement_is_replaced(
    form: Open, post: Post
) -> None:
    """A closure of pedestrians is no matter for trucks, whose opening Lithuania said itself."""
    both = {"crossings": [MEDININKAI], "sides": ["BY", "LT"]}
    post("/v1/events", decision(**both, status="closed", traffic=["pedestrian"]))
    post("/v1/events", decision(**both, status="open", traffic=["truck"]))
    own = {"crossings": [MEDININKAI], "sides": ["LT"]}
    post("/v1/events", decision(**own, status="open", traffic=["truck"]))
    page = form(MEDININKAI)
    page.locator("[name=status][value=restricted]").check()
    page.locator("[name=traffic][value=truck]").check()
    text = preview(page)

    assert re.search(r"this replaces what Lithuania said:\s+open", text)
    assert "this contradicts" not in text
    assert page.locator("#preview .warning").count() == 0


@full
def test_what_was_previewed_is_what_is_recorded(form: Open) -> None:
    page = form()
    preview(page)
    page.locator("#reason").select_option("weather")

    expect(page.locator("#preview")).to_be_hidden()


@full
def test_a_write_whose_answer_was_lost_is_repeated_safely(form: Open, look: LookAt) -> None:
    window = look()
    page = form(window=window)
    before = newest(page)
    preview(page)
    keys: list[str] = []

    def deliver_and_lose(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/events", deliver_and_lose)
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("alert")).to_contain_text("it is safe to send it again")
    page.get_by_role("button", name="Publish").click()

    expect(page.get_by_role("heading", name=f"Recorded as change {before + 1}.")).to_be_visible()
    assert keys[0] == keys[1]
    assert newest(page) == before + 1


@full
def test_the_key_is_nowhere_but_in_its_field(form: Open, look: LookAt, key: str) -> None:
    window = look()
    page = form(window=window)
    preview(page)

    stored = (
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state])"
    )
    assert page.evaluate(stored) == '[{},{},"",null]'
    assert not any(key in one for one in [*window.requests, page.url])
    assert page.context.cookies() == []
    page.reload()
    assert page.locator("#key").input_value() == ""


@full
def test_only_what_the_crossings_have_can_be_chosen(form: Open) -> None:
    page = form(SUMSKAS)

    expect(page.get_by_label("Poland", exact=True)).to_be_hidden()
    expect(page.get_by_label("trains", exact=True)).to_be_hidden()
    expect(page.get_by_label("cars", exact=True)).to_be_visible()


@full
def test_it_works_with_the_keyboard_alone(look: LookAt, key: str) -> None:
    page = look().open(f"/report?crossing={SUMSKAS}")

    def to(selector: str) -> None:
        for _ in range(120):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not lead to {selector}")

    to("#key")
    page.keyboard.type(key)
    to("[name=side][value=LT]")
    page.keyboard.press("Space")
    to("#title")
    page.keyboard.type("Seen on the spot")
    page.keyboard.press("Enter")
    expect(page.locator("#preview-title")).to_be_focused()
    to("#send")
    page.keyboard.press("Enter")
    expect(page.locator("#result-title")).to_be_focused()


def test_without_script_it_says_how_to_report_with_curl(look: LookAt) -> None:
    page = look(script=False).open(f"/report?crossing={SUMSKAS}")

    expect(page.locator("#report")).to_be_hidden()
    page.get_by_text("Report with curl").click()
    assert f'"crossings": ["{SUMSKAS}"]' in page.locator("pre").inner_text()
