"""Points and boxes of WGS 84 degrees. Pure."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_EARTH_RADIUS_KM = 6371.0088
"""The mean radius. Distances are wrong by up to 0.6 %, less than most locations."""
_HALF_TURN, _QUARTER_TURN = 180, 90
_NUMBER = re.compile(r"[+-]?\d{1,3}(\.\d{1,12})?", re.ASCII)

_EXTENTS: Mapping[str, tuple[float, float, float, float]] = {
    "AT": (9.5, 46.3, 17.2, 49.1),
    "BY": (23.1, 51.2, 32.8, 56.2),
    "CZ": (12.0, 48.5, 18.9, 51.1),
    "DE": (5.8, 47.2, 15.1, 55.1),
    "EE": (21.3, 57.5, 28.3, 60.0),
    "FI": (19.0, 59.4, 31.6, 70.1),
    "HU": (16.1, 45.7, 22.9, 48.6),
    "LT": (20.6, 53.8, 26.9, 56.5),
    "LV": (20.6, 55.6, 28.3, 58.1),
    "MD": (26.6, 45.4, 30.2, 48.5),
    "PL": (14.0, 49.0, 24.2, 55.1),
    "RO": (20.2, 43.6, 30.1, 48.3),
    "RU": (19.4, 41.1, -168.9, 82.1),
    "SE": (10.5, 55.1, 24.2, 69.1),
    "SK": (16.8, 47.7, 22.6, 49.7),
    "UA": (22.1, 45.0, 40.3, 52.4),
}
"""West, south, east and north of the countries that the map outlines, outward to 0.1 degrees."""


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
        """Return the great-circle distance between the two points, rounded to 0.1 km."""
        lat, other_lat = math.radians(self.lat), math.radians(other.lat)
        north = math.sin((other_lat - lat) / 2) ** 2
        east = math.sin(math.radians(other.lon - self.lon) / 2) ** 2
        haversine = north + math.cos(lat) * math.cos(other_lat) * east
        # By rounding, the haversine of opposite points can exceed 1.
        return round(2 * _EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, haversine))), 1)


@dataclass(frozen=True, slots=True)
class Box:
    """The area between two meridians and two parallels; across the 180th where west > east."""

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
        """Return whether the point lies in the box or on its edge.

        180 and -180 are the same meridian, and a pole lies on all of them.
        """
        if not self.south <= point.lat <= self.north:
            return False
        if abs(point.lat) == _QUARTER_TURN:
            return True
        if abs(point.lon) == _HALF_TURN:
            return self._spans(_HALF_TURN) or self._spans(-_HALF_TURN)
        return self._spans(point.lon)

    def _spans(self, lon: float) -> bool:
        if self.west <= self.east:
            return self.west <= lon <= self.east
        return lon >= self.west or lon <= self.east


def lies_around(country: str, point: Point) -> bool:
    """Return whether a point lies within a degree of a country; True if its extent is unknown."""
    extent = _EXTENTS.get(country)
    if extent is None:
        return True
    west, south, east, north = extent
    return Box(west - 1, south - 1, east + 1, north + 1).holds(point)


def _numbers(text: str, count: int, otherwise: str) -> list[float]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ValueError(otherwise)
    return [float(part) for part in parts]


def _check(lat: float, lon: float) -> None:
    if not -_QUARTER_TURN <= lat <= _QUARTER_TURN:
        raise ValueError(f"has a latitude of {lat:g}: it must lie in -90 to 90")
    if not -_HALF_TURN <= lon <= _HALF_TURN:
        raise ValueError(f"has a longitude of {lon:g}: it must lie in -180 to 180")
