"""The map of all crossings and the list beside it, now and at other times."""

import re
from typing import Any

import pytest
from playwright.sync_api import Geolocation, Page, Route, expect

from tests.api import MEDININKAI, SUMSKAS
from tests.marks import full
from tests.pages.conftest import VIEWS, Get, LookAt

AUTUMN = "2023-09-01T00:00:00Z"
NOWHERE = "siemianowka-svislac-rail"
PAGE_BYTES = 200_000
VILNIUS: Geolocation = {"latitude": 54.687, "longitude": 25.28}
VIEWS_OF_TWO = {
    "/?border=BY-LT": {"Belarus", "Lithuania"},
    "/?border=BY-LV": {"Belarus", "Latvia"},
    "/?country=PL": {"Belarus", "Poland"},
    "/?traffic=train": {"Belarus", "Lithuania", "Poland"},
    "/?q=medininkai": {"Belarus", "Lithuania"},
    "/#14/54.5392/25.6886": {"Belarus", "Lithuania"},
    "/": {"Belarus", "Latvia", "Lithuania", "Poland"},
}
"""Addresses of the map, and the countries with crossings in view."""
OVERLAPS = """[...document.querySelectorAll(".map-label, .pin")]
    .map(one => [one.textContent || one.ariaLabel, one.getBoundingClientRect()])
    .flatMap(([name, a], number, all) => all.slice(number + 1)
        .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1
            && a.top < b.bottom - 1 && b.top < a.bottom - 1)
        .map(([other]) => `${name} on ${other}`))"""
"""Script: the names on the map that cover a marker or each other."""


def listed(page: Page) -> dict[str, str]:
    """Return the status of each crossing in the list, as it is called there, by id."""
    rows = page.locator(".places li")
    found: dict[str, str] = rows.evaluate_all(
        "rows => Object.fromEntries(rows.map(row =>"
        " [row.id, row.querySelector('.status').textContent.trim().toLowerCase()]))"
    )
    return found


def items(get: Get, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(path, Accept="application/json").json()["items"]
    return found


def statuses(get: Get, path: str) -> dict[str, str]:
    return {one["id"]: one["status"] for one in items(get, path)}


# For everyone


@full
@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_it_is_accessible_and_fits(look: LookAt, size: str, scheme: str) -> None:
    window = look(size, scheme)
    page = window.open("/")
    expect(page.locator(".pin").first).to_be_visible()
    page.locator("summary").first.click()
    page.locator("summary").last.click()

    assert window.violations() == []
    assert window.overflow() == 0
    assert window.complaints == []


@full
def test_the_list_is_what_the_api_answers(look: LookAt, get: Get) -> None:
    page = look().open("/")

    assert listed(page) == statuses(get, "/v1/crossings")


@full
def test_each_row_says_since_when_and_on_what_basis(look: LookAt) -> None:
    """In the time of both sides, and in UTC for whoever points at it."""
    row = look().open("/").locator(f"#{SUMSKAS}")

    assert "since 18 Aug 2023, 00:00 (Vilnius, Minsk)" in row.inner_text()
    assert row.locator("time").first.get_attribute("title") == "2023-08-17 21:00 UTC"
    assert "stated by the source" in row.inner_text()


def test_without_script_there_is_the_list_and_a_form(look: LookAt) -> None:
    page = look("phone", script=False).open("/")
    assert not page.locator("#map-frame").is_visible()
    page.get_by_label("Name, in any spelling").fill("Шумскас")
    page.get_by_role("button", name="Show").click()

    assert list(listed(page)) == [SUMSKAS]
    assert page.get_by_label("Name, in any spelling").input_value() == "Шумскас"


# The map


@full
def test_every_crossing_with_a_place_is_on_the_map(look: LookAt, get: Get) -> None:
    """By itself, or in a mark that says of how many it stands."""
    page = look("wall").open("/")
    expect(page.locator(".pin").first).to_be_visible()
    names = page.locator(".pin").evaluate_all("pins => pins.map(pin => pin.ariaLabel)")
    placed = [one for one in items(get, "/v1/crossings") if one["location"]]

    counts = [re.match(r"Crossings here: (\d+)", name) for name in names]
    assert sum(int(one[1]) if one else 1 for one in counts) == len(placed)


@full
def test_one_whose_place_nobody_told_is_listed_as_such(look: LookAt) -> None:
    row = look().open("/").locator(f"#{NOWHERE}")

    assert "not on the map" in row.inner_text()


@full
def test_the_map_says_whose_outlines_it_shows(look: LookAt) -> None:
    page = look().open("/")

    expect(page.locator("#map")).to_contain_text("© OpenStreetMap contributors, ODbL")
    expect(page.locator("#map")).to_contain_text("GeoNames")
    expect(page.locator("#map")).to_contain_text("roads simplified")


# Names on the map


@full
@pytest.mark.parametrize("size", ["narrow", "phone", "desk"])
@pytest.mark.parametrize("path", VIEWS_OF_TWO)
def test_the_countries_in_view_are_named_and_no_name_covers_another(
    look: LookAt, size: str, path: str
) -> None:
    page = look(size).open(path)
    expect(page.locator(".country-own").first).to_be_attached()
    expect(page.locator(".town, .name, .country-own").nth(1)).to_be_attached()

    assert VIEWS_OF_TWO[path] <= set(page.locator(".country-own").all_inner_texts())
    assert page.evaluate(OVERLAPS) == []


@full
def test_a_country_is_named_where_it_is_visible(look: LookAt) -> None:
    """Also after the map was moved, when its middle is no longer in view."""
    page = look("desk").open("/#9/54.55/25.7")
    country = page.locator(".country-own", has_text="Lithuania")
    before = country.bounding_box()
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("#9/54.55"))
    frame = page.locator("#map").bounding_box()
    after = country.bounding_box()

    assert before
    assert after
    assert frame
    assert frame["x"] <= after["x"] <= frame["x"] + frame["width"] - after["width"]


