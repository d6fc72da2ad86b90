"""A gate that is closed by its hours now, as a browser shows it in a narrow window."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api import crossing
from tests.marks import full
from tests.pages.conftest import LookAt
from tests.pages.test_narrow import BESIDE
from tests.pages.writing.conftest import Post


@full
@pytest.mark.parametrize(("lang", "opens"), [("en", "opens"), ("ru", "откроется")])
def test_it_says_when_it_opens_and_no_word_leaves_its_card(
    look: LookAt, post: Post, lang: str, opens: str
) -> None:
    gate = f"night-gate-{lang}"
    hour = (datetime.now(UTC) + timedelta(hours=6)).hour
    hours = {"time_zone": "UTC", "opening_hours": f"{hour:02}:00-{hour:02}:30"}
    body = crossing(gate, hours=[{"side": "LT", **hours}, {"side": "BY", "to": "BY", **hours}])
    post("/v1/crossings", body)

    window = look("narrow", lang=lang)
    page = window.open(f"/crossings/{gate}?lang={lang}")
    assert f"{hour:02}:00-{hour:02}:30" in page.locator("section:has(#hours)").inner_text()
    assert page.locator("#opens").inner_text().strip()
    assert window.overflow() == 0
    assert page.evaluate(BESIDE) == []
    assert window.violations() == []

    page = window.open(f"/?lang={lang}")
    assert opens in page.locator(f"li:has(a[href*='{gate}'])").first.inner_text()
    assert window.overflow() == 0
    assert page.evaluate(BESIDE) == []
