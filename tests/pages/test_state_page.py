"""How the service itself is, for people."""

from tests.pages.conftest import Get, LookAt


def test_it_says_how_the_service_is_and_what_it_runs_on(look: LookAt) -> None:
    text = look().open("/status").locator("main").inner_text()

    assert "Ready" in text
    assert "PostgreSQL 18" in text
    assert "Crossing Status 0." in text
    assert "Newest change" in text


def test_nobody_keeps_it(get: Get) -> None:
    assert get("/status").headers["cache-control"] == "no-store"


def test_it_says_how_imports_went(look: LookAt) -> None:
    text = look().open("/status").locator("main").inner_text()

    assert "Imported waiting times" in text
    assert "Not imported here: " in text
    assert "US Customs and Border Protection" in text
