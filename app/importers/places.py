"""How the places of a feed map to our crossings: a file beside each importer."""

import tomllib
from importlib.resources.abc import Traversable
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.http.bodies import Body, CountryCode, CrossingId, Line, ZoneName
from app.vocabulary import Traffic


class Place(Body):
    """A place of a feed, under the name that the feed knows it by, and the crossing that it is."""

    key: Line
    name: Line | None = None
    crossing: CrossingId
    to: CountryCode = Field(description="The country that its traffic enters.")
    zone: ZoneName | None = Field(None, description="The zone of the clocks that it tells.")
    traffic: tuple[Traffic, ...] | None = Field(
        None, description="Its queues that are of the crossing; null for all of them."
    )

    @property
    def label(self) -> str:
        """What a report calls it."""
        return f"{self.key} {self.name}" if self.name else self.key

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone of its clocks, in which the file must then say they are."""
        if self.zone is None:
            raise LookupError(f"The map has no zone for {self.label}.")
        return ZoneInfo(self.zone)


class OmittedPlace(Body):
    """A place of a feed that is none of our crossings, and why."""

    key: Line
    name: Line | None = None
    reason: Line


class Places(Body):
    """The places of a feed. ``to`` and ``zone`` are those of places that say none themselves."""

    to: CountryCode | None = None
    zone: ZoneName | None = None
    place: tuple[Place, ...]
    left_out: tuple[OmittedPlace, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: object) -> object:
        if not isinstance(value, dict) or not isinstance(value.get("place"), list):
            return value
        common = {name: value[name] for name in ("to", "zone") if name in value}
        return {**value, "place": [{**common, **one} for one in value["place"]]}

    @model_validator(mode="after")
    def _name_each_once(self) -> Self:
        keys = [one.key for one in self._all]
        if len(set(keys)) < len(keys):
            raise PydanticCustomError("places", "must not name a place twice")
        return self

    def find(self, key: str) -> Place | OmittedPlace | None:
        """Return what the map says of a place, by the feed's name of it."""
        return next((one for one in self._all if one.key == key), None)

    @property
    def _all(self) -> list[Place | OmittedPlace]:
        return [*self.place, *self.left_out]


def read_places(file: Traversable) -> Places:
    """Return the map that a file has. Raises ValueError for one that is not right."""
    return Places.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
