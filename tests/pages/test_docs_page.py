"""`/docs`: a list at once, by day and by night, and every read can be tried as it stands."""

from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page

from tests.marks import full, in_full
from tests.pages.conftest import SCHEMES, Get, LookAt

READS = [
    ("status", "get_status"),
    *in_full(
        ("changes", "list_changes"),
        ("crossings", "list_crossings"),
        ("borders", "get_border"),
        ("countries", "get_country"),
        ("sources", "get_source"),
        ("feeds", "get_closures"),
    ),
]


def opened(page: Page) -> None:
    page.locator("#docs .opblock").first.wait_for()
    page.locator("#index").wait_for(state="detached")


def test_without_script_it_lists_every_operation_and_leads_home(look: LookAt, get: Get) -> None:
    document = get("/openapi.json").json()
    page = look(script=False).open("/docs")

    told = page.locator("#index").inner_text()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{operation['summary']}: {method.upper()} {path}\n" in f"{told}\n"
    home = page.locator("header a").first.evaluate("link => link.href")
    assert home == urljoin(page.url, "/")


@full
def test_the_list_is_accessible(look: LookAt) -> None:
    window = look()
    window.page.route("**/swagger-ui-bundle.js", lambda route: route.abort())
    page = window.open("/docs")

    assert page.locator("#index").is_visible()
    assert window.violations() == []


@full
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_can_be_read_by_day_and_by_night(look: LookAt, scheme: str) -> None:
    window = look("desk", scheme)
    page = window.open("/docs")
    opened(page)

    is_dark = page.evaluate("document.documentElement.classList.contains('dark-mode')")
    assert is_dark == (scheme == "dark")
    assert [fault for fault in window.violations() if fault.startswith("color-contrast")] == []
    assert window.complaints == []


@full
@pytest.mark.parametrize(("tag", "operation"), READS)
def test_a_read_can_be_tried_at_once(look: LookAt, tag: str, operation: str) -> None:
    page = look().open(f"/docs#/{tag}/{operation}")
    block = page.locator(f"#operations-{tag}-{operation}")
    block.locator(".btn.execute").click()

    status = block.locator(".live-responses-table tbody .response-col_status").first
    status.wait_for()
    assert status.inner_text().split() == ["200"]
