"""`/crossings/{id}`: the answer in one glance, and how it came about."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Request

from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, citation, decision
from tests.marks import full
from tests.pages.conftest import SIZES, VIEWS, Get, LookAt, freshness
from tests.pages.writing.conftest import Post

LAVORISKES = "lavoriskes-katlouka"
RAIGARDAS = "raigardas-pryvalka"
PAST = "at=2023-08-17T00:00:00Z&known_change=400"


def soon(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


@full
@pytest.mark.parametrize("path", [f"/crossings/{MEDININKAI}", f"/crossings/{SUMSKAS}?{PAST}"])
@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_it_is_accessible_and_fits(look: LookAt, size: str, scheme: str, path: str) -> None:
    window = look(size, scheme)
    window.open(path)

    window.assert_presentable()


def test_the_answer_is_there_at_a_glance(look: LookAt) -> None:
    """On a phone, without scrolling: what, for whom, since when, until when, who, how old.

    The reason, which may be long, comes last.
    """
    page = look("phone").open(f"/crossings/{SUMSKAS}")
    answer = page.get_by_role("region", name="Status")
    box = answer.locator("dl > div:not(.why)").last.bounding_box()

    assert box is not None
    assert box["y"] + box["height"] < SIZES["phone"][1]
    for told in (
        "Closed",
        "all traffic, both ways",
        "18 Aug 2023, 00:00 (Vilnius, Minsk)",
        "further notice",
        "Lithuania",
        "security",
        "Nobody has confirmed this lately. It may have changed.",
    ):
        assert told in answer.inner_text()


@full
def test_times_are_local_and_the_rest_of_the_world_sees_utc(look: LookAt) -> None:
    page = look().open(f"/crossings/{SUMSKAS}")
    since = page.locator(".answer time").first

    assert since.get_attribute("title") == "2023-08-17 21:00 UTC"
    assert since.get_attribute("datetime") == "2023-08-17T21:00:00Z"


@full
def test_what_was_last_known_is_not_taken_for_what_is(look: LookAt) -> None:
    page = look().open(f"/crossings/{MEDININKAI}")

    assert page.locator(".verdict").inner_text().strip() == "Unknown"
    assert "Last known: restricted, say " in page.locator(".answer").inner_text()


@full
def test_lanes_that_differ_are_told_apart(look: LookAt) -> None:
    page = look().open(f"/crossings/{MEDININKAI}")
    table = page.locator("table.lanes")
    groups = page.locator(".groups > li").all_inner_texts()

    assert table.locator("thead th").all_inner_texts() == [
        "Traffic",
        "to Belarus",
        "to Lithuania",
    ]
    assert table.locator("tbody th").all_inner_texts() == [
        "pedestrians",
        "bicycles",
        "motorcycles",
        "cars",
        "buses",
        "trucks",
    ]
    assert any("Closed" in one and "pedestrians and bicycles, both ways" in one for one in groups)


@full
def test_the_basis_is_shown_with_the_facts(look: LookAt) -> None:
    """What a source states, what follows from it, what is background: never blurred.

    Beside the answer itself a basis stands only where no source states it.
    """
    page = look().open(f"/crossings/{SUMSKAS}")
    page.get_by_role("link", name="Lithuania", exact=True).click()
    event = page.locator(".event:target")
    event.locator("summary").click()
    cited = event.locator(".citations li").all_inner_texts()

    assert page.locator(".answer .basis").count() == 0
    assert len(cited) == 12
    assert any("paragraph 1, sentence 1" in one and "stated by the source" in one for one in cited)
    assert all("stated" in one or "other public sources" in one for one in cited)


@full
def test_the_timeline_is_drawn_and_every_event_listed(look: LookAt, get: Get) -> None:
    window = look()
    page = window.open(f"/crossings/{SUMSKAS}")
    log = get(f"/v1/crossings/{SUMSKAS}/events").json()["items"]
    whole = page.locator("svg.row-whole")

    assert whole.locator("rect.fill-closed").count() == 1
    assert "18 Aug 2023 closed" in (whole.get_attribute("aria-label") or "")
    assert page.locator("ol.events > li").count() == len(log)
    assert page.locator("ol.events > li .basis").count() >= len(log)


@full
def test_less_of_the_timeline_can_be_looked_at_by_links_alone(look: LookAt) -> None:
    page = look(script=False).open(f"/crossings/{MEDININKAI}?lang=en")
    page.get_by_role("link", name="3 months").click()

    assert page.url.endswith(f"/crossings/{MEDININKAI}?lang=en&zoom=3m#history")
    assert page.locator("svg.row-whole rect").count() == 1
    assert page.locator('.zoom [aria-current="true"]').inner_text() == "3 months"


@full
def test_it_says_for_each_vehicle_where_else_one_might_cross(look: LookAt, get: Get) -> None:
    """As the API says it: none that is closed, those known to be passable first."""
    page = look().open(f"/crossings/{SUMSKAS}")
    section = page.locator("section:has(#alternatives)")
    headings = section.locator("h3").all_inner_texts()

    offered: dict[str, list[str | None]] = {}
    for number, heading in enumerate(headings):
        links = section.locator("ul").nth(number).locator("a").all()
        for vehicle in heading.lower().split(" and "):
            offered[vehicle] = [link.get_attribute("href") for link in links]
    for vehicle, traffic in (("cars", "car"), ("trucks", "truck")):
        path = f"/v1/crossings/{SUMSKAS}/alternatives?traffic={traffic}&limit=3"
        found = get(path).json()["items"]
        assert offered.pop(vehicle) == [f"/crossings/{one['id']}" for one in found]
    assert offered == {}
    assert section.locator(".mark-closed").count() == 0


def test_a_closed_road_offers_no_railway(get: Get) -> None:
    for closed in (SUMSKAS, "slawatycze-damacava"):
        _, _, offered = get(f"/crossings/{closed}").text.partition('id="alternatives"')
        assert "-rail" not in offered.partition("</section>")[0]


@full
def test_the_past_is_plainly_marked(look: LookAt) -> None:
    page = look().open(f"/crossings/{SUMSKAS}?{PAST}&lang=lt")

    assert "ne dabartis" in page.title()
    assert page.get_by_role("note").first.inner_text().startswith("Rodoma padėtis:")
    assert page.locator("body.past").count() == 1
    assert page.locator(".verdict").inner_text().strip() == "Ribojama"
    assert page.locator("#follow").count() == 0
    page.get_by_role("link", name="Rodyti dabartį").click()
    assert page.url.endswith(f"/crossings/{SUMSKAS}?lang=lt")
    assert page.locator(".verdict").inner_text().strip() == "Uždaryta"


@full
def test_a_change_of_language_keeps_the_address(look: LookAt) -> None:
    page = look().open(f"/crossings/{SUMSKAS}?{PAST}&zoom=1y")
    page.get_by_title("беларуская").click()

    assert page.url.endswith(f"/crossings/{SUMSKAS}?{PAST.replace(':', '%3A')}&zoom=1y&lang=be")
    assert page.locator("h1").inner_text() == "Шумск – Лоша"


@full
def test_it_can_be_followed_and_its_code_copied(look: LookAt) -> None:
    window = look()
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = window.open(f"/crossings/{SUMSKAS}")
    page.get_by_role("button", name="Copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()

    assert page.evaluate("navigator.clipboard.readText()") == (
        f"curl -s {window.service.url}/v1/crossings/{SUMSKAS}/status"
    )
    feeds = [f"/feeds/crossings/{SUMSKAS}.atom", f"/feeds/crossings/{SUMSKAS}.ics?lang=en"]
    assert [
        page.get_by_role("link", name=name).get_attribute("href") for name in ("News", "Calendar")
    ] == feeds


def test_a_shared_link_shows_the_status(get: Get) -> None:
    body = get(f"/crossings/{SUMSKAS}").text

    assert '<meta property="og:title" content="Šumskas – Losha: closed">' in body
    assert (
        '<meta property="og:description" content="Belarus – Lithuania.'
        ' Closed, since 18 Aug 2023.">' in body
    )
    assert '<link rel="icon" type="image/svg+xml" href="/favicon/closed.svg">' in body


def test_programs_find_the_api_and_the_feeds(get: Get) -> None:
    body = get(f"/crossings/{SUMSKAS}").text

    for kind in ("application/json", "application/atom+xml", "text/calendar"):
        assert f'<link rel="alternate" type="{kind}" href="' in body


def test_it_is_cached_like_a_status(get: Get) -> None:
    page = get(f"/crossings/{SUMSKAS}?lang=en")
    status = get(f"/v1/crossings/{SUMSKAS}/status")

    for name in ("change-number", "last-modified"):
        assert page.headers[name] == status.headers[name]
    assert freshness(page) == freshness(status)
    assert get(f"/crossings/{SUMSKAS}?lang=en", If_None_Match=page.headers["etag"]).status_code == (
        304
    )


def test_a_page_about_the_past_is_not_told_to_be_the_present(get: Get) -> None:
    headers = get(f"/crossings/{SUMSKAS}?{PAST}").headers

    assert headers["cache-control"] == "public, no-cache"
    assert "change-number" not in headers


def test_what_is_recorded_is_on_the_page_at_once(get: Get, post: Post) -> None:
    """Although pages are kept for a second."""
    before = get(f"/crossings/{TVERECIUS}?lang=en").text
    change = post("/v1/events", decision(crossings=[TVERECIUS], status="open"))["change"]
    after = get(f"/crossings/{TVERECIUS}?lang=en", At_Least_Change=str(change)).text

    assert "<title>Tverečius – Vidzy: closed" in before
    assert "<title>Tverečius – Vidzy: open" in after


def test_an_end_that_passed_is_told_as_no_end(get: Get, post: Post) -> None:
    end = {"effective": {"from": soon(days=3)}, "expected_until": soon(days=1)}
    change = post("/v1/events", decision(crossings=[LAVORISKES], **end))["change"]
    body = get(f"/crossings/{LAVORISKES}", At_Least_Change=str(change)).text

    assert "The announced end has passed, but nobody has confirmed that it is over:" in body


def test_an_open_without_an_end_is_not_told_to_end_where_it_expires(get: Get, post: Post) -> None:
    """Neither on its page nor in the list and the map's cards, which are made of the list."""
    change = post("/v1/events", decision(crossings=[RAIGARDAS], status="open"))["change"]
    page, home = (
        re.sub("<[^>]*>", "", get(path, At_Least_Change=str(change)).text)
        for path in (f"/crossings/{RAIGARDAS}?lang=en", f"/?lang=en&q={RAIGARDAS}")
    )
    expires = get(f"/v1/crossings/{RAIGARDAS}/status").json()["expires_at"]
    day = datetime.fromisoformat(expires).astimezone(ZoneInfo("Europe/Vilnius"))
    words = f"unknown from {day.day} {day:%b %Y} unless confirmed"

    assert f"Untilfurther notice{words}" in page.replace("\n", "")
    assert words in home


