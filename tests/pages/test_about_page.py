"""The way through: any page has its headers, language, style and manners; `/about` shows them."""

import pytest

from app.languages.languages import LANGUAGES
from tests.marks import full
from tests.pages.conftest import VIEWS, Get, LookAt


@full
@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_it_is_accessible_and_fits(look: LookAt, size: str, scheme: str) -> None:
    window = look(size, scheme)
    window.open("/about")

    window.assert_presentable()


@full
def test_it_is_in_the_language_that_the_browser_prefers(look: LookAt) -> None:
    page = look(lang="lt-LT").open("/about")

    assert page.locator("html").get_attribute("lang") == "lt"
    assert page.locator("h1").inner_text() == "Apie"


@full
def test_a_chosen_language_stays_from_page_to_page(look: LookAt) -> None:
    """The address says it: no cookie does."""
    page = look(lang="lt-LT").open("/about?lang=lt")
    page.get_by_title("polski").click()
    assert page.url.endswith("/about?lang=pl")
    page.get_by_role("contentinfo").get_by_role("link").first.click()

    assert page.url.endswith("/about?lang=pl")
    assert page.locator("html").get_attribute("lang") == "pl"
    assert page.context.cookies() == []


def test_the_language_varies_an_answer_only_where_the_browser_decides_it(get: Get) -> None:
    negotiated = get("/about", Accept_Language="de, pl;q=0.4, ru;q=0.8")
    chosen = get("/about?lang=be", Accept_Language="ru")

    assert negotiated.headers["content-language"] == "ru"
    assert "Accept-Language" in negotiated.headers["vary"]
    assert chosen.headers["content-language"] == "be"
    assert "Accept-Language" not in chosen.headers["vary"]


def test_a_language_that_there_is_not_is_not_an_error(get: Get) -> None:
    assert get("/about?lang=xx").headers["content-language"] == "en"


def test_other_peoples_parameters_are_passed_over(get: Get) -> None:
    """Links to pages are shared, and get them on the way."""
    assert get("/about?fbclid=1&utm_source=x").status_code == 200


def test_it_says_that_nothing_but_our_own_may_run(get: Get) -> None:
    headers = get("/about").headers

    assert (
        "default-src 'none'; script-src 'self'; style-src 'self'"
        in (headers["content-security-policy"])
    )
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@full
def test_it_works_without_script(look: LookAt) -> None:
    page = look(script=False).open("/about")

    words = page.locator("dl.meanings dt").all_inner_texts()
    assert [word.strip() for word in words] == ["Open", "Restricted", "Closed", "Unknown"]


def test_an_unchanged_page_is_not_sent_again(get: Get) -> None:
    first = get("/about?lang=en")
    again = get("/about?lang=en", If_None_Match=first.headers["etag"])

    assert again.status_code == 304


def test_static_files_are_kept_for_good_under_an_address_of_their_content(get: Get) -> None:
    style = get("/about").text.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    found = get(style)

    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["content-type"] == "text/css; charset=utf-8"
    assert found.headers["content-encoding"] == "gzip"
    assert found.headers["vary"] == "Accept-Encoding"


def test_another_versions_static_file_is_the_present_one_and_not_kept(get: Get) -> None:
    """While old and new servers run side by side, a page of one may ask the other."""
    found = get("/static/0123/pages.css")

    assert found.status_code == 200
    assert found.headers["cache-control"] == "no-cache"


def test_every_status_has_an_icon_of_its_own(get: Get) -> None:
    icons = {
        get(f"/favicon/{status}.svg").text for status in ("open", "restricted", "closed", "unknown")
    }

    assert len(icons) == 4
    assert all(one.startswith("<svg") for one in icons)


def test_an_address_that_leads_nowhere_is_told_as_a_page(look: LookAt) -> None:
    window = look()
    page = window.open("/nowhere")

    assert page.locator("h1").inner_text() == "Page not found"
    assert "There is nothing at this address." in page.locator("main").inner_text()
    assert window.violations() == []


def test_programs_and_the_api_keep_their_problems(get: Get) -> None:
    media_type = "application/problem+json"

    assert get("/nowhere", Accept="*/*").headers["content-type"] == media_type
    assert get("/v1/nowhere").headers["content-type"] == media_type
    assert get("/static/0123/nothing.css").headers["content-type"] == media_type


def test_every_language_names_itself(get: Get) -> None:
    body = get("/about").text

    for code, language in LANGUAGES.items():
        assert f'hreflang="{code}" lang="{code}" title="{language.name}"' in body
