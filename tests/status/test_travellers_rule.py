"""The status for one traveller: which exceptions are theirs, and which limits they exceed."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.status.rule.cut import cut
from app.status.rule.history import (
    Declaration,
    ExceptedGroup,
    History,
    Limits,
    OutOfReach,
    Terms,
)
from app.status.rule.hours import AnswersWithHours, Hours
from app.status.rule.resolution import ResolvedHistory
from app.status.rule.travellers import ANYONE, Traveller, for_traveller
from app.vocabulary import ExceptionCode, LaneReason, Status
from tests.status import oracle
from tests.status.histories import (
    CAR_TO_LT,
    DAY,
    around,
    closed,
    confirmation,
    crossing,
    day,
    histories,
    opened,
    restricted,
)

LITHUANIAN = Traveller(citizen_of=frozenset({"LT"}))
POLE = Traveller(citizen_of=frozenset({"PL"}))
BELARUSIAN = Traveller(citizen_of=frozenset({"BY"}))


def excepting(*codes: ExceptionCode) -> Terms:
    return Terms(tuple(ExceptedGroup(code) for code in codes))


def status_for(traveller: Traveller, *events: Declaration) -> Status:
    return ResolvedHistory(for_traveller(crossing(*events), traveller)).answer(day(2)).status


# Exceptions


@pytest.mark.parametrize(
    ("code", "sides", "traveller", "expected"),
    [
        (ExceptionCode.OWN_CITIZENS, "LT", LITHUANIAN, Status.RESTRICTED),
        (ExceptionCode.OWN_CITIZENS, "BY", LITHUANIAN, Status.CLOSED),
        (ExceptionCode.OWN_CITIZENS, "BY LT", LITHUANIAN, Status.RESTRICTED),
        (ExceptionCode.OWN_CITIZENS, "BY", BELARUSIAN, Status.RESTRICTED),
        (ExceptionCode.OWN_CITIZENS, "LT", POLE, Status.CLOSED),
        (ExceptionCode.EU_CITIZENS, "LT", POLE, Status.RESTRICTED),
        (ExceptionCode.EU_CITIZENS, "LT", BELARUSIAN, Status.CLOSED),
        (ExceptionCode.EMPTY_VEHICLES, "LT", Traveller(is_empty=True), Status.RESTRICTED),
        (ExceptionCode.EMPTY_VEHICLES, "LT", LITHUANIAN, Status.CLOSED),
        (ExceptionCode.OTHER, "LT", LITHUANIAN, Status.CLOSED),
        *(
            (code, side, Traveller(groups=frozenset({code})), Status.RESTRICTED)
            for code in ExceptionCode
            for side in ("LT", "BY")
            if code is not ExceptionCode.OTHER
        ),
    ],
)
def test_a_closure_is_a_restriction_for_those_whom_it_excepts(
    code: ExceptionCode, sides: str, traveller: Traveller, expected: Status
) -> None:
    closure = replace(closed(day(1), side=sides), terms=excepting(code))
    assert status_for(traveller, closure) is expected
    assert status_for(ANYONE, closure) is Status.CLOSED


def test_both_sides_have_to_let_a_traveller_through() -> None:
    ours = replace(closed(day(1)), terms=excepting(ExceptionCode.OWN_CITIZENS))
    theirs = closed(day(1), side="BY")
    assert status_for(LITHUANIAN, ours, theirs) is Status.CLOSED
    theirs = replace(theirs, terms=excepting(ExceptionCode.EU_CITIZENS))
    assert status_for(LITHUANIAN, ours, theirs) is Status.RESTRICTED
    assert status_for(POLE, ours, theirs) is Status.CLOSED


def test_an_exception_that_nobody_confirmed_lately_lets_nobody_rely_on_it() -> None:
    """The closure stays; that some may still cross has to be confirmed like any restriction."""
    closure = replace(closed(day(1)), terms=excepting(ExceptionCode.OWN_CITIZENS))
    answer = ResolvedHistory(for_traveller(crossing(closure), LITHUANIAN)).answer(day(40))
    assert (answer.status, answer.last_known) == (Status.UNKNOWN, Status.RESTRICTED)
    assert ResolvedHistory(crossing(closure)).answer(day(40)).status is Status.CLOSED
    confirmed = crossing(closure, confirmation(day(39)))
    answer = ResolvedHistory(for_traveller(confirmed, LITHUANIAN)).answer(day(40))
    assert answer.status is Status.RESTRICTED


def test_a_lane_tells_which_exception_lets_the_traveller_through() -> None:
    mine = ExceptedGroup(ExceptionCode.OWN_CITIZENS, "until midnight")
    other = ExceptedGroup(ExceptionCode.DIPLOMATS)
    closure = replace(closed(day(1)), terms=Terms((other, mine)))
    lane = ResolvedHistory(for_traveller(crossing(closure), LITHUANIAN)).answer(day(2)).lanes[0]
    assert (lane.reason, lane.exceptions) == (LaneReason.EXCEPTION, (mine,))
    general = ResolvedHistory(crossing(closure)).answer(day(2)).lanes[0]
    assert (general.reason, general.exceptions) == (None, ())


# Limits


@pytest.mark.parametrize(
    ("limits", "traveller", "reason"),
    [
        (Limits(3_500), Traveller(weight_kg=3_501), LaneReason.MAX_WEIGHT),
        (Limits(3_500), Traveller(weight_kg=3_500), None),
        (Limits(max_height_m=4.0), Traveller(height_m=4.01), LaneReason.MAX_HEIGHT),
        (Limits(max_height_m=4.0), Traveller(height_m=4.0), None),
        (Limits(3_500, 4.0), Traveller(height_m=3.0), None),
        (Limits(), Traveller(weight_kg=40_000, height_m=4.5), None),
    ],
)
def test_a_limit_closes_to_those_who_exceed_it(
    limits: Limits, traveller: Traveller, reason: LaneReason | None
) -> None:
    for declared in (opened(day(1)), restricted(day(1))):
        history = crossing(replace(declared, terms=Terms(limits=limits)))
        lane = ResolvedHistory(for_traveller(history, traveller)).answer(day(2)).lanes[0]
        assert lane.status is (Status.CLOSED if reason else declared.status)
        assert (lane.reason, lane.exceptions) == (reason, ())
    answers = AnswersWithHours(
        ResolvedHistory(crossing(opened(day(1)))), Hours(limit=traveller.exceeded(limits))
    )
    lane = answers.answer(day(2)).lanes[0]
    assert (lane.status, lane.reason) == (Status.CLOSED if reason else Status.OPEN, reason)


def test_an_exception_makes_no_vehicle_lighter() -> None:
    limited = replace(
        restricted(day(1)),
        terms=Terms((ExceptedGroup(ExceptionCode.OWN_CITIZENS),), Limits(3_500)),
    )
    heavy = replace(LITHUANIAN, weight_kg=40_000)
    assert status_for(heavy, limited) is Status.CLOSED


def test_a_limit_of_the_crossing_closes_it_always_and_whatever_is_declared() -> None:
    resolved = ResolvedHistory(crossing(opened(day(1), day(5))))
    answers = AnswersWithHours(resolved, Hours(limit=LaneReason.MAX_HEIGHT))
    for at in (day(-9), day(2), day(5), day(60)):
        assert answers.answer(at).status is Status.CLOSED
        assert (answers.period(at).since, answers.period(at).until) == (None, None)
        assert answers.opens_at(at) is None


# Any history, any traveller

CODES = st.sampled_from(list(ExceptionCode))
LIMITS = st.builds(
    Limits,
    max_weight_kg=st.sampled_from([None, None, 3_500]),
    max_height_m=st.sampled_from([None, None, 4.0]),
)
TERMS = st.builds(
    Terms,
    exceptions=st.lists(st.builds(ExceptedGroup, CODES), max_size=2).map(tuple),
    limits=LIMITS,
)
TRAVELLERS = st.builds(
    Traveller,
    groups=st.frozensets(CODES, max_size=2),
    citizen_of=st.frozensets(st.sampled_from(["LT", "BY", "PL"]), max_size=2),
    is_empty=st.booleans(),
    weight_kg=st.sampled_from([None, 3_000, 40_000]),
    height_m=st.sampled_from([None, 3.0, 4.2]),
)


@st.composite
def histories_with_terms(draw: st.DrawFn) -> History:
    history = draw(histories())
    events = tuple(
        replace(event, terms=_without_limits_if_closed(event, draw(TERMS)))
        if isinstance(event, Declaration)
        else event
        for event in history.events
    )
    return replace(history, events=events)


def _without_limits_if_closed(event: Declaration, terms: Terms) -> Terms:
    return Terms(terms.exceptions) if event.status is Status.CLOSED else terms


def status_of(declared: Declaration, traveller: Traveller) -> Status:
    """Read docs/rule.md slowly: limits first, then what excepts the traveller from a closure."""
    limits = declared.terms.limits
    if traveller.weight_kg and limits.max_weight_kg and traveller.weight_kg > limits.max_weight_kg:
        return Status.CLOSED
    if traveller.height_m and limits.max_height_m and traveller.height_m > limits.max_height_m:
        return Status.CLOSED
    if declared.status is not Status.CLOSED:
        return declared.status
    codes = {exception.code for exception in declared.terms.exceptions} - {ExceptionCode.OTHER}
    let_through = (
        codes & traveller.groups
        or (ExceptionCode.EMPTY_VEHICLES in codes and traveller.is_empty)
        or (ExceptionCode.OWN_CITIZENS in codes and traveller.citizen_of & declared.sides)
        or (ExceptionCode.EU_CITIZENS in codes and traveller.citizen_of & {"LT", "PL"})
    )
    return Status.RESTRICTED if let_through else Status.CLOSED


def instants_of(history: History) -> list[datetime]:
    starts = [event.start for event in history.events if isinstance(event, Declaration)]
    return around([day(0), *starts, *(start + history.confirm_within for start in starts)])


@given(histories_with_terms(), TRAVELLERS)
def test_a_lane_has_the_most_severe_of_what_is_in_force_for_the_traveller(
    history: History, traveller: Traveller
) -> None:
    resolved = ResolvedHistory(for_traveller(history, traveller))
    for at in instants_of(history):
        for lane in resolved.answer(at).lanes:
            in_force = oracle.in_force_of_any_side(history, lane.lane, at, None)
            statuses = {status_of(declared, traveller) for declared in in_force}
            expected = next((one for one in oracle.SEVERITY[::-1] if one in statuses), None)
            assert (lane.last_known or lane.status) is (expected or Status.UNKNOWN)


@given(histories_with_terms(), TRAVELLERS)
def test_nobody_finds_open_what_is_not_open_to_all(history: History, traveller: Traveller) -> None:
    general = ResolvedHistory(history)
    special = ResolvedHistory(for_traveller(history, traveller))
    for at in instants_of(history):
        for lane, lane_for_all in zip(
            special.answer(at).lanes, general.answer(at).lanes, strict=True
        ):
            if lane.status is Status.OPEN:
                assert lane_for_all.status is Status.OPEN


@given(histories_with_terms(), TRAVELLERS)
def test_terms_of_others_do_not_matter(history: History, traveller: Traveller) -> None:
    declared = [event for event in history.events if isinstance(event, Declaration)]
    assume(all(status_of(event, traveller) is event.status for event in declared))
    for at in instants_of(history):
        special = ResolvedHistory(for_traveller(history, traveller)).answer(at)
        assert special == ResolvedHistory(history).answer(at)


@given(
    histories_with_terms(),
    TRAVELLERS,
    st.integers(-2, 40).map(lambda number: day(1) + number * DAY / 2),
)
def test_a_history_that_was_cut_gives_a_traveller_the_same_answers(
    history: History, traveller: Traveller, since: datetime
) -> None:
    """How long the answer has been the same, it tells or leaves to the whole history."""
    whole = ResolvedHistory(for_traveller(history, traveller))
    left = ResolvedHistory(for_traveller(cut(ResolvedHistory(history), since), traveller))
    for at in instants_of(history):
        if at >= since:
            assert left.answer(at) == whole.answer(at)
            try:
                period = left.period(at)
            except OutOfReach:
                continue
            assert period == whole.period(at)


def test_who_says_nothing_is_answered_as_anyone() -> None:
    history = crossing(opened(day(1)), lanes=[CAR_TO_LT])
    assert for_traveller(history, Traveller()) is history
