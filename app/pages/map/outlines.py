"""Outlines of the countries around the crossings, for the map: made once, at set-up.

Of the time zones in `timezonefinder-data`, which end at the borders as OpenStreetMap has them,
and at sea where territorial waters do. A line between two zones is simplified once, for both,
so that no gap opens and a crossing stays at the border that is drawn.
"""

import json
import math
import struct
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from timezonefinder_data import DATA_DIR  # type: ignore[import-untyped]  # has no types

FILE = Path(str(files("app.pages"))) / "static" / "outlines.json"
"""Where set-up puts them, for every process."""

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
"""Of a step of the zones' own, north and south."""
_NARROWING = math.cos(math.radians(54.5))
"""Of a degree of longitude against one of latitude, where the crossings are."""

_BLOCK = 128
_FORMAT = b"TZFP"
_LAYOUT = 3
_KINDS = {"<i4": "i", "<u4": "I", "|u1": "B", "<u2": "H"}

Vertex = tuple[int, int]
"""Longitude and latitude, in millionths of a degree."""


class _Zones:
    """The files of the package, format generation 3: each ring of vertices in blocks of 128.

    A block holds the longitudes, then the latitudes as steps above its lowest, each number in
    as few bits as the largest needs, padded to whole words; and the first vertex of the next.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = (folder / "boundaries" / "coordinates.bin").read_bytes()
        names = (folder / "timezone_names.txt").read_text(encoding="utf-8").split()
        self.zones = [names[number] for number in self._array("zone_ids")]
        table = self._uint(0)
        if self._data[4:8] != _FORMAT or self._field(table, 1, "<H") != _LAYOUT:
            raise ValueError("The time zones are written in a format that is not known here.")
        self._rings = self._referred(table, 0)

    @cached_property
    def _frames(self) -> tuple[Sequence[int], ...]:
        names = ("nr_vertices", "block_offsets", "block_bases", "block_ranges", "block_widths")
        return tuple(self._array(f"boundaries/{name}") for name in names)

    def ring(self, number: int) -> list[Vertex]:
        lengths, offsets, bases, ranges, widths = self._frames
        entry = self._rings + 4 + 4 * number
        place = self._referred(entry + self._uint(entry), 0) + 4
        left = lengths[number]
        ring: list[Vertex] = []
        for block in range(offsets[number], offsets[number + 1]):
            count = min(_BLOCK, left)
            left -= count
            axes: list[list[int]] = []
            for axis, base in enumerate((bases[block], ranges[2 * block])):
                width = widths[2 * block + axis]
                size = -(-(count + 1) * width // 32) * 4
                bits = int.from_bytes(self._data[place : place + size], "little")
                mask = (1 << width) - 1
                place += size
                axes.append([base // 10 + (bits >> (one * width) & mask) for one in range(count)])
            ring += zip(*axes, strict=True)
        return ring

    # The container is a FlatBuffer: a table lists where its fields are in front of it.

    def _uint(self, place: int) -> int:
        return int.from_bytes(self._data[place : place + 4], "little")

    def _place(self, table: int, slot: int) -> int:
        (back,) = struct.unpack_from("<i", self._data, table)
        (offset,) = struct.unpack_from("<H", self._data, table - back + 4 + 2 * slot)
        return table + int(offset)

    def _field(self, table: int, slot: int, kind: str) -> int:
        return int(struct.unpack_from(kind, self._data, self._place(table, slot))[0])

    def _referred(self, table: int, slot: int) -> int:
        place = self._place(table, slot)
        return place + self._uint(place)

    def _array(self, name: str) -> Sequence[int]:
        """Read a file of numbers as NumPy writes them."""
        content = (self._folder / f"{name}.npy").read_bytes()
        start = 10 + int.from_bytes(content[8:10], "little")
        kind = content[10:start].decode().split("'descr': '")[1].partition("'")[0]
        return array(_KINDS[kind], content[start:])


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


def make(folder: Path = DATA_DIR) -> bytes:
    """Return the outlines as JSON: lines, the rings of each country, the lines of each border."""
    zones = _Zones(folder)
    country_of = {zone: country for country, those in ZONES.items() for zone in those}
    rings: dict[str, list[list[Vertex]]] = {country: [] for country in ZONES}
    for number, zone in enumerate(zones.zones):
        if zone in country_of:
            rings[country_of[zone]].append(zones.ring(number))
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


def load() -> bytes:
    """Return what set-up made; without one, make it, which takes some seconds."""
    return FILE.read_bytes() if FILE.exists() else make()


if __name__ == "__main__":
    FILE.write_bytes(make())
