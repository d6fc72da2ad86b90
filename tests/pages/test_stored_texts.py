"""Texts that are stored in one language, on pages in another: marked for ears and eyes."""

import re

import pytest

from app.changes.ids import seed_id
from tests.api import SUMSKAS, Api
from tests.marks import full
from tests.pages.conftest import VIEWS, LookAt

STORY = f"/incidents/{seed_id('incident/two-of-six-2023', 'incident')}"
CLOSING = "Temporary, preventive step: "
NOTICE = "The two crossings are to be closed temporarily."


async def page(api: Api, path: str, lang: str) -> str:
    return (await api.client.get(path, params={"lang": lang})).text


def mark(name: str) -> str:
    return f' <small class="language">{name}</small>'


@pytest.mark.parametrize(
    ("lang", "name"),
    [
        ("be", "па-англійску"),
        ("lt", "anglų kalba"),
        ("lv", "angļu valodā"),
        ("pl", "po angielsku"),
        ("ru", "на английском"),
        ("uk", "англійською"),
    ],
)
async def test_a_reason_is_marked_as_english(seeded_api: Api, lang: str, name: str) -> None:
    text = await page(seeded_api, f"/crossings/{SUMSKAS}", lang)

    reasons = re.findall(rf'<span lang="en">{CLOSING}[^<]*</span>(.{{{len(mark(name))}}})', text)
    assert reasons
    assert set(reasons) == {mark(name)}


async def test_a_notice_is_marked_as_english(seeded_api: Api) -> None:
    text = await page(seeded_api, STORY, "lv")

    assert f'<span lang="en">{NOTICE}</span>{mark("angļu valodā")}' in text


async def test_what_the_reader_reads_is_not_marked(seeded_api: Api) -> None:
    english = await page(seeded_api, STORY, "en")
    latvian = await page(seeded_api, STORY, "lv")

    assert f'<span lang="en">{NOTICE}</span></p>' in english
    assert mark("in English") not in english
    title = re.search(r"<h1>(.*?)</h1>", latvian)
    assert title is not None
    assert re.fullmatch(r'<span lang="lv">Lietuva slēdz [^<]*</span>', title[1])


async def test_a_source_says_in_which_language_it_is(seeded_api: Api) -> None:
    """Its title may be in that language or in English, which is not recorded."""
    source = seed_id("source/hrodna-life-2023-05-16", "source")
    text = await page(seeded_api, "/crossings/raigardas-pryvalka", "en")
    cited = re.search(rf'<a href="/sources/{source}[^"]*">[^<]*</a>([^,]*),', text)

    assert cited is not None
    assert 'hreflang="be">hrodna.life</a>' in cited[1]
    assert cited[1].endswith(mark("in Belarusian"))
    assert "<dd>білоруська</dd>" in await page(seeded_api, f"/sources/{source}", "uk")


async def test_a_text_that_is_not_in_english_either_is_marked_by_its_own(api: Api) -> None:
    body = {
        "title": {"pl": "Wzmożone kontrole"},
        "summary": {"pl": "Więcej kontroli."},
        "citations": [{"source": {"title": "A test"}}],
    }
    response = await api.post("/v1/incidents", body)
    assert response.status_code == 201, response.text

    text = await page(api, "/incidents", "lt")

    assert f'lang="pl">Wzmożone kontrole</a>{mark("lenkų kalba")}' in text


@full
@pytest.mark.parametrize("path", [f"/crossings/{SUMSKAS}", STORY, "/sources"])
@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_the_marks_can_be_read(look: LookAt, size: str, scheme: str, path: str) -> None:
    window = look(size, scheme)
    window.open(f"{path}?lang=uk")

    assert window.violations() == []
