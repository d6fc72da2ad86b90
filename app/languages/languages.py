"""The languages of the pages, and the choice of one for a reader.

Each file in ``locale/`` is the message catalogue of one language. The messages are in English.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from app.http.negotiation import weights

ENGLISH = "en"


@dataclass(frozen=True, eq=False)
class Language:
    """A language: its messages, and the locale for dates, numbers and names of countries."""

    code: str
    locale: Locale
    catalogue: Traversable | None = None
    """The file of its messages; English has none."""

    @cached_property
    def translations(self) -> NullTranslations:
        """The messages, read on first use: to read those of all languages would delay the start."""
        if self.catalogue is None:
            return NullTranslations()
        compiled = BytesIO()
        with self.catalogue.open("rb") as source:
            write_mo(compiled, read_po(source, locale=self.code))
        compiled.seek(0)
        return GNUTranslations(compiled)

    @property
    def name(self) -> str:
        """The name of the language in that language."""
        return str(self.locale.languages[self.code])


def _load() -> dict[str, Language]:
    # British English has the day first and 24 hours, as the countries covered here do.
    languages = {ENGLISH: Language(ENGLISH, Locale("en", "GB"))}
    for file in sorted(
        files("app.languages").joinpath("locale").iterdir(), key=lambda file: file.name
    ):
        code, _, kind = file.name.partition(".")
        if kind == "po":
            languages[code] = Language(code, Locale(code), file)
    return languages


LANGUAGES: Mapping[str, Language] = _load()
"""The languages by code, English first."""


def negotiated(accept_language: str) -> Language:
    """Return the language that an ``Accept-Language`` prefers; English if it names none of ours."""
    weight_by_tag = weights(accept_language)
    for tag in sorted(weight_by_tag, key=lambda tag: -weight_by_tag[tag]):
        code = tag.partition("-")[0]
        if weight_by_tag[tag] > 0 and code in LANGUAGES:
            return LANGUAGES[code]
    return LANGUAGES[ENGLISH]
