"""The resolution rule by example: each sentence of its reasons, and each clause, is a test."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest

from app.status.rule.history import Answer, Event, Lane, LaneAnswer
from app.vocabulary import Certainty, Status, Traffic
from tests.status.histories import (
    BOTH,
    CAR_TO_BY,
    CAR_TO_LT,
    DAY,
    MICROSECOND,
    TRUCK_TO_BY,
    TRUCK_TO_LT,
    closed,
    confirmation,
    crossing,
    day,
    declaration,
    opened,
    restricted,
    retraction,
)
from tests.status.rule import next_change, present_period, resolve, timeline

OPEN, RESTRICTED, CLOSED, UNKNOWN = Status.OPEN, Status.RESTRICTED, Status.CLOSED, Status.UNKNOWN
TWO_LANES = (CAR_TO_LT, TRUCK_TO_LT)


def ask(
    at: datetime,
    *events: Event,
    known_at: datetime | None = None,
    lanes: Sequence[Lane] = (CAR_TO_LT,),
    patience: timedelta = 30 * DAY,
) -> Answer:
    return resolve(crossing(*events, lanes=lanes, patience=patience), at, known_at)


def just_before(at: datetime) -> datetime:
    return at - MICROSECOND


def year(number: int) -> datetime:
    return datetime(number, 1, 1, tzinfo=UTC)


def statuses(answer: Answer) -> list[Status]:
    return [x.status for x in answer.lanes]


# Why it is so


def test_a_later_announcement_replaces_an_earlier_one_from_its_own_start() -> None:
    closure = closed(day(1))
    reopening = opened(day(5), said=day(3))

    assert ask(just_before(day(5)), closure, reopening).decided_by == (closure,)
    answer = ask(day(5), closure, reopening)
    assert answer.status == OPEN
    assert answer.decided_by == (reopening,)
    assert answer.also_said == ()


def test_a_bounded_closure_gives_way_when_it_ends_to_what_it_covered() -> None:
    opening = opened(day(1))
    closure = closed(day(5), day(8))

    assert ask(just_before(day(8)), opening, closure).status == CLOSED
    answer = ask(day(8), opening, closure)
    assert answer.status == OPEN
    assert answer.decided_by == (opening,)


def test_a_planned_closure_survives_an_unrelated_reopening_before_it() -> None:
    closure = closed(day(1))
    planned = closed(day(20), said=day(2))
    reopening = opened(day(10), said=day(9))

    assert ask(just_before(day(20)), closure, planned, reopening).decided_by == (reopening,)
    answer = ask(day(20), closure, planned, reopening)
    assert answer.status == CLOSED
    assert answer.decided_by == (planned,)


def test_a_planned_reopening_does_not_override_a_closure_announced_after_it() -> None:
    planned = opened(day(10), said=day(1))
    closure = closed(day(7), said=day(5))

    for at in (day(7), day(10), day(20)):
        answer = ask(at, planned, closure)
        assert answer.status == CLOSED
        assert answer.decided_by == (closure,)


@pytest.mark.parametrize("days", list(permutations((20, 21, 22))))
def test_late_history_said_when_it_was_said_changes_only_the_past(days: Sequence[int]) -> None:
    """In whatever order it is recorded."""
    first, second, third = (day(x) for x in days)
    today = opened(day(10), said=day(10))
    late = [
        closed(day(1), said=day(1), recorded=first),
        restricted(day(5), said=day(5), recorded=second),
        closed(day(7), day(9), said=day(6), recorded=third),
    ]

    for at in (day(10), day(12), day(45)):
        assert ask(at, today, *late) == ask(at, today)
    past = [ask(day(x), today, *late).status for x in (0, 1, 5, 7, 9)]
    assert past == [UNKNOWN, CLOSED, RESTRICTED, CLOSED, RESTRICTED]


def test_one_sides_open_never_lifts_the_other_sides_closed() -> None:
    closure = closed(day(1), side="LT")
    opening = opened(day(5), side="BY")

    answer = ask(day(6), closure, opening)
    assert answer.status == CLOSED
    assert answer.decided_by == (closure,)
    assert answer.also_said == (opening,)
    assert answer.sides == (("BY", OPEN), ("LT", CLOSED))


def test_an_announced_end_that_has_passed_does_not_open_a_gate() -> None:
    opening = opened(day(1))
    closure = closed(day(2), expected=day(5))

    before = ask(just_before(day(5)), opening, closure)
    assert (before.status, before.overdue) == (CLOSED, False)
    after = ask(day(5), opening, closure)
    assert (after.status, after.overdue) == (CLOSED, True)
    assert after.decided_by == (closure,)
    assert ask(day(500), opening, closure).status == CLOSED


def test_a_rumour_changes_nothing() -> None:
    opening = opened(day(1))
    rumour = closed(day(2), certainty=Certainty.UNCONFIRMED)

    for at in (day(2), day(3), day(31), day(40)):
        answer = ask(at, opening, rumour)
        assert answer.also_said == (rumour,)
        assert replace(answer, also_said=()) == ask(at, opening)


def test_a_report_does_not_open_what_an_authority_closed() -> None:
    closure = closed(day(1))
    report = opened(day(5), certainty=Certainty.REPORTED)

    answer = ask(day(6), closure, report)
    assert answer.status == CLOSED
    assert answer.decided_by == (closure,)
    assert answer.also_said == (report,)


def test_an_open_that_nobody_has_confirmed_for_long_is_not_an_open() -> None:
    opening = opened(day(1))

    assert ask(just_before(day(31)), opening).status == OPEN
    answer = ask(day(31), opening)
    assert answer.status == UNKNOWN
    assert answer.last_known == OPEN
    assert answer.decided_by == (opening,)


def test_a_plan_for_next_year_does_not_confirm_today() -> None:
    opening = opened(day(1))
    plan = closed(day(365), said=day(30))

    assert ask(day(40), opening, plan).status == UNKNOWN
    assert ask(day(40), opening, plan).last_confirmed_at == day(1)


def test_the_planned_end_of_an_opening_does_not_confirm_it() -> None:
    """Nor does an opening planned last year confirm itself on the day."""
    assert ask(day(40), opened(day(1), day(365))).status == UNKNOWN
    assert ask(day(365), opened(day(365), said=day(1))).status == UNKNOWN


def test_a_confirmation_of_the_closure_does_not_confirm_the_opening_planned_to_follow() -> None:
    closure = closed(day(1), day(10))
    opening = opened(day(10), said=day(1))
    still_closed = confirmation(day(9))

    answer = ask(day(10), closure, opening, still_closed, patience=7 * DAY)
    assert answer.status == UNKNOWN
    assert answer.last_known == OPEN
    assert answer.last_confirmed_at == day(1)
    assert not ask(day(9.5), closure, opening, still_closed, patience=7 * DAY).stale


def test_a_wrong_entry_once_superseded_never_was_except_in_what_was_known_before() -> None:
    wrong = closed(day(1))
    right = opened(day(1), recorded=day(3), supersedes=wrong)

    assert ask(day(2), wrong, right).decided_by == (right,)
    assert ask(day(2), wrong, right, known_at=day(3)).decided_by == (right,)
    assert ask(day(2), wrong, right, known_at=just_before(day(3))).decided_by == (wrong,)
    assert [x.status for x in timeline(crossing(wrong, right))] == [UNKNOWN, OPEN, UNKNOWN]


def test_mending_an_old_closures_reason_today_does_not_undo_the_reopening_that_followed() -> None:
    closure = closed(day(1))
    reopening = opened(day(5))
    mended = closed(day(1), recorded=day(9), supersedes=closure)

    answer = ask(day(10), closure, reopening, mended)
    assert answer.status == OPEN
    assert answer.decided_by == (reopening,)
    assert ask(day(4), closure, reopening, mended).decided_by == (mended,)


def test_mending_what_was_mended_does_not_undo_the_reopening_either() -> None:
    closure = closed(day(1))
    reopening = opened(day(5))
    mended = closed(day(1), recorded=day(9), supersedes=closure)
    again = closed(day(1), recorded=day(10), supersedes=mended)

    assert ask(day(11), closure, reopening, mended, again).decided_by == (reopening,)


def test_mending_a_closure_does_not_undo_a_reopening_announced_in_the_same_breath() -> None:
    """One decree says both: closed from the first, open again from the fifth."""
    closure = closed(day(1), said=day(0), recorded=day(1))
    reopening = opened(day(5), said=day(0), recorded=day(2))
    mended = closed(day(1), recorded=day(9), supersedes=closure)

    assert ask(day(10), closure, reopening).decided_by == (reopening,)
    assert ask(day(10), closure, reopening, mended).decided_by == (reopening,)


def test_between_two_known_facts_the_earlier_one_holds() -> None:
    """Open in 2010, next word in 2025: open in 2018, as known now but not as known then."""
    opening = opened(year(2010))
    next_word = closed(year(2025))

    now = ask(year(2018), opening, next_word)
    assert now.status == OPEN
    assert now.decided_by == (opening,)
    assert now.last_confirmed_at == year(2010)
    assert ask(just_before(year(2025)), opening, next_word).status == OPEN
    then = ask(year(2018), opening, next_word, known_at=year(2018))
    assert (then.status, then.last_known) == (UNKNOWN, OPEN)


def test_it_is_only_after_the_last_word_that_an_open_runs_out() -> None:
    opening = opened(year(2010))
    last_word = confirmation(year(2025))

    runs_out = year(2025) + 30 * DAY
    assert ask(just_before(runs_out), opening, last_word).status == OPEN
    assert ask(runs_out, opening, last_word).status == UNKNOWN
    assert next_change(crossing(opening, last_word), year(2018)) == year(2025)
    assert present_period(crossing(opening, last_word), year(2018)) == (
        year(2010),
        None,
        runs_out,
    )


# Rule 1: candidates


def test_nobody_said_anything() -> None:
    """Silence is ``unknown``, never a guessed ``open``."""
    assert ask(day(1)) == Answer(
        status=UNKNOWN,
        last_known=None,
        stale=False,
        overdue=False,
        expected_until=None,
        last_confirmed_at=None,
        sides=(("BY", UNKNOWN), ("LT", UNKNOWN)),
        lanes=(
            LaneAnswer(
                lane=CAR_TO_LT,
                status=UNKNOWN,
                last_known=None,
                stale=False,
                overdue=False,
                decided_by=None,
                last_confirmed_at=None,
            ),
        ),
        decided_by=(),
        also_said=(),
    )


def test_a_period_holds_from_its_start_until_just_before_its_end() -> None:
    closure = closed(day(3), day(5))

    assert ask(just_before(day(3)), closure).status == UNKNOWN
    assert ask(day(3), closure).status == CLOSED
    assert ask(just_before(day(5)), closure).status == CLOSED
    assert ask(day(5), closure).status == UNKNOWN


def test_a_declaration_without_an_end_holds_until_further_notice() -> None:
    assert ask(year(2100), closed(day(3))).status == CLOSED


def test_a_declaration_is_known_from_the_instant_it_was_recorded() -> None:
    closure = closed(day(1), recorded=day(4))

    assert ask(day(2), closure, known_at=just_before(day(4))).status == UNKNOWN
    assert ask(day(2), closure, known_at=day(4)).status == CLOSED


def test_announced_earlier_is_not_known_earlier() -> None:
    closure = closed(day(1), said=day(1), recorded=day(4))

    assert ask(day(2), closure, known_at=just_before(day(4))).status == UNKNOWN


def test_a_plan_may_be_known_before_it_holds() -> None:
    closure = closed(day(10), said=day(1))

    assert ask(day(10), closure, known_at=day(1)).status == CLOSED
    assert ask(day(9), closure, known_at=day(1)).status == UNKNOWN


def test_a_retracted_declaration_never_was_except_in_what_was_known_before() -> None:
    opening = opened(day(1))
    wrong = closed(day(2))
    withdrawal = retraction(wrong, recorded=day(4))

    assert ask(day(3), opening, wrong, withdrawal) == ask(day(3), opening)
    assert ask(day(3), opening, wrong, withdrawal, known_at=day(4)).status == OPEN
    assert ask(day(3), opening, wrong, withdrawal, known_at=just_before(day(4))).status == CLOSED


def test_retracting_a_correction_withdraws_what_it_corrected_too() -> None:
    opening = opened(day(1))
    wrong = closed(day(2))
    correction = closed(day(2), recorded=day(4), supersedes=wrong)
    withdrawal = retraction(correction, recorded=day(6))

    events = (opening, wrong, correction, withdrawal)
    assert ask(day(5), *events) == ask(day(5), opening)
    assert ask(day(5), *events, known_at=just_before(day(6))).status == CLOSED


def test_what_a_correction_superseded_stays_superseded_when_it_is_corrected_itself() -> None:
    wrong = closed(day(1))
    worse = closed(day(1), day(2), recorded=day(3), supersedes=wrong)
    right = opened(day(1), recorded=day(4), supersedes=worse)

    answer = ask(day(5), wrong, worse, right)
    assert answer.status == OPEN
    assert answer.also_said == ()


def test_a_correction_that_ends_an_event_leaves_nothing_after_its_end() -> None:
    closure = closed(day(1))
    ended = closed(day(1), day(6), recorded=day(6), supersedes=closure)

    assert ask(day(7), closure, ended).status == UNKNOWN
    assert ask(day(7), closure, ended, known_at=day(5)).status == CLOSED


def test_a_declaration_without_a_scope_covers_every_lane() -> None:
    lanes = (CAR_TO_BY, CAR_TO_LT, TRUCK_TO_BY, TRUCK_TO_LT)

    assert statuses(ask(day(1), closed(day(1)), lanes=lanes)) == [CLOSED] * 4


def test_a_declaration_covers_only_the_lanes_of_its_scope() -> None:
    lanes = (CAR_TO_BY, CAR_TO_LT, TRUCK_TO_BY, TRUCK_TO_LT)

    def covered(traffic: Traffic | None, to: str | None) -> list[Status]:
        return statuses(ask(day(1), closed(day(1), traffic=traffic, to=to), lanes=lanes))

    assert covered(Traffic.TRUCK, None) == [UNKNOWN, UNKNOWN, CLOSED, CLOSED]
    assert covered(None, "LT") == [UNKNOWN, CLOSED, UNKNOWN, CLOSED]
    assert covered(Traffic.CAR, "BY") == [CLOSED, UNKNOWN, UNKNOWN, UNKNOWN]


def test_the_side_that_declares_has_nothing_to_do_with_the_country_entered() -> None:
    """Lithuania may close the way into Belarus."""
    answer = ask(day(1), closed(day(1), side="LT", to="BY"), lanes=(CAR_TO_BY, CAR_TO_LT))

    assert statuses(answer) == [CLOSED, UNKNOWN]


# Rule 2: lifting


def test_what_starts_earlier_lifts_nothing_though_it_was_said_later() -> None:
    closure = closed(day(3), said=day(3))
    opening = opened(just_before(day(3)), said=day(4))

    answer = ask(day(5), closure, opening)
    assert answer.decided_by == (closure,)
    assert answer.also_said == (opening,)


def test_what_starts_at_the_same_instant_and_was_said_later_lifts() -> None:
    closure = closed(day(3), said=day(3))
    opening = opened(day(3), said=day(4))

    answer = ask(day(5), closure, opening)
    assert answer.decided_by == (opening,)
    assert answer.also_said == ()


def test_of_what_was_said_at_the_same_instant_the_one_recorded_later_lifts() -> None:
    closure = closed(day(3), said=day(1), recorded=day(5))
    opening = opened(day(3), said=day(1), recorded=day(6))

    assert ask(day(7), closure, opening).decided_by == (opening,)
    opening = replace(opening, recorded_at=day(4))
    assert ask(day(7), closure, opening).decided_by == (closure,)


def test_of_what_was_recorded_at_the_same_instant_the_greater_id_lifts() -> None:
    """Production never does this, but the order of supply must not show even then."""
    closure = replace(closed(day(3)), id=UUID(int=1))
    opening = replace(opened(day(3)), id=UUID(int=2))

    assert ask(day(4), closure, opening).decided_by == (opening,)
    assert ask(day(4), opening, closure).decided_by == (opening,)


def test_what_is_said_earlier_lifts_nothing_though_it_was_recorded_later() -> None:
    closure = closed(day(3), said=day(2), recorded=day(3))
    opening = opened(day(3), said=day(1), recorded=day(9))

    assert ask(day(10), closure, opening).status == CLOSED


def test_without_an_announcement_it_was_said_when_it_was_recorded() -> None:
    closure = closed(day(1), said=day(4), recorded=day(9))
    opening = opened(day(1), recorded=day(5))

    assert ask(day(10), closure, opening).status == OPEN
    opening = opened(day(1), recorded=just_before(day(4)))
    assert ask(day(10), closure, opening).status == CLOSED


def test_a_correction_that_says_when_it_was_announced_was_said_then() -> None:
    closure = closed(day(1))
    reopening = opened(day(1), recorded=day(5))
    new_word = closed(day(1), said=day(7), recorded=day(8), supersedes=closure)

    assert ask(day(9), closure, reopening, new_word).decided_by == (new_word,)
    old_word = closed(day(1), said=day(4), recorded=day(8), supersedes=closure)
    assert ask(day(9), closure, reopening, old_word).decided_by == (reopening,)


def test_a_correction_was_said_with_what_it_corrects_when_that_was_announced_before() -> None:
    closure = closed(day(1), said=day(1), recorded=day(8))
    reopening = opened(day(1), recorded=day(5))
    mended = closed(day(1), recorded=day(9), supersedes=closure)

    assert ask(day(10), closure, reopening, mended).decided_by == (reopening,)


@pytest.mark.parametrize(
    ("earlier", "later", "lifts"),
    [
        (Certainty.CONFIRMED, Certainty.CONFIRMED, True),
        (Certainty.CONFIRMED, Certainty.REPORTED, False),
        (Certainty.REPORTED, Certainty.CONFIRMED, True),
        (Certainty.REPORTED, Certainty.REPORTED, True),
    ],
)
def test_only_what_is_no_less_certain_lifts(
    earlier: Certainty, later: Certainty, lifts: bool
) -> None:
    closure = closed(day(1), certainty=earlier)
    opening = opened(day(2), certainty=later)

    assert ask(day(3), closure, opening).status == (OPEN if lifts else CLOSED)


def test_a_declaration_by_both_sides_counts_once_for_each() -> None:
    """What one side takes back, the other still holds."""
    closure = closed(day(1), side=BOTH)
    opening = opened(day(5), side="LT")

    answer = ask(day(6), closure, opening)
    assert answer.status == CLOSED
    assert answer.decided_by == (closure,)
    assert answer.sides == (("BY", CLOSED), ("LT", OPEN))
    assert answer.also_said == (opening,)


def test_a_declaration_by_both_sides_lifts_what_either_said() -> None:
    closures = closed(day(1), side="LT"), closed(day(2), side="BY")
    opening = opened(day(5), side=BOTH)

    answer = ask(day(6), *closures, opening)
    assert answer.decided_by == (opening,)
    assert answer.also_said == ()


def test_both_sides_one_after_the_other_lift_what_they_said_together() -> None:
    closure = closed(day(1), side=BOTH)
    openings = opened(day(5), side="LT"), opened(day(6), side="BY")

    answer = ask(day(7), closure, *openings)
    assert answer.status == OPEN
    assert answer.also_said == ()


def test_only_a_candidate_lifts() -> None:
    """What has ended, has not begun or is about another lane leaves it in force."""
    closure = closed(day(1))

    for other in (
        opened(day(2), day(4)),
        opened(day(6)),
        opened(day(2), traffic=Traffic.TRUCK),
        opened(day(2), certainty=Certainty.UNCONFIRMED),
    ):
        assert ask(day(5), closure, other).decided_by == (closure,)


def test_a_declaration_for_one_lane_lifts_nothing_on_another() -> None:
    closure = closed(day(1))
    opening = opened(day(5), traffic=Traffic.CAR)

    answer = ask(day(6), closure, opening, lanes=TWO_LANES)
    assert statuses(answer) == [OPEN, CLOSED]
    assert [x.decided_by for x in answer.lanes] == [opening, closure]


def test_what_was_lifted_by_several_returns_when_the_last_of_them_ends() -> None:
    """Each in its turn, from within to without, however they are nested."""
    outer, middle, inner = closed(day(1)), opened(day(2), day(9)), restricted(day(3), day(5))
    again = restricted(day(6), day(7))
    history = crossing(outer, middle, inner, again)

    told = [(x.start, x.decided_by) for x in timeline(history) if not x.stale]
    assert told == [
        (None, ()),
        (day(1), (outer,)),
        (day(2), (middle,)),
        (day(3), (inner,)),
        (day(5), (middle,)),
        (day(6), (again,)),
        (day(7), (middle,)),
        (day(9), (outer,)),
    ]
    assert resolve(history, day(5)).also_said == ()


# Rule 3: severity


@pytest.mark.parametrize("by", [OPEN, RESTRICTED, CLOSED])
@pytest.mark.parametrize("lt", [OPEN, RESTRICTED, CLOSED])
def test_the_most_severe_status_of_both_sides_is_the_lanes(by: Status, lt: Status) -> None:
    severity = [OPEN, RESTRICTED, CLOSED]
    answer = ask(day(3), declaration(by, day(2), side="BY"), declaration(lt, day(1), side="LT"))

    assert answer.status == severity[max(severity.index(by), severity.index(lt))]


def test_the_most_severe_status_of_one_side_decides_too() -> None:
    """A longer closure is not lifted by a milder word that began before it."""
    closure = closed(day(3), said=day(1))
    restriction = restricted(day(2), said=day(2))

    answer = ask(day(4), closure, restriction)
    assert answer.decided_by == (closure,)
    assert answer.also_said == (restriction,)


def test_among_equals_the_one_that_starts_latest_is_named() -> None:
    longer = closed(day(1), side="LT", said=day(5))
    latest = closed(day(2), side="BY", said=day(1))

    assert ask(day(6), longer, latest).decided_by == (latest,)


def test_among_equals_that_start_together_the_one_said_latest_is_named() -> None:
    latest = closed(day(1), side="LT", said=day(3), recorded=day(4))
    other = closed(day(1), side="BY", said=day(2), recorded=day(5))

    assert ask(day(6), latest, other).decided_by == (latest,)


def test_among_equals_said_together_the_one_recorded_latest_is_named() -> None:
    latest = closed(day(1), side="LT", said=day(2), recorded=day(5))
    other = closed(day(1), side="BY", said=day(2), recorded=day(4))

    assert ask(day(6), latest, other).decided_by == (latest,)


def test_among_equals_recorded_together_the_greater_id_is_named() -> None:
    """Production never does this, but the order of supply must not show even then."""
    latest = replace(closed(day(1), side="LT"), id=UUID(int=2))
    other = replace(closed(day(1), side="BY"), id=UUID(int=1))

    assert ask(day(6), latest, other).decided_by == (latest,)
    assert ask(day(6), other, latest).decided_by == (latest,)


def test_a_milder_status_decides_nothing_though_it_starts_later() -> None:
    closure = closed(day(1), side="LT")
    restriction = restricted(day(5), side="BY")

    assert ask(day(6), closure, restriction).decided_by == (closure,)


# Rule 4: expiry


def test_a_restriction_runs_out_like_an_opening() -> None:
    restriction = restricted(day(1))

    assert ask(just_before(day(31)), restriction).status == RESTRICTED
    answer = ask(day(31), restriction)
    assert (answer.status, answer.last_known, answer.stale) == (UNKNOWN, RESTRICTED, False)


def test_an_unsupported_closure_stays_closed_and_is_stale() -> None:
    closure = closed(day(1))

    before = ask(just_before(day(31)), closure)
    assert (before.status, before.stale) == (CLOSED, False)
    answer = ask(day(31), closure)
    assert (answer.status, answer.stale, answer.last_known) == (CLOSED, True, None)
    assert answer.lanes[0].stale


def test_only_a_closure_is_ever_stale() -> None:
    for status in (OPEN, RESTRICTED):
        assert not ask(day(400), declaration(status, day(1))).stale


def test_the_crossing_may_set_its_own_patience() -> None:
    opening = opened(day(1))

    assert ask(just_before(day(3)), opening, patience=2 * DAY).status == OPEN
    assert ask(day(3), opening, patience=2 * DAY).status == UNKNOWN


def test_a_confirmation_keeps_an_opening_open() -> None:
    opening = opened(day(1))
    check = confirmation(day(20))

    assert ask(just_before(day(50)), opening, check).status == OPEN
    assert ask(day(50), opening, check).status == UNKNOWN
    assert ask(day(50), opening, check).last_confirmed_at == day(20)


def test_a_confirmation_keeps_a_closure_from_being_stale() -> None:
    assert not ask(just_before(day(50)), closed(day(1)), confirmation(day(20))).stale
    assert ask(day(50), closed(day(1)), confirmation(day(20))).stale


def test_a_confirmation_revives_what_had_run_out() -> None:
    opening = opened(day(1))
    check = confirmation(day(40))

    as_known_then = ask(day(35), opening, check, known_at=day(35))
    assert as_known_then.status == UNKNOWN
    assert ask(day(35), opening, check).status == OPEN
    assert ask(day(40), opening, check).status == OPEN


def test_a_confirmation_counts_when_the_source_was_checked_not_when_that_was_recorded() -> None:
    opening = opened(day(1))
    check = confirmation(day(20), recorded=day(60))

    assert ask(day(49), opening, check).status == OPEN
    assert ask(day(50), opening, check).status == UNKNOWN
    assert ask(day(59), opening, check).last_confirmed_at == day(20)


def test_a_confirmation_recorded_later_is_not_yet_known() -> None:
    opening = opened(day(1))
    check = confirmation(day(20), recorded=day(25))

    assert ask(day(40), opening, check, known_at=just_before(day(25))).status == UNKNOWN
    assert ask(day(40), opening, check, known_at=day(25)).status == OPEN


def test_a_retracted_confirmation_confirms_nothing() -> None:
    opening = opened(day(1))
    check = confirmation(day(20))
    withdrawal = retraction(check, recorded=day(30))

    assert ask(day(40), opening, check, withdrawal) == ask(day(40), opening)
    assert ask(day(40), opening, check, withdrawal, known_at=day(29)).status == OPEN


def test_a_confirmation_by_the_other_side_confirms_nothing() -> None:
    opening = opened(day(1), side="LT")

    assert ask(day(40), opening, confirmation(day(20), side="BY")).status == UNKNOWN
    assert ask(day(40), opening, confirmation(day(20), side=BOTH)).status == OPEN


def test_what_both_sides_declared_either_may_confirm() -> None:
    opening = opened(day(1), side=BOTH)

    assert ask(day(40), opening, confirmation(day(20), side="BY")).status == OPEN


def test_a_confirmation_of_another_lane_confirms_nothing() -> None:
    opening = opened(day(1))
    check = confirmation(day(20), traffic=Traffic.TRUCK)

    answer = ask(day(40), opening, check, lanes=TWO_LANES)
    assert statuses(answer) == [UNKNOWN, OPEN]
    assert [x.last_confirmed_at for x in answer.lanes] == [day(1), day(20)]


def test_a_confirmation_from_the_very_start_of_the_deciding_event_counts() -> None:
    opening = opened(day(10), said=day(1))

    answer = ask(day(40), opening, confirmation(day(10)), patience=31 * DAY)
    assert (answer.status, answer.last_confirmed_at) == (OPEN, day(10))
    answer = ask(day(40), opening, confirmation(just_before(day(10))), patience=31 * DAY)
    assert (answer.status, answer.last_confirmed_at) == (UNKNOWN, day(1))


def test_the_start_and_the_end_of_a_closure_are_evidence_of_the_opening_around_it() -> None:
    """Whoever ends a closure says that the gate is again what it was."""
    opening = opened(day(1))
    closure = closed(day(20), day(25), recorded=day(26))

    answer = ask(day(54), opening, closure)
    assert (answer.status, answer.last_confirmed_at) == (OPEN, day(25))
    assert ask(day(55), opening, closure).status == UNKNOWN


def test_an_end_planned_long_before_confirms_only_since_it_was_said() -> None:
    opening = opened(day(1))
    closure = closed(day(20), day(25), said=day(19))

    assert ask(just_before(day(49)), opening, closure).last_confirmed_at == day(19)
    assert ask(just_before(day(49)), opening, closure).status == OPEN
    assert ask(day(49), opening, closure).status == UNKNOWN


@pytest.mark.parametrize(
    "word",
    [
        closed(day(20), day(21), side="BY"),
        closed(day(20), day(21), traffic=Traffic.TRUCK),
        closed(day(20), day(21), certainty=Certainty.UNCONFIRMED),
    ],
    ids=["of the other side", "of another lane", "unconfirmed"],
)
def test_a_declaration_that_is_not_this_sides_word_of_this_lane_is_no_evidence(
    word: Event,
) -> None:
    assert ask(day(40), opened(day(1)), word).status == UNKNOWN


def test_a_plan_that_came_before_the_deciding_event_began_is_no_evidence() -> None:
    opening = opened(day(20), said=day(1))
    closure = closed(day(12), day(15), said=day(11))

    answer = ask(day(20), opening, closure, patience=15 * DAY)
    assert (answer.status, answer.last_known) == (UNKNOWN, OPEN)
    assert answer.last_confirmed_at == day(1)


def test_an_end_planned_too_long_before_confirms_nothing_when_it_comes() -> None:
    opening = opened(day(1))
    closure = closed(day(100), day(101), said=day(50))

    told = [(x.start, x.status) for x in timeline(crossing(opening, closure))]
    assert told == [
        (None, UNKNOWN),
        (day(1), OPEN),
        (day(31), UNKNOWN),
        (day(100), CLOSED),
        (day(101), UNKNOWN),
    ]
    assert ask(day(101), opening, closure).last_confirmed_at == day(50)


def test_a_plan_older_than_the_patience_confirms_nothing_when_its_day_comes() -> None:
    """Not even for as long as the instant itself."""
    closure = closed(day(1))
    plan = opened(day(100), said=day(50), certainty=Certainty.REPORTED)

    told = [(x.start, x.stale) for x in timeline(crossing(closure, plan))]
    assert told == [(None, False), (day(1), False), (day(31), True)]


def test_a_report_is_evidence() -> None:
    report = opened(day(20), certainty=Certainty.REPORTED)

    answer = ask(day(40), opened(day(1)), report)
    assert (answer.status, answer.last_confirmed_at) == (OPEN, day(20))


def test_a_retracted_or_superseded_declaration_is_no_evidence() -> None:
    opening = opened(day(1))
    wrong = closed(day(20), day(21))
    moved = closed(day(200), recorded=day(22), supersedes=wrong)

    assert ask(day(40), opening, wrong).status == OPEN
    assert ask(day(40), opening, wrong, retraction(wrong, recorded=day(22))).status == UNKNOWN
    assert ask(day(40), opening, wrong, moved).status == UNKNOWN


def test_evidence_recorded_later_is_not_yet_known() -> None:
    opening = opened(day(1))
    closure = closed(day(20), day(21), recorded=day(30))

    assert ask(day(40), opening, closure, known_at=day(29)).status == UNKNOWN
    assert ask(day(40), opening, closure, known_at=day(30)).status == OPEN


def test_an_old_opening_recorded_today_does_not_hold_today() -> None:
    """History is learned late without becoming news."""
    late = opened(year(2010), said=year(2010), recorded=day(1))

    answer = ask(day(2), late)
    assert (answer.status, answer.last_known) == (UNKNOWN, OPEN)
    assert answer.last_confirmed_at == year(2010)


def test_an_opening_that_had_run_out_shows_no_recent_confirmation() -> None:
    """An instant still to come confirms nothing, however recently it was spoken of."""
    opening = opened(day(1))
    plan = closed(day(365), said=day(39))

    answer = ask(day(40), opening, plan)
    assert (answer.status, answer.last_confirmed_at) == (UNKNOWN, day(1))


def test_it_is_overdue_from_the_expected_end_on() -> None:
    opening = opened(day(1), expected=day(5))

    assert not ask(just_before(day(5)), opening).overdue
    answer = ask(day(5), opening)
    assert (answer.status, answer.overdue, answer.expected_until) == (OPEN, True, day(5))


def test_an_expired_opening_is_still_overdue() -> None:
    answer = ask(day(40), opened(day(1), expected=day(5)))

    assert (answer.status, answer.overdue, answer.expected_until) == (UNKNOWN, True, day(5))


def test_it_is_overdue_only_while_the_event_decides() -> None:
    closure = closed(day(1), expected=day(5))
    reopening = opened(day(6))

    assert ask(just_before(day(6)), closure, reopening).overdue
    answer = ask(day(6), closure, reopening)
    assert (answer.overdue, answer.expected_until) == (False, None)


def test_what_no_longer_decides_does_not_fall_due_in_the_timeline() -> None:
    """Though it would be supported beyond the day on which it would have been overdue."""
    opening = opened(day(1), expected=day(25))
    pause = closed(day(15), day(16), said=day(14))
    other_side = closed(day(20), side="BY")

    told = [(x.start, x.status, x.overdue) for x in timeline(crossing(opening, pause, other_side))]
    assert told == [
        (None, UNKNOWN, False),
        (day(1), OPEN, False),
        (day(15), CLOSED, False),
        (day(16), OPEN, False),
        (day(20), CLOSED, False),
        (day(50), CLOSED, False),
    ]


# Rule 5: summary


@pytest.mark.parametrize(
    ("car", "truck", "summary"),
    [
        (OPEN, OPEN, OPEN),
        (RESTRICTED, RESTRICTED, RESTRICTED),
        (CLOSED, CLOSED, CLOSED),
        (UNKNOWN, UNKNOWN, UNKNOWN),
        (OPEN, CLOSED, RESTRICTED),
        (OPEN, UNKNOWN, RESTRICTED),
        (OPEN, RESTRICTED, RESTRICTED),
        (RESTRICTED, CLOSED, RESTRICTED),
        (RESTRICTED, UNKNOWN, RESTRICTED),
        (CLOSED, UNKNOWN, UNKNOWN),
    ],
)
def test_the_summary_is_what_the_lanes_have_in_common_or_are_worth_together(
    car: Status, truck: Status, summary: Status
) -> None:
    lanes = [(Traffic.CAR, car), (Traffic.TRUCK, truck)]
    events = [declaration(s, day(1), traffic=t) for t, s in lanes if s != UNKNOWN]

    answer = ask(day(2), *events, lanes=TWO_LANES)
    assert answer.status == summary
    assert statuses(answer) == [car, truck]
    assert answer.sides == (("BY", UNKNOWN), ("LT", summary))


def test_the_lanes_are_listed_in_the_order_asked() -> None:
    answer = ask(day(2), closed(day(1)), lanes=TWO_LANES[::-1])

    assert [x.lane for x in answer.lanes] == [TRUCK_TO_LT, CAR_TO_LT]


def test_the_last_known_is_what_the_summary_would_be_without_expiry() -> None:
    cars, trucks = opened(day(1), traffic=Traffic.CAR), closed(day(1), traffic=Traffic.TRUCK)

    answer = ask(day(40), cars, trucks, lanes=TWO_LANES)
    assert statuses(answer) == [UNKNOWN, CLOSED]
    assert (answer.status, answer.last_known) == (UNKNOWN, RESTRICTED)
    assert answer.stale


def test_the_last_known_is_given_only_when_the_summary_is_unknown() -> None:
    cars, trucks = opened(day(1), traffic=Traffic.CAR), opened(day(30), traffic=Traffic.TRUCK)

    answer = ask(day(40), cars, trucks, lanes=TWO_LANES)
    assert [x.last_known for x in answer.lanes] == [OPEN, None]
    assert (answer.status, answer.last_known) == (RESTRICTED, None)


def test_the_last_known_is_null_when_that_is_unknown_too() -> None:
    answer = ask(day(2), closed(day(1), traffic=Traffic.TRUCK), lanes=TWO_LANES)

    assert (answer.status, answer.last_known) == (UNKNOWN, None)


def test_the_summary_is_stale_and_overdue_if_any_deciding_event_is() -> None:
    cars = closed(day(1), traffic=Traffic.CAR)
    trucks = closed(day(30), traffic=Traffic.TRUCK, expected=day(35))

    answer = ask(day(40), cars, trucks, lanes=TWO_LANES)
    assert [(x.stale, x.overdue) for x in answer.lanes] == [(True, False), (False, True)]
    assert (answer.stale, answer.overdue) == (True, True)


def test_each_side_is_summed_up_by_its_own_word_before_expiry() -> None:
    ours = opened(day(1), side="LT")
    theirs = restricted(day(2), side="BY", traffic=Traffic.CAR)

    answer = ask(day(400), ours, theirs, lanes=TWO_LANES)
    assert statuses(answer) == [UNKNOWN, UNKNOWN]
    assert answer.sides == (("BY", RESTRICTED), ("LT", OPEN))


def test_the_deciding_events_are_named_each_once_the_latest_start_first() -> None:
    cars = opened(day(3), traffic=Traffic.CAR)
    every = closed(day(1))
    lanes = (CAR_TO_BY, TRUCK_TO_BY, TRUCK_TO_LT)

    assert ask(day(40), every, cars, lanes=lanes).decided_by == (cars, every)


def test_deciding_events_of_one_start_are_named_the_last_said_first() -> None:
    cars = closed(day(3), traffic=Traffic.CAR, said=day(1), recorded=day(9))
    trucks = closed(day(3), traffic=Traffic.TRUCK, said=day(2), recorded=day(8))

    assert ask(day(10), cars, trucks, lanes=TWO_LANES).decided_by == (trucks, cars)


def test_the_summary_was_confirmed_when_the_longest_unconfirmed_lane_was() -> None:
    cars, trucks = opened(day(1), traffic=Traffic.CAR), opened(day(2), traffic=Traffic.TRUCK)

    check = confirmation(day(4), traffic=Traffic.CAR)
    assert ask(day(5), cars, trucks, lanes=TWO_LANES).last_confirmed_at == day(1)
    assert ask(day(5), cars, trucks, check, lanes=TWO_LANES).last_confirmed_at == day(2)
    assert ask(day(5), trucks, lanes=TWO_LANES).last_confirmed_at == day(2)


def test_the_summary_is_expected_to_end_when_the_first_deciding_event_is() -> None:
    cars = closed(day(1), traffic=Traffic.CAR, expected=day(9))
    trucks = closed(day(2), traffic=Traffic.TRUCK, expected=day(7))

    assert ask(day(3), cars, trucks, lanes=TWO_LANES).expected_until == day(7)
    until_further_notice = closed(day(2), traffic=Traffic.TRUCK)
    answer = ask(day(3), cars, until_further_notice, lanes=TWO_LANES)
    assert answer.expected_until == day(9)
    assert ask(day(3), until_further_notice, lanes=TWO_LANES).expected_until is None


# What was also said


def test_a_rumour_is_listed_only_while_it_would_hold_and_until_it_is_withdrawn() -> None:
    rumour = closed(day(2), day(4), certainty=Certainty.UNCONFIRMED)

    assert ask(just_before(day(2)), rumour).also_said == ()
    assert ask(day(2), rumour).also_said == (rumour,)
    assert ask(just_before(day(4)), rumour).also_said == (rumour,)
    assert ask(day(4), rumour).also_said == ()
    assert ask(day(3), rumour, retraction(rumour, recorded=day(5))).also_said == ()


def test_a_rumour_about_another_lane_than_those_asked_is_not_listed() -> None:
    rumour = closed(day(2), traffic=Traffic.TRUCK, certainty=Certainty.UNCONFIRMED)

    assert ask(day(3), rumour).also_said == ()
    assert ask(day(3), rumour, lanes=TWO_LANES).also_said == (rumour,)


def test_a_rumour_that_agrees_is_listed_too() -> None:
    closure = closed(day(1))
    rumour = closed(day(2), certainty=Certainty.UNCONFIRMED)

    assert ask(day(3), closure, rumour).also_said == (rumour,)


def test_a_rumour_that_came_true_is_superseded() -> None:
    rumour = closed(day(2), certainty=Certainty.UNCONFIRMED)
    word = closed(day(2), recorded=day(3), supersedes=rumour)

    answer = ask(day(4), rumour, word)
    assert (answer.decided_by, answer.also_said) == ((word,), ())


def test_what_is_in_force_with_the_same_status_is_not_listed() -> None:
    answer = ask(day(3), closed(day(1), side="LT"), closed(day(2), side="BY"))

    assert answer.also_said == ()


def test_what_decides_one_lane_is_not_listed_though_it_decides_no_other() -> None:
    every = opened(day(1), side="LT")
    trucks = closed(day(2), side="BY", traffic=Traffic.TRUCK)

    answer = ask(day(3), every, trucks, lanes=TWO_LANES)
    assert answer.decided_by == (trucks, every)
    assert answer.also_said == ()


def test_what_differs_from_an_expired_status_is_compared_with_what_it_was() -> None:
    """Two openings that ran out agree; an opening beside a restriction that ran out does not."""
    ours, theirs = opened(day(1), side="LT"), opened(day(2), side="BY")
    assert ask(day(400), ours, theirs).also_said == ()

    restriction = restricted(day(2), side="BY")
    answer = ask(day(400), ours, restriction)
    assert (answer.decided_by, answer.also_said) == ((restriction,), (ours,))


def test_what_was_also_said_is_listed_the_latest_start_first() -> None:
    closure = closed(day(1))
    older, newer = (opened(day(x), certainty=Certainty.REPORTED, side="BY") for x in (2, 3))
    rumours = [restricted(day(x), certainty=Certainty.UNCONFIRMED) for x in (2.5, 4)]

    answer = ask(day(5), older, rumours[0], closure, newer, rumours[1])
    assert answer.also_said == (rumours[1], newer, rumours[0])


# Timeline, since, until and next change


def test_a_timeline_tells_every_period_until_the_next() -> None:
    opening = opened(day(1))
    closure = closed(day(5), day(8))

    told = [(x.start, x.end, x.status) for x in timeline(crossing(opening, closure))]
    assert told == [
        (None, day(1), UNKNOWN),
        (day(1), day(5), OPEN),
        (day(5), day(8), CLOSED),
        (day(8), day(35), OPEN),
        (day(35), None, UNKNOWN),
    ]


def test_the_timeline_of_silence_is_one_unknown_period() -> None:
    [stretch] = timeline(crossing())

    assert (stretch.start, stretch.end, stretch.status) == (None, None, UNKNOWN)
    assert [x.status for x in stretch.lanes] == [UNKNOWN]


def test_a_timeline_has_a_new_period_when_only_its_staleness_or_overdueness_changes() -> None:
    told = timeline(crossing(closed(day(1), expected=day(5))))

    assert [(x.start, x.status, x.overdue, x.stale) for x in told] == [
        (None, UNKNOWN, False, False),
        (day(1), CLOSED, False, False),
        (day(5), CLOSED, True, False),
        (day(31), CLOSED, True, True),
    ]


def test_a_timeline_has_a_new_period_when_only_the_deciding_event_changes() -> None:
    first, second = closed(day(1)), closed(day(5))

    told = timeline(crossing(first, second))
    assert [(x.start, x.decided_by) for x in told if not x.stale] == [
        (None, ()),
        (day(1), (first,)),
        (day(5), (second,)),
    ]


def test_a_timeline_has_no_new_period_for_a_confirmation_that_changes_nothing_it_tells() -> None:
    told = timeline(crossing(opened(day(1)), confirmation(day(10))))

    assert [x.start for x in told] == [None, day(1), day(40)]


def test_a_plan_runs_out_so_long_after_it_was_recorded_in_the_timeline_too() -> None:
    told = timeline(crossing(opened(day(10), said=day(5))))

    assert [(x.start, x.status) for x in told] == [
        (None, UNKNOWN),
        (day(10), OPEN),
        (day(35), UNKNOWN),
    ]


def test_a_timeline_is_as_known_then() -> None:
    closure = closed(day(1))
    ended = closed(day(1), day(6), recorded=day(6), supersedes=closure)

    now = timeline(crossing(closure, ended))
    assert [(x.start, x.status) for x in now] == [
        (None, UNKNOWN),
        (day(1), CLOSED),
        (day(6), UNKNOWN),
    ]
    then = timeline(crossing(closure, ended), just_before(day(6)))
    assert then == timeline(crossing(closure))


def test_the_present_period_is_bounded_by_the_summary_status_alone() -> None:
    """Another closing word, staleness and an announced end that passes do not begin it anew."""
    events = [closed(day(2), expected=day(3)), closed(day(5)), opened(day(50))]
    history = crossing(opened(day(1)), *events)

    for at in (day(2), day(4), day(6), day(40), just_before(day(50))):
        assert present_period(history, at) == (day(2), day(50), None)
    assert present_period(history, just_before(day(1))) == (None, day(1), None)
    assert present_period(history, day(50)) == (day(50), None, day(80))
    assert present_period(history, day(80)) == (day(80), None, None)


def test_the_present_period_does_not_reach_over_another_status() -> None:
    history = crossing(opened(day(1)), closed(day(5), day(6)))

    assert present_period(history, day(2)) == (day(1), day(5), None)
    assert present_period(history, day(7)) == (day(6), None, day(35))


def test_an_open_without_an_end_has_none_though_it_expires() -> None:
    history = crossing(opened(day(1)))

    assert present_period(history, day(1)) == (day(1), None, day(31))
    assert present_period(history, day(31)) == (day(31), None, None)


def test_a_declared_end_is_told_whether_the_open_expires_before_it_or_not() -> None:
    for said, expires_at in ((day(1), day(31)), (day(40), None)):
        history = crossing(opened(day(1), day(50), said=day(1)), confirmation(said))
        assert present_period(history, said) == (day(1), day(50), expires_at)
    assert present_period(crossing(opened(day(1), day(50))), day(31)) == (day(31), day(50), None)


def test_a_closed_never_expires() -> None:
    assert present_period(crossing(closed(day(1))), day(2)) == (day(1), None, None)


def test_a_crossing_expires_with_the_last_of_its_open_lanes() -> None:
    """Its status is `restricted` while only some have expired."""
    history = crossing(
        opened(day(1)),
        confirmation(day(11), traffic=Traffic.TRUCK),
        lanes=TWO_LANES,
    )

    assert present_period(history, day(12)) == (day(1), None, day(41))
    assert resolve(history, day(31)).status == RESTRICTED
    assert present_period(history, day(31)) == (day(31), None, day(41))


def test_an_instant_at_which_no_field_of_the_answer_differs_is_not_the_next_change() -> None:
    """The end on day 11 confirms only the lane into Belarus, not the one unheard for longest."""
    history = crossing(
        opened(day(5), day(11), side=BOTH, to="BY", said=day(10)),
        opened(day(6), side=BOTH, said=day(10), recorded=day(10) + MICROSECOND),
        lanes=(CAR_TO_BY, CAR_TO_LT),
    )

    assert resolve(history, day(11)).lanes != resolve(history, day(10) + MICROSECOND).lanes
    assert next_change(history, day(10) + MICROSECOND) == day(36)
    assert resolve(history, day(36)).status == RESTRICTED


def test_the_next_change_is_the_next_instant_at_which_any_field_differs() -> None:
    history = crossing(
        opened(day(1)),
        confirmation(day(3)),
        restricted(day(6), day(7), certainty=Certainty.UNCONFIRMED),
        closed(day(9), expected=day(12)),
    )

    changes = [day(0)]
    while (change := next_change(history, changes[-1])) is not None:
        changes.append(change)
    assert changes[1:] == [day(x) for x in (1, 3, 6, 7, 9, 12, 39)]


def test_the_next_change_is_none_when_nothing_known_changes_any_more() -> None:
    history = crossing(closed(day(1)))

    assert next_change(history, just_before(day(31))) == day(31)
    assert next_change(history, day(31)) is None
    assert next_change(crossing(), day(1)) is None


def test_the_next_change_is_as_known_then() -> None:
    history = crossing(closed(day(1)), opened(day(20), said=day(10)))

    assert next_change(history, day(5), day(9)) == day(31)
    assert next_change(history, day(5), day(10)) == day(20)
