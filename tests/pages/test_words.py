"""How things are said: places, instants by the clocks of both sides, kinds that share words."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.languages.languages import LANGUAGES
from app.languages.words import Words
from app.places.geography import Point
from app.places.schemas import Name
from app.places.zones import Clocks, zone_of
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
        (SUMMER, POLISH, Precision.DAY, "18 Aug 2023"),
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


def test_a_latvian_date_is_in_numbers() -> None:
    """Else its month would take one case after "since" and another after "until"."""
    told = words("lv").instant(SUMMER, BORDER.zones).striptags()

    assert told == "18.08.2023, 00:00 (Viļņa, Minska)"


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
        ("lv", "vieglajiem automobiļiem, autobusiem un kravas automobiļiem uz Baltkrieviju"),
        ("uk", "для легкових автомобілів, автобусів і вантажівок до Білорусі"),
    ],
)
def test_for_whom_is_said_in_the_case_that_a_status_takes(code: str, told: str) -> None:
    assert words(code).for_whom([Traffic.CAR, Traffic.BUS, Traffic.TRUCK], ["BY"]) == told


def test_a_railway_does_not_pass_for_the_road_of_its_name() -> None:
    """Terespol – Brest is both."""
    assert words().crossing_of(NAMES, Mode.ROAD) == "Shumskas – Losha"
    assert words().crossing_of(NAMES, Mode.RAIL) == "Shumskas – Losha (rail)"


MIDNIGHT = datetime(2026, 12, 26, 22, tzinfo=UTC)
"""Of the 27th of December in Vilnius, when it is 01:00 in Minsk."""


@pytest.mark.parametrize(
    ("at", "precision", "told"),
    [
        (MIDNIGHT, Precision.DAY, "26 Dec 2026"),
        (MIDNIGHT, Precision.MONTH, "26 Dec 2026"),
        (datetime(2026, 11, 30, 22, tzinfo=UTC), Precision.MONTH, "November 2026"),
        (datetime(2026, 12, 26, 16, tzinfo=UTC), Precision.DAY, "26 Dec 2026, 18:00 (Vilnius)"),
        (MIDNIGHT, Precision.MINUTE, "27 Dec 2026, 00:00 (Vilnius)"),
    ],
)
def test_a_period_known_to_the_day_ends_with_its_last_day(
    at: datetime, precision: Precision, told: str
) -> None:
    assert words().end(at, [ZoneInfo("Europe/Vilnius")], precision).striptags() == told


@pytest.mark.parametrize("sides", [["LT", "BY"], ["BY", "LT"]])
def test_a_day_is_that_of_the_side_where_it_began(sides: list[str]) -> None:
    """At midnight in Minsk it is still the day before in Vilnius."""
    minsk = datetime(2026, 12, 23, 21, tzinfo=UTC)

    day = words().instant(minsk, Clocks(sides).zones, Precision.DAY)

    assert day == '<time datetime="2026-12-24">24 Dec 2026</time>'


def test_an_instant_tells_utc_as_its_title() -> None:
    assert str(words().instant(SUMMER, BORDER.zones)).startswith(
        '<time datetime="2023-08-17T21:00:00Z" title="2023-08-17 21:00 UTC">'
    )


AUTUMN = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
"""03:30 in Vilnius for the first time; an hour later it is so once more."""


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (AUTUMN, "25 Oct 2026, 03:30 UTC+03:00 (Vilnius)"),
        (AUTUMN + timedelta(hours=1), "25 Oct 2026, 03:30 UTC+02:00 (Vilnius)"),
        (AUTUMN + timedelta(hours=2), "25 Oct 2026, 04:30 (Vilnius)"),
        (AUTUMN - timedelta(hours=1), "25 Oct 2026, 02:30 (Vilnius)"),
        # The hour that spring leaves out is no clock's, and so never ambiguous.
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "29 Mar 2026, 04:30 (Vilnius)"),
    ],
)
def test_an_hour_that_autumn_has_twice_is_told_with_its_offset(at: datetime, told: str) -> None:
    assert words().instant(at, [ZoneInfo("Europe/Vilnius")]).striptags() == told


def test_clocks_that_agree_only_by_name_are_told_apart() -> None:
    """When Warsaw has its second 02:30, Minsk has 04:30; nobody reads one for the other."""
    at = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)

    told = words().instant(at, POLISH.zones).striptags()

    assert told == "25 Oct 2026, 02:30 UTC+01:00 (Warsaw) · 04:30 (Minsk)"


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (timedelta(seconds=3), "less than an hour ago"),
        (timedelta(minutes=59), "less than an hour ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(days=3), "3 days ago"),
    ],
)
def test_what_was_said_just_now_is_not_an_hour_old(before: timedelta, told: str) -> None:
    assert words().ago(AUTUMN - before, AUTUMN) == told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("en", "Shumskas – Losha"),
        ("lt", "Šumskas – Losha"),
        ("ru", "Шумскас – Лоша"),
        ("be", "Шумскас – Лоша"),
        ("pl", "Shumskas – Losha"),
        ("lv", "Shumskas – Losha"),
        ("uk", "Шумскас – Лоша"),
    ],
)
def test_a_crossing_is_called_as_its_readers_call_it(code: str, told: str) -> None:
    """Else in the next language that they read."""
    assert words(code).crossing(NAMES) == told


def test_directions_are_grammatical_and_there_is_one_for_every_country() -> None:
    assert words("pl").direction("LT") == "do Litwy"
    assert words("lt").direction("BY") == "į Baltarusiją"
    assert words("lv").direction("BY") == "uz Baltkrieviju"
    assert words("uk").direction("PL") == "до Польщі"
    assert words("en").direction("GE") == "→ Georgia"


@pytest.mark.parametrize(
    ("code", "lang", "told"),
    [
        ("en", "en-GB", "Closed"),
        ("en", "pl", "Closed (in Polish)"),
        ("lv", "en", "Closed (angļu valodā)"),
        ("uk", "en", "Closed (англійською)"),
        ("pl", "cs-CZ", "Closed (czeski)"),
        ("en", "xx", "Closed (xx)"),
    ],
)
def test_a_text_in_another_language_is_marked(code: str, lang: str, told: str) -> None:
    """By its name alone where we have no phrase for it."""
    assert words(code).marked("Closed", lang) == told


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
