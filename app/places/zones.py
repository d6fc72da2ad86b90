"""The time zone of each side, by the table of the time zone database, and its local dates."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from importlib.resources import files
from zoneinfo import ZoneInfo

from app.caches import shared
from app.places.geography import Point

_PLACE = re.compile(r"([+-])(\d{2})(\d{2})(?:\d{2})?([+-])(\d{3})(\d{2})(?:\d{2})?")


@dataclass(frozen=True, slots=True)
class _Zone:
    name: str
    place: Point
    rank: int
    """0 where the table names the country first, so that the zone is its own."""


def _load() -> dict[str, list[_Zone]]:
    by_country: dict[str, list[_Zone]] = {}
    table = files("tzdata").joinpath("zoneinfo", "zone1970.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line.startswith("#"):
            continue
        codes, place, name, *_ = line.split("\t")
        for rank, code in enumerate(codes.split(",")):
            by_country.setdefault(code, []).append(_Zone(name, _point(place), rank))
    return by_country


def _point(place: str) -> Point:
    """Parse ``+5441+02519``: degrees and minutes, sometimes seconds."""
    match = _PLACE.fullmatch(place)
    assert match is not None
    south, lat, lat_minutes, west, lon, lon_minutes = match.groups()
    return Point(
        (int(lat) + int(lat_minutes) / 60) * (-1 if south == "-" else 1),
        (int(lon) + int(lon_minutes) / 60) * (-1 if west == "-" else 1),
    )


_ZONES: Mapping[str, list[_Zone]] = _load()


@shared("zones", most=1_000, entry_bytes=500)
def zone_of(country: str, near: Point | None = None) -> ZoneInfo:
    """Return a country's zone, UTC if it has none.

    Of several it is the one whose principal location is nearest to ``near``: a border far from
    all of them, such as that of Latvia and Russia, may get its neighbour's.
    """

    def strangeness(zone: _Zone) -> tuple[int, float]:
        # Plain degrees are good enough to tell neighbouring zones apart.
        if near is None:
            return zone.rank, 0.0
        return zone.rank, (zone.place.lat - near.lat) ** 2 + (zone.place.lon - near.lon) ** 2

    zones = _ZONES.get(country)
    return ZoneInfo(min(zones, key=strangeness).name if zones else "UTC")


def date_zone(at: datetime, countries: Iterable[str]) -> ZoneInfo:
    """Return the zone of one of these countries in which ``at`` is a date, as `day_zone` does.

    UTC if none of them is a country with a zone.
    """
    names = [zone.name for code in countries for zone in _ZONES.get(code, ())]
    return day_zone(at, [ZoneInfo(name) for name in names or ["UTC"]])


def day_zone(at: datetime, zones: Sequence[ZoneInfo]) -> ZoneInfo:
    """Return the one of ``zones``, which are not empty, in which ``at`` is a date.

    A date is recorded as a midnight: the first zone in which ``at`` is midnight is returned, else
    the first of all.
    """
    return next((zone for zone in zones if is_midnight(at, zone)), zones[0])


def is_midnight(at: datetime, zone: ZoneInfo) -> bool:
    """Return whether a local day begins at this instant."""
    return at.astimezone(zone).time() == time.min


def chief_place(zone: str) -> Point | None:
    """Return where the place lies that a zone is named after; None if it is not of a country."""
    places = (one.place for zones in _ZONES.values() for one in zones if one.name == zone)
    return next(places, None)


@dataclass(frozen=True)
class Clocks:
    """The local times at a place between two sides."""

    sides: Sequence[str]
    near: Point | None = None

    @property
    def zones(self) -> list[ZoneInfo]:
        """Both sides' zones, in the order of the sides."""
        return self.zones_of(self.sides)

    def zones_of(self, sides: Iterable[str]) -> list[ZoneInfo]:
        return [zone_of(side, self.near) for side in sides]
