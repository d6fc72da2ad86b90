"""Statistics and waits as drawings, laid out without a database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.observations.schemas import HourOut, ObservationSummary, SeriesSummary
from app.pages.statistics.charts import HEIGHT, LaneChart, charts_of, day_start
from app.pages.statistics.shares import parts_of
from app.statistics.figures import Figures
from app.vocabulary import Status, Traffic

NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
"""A Wednesday, half past one in Minsk."""
OFTEN, SELDOM = UUID(int=1), UUID(int=2)


def hour(weekday: int, number: int, minutes: float | None, count: int = 1) -> HourOut:
    return HourOut(
        weekday=weekday,
        hour=number,
        count=count,
        median_minutes=minutes,
        p90_minutes=minutes,
        unknown_share=0,
        closed_share=0 if minutes else 1,
    )


def series(*hours: HourOut, traffic: Traffic = Traffic.CAR, source: UUID = OFTEN) -> SeriesSummary:
    return SeriesSummary(
        traffic=traffic,
        to="LT",
        queue=None,
        source=source,
        time_zone="Europe/Minsk",
        hours=list(hours),
    )


def summary(*every: SeriesSummary) -> ObservationSummary:
    start = NOW - timedelta(days=28)
    return ObservationSummary(crossing="here", from_=start, until=NOW, series=list(every))


def chart(of_day: SeriesSummary, usual: SeriesSummary) -> LaneChart:
    [only] = charts_of(summary(of_day), summary(usual), NOW)
    return only


def test_the_last_24_hours_end_with_the_present_one_by_the_clocks_of_the_lane() -> None:
    found = chart(series(hour(3, 13, 20)), series(hour(3, 13, 60)))

    assert len(found.last_hours) == 24
    assert (found.last_hours[0], found.last_hours[-1]) == ((2, 14), (3, 13))
    assert day_start(NOW) == datetime(2026, 11, 24, 11, tzinfo=UTC)
    assert found.zone.key == "Europe/Minsk"


def test_waits_are_drawn_from_the_foot_to_the_same_scale() -> None:
    found = chart(series(hour(2, 14, 30)), series(hour(2, 14, 45), hour(1, 1, 0)))

    assert found.top == 60
    assert found.day_bars == f"M0 {HEIGHT}V30.0h0.85V{HEIGHT}z"
    assert found.usual_line == "M0 15.0H1"
    assert (
        found.week_bars
        == f"M1 {HEIGHT}V{HEIGHT - 1}h0.85V{HEIGHT}zM38 {HEIGHT}V15.0h0.85V{HEIGHT}z"
    )
    assert (found.day_range, found.week_range) == ((30, 30), (0, 45))


def test_hours_without_a_wait_are_gaps() -> None:
    found = chart(series(hour(2, 14, None)), series(hour(2, 14, None), hour(5, 5, 10)))

    assert (found.day_bars, found.usual_line, found.day_range) == ("", "", None)


def test_of_several_sources_the_most_frequent_one_is_drawn() -> None:
    often, seldom = series(hour(1, 1, 10, 50)), series(hour(1, 1, 90, 2), source=SELDOM)

    [found] = charts_of(summary(often, seldom), summary(seldom, often), NOW)

    assert found.source == OFTEN


def test_lanes_without_any_wait_have_no_chart_and_others_are_in_the_usual_order() -> None:
    trucks = series(hour(1, 1, 10), traffic=Traffic.TRUCK)
    buses = series(hour(1, 1, None), traffic=Traffic.BUS)

    found = charts_of(summary(), summary(trucks, buses, series(hour(1, 1, 5))), NOW)

    assert [one.traffic for one in found] == [Traffic.CAR, Traffic.TRUCK]
    assert found[0].day_bars == ""


@pytest.mark.parametrize("days", [(1, 1, 1, 1), (0, 3, 0, 1), (0, 0, 0, 0)])
def test_the_parts_of_a_bar_fill_it(days: tuple[int, ...]) -> None:
    lengths = {status: timedelta(days=n) for status, n in zip(Status, days, strict=True)}

    parts = parts_of(Figures(lengths, ()))

    assert [part.status for part in parts] == [status for status in Status if lengths[status]]
    assert sum(part.width for part in parts) == (100 if any(days) else 0)
    assert all(part.x == 0 for part in parts[:1])
