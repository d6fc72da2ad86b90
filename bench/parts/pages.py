"""Pages in a real browser: how soon they are there, and whether the map of many stays smooth."""

import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, sync_playwright

from bench.crowd import WATCHED
from bench.findings import Finding, median_of, unmeasured
from bench.processes import Web
from bench.stage import Stage

PAGES = (("/", "the map"), (f"/crossings/{WATCHED}", "a crossing's page"))
WIDTH, HEIGHT = 1280, 800
SETTLED = 1_000
"""Milliseconds after its load in which a page may still draw."""

_LARGEST_PAINT = """() => new Promise(tell => new PerformanceObserver(list => {
    tell(list.getEntries().at(-1).startTime);
}).observe({type: "largest-contentful-paint", buffered: true}))"""
_WATCH_TASKS = """() => {
    window.tasks = [0];
    new PerformanceObserver(list => {
        window.tasks.push(...list.getEntries().map(one => one.duration));
    }).observe({type: "longtask"});
}"""


def pages(stage: Stage) -> Iterator[Finding]:
    """Open pages of 300 crossings each time as for the first time; drag a map of very many."""
    chromium = shutil.which("chromium")
    if chromium is None:
        yield unmeasured("pages", "chromium is not on the PATH")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with stage.service(stage.database(stage.usual)) as service:
            for path, name in PAGES:
                paints = [_largest_paint(browser, service, path) for _ in range(1 + stage.rounds)]
                yield median_of(f"{name}: largest paint", paints[1:], unit="ms", at_most=1_000)
        with stage.service(stage.database(stage.wide)) as service:
            longest = [_longest_task(browser, service) for _ in range(1 + stage.rounds)]
        name = f"dragging a map of {stage.wide.crossings:,} crossings: longest task"
        # The limit to which an answer seems immediate, by the RAIL model.
        yield median_of(name, longest[1:], unit="ms", at_most=100)
        browser.close()


def _largest_paint(browser: Browser, service: Web, path: str) -> float:
    """Return the milliseconds to the largest paint, without anything in a cache."""
    page = _open(browser, service, path)
    milliseconds: float = page.evaluate(_LARGEST_PAINT)
    page.context.close()
    return milliseconds


def _longest_task(browser: Browser, service: Web) -> float:
    """Return for how many milliseconds the page was deaf; tasks under 50 are told as none."""
    page = _open(browser, service, "/")
    page.wait_for_selector(".leaflet-marker-pane > *")
    page.evaluate(_WATCH_TASKS)
    box = page.locator("#map").bounding_box()
    assert box is not None
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for step in (150, -150, 150):
        page.mouse.move(across, down)
        page.mouse.down()
        page.mouse.move(across + step, down + step, steps=20)
        page.mouse.up()
    page.wait_for_timeout(SETTLED)
    milliseconds: float = page.evaluate("Math.max(...window.tasks)")
    page.context.close()
    return milliseconds


def _open(browser: Browser, service: Web, path: str) -> Page:
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    page.goto(service.url(path), wait_until="load", timeout=120_000)
    page.wait_for_timeout(SETTLED)
    return page
