"""Regular hours against a minute by minute reading of the clock on the wall."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.places.hours import HoursInvalid, RegularHours

VILNIUS = ZoneInfo("Europe/Vilnius")
WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


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
STARTS = st.one_of(
    st.integers(0, 7000).map(lambda hours: datetime(2026, 3, 1, tzinfo=UTC) + hours * 60 * MINUTE),
    # About the nights in which clocks are put forward and back.
    st.sampled_from([datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)]).map(
        lambda instant: instant
    ),
)


def is_open(spans: Sequence[Span], at: datetime) -> bool:
    wall = at.astimezone(VILNIUS)
    return any(span.is_open(wall) for span in spans)


@settings(deadline=None)
@given(spans=SPANS, start=STARTS)
def test_every_minute_and_every_switch_is_as_the_wall_clock_says(
    spans: list[Span], start: datetime
) -> None:
    hours = RegularHours(", ".join(map(str, spans)), "Europe/Vilnius", "LT")
    minutes = [start + number * MINUTE for number in range(3 * 1440)]
    opens = [is_open(spans, at) for at in minutes]

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


@pytest.mark.parametrize("expression", ["", "rubbish", "Mo-Fr 6-22", "sunrise-sunset", "SH off"])
def test_what_cannot_be_evaluated_is_refused(expression: str) -> None:
    with pytest.raises(HoursInvalid):
        RegularHours(expression, "Europe/Vilnius", "LT").check()