def test_the_oldest_confirmation_of_a_lane_is_not_told_as_that_of_all(get: Get, post: Post) -> None:
    path = f"/crossings/{LAVORISKES}"
    period = {"from": soon(days=3)}
    change = post("/v1/events", decision(crossings=[LAVORISKES], effective=period))["change"]
    alike = get(f"{path}?lang=en", At_Least_Change=str(change)).text
    again = {"sides": ["LT"], "to": "LT", "citations": [citation()]}
    change = post(f"/v1{path}/confirmations", again)["change"]
    uneven = get(f"{path}?lang=en", At_Least_Change=str(change)).text

    assert "<dt>Last confirmed</dt><dd>3 days ago" in alike
    assert "<dt>Some lanes last confirmed</dt><dd>3 days ago" in uneven


@full
def test_what_is_only_said_stands_beside_what_is_decided(look: LookAt, post: Post) -> None:
    """Whatever its words: they come as text, never as part of the page."""
    window = look()
    hostile = "<script>document.title = 'gone'</script><img src=x onerror=alert(1)>"
    rumour = decision(
        crossings=[LAVORISKES],
        status="open",
        certainty="unconfirmed",
        reason={"code": "other", "text": hostile},
        citations=[citation(source={"title": hostile}, locator=hostile)],
    )
    post("/v1/events", rumour)
    page = window.open(f"/crossings/{LAVORISKES}")

    assert page.locator(".verdict").inner_text().strip() == "Closed"
    also = page.locator("section:has(#also)").inner_text()
    assert "Open" in also
    assert "unconfirmed" in also
    assert hostile in (page.locator("ol.events").text_content() or "")
    assert page.title().startswith("Lavoriškės")
    assert window.complaints == []
    assert window.violations() == []


