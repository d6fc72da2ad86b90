"""Without its database the service goes on showing the present, and says what it cannot show."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from playwright.sync_api import expect

from tests.api import SUMSKAS
from tests.conftest import Database
from tests.marks import full
from tests.pages.conftest import Get, LookAt
from tests.pages.test_every_page import ARTICLE, STORY
from tests.servers import signal_all
from tests.waiting import eventually

PRESENT = (
    "/",
    "/?q=Шумскас&traffic=car",
    f"/crossings/{SUMSKAS}",
    "/borders/BY-LT",
    "/status",
    "/about",
    f"/report?crossing={SUMSKAS}",
)
HISTORY = (
    "/?at=2023-09-01",
    STORY,
    "/incidents",
    ARTICLE,
    "/sources",
    f"/crossings/{SUMSKAS}?at=2023-09-01T00:00:00Z",
)
NOTICE = "We have had no contact with our database since then."


@pytest.fixture(scope="module")
def pages(database: Database, get: Get) -> Iterator[Get]:
    """Ask for pages while the database is halted, and its loss is known."""
    with halted(database):
        eventually(lambda: get("/health/ready").json()["status"] == "degraded")
        yield get
    eventually(lambda: get("/health/ready").json()["status"] == "ready")


@contextmanager
def halted(database: Database) -> Iterator[None]:
    """Halt every process of the server that the database is on."""
    with database.connect() as connection:
        main = psutil.Process(connection.info.backend_pid).parent()
    assert main is not None
    family = [main, *main.children(recursive=True)]
    try:
        signal_all(family, signal.SIGSTOP)
        yield
    finally:
        signal_all(family, signal.SIGCONT)


@full
def test_an_open_page_says_so_and_that_it_is_over(
    look: LookAt, database: Database, get: Get
) -> None:
    """It asks again by itself, or as soon as it is looked at again; while it is old, more often."""
    page = look().open(f"/crossings/{SUMSKAS}")
    again = "document.dispatchEvent(new Event('visibilitychange'))"
    with halted(database):
        eventually(lambda: get("/health/ready").json()["status"] == "degraded")
        page.evaluate(again)
        expect(page.locator("body > .old")).to_contain_text(NOTICE)
    eventually(lambda: get("/health/ready").json()["status"] == "ready")
    expect(page.locator("body > .old")).to_have_count(0)


@pytest.mark.parametrize("path", PRESENT)
def test_the_present_is_shown_with_its_age(pages: Get, path: str) -> None:
    response = pages(path)

    assert response.status_code == 200
    assert NOTICE in response.text


@pytest.mark.parametrize("path", HISTORY)
def test_history_is_an_honest_503(pages: Get, path: str) -> None:
    response = pages(path)

    assert response.status_code == 503
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["retry-after"]
    assert response.headers["cache-control"] == "no-store"
    assert "We cannot answer this right now" in response.text


@full
@pytest.mark.usefixtures("pages")
def test_the_page_about_the_service_says_what_is_wrong(look: LookAt) -> None:
    window = look()
    text = window.open("/status").locator("main").inner_text()

    assert "Degraded" in text
    assert "The database does not answer." in text
    assert window.violations() == []
