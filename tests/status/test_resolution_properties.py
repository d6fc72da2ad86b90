"""What holds of every history: the rule against its naive twin, and what the twin cannot say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.status.reading import clipped
from app.status.rule.history import (
    Answer,
    Confirmation,
    Declaration,
    EventRetraction,
    History,
    TimelinePeriod,
)
from app.vocabulary import Certainty, Status
from tests.status import oracle
from tests.status.histories import (
    DAY,
    MICROSECOND,
    MICROSECONDS,
    SIDES,
    around,
    asked,
    crowded,
    day,
    histories,
    knowledge,
    one_more,
)
from tests.status.rule import next_change, present_period, resolve, timeline

# A counterexample may take five minutes to become as small as it can be.
pytestmark = pytest.mark.timeout(900)

EXAMPLES = settings().max_examples
"""As many as the Hypothesis profile in force says."""

thorough = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
more_thorough = settings(thorough, max_examples=10 * EXAMPLES)
"""For what is quickly asked and takes a rare history to break."""

ANY_INSTANT = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
).map(lambda x: x.replace(tzinfo=day(1).tzinfo))
DISTANT = day(100_000)
NEARBY = st.timedeltas(min_value=-2 * DAY, max_value=14 * DAY).map(lambda x: day(1) + x)

EVERY_MICROSECOND = [day(1) + i * MICROSECOND for i in range(-2, MICROSECONDS.ticks + 22)]
"""One by one from before to after anything that can change on that grid."""


def starts_of(stretches: Sequence[TimelinePeriod]) -> list[datetime]:
    return [stretch.start for stretch in stretches if stretch.start is not None]


def stretch_at(stretches: Sequence[TimelinePeriod], at: datetime) -> TimelinePeriod:
    """Find the only stretch that contains the instant."""
    [found] = [
        x for x in stretches if (x.start is None or x.start <= at) and (x.end is None or at < x.end)
    ]
    return found


# The rule and its naive twin


@thorough
@given(histories(), st.data())
def test_the_rule_agrees_with_its_naive_twin(history: History, data: st.DataObject) -> None:
    """Every field, at every boundary, just before it, between and anywhere."""
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    anywhere = data.draw(st.lists(ANY_INSTANT | NEARBY, max_size=5), label="anywhere")
    for at in around(oracle.boundaries(history)) + anywhere:
        assert resolve(history, at, known_at) == oracle.resolve(history, at, known_at), at


@thorough
@given(histories(), st.data())
def test_the_rule_agrees_with_its_naive_twin_at_all_knowledge(
    history: History, data: st.DataObject
) -> None:
    """The other way round: one instant, and everything that was ever known of it."""
    instants = around(oracle.boundaries(history))
    at = data.draw(st.sampled_from(instants) | NEARBY, label="at")
    for known_at in knowledge(history):
        assert resolve(history, at, known_at) == oracle.resolve(history, at, known_at), known_at


@thorough
@given(histories(MICROSECONDS))
def test_the_rule_agrees_with_its_naive_twin_at_every_microsecond(history: History) -> None:
    for at in EVERY_MICROSECOND:
        assert resolve(history, at) == oracle.resolve(history, at), at


@thorough
@given(crowded())
def test_the_rule_agrees_with_its_naive_twin_where_much_is_said_of_one_lane(
    history: History,
) -> None:
    for at in EVERY_MICROSECOND[: MICROSECONDS.ticks + 3]:
        assert resolve(history, at) == oracle.resolve(history, at), at


# The timeline


@thorough
@given(histories(), st.data())
def test_the_timeline_covers_all_time_with_no_gap_and_no_overlap(
    history: History, data: st.DataObject
) -> None:
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    stretches = timeline(history, known_at)
    assert stretches[0].start is None
    assert stretches[-1].end is None
    for earlier, later in pairwise(stretches):
        assert earlier.end is not None
        assert earlier.end == later.start
    for stretch in stretches[1:-1]:
        assert stretch.start is not None
        assert stretch.end is not None
        assert stretch.start < stretch.end


@thorough
@given(histories(), st.data())
def test_the_periods_of_the_timeline_are_maximal(history: History, data: st.DataObject) -> None:
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    for earlier, later in pairwise(timeline(history, known_at)):
        assert oracle.shown(earlier) != oracle.shown(later)


@thorough
@given(histories(), st.data())
def test_the_timeline_agrees_with_the_pointwise_rule(history: History, data: st.DataObject) -> None:
    """At every boundary, its own or possible, just before it, between and anywhere."""
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    anywhere = data.draw(st.lists(ANY_INSTANT | NEARBY, max_size=5), label="anywhere")
    stretches = timeline(history, known_at)
    instants = around([*oracle.boundaries(history), *starts_of(stretches)])
    for at in instants + anywhere:
        pointwise = oracle.shown(oracle.resolve(history, at, known_at))
        assert oracle.shown(stretch_at(stretches, at)) == pointwise, at


@thorough
@given(histories(MICROSECONDS))
def test_the_timeline_agrees_with_the_pointwise_rule_at_every_microsecond(
    history: History,
) -> None:
    stretches = timeline(history)
    for at in EVERY_MICROSECOND:
        pointwise = oracle.shown(oracle.resolve(history, at))
        assert oracle.shown(stretch_at(stretches, at)) == pointwise, at


@more_thorough
@given(crowded())
def test_the_timeline_is_the_naive_one_where_much_is_said_of_one_lane(history: History) -> None:
    assert timeline(history) == oracle.timeline(history)


@thorough
@given(histories(), st.data())
def test_the_timeline_is_the_naive_one(history: History, data: st.DataObject) -> None:
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    assert timeline(history, known_at) == oracle.timeline(history, known_at)


@thorough
@given(histories(), st.data())
def test_the_timeline_from_an_instant_on_is_the_whole_one_cut_there(
    history: History, data: st.DataObject
) -> None:
    since = data.draw(st.sampled_from(around(oracle.boundaries(history))) | NEARBY, label="since")
    assert timeline(history, since=since) == tuple(clipped(timeline(history), since, None))


# Since, until and the next change


@thorough
@given(histories(), st.data())
def test_since_until_and_expires_at_are_the_naive_ones(
    history: History, data: st.DataObject
) -> None:
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    told = oracle.steps(history, known_at)
    for at in around(oracle.boundaries(history)):
        assert present_period(history, at, known_at) == oracle.present_period(told, at), at


@thorough
@given(histories(MICROSECONDS))
def test_since_and_until_are_found_by_going_microsecond_by_microsecond(history: History) -> None:
    answers = [oracle.resolve(history, at) for at in EVERY_MICROSECOND]
    statuses = [answer.status for answer in answers]
    declared = [oracle.before_expiry(answer) for answer in answers]
    for i, at in enumerate(EVERY_MICROSECOND):
        since = until = expires_at = None
        for j in range(1, i + 1):
            if statuses[j - 1] != statuses[j]:
                since = EVERY_MICROSECOND[j]
        for j in range(len(statuses) - 1, i, -1):
            if declared[j] != declared[i]:
                until, expires_at = EVERY_MICROSECOND[j], None
            elif statuses[j] == Status.UNKNOWN != statuses[i]:
                expires_at = EVERY_MICROSECOND[j]
        assert present_period(history, at) == (since, until, expires_at), at


@thorough
@given(histories(), st.data())
def test_a_status_that_expires_is_unknown_at_that_instant_and_not_before(
    history: History, data: st.DataObject
) -> None:
    """What was declared has not ended by then: it is the last known status."""
    at = data.draw(st.sampled_from(around(oracle.boundaries(history))) | NEARBY, label="at")
    _, until, expires_at = present_period(history, at)
    if expires_at is not None:
        assert at < expires_at < (until or DISTANT)
        now, expired = resolve(history, at), resolve(history, expires_at)
        assert now.status in {Status.OPEN, Status.RESTRICTED}
        assert (expired.status, expired.last_known) == (Status.UNKNOWN, oracle.before_expiry(now))
        assert resolve(history, expires_at - MICROSECOND).status != Status.UNKNOWN


@thorough
@given(histories(), st.data())
def test_nothing_changes_before_the_next_change(history: History, data: st.DataObject) -> None:
    """Constant up to it, different at it, and none if nothing ever differs."""
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    instants = around(oracle.boundaries(history))
    at = data.draw(st.sampled_from(instants) | NEARBY, label="at")
    change = next_change(history, at, known_at)
    now = oracle.body(oracle.resolve(history, at, known_at))
    for instant in instants:
        if at <= instant and (change is None or instant < change):
            assert oracle.body(oracle.resolve(history, instant, known_at)) == now, instant
    if change is not None:
        assert change > at
        assert oracle.body(oracle.resolve(history, change, known_at)) != now
        assert oracle.body(oracle.resolve(history, change - MICROSECOND, known_at)) == now


@thorough
@given(histories(), st.data())
def test_the_next_change_is_the_naive_one(history: History, data: st.DataObject) -> None:
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    told = oracle.steps(history, known_at)
    for at in around(oracle.boundaries(history)):
        now = oracle.resolve(history, at, known_at)
        assert next_change(history, at, known_at) == oracle.next_change(told, now, at), at


@thorough
@given(histories(MICROSECONDS))
def test_the_next_change_is_found_by_going_microsecond_by_microsecond(history: History) -> None:
    answers = [oracle.body(oracle.resolve(history, at)) for at in EVERY_MICROSECOND]
    for i, at in enumerate(EVERY_MICROSECOND):
        later = zip(EVERY_MICROSECOND[i:], answers[i:], strict=True)
        change = next((x for x, answer in later if answer != answers[i]), None)
        assert next_change(history, at) == change, at


# What may be supplied, and what may be known


@thorough
@given(histories(), st.data())
def test_the_order_in_which_events_are_supplied_does_not_matter(
    history: History, data: st.DataObject
) -> None:
    events = tuple(data.draw(st.permutations(history.events), label="events"))
    known_at = data.draw(st.sampled_from(knowledge(history)), label="known_at")
    shuffled = replace(history, events=events)
    assert timeline(shuffled, known_at) == timeline(history, known_at)
    for at in around(oracle.boundaries(history)):
        assert resolve(shuffled, at, known_at) == resolve(history, at, known_at), at


@thorough
@given(histories(), st.data())
def test_recording_something_later_never_changes_an_answer_as_known_before(
    history: History, data: st.DataObject
) -> None:
    """Whatever was recorded after it, the answer is what it was when nothing was."""
    recorded = sorted({event.recorded_at for event in history.events})
    known_at = data.draw(st.sampled_from(around(recorded)), label="known_at")
    then = replace(history, events=tuple(e for e in history.events if e.recorded_at <= known_at))
    assert timeline(history, known_at) == timeline(then)
    for at in around(oracle.boundaries(history)):
        assert resolve(history, at, known_at) == resolve(then, at), at
        assert next_change(history, at, known_at) == next_change(then, at), at


@thorough
@given(histories(), st.data())
def test_a_question_about_some_lanes_has_the_answers_of_the_question_about_all(
    history: History, data: st.DataObject
) -> None:
    lanes = data.draw(asked(history.lanes), label="lanes")
    narrowed = replace(history, lanes=lanes)
    for at in around(oracle.boundaries(history)):
        full = {x.lane: x for x in resolve(history, at).lanes}
        assert resolve(narrowed, at).lanes == tuple(full[lane] for lane in lanes), at


# Why it is so, of every history


def told(answer: Answer) -> tuple[object, ...]:
    """Tell an answer with declarations by their ids alone."""
    lanes = [
        (
            x.lane,
            x.status,
            x.last_known,
            x.stale,
            x.overdue,
            x.last_confirmed_at,
            named(x.decided_by),
        )
        for x in answer.lanes
    ]
    return (
        answer.status,
        answer.last_known,
        answer.stale,
        answer.overdue,
        answer.expected_until,
        answer.last_confirmed_at,
        answer.sides,
        lanes,
        [named(d) for d in answer.decided_by],
        [named(d) for d in answer.also_said],
    )


def named(declaration: Declaration | None) -> UUID | None:
    return None if declaration is None else declaration.id


@thorough
@given(histories(), st.data())
def test_a_rumour_changes_nothing(history: History, data: st.DataObject) -> None:
    """It is only listed beside the answer."""
    rumour = replace(data.draw(one_more(history)), certainty=Certainty.UNCONFIRMED)
    rumoured = replace(history, events=(*history.events, rumour))
    assert timeline(rumoured) == timeline(history)
    for at in around(oracle.boundaries(rumoured)):
        answer = resolve(rumoured, at)
        others = tuple(d for d in answer.also_said if d != rumour)
        assert replace(answer, also_said=others) == resolve(history, at), at


@thorough
@given(histories(), st.data())
def test_one_side_never_speaks_for_the_other(history: History, data: st.DataObject) -> None:
    side, other = data.draw(st.permutations(SIDES), label="side, other")
    word = replace(data.draw(one_more(history)), sides=frozenset({side}))
    after = replace(history, events=(*history.events, word))
    for at in around(oracle.boundaries(after)):
        assert dict(resolve(after, at).sides)[other] == dict(resolve(history, at).sides)[other], at


@thorough
@given(histories())
def test_the_lane_is_as_closed_as_the_more_closed_of_its_sides(history: History) -> None:
    """The lane's status, or what it was before it expired, is the most severe of both sides."""
    severity = [Status.UNKNOWN, Status.OPEN, Status.RESTRICTED, Status.CLOSED]
    one_lane = replace(history, lanes=history.lanes[:1])
    for at in around(oracle.boundaries(history)):
        answer = resolve(one_lane, at)
        sides = [status for _, status in answer.sides]
        assert (answer.last_known or answer.status) == max(sides, key=severity.index), at


