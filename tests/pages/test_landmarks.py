"""The towns and roads of the map: small, in every language, and where they belong."""

import gzip
import json
import tomllib
from itertools import accumulate

from app.languages.languages import LANGUAGES
from app.pages.assets import ASSETS
from app.places.geography import Point
from tests.pages.test_outlines import OUTLINES, Drawn, plane
from tools.make_roads import make as make_roads
from tools.make_roads import seeded_crossings
from tools.make_towns import NAMES, City
from tools.make_towns import make as make_towns

TOWNS = json.loads(ASSETS["towns.json"].body)["towns"]
ROADS = json.loads(ASSETS["roads.json"].body)
NAMED = tomllib.loads(NAMES.read_text(encoding="utf-8"))
AROUND_KM = 200
REACH_KM = 40


def test_they_are_small() -> None:
    """Together with the outlines they are fetched on the first visit."""
    for name, largest in (("towns.json", 6_000), ("roads.json", 15_000)):
        assert len(gzip.compress(ASSETS[name].body)) < largest


def test_every_town_lies_in_its_country() -> None:
    drawn = Drawn(OUTLINES)
    countries = {
        names["en"]: country for country, towns in NAMED.items() for names in towns.values()
    }
    outside = [
        names["en"]
        for lon, lat, _, names in TOWNS
        if not drawn.holds(countries[names["en"]], plane(lon, lat))
    ]

    assert len(TOWNS) == len(countries)
    assert outside == []


def test_towns_are_named_in_the_languages_of_the_pages() -> None:
    """But for a few that have no usual name in a language: there the English one is shown."""
    missing = [
        f"{code}: {names['en']}"
        for towns in NAMED.values()
        for names in towns.values()
        for code in LANGUAGES
        if code not in names
    ]

    assert sorted(missing) == [
        "lt: Biała Podlaska",
        "lt: Bălți",
        "lv: Augustów",
        "lv: Galați",
        "lv: Homel",
        "lv: Kovel",
        "lv: Mahilyow",
        "lv: Nyíregyháza",
        "lv: Satu Mare",
    ]


def test_every_crossing_has_towns_and_a_road_around() -> None:
    """So that the map can be recognised where somebody looks for a crossing."""
    towns = [Point(lat, lon) for lon, lat, *_ in TOWNS]
    junctions = [
        Point(lat / ROADS["steps"], lon / ROADS["steps"])
        for line in ROADS["lines"]
        for lon, lat in zip(accumulate(line[::2]), accumulate(line[1::2]), strict=True)
    ]

    for crossing in seeded_crossings():
        assert sum(crossing.distance_km(town) < AROUND_KM for town in towns) >= 2, crossing
        assert min(crossing.distance_km(junction) for junction in junctions) < REACH_KM, crossing


def test_towns_are_made_of_names_and_places() -> None:
    """The largest first; of towns with the same name, the largest is meant."""
    names = {
        "LT": {"Utena": {"en": "Utena", "pl": "Uciana", "lt": "Utena"}},
        "BY": {"Minsk": {"en": "Minsk", "lt": "Minskas"}},
    }

    def city(name: str, country: str, population: int) -> City:
        return {
            "name": name,
            "countrycode": country,
            "latitude": population / 1e6,
            "longitude": 25.12345,
            "population": population,
        }

    cities = [
        city("Utena", "LT", 6_000),
        city("Utena", "LT", 27_000),
        city("Minsk", "BY", 1_742_124),
        city("Minsk", "PL", 300),
    ]

    assert json.loads(make_towns(names, cities))["towns"] == [
        [25.123, 1.742, 0, {"en": "Minsk", "lt": "Minskas"}],
        [25.123, 0.027, 2, {"en": "Utena", "pl": "Uciana"}],
    ]


def test_roads_are_the_shortest_ways_between_crossings_and_towns() -> None:
    """A detour, a way to nowhere, and one that is far longer than straight are left out."""
    places = [Point(54.0, lon) for lon in (25.0, 25.1, 25.2)] + [
        Point(54.1, 25.1),
        Point(55.0, 25.0),
    ]
    neighbours = [
        {1: 6.6, 3: 13.0, 4: 300.0},
        {0: 6.6, 2: 6.6, 3: 11.2},
        {1: 6.6, 3: 13.0},
        {0: 13.0, 1: 11.2, 2: 13.0},
        {0: 300.0},
    ]

    made = json.loads(
        make_roads(neighbours, places, crossings=[Point(54.0, 25.11)], towns=[places[0], places[2]])
    )

    assert made["lines"] == [[25_000, 54_000, 100, 0, 100, 0]]
