"""What is left of a history when it is cut answers as the whole of it does, also after a write."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.status.rule.cut import cut, reaches_back, selections
from app.status.rule.history import (
    ALWAYS,
    Confirmation,
    Declaration,
    Event,
    EventRetraction,
    Held,
    History,
    OutOfReach,
)
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Traffic
from tests.status.histories import (
    CAR_TO_LT,
    DAY,
    DAYS,
    MICROSECOND,
    TRUCK_TO_LT,
    Log,
    around,
    closed,
    confirmation,
    crossing,
    crowded,
    day,
    histories,
    opened,
    restricted,
)


@given(histories() | crowded(), st.integers(-2, 40).map(lambda number: day(1) + number * DAY / 2))
def test_a_history_answers_the_same_from_the_instant_on_at_which_it_is_cut(
    history: History, since: datetime
) -> None:
    left = cut(ResolvedHistory(history), since)

    assert left.known_from == since
    assert_alike(left, history, at_least=since)


@given(histories(), st.integers(-2, 40).map(lambda number: day(1) + number * DAY / 2))
def test_since_when_some_lanes_have_their_status_is_known_without_the_events_before(
    history: History, since: datetime
) -> None:
    left = cut(ResolvedHistory(history), since)

    for lanes in selections(history.lanes).values():
        some = tuple(lane for lane in history.lanes if lane in lanes)
        assert_alike(replace(left, lanes=some), replace(history, lanes=some), at_least=since)


@given(histories(), st.integers(0, 20).map(lambda number: number * DAY / 2), st.data())
def test_a_cut_history_tells_what_a_write_changes_unless_that_reaches_back(
    history: History, wait: timedelta, data: st.DataObject
) -> None:
    """Cut it, add an event recorded later: where that may alter the past, it says so."""
    last = max((event.recorded_at for event in history.events), default=day(1))
    since = data.draw(st.sampled_from([last, last + DAY / 2, last + 5 * DAY]), label="since")
    left = cut(ResolvedHistory(history), since)
    event = data.draw(next_event(history, since + wait + MICROSECOND), label="event")
    if reaches_back(ResolvedHistory(left), event):
        event = data.draw(plan(history, since + wait + MICROSECOND), label="plan")
        assert not reaches_back(ResolvedHistory(left), event)

    after = replace(left, events=(*left.events, event))

    whole = replace(history, events=(*history.events, event))
    assert_alike(after, whole, at_least=event.recorded_at)


@given(histories(), st.lists(st.integers(0, 6), min_size=1, max_size=4), st.data())
def test_a_history_may_be_cut_again_and_again(
    history: History, waits: list[int], data: st.DataObject
) -> None:
    """As each write does that does not reach back."""
    now = max((event.recorded_at for event in history.events), default=day(1))
    left, whole = cut(ResolvedHistory(history), now), history
    for number, wait in enumerate(waits):
        now += wait * DAY + MICROSECOND
        event = data.draw(next_event(whole, now, 100 + number))
        whole = replace(whole, events=(*whole.events, event))
        if reaches_back(ResolvedHistory(left), event):
            left = cut(ResolvedHistory(whole), now)
        else:
            left = cut(ResolvedHistory(replace(left, events=(*left.events, event))), now)

    assert_alike(left, whole, at_least=now)


def test_however_often_a_closure_is_repeated_the_last_one_is_left() -> None:
    repeated = [closed(day(number)) for number in range(1, 200)]

    left = cut(ResolvedHistory(crossing(*repeated)), day(300))

    assert left.events == (repeated[-1],)
    assert left.held == Held(day(1))


def test_however_often_it_is_confirmed_the_last_confirmation_is_left() -> None:
    opening = opened(day(1))
    confirmations = [confirmation(day(number)) for number in range(2, 200)]

    left = cut(ResolvedHistory(crossing(opening, *confirmations)), day(200))

    assert left.events == (opening, confirmations[-1])


def test_each_confirmation_after_the_cut_is_left_since_each_is_the_newest_for_a_time() -> None:
    opening = opened(day(1))
    confirmations = [confirmation(day(number)) for number in range(2, 6)]

    left = cut(ResolvedHistory(crossing(opening, *confirmations)), day(3))

    assert left.events == (opening, *confirmations[1:])


def test_what_has_ended_or_was_withdrawn_is_not_left() -> None:
    withdrawn = restricted(day(2))
    ended, now = closed(day(3), day(5)), closed(day(8))
    retraction = EventRetraction(id=UUID(int=9), recorded_at=day(4), retracts=withdrawn.id)

    left = cut(ResolvedHistory(crossing(ended, withdrawn, retraction, now)), day(9))

    assert left.events == (now,)


def test_a_plan_is_left_and_what_it_will_give_way_to() -> None:
    opening, works = opened(day(1)), closed(day(20), day(22), said=day(2))

    left = cut(ResolvedHistory(crossing(opening, works)), day(3))

    assert left.events == (opening, works)


def test_of_some_lanes_it_is_told_where_the_events_left_do_not_say() -> None:
    """The crossing is restricted all along, while the traffic that may pass takes turns."""
    cars, trucks = Traffic.CAR, Traffic.TRUCK
    history = crossing(
        *(closed(day(1), traffic=cars), opened(day(1), traffic=trucks)),
        *(opened(day(3), traffic=cars), closed(day(3), traffic=trucks)),
        *(closed(day(5), traffic=cars), opened(day(5), traffic=trucks)),
        lanes=[CAR_TO_LT, TRUCK_TO_LT],
    )

    left = cut(ResolvedHistory(history), day(6))

    assert left.since(left.lanes) == day(1)
    assert left.since([CAR_TO_LT]) == day(5)


@pytest.mark.parametrize(
    "event",
    [
        closed(day(9), said=day(11)),
        closed(day(10), said=day(11)),
        confirmation(day(10)),
        EventRetraction(id=UUID(int=9), recorded_at=day(11), retracts=UUID(int=1)),
    ],
    ids=["begins before", "begins at the cut", "fills a gap", "withdraws"],
)
def test_what_may_alter_the_past_reaches_back(event: Event) -> None:
    """The opening of which nobody had heard for long was open all along, once that is confirmed."""
    left = cut(ResolvedHistory(crossing(opened(day(1)), patience=2 * DAY)), day(10))

    assert reaches_back(ResolvedHistory(left), event)


def next_event(
    history: History, recorded_at: datetime, number: int = 99
) -> st.SearchStrategy[Event]:
    """Declare or confirm something more."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Declaration | Confirmation:
        log = Log(DAYS, tuple(Traffic), draw, list(history.events))
        event: Declaration | Confirmation = log.declare(UUID(int=number), recorded_at)
        if draw(st.integers(0, 2)) == 0:
            event = log.confirm(UUID(int=number), recorded_at)
        if isinstance(event, Declaration) and draw(st.booleans()):
            return replace(event, start=recorded_at, end=None, expected_until=None)
        if isinstance(event, Confirmation) and draw(st.booleans()):
            return replace(event, confirmed_at=recorded_at)
        return event

    return drawn()


