"""The figures of a range are those that somebody would get who looked every minute."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.statistics.figures import Closure, Figures, figures_of, joined
from app.status.rule.history import History
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status
from tests.status.histories import (
    DAY,
    MICROSECOND,
    Grid,
    closed,
    crossing,
    crowded,
    day,
    histories,
    opened,
)

MINUTE = timedelta(minutes=1)
MINUTES = Grid(
    unit=MINUTE,
    ticks=12,
    patiences=(2 * MINUTE, MINUTE, 3 * MINUTE, 20 * MINUTE),
    neighbours=False,
)
"""Histories in which nothing changes between two minutes."""

RANGES = st.lists(st.integers(-3, 20), min_size=2, max_size=2, unique=True).map(sorted)
"""The first minute of a range, and the first after it."""


def figures_over(history: History, first: int, end: int) -> Figures:
    start = day(1) + first * MINUTE
    timeline = ResolvedHistory(history).timeline(start - MICROSECOND)
    return figures_of(timeline, start, day(1) + end * MINUTE)


def statuses(history: History, first: int, end: int) -> list[Status]:
    """Look at the crossing in each minute of a range."""
    resolved = ResolvedHistory(history)
    return [resolved.answer(day(1) + minute * MINUTE).status for minute in range(first, end)]


def closures_seen(history: History, first: int, end: int) -> list[Closure]:
    """Count the minutes of each run of closed ones, with one minute more on either side."""
    minutes = list(enumerate(statuses(history, first - 1, end + 1), first - 1))
    seen = []
    for status, run in groupby(minutes, lambda pair: pair[1]):
        of_run = [minute for minute, _ in run]
        within = [minute for minute in of_run if first <= minute < end]
        if status is Status.CLOSED and within:
            seen.append(
                Closure(
                    len(within) * MINUTE,
                    began_before=of_run[0] < first,
                    continued_after=of_run[-1] >= end,
                )
            )
    return seen


@given(histories(MINUTES) | crowded(MINUTES), RANGES)
def test_each_status_has_the_minutes_in_which_it_is_seen(
    history: History, minutes: Sequence[int]
) -> None:
    seen = statuses(history, *minutes)

    figures = figures_over(history, *minutes)

    assert figures.lengths == {status: seen.count(status) * MINUTE for status in Status}
    assert figures.total == len(seen) * MINUTE


@given(histories(MINUTES) | crowded(MINUTES), RANGES)
def test_a_closure_is_a_run_of_closed_minutes(history: History, minutes: Sequence[int]) -> None:
    assert list(figures_over(history, *minutes).closures) == closures_seen(history, *minutes)


@given(histories(MINUTES), st.lists(st.integers(-3, 20), min_size=3, max_size=3, unique=True))
def test_the_times_of_two_ranges_add_up(history: History, minutes: list[int]) -> None:
    first, second = (figures_over(history, *part) for part in pairwise(sorted(minutes)))
    whole = figures_over(history, min(minutes), max(minutes))

    both = joined([first, second])
    cut = any(closure.continued_after for closure in first.closures)
    assert both.lengths == whole.lengths
    assert len(both.closures) == len(whole.closures) + cut


def test_a_closure_that_began_before_is_counted_with_the_part_within() -> None:
    history = crossing(opened(day(1)), closed(day(3), day(6)))
    timeline = ResolvedHistory(history).timeline

    figures = figures_of(timeline(day(4)), day(5), day(10))

    assert figures.closures == (Closure(DAY, began_before=True, continued_after=False),)
    assert figures.lengths[Status.CLOSED] == DAY
    assert figures.share(Status.OPEN) == 0.8


def test_closures_that_follow_one_another_without_a_gap_are_one() -> None:
    history = crossing(closed(day(2), day(4)), closed(day(4), day(6), side="BY"))

    figures = figures_of(ResolvedHistory(history).timeline(), day(1), day(11))

    assert [closure.length for closure in figures.closures] == [4 * DAY]
    assert figures.lengths[Status.UNKNOWN] == 6 * DAY


def test_the_median_of_two_closures_lies_between_them() -> None:
    history = crossing(opened(day(1)), closed(day(2), day(3)), closed(day(5), day(8)))

    figures = figures_of(ResolvedHistory(history).timeline(), day(1), day(11))

    assert figures.median_closure == 2 * DAY
    assert figures.longest_closure == 3 * DAY
    assert joined([]).median_closure is None
    assert joined([]).share(Status.OPEN) == 0