@full
@pytest.mark.parametrize(("lang", "town"), [("en", "Hrodna"), ("lt", "Gardinas"), ("be", "Гродна")])
def test_towns_are_named_in_the_language_of_the_reader(look: LookAt, lang: str, town: str) -> None:
    page = look(lang=lang).open("/?border=BY-PL")

    expect(page.locator(".town", has_text=town)).to_be_visible()


@full
def test_crossings_are_named_beside_their_markers_when_zoomed_in(look: LookAt) -> None:
    """The name is for the eye, and for a click; the marker says the same to others."""
    page = look().open("/#11/54.6063/25.7557")
    page.locator("#map .name", has_text="Šumskas – Losha").click()

    expect(page.get_by_role("dialog")).to_contain_text("Closed")
    page.goto(page.url.partition("#")[0])
    expect(page.locator(".pin").first).to_be_visible()
    assert page.locator("#map .name").count() == 0


@full
def test_road_and_rail_differ_in_shape_and_name(look: LookAt) -> None:
    page = look().open("/#11/54.6063/25.7557")
    road = page.get_by_role("button", name="Šumskas – Losha, road crossing: Closed")
    rail = page.get_by_role("button", name="Kena – Gudogai (rail): Unknown")
    legend = page.get_by_role("list", name="Legend").get_by_role("listitem")

    expect(road.locator(".plate circle")).to_have_count(1)
    expect(rail.locator(".plate path")).to_have_count(1)
    expect(legend.filter(visible=True)).to_have_text(["Road", "Railway"])


@full
def test_without_towns_and_roads_the_map_is_still_there(look: LookAt) -> None:
    window = look()
    window.page.route("**/towns.json", lambda route: route.abort())
    page = window.open("/")

    expect(page.locator(".country-own").first).to_be_visible()
    expect(page.locator(".pin").first).to_be_visible()
    assert not page.get_by_text("The map could not be loaded.").is_visible()


# Near me


