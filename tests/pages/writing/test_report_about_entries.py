"""What reporters do about entries of the log: correct, end, withdraw and confirm them."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests import clients
from tests.api import SUMSKAS, TVERECIUS, citation, decision
from tests.marks import full, in_full
from tests.pages.conftest import Get, Look, LookAt
from tests.pages.writing.conftest import Post

pytestmark = full

PAIR = [SUMSKAS, TVERECIUS]
Open = Callable[..., Page]


@pytest.fixture
def about(look: LookAt, key: str) -> Open:
    """Follow a link of an event on its crossing's page to the form, and fill the key in."""

    def follow(event: dict[str, Any], link: str, *, window: Look | None = None) -> Page:
        page = (window or look()).open(f"/crossings/{event['crossing']}?lang=en")
        shown = page.locator(f"#event-{event['id']}")
        shown.locator("summary").click()
        shown.get_by_role("link", name=link, exact=True).click()
        expect(page.locator("#report")).to_be_visible()
        page.locator("#key").fill(key)
        return page

    return follow


def declared(post: Post, **fields: object) -> list[dict[str, Any]]:
    """Close a pair of crossings in one decision, and return its events in that order."""
    found: Any = post("/v1/events", decision(**{"crossings": PAIR, **fields}))["events"]
    return sorted(found, key=lambda event: PAIR.index(event["crossing"]))


def published(page: Page, address: str) -> dict[str, Any]:
    """Look at the preview, publish, and return the body that was recorded."""
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview-title")).to_be_focused()
    with page.expect_request(address) as asked:
        page.get_by_role("button", name="Publish").click()
    expect(page.locator("#result-title")).to_be_focused()
    body: dict[str, Any] = json.loads(asked.value.post_data or "")
    return body


def newest(page: Page) -> int:
    address = page.url.partition("/report")[0] + "/health/ready"
    return int(clients.get(address).json()["change"])


def test_a_correction_starts_from_all_that_the_entry_says(
    about: Open, post: Post, get: Get
) -> None:
    """Whatever the form did not ask about would be lost by the correction."""
    fields: dict[str, Any] = {
        "status": "restricted",
        "effective": {"from": "2026-10-25T00:30:00.250000Z", "until": None},
        "expected_until": "2099-01-01T10:00:00Z",
        "traffic": ["car", "truck"],
        "to": "BY",
        "exceptions": [{"code": "other", "text": "Ambulances"}, {"code": "residents"}],
        "certainty": "reported",
        "precision": "hour",
        "announced_at": "2026-10-24T09:00:00Z",
        "citations": [citation(basis="inferred")],
    }
    event = declared(post, **fields)[0]
    page = about(event, "Correct")
    assert page.locator("#from").input_value() == "2026-10-25T03:30"
    assert page.locator("#from-zone").inner_text() == "Vilnius"
    page.locator("#reason-text").fill("Only part of the staff is there")
    body = published(page, "**/v1/events")

    assert body["crossings"] == [event["crossing"]]
    assert body["supersedes"] == [event["id"]]
    assert body["reason"] == {"code": "security", "text": "Only part of the staff is there"}
    corrected = get(f"/v1/events?crossing={event['crossing']}&limit=1").json()["items"][0]
    same = {*fields, "sides", "incident"} - {"citations"}
    assert {name: corrected[name] for name in same} == {name: event[name] for name in same}
    assert corrected["citations"] == event["citations"]


def test_a_correction_may_be_of_the_whole_decision(about: Open, post: Post) -> None:
    events = declared(post)
    page = about(events[0], "Correct")
    assert page.locator("[name=crossing]:visible").count() == len(PAIR)
    page.locator(f"[name=crossing][value={TVERECIUS}]").check()
    page.locator("#title").fill("The decree")
    page.locator("[name=kept]").uncheck()
    body = published(page, "**/v1/events")

    assert set(body["supersedes"]) == {event["id"] for event in events}
    assert [one["source"]["title"] for one in body["citations"]] == ["The decree"]


def test_what_was_corrected_already_is_corrected_again(post: Post, look: LookAt) -> None:
    """Whoever follows an old link is not refused with a conflict."""
    event = declared(post)[0]
    crossing = event["crossing"]
    declared(post, crossings=[crossing], supersedes=[event["id"]], reason={"code": "weather"})
    page = look().open(f"/report?action=correct&event={event['id']}&lang=en")

    expect(page.locator("#entry")).to_contain_text("This entry was corrected already.")
    expect(page.locator("#reason")).to_have_value("weather")


def test_an_entry_is_ended_and_stays_the_same_otherwise(about: Open, post: Post, get: Get) -> None:
    event = declared(post, effective={"from": "2026-11-01T10:00:00Z"})[0]
    page = about(event, "Set an end")
    body = published(page, "**/v1/events")

    until = datetime.fromisoformat(body["effective"]["until"])
    assert datetime.now(UTC) - timedelta(minutes=10) < until <= datetime.now(UTC)
    assert body["supersedes"] == [event["id"]]
    ended = get(f"/v1/events?crossing={event['crossing']}&limit=1").json()["items"][0]
    same = ("sides", "status", "reason", "announced_at", "precision", "citations")
    assert [ended[name] for name in same] == [event[name] for name in same]
    assert ended["effective"]["from"] == event["effective"]["from"]


def test_an_end_is_told_by_the_clock_of_the_entrys_side(about: Open, post: Post) -> None:
    event = declared(post, sides=["BY"])[0]
    page = about(event, "Set an end")
    expect(page.locator("#until-zone")).to_have_text("Minsk")
    page.locator("#until").fill("2099-02-01T12:00")

    assert published(page, "**/v1/events")["effective"]["until"] == "2099-02-01T09:00:00.000Z"


