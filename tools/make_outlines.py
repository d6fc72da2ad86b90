"""Make the outlines that the map is drawn on, anew: needed only when a border has moved.

    pip install timezonefinder && python tools/make_outlines.py

Of the time zones of OpenStreetMap, as the package `timezonefinder` has them, which end at the
borders, and at sea where territorial waters do. A line between two zones is simplified once, for
both, so that no gap opens and a crossing stays at the border that is drawn.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

FILE = Path(__file__).parents[1] / "app" / "pages" / "static" / "outlines.json"

FINE_KM, COARSE_KM = 0.05, 1.5
"""How far a line may lie off: around the countries of the crossings, and elsewhere."""
FINE = ("BY", "LT", "LV", "PL")
ZONES: Mapping[str, Sequence[str]] = {
    "AT": ["Europe/Vienna"],
    "BY": ["Europe/Minsk"],
    "CZ": ["Europe/Prague"],
    "DE": ["Europe/Berlin", "Europe/Busingen"],
    "EE": ["Europe/Tallinn"],
    "FI": ["Europe/Helsinki", "Europe/Mariehamn"],
    "HU": ["Europe/Budapest"],
    "LT": ["Europe/Vilnius"],
    "LV": ["Europe/Riga"],
    "MD": ["Europe/Chisinau"],
    "PL": ["Europe/Warsaw"],
    "RO": ["Europe/Bucharest"],
    "RU": ["Europe/Kaliningrad", "Europe/Moscow"],
    "SE": ["Europe/Stockholm"],
    "SK": ["Europe/Bratislava"],
    "UA": ["Europe/Kyiv"],
}
"""The zones of each country that may come into view; of Russia, those in the west."""

_STEPS = 10_000
"""Of a degree, in what is written."""
_KM = 111.2 / 1_000_000
"""Of a millionth of a degree, north and south."""
_NARROWING = math.cos(math.radians(54.5))
"""Of a degree of longitude against one of latitude, where the crossings are."""

Vertex = tuple[int, int]
"""Longitude and latitude, in millionths of a degree."""


class _Lines:
    """The rings of all countries, cut where more than two lines meet: each line once."""

    def __init__(self, rings: Mapping[str, list[list[Vertex]]]) -> None:
        meeting = _meeting(rings)
        self.lines: list[list[Vertex]] = []
        self.countries: list[set[str]] = []
        self.rings: dict[str, list[list[int]]] = defaultdict(list)
        """Of each country, by the numbers of its lines; ``~number`` runs backwards."""
        known: dict[tuple[Vertex, ...], int] = {}
        for country, those in rings.items():
            for ring in those:
                cut = list(_cut(ring, meeting))
                self.rings[country].append([self._number(one, country, known) for one in cut])

    def _number(
        self, line: list[Vertex], country: str, known: dict[tuple[Vertex, ...], int]
    ) -> int:
        forward = tuple(line)
        number = known.get(forward)
        if number is None and (number := known.get(forward[::-1])) is not None:
            self.countries[number].add(country)
            return ~number
        if number is None:
            number = known[forward] = len(self.lines)
            self.lines.append(line)
            self.countries.append(set())
        self.countries[number].add(country)
        return number


def _meeting(rings: Mapping[str, list[list[Vertex]]]) -> set[Vertex]:
    """Return the vertices that have more neighbours than two in all rings together."""
    beside: dict[Vertex, tuple[Vertex, Vertex]] = {}
    meeting: set[Vertex] = set()
    for those in rings.values():
        for ring in those:
            for before, vertex, after in zip(
                [ring[-1], *ring], ring, [*ring[1:], ring[0]], strict=False
            ):
                both = (before, after) if before < after else (after, before)
                if beside.setdefault(vertex, both) != both:
                    meeting.add(vertex)
    return meeting


def _cut(ring: list[Vertex], meeting: set[Vertex]) -> Iterator[list[Vertex]]:
    """Yield a ring's lines; one that meets no other begins at its lowest vertex, whosever it is."""
    cuts = [place for place, vertex in enumerate(ring) if vertex in meeting]
    start = cuts[0] if cuts else ring.index(min(ring))
    turned = [*ring[start:], *ring[: start + 1]]
    ends = [place - start for place in cuts[1:]] + [len(ring)]
    begin = 0
    for end in ends:
        yield turned[begin : end + 1]
        begin = end


def simplified(line: list[Vertex], tolerance_km: float) -> list[Vertex]:
    """Return the line with fewer vertices, nowhere farther off than ``tolerance_km``.

    Its ends stay (Douglas and Peucker, 1973).
    """
    x = [vertex[0] * _KM * _NARROWING for vertex in line]
    y = [vertex[1] * _KM for vertex in line]
    kept = bytearray(len(line))
    kept[0] = kept[-1] = 1
    parts = [(0, len(line) - 1)]
    while parts:
        first, last = parts.pop()
        ax, ay = x[first], y[first]
        dx, dy = x[last] - ax, y[last] - ay
        length = math.hypot(dx, dy)
        farthest, where = tolerance_km, 0
        for one in range(first + 1, last):
            px, py = x[one] - ax, y[one] - ay
            # Beyond an end, the distance is that to the end: what turns back counts, too.
            along = (px * dx + py * dy) / length if length else -1.0
            if along < 0:
                off = math.hypot(px, py)
            elif along > length:
                off = math.hypot(px - dx, py - dy)
            else:
                off = abs(px * dy - py * dx) / length
            if off > farthest:
                farthest, where = off, one
        if where:
            kept[where] = 1
            parts += [(first, where), (where, last)]
    return [vertex for vertex, keep in zip(line, kept, strict=True) if keep]


def _written(line: list[Vertex]) -> list[int]:
    """Return a line as the first vertex and the steps to each next one, all in one list."""
    found: list[int] = []
    x = y = 0
    for lon, lat in line:
        east, north = round(lon * _STEPS / 1e6), round(lat * _STEPS / 1e6)
        if not found or (east, north) != (x, y):
            found += [east - x, north - y]
        x, y = east, north
    return found


def zone_rings() -> dict[str, list[list[Vertex]]]:
    """Return the rings of each country's zones."""
    from timezonefinder import TimezoneFinder  # noqa: PLC0415  # tests need only what follows

    finder = TimezoneFinder()
    return {
        country: [
            [(round(lon * 1e6), round(lat * 1e6)) for lon, lat in ring]
            for zone in zones
            for polygon in finder.get_geometry(tz_name=zone, coords_as_pairs=True)
            for ring in polygon
        ]
        for country, zones in ZONES.items()
    }


def make(rings: Mapping[str, list[list[Vertex]]]) -> bytes:
    """Return the outlines as JSON: lines, the rings of each country, the lines of each border."""
    lines = _Lines(rings)
    told = [
        _written(simplified(line, FINE_KM if countries & set(FINE) else COARSE_KM))
        for line, countries in zip(lines.lines, lines.countries, strict=True)
    ]
    borders: dict[str, list[int]] = defaultdict(list)
    for number, countries in enumerate(lines.countries):
        if len(countries) > 1:
            borders["-".join(sorted(countries))].append(number)
    body = {
        "attribution": "© OpenStreetMap contributors, ODbL",
        "steps": _STEPS,
        "lines": told,
        "countries": lines.rings,
        "borders": borders,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


if __name__ == "__main__":
    FILE.write_bytes(make(zone_rings()))