@thorough
@given(histories())
def test_what_is_superseded_or_retracted_never_was(history: History) -> None:
    """Only what still stands need be known, and when it was said, if that tells them apart."""
    left = oracle.standing(history, None)
    said = [oracle.said_at(history, d) for d in left]
    assume(all(said.count(oracle.said_at(history, d)) == 1 for d in left if d.supersedes))
    standing = [replace(d, announced_at=oracle.said_at(history, d), supersedes=None) for d in left]
    gone = {e.retracts for e in history.events if isinstance(e, EventRetraction)}
    confirmations = [e for e in history.events if isinstance(e, Confirmation) and e.id not in gone]
    flat = replace(history, events=(*standing, *confirmations))
    for at in around(oracle.boundaries(history)):
        assert told(resolve(flat, at)) == told(resolve(history, at)), at


@thorough
@given(histories(), st.data())
def test_mending_an_entry_does_not_make_it_the_last_word(
    history: History, data: st.DataObject
) -> None:
    """The same said again as a correction leaves in force what was."""
    standing = oracle.standing(history, None)
    assume(standing)
    entry = data.draw(st.sampled_from(standing), label="entry")
    mended = replace(
        entry, id=UUID(int=99), recorded_at=day(20), announced_at=None, supersedes=entry.id
    )
    after = replace(history, events=(*history.events, mended))
    for at in around(oracle.boundaries(history)):
        was, is_ = resolve(history, at), resolve(after, at)
        assert is_.sides == was.sides, at
        assert [named(d) for d in is_.decided_by] == [
            mended.id if d == entry else d.id for d in was.decided_by
        ], at


@thorough
@given(histories(), st.data())
def test_late_history_is_the_same_in_whatever_order_it_is_recorded(
    history: History, data: st.DataObject
) -> None:
    """Said at different times, learned long after, in two orders."""
    late = [
        replace(d, announced_at=day(i), supersedes=None)
        for i, d in enumerate(oracle.standing(history, None))
    ]
    order = data.draw(st.permutations(range(len(late))), label="order")
    one, other = (
        replace(
            history,
            events=tuple(
                replace(d, recorded_at=day(20 + i)) for i, d in zip(numbers, late, strict=True)
            ),
        )
        for numbers in (range(len(late)), order)
    )
    for at in around(oracle.boundaries(one)):
        assert told(resolve(one, at)) == told(resolve(other, at)), at
