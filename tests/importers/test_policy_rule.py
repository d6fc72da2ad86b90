"""What follows from a policy, for arbitrary histories: it alters nothing that was declared."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.importers.policy import LaneAction, in_force, step_of
from app.status.rule.cut import has_gap
from app.status.rule.history import (
    Confirmation,
    Declaration,
    Event,
    History,
    Lane,
    LaneState,
    Scope,
)
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status
from tests.status.histories import MICROSECONDS, histories

INSTANTS = st.sampled_from(MICROSECONDS.instants())


@st.composite
def observed(draw: st.DrawFn) -> tuple[History, Lane, datetime, datetime]:
    """Return a history as known at an instant, and a lane that was seen to work by then."""
    history = draw(histories(MICROSECONDS))
    observed_at, now = sorted(draw(st.tuples(INSTANTS, INSTANTS)))
    known = tuple(event for event in history.events if event.recorded_at <= now)
    return replace(history, events=known), draw(st.sampled_from(history.lanes)), observed_at, now


def declared_open(lane: Lane, at: datetime, now: datetime) -> Declaration:
    return Declaration(
        id=UUID(int=10_000),
        recorded_at=now,
        sides=frozenset({lane.to}),
        status=Status.OPEN,
        start=at,
        scope=Scope(frozenset({lane.traffic}), lane.to),
        announced_at=at,
    )


def confirming(lane: Lane, at: datetime, now: datetime) -> Confirmation:
    return Confirmation(
        id=UUID(int=10_000),
        recorded_at=now,
        sides=frozenset({lane.to}),
        confirmed_at=at,
        scope=Scope(frozenset({lane.traffic}), lane.to),
        is_observed=True,
    )


def states(history: History, until: datetime) -> list[tuple[datetime | None, list[LaneState]]]:
    """Return what every lane was until an instant, period by period."""
    return [
        (period.start, list(period.lanes))
        for period in ResolvedHistory(history).timeline()
        if period.start is None or period.start <= until
    ]


def with_event(history: History, event: Event) -> History:
    return replace(history, events=(*history.events, event))


@given(observed())
def test_where_there_is_no_gap_an_observation_alters_nothing_until_now(
    given_: tuple[History, Lane, datetime, datetime],
) -> None:
    history, lane, observed_at, now = given_
    if has_gap(ResolvedHistory(history), lane, lane.to, now):
        return

    after = with_event(history, confirming(lane, observed_at, now))

    assert states(after, now) == states(history, now)


@given(observed())
def test_a_feed_opens_only_where_nothing_of_that_side_is_in_force(
    given_: tuple[History, Lane, datetime, datetime],
) -> None:
    """What the other side declared goes on deciding, if it is more severe or began later."""
    history, lane, observed_at, now = given_
    before = ResolvedHistory(history)

    step = step_of(before, lane, own=None, observed_at=observed_at, now=now)

    if step is None:
        return
    assert step is LaneAction.OPEN
    assert in_force(before, lane, now) is None
    own = declared_open(lane, observed_at, now)
    after = ResolvedHistory(with_event(history, own))
    for old, new in zip(before.answer(now).lanes, after.answer(now).lanes, strict=True):
        if old.lane != lane:
            # Evidence of one lane is none of another.
            assert new == old
        elif new.decided_by == own:
            assert old.decided_by is None or old.decided_by.status is Status.OPEN
            assert new.status is Status.OPEN
        else:
            assert old.decided_by is not None
            assert new.decided_by == old.decided_by


@given(observed())
def test_and_then_it_neither_opens_nor_confirms_again(
    given_: tuple[History, Lane, datetime, datetime],
) -> None:
    history, lane, observed_at, now = given_
    resolved = ResolvedHistory(history)
    if step_of(resolved, lane, own=None, observed_at=observed_at, now=now) is not LaneAction.OPEN:
        return
    own = declared_open(lane, observed_at, now)

    again = ResolvedHistory(with_event(history, own))

    assert in_force(again, lane, now) == own
    assert step_of(again, lane, own=own, observed_at=observed_at, now=now) is None
