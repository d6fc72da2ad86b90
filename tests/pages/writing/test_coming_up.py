"""For whom a page answers, what comes next, and why: told wherever the present is."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.api import MEDININKAI, TVERECIUS, citation, decision
from tests.marks import full
from tests.pages.conftest import Get, LookAt
from tests.pages.writing.conftest import Post

pytestmark = full

KUZNICA = "kuznica-bruzhi"
RAIL = "kuznica-hrodna-rail"
NEXT_YEAR = datetime.now(UTC).year + 1
BARRED = "No trucks registered in the EU"
PLANNED = f"From 24 Dec {NEXT_YEAR}, 22:00 (Vilnius): closed for trucks"


@pytest.fixture(scope="module", autouse=True)
def planned(post: Post) -> None:
    """Tverečius is open but for trucks registered in the EU, and will be closed for all trucks."""
    ground: dict[str, Any] = {"crossings": [TVERECIUS], "sides": ["BY", "LT"]}
    post("/v1/events", decision(**ground, status="open"))
    restriction = decision(
        **ground,
        status="restricted",
        traffic=["truck"],
        reason={"code": "other", "text": BARRED},
        exceptions=[{"code": "other", "text": "Mail and medicines"}],
    )
    post("/v1/events", restriction)
    plan = decision(
        crossings=[TVERECIUS],
        status="closed",
        traffic=["truck"],
        reason={"code": "technical", "text": "The bridge is mended"},
        effective={"from": f"{NEXT_YEAR}-12-24T22:00:00+02:00"},
    )
    post("/v1/events", plan)
    post(
        "/v1/events",
        decision(crossings=[KUZNICA], sides=["PL"], status="closed", traffic=["truck"]),
    )
    post(
        "/v1/events",
        decision(crossings=[KUZNICA], sides=["PL"], status="open", traffic=["car", "bus"]),
    )


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]*>", "", page).split())


# For whom


def test_a_vehicle_chosen_on_the_map_is_the_one_answered_for_on_the_page(look: LookAt) -> None:
    """The list says closed for trucks: the page does not say restricted for all."""
    page = look(script=False).open("/?traffic=truck&to=BY&lang=en")
    row = page.locator(f"#{KUZNICA}")
    assert "Closed" in row.inner_text()
    row.get_by_role("link").first.click()

    assert page.url.endswith(f"/crossings/{KUZNICA}?lang=en&traffic=truck&to=BY")
    assert page.locator(".verdict").inner_text().split("\n") == [
        "Closed",
        "for trucks to Belarus",
    ]


@pytest.mark.parametrize(
    "path", ["/", f"/crossings/{KUZNICA}", "/borders/BY-PL", "/about", "/sources"]
)
def test_every_link_to_a_page_keeps_the_vehicle(look: LookAt, path: str) -> None:
    page = look(script=False).open(f"{path}?traffic=truck&to=BY")
    addresses = page.locator("a[href^='/']").evaluate_all("all => all.map(one => one.href)")
    others = ("/v1", "/feeds", "/docs", "/badges")
    ours = [one for one in addresses if not any(kind in one for kind in others)]
    tomorrow = page.locator(".tomorrow a").evaluate_all("all => all.map(one => one.href)")
    without = [
        one
        for one in ours
        if one not in tomorrow and ("traffic=truck" not in one or "to=BY" not in one)
    ]

    assert len(ours) > 10
    assert all("to=BY" in one for one in tomorrow)  # each of them is for a vehicle of its own
    assert {one.rpartition("/")[2] for one in without} <= {""}  # "All crossings" drops it


def test_a_card_of_the_map_keeps_the_vehicle(look: LookAt) -> None:
    page = look().open("/?traffic=truck&to=BY#11/55.3/26.6")
    page.get_by_role("button", name="Tverečius").click()
    card = page.get_by_role("dialog")

    assert card.get_by_role("link").get_attribute("href") == (
        f"/crossings/{TVERECIUS}?traffic=truck&to=BY"
    )
    expect(card).to_contain_text(PLANNED)


def test_the_page_switches_to_another_vehicle_without_script(look: LookAt) -> None:
    page = look(script=False).open(f"/crossings/{KUZNICA}?traffic=truck&lang=en")
    assert "Closed" in page.locator(".verdict").inner_text()
    page.locator("select[name=traffic]").select_option("car")
    page.get_by_role("button", name="Show").click()

    assert page.locator(".verdict").inner_text().split("\n") == ["Open", "for cars"]
    assert "lang=en" in page.url


def test_the_border_answers_for_the_vehicle(get: Get) -> None:
    whole = get("/borders/BY-PL?lang=en").text
    trucks = get("/borders/BY-PL?traffic=truck&lang=en").text

    assert RAIL in whole
    assert RAIL not in trucks
    for page, status in ((trucks, "Closed"), (get("/borders/BY-PL?traffic=car").text, "Open")):
        assert f'data-said="Kuźnica – Bruzgi: {status}"' in page


@pytest.mark.parametrize("past", ["", "&at=2023-09-01T00:00:00Z"])
def test_a_vehicle_that_cannot_cross_there_is_told_so(get: Get, past: str) -> None:
    page = get(f"/crossings/{RAIL}?traffic=truck{past}")

    assert page.status_code == 200
    assert "This crossing is not for what you chose." in page.text


def test_a_vehicle_that_there_is_not_is_refused(get: Get) -> None:
    assert get(f"/crossings/{KUZNICA}?traffic=tram").status_code == 422
    assert get(f"/crossings/{KUZNICA}?traffic=&to=").status_code == 200


# What comes next


def test_a_planned_closure_is_told_wherever_the_present_is(get: Get) -> None:
    home, card = get("/?lang=en").text, get(f"/map/{TVERECIUS}?lang=en").text
    border, page = get("/borders/BY-LT?lang=en").text, get(f"/crossings/{TVERECIUS}?lang=en").text

    assert "Coming up" in home
    for told in (home, card, border, page):
        assert PLANNED in text_of(told)
    description = page[page.index('name="description"') :].partition("\n")[0]
    assert PLANNED in description


def test_a_lane_says_what_comes_next_for_it(look: LookAt) -> None:
    page = look(script=False).open(f"/crossings/{TVERECIUS}?lang=en")
    row = page.locator("table.lanes tr").filter(has_text="trucks").inner_text()
    other = page.locator("table.lanes tr").filter(has_text="cars").inner_text()

    assert row.count(f"From 24 Dec {NEXT_YEAR}, 22:00 (Vilnius): closed") == 2
    assert "From" not in other


def test_what_comes_next_for_another_vehicle_is_not_told_as_this_ones(look: LookAt) -> None:
    page = look(script=False).open(f"/crossings/{TVERECIUS}?traffic=car&lang=en")

    assert page.locator(".answer .coming").count() == 0


def test_a_page_about_the_past_tells_nothing_as_to_come(get: Get) -> None:
    assert "closed for trucks" not in get(f"/crossings/{TVERECIUS}?at=2023-09-01T00:00:00Z").text


def test_what_comes_tomorrow_is_told_by_that_name(get: Get, post: Post) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    plan = decision(
        crossings=[MEDININKAI], status="closed", effective={"from": tomorrow.isoformat()}
    )
    post("/v1/events", plan)

    assert "tomorrow " in get(f"/crossings/{MEDININKAI}?lang=en").text


# Why


def test_who_is_barred_stands_beside_the_answer(look: LookAt) -> None:
    page = look(script=False).open(f"/crossings/{TVERECIUS}?traffic=truck&lang=en")
    answer = page.locator(".answer").inner_text()

    assert BARRED in answer
    assert "Mail and medicines" in answer
    assert "other exceptions" not in answer
    assert "technical fault: The bridge is mended" in answer


def test_who_is_barred_stands_wherever_the_reason_does(look: LookAt) -> None:
    page = look(script=False).open(f"/crossings/{TVERECIUS}?lang=en")

    assert BARRED in page.locator(".groups").inner_text()
    assert BARRED in page.locator("ol.events > li > .soft").all_inner_texts()[1]


def test_a_rumour_says_why_as_well(look: LookAt, post: Post) -> None:
    rumour = decision(
        crossings=[KUZNICA],
        sides=["PL"],
        certainty="unconfirmed",
        reason={"code": "strike", "text": "Customs officers may walk out"},
        citations=[citation()],
    )
    post("/v1/events", rumour)
    page = look(script=False).open(f"/crossings/{KUZNICA}?lang=en")

    assert (
        "strike: Customs officers may walk out" in page.locator("section:has(#also)").inner_text()
    )
