"""Takes the pictures that the documents show: of the real pages, on the seeds alone."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.api import SUMSKAS
from tests.pages.conftest import ARGUMENTS, CHROMIUM, SIZES
from tests.servers import service

PICTURES = (
    ("map.png", "/", "desk", "light"),
    ("crossing.png", f"/crossings/{SUMSKAS}", "desk", "light"),
)
"""File, address, size, scheme."""
LARGEST = 300_000
"""Bytes: they are to load fast."""


def take(folder: Path) -> None:
    """Write the pictures into ``folder``. Raises ValueError for one that is too large."""
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        service(Path(scratch) / "log", data_dir=Path(scratch) / "data", worker=False) as running,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        for name, path, size, scheme in PICTURES:
            width, height = SIZES[size]
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                locale="en",
            )
            page.goto(running.url + path, wait_until="load")
            # What scripts draw is there once nothing more is asked for.
            page.wait_for_timeout(1_000)
            picture = page.screenshot(path=folder / name)
            if len(picture) > LARGEST:
                raise ValueError(f"{name} has {len(picture)} bytes, more than {LARGEST}")
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
