"""The types that bodies and parameters are made of."""

import re
import unicodedata
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import cache
from typing import Annotated, LiteralString
from zoneinfo import available_timezones

import iso3166
from babel import Locale
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationInfo,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from app.validation import BORDER_CODE, COUNTRY_CODE, LANGUAGE_TAG, SLUG

_RFC3339 = re.compile(
    r"(?P<minute>\d{4}-\d\d-\d\d[Tt](?P<hour>\d\d):\d\d):(?P<second>\d\d)"
    r"(?P<fraction>\.\d+)?(?P<offset>[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
_MICROSECONDS = 7
"""Characters of a fraction with six digits, including its point."""
UNTOLD = "#"
"""First character of the tags of a union, which are left out of the path of an error."""

_FIRST_YEAR, _LAST_YEAR = 1900, 2199
_EXAMPLE = "2023-08-18T00:00:00+03:00"


class Body(BaseModel):
    """A request or response body: unknown fields are errors, not silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def example(value: dict[str, JsonValue]) -> ConfigDict:
    """Return the configuration of a request body whose documentation shows ``value``."""
    return ConfigDict(json_schema_extra={"examples": [value]})


def _parse_instant(value: object) -> object:
    # The parser of seed files has parsed instants already.
    if isinstance(value, datetime):
        return value
    return _to_microseconds(value)


def _to_microseconds(value: object) -> str:
    """Return an RFC 3339 instant without the digits beyond microseconds.

    Raises PydanticCustomError for anything else, and for a time of day that `datetime` does not
    have: 24:00 and leap seconds.
    """
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "instant", f"must be an RFC 3339 instant with an offset, like {_EXAMPLE}"
        )
    if match["hour"] == "24":
        raise PydanticCustomError(
            "instant", "must not have the hour 24: write 00:00 of the following day"
        )
    if match["second"] == "60":
        raise PydanticCustomError(
            "instant", "must not have a leap second (:60): write :59, or :00 of the next minute"
        )
    fraction = (match["fraction"] or "")[:_MICROSECONDS]
    return f"{match['minute']}:{match['second']}{fraction}{match['offset']}"


def _unfold_plus(value: object) -> object:
    """Restore the ``+`` of an offset, which becomes a space in a query if it is not escaped."""
    return re.sub(r" (\d\d:\d\d)$", r"+\1", value) if isinstance(value, str) else value


def _to_utc(value: datetime) -> datetime:
    # The limits keep conversions and sums within the range of `datetime`.
    if value.tzinfo is None or not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise PydanticCustomError(
            "instant_range",
            f"must have an offset and lie in {_FIRST_YEAR} to {_LAST_YEAR};"
            " leave it out or null for no end",
        )
    return value.astimezone(UTC)


def utc(instant: datetime | None) -> datetime | None:
    """Return a stored instant in UTC, as bodies have it."""
    return None if instant is None else instant.astimezone(UTC)


Instant = Annotated[
    datetime,
    BeforeValidator(_parse_instant),
    AfterValidator(_to_utc),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "examples": [_EXAMPLE],
            "description": "RFC 3339 with an offset, cut to microseconds; answered in UTC with"
            " `Z`.",
        }
    ),
]
QueryInstant = Annotated[Instant, BeforeValidator(_unfold_plus)]

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)


def _completed(value: object) -> object:
    """Complete the value of a date field to an instant in UTC; an empty one is None."""
    if not isinstance(value, str):
        return value
    if _DAY.fullmatch(value):
        return f"{value}T00:00:00Z"
    if match := _LOCAL.fullmatch(value):
        return f"{value}{'' if match[1] else ':00'}Z"
    return value or None


def _plain(value: object) -> object:
    """Refuse what is not an instant, with a message for people."""
    instant = None
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        with suppress(ValueError):
            instant = datetime.fromisoformat(value.upper())
    if value is not None and instant is None:
        raise PydanticCustomError(
            "instant",
            "must be a date, or a date and a time in UTC, such as 2023-08-17 or 2023-08-17T20:00",
        )
    if instant is not None and not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise PydanticCustomError(
            "instant_range", f"must lie in the years {_FIRST_YEAR} to {_LAST_YEAR}"
        )
    return value


# Validators run from the last to the first.
FormInstant = Annotated[
    QueryInstant | None,
    BeforeValidator(_plain),
    BeforeValidator(_completed),
    BeforeValidator(_unfold_plus),
]
"""An instant as written in an address or sent by a form; in UTC if it has no offset.
"""


def _printable(value: str) -> str:
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
        raise PydanticCustomError(
            "unprintable", "must not contain NUL characters or lone surrogates"
        )
    return value


STORED = {"is_stored": True}
"""The context for validating rows of the log, of which old ones may have blank texts."""
_VISIBLE = "LNPS"
"""Letters, numbers, punctuation and symbols, by the first letter of their Unicode category."""
_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Invisible characters that Unicode classifies as letters or symbols."""
BLANK: LiteralString = "must contain at least one visible character"


def is_blank(value: str) -> bool:
    """Return whether a text has no visible character."""
    return all(unicodedata.category(char)[0] not in _VISIBLE or char in _FILLERS for char in value)


def _visible(value: str, info: ValidationInfo) -> str:
    if info.context != STORED and is_blank(value):
        raise PydanticCustomError("blank", BLANK)
    return value


Text = Annotated[
    str,
    Field(
        max_length=2000,
        examples=["Preventive measure"],
        json_schema_extra={"minLength": 1, "pattern": "^[^\\u0000\\ud800-\\udfff]*$"},
    ),
    AfterValidator(_printable),
    AfterValidator(_visible),
]
"""Text for people; instead of an empty one, the field is left out."""
Line = Annotated[Text, Field(max_length=300, examples=["State Border Guard Service"])]


@cache
def _languages() -> frozenset[str]:
    """Return the codes of the languages that CLDR names."""
    return frozenset(str(code) for code in Locale("en").languages)


def known_language(value: str) -> str:
    """Return the tag. Raises PydanticCustomError if its language is unknown."""
    if value.partition("-")[0].lower() not in _languages():
        raise PydanticCustomError(
            "language", "{tag} does not begin with a language code known to CLDR", {"tag": value}
        )
    return value


@cache
def _zones() -> frozenset[str]:
    """Return the names of the time zone database, which it takes long to list."""
    return frozenset(available_timezones())


def _known_zone(value: str) -> str:
    if value not in _zones():
        raise PydanticCustomError("time_zone", "must be a zone of the IANA time zone database")
    return value


ZoneName = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]


