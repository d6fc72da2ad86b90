"""My trip: several crossings, for one vehicle and traveller, on one day from what is announced."""

import html
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.api import MEDININKAI, SUMSKAS, Api, crossing, decision
from tests.conftest import Database
from tests.marks import full
from tests.pages.conftest import VIEWS, Get, LookAt
from tests.pages.test_travellers import page
from tests.servers import service

ITEM = re.compile(r'<ul class="parts">(.*?)</ul>', re.DOTALL)
TRIP = f"/trip/{MEDININKAI}+{SUMSKAS}"


def day(days: int) -> str:
    """Return a day as the crossings of these tests have it, which are in one zone of +02 or +03."""
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def parts(text: str) -> list[list[str]]:
    """Return what each crossing of a trip says of the day, part by part."""
    return [
        [
            " ".join(re.sub("<[^>]*>", "", part).split())
            for part in re.findall("<li>(.*?)</li>", item, re.DOTALL)
        ]
        for item in ITEM.findall(text)
    ]


async def declare(api: Api, **body: object) -> None:
    answer = await api.post("/v1/events", decision(sides=["LT"], **body))
    assert answer.status_code == 201, answer.text


async def test_it_says_what_is_announced_part_by_part(api: Api) -> None:
    await api.post("/v1/crossings", crossing("planned", confirm_within_days=365))
    await declare(api, crossings=["planned"], status="open")
    await declare(
        api,
        crossings=["planned"],
        status="closed",
        effective={"from": f"{day(3)}T08:00:00+02:00", "until": f"{day(3)}T12:30:00+02:00"},
    )
    text = await page(api, "/trip/planned", on=day(3), to="BY")
    shown = parts(text)[0]

    assert [part.split()[0] for part in shown] == ["Open", "Closed", "Open"]
    assert re.fullmatch(r"Open 00:00–\d\d:00", shown[0])
    assert re.fullmatch(r"Open \d\d:30–24:00", shown[2])
    assert "You can cross at 1 of 1 crossing at some time of the day" in text
    assert "From what is announced so far. It can change until then." in text
    assert parts(await page(api, "/trip/planned", on=day(4))) == [["Open all day"]]


async def test_what_runs_out_before_the_day_is_unknown_on_it(api: Api) -> None:
    await api.post("/v1/crossings", crossing("brief", confirm_within_days=2))
    await declare(api, crossings=["brief"], status="open")

    assert parts(await page(api, "/trip/brief"))[0][0].startswith("Open")
    text = await page(api, "/trip/brief", on=day(10))
    assert parts(text) == [["Unknown all day last known: open"]]
    assert "Nothing says that you can cross at any of these on that day" in text


async def test_hours_are_part_of_the_day(api: Api) -> None:
    hours = {"side": "LT", "opening_hours": "08:00-20:00", "time_zone": "Europe/Vilnius"}
    await api.post("/v1/crossings", crossing("daily", hours=[hours]))
    await declare(api, crossings=["daily"], status="open")
    shown = parts(await page(api, "/trip/daily", on=day(2)))[0]

    assert [part.split()[0] for part in shown] == ["Closed", "Open", "Closed"]


async def test_it_is_for_the_traveller(api: Api) -> None:
    await api.post("/v1/crossings", crossing("low", max_weight_kg=3_500))
    await declare(api, crossings=["low"], status="open")

    assert "Open" in parts(await page(api, "/trip/low", weight_kg="3500"))[0][0]
    heavy = await page(api, "/trip/low", weight_kg="3501")
    assert "Closed" in parts(heavy)[0][0]
    assert "your vehicle is too heavy for this crossing" in heavy


def test_a_crossing_without_such_a_lane_says_so(get: Get) -> None:
    text = get(f"/trip/{SUMSKAS}?lang=en&traffic=pedestrian").text

    assert "not for this vehicle or direction" in text


def test_without_chosen_crossings_those_of_a_border_are_shown(get: Get) -> None:
    border = get("/v1/crossings?border=BY-LT&traffic=truck").json()["items"]
    text = get("/trip?border=BY-LT&traffic=truck").text

    assert len(parts(text)) == len(border)
    for each in border:
        assert f"/crossings/{each['id']}?traffic=truck" in text


