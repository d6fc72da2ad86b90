"""Distances on the globe, and which points a box holds."""

import pytest

from app.places.geography import Box, Point, lies_around


@pytest.mark.parametrize(
    ("here", "there", "km"),
    [
        ((54.6872, 25.2797), (53.9006, 27.5590), 171.8),  # Vilnius, Minsk
        ((54.6872, 25.2797), (54.6872, 25.2797), 0.0),
        ((0, 179.5), (0, -179.5), 111.2),
        ((90, 10), (90, -170), 0.0),
        ((37.1, 12.2), (-37.1, -167.8), 20015.1),
    ],
)
def test_a_distance_is_the_great_circle(
    here: tuple[float, float], there: tuple[float, float], km: float
) -> None:
    assert Point(*here).distance_km(Point(*there)) == km
    assert Point(*there).distance_km(Point(*here)) == km


@pytest.mark.parametrize(
    ("box", "held"),
    [
        ("170,-10,180,10", True),
        ("-180,-10,-170,10", True),
        ("180,-10,-170,10", True),
        ("170,-10,-180,10", True),
        ("170,-10,-170,10", True),
        ("-180,-10,180,10", True),
        ("180,-10,180,10", True),
        ("-180,-10,-180,10", True),
        ("170,-10,179,10", False),
        ("-179,-10,179,10", False),
    ],
)
@pytest.mark.parametrize("lon", [180, -180])
def test_a_point_on_the_180th_meridian_has_both_its_longitudes(
    lon: float, box: str, held: bool
) -> None:
    assert Box.parse(box).holds(Point(0, lon)) is held


def test_a_pole_lies_on_every_meridian() -> None:
    assert Box.parse("20,80,30,90").holds(Point(90, -120))
    assert not Box.parse("20,80,30,89").holds(Point(90, 25))


@pytest.mark.parametrize(
    ("country", "lat", "lon", "around"),
    [
        ("LT", 54.6, 25.8, True),
        ("LT", 53.0, 25.8, True),  # within a degree
        ("LT", 25.8, 54.6, False),
        ("LT", 54.6, -25.8, False),
        ("RU", 66.0, -169.5, True),  # the easternmost island lies beyond the 180th meridian
        ("RU", 54.6, 21.0, True),
        ("RU", 30.0, 60.0, False),
        ("NZ", 54.6, 25.8, True),  # unknown here
    ],
)
def test_a_point_lies_around_a_country_or_far_from_it(
    country: str, lat: float, lon: float, around: bool
) -> None:
    assert lies_around(country, Point(lat, lon)) is around
