"""What a write changes: by example, and for any history and any further declaration."""

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from app.status.rule.effect import Effect, effects_of
from app.status.rule.history import Event, History, Lane, LaneAnswer
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status
from tests.status import oracle
from tests.status.histories import (
    CAR_TO_LT,
    around,
    closed,
    confirmation,
    crossing,
    day,
    histories,
    one_more,
    opened,
)
from tests.status.rule import resolve

OPEN, CLOSED, UNKNOWN = Status.OPEN, Status.CLOSED, Status.UNKNOWN


def effect(write: Event, *before: Event) -> list[tuple[Status, Status, datetime, datetime | None]]:
    """Return what a write, recorded last, changes of one lane."""
    without, with_it = crossing(*before), crossing(*before, write)
    found = effects_of(ResolvedHistory(without), ResolvedHistory(with_it), since=write.recorded_at)
    assert all(one.lanes == (CAR_TO_LT,) for one in found)
    return [(one.before, one.after, one.start, one.end) for one in found]


def test_an_open_without_an_end_takes_effect_until_further_notice() -> None:
    assert effect(opened(day(2)), closed(day(1))) == [(CLOSED, OPEN, day(2), None)]
    assert effect(opened(day(2))) == [(UNKNOWN, OPEN, day(2), None)]


def test_an_open_takes_effect_until_its_declared_end() -> None:
    assert effect(opened(day(2), day(5))) == [(UNKNOWN, OPEN, day(2), day(5))]
    assert effect(opened(day(2), day(60))) == [(UNKNOWN, OPEN, day(2), day(60))]


def test_that_the_old_open_would_have_expired_does_not_divide_the_effect() -> None:
    assert effect(closed(day(9)), opened(day(1))) == [(OPEN, CLOSED, day(9), None)]
    assert effect(opened(day(9)), opened(day(1))) == [(OPEN, OPEN, day(9), None)]


def test_a_confirmation_takes_effect_from_when_the_open_would_have_expired() -> None:
    """It has no end of its own: the open is as endless as it was declared to be."""
    assert effect(confirmation(day(11)), opened(day(1))) == [(UNKNOWN, OPEN, day(31), None)]
    bounded = opened(day(1), day(60), said=day(1))
    assert effect(confirmation(day(11)), bounded) == [(UNKNOWN, OPEN, day(31), day(60))]


def test_an_effect_ends_where_a_planned_closure_begins() -> None:
    """After it, the end of the closure supports the open until day 65, the confirmation longer."""
    works = closed(day(40), day(42), said=day(35))
    found = effect(confirmation(day(36)), opened(day(1)), works)

    assert found == [(UNKNOWN, OPEN, day(36), day(40)), (UNKNOWN, OPEN, day(65), None)]


@given(histories(), st.data())
def test_the_effect_is_where_the_two_answers_differ_and_ends_where_a_declaration_does(
    history: History, data: st.DataObject
) -> None:
    write = data.draw(one_more(history))
    after = history_with(history, write)
    since = write.recorded_at
    found = effects_of(ResolvedHistory(history), ResolvedHistory(after), since=since)
    for lane in history.lanes:
        mine = sorted((one for one in found if lane in one.lanes), key=lambda one: one.start)
        for at in around([since, *oracle.boundaries(after)]):
            if at >= since:
                assert_told(mine, answers(history, after, lane, at), at)


def assert_told(found: list[Effect], pair: tuple[LaneAnswer, LaneAnswer], at: datetime) -> None:
    inside = [one for one in found if one.start <= at and (one.end is None or at < one.end)]
    old, new = pair
    if inside:
        (one,) = inside
        if shown(old) == shown(new):
            assert new.last_known, at
        if at == one.start:
            assert (one.before, one.after) == (old.status, new.status)
            assert shown(old) != shown(new)
    else:
        assert shown(old) == shown(new), at


def shown(lane: LaneAnswer) -> tuple[object, ...]:
    return lane.status, lane.last_known, lane.decided_by


def answers(
    history: History, after: History, lane: Lane, at: datetime
) -> tuple[LaneAnswer, LaneAnswer]:
    old, new = (
        next(one for one in resolve(told, at).lanes if one.lane == lane)
        for told in (history, after)
    )
    return old, new


def history_with(history: History, write: Event) -> History:
    return crossing(*history.events, write, lanes=history.lanes, patience=history.confirm_within)