@st.composite
def plan(draw: st.DrawFn, history: History, recorded_at: datetime) -> Declaration:
    """Declare what begins later."""
    log = Log(DAYS, tuple(Traffic), draw, list(history.events))
    declared = log.declare(UUID(int=99), recorded_at)
    start = recorded_at + draw(st.integers(1, 8)) * DAY / 2
    end = draw(st.none() | st.integers(1, 8).map(lambda number: start + number * DAY / 2))
    return replace(declared, start=start, end=end, expected_until=None, supersedes=None)


def assert_alike(cut_short: History, whole: History, *, at_least: datetime) -> None:
    short, full = ResolvedHistory(cut_short), ResolvedHistory(whole)
    starts = [one.start for one in full.timeline() if one.start is not None]
    for at in around([at_least, *starts, *(start + whole.confirm_within for start in starts)]):
        if at >= at_least:
            assert short.answer(at) == full.answer(at), at
            try:
                period = short.period(at)
            except OutOfReach:
                # Of some lanes only, if they are not alike.
                assert len(full.groups) > 1
            else:
                assert period == full.period(at), at
            assert short.next_change(at) == full.next_change(at), at
            changed = full.last_change(at) or ALWAYS
            if changed > cut_short.known_from:
                assert short.last_change(at) == changed, at
            else:
                assert short.last_change(at) is None
