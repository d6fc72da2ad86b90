"""Words of a search that are not names: countries, modes, and generic words. Pure."""

import re
import unicodedata
from functools import cache

from anyascii import anyascii
from babel import Locale

from app.vocabulary import Mode

# Transliterations of soft signs within words.
_APOSTROPHES = str.maketrans("", "", "'`")

_LANGUAGES = ("en", "lt", "pl", "ru", "be", "lv", "uk", "de")
"""The languages of the pages and of the neighbouring countries."""
_OTHER_NAMES = {"BY": "Белоруссия Byelorussia Weißrussland"}
_LONG = 7
"""Letters of a country's name from which on its last two may differ by case; else the last one."""
_ENDINGS = range(-2, 4)
"""By how many letters a case may be longer than the name."""


def fold(text: str) -> str:
    """Return the lower-case ASCII words of ``text``, in order, separated by single spaces."""
    ascii_text = anyascii(unicodedata.normalize("NFKC", text)).translate(_APOSTROPHES)
    return " ".join(re.findall("[a-z0-9]+", ascii_text.lower()))


def _folded(words: str) -> frozenset[str]:
    return frozenset(fold(words).split())


_GENERIC = _folded("""
    a and at between bcp border check checkpoint control crossing crossings customs for from
    frontier in international near of on point points post the to
    kirtimo kontrolės muitinė muitinės pasienio perėjimo punktas punkto punkte siena sienos
    postas posto tarptautinis tarptautinio
    celne celny do granica granicy graniczne granicznego graniczny kontroli na przejście przejścia
    przejściu punkt punktu z
    граница границе границы застава контрольно международный международного на переход перехода
    погранпереход погранперехода пограничный пограничного пограничном погранзастава пропуск пропуска
    пропускной пропускного пункт пункта пункте таможенный таможня
    мытны мытня мяжа мяжы міжнародны пагранічны памежны памежнага пераход перахода пераходу пропуску
    пункту
""")
"""Words that apply to any crossing, in the languages of the pages."""

_MODES = {
    Mode.RAIL: _folded("""
        rail railroad railway train trains geležinkelis geležinkelio traukinys traukiniu
        kolej kolejowe kolejowy kolejowego kolejowym pociąg pociągiem железнодорожный
        железнодорожного железнодорожном поезд поездом чыгунка чыгуначны чыгуначнага цягнік
    """),
    Mode.ROAD: _folded("""
        highway road roads automobilių kelias kelio kelių drogowe drogowy drogowego drogowym
        автодорожный автомобильный автомобильного автомобильном аўтамабільны аўтамабільнага
        дарожны
    """),
}


def is_generic(word: str) -> bool:
    """Return whether a folded word does not distinguish between crossings."""
    return word in _GENERIC


def mode_of(word: str) -> Mode | None:
    """Return the mode that a folded word names, if it does."""
    return next((mode for mode, words in _MODES.items() if word in words), None)


def names_country(word: str, country: str, *, is_exact: bool) -> bool:
    """Return whether a folded word is a country's name, in any of its cases or exactly."""
    names = _country_names(country)
    return word in names or (not is_exact and any(_is_case_of(word, name) for name in names))


@cache
def _country_names(country: str) -> frozenset[str]:
    names = [str(Locale(code).territories.get(country, "")) for code in _LANGUAGES]
    return _folded(" ".join([*names, _OTHER_NAMES.get(country, "")]))


def _is_case_of(word: str, name: str) -> bool:
    stem = name[: -2 if len(name) >= _LONG else -1]
    return word.startswith(stem) and len(word) - len(name) in _ENDINGS