@full
def test_near_me_shows_the_nearest_crossings(look: LookAt) -> None:
    """What the browser says stays there: nothing that is asked of the service names the place."""
    window = look("phone", location=VILNIUS)
    page = window.open("/")
    expect(page.locator(".pin").first).to_be_visible()
    assert page.locator(".here").count() == 0
    before = len(window.requests)
    page.get_by_role("button", name="Near me").click()

    expect(page.locator(".nearby")).to_contain_text("Nearest: Kena – Gudogai (rail), about 27 km")
    expect(page.locator(".here")).to_be_visible()
    expect(page.get_by_role("button", name="Medininkai")).to_be_visible()
    assert [one for one in window.requests[before:] if re.search(r"54\.6|25\.2", one)] == []
    assert window.violations() == []
    assert window.complaints == []


@full
def test_near_me_says_when_the_browser_does_not_tell(look: LookAt) -> None:
    page = look(lang="pl").open("/")
    page.get_by_role("button", name="W pobliżu").click()

    expect(page.locator(".nearby")).to_contain_text("nie udostępnia tej stronie Twojej lokalizacji")


def test_only_the_page_itself_may_ask_for_the_location(get: Get) -> None:
    policy = get("/").headers["permissions-policy"].split(", ")

    assert "geolocation=(self)" in policy
    assert {"camera=()", "microphone=()", "payment=()"} <= set(policy)


def test_a_click_opens_a_card_with_the_answer(look: LookAt) -> None:
    page = look().open("/#11/54.6063/25.7557")
    page.get_by_role("button", name="Šumskas").click()
    card = page.get_by_role("dialog")

    expect(card).to_contain_text("Closed")
    expect(card).to_contain_text("since 18 Aug 2023, 00:00 (Vilnius, Minsk)")
    assert card.get_by_role("link").get_attribute("href") == f"/crossings/{SUMSKAS}"


@full
def test_the_map_is_walked_by_keyboard(look: LookAt) -> None:
    """Tab from marker to marker, Enter opens the card, Escape closes it and leads back."""
    window = look()
    page = window.open("/#9.5/54.60/25.60")
    expect(page.locator(".pin").first).to_be_visible()
    page.locator("#map").focus()
    focused = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("Tab")
    first = page.evaluate(focused)
    page.keyboard.press("Tab")
    second = page.evaluate(focused)
    page.keyboard.press("Enter")

    assert first.startswith("Kena")
    assert second.startswith("Lavoriškės")
    expect(page.get_by_role("dialog")).to_be_focused()
    expect(page.get_by_role("dialog")).to_contain_text("Lavoriškės")
    assert window.violations() == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate(focused) == second


@full
def test_those_that_lie_together_are_told_together(look: LookAt) -> None:
    """Terespol by road and by rail, and Kukuryki, are a few kilometres apart."""
    page = look().open("/#8/52.08/23.6")
    page.get_by_role("button", name="Crossings here: 3").click()

    expect(page.get_by_role("dialog").get_by_role("link")).to_have_count(3)


def spot(number: int) -> tuple[float, float]:
    """Return a place for one of ten thousand crossings, in rows."""
    return 45 + number % 100 / 5, 10 + number // 100 / 5


@full
def test_thousands_are_shown_in_few_marks(look: LookAt) -> None:
    """Where one looks, and no more; and all of them are counted in."""
    window = look("wall")
    statuses = ["open", "restricted", "closed", "unknown"]
    marks = [
        [f"crossing-{one}", f"Crossing {one}", statuses[one % 4], *spot(one), 1.0, "road"]
        for one in range(10_000)
    ]

    def answer(route: Route) -> None:
        route.fulfill(json=marks)

    window.page.route("**/map.json*", answer)
    page = window.open("/")
    expect(page.locator(".pin").first).to_be_visible()
    at_first = page.locator(".pin").count()
    page.get_by_role("button", name="Zoom in").click()
    page.locator("#map").hover()
    page.mouse.down()
    page.mouse.move(300, 300, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("#"))

    assert 0 < at_first < 1_500
    assert 0 < page.locator(".pin").count() < 1_500
    assert window.complaints == []


@full
def test_without_its_outlines_the_page_says_so(look: LookAt) -> None:
    window = look()
    window.page.route("**/outlines.json", lambda route: route.abort())
    page = window.open("/")

    expect(page.locator("#map")).to_contain_text("The map could not be loaded.")
    assert SUMSKAS in listed(page)


