"""The mapping of the places of a feed to crossings: a file beside each importer."""

import tomllib
from importlib.resources.abc import Traversable
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.http.bodies import Body, CountryCode, CrossingId, Line, ZoneName
from app.vocabulary import Traffic


class Place(Body):
    """A place of a feed, by its name in the feed, and the crossing that it is."""

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
        """Its name in reports."""
        return f"{self.key} {self.name}" if self.name else self.key

    @property
    def time_zone(self) -> ZoneInfo:
        """Its time zone; the file must have one."""
        if self.zone is None:
            raise LookupError(f"The map has no zone for {self.label}.")
        return ZoneInfo(self.zone)


class OmittedPlace(Body):
    """A place of a feed that is not mapped to a crossing, and why."""

    key: Line
    name: Line | None = None
    reason: Line


class Places(Body):
    """The places of a feed. ``to`` and ``zone`` are the defaults for places without their own."""

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
        return {**value, "place": [{**common, **place} for place in value["place"]]}

    @model_validator(mode="after")
    def _name_each_once(self) -> Self:
        keys = [place.key for place in self._all]
        if len(set(keys)) < len(keys):
            raise PydanticCustomError("places", "must not name a place twice")
        return self

    def find(self, key: str) -> Place | OmittedPlace | None:
        """Return the entry of a place by its name in the feed."""
        return next((place for place in self._all if place.key == key), None)

    @property
    def _all(self) -> list[Place | OmittedPlace]:
        return [*self.place, *self.left_out]


def read_places(file: Traversable) -> Places:
    """Read the map from a file. Raises ValueError for one that is not valid."""
    return Places.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
