"""The catalogues hold every message of the pages and feeds, in every language."""

import re
from collections.abc import Iterator, Sequence
from io import BytesIO

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from app.config import PROJECT
from app.languages.languages import LANGUAGES
from app.languages.words import DIRECTIONS, MESSAGES
from app.places.schemas import CrossingIn
from app.seeding.files import SEEDS, Seeds
from app.vocabulary import GapCode
from tests.marks import full

LOCALE = PROJECT / "app" / "languages" / "locale"
TELLING = [PROJECT / "app" / package for package in ("languages", "pages", "feeds")]
CODES = sorted(path.stem for path in LOCALE.glob("*.po"))
METHODS = {".py": "python", ".html": "jinja2", ".svg": "jinja2", ".txt": "jinja2"}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
Message = str | tuple[str, ...]


def messages() -> set[Message]:
    """Return what templates and code mark to be translated; of plurals, both forms."""
    return {
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
    }


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
    assert {"lt", "pl", "ru", "be"} <= set(CODES)


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


def test_every_word_of_the_vocabulary_has_a_name() -> None:
    for kind, names in MESSAGES.items():
        untold = {GapCode.SIDE_SILENT} if kind is GapCode else set()  # it names the side
        assert set(names) == set(kind) - untold


def test_every_country_of_the_seeds_has_a_direction() -> None:
    bodies = [seed.body for seed in Seeds(SEEDS).load()]
    sides = {side for one in bodies if isinstance(one, CrossingIn) for side in one.sides}

    assert {"BY", "LT", "LV", "PL", "US"} <= sides <= set(DIRECTIONS)
