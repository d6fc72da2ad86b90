"""The languages of the pages, and which of them a reader gets.

A language is a message catalogue in ``locale/``: another language is one more file there.
The messages themselves are English.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from app.http.negotiation import weights

ENGLISH = "en"


@dataclass(frozen=True, eq=False)
class Language:
    """A language: its messages, and how it writes dates and names countries."""

    code: str
    locale: Locale
    translations: NullTranslations

    @property
    def name(self) -> str:
        """What it calls itself."""
        return str(self.locale.languages[self.code])


def _load() -> dict[str, Language]:
    # As the countries here write dates: the day first, 24 hours.
    found = {ENGLISH: Language(ENGLISH, Locale("en", "GB"), NullTranslations())}
    for file in sorted(
        files("app.languages").joinpath("locale").iterdir(), key=lambda one: one.name
    ):
        code, _, kind = file.name.partition(".")
        if kind == "po":
            compiled = BytesIO()
            with file.open("rb") as source:
                write_mo(compiled, read_po(source, locale=code))
            compiled.seek(0)
            found[code] = Language(code, Locale(code), GNUTranslations(compiled))
    return found


LANGUAGES: Mapping[str, Language] = _load()
"""By code, English first."""


def negotiated(accept_language: str) -> Language:
    """Return the language that an ``Accept-Language`` likes best; English if it likes none."""
    given = weights(accept_language)
    for tag in sorted(given, key=lambda tag: -given[tag]):
        code = tag.partition("-")[0]
        if given[tag] > 0 and code in LANGUAGES:
            return LANGUAGES[code]
    return LANGUAGES[ENGLISH]
