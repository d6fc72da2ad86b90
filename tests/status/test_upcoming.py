"""What is announced to come: told before it happens, and nothing that nobody announced."""

from collections.abc import Sequence

from app.status.rule.history import Event, Lane
from app.status.rule.resolution import ResolvedHistory
from app.status.rule.upcoming import Upcoming, upcoming
from app.vocabulary import Status, Traffic
from tests.status.histories import (
    CAR_TO_LT,
    TRUCK_TO_LT,
    closed,
    crossing,
    day,
    opened,
    restricted,
)

OPEN, RESTRICTED, CLOSED = Status.OPEN, Status.RESTRICTED, Status.CLOSED
LANES = (CAR_TO_LT, TRUCK_TO_LT)


def ask(*events: Event, lanes: Sequence[Lane] = LANES) -> tuple[Upcoming, ...]:
    return upcoming(ResolvedHistory(crossing(*events, lanes=lanes)), day(5))


def test_a_closure_planned_for_trucks_is_told_of_trucks_alone() -> None:
    plan = closed(day(6), said=day(4), traffic=Traffic.TRUCK)

    assert ask(opened(day(1)), plan) == (Upcoming(day(6), None, CLOSED, (TRUCK_TO_LT,), plan),)


def test_a_bounded_closure_is_told_once_with_its_end() -> None:
    """That all is open again after it is no news of its own."""
    plan = closed(day(6), day(8), said=day(4))

    assert ask(opened(day(1)), plan) == (Upcoming(day(6), day(8), CLOSED, LANES, plan),)


def test_a_planned_reopening_is_told_however_late() -> None:
    """Although nobody will have confirmed it by then, and it is answered as unknown."""
    plan = opened(day(60), said=day(4))

    assert ask(closed(day(1)), plan) == (Upcoming(day(60), None, OPEN, LANES, plan),)


def test_the_end_of_a_closure_tells_what_holds_after_it() -> None:
    opening = opened(day(1))

    assert ask(opening, closed(day(2), day(7))) == (Upcoming(day(7), None, OPEN, LANES, opening),)


def test_that_an_opening_runs_out_is_not_announced_by_anyone() -> None:
    assert ask(opened(day(1))) == ()
    assert ask(opened(day(1), day(9))) == ()


def test_what_comes_first_is_told_first() -> None:
    later = closed(day(9), said=day(4))
    sooner = restricted(day(7), said=day(4))

    assert [(one.start, one.end, one.status) for one in ask(opened(day(1)), later, sooner)] == [
        (day(7), day(9), RESTRICTED),
        (day(9), None, CLOSED),
    ]


def test_a_plan_that_would_change_nothing_is_not_told() -> None:
    assert ask(closed(day(1)), closed(day(7), said=day(4))) == ()
