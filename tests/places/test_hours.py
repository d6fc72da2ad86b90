"""Regular hours against a minute by minute reading of the clock on the wall."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import PROJECT
from app.places.hours import HoursInvalid, RegularHours

VILNIUS = ZoneInfo("Europe/Vilnius")
WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
API = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Span:
    """Open on some weekdays from a minute of the day on, for so many minutes."""

    weekdays: frozenset[int]
    start: int
    length: int

    def __str__(self) -> str:
        days = ",".join(WEEKDAYS[day] for day in sorted(self.weekdays))
        end = self.start + self.length
        return f"{days} {_clock(self.start)}-{_clock(end if end <= 1440 else end - 1440)}"

    def is_open(self, wall: datetime) -> bool:
        minute = wall.hour * 60 + wall.minute
        yesterday = (wall.weekday() - 1) % 7
        return (
            wall.weekday() in self.weekdays and self.start <= minute < self.start + self.length
        ) or (yesterday in self.weekdays and minute + 1440 < self.start + self.length)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


SPANS = st.lists(
    st.builds(
        Span,
        weekdays=st.sets(st.integers(0, 6), min_size=1).map(frozenset),
        start=st.integers(0, 47).map(lambda half: half * 30),
        length=st.integers(1, 46).map(lambda half: half * 30),
    ),
    min_size=1,
    max_size=3,
)
TURNS = {
    "Europe/Vilnius": ["2026-03-28", "2026-10-24"],
    "America/Havana": ["2026-03-07", "2026-10-31"],  # at midnight
    "Australia/Lord_Howe": ["2026-04-03", "2026-10-02"],  # by half an hour
    "Asia/Kathmandu": [],
}
"""Zones, and days before the nights in which clocks are put forward and back."""


@st.composite
def places_and_starts(draw: st.DrawFn) -> tuple[str, datetime]:
    zone = draw(st.sampled_from(sorted(TURNS)))
    anyday = st.integers(0, 300).map(lambda days: datetime(2026, 1, 1, tzinfo=UTC) + days * DAY)
    turns = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in TURNS[zone]]
    start = draw(st.sampled_from(turns) | anyday if turns else anyday)
    return zone, start + draw(st.integers(0, 1439)) * MINUTE


def is_open(spans: Sequence[Span], at: datetime, zone: ZoneInfo) -> bool:
    wall = at.astimezone(zone)
    return any(span.is_open(wall) for span in spans)


@given(spans=SPANS, place=places_and_starts())
def test_every_minute_and_every_switch_is_as_the_wall_clock_says(
    spans: list[Span], place: tuple[str, datetime]
) -> None:
    zone, start = place
    hours = RegularHours(", ".join(map(str, spans)), zone, "LT")
    minutes = [start + number * MINUTE for number in range(3 * 1440)]
    opens = [is_open(spans, at, ZoneInfo(zone)) for at in minutes]

    assert [not hours.is_closed(at) for at in minutes] == opens
    switches = [
        at for (_, old), (at, new) in pairwise(zip(minutes, opens, strict=True)) if old != new
    ]
    found = []
    switch = hours.next_switch(start)
    while switch is not None and switch <= minutes[-1]:
        found.append(switch)
        switch = hours.next_switch(switch)
    assert found == switches
    for at in switches:
        assert hours.last_switch(at) == at == hours.next_switch(at - MINUTE)
        assert hours.next_switch(at - TICK) == at
        assert hours.is_closed(at - TICK) is not hours.is_closed(at)


RULES = st.sampled_from(
    [
        "06:00-22:00",
        "Mo-Fr 22:00-06:00",
        "Fr-Sa 20:00-26:00",
        "Apr-Oct 08:00-18:00",
        "Dec 20-Jan 10 off",
        "PH off",
        "Su,PH 10:00-14:00",
        "24/7",
        "Mo[1] off",
        "Sa[-1] 10:00-12:00 unknown",
        "week 40-52/2 off",
        "easter -2 days off",
        "2026 Nov 29-2027 Apr 30 06:00-12:00,13:00-22:00",
        "Dec 31 22:00-26:00",
    ]
)


@given(
    rules=st.lists(RULES, min_size=1, max_size=3),
    separator=st.sampled_from(["; ", ", "]),
    start=st.dates(date(2026, 1, 1), date(2027, 12, 31)),
)
def test_no_switch_is_missed_whatever_the_rules_are(
    rules: list[str], separator: str, start: date
) -> None:
    """A gate whose closing is missed would seem open for ever."""
    hours = RegularHours(separator.join(rules), "Europe/Vilnius", "LT")
    at = datetime.combine(start, time.min, UTC)
    switch = hours.next_switch(at)
    assert switch is None or hours.is_closed(switch) is not hours.is_closed(at)
    for number in range(14 * 48):
        sample = at + number * 30 * MINUTE
        if switch is not None and sample >= switch:
            break
        assert hours.is_closed(sample) is hours.is_closed(at)


def switches(expression: str, start: datetime, count: int, country: str = "LT") -> list[str]:
    hours = RegularHours(expression, "Europe/Vilnius", country)
    found: list[str] = []
    at = start
    for _ in range(count):
        switch = hours.next_switch(at)
        if switch is None:
            break
        found.append(switch.astimezone(VILNIUS).strftime("%Y-%m-%d %H:%M %z"))
        at = switch
    return found


def test_a_gate_that_closes_in_the_hour_that_comes_twice_closes_twice() -> None:
    assert switches("00:00-03:30", datetime(2026, 10, 24, 22, tzinfo=UTC), 3) == [
        "2026-10-25 03:30 +0300",
        "2026-10-25 03:00 +0200",
        "2026-10-25 03:30 +0200",
    ]


def test_a_gate_that_opens_in_the_hour_that_is_left_out_opens_after_it() -> None:
    found = switches("03:30-05:00", datetime(2026, 3, 28, 22, tzinfo=UTC), 1)
    assert found == ["2026-03-29 04:00 +0300"]


def test_a_season_ends_and_begins_by_the_calendar() -> None:
    found = switches("Apr-Oct 00:00-24:00", datetime(2026, 5, 1, tzinfo=UTC), 2)
    assert found == ["2026-11-01 00:00 +0200", "2027-04-01 00:00 +0300"]


def test_a_closure_by_night_until_a_date_is_said() -> None:
    expression = "2026 Nov 29-2027 May 01 06:00-22:00; 2027 May 02-2199 Dec 31 00:00-24:00"
    hours = RegularHours(expression, "Europe/Vilnius", "LT")
    assert hours.is_closed(datetime(2027, 2, 1, 21, tzinfo=UTC))
    assert not hours.is_closed(datetime(2027, 6, 1, 21, tzinfo=UTC))
    found = switches(expression, datetime(2027, 4, 30, 10, tzinfo=UTC), 9)
    assert found[:3] == [
        "2027-04-30 22:00 +0300",
        "2027-05-01 06:00 +0300",
        "2027-05-01 22:00 +0300",
    ]
    assert found[3:] == ["2027-05-02 00:00 +0300"]


def test_public_holidays_are_those_of_the_side() -> None:
    holiday = datetime(2026, 2, 16, 10, tzinfo=UTC)  # Lithuania's independence
    expression = "08:00-17:00; PH off"

    assert RegularHours(expression, "Europe/Vilnius", "LT").is_closed(holiday)
    assert not RegularHours(expression, "Europe/Vilnius", "PL").is_closed(holiday)


def test_what_the_hours_do_not_know_closes_nothing() -> None:
    hours = RegularHours("00:00-24:00 unknown", "Europe/Vilnius", "LT")
    assert not hours.is_closed(datetime(2026, 2, 16, tzinfo=UTC))


def test_hours_that_never_change_have_no_switch() -> None:
    hours = RegularHours("24/7", "Europe/Vilnius", "LT")
    at = datetime(2026, 2, 16, tzinfo=UTC)
    assert (hours.is_closed(at), hours.next_switch(at), hours.last_switch(at)) == (
        False,
        None,
        None,
    )


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "rubbish",
        "Mo-Fr 6-22",
        "mo-fr 06:00-22:00",
        "sunrise-sunset",
        "SH off",
        "Mo-Fr 06:00-22:00 || unknown",
    ],
)
def test_what_cannot_be_evaluated_is_refused(expression: str) -> None:
    with pytest.raises(HoursInvalid):
        RegularHours(expression, "Europe/Vilnius", "LT").check()


def test_holidays_are_refused_where_they_are_not_known() -> None:
    RegularHours("06:00-22:00", "Asia/Baku", "AZ").check()
    with pytest.raises(HoursInvalid, match="holidays of AZ are not known"):
        RegularHours("06:00-22:00; PH off", "Asia/Baku", "AZ").check()


@pytest.mark.parametrize(
    ("said", "is_open", "is_closed"),
    [
        ("open overnight", "2026-11-28 05:59", "2026-11-28 20:00"),
        ("open in summer", "2026-06-06 21:00", "2026-10-01 12:00"),
        ("closed on public holidays", "2026-02-15 12:00", "2026-02-16 12:00"),
        ("closed from 22:00 to 06:00", "2027-05-01 23:00", "2027-04-30 22:00"),
        ("never closed", "2026-11-28 03:00", None),
    ],
)
def test_what_the_documentation_says_of_an_expression_is_so(
    said: str, is_open: str, is_closed: str | None
) -> None:
    rows = re.findall(r"^\| (.*) \| `(.*)` \|$", API, re.MULTILINE)
    (expression,) = (expression for name, expression in rows if name.startswith(said))
    hours = RegularHours(expression, "Europe/Vilnius", "LT")
    hours.check()

    def closed(wall: str) -> bool:
        return hours.is_closed(datetime.fromisoformat(wall).replace(tzinfo=VILNIUS))

    assert not closed(is_open)
    assert is_closed is None or closed(is_closed)
