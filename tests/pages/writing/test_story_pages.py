"""Stories and sources: each sentence with who says so, where, and on what basis."""

import re

from tests.marks import full
from tests.pages.conftest import Get, LookAt
from tests.pages.test_every_page import ARTICLE, STORY
from tests.pages.writing.conftest import Post

pytestmark = full


def test_a_story_is_told_in_the_order_of_time(look: LookAt) -> None:
    page = look().open(STORY)

    days = page.locator(".story > li > .when time").evaluate_all(
        "all => all.map(one => one.dateTime)"
    )
    assert len(days) > 10
    assert days == sorted(days)


def test_every_sentence_has_its_source_and_its_basis(look: LookAt) -> None:
    page = look().open(STORY)

    items = page.locator(".story > li")
    for number in range(items.count()):
        citations = items.nth(number).locator(".citations > li")
        assert citations.count() > 0
        assert citations.count() == citations.locator(".basis").count()
        assert citations.count() == citations.locator("a[href*='/sources/']").count()
    folded = page.locator(".story details").filter(has=page.locator(".basis-stated")).first
    assert "stated by the source" in folded.locator("summary").inner_text()
    folded.locator("summary").click()
    stated = folded.locator("li").filter(has_text="stated by the source").first
    assert "paragraph" in stated.inner_text()


def test_the_sources_of_a_story_are_folded(look: LookAt) -> None:
    """Unfolded, the story of August 2023 was 36,000 pixels long on a phone."""
    page = look("phone").open(STORY)

    assert page.locator(".story .citations > li").first.is_hidden()
    assert page.evaluate("document.documentElement.scrollHeight") < 25_000


def test_one_jumps_to_a_month_of_a_long_story(look: LookAt) -> None:
    page = look(script=False).open(f"{STORY}?lang=en")
    page.get_by_role("navigation", name="Months").get_by_role("link", name="Aug 2023").click()

    assert page.url.endswith("#m-2023-08")
    days = page.locator("#m-2023-08 + .story > li > .when time").evaluate_all(
        "all => all.map(one => one.dateTime)"
    )
    assert all(day.startswith(("2023-07-31", "2023-08")) for day in days)


def test_a_story_can_be_read_by_its_decisions_alone(look: LookAt) -> None:
    page = look(script=False).open(f"{STORY}?lang=en")
    page.get_by_role("link", name="Decisions only").click()

    assert page.locator(".story > li").count() == page.locator(".story > li .decided").count()
    assert page.locator(".story .decided .status-closed").count() > 0


def test_the_original_is_one_click_away(look: LookAt) -> None:
    """Beside the citation, by the name of its site."""
    page = look(script=False).open(STORY)
    original = page.locator(".citations .original").first

    assert (original.get_attribute("href") or "").startswith("https://")
    assert (original.text_content() or "") in (original.get_attribute("href") or "")


def test_decisions_stand_among_the_notices_with_what_they_decided(look: LookAt) -> None:
    page = look().open(STORY)

    closing = page.locator(".story > li").filter(has=page.locator(".decided .status-closed"))
    text = closing.first.inner_text()
    assert "Decision · Lithuania" in text
    assert "Closed" in text
    assert "18 Aug 2023" in text
    assert "until further notice" in text


def test_where_accounts_conflict_both_are_shown(look: LookAt) -> None:
    """At the claim, who contradicts it; at the contradiction, what it contradicts."""
    page = look().open(STORY)

    conflicts = page.locator(".conflict")
    labels = set(conflicts.locator(".label").all_inner_texts())
    assert labels == {"Other sources say otherwise:", "This contradicts:"}
    for number in range(conflicts.count()):
        assert conflicts.nth(number).locator(".citations > li").count() > 0


def test_a_source_shows_all_that_was_drawn_from_it(look: LookAt) -> None:
    page = look().open(ARTICLE)

    assert page.locator("main").get_by_text(re.compile("^[0-9a-f]{64}$")).count() == 1
    facts = page.locator(".story > li")
    assert facts.count() > 10
    told = "\n".join(facts.locator("> .when").all_inner_texts())
    paragraphs = [int(number) for number in re.findall(r"^paragraph (\d+)", told, re.MULTILINE)]
    assert set(paragraphs) >= {1, 2, 3, 4, 5, 6}
    assert paragraphs == sorted(paragraphs)


def test_the_lists_lead_to_each(look: LookAt) -> None:
    page = look().open("/incidents")
    page.get_by_role("link", name="Lithuania closes two of its six").click()
    assert STORY in page.url

    page.goto(page.url.replace(STORY, "/sources?limit=200"))
    page.locator(f"a[href='{ARTICLE}']").click()
    assert ARTICLE in page.url


def test_a_long_list_goes_on(look: LookAt) -> None:
    page = look().open("/sources?limit=5")
    first = page.locator(".sources a").all_inner_texts()
    page.get_by_role("link", name="More").click()

    assert len(first) == 5
    assert page.locator(".sources a").count() == 5
    assert set(first).isdisjoint(page.locator(".sources a").all_inner_texts())


def test_what_is_not_there_is_told_as_a_page(get: Get) -> None:
    nowhere = "00000000-0000-0000-0000-000000000000"

    assert "Incident not found" in get(f"/incidents/{nowhere}").text
    assert get(f"/incidents/{nowhere}").status_code == 404
    assert get(f"/sources/{nowhere}").status_code == 404
    assert get("/sources/nonsense").status_code == 422
    assert "<h1>" in get("/sources/nonsense").text


def test_the_text_of_a_source_is_no_markup(get: Get, post: Post) -> None:

    source = post("/v1/sources", {"title": "<script>alert(1)</script>", "note": "<b>&amp;"})
    page = get(f"/sources/{source['id']}").text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;&amp;amp;" in page