# Filters and the address


@full
def test_a_filter_works_in_place_and_is_in_the_address(look: LookAt, get: Get) -> None:
    window = look()
    page = window.open("/")
    page.evaluate("window.same = true")
    page.get_by_text("Filter", exact=True).click()
    page.locator("select[name=status]").select_option("closed")
    page.wait_for_url("**/?status=closed*")
    page.locator("select[name=border]").select_option("BY-LT")
    page.wait_for_url("**/?status=closed&border=BY-LT*")
    expect(page.locator("#count")).to_contain_text("4 crossings")

    assert listed(page) == statuses(get, "/v1/crossings?status=closed&border=BY-LT")
    assert page.evaluate("window.same")
    page.reload()
    assert listed(page) == statuses(get, "/v1/crossings?status=closed&border=BY-LT")
    assert page.locator("select[name=border]").input_value() == "BY-LT"
    assert window.complaints == []


@full
@pytest.mark.parametrize(
    "query",
    [
        "border=BY-LV",
        "country=PL",
        "status=closed",
        "traffic=bus",
        "to=LT",
        "traffic=car&to=BY&status=unknown",
        "q=Шумскас",
        "q=terespol",
        f"at={AUTUMN}",
        f"at={AUTUMN}&traffic=truck&status=open",
        f"at={AUTUMN}&q=medininkai",
    ],
)
def test_filters_are_those_of_the_api(look: LookAt, get: Get, query: str) -> None:
    page = look(script=False).open(f"/?{query}")

    assert listed(page)
    assert listed(page) == statuses(get, f"/v1/crossings?{query}")


@full
def test_a_name_is_looked_for_while_it_is_typed(look: LookAt) -> None:
    page = look().open("/")
    page.get_by_label("Name, in any spelling").press_sequentially("medininkay")
    expect(page.locator("#count")).to_contain_text("1 crossing")

    assert list(listed(page)) == [MEDININKAI]
    assert page.url.endswith("/?q=medininkay")


@full
def test_what_is_not_there_is_said(look: LookAt) -> None:
    page = look().open("/?q=zzzzzzz")

    assert "No crossings match." in page.locator("#list").inner_text()


@full
def test_the_address_holds_where_one_looks(look: LookAt) -> None:
    page = look().open("/?status=closed")
    expect(page.locator(".pin").first).to_be_visible()
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_url(re.compile("#"))
    address, place = page.url, page.evaluate("location.hash")
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator(".pin").first).to_be_visible()

    assert "?status=closed#" in address
    assert page.evaluate("location.hash") == place
    scale = page.locator(".leaflet-control-scale-line").inner_text()
    page.get_by_role("button", name="Zoom out").click()
    expect(page.locator(".leaflet-control-scale-line")).not_to_have_text(scale)


@full
def test_one_gets_back_to_what_was_shown_before(look: LookAt) -> None:
    page = look().open("/?border=BY-LV")
    page.locator("select[name=border]").select_option("BY-PL")
    page.wait_for_url("**/?border=BY-PL*")
    page.go_back()
    page.wait_for_url("**/?border=BY-LV")

    expect(page.locator("#count")).to_contain_text("2 crossings")
    assert page.locator("select[name=border]").input_value() == "BY-LV"


@full
def test_a_chosen_language_stays(look: LookAt) -> None:
    page = look().open("/?lang=pl&q=szumsk")
    page.locator(f"#{SUMSKAS} a").click()

    assert page.url.endswith(f"/crossings/{SUMSKAS}?lang=pl")


@full
def test_a_filter_that_makes_no_sense_is_told_as_a_page(look: LookAt) -> None:
    window = look()
    page = window.open("/?status=shut")

    assert page.locator("h1").inner_text() == "This address asks for something impossible"


# Other times


