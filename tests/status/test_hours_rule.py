"""Hours laid over any history, against the answers at every hour of a few days."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.status.rule.history import NEVER, History, Lane
from app.status.rule.hours import AnswersWithHours, Hours
from app.status.rule.resolution import ResolvedHistory, body_of
from app.vocabulary import Status, Traffic
from tests.status.histories import DAY, day, histories

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Daily:
    """Open from one hour of the day, UTC, to another, overnight if that is the earlier."""

    opens: int
    closes: int

    def is_closed(self, at: datetime) -> bool:
        if self.opens < self.closes:
            return not self.opens <= at.hour < self.closes
        return self.closes <= at.hour < self.opens

    def next_switch(self, at: datetime) -> datetime | None:
        return next((one for one in self._hours_from(at) if self._switches(one)), None)

    def last_switch(self, at: datetime) -> datetime | None:
        begin = at.replace(minute=0, second=0, microsecond=0)
        hours = (begin - number * HOUR for number in range(25))
        return next((one for one in hours if self._switches(one)), None)

    def _hours_from(self, at: datetime) -> list[datetime]:
        begin = at.replace(minute=0, second=0, microsecond=0)
        return [begin + number * HOUR for number in range(1, 26)]

    def _switches(self, at: datetime) -> bool:
        return self.is_closed(at) is not self.is_closed(at - TICK)


SCHEDULES = st.lists(
    st.builds(Daily, opens=st.integers(0, 11), closes=st.integers(12, 23))
    | st.builds(Daily, opens=st.integers(12, 23), closes=st.integers(0, 11)),
    max_size=2,
)
exhaustive = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def asked(draw: st.DrawFn) -> tuple[AnswersWithHours, datetime]:
    history: History = draw(histories())
    hours = Hours({lane: draw(SCHEDULES) for lane in history.lanes})
    at = day(draw(st.integers(-2, 10))) + draw(st.integers(0, 23)) * HOUR
    return AnswersWithHours(ResolvedHistory(history), hours), at


def outside(answers: AnswersWithHours, lane: Lane, at: datetime) -> bool:
    return any(one.is_closed(at) for one in answers.hours.lanes[lane])


@exhaustive
@given(asked())
def test_hours_are_the_weakest_reason_to_be_closed(
    question: tuple[AnswersWithHours, datetime],
) -> None:
    answers, at = question
    declared = answers.resolved.answer(at)
    answer = answers.answer(at)

    for before, lane in zip(declared.lanes, answer.lanes, strict=True):
        if before.status is Status.CLOSED or not outside(answers, lane.lane, at):
            assert lane == before
        else:
            assert (lane.status, lane.outside_hours) == (Status.CLOSED, True)
            assert (lane.decided_by, lane.last_known, lane.stale) == (None, None, False)
    assert answer.sides == declared.sides
    assert {*answer.decided_by, *answer.also_said} == {*declared.decided_by, *declared.also_said}
    assert not {one.id for one in answer.decided_by} & {one.id for one in answer.also_said}


@exhaustive
@given(asked())
def test_nothing_differs_before_the_next_change_and_something_does_then(
    question: tuple[AnswersWithHours, datetime],
) -> None:
    answers, at = question
    present = answers.answer(at)
    change, difference = answers.next_change(at), answers.next_difference(at)

    assert (difference or NEVER) <= (change or NEVER)
    if change is not None:
        assert body_of(answers.answer(change)) != body_of(present)
    grid = {at + number * HOUR for number in range(7 * 24)}
    grid |= {one for one in answers.resolved.boundaries() if at <= one <= at + 7 * DAY}
    for instant in grid:
        if instant < (change or NEVER):
            assert body_of(answers.answer(instant)) == body_of(present)
        if instant < (difference or NEVER):
            assert answers.answer(instant) == present


@exhaustive
@given(asked())
def test_the_answer_has_been_as_it_is_since_its_last_change(
    question: tuple[AnswersWithHours, datetime],
) -> None:
    answers, at = question
    since = answers.last_change(at)
    instants = {at - number * HOUR for number in range(3 * 24)}
    instants |= {one for one in answers.resolved.boundaries() if one <= at}

    for instant in instants:
        if since is None or instant >= since:
            assert answers.answer(instant) == answers.answer(at)


@exhaustive
@given(asked())
def test_the_period_is_of_one_status_and_opens_when_a_lane_does(
    question: tuple[AnswersWithHours, datetime],
) -> None:
    answers, at = question
    answer, period, opens_at = answers.answer(at), answers.period(at), answers.opens_at(at)

    if answer == answers.resolved.answer(at):
        assert (period, opens_at) == (answers.resolved.period(at), None)
    elif answer.status is not answers.resolved.answer(at).status:
        assert period.expires_at is None
        assert period.since is None or period.since <= at
        assert period.until is None or answers.answer(period.until).status is not answer.status
        instants = {at + number * HOUR for number in range(2 * 24)}
        for instant in instants:
            if instant < (period.until or NEVER):
                assert answers.answer(instant).status is answer.status
    if opens_at is not None:
        closed = {lane.lane for lane in answer.lanes if lane.outside_hours}
        then = {
            lane.lane for lane in answers.answer(opens_at).lanes if lane.status is not Status.CLOSED
        }
        assert opens_at > at
        assert closed & then


@exhaustive
@given(asked())
def test_a_timeline_with_hours_agrees_with_the_answers(
    question: tuple[AnswersWithHours, datetime],
) -> None:
    answers, start = question
    end = start + 3 * DAY
    periods = list(answers.timeline(start, end))

    assert (periods[0].start, periods[-1].end) == (start, end)
    assert all(one.end == other.start for one, other in pairwise(periods))
    for period in periods:
        assert period.start is not None
        assert period.end is not None
        for instant in (period.start, period.end - TICK):
            lanes = answers.answer(instant).lanes
            assert [(one.status, one.closed_by) for one in period.lanes] == [
                (one.status, one.closed_by) for one in lanes
            ]
            assert period.status is answers.answer(instant).status


def test_two_schedules_that_never_agree_are_closed_for_good() -> None:
    lane = Lane(Traffic.CAR, "LT")
    hours = Hours({lane: [Daily(0, 12), Daily(12, 0)]})

    assert hours.is_closed(lane, day(1))
    assert hours.next_switch(lane, day(1)) is None
