"""Waits in a browser: on the list, the card of the map, a border's page and the table of lanes."""

from itertools import product

import pytest
from playwright.sync_api import expect

from tests.api import MEDININKAI, decision
from tests.marks import full, in_full
from tests.observations.observing import OBSERVATIONS, ago, batch, known, row
from tests.pages.conftest import LookAt
from tests.pages.writing.conftest import Post

pytestmark = full

PAGES = ("/", f"/crossings/{MEDININKAI}", "/borders/BY-LT")
SEEN = [*product(PAGES, ["desk", "phone"], ["light", "dark"])]


@pytest.fixture(scope="module", autouse=True)
def observed(post: Post) -> None:
    """Medininkai is open, and waits of several lanes and queues are known."""
    queues = [{"weight_kg": {"from": 3500, "to": 7500}, "empty": True}, {"goods": "perishable"}]
    post("/v1/events", decision(crossings=[MEDININKAI], sides=["LT", "BY"], status="open"))
    post(
        OBSERVATIONS,
        batch(
            row(wait=known(95), vehicles=120, lanes_open=3, method="sensor"),
            *(
                row(
                    traffic="truck",
                    to="BY",
                    queue=queue,
                    wait=known(1_500),
                    paused=True,
                    estimate=True,
                    method="queue_system",
                )
                for queue in queues
            ),
            row(traffic="bus", wait={"state": "unknown"}, method="reported"),
            *(row(observed_at=ago(hours=hours), wait=known(hours)) for hours in range(1, 200)),
        ),
    )


@pytest.mark.parametrize(("path", "size", "scheme"), [*SEEN[:2], *in_full(*SEEN[2:])])
def test_a_page_with_waits_is_accessible_and_fits(
    look: LookAt, path: str, size: str, scheme: str
) -> None:
    window = look(size, scheme)
    page = window.open(path)

    window.assert_presentable()
    assert page.locator(".wait").count() >= 4


def test_the_card_of_the_map_tells_what_the_list_does(look: LookAt) -> None:
    page = look().open("/?q=medininkai")
    listed = page.locator(f"#{MEDININKAI} .wait")
    page.get_by_role("button", name="Medininkai").first.click()

    card = page.locator("#card .wait")
    expect(card).to_have_count(listed.count())
    assert card.all_inner_texts() == listed.all_inner_texts()
    assert "wait 1 hr 35 mins, 120 vehicles waiting, 3 lanes open" in card.first.inner_text()
    assert "measured by sensors" in card.first.inner_text()


def test_the_drawn_waits_of_a_lane_are_in_tables_too(look: LookAt) -> None:
    page = look(script=False).open(PAGES[1])
    section = page.locator("section[aria-labelledby=waits]")
    cars = section.locator("details").first
    cars.locator("summary").click()

    day, week = cars.locator("table").all()
    assert day.locator("tbody tr").count() == 24
    assert day.locator("tbody td", has_text="5 mins").count() >= 1
    assert week.locator("tbody tr").count() == 24
    assert week.locator("tbody td").count() == 24 * 7
    assert section.locator("h3").first.inner_text() == "For cars to Lithuania"
    for drawing in section.get_by_role("img").all():
        assert " – " in str(drawing.get_attribute("aria-label"))


def test_statistics_are_read_out_as_tables(look: LookAt) -> None:
    for path in PAGES[1:]:
        page = look(script=False).open(path)
        section = page.locator("section[aria-labelledby=statistics]")

        assert section.get_by_role("heading").inner_text() == "Last 12 months"
        assert "%" in section.locator("tbody td:not(.bar)").first.inner_text()
        assert section.get_by_role("img").count() == 0


def test_the_home_page_says_how_old_the_newest_information_is(look: LookAt) -> None:
    page = look(script=False).open("/")

    assert "ago" in page.locator("#newest").inner_text()
