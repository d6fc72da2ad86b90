"""Make the main roads that the map shows, anew: needed only when crossings or towns were added.

    pip install --no-deps scgraph_data && python -m tools.make_roads

Of the network of main roads of OpenStreetMap, as the package `scgraph_data` has it: the junctions,
and how long the road is from each to the next. The way between two junctions is drawn straight, so
the map says that its roads are simplified, and leaves them out where one looks closely. Shown are
the shortest ways from each crossing by road, and from each town, to the towns around it.
"""

import ast
import json
import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from importlib.util import find_spec
from pathlib import Path

from app.places.geography import Point

ROOT = Path(__file__).parents[1]
FILE = ROOT / "app" / "pages" / "static" / "roads.json"
TOWNS = FILE.with_name("towns.json")

_STEPS = 1_000
"""Of a degree, in what is written; the junctions are no more exact."""
_OFF_KM = 10.0
"""How far a road may lie off the straight line at most, by its length, to be shown."""
_AROUND_DEGREES = 4
"""How far from crossings and towns a junction can matter."""
_TOWNS = 4
"""To how many of the towns around the ways are shown."""
_CROSSING_KM, _TOWN_KM = 250.0, 400.0
"""How long a way from a crossing, and from a town, may be."""
_PASSED = 2
"""How many ways meet at a junction that a line passes through."""

Way = tuple[int, int]
"""Two neighbouring junctions, the lower number first."""
Network = Mapping[int, Mapping[int, float]]
"""The neighbours of each junction, with the length of the road to each in kilometres."""


def package_roads() -> tuple[Sequence[Mapping[int, float]], Sequence[Point]]:
    """Return the neighbours of each junction of the world with the distances, and the places."""
    package = find_spec("scgraph_data")
    assert package is not None
    assert package.submodule_search_locations is not None
    # Read, not imported: the module needs the whole of `scgraph`.
    (folder,) = package.submodule_search_locations
    lines = (Path(folder) / "world_highways.py").read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if line.startswith(("graph=", "nodes=")))
    places = [Point(lat, lon) for lat, lon in ast.literal_eval(values["nodes"])]
    return ast.literal_eval(values["graph"]), places


def near_roads(
    neighbours: Sequence[Mapping[int, float]], places: Sequence[Point], around: Iterable[Point]
) -> Network:
    """Return the part of the network that lies around some points and is almost straight."""
    cells = {
        (round(point.lat) + north, round(point.lon) + east)
        for point in around
        for north in range(-_AROUND_DEGREES, _AROUND_DEGREES + 1)
        for east in range(-_AROUND_DEGREES, _AROUND_DEGREES + 1)
    }
    near = {
        number
        for number, place in enumerate(places)
        if (round(place.lat), round(place.lon)) in cells
    }
    network: dict[int, dict[int, float]] = defaultdict(dict)
    for start in near:
        for end, km in neighbours[start].items():
            if end in near and _may_be_off_km(km, places[start], places[end]) <= _OFF_KM:
                network[start][end] = network[end][start] = km
    return network


def _may_be_off_km(km: float, start: Point, end: Point) -> float:
    """Return how far a road of this length may lie off the straight line between its ends."""
    straight = start.distance_km(end)
    return math.sqrt(max(0.0, km**2 - straight**2)) / 2


def nearest_junction(network: Network, places: Sequence[Point], point: Point) -> int:
    return min(network, key=lambda number: point.distance_km(places[number]))


def ways_to_goals(network: Network, start: int, goals: set[int], limit_km: float) -> set[Way]:
    """Return the ways of the shortest paths (Dijkstra, 1959) from a junction to the next goals."""
    distances, previous = {start: 0.0}, {start: start}
    queue = [(0.0, start)]
    reached: list[int] = []
    while queue and len(reached) < _TOWNS:
        km, junction = heappop(queue)
        if km > min(limit_km, distances[junction]):
            continue
        if junction in goals - {start}:
            reached.append(junction)
        for neighbour, further in network[junction].items():
            if km + further < distances.get(neighbour, math.inf):
                distances[neighbour], previous[neighbour] = km + further, junction
                heappush(queue, (km + further, neighbour))
    ways: set[Way] = set()
    for goal in reached:
        junction = goal
        while junction != start:
            before = previous[junction]
            ways.add((min(junction, before), max(junction, before)))
            junction = before
    return ways


def joined(ways: set[Way]) -> Iterator[list[int]]:
    """Yield lines of junctions that together have each way once; they end where others meet."""
    neighbours: dict[int, set[int]] = defaultdict(set)
    for start, end in ways:
        neighbours[start].add(end)
        neighbours[end].add(start)
    passed = {number for number, ends in neighbours.items() if len(ends) == _PASSED}
    # Rings that meet no other line come last: they begin anywhere.
    for start in sorted(neighbours, key=lambda number: (number in passed, number)):
        while neighbours[start]:
            line = [start, min(neighbours[start])]
            neighbours[line[0]].remove(line[1])
            neighbours[line[1]].remove(line[0])
            while line[-1] in passed and neighbours[line[-1]]:
                (further,) = neighbours[line[-1]]
                neighbours[line[-1]].remove(further)
                neighbours[further].remove(line[-1])
                line.append(further)
            yield line


def _written(line: Iterable[Point]) -> list[int]:
    """Return a line as the first junction and the steps to each next one, all in one list."""
    steps: list[int] = []
    x = y = 0
    for place in line:
        east, north = round(place.lon * _STEPS), round(place.lat * _STEPS)
        steps += [east - x, north - y]
        x, y = east, north
    return steps


def make(
    neighbours: Sequence[Mapping[int, float]],
    places: Sequence[Point],
    *,
    crossings: Sequence[Point],
    towns: Sequence[Point],
) -> bytes:
    """Return the roads as JSON: lines of junctions, the first in thousandths of a degree."""
    network = near_roads(neighbours, places, [*crossings, *towns])
    goals = {nearest_junction(network, places, town) for town in towns}
    ways: set[Way] = set()
    for crossing in crossings:
        start = nearest_junction(network, places, crossing)
        ways |= ways_to_goals(network, start, goals, _CROSSING_KM)
    for start in goals:
        ways |= ways_to_goals(network, start, goals, _TOWN_KM)
    body = {
        "attribution": "© OpenStreetMap contributors, ODbL",
        "steps": _STEPS,
        "lines": [_written(places[number] for number in line) for line in joined(ways)],
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def seeded_crossings() -> list[Point]:
    """Return where the crossings by road lie that the seeds locate."""
    files = sorted(ROOT.glob("seeds/*/*.toml"))
    crossings = [
        crossing
        for file in files
        for crossing in tomllib.loads(file.read_text(encoding="utf-8")).get("crossing", [])
    ]
    locations = [
        crossing["location"]
        for crossing in crossings
        if crossing.get("mode", "road") == "road" and "location" in crossing
    ]
    return [Point(location["lat"], location["lon"]) for location in locations]


def mapped_towns() -> list[Point]:
    """Return where the towns lie that the map names."""
    towns = json.loads(TOWNS.read_text(encoding="utf-8"))["towns"]
    return [Point(lat, lon) for lon, lat, *_ in towns]


if __name__ == "__main__":
    FILE.write_bytes(make(*package_roads(), crossings=seeded_crossings(), towns=mapped_towns()))
