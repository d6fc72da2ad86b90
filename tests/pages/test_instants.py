"""Instants in the addresses of pages: as people write them, and alike on every page."""

import re

import pytest

from tests.api import SUMSKAS
from tests.pages.conftest import Get

PAGES = ("/", f"/crossings/{SUMSKAS}", "/borders/BY-LT")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("parameter", ["at", "known_at"])
@pytest.mark.parametrize(
    "value",
    ["2026-01-17", "2026-01-17T20:00", "2026-01-17T20:00:30", "2026-01-17T20:00:00%2B02:00"],
)
def test_every_page_takes_a_date_and_a_time_without_a_zone(
    get: Get, path: str, parameter: str, value: str
) -> None:
    answer = get(f"{path}?{parameter}={value}")

    # In this past nothing was known, so that a crossing and a border were not, either.
    assert answer.status_code == 200 or (parameter == "known_at" and answer.status_code == 404)


@pytest.mark.parametrize("path", PAGES)
def test_a_time_without_a_zone_is_of_utc_on_every_page(get: Get, path: str) -> None:
    shown = [
        re.findall("<time [^>]*>", get(f"{path}?at=2023-08-17T21:30{end}").text)
        for end in ("", ":00Z", ":00%2B00:00")
    ]

    assert shown[0] == shown[1] == shown[2] != []


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("parameter", ["at", "known_at"])
@pytest.mark.parametrize("value", ["yesterday", "2023-02-30", "2023-08-17T25:00", "17.08.2023"])
def test_what_is_no_instant_is_refused_in_words_for_people(
    get: Get, path: str, parameter: str, value: str
) -> None:
    answer = get(f"{path}?{parameter}={value}&lang=en")

    assert answer.status_code == 422
    assert f"<code>{parameter}</code>: give a date" in answer.text
    assert "RFC" not in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_field_of_a_form_asks_for_the_present(get: Get, path: str) -> None:
    answer = get(f"{path}?at=&known_at=")

    assert answer.status_code == 200
    assert re.search('<body class="present[ "]', answer.text) or path == "/"
