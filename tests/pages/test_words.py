"""How things are said: places, instants by the clocks of both sides, kinds that share words."""

from datetime import UTC, datetime, timedelta

import pytest

from app.pages.languages import LANGUAGES
from app.pages.words import Words
from app.pages.zones import Clocks, zone_of
from app.places.geography import Point
from app.places.schemas import Name
from app.vocabulary import ExceptionCode, Mode, Precision, ReasonCode, Status, Traffic

SUMMER = datetime(2023, 8, 17, 21, tzinfo=UTC)
WINTER = datetime(2025, 10, 28, 22, tzinfo=UTC)
BORDER = Clocks(["LT", "BY"])
POLISH = Clocks(["PL", "BY"])
NAMES = [
    Name(lang="lt", side="LT", name="Šumskas"),
    Name(lang="en", side="LT", name="Shumskas"),
    Name(lang="ru", side="LT", name="Шумскас"),
    Name(lang="be", side="BY", name="Лоша"),
    Name(lang="en", side="BY", name="Losha"),
]


def words(code: str = "en") -> Words:
    return Words(LANGUAGES[code])


@pytest.mark.parametrize(
    ("at", "clocks", "precision", "told"),
    [
        (SUMMER, BORDER, Precision.MINUTE, "18 Aug 2023, 00:00 (Vilnius, Minsk)"),
        (WINTER, BORDER, Precision.MINUTE, "29 Oct 2025, 00:00 (Vilnius) · 01:00 (Minsk)"),
        (
            SUMMER,
            POLISH,
            Precision.HOUR,
            "17 Aug 2023, 23:00 (Warsaw) · 18 Aug 2023, 00:00 (Minsk)",
        ),
        (SUMMER, POLISH, Precision.DAY, "17 Aug 2023"),
        (SUMMER, BORDER, Precision.MONTH, "August 2023"),
        (SUMMER, BORDER, Precision.UNKNOWN, "date unknown"),
    ],
)
def test_an_instant_is_told_by_the_clocks_there_and_no_finer_than_it_is_known(
    at: datetime, clocks: Clocks, precision: Precision, told: str
) -> None:
    assert words().instant(at, clocks.zones, precision).striptags() == told


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (datetime(2025, 10, 27, 21, tzinfo=UTC), "29 Oct 2025, 00:00 (Vilnius)"),
        (datetime(2025, 10, 28, 21, tzinfo=UTC), "tomorrow 00:00 (Vilnius)"),
        (datetime(2025, 10, 28, 22, tzinfo=UTC), "today 00:00 (Vilnius)"),
    ],
)
def test_a_day_that_is_near_is_called_so_by_the_clock_there(now: datetime, told: str) -> None:
    assert words().instant(WINTER, BORDER.zones[:1], now=now).striptags() == told


def test_an_evening_is_tonight() -> None:
    evening = datetime(2025, 10, 28, 20, tzinfo=UTC)

    near = words().instant(evening, BORDER.zones[:1], now=evening - timedelta(hours=5))
    assert near.striptags() == "tonight 22:00 (Vilnius)"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("en", "for cars, buses and trucks to Belarus"),
        (
            "lt",
            "lengviesiems automobiliams, autobusams ir krovininiams automobiliams į Baltarusiją",
        ),
        ("pl", "dla samochodów osobowych, autobusów i ciężarówek do Białorusi"),
        ("ru", "для легковых автомобилей, автобусов и грузовых автомобилей в Беларусь"),
        ("be", "для легкавых аўтамабіляў, аўтобусаў і грузавых аўтамабіляў у Беларусь"),
    ],
)
def test_for_whom_is_said_in_the_case_that_a_status_takes(code: str, told: str) -> None:
    assert words(code).for_whom([Traffic.CAR, Traffic.BUS, Traffic.TRUCK], ["BY"]) == told


def test_a_railway_does_not_pass_for_the_road_of_its_name() -> None:
    """Terespol – Brest is both."""
    assert words().crossing_of(NAMES, Mode.ROAD) == "Shumskas – Losha"
    assert words().crossing_of(NAMES, Mode.RAIL) == "Shumskas – Losha (rail)"


def test_an_instant_tells_utc_as_its_title() -> None:
    assert str(words().instant(SUMMER, BORDER.zones)).startswith(
        '<time datetime="2023-08-17T21:00:00Z" title="2023-08-17 21:00 UTC">'
    )


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("en", "Shumskas – Losha"),
        ("lt", "Šumskas – Losha"),
        ("ru", "Шумскас – Лоша"),
        ("be", "Шумскас – Лоша"),
        ("pl", "Shumskas – Losha"),
    ],
)
def test_a_crossing_is_called_as_its_readers_call_it(code: str, told: str) -> None:
    """Else in the next language that they read."""
    assert words(code).crossing(NAMES) == told


def test_directions_are_grammatical_and_there_is_one_for_every_country() -> None:
    assert words("pl").direction("LT") == "do Litwy"
    assert words("lt").direction("BY") == "į Baltarusiją"
    assert words("en").direction("GE") == "→ Georgia"


def test_kinds_that_share_a_word_do_not_share_its_name() -> None:
    assert words().word(ReasonCode.OTHER) == "other reason"
    assert words().word(ExceptionCode.OTHER) == "other exceptions"


def test_a_sentence_begins_with_a_capital() -> None:
    assert words("be").title_word(Status.UNKNOWN) == "Невядома"


@pytest.mark.parametrize(
    ("country", "near", "zone"),
    [
        ("LT", None, "Europe/Vilnius"),
        ("UA", None, "Europe/Kyiv"),
        ("RU", Point(54.6, 22.0), "Europe/Kaliningrad"),
        ("RU", Point(54.7, 31.0), "Europe/Moscow"),
        ("NO", None, "Europe/Berlin"),
        ("ZZ", None, "UTC"),
    ],
)
def test_the_zone_is_that_of_the_place(country: str, near: Point | None, zone: str) -> None:
    assert zone_of(country, near).key == zone
