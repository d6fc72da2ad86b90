"""The values of a payload, and the faults of values and payloads. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import from_json

from app.importers.places import Place
from app.observations.schemas import ObservationIn
from app.validation import faults_of

LONGEST_QUOTE = 100
"""Characters of a payload that a report repeats."""

Row = TypeVar("Row", bound="FeedModel")


class BrokenPayload(Exception):
    """Nothing of a payload can be read. The message says why, to follow "the payload"."""


class FeedModel(BaseModel):
    """The fields of a part of a payload that an importer needs; others are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that can be recorded; without an instant, that of the fetch is used."""

    place: Place
    what: str
    observation: ObservationIn


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value that is not recorded, and why."""

    place: str
    what: str
    """Which value of the place it is."""
    reason: str
    value: str | None = None
    """As in the payload; None if it could be personal data, or is not a single value."""
    is_damage: bool = False
    """The value does not have a form that the importer knows."""


@dataclass(frozen=True, slots=True)
class UnknownPlace:
    """A place of the feed that its map does not have, or omits."""

    key: str
    name: str
    reason: str | None = None
    """Why the map omits it."""


Finding = Reading | Refusal | UnknownPlace


def read(place: Place, what: str, **fields: object) -> Reading | Refusal:
    """Return a value of a place from the fields of an `ObservationIn`, or its refusal."""
    values = {"crossing": place.crossing, "to": place.to, **fields}
    try:
        return Reading(place, what, ObservationIn.model_validate(values))
    except ValidationError as error:
        return Refusal(place.label, what, faults_of(error), is_damage=True)


def quoted(value: object) -> str:
    """Return a value as a report quotes it."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"


def decode(payload: bytes) -> str:
    """Return the text of a payload in UTF-8. Raises BrokenPayload."""
    if not payload.strip():
        raise BrokenPayload("is empty")
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenPayload(f"is not UTF-8: see byte {error.start}") from error


def decode_json(payload: bytes) -> JsonValue:
    """Return the JSON of a payload. Raises BrokenPayload, whose message does not quote it."""
    text = decode(payload)
    if text.lstrip().startswith("<"):
        raise BrokenPayload("is not JSON but HTML or XML")
    try:
        value: JsonValue = from_json(text, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        cut = "EOF" in str(error)
        # The parser's message says where, and does not quote the payload.
        raise BrokenPayload(f"is {'cut off' if cut else 'not JSON'}: {error}") from error
    return value


def decode_rows(value: JsonValue, what: str) -> Sequence[JsonValue]:
    """Return a list of the payload that must not be empty. Raises BrokenPayload."""
    if not isinstance(value, list):
        raise BrokenPayload(f"has no list of {what}")
    if not value:
        raise BrokenPayload(f"has an empty list of {what}")
    return value


def parse_rows(rows: Iterable[JsonValue], shape: type[Row], *, key: str) -> Iterator[Row | Refusal]:
    """Yield each row, or its refusal.

    Of rows with the same ``key`` all are refused, since it is unknown which one is right.
    """
    rows = list(rows)
    counts = Counter(_key(row, key) for row in rows)
    for name, count in counts.items():
        if name is not None and count > 1:
            yield Refusal(name, key, f"appears {count} times in the payload", is_damage=True)
    for place, row in enumerate(rows):
        name = _key(row, key)
        if name is not None and counts[name] > 1:
            continue
        try:
            yield shape.model_validate(row)
        except ValidationError as error:
            label = f"row {place + 1}" if name is None else name
            yield Refusal(label, "the row", faults_of(error), is_damage=True)


def _key(row: JsonValue, key: str) -> str | None:
    value = row.get(key) if isinstance(row, Mapping) else None
    return quoted(str(value)) if isinstance(value, str | int) else None
