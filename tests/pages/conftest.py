"""A real service and a real Chromium, and what a reader's browser tells of a page."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has no types
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Geolocation,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from app.embedded.server import Server
from tests import clients
from tests.conftest import SEEDED, Database, clone
from tests.servers import Service, ThreadedService, service_in_thread
from tests.waiting import PATIENCE, eventually

Served = Service | ThreadedService

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SIZES = {
    "narrow": (320, 568),
    "phone": (390, 844),
    "tablet": (768, 1024),
    "desk": (1280, 800),
    "wall": (1920, 1080),
}
SCHEMES = ("light", "dark")
PATIENCE_MILLISECONDS = 1_000 * PATIENCE
QUIET_MILLISECONDS = 500
NO_SERVICE_WORKER = "Service Worker registration blocked by Playwright"
VIEWS = (("phone", "light"), ("desk", "dark"))
"""Both schemes and both layouts: axe takes seconds."""
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@dataclass
class Look:
    """A page in a browser, and what went on while it was looked at."""

    page: Page
    service: Served
    complaints: list[str] = field(default_factory=list)
    """What the console was told as errors or warnings, scripts that failed among it."""
    requests: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    """The requests of which at least the head of an answer has come."""
    failed: list[str] = field(default_factory=list)

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds, and let the browser tell of what happens meanwhile."""

        def look() -> object:
            self.page.wait_for_timeout(10)
            return holds()

        eventually(look)

    def wait_until_following(self) -> None:
        """Wait until the page hears of changes: without that, a test would see nothing happen."""
        self.wait_until(lambda: any("/v1/changes" in one for one in self.answered))

    def wait_until_quiet(self) -> None:
        """Wait until all that it asked was answered, and it asks nothing more for a while."""
        asked = -1

        def is_quiet() -> bool:
            nonlocal asked
            before, asked = asked, len(self.requests)
            return asked == before and set(self.requests) <= {*self.answered, *self.failed}

        while not is_quiet():
            self.page.wait_for_timeout(QUIET_MILLISECONDS)

    def open(self, path: str) -> Page:
        """Go to an address of the service and wait until all of it is there."""
        self.page.goto(self.service.url + path, wait_until="load")
        return self.page

    @property
    def strangers(self) -> list[str]:
        """The requests that went anywhere else."""
        ours = urlsplit(self.service.url).netloc
        return [
            one
            for one in self.requests
            if urlsplit(one).scheme != "data" and urlsplit(one).netloc != ours
        ]

    def violations(self) -> list[str]:
        """Ask axe what is inaccessible: each rule with the elements that break it."""
        found = Axe().run(self.page, options=WCAG).response["violations"]
        return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in found]

    def assert_presentable(self) -> None:
        """See that it is accessible, fits windows of every size, and went without complaint."""
        assert self.violations() == []
        for width, height in SIZES.values():
            self.page.set_viewport_size({"width": width, "height": height})
            assert self.overflow() == 0, width
        assert self.complaints == []

    def overflow(self) -> int:
        """Return how many pixels of the page lie beyond the right edge of the window."""
        width: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and message.text != NO_SERVICE_WORKER:
            self.complaints.append(message.text)

    def asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def told(self, response: Response) -> None:
        self.answered.append(response.url)

    def cut_off(self, request: Request) -> None:
        self.failed.append(request.url)


def freshness(answer: httpx2.Response) -> list[str]:
    """Return for how long caches may keep an answer; not for how long in an outage."""
    return answer.headers["cache-control"].split(", ")[:3]


LookAt = Callable[..., Look]
Get = Callable[..., httpx2.Response]


@pytest.fixture(scope="package")
def database(postgres: Server) -> Iterator[Database]:
    """A seeded database that is only read."""
    with clone(postgres, SEEDED) as found:
        yield found


@pytest.fixture(scope="package")
def served(database: Database) -> Iterator[Served]:
    """The service, for all who only read."""
    with service_in_thread(database.url) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, of a module: while it is there, no other event loop runs in this thread."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI has a Chromium: .ci/run installs it"
        pytest.skip("there is no chromium on this machine")
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def look(served: Served, browser: Browser) -> Iterator[LookAt]:
    """Open windows: ``look()``, of a size, scheme or language, with or without script, at a place.

    None of them may have asked anything of another host.
    """
    looks: list[Look] = []

    def open_window(
        size: str = "desk",
        scheme: str = "light",
        *,
        lang: str = "en",
        script: bool = True,
        reduced_motion: bool = False,
        offline_copies: bool = False,
        location: Geolocation | None = None,
    ) -> Look:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            locale=lang,
            java_script_enabled=script,
            reduced_motion="reduce" if reduced_motion else "no-preference",
            # A service worker's own requests are not seen here.
            service_workers="allow" if offline_copies else "block",
            geolocation=location,
            permissions=["geolocation"] if location else [],
        )
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        one = Look(context.new_page(), served)
        one.page.on("console", one.heard)
        one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
        one.page.on("request", one.asked)
        one.page.on("response", one.told)
        one.page.on("requestfailed", one.cut_off)
        looks.append(one)
        return one

    yield open_window
    for one in looks:
        one.page.context.close()
        assert one.strangers == []


@pytest.fixture(scope="module")
def get(served: Served) -> Get:
    """Ask as a browser does, without being one."""

    def ask(path: str, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"Accept": "text/html", **named}
        return clients.get(served.url + path, headers=given)

    return ask