def _in_languages(value: dict[str, str]) -> dict[str, str]:
    for tag in value:
        known_language(tag)
    return value


Texts = Annotated[
    dict[Annotated[str, Field(pattern=LANGUAGE_TAG, max_length=35)], Text],
    Field(min_length=1, max_length=50),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": LANGUAGE_TAG, "maxLength": 35},
            "additionalProperties": TypeAdapter(Text).json_schema(),
            "minProperties": 1,
            "maxProperties": 50,
            "examples": [{"en": "Travel is discouraged."}],
            "description": "In our own words, by language.",
        }
    ),
    AfterValidator(_in_languages),
]


def _iso_country(value: str) -> str:
    if value not in iso3166.countries_by_alpha2:
        raise PydanticCustomError("country", "must be an ISO 3166-1 alpha-2 code, such as LT")
    return value


CountryCode = Annotated[
    str,
    AfterValidator(_iso_country),
    Field(
        pattern=COUNTRY_CODE,
        json_schema_extra={"enum": sorted(iso3166.countries_by_alpha2)},
        examples=["LT"],
    ),
]
CrossingId = Annotated[
    str,
    Field(
        pattern=SLUG,
        min_length=2,
        max_length=80,
        examples=["sumskas-losa"],
        description="Stable slug of a crossing.",
    ),
]


def sides_of(border: str) -> tuple[str, str]:
    """Return the codes of a border's two countries."""
    first, second = border.split("-")
    return first, second


def sorted_border(value: str) -> str:
    """Return a border's id, its countries in alphabetical order."""
    return "-".join(sorted(value.split("-")))


BorderId = Annotated[
    str,
    Field(
        pattern=BORDER_CODE,
        examples=["BY-LT"],
        description="The two countries in alphabetical order; the other order is accepted.",
    ),
    AfterValidator(sorted_border),
]


def _date_or_instant(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError as error:
            raise PydanticCustomError("date", "is not a valid date") from error
    if isinstance(value, str) and "T" in value.upper():
        exact = _to_microseconds(value)
        try:
            instant = datetime.fromisoformat(exact.upper())
        except ValueError as error:
            raise PydanticCustomError("date", "is not a valid instant") from error
        return _to_utc(instant).isoformat()[:-6] + "Z"
    raise PydanticCustomError("date", "must be a date or an RFC 3339 instant with an offset")


DateOrInstant = Annotated[
    str,
    BeforeValidator(_date_or_instant),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [{"format": "date"}, {"format": "date-time"}],
            "examples": ["2023-11-13"],
            "description": "A date or an instant, as exact as in the source.",
        }
    ),
]