@full
@pytest.mark.parametrize("script", [True, False])
def test_the_past_is_plainly_marked(look: LookAt, get: Get, script: bool) -> None:
    window = look(script=script)
    page = window.open("/")
    now = page.locator("#crossings").evaluate("one => getComputedStyle(one).backgroundColor")
    page = window.open("/?at=2023-09-01T00:00")
    then = page.locator("#crossings").evaluate("one => getComputedStyle(one).backgroundColor")

    notice = page.locator("#time").inner_text()
    assert "You are looking at 1 Sept 2023, 00:00 (UTC)." in notice
    assert now != then
    assert listed(page) == statuses(get, f"/v1/crossings?at={AUTUMN}")
    page.get_by_role("link", name="Show the present").click()
    assert page.url.endswith("/")
    assert page.locator("#time").inner_text() == ""


@full
def test_what_was_known_then_is_told_without_what_came_later(look: LookAt) -> None:
    page = look().open("/?known_at=2020-01-01")

    assert "Only what was known by 1 Jan 2020" in page.locator("#time").inner_text()
    assert listed(page) == {}


@full
def test_one_slides_through_the_days(look: LookAt, get: Get) -> None:
    page = look().open("/")
    page.get_by_text("Past or future date").click()
    slider = page.get_by_label("Move through the days")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/?at=*")
    expect(page.locator("#time")).to_contain_text("You are looking at")
    at = page.get_by_label("As of (UTC)").input_value()

    assert listed(page) == statuses(get, f"/v1/crossings?at={at}:00Z")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#time")).to_have_text("")
    assert page.url.endswith("/")


@full
def test_from_the_past_one_gets_to_a_crossing_of_then(look: LookAt) -> None:
    page = look().open("/?at=2023-09-01#11/54.6063/25.7557")
    page.get_by_role("button", name="Šumskas").click()
    on_card = page.get_by_role("dialog").get_by_role("link").get_attribute("href") or ""
    in_list = page.locator(f"#{SUMSKAS} a").get_attribute("href") or ""

    wanted = f"/crossings/{SUMSKAS}?at={AUTUMN}"
    assert [one.replace("%3A", ":") for one in (on_card, in_list)] == [wanted, wanted]


def test_only_the_present_may_be_kept(get: Get) -> None:
    present, past = get("/").headers, get(f"/?at={AUTUMN}").headers

    assert "max-age=2" in present["cache-control"]
    assert "change-number" in present
    assert past["cache-control"] == "public, no-cache"
    assert "change-number" not in past


# What it takes


@full
def test_it_is_small_and_asks_for_everything_at_once(look: LookAt) -> None:
    """All that the page needs is named in it: nothing is found out about later."""
    window = look()
    page = window.open("/")
    expect(page.locator(".pin").first).to_be_visible()
    sizes: dict[str, int] = page.evaluate(
        "Object.fromEntries(['navigation', 'resource'].flatMap(kind =>"
        " performance.getEntriesByType(kind)).map(one => [one.name, one.encodedBodySize]))"
    )
    named = page.content()
    paths = {address.removeprefix(window.service.url) for address in sizes}

    assert {path for path in paths if path not in {"/", "/favicon.ico"}} <= set(
        re.findall(r'(?:href|src)="([^"]+)"', named)
    )
    for name in ("outlines", "roads", "towns"):
        assert any(name in path for path in paths)
    assert sum(sizes.values()) < PAGE_BYTES


def test_a_card_asks_for_what_the_list_does_not_show(get: Get) -> None:
    line = get(f"/map/{SUMSKAS}?lang=lt&at={AUTUMN}")

    assert "nuo <time" in line.text
    assert line.headers["content-type"] == "text/html; charset=utf-8"
    assert get("/map/nowhere", Accept="*/*").status_code == 404


@full
@pytest.mark.parametrize("reduced", [False, True])
def test_nothing_moves_for_who_asked_for_less_motion(look: LookAt, reduced: bool) -> None:
    page = look(reduced_motion=reduced).open("/")
    page.wait_for_selector("#map .leaflet-marker-pane", state="attached")
    moving = """[...document.querySelectorAll("*")].filter(one => {
        const style = getComputedStyle(one);
        return style.transitionDuration !== "0s" || style.animationName !== "none";
    }).length"""

    assert page.locator(".leaflet-fade-anim").count() == (0 if reduced else 1)
    if reduced:
        assert page.evaluate(moving) == 0
