"""The catalogues hold every message of the pages and feeds, in every language."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from app.config import PROJECT
from app.languages.languages import LANGUAGES
from app.languages.words import DIRECTIONS, IN_LANGUAGES, MESSAGES
from app.pages.rendering import _environment
from app.places.schemas import CrossingIn
from app.seeding.files import SEEDS, Seeds
from app.vocabulary import GapCode
from tests.marks import full

LOCALE = PROJECT / "app" / "languages" / "locale"
TELLING = [
    PROJECT / "app" / package for package in ("alerts", "crossings", "languages", "pages", "feeds")
]
CODES = sorted(path.stem for path in LOCALE.glob("*.po"))
METHODS = {".py": "python", ".html": "jinja2", ".svg": "jinja2", ".txt": "jinja2"}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
Message = str | tuple[str, ...]


@cache
def messages() -> frozenset[Message]:
    """Return what templates and code mark to be translated; of plurals, both forms."""
    return frozenset(
        message if isinstance(message, str) else tuple(message)
        for package in TELLING
        for path in package.rglob("*")
        if path.suffix in METHODS and "static" not in path.parts
        for _, message, _, _ in extract(
            METHODS[path.suffix],
            BytesIO(path.read_bytes()),
            keywords=KEYWORDS,
            options={"trimmed": "true"},
        )
    )


def catalogue(code: str) -> Catalog:
    with (LOCALE / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def forms(told: str | Sequence[str] | None) -> tuple[str, ...]:
    return (told,) if isinstance(told, str) else tuple(told or ())


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)[sd]|\{\w*\}", text))


def entries(code: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield messages and their translations, each in all of its forms."""
    for entry in catalogue(code):
        if entry.id:
            yield forms(entry.id), forms(entry.string)


def test_there_are_the_languages_of_these_borders() -> None:
    assert next(iter(LANGUAGES)) == "en"
    assert {"be", "lt", "lv", "pl", "ru", "uk"} <= set(CODES)


def test_templates_have_the_same_filters_in_every_language() -> None:
    """They are compiled once for all languages, and filters applied to constants then."""
    first, *others = (_environment(language).filters for language in LANGUAGES.values())

    assert all(filters == first for filters in others)


@pytest.mark.parametrize("code", CODES)
def test_every_message_is_translated(code: str) -> None:
    """`make messages` takes new ones into the catalogues."""
    plurals = catalogue(code).num_plurals
    told = {
        wanted
        for wanted, found in entries(code)
        if all(found) and len(found) == (1 if len(wanted) == 1 else plurals)
    }

    assert messages()
    assert {forms(one) for one in messages()} - told == set()


@full
@pytest.mark.parametrize("code", CODES)
def test_nothing_is_translated_that_neither_page_nor_feed_says(code: str) -> None:
    assert {wanted for wanted, _ in entries(code)} - {forms(one) for one in messages()} == set()


@pytest.mark.parametrize("code", CODES)
def test_translations_fill_in_what_the_messages_do(code: str) -> None:
    for wanted, found in entries(code):
        for one in found:
            assert placeholders(one) == placeholders(wanted[-1]), wanted


@pytest.mark.parametrize("code", CODES)
def test_nothing_is_left_to_be_reviewed(code: str) -> None:
    """No fuzzy translation, which would not be used, and none that is obsolete."""
    assert [entry.id for entry in catalogue(code) if entry.id and entry.fuzzy] == []
    assert not catalogue(code).obsolete


@pytest.mark.parametrize(
    ("code", "number", "told"),
    [
        ("en", 1, "1 crossing"),
        ("en", 2, "2 crossings"),
        ("lt", 21, "21 punktas"),
        ("lt", 11, "11 punktų"),
        ("lv", 0, "0 robežšķērsošanas vietu"),
        ("lv", 21, "21 robežšķērsošanas vieta"),
        ("lv", 11, "11 robežšķērsošanas vietas"),
        ("uk", 1, "1 пункт пропуску"),
        ("uk", 23, "23 пункти пропуску"),
        ("uk", 12, "12 пунктів пропуску"),
    ],
)
def test_a_number_takes_the_form_of_its_language(code: str, number: int, told: str) -> None:
    plural = LANGUAGES[code].translations.ngettext("%(num)d crossing", "%(num)d crossings", number)

    assert plural % {"num": number} == told


def test_each_of_the_languages_is_named_as_the_language_of_a_text() -> None:
    assert set(LANGUAGES) <= set(IN_LANGUAGES)


def test_every_word_of_the_vocabulary_has_a_name() -> None:
    for kind, names in MESSAGES.items():
        untold = {GapCode.SIDE_SILENT} if kind is GapCode else set()  # it names the side
        assert set(names) == set(kind) - untold


def test_every_country_of_the_seeds_has_a_direction() -> None:
    bodies = [seed.body for seed in Seeds(SEEDS).load()]
    sides = {side for one in bodies if isinstance(one, CrossingIn) for side in one.sides}

    assert {"BY", "LT", "LV", "PL", "US"} <= sides <= set(DIRECTIONS)
