"""Points and boxes on the WGS 84 ellipsoid. Pure."""

import re
from dataclasses import dataclass

from geographiclib.geodesic import Geodesic  # type: ignore[import-untyped]  # ships no types

_NUMBER = re.compile(r"[+-]?\d{1,3}(\.\d{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Point:
    """Degrees north and east."""

    lat: float
    lon: float

    @classmethod
    def parse(cls, text: str) -> "Point":
        """Read `lat,lon`. Raises ValueError for anything else, and off the globe."""
        lat, lon = _numbers(text, 2, "must be lat,lon in degrees, such as 54.69,25.28")
        _check(lat, lon)
        return cls(lat, lon)

    def distance_km(self, other: "Point") -> float:
        """Return the length of the geodesic between the two points, to a decimal."""
        found = Geodesic.WGS84.Inverse(self.lat, self.lon, other.lat, other.lon, Geodesic.DISTANCE)
        return round(float(found["s12"]) / 1000, 1)


@dataclass(frozen=True, slots=True)
class Box:
    """What lies between two meridians and two parallels; over the 180th where west > east."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def parse(cls, text: str) -> "Box":
        """Read `west,south,east,north`, as GeoJSON orders them. Raises ValueError."""
        west, south, east, north = _numbers(
            text, 4, "must be west,south,east,north in degrees, such as 23,53,27,56"
        )
        _check(south, west)
        _check(north, east)
        if south > north:
            raise ValueError("must have a south that is not north of its north")
        return cls(west, south, east, north)

    def holds(self, point: Point) -> bool:
        if self.west <= self.east:
            within = self.west <= point.lon <= self.east
        else:
            within = point.lon >= self.west or point.lon <= self.east
        return within and self.south <= point.lat <= self.north


def _numbers(text: str, count: int, otherwise: str) -> list[float]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ValueError(otherwise)
    return [float(part) for part in parts]


def _check(lat: float, lon: float) -> None:
    if not -90 <= lat <= 90:  # noqa: PLR2004  # a quarter turn
        raise ValueError(f"has a latitude of {lat:g}: it must lie in -90 to 90")
    if not -180 <= lon <= 180:  # noqa: PLR2004  # half a turn
        raise ValueError(f"has a longitude of {lon:g}: it must lie in -180 to 180")