@pytest.mark.parametrize(
    ("path", "status", "heading"),
    [
        ("/crossings/nowhere", 404, "Crossing not found"),
        (
            f"/crossings/{SUMSKAS}?at=yesterday",
            422,
            "This address asks for something impossible",
        ),
        (
            f"/crossings/{SUMSKAS}?known_at=2099-01-01T00:00:00Z",
            422,
            "This address asks for something impossible",
        ),
    ],
)
def test_what_cannot_be_shown_is_told_as_a_page(
    get: Get, path: str, status: int, heading: str
) -> None:
    page = get(path)

    assert page.status_code == status
    assert f"<h1>{heading}</h1>" in page.text
    assert page.headers["cache-control"] == "no-store"


@full
def test_a_long_log_is_cut_but_for_what_decides(get: Get, post: Post) -> None:
    """The closure of 2023 decides, however much was reported since."""
    later = decision(crossings=[SUMSKAS], status="open", sides=["BY"], certainty="reported")
    changes = [
        post("/v1/events", {**later, "effective": {"from": soon(hours=hours)}})["change"]
        for hours in range(101, 0, -1)
    ]
    body = get(f"/crossings/{SUMSKAS}?lang=en", At_Least_Change=str(changes[-1])).text
    deciding = get(f"/v1/crossings/{SUMSKAS}/status").json()["decided_by"]

    assert "Older entries of the log" in body
    for event in deciding:
        assert f'id="event-{event["id"]}"' in body