def test_a_day_is_what_the_api_answers_at_its_noon(get: Get) -> None:
    text = get(f"/trip?border=BY-LT&lang=en&on={day(5)}").text
    ids = re.findall(r'<a href="/crossings/([a-z-]+)[^"]*">[^<]*</a>\s*<ul class="parts">', text)
    shown = dict(zip(ids, parts(text), strict=True))

    assert shown
    for crossing_id, (part,) in shown.items():
        at = f"{day(5)}T12:00:00Z"
        answer = get(f"/v1/crossings/{crossing_id}/status?at={at}").json()
        assert part.split()[0].lower() == answer["status"], crossing_id


def test_its_short_address_is_the_same_trip(get: Get) -> None:
    long = f"/trip?crossing={MEDININKAI}&crossing={SUMSKAS}&traffic=truck&to=BY"
    assert parts(get(f"{TRIP}?traffic=truck&to=BY").text) == parts(get(long).text)
    assert f"{TRIP}?traffic=truck&amp;to=BY</code>" in get(long).text


def test_the_home_page_asks_about_tomorrow_in_one_tap(get: Get) -> None:
    link = re.search(r'href="(/trip\?[^"]*traffic=truck[^"]*)"', get("/?lang=en").text)
    assert link is not None
    text = get(html.unescape(link[1])).text

    assert "tomorrow, " in text
    assert "for trucks" in text


@pytest.mark.parametrize("on", ["2020-01-01", "2099-01-01", "soon", "2026-02-30"])
def test_a_day_that_no_trip_is_on_is_refused_with_a_sentence(get: Get, on: str) -> None:
    answer = get(f"/trip?lang=en&on={on}")

    assert answer.status_code == 422
    assert "give a day from today to a year from now, such as 2027-03-01" in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/trip/no-such-crossing", 404),
        ("/trip/NOT%20an%20id", 404),
        ("/trip?crossing=no-such-crossing", 404),
        ("/trip?border=AA-ZZ", 422),
        ("/trip?" + "&".join(f"crossing=c{number}" for number in range(21)), 422),
    ],
)
def test_what_there_is_not_is_refused(get: Get, path: str, status: int) -> None:
    assert get(path).status_code == status


# In a browser


@full
@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_it_is_accessible_and_fits(look: LookAt, size: str, scheme: str) -> None:
    window = look(size, scheme)
    window.open(f"{TRIP}?traffic=truck&to=BY&citizen_of=LT")

    window.assert_presentable()


@full
def test_pinned_crossings_are_on_the_home_page_with_the_vehicle(look: LookAt) -> None:
    window = look("phone")
    page = window.open(f"/crossings/{SUMSKAS}?traffic=truck&to=BY&lang=en")
    page.get_by_role("button", name="Add to my trip").click()
    page.get_by_role("button", name="Remove from my trip").wait_for()
    window.open("/?lang=en")
    card = page.locator("#trip")
    card.get_by_text("Closed").first.wait_for()

    assert f"crossing={SUMSKAS}" in str(
        card.get_by_role("link", name="My trip").get_attribute("href")
    )
    card.get_by_role("link", name="My trip").click()
    page.get_by_role("link", name="Remove").click()
    window.open("/?lang=en")
    assert page.locator("#trip").is_hidden()


@full
def test_the_vehicle_of_last_time_is_offered(look: LookAt) -> None:
    window = look("phone")
    page = window.open(f"/crossings/{SUMSKAS}?traffic=truck&weight_kg=40000&lang=en")
    window.open(f"/crossings/{MEDININKAI}?lang=en")
    page.get_by_role("link", name="Show it for you and your vehicle, as last time").click()
    page.get_by_text("For you: 40,000 kg.").wait_for()

    assert "traffic=truck" in page.url


@full
def test_offline_the_last_answer_is_shown_with_its_age(
    look: LookAt, database: Database, tmp_path: Path
) -> None:
    window = look("phone", offline_copies=True)
    with service(tmp_path / "serve.log", database_url=database.url, worker=False) as window.service:
        page = window.open(f"{TRIP}?traffic=truck&to=BY&lang=en")
        window.wait_until(lambda: page.evaluate("navigator.serviceWorker.controller !== null"))
        page.reload()
        assert page.locator(".offline").count() == 0
    page.reload()

    page.locator(".notice.offline", has_text="You are offline. This is what was known").wait_for()
    assert page.locator(".days > li").count() == 2
