"""Draws the pictures of each status for links that are shared, and the icons of the pages.

    python -m tools.draw_pictures app/pages/static/pictures

Marks and colours are those of the pages, words those of each language. It needs Chromium.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from app.languages.languages import ENGLISH, LANGUAGES
from app.languages.words import Words
from app.pages.rendering import render
from app.vocabulary import Status

CARD = (1200, 630)
"""Width and height in pixels that social networks show without cutting anything off."""
ICONS = (180, 192, 512)
"""Sizes in pixels: for iOS, and for the manifest."""

_CARD = """<!doctype html><style>
body {{ margin: 0; height: 630px; background: #fff; color: #1a1c1e; display: flex; gap: 60px;
  align-items: center; justify-content: center; font: 700 104px "DejaVu Sans", sans-serif }}
svg {{ width: 240px; height: 240px }}
p {{ position: absolute; bottom: 0; margin: 0; width: 100%; font-size: 34px; font-weight: 400;
  line-height: 84px; text-align: center; color: #565b60; border-top: 2px solid #d6d8d3 }}
</style>{mark}<span>{word}</span><p>Crossing Status</p>"""
_ICON = """<!doctype html><style>
body {{ margin: 0; background: #fff; display: flex; height: 100vh; align-items: center;
  justify-content: center }}
svg {{ width: 64vw; height: 64vw }}
</style>{mark}"""


def draw(folder: Path) -> None:
    """Write all pictures into ``folder``, as PNG."""
    folder.mkdir(exist_ok=True)
    marks = {status: render(LANGUAGES[ENGLISH], "favicon.svg", status=status) for status in Status}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for code, language in LANGUAGES.items():
            for status, mark in marks.items():
                word = Words(language).title_word(status)
                _take(
                    browser,
                    _CARD.format(mark=mark, word=word),
                    CARD,
                    folder / f"{status}.{code}.png",
                )
        icon = _ICON.format(mark=marks[Status.OPEN])
        for size in ICONS:
            _take(browser, icon, (size, size), folder / f"icon-{size}.png")
        browser.close()


def _take(browser: Browser, content: str, size: tuple[int, int], path: Path) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_content(content)
    page.screenshot(path=path)
    page.close()


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