@full
@pytest.mark.parametrize("lang", ["en", "ru"])
def test_on_paper_the_answer_takes_one_page(look: LookAt, lang: str) -> None:
    page = look().open(f"/crossings/{MEDININKAI}?lang={lang}")
    paper = page.pdf(format="A4")

    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", paper)) == 1


@full
def test_on_paper_the_sources_are_open_and_the_buttons_gone(look: LookAt) -> None:
    window = look()
    page = window.open(f"/crossings/{MEDININKAI}?lang=en")
    page.get_by_role("link", name="Print all entries and sources, too").click()
    page.emulate_media(media="print")

    assert not page.locator("#follow").is_visible()
    assert not page.get_by_role("navigation", name="Language").is_visible()
    assert page.locator(".event .citations li").first.is_visible()


@full
def test_it_is_light_to_load(look: LookAt) -> None:
    """Of the 100 kB that a first page may have, with its style and script, on the wire."""
    window = look()
    loaded: list[Request] = []

    def finished(request: Request) -> None:
        loaded.append(request)

    window.page.on("requestfinished", finished)
    window.open(f"/crossings/{MEDININKAI}").wait_for_load_state("networkidle")
    sizes = [one.sizes()["responseBodySize"] for one in loaded]

    assert len(sizes) >= 4
    assert sum(sizes) < 100_000