def test_a_decision_is_withdrawn_of_all_its_crossings_once_each(
    about: Open, post: Post, get: Get
) -> None:
    """Also if an answer is lost in between."""
    events = declared(post)
    page = about(events[0], "Withdraw")
    before = newest(page)
    page.locator(f"[name=crossing][value={TVERECIUS}]").check()
    page.locator("#reason-text").fill("Posted by mistake")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview-title")).to_be_focused()
    keys: list[str] = []

    def lose_the_second(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == len(PAIR):
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/retraction", lose_the_second)
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("alert")).to_contain_text("No answer arrived")
    page.get_by_role("button", name="Publish").click()

    last = page.get_by_role("heading", name=f"Withdrawn with change {before + len(PAIR)}.")
    expect(last).to_be_focused()
    assert keys[1] == keys[2] != keys[0]
    assert newest(page) == before + len(PAIR)
    for event in events:
        assert get(f"/v1/events/{event['id']}").json()["retracted_by"] is not None


def test_several_crossings_are_confirmed_at_once(look: LookAt, key: str, post: Post) -> None:
    """As one change; each for those sides alone that it has."""
    declared(post)
    page = look().open(f"/report?action=confirm&crossing={SUMSKAS}&lang=en")
    before = newest(page)
    page.locator("#key").fill(key)
    page.locator(f"[name=crossing][value={TVERECIUS}]").check()
    page.locator("[name=crossing][value=bobrowniki-bierastavica]").check()
    page.get_by_label("Lithuania", exact=True).check()
    page.get_by_label("Poland", exact=True).check()
    page.locator("#title").fill("Told by phone")
    body = published(page, "**/v1/confirmations")

    rows = {row["crossing"]: row["sides"] for row in body["confirmations"]}
    assert rows == {SUMSKAS: ["LT"], TVERECIUS: ["LT"], "bobrowniki-bierastavica": ["PL"]}
    told = page.locator("#preview").text_content() or ""
    assert re.search(r"Šumskas – Losha:\s+closed since", told)
    assert "Declared by Lithuania." in told
    assert newest(page) == before + 1


def test_an_entry_is_confirmed_by_the_sources_that_were_checked_again(
    about: Open, post: Post
) -> None:
    event = declared(post, traffic=["car"])[0]
    page = about(event, "Confirm again")
    row = published(page, "**/v1/confirmations")["confirmations"][0]

    assert (row["crossing"], row["sides"]) == (event["crossing"], event["sides"])
    assert row["traffic"] == ["car"]
    assert row["citations"] == event["citations"]


def test_a_confirmation_of_nothing_is_warned_of(look: LookAt, key: str, post: Post) -> None:
    declared(post)
    page = look().open(f"/report?action=confirm&crossing={SUMSKAS}&lang=en")
    page.locator("#key").fill(key)
    page.get_by_label("Belarus", exact=True).check()
    page.locator("#title").fill("Told by phone")
    page.get_by_role("button", name="Preview").click()

    expect(page.locator("#preview .warning")).to_contain_text("would confirm nothing")


def test_what_is_wrong_with_a_row_is_told_at_the_field_of_all(look: LookAt, key: str) -> None:
    page = look().open(f"/report?action=confirm&crossing={SUMSKAS}&lang=en")
    page.locator("#key").fill(key)
    page.locator("#title").fill("Told by phone")
    page.get_by_role("button", name="Preview").click()

    expect(page.locator("#sides")).to_have_attribute("aria-invalid", "true")


def test_only_what_can_be_done_about_an_entry_is_offered(
    look: LookAt, post: Post, get: Get
) -> None:
    event = declared(post)[0]
    crossing = event["crossing"]
    body = {"sides": ["LT"], "citations": [citation()]}
    post(f"/v1/crossings/{crossing}/confirmations", body)
    post("/v1/events", decision(crossings=[crossing], supersedes=[event["id"]]))
    html = get(f"/crossings/{crossing}?lang=en").text
    assert f"action=correct&amp;event={event['id']}" not in html
    assert get(f"/crossings/{crossing}?lang=en&at=2030-01-01T00:00:00Z").text.count("event=") == 0
    page = look().open(f"/crossings/{crossing}?lang=en")
    confirmation = page.locator(".event", has_text="Confirmed again").first
    confirmation.locator("summary").click()
    offered = confirmation.locator("a[href*='/report']").all_inner_texts()
    assert offered == ["Withdraw"]


@pytest.mark.parametrize("action", ["correct", *in_full("end", "withdraw", "confirm")])
def test_the_form_about_an_entry_is_accessible_and_keeps_the_key(
    about: Open, post: Post, look: LookAt, key: str, action: str
) -> None:
    links = {"correct": "Correct", "end": "Set an end", "confirm": "Confirm again"}
    window = look()
    about(declared(post)[0], links.get(action, "Withdraw"), window=window)

    window.assert_presentable()
    assert not any(key in one for one in [*window.requests, window.page.url])


@pytest.mark.parametrize("action", ["correct", "end", "withdraw"])
def test_there_is_no_form_about_an_entry_that_is_not_named(get: Get, action: str) -> None:
    response = get(f"/report?action={action}&lang=en")

    assert response.status_code == 422
    assert "<code>event</code>" in response.text


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ("correct", "/v1/events?"),
        ("confirm", "/v1/confirmations?"),
        ("withdraw", "/retraction?"),
    ],
)
def test_without_script_it_says_how_to_do_it_with_curl(
    look: LookAt, post: Post, action: str, path: str
) -> None:
    event = declared(post)[0]
    query = f"action={action}&event={event['id']}&crossing={event['crossing']}"
    page = look(script=False).open(f"/report?{query}&lang=en")
    page.get_by_text("Report with curl").click()

    assert path in page.locator("pre").inner_text()
