"""What a first visit costs a phone on a slow network: bytes, paint and shifts.

The phone and its network are those of Lighthouse. How fast the largest paint was is recorded as a
figure; no test asserts a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has no types
from playwright.sync_api import Browser, CDPSession, Page

from tests import clients
from tests.api import SUMSKAS
from tests.marks import full
from tests.pages.conftest import PATIENCE_MILLISECONDS, QUIET_MILLISECONDS, Served
from tests.pages.test_every_page import STORY
from tests.waiting import eventually

PHONE = {"width": 412, "height": 823}
SLOW_4G = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_638_400 / 8,
    "uploadThroughput": 750_000 / 8,
}
"""Milliseconds for each request, bytes a second."""
SLOWER = 4
"""How many times slower than this machine the phone computes."""
MOST_BYTES = 200_000
MOST_SHIFT = 0.02
PAGES = {"home": "/", "crossing": f"/crossings/{SUMSKAS}", "story": STORY}
WATCH = """
    window.paints = [];
    window.shift = 0;
    new PerformanceObserver(list => window.paints.push(...list.getEntries()))
        .observe({ type: "largest-contentful-paint", buffered: true });
    new PerformanceObserver(list => {
        for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
    }).observe({ type: "layout-shift", buffered: true });
"""

pytestmark = full


@dataclass
class Visit:
    """A first visit of a phone, with nothing in its cache."""

    page: Page
    bytes: int = 0
    complaints: list[str] = field(default_factory=list)
    open_requests: set[str] = field(default_factory=set)

    def follow(self, devtools: CDPSession) -> None:
        """Add up what is transferred, headers and all, over a slow network."""
        devtools.on("Network.requestWillBeSent", self._sent)
        devtools.on("Network.loadingFinished", self._finished)
        devtools.on("Network.loadingFailed", self._ended)
        devtools.send("Network.enable")
        devtools.send("Network.emulateNetworkConditions", SLOW_4G)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})

    def _sent(self, event: dict[str, Any]) -> None:
        # The stream of changes never ends.
        if event.get("type") != "EventSource":
            self.open_requests.add(event["requestId"])

    def _finished(self, event: dict[str, Any]) -> None:
        self.bytes += int(event["encodedDataLength"])
        self._ended(event)

    def _ended(self, event: dict[str, Any]) -> None:
        self.open_requests.discard(event["requestId"])

    def wait_until_quiet(self) -> None:
        """Wait until nothing is being loaded, and a while later still nothing is."""

        def is_quiet() -> bool:
            self.page.wait_for_timeout(QUIET_MILLISECONDS)
            return not self.open_requests

        eventually(is_quiet)
        eventually(is_quiet)


@pytest.fixture
def visit(served: Served, browser: Browser) -> Iterator[Callable[[str], Visit]]:
    """Visit an address of the service with a phone."""
    contexts = []

    def visit(path: str) -> Visit:
        context = browser.new_context(
            viewport={"width": PHONE["width"], "height": PHONE["height"]},
            device_scale_factor=1.75,
            is_mobile=True,
            has_touch=True,
            locale="en",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        context.add_init_script(WATCH)
        page = context.new_page()
        first = Visit(page)
        page.on(
            "console",
            lambda message: (
                first.complaints.append(message.text)
                if message.type in {"error", "warning"}
                else None
            ),
        )
        page.on("pageerror", lambda error: first.complaints.append(str(error)))
        # Whoever asks first waits until the page has been rendered; the phone is not the first.
        clients.get(served.url + path, headers={"Accept": "text/html", "Accept-Language": "en"})
        first.follow(context.new_cdp_session(page))
        page.goto(served.url + path, wait_until="load")
        first.wait_until_quiet()
        return first

    yield visit
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_first_visit_is_light_and_steady(
    visit: Callable[[str], Visit], record_property: Callable[[str, object], None], name: str
) -> None:
    first = visit(PAGES[name])
    paint = first.page.evaluate("Math.round(window.paints.at(-1).startTime)")
    record_property(f"{name}_bytes", first.bytes)
    record_property(f"{name}_paint", paint)

    assert first.bytes <= MOST_BYTES
    assert first.page.evaluate("window.shift") <= MOST_SHIFT
    assert first.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_it_is_and_can_be_tapped(visit: Callable[[str], Visit], name: str) -> None:
    page = visit(PAGES[name]).page
    violations = Axe().run(page, options={"runOnly": ["target-size"]}).response["violations"]

    assert page.title()
    for selector, attribute in (
        ("html", "lang"),
        ("meta[name=description]", "content"),
        ("meta[name=viewport]", "content"),
        ("link[rel=canonical]", "href"),
    ):
        assert page.locator(selector).get_attribute(attribute), selector
    assert violations == []
    assert page.locator("img:not([height])").count() == 0
