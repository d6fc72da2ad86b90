"""The outlines that the map is drawn on: small, whole, and true to where crossings are."""

import gzip
import json
import math
import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from app.config import PROJECT
from app.pages.assets import ASSETS
from tests.marks import full
from tools.make_outlines import make, simplified

Point = tuple[float, float]
"""Kilometres east and north, near the crossings."""

KM = 111.2
OUTLINES = ASSETS["outlines.json"].body
AROUND_KM = 0.2
"""Farther than a line may lie off."""

pytestmark = full


def seeded() -> list[dict[str, Any]]:
    """Return the crossings around which the outlines are fine, where they have a location."""
    files = [*PROJECT.glob("seeds/by-*/crossings.toml"), *PROJECT.glob("seeds/by-*/rail.toml")]
    found = [
        one
        for file in sorted(files)
        for one in tomllib.loads(file.read_text(encoding="utf-8")).get("crossing", [])
    ]
    return [one for one in found if one.get("location")]


LOCATED = seeded()
IDS = [one["id"] for one in LOCATED]


def plane(lon: float, lat: float) -> Point:
    return lon * KM * math.cos(math.radians(54.5)), lat * KM


class Drawn:
    """What a map draws of the outlines."""

    def __init__(self, body: bytes) -> None:
        told = json.loads(body)
        self.lines = [list(self._decoded(line, told["steps"])) for line in told["lines"]]
        self.rings: dict[str, list[list[int]]] = told["countries"]
        self.borders: dict[str, list[int]] = told["borders"]

    @staticmethod
    def _decoded(line: list[int], steps: int) -> Iterator[Point]:
        lon = lat = 0
        for east, north in zip(line[::2], line[1::2], strict=True):
            lon, lat = lon + east, lat + north
            yield plane(lon / steps, lat / steps)

    def ring(self, numbers: list[int]) -> list[Point]:
        return [
            point
            for number in numbers
            for point in (self.lines[number] if number >= 0 else self.lines[~number][::-1])
        ]

    def holds(self, country: str, point: Point) -> bool:
        """Tell whether a point lies in a country, by how often a ray from it meets the rings."""
        x, y = point
        met = 0
        for numbers in self.rings[country]:
            ring = self.ring(numbers)
            for (ax, ay), (bx, by) in pairwise(ring):
                if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
                    met += 1
        return met % 2 == 1

    def nearest(self, border: str, point: Point) -> tuple[float, Point]:
        """Return how far a border is, and where it is nearest."""
        return min(
            _off(point, a, b)
            for number in self.borders[border]
            for a, b in pairwise(self.lines[number])
        )


def _off(point: Point, a: Point, b: Point) -> tuple[float, Point]:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy)
    along = ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length**2
    along = min(1.0, max(0.0, along))
    foot = a[0] + along * dx, a[1] + along * dy
    return math.dist(point, foot), foot


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return Drawn(OUTLINES)


def test_they_are_small() -> None:
    """A phone at the roadside fetches them once."""
    assert len(gzip.compress(OUTLINES)) < 100_000


def test_two_countries_with_a_border_and_an_island_are_lines_and_rings() -> None:
    """Made of small shapes: the border is one line of both, and a hole is a ring like others."""
    west = [(0, 0), (1_000_000, 0), (1_000_000, 1_000_000), (0, 1_000_000)]
    east = [(1_000_000, 0), (2_000_000, 0), (2_000_000, 1_000_000), (1_000_000, 1_000_000)]
    island = [(0, 3_000_000), (500_000, 3_000_000), (500_000, 3_500_000)]

    made = json.loads(make({"LT": [west, island], "BY": [east]}))

    (border,) = made["borders"]["BY-LT"]
    assert made["lines"][border] in ([10_000, 0, 0, 10_000], [10_000, 10_000, 0, -10_000])
    assert [len(rings) for rings in made["countries"].values()] == [2, 1]


def test_the_crossings_have_locations() -> None:
    assert len(LOCATED) >= 15


@pytest.mark.parametrize("crossing", LOCATED, ids=IDS)
def test_a_crossing_is_at_its_border_as_drawn(drawn: Drawn, crossing: dict[str, Any]) -> None:
    """No farther than its own location may be off."""
    place = crossing["location"]
    off, _ = drawn.nearest("-".join(sorted(crossing["sides"])), plane(place["lon"], place["lat"]))

    assert off <= place["precision_km"]


@pytest.mark.parametrize("crossing", LOCATED, ids=IDS)
def test_a_crossing_has_its_countries_on_either_side(
    drawn: Drawn, crossing: dict[str, Any]
) -> None:
    """Around the place of the border that is nearest to it are those two, and no others."""
    place = crossing["location"]
    sides = sorted(crossing["sides"])
    _, (x, y) = drawn.nearest("-".join(sides), plane(place["lon"], place["lat"]))
    around = [
        (x + AROUND_KM * math.cos(angle / 6), y + AROUND_KM * math.sin(angle / 6))
        for angle in range(38)
    ]

    found = [[one for one in drawn.rings if drawn.holds(one, point)] for point in around]
    assert sorted({one for those in found for one in those}) == sides
    assert all(len(those) == 1 for those in found)


def test_a_border_is_one_line_of_both_countries(drawn: Drawn) -> None:
    """Else a gap would open between them, or they would overlap."""
    used = Counter(
        number if number >= 0 else ~number
        for rings in drawn.rings.values()
        for ring in rings
        for number in ring
    )
    shared = {number for numbers in drawn.borders.values() for number in numbers}

    assert shared
    assert all(used[number] == 2 for number in shared)
    assert {"BY-LT", "BY-LV", "BY-PL"} <= set(drawn.borders)


def test_every_ring_is_closed(drawn: Drawn) -> None:
    for rings in drawn.rings.values():
        for numbers in rings:
            ring = drawn.ring(numbers)
            assert math.dist(ring[0], ring[-1]) < 0.001


def test_simplifying_keeps_the_ends_and_what_lies_farther_off() -> None:
    """A bump of 1 km stays, one of some metres goes; a way there and back is not nothing."""
    bump = 9_000  # millionths of a degree: a kilometre
    line = [(0, 0), (50_000, 50), (100_000, bump), (150_000, 50), (200_000, 0)]

    assert simplified(line, 0.1) == [
        (0, 0),
        (50_000, 50),
        (100_000, bump),
        (150_000, 50),
        (200_000, 0),
    ]
    assert simplified([(0, 0), (50_000, 50), (100_000, 0)], 0.1) == [
        (0, 0),
        (100_000, 0),
    ]
    assert simplified([(0, 0), (50_000, 0), (0, 0)], 0.1) == [
        (0, 0),
        (50_000, 0),
        (0, 0),
    ]
