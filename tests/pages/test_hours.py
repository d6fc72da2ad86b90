"""Regular hours on the pages: when it opens, and that hours nobody knows are unknown."""

import re

import pytest

from tests.api import MEDININKAI, Api, crossing
from tests.status.test_hours_api import NIGHT, NIGHTLY, opened, set_hours

PAGE = f"/crossings/{MEDININKAI}"
BEFORE_ALL = "2001-01-14T23:30:00Z"
"""In a night of which nothing is declared."""


@pytest.mark.parametrize(
    ("language", "closed", "opens", "unknown"),
    [
        ("en", "Closed outside regular hours.", "Opens", "Opening hours unknown"),
        ("lt", "Uždaryta ne darbo metu.", "Atsidaro", "Darbo laikas nežinomas"),
        ("pl", "Zamknięte poza godzinami pracy.", "Otwarcie", "Godziny pracy nieznane"),
        ("ru", "Закрыто вне часов работы.", "Откроется", "Часы работы неизвестны"),
        ("be", "Закрыта па-за гадзінамі працы.", "Адкрыецца", "Гадзіны працы невядомыя"),
    ],
)
async def test_the_page_of_a_crossing_says_it_in_each_language(
    api: Api, language: str, closed: str, opens: str, unknown: str
) -> None:
    await opened(api)
    await set_hours(api, {**NIGHTLY, "traffic": None})

    page = (await api.get(PAGE, at=NIGHT, lang=language)).text
    assert closed in page
    assert f"<dt>{opens}</dt>" in page
    assert "06:00-22:00" in page
    assert page.count(unknown) == 1  # of the other side


async def test_a_list_says_when_a_gate_opens(api: Api) -> None:
    await opened(api)
    await set_hours(api, {**NIGHTLY, "traffic": None})

    page = (await api.get("/", at=NIGHT, lang="en")).text
    assert "closed outside regular hours" in page
    assert "opens" in page


async def test_the_present_page_of_a_crossing_with_hours_is_shown(api: Api) -> None:
    await opened(api)
    await set_hours(api, {**NIGHTLY, "traffic": None})

    response = await api.get(PAGE, lang="en")
    assert response.status_code == 200
    assert "Regular hours" in response.text


async def test_hours_of_some_lanes_leave_those_of_others_unknown(api: Api) -> None:
    """And a night closes those that have hours: of them there is information."""
    await set_hours(api, {**NIGHTLY, "to": "LT"})

    page = (await api.get(PAGE, at=BEFORE_ALL, lang="en")).text
    assert "for cars to Lithuania" in " ".join(page.split())
    assert page.count("Opening hours unknown") == 2
    assert "Some lanes are closed outside regular hours." in page
    assert "We have no information about this crossing." not in page


async def test_it_opens_by_the_clock_of_the_hours(api: Api) -> None:
    """Though nobody knows where it lies, and its country has many zones."""
    hours = {
        "side": "US",
        "to": "US",
        "time_zone": "America/Los_Angeles",
        "opening_hours": "08:00-22:00",
    }
    names = [{"lang": "en", "side": side, "name": "A gate"} for side in ("CA", "US")]
    body = crossing("a-gate", sides=["CA", "US"], names=names, hours=[hours])
    assert (await api.post("/v1/crossings", body)).status_code == 201

    page = (await api.get("/crossings/a-gate", at=NIGHT, lang="en")).text
    assert "08:00 (Los Angeles)" not in page  # it is day there
    page = (await api.get("/crossings/a-gate", at="2026-01-15T09:00:00Z", lang="en")).text
    (opens,) = re.findall(r'<dd id="opens">(.*?)</dd>', page)
    assert re.sub("<.*?>", "", opens) == "15 Jan 2026, 08:00 (Los Angeles)"
    assert "St John" not in page
    assert "New York" not in page
    listed = (await api.get("/", at="2026-01-15T09:00:00Z", lang="en", border="CA-US")).text
    assert "08:00 (Los Angeles)" in re.sub("<.*?>", "", listed)
