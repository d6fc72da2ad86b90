"""Which waits are told at an instant: pure, and the same in whatever order observations come."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.observations.waits import Observed, Waits
from app.status.rule.history import Lane, LaneAnswer
from app.vocabulary import ObservationMethod, Status, Traffic

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LANES = [Lane(traffic, to) for traffic in (Traffic.CAR, Traffic.TRUCK) for to in ("BY", "LT")]
QUEUES = ["{}", '{"empty": true}', '{"weight_kg": {"to": 7500}}', '{"goods": "perishable"}']
SERIES = [
    (lane, queue, UUID(int=source)) for lane in LANES for queue in QUEUES for source in (1, 2)
]
"""By id: that of a series says what it is of."""


@st.composite
def observations(draw: st.DrawFn) -> Observed:
    number = draw(st.integers(0, len(SERIES) - 1))
    lane, queue, source = SERIES[number]
    observed_at = NOON - timedelta(minutes=draw(st.integers(0, 400)))
    minutes = draw(st.none() | st.integers(0, 43_200))
    return Observed(
        series_id=number,
        lane=lane,
        queue=queue,
        source=source,
        observed_at=observed_at,
        recorded_at=observed_at + timedelta(seconds=draw(st.integers(0, 9_999))),
        shown_until=observed_at + timedelta(minutes=draw(st.sampled_from([60, 180]))),
        closed=minutes is None and draw(st.booleans()),
        minutes=minutes,
        vehicles=draw(st.none() | st.integers(0, 9)),
        lanes_open=None,
        moving=None,
        paused=draw(st.none() | st.booleans()),
        estimate=draw(st.booleans()),
        method=draw(st.sampled_from(ObservationMethod)),
        source_name=f"Source {source.int}",
    )


OBSERVATIONS = st.lists(
    observations(), max_size=30, unique_by=lambda one: (one.series_id, one.observed_at)
)
"""Of a series, one for each instant: that is the key of the table."""
INSTANTS = st.integers(-300, 500).map(lambda minutes: NOON + timedelta(minutes=minutes))


@given(st.data(), OBSERVATIONS, INSTANTS)
def test_the_order_in_which_they_come_makes_no_difference(
    data: st.DataObject, observed: list[Observed], instant: datetime
) -> None:
    """Nor whether they come at once or a few at a time, some of them twice."""
    turned = data.draw(st.permutations(observed))
    cut = data.draw(st.integers(0, len(turned)))
    at_once = Waits().updated(observed)
    in_turns = Waits().updated(turned[:cut]).updated(turned).updated(turned[cut:])

    assert in_turns.shown(instant, LANES) == at_once.shown(instant, LANES)
    assert in_turns.validity(instant) == at_once.validity(instant)


@given(OBSERVATIONS, INSTANTS)
def test_of_each_lane_and_queue_the_latest_that_is_not_too_old_is_told(
    observed: list[Observed], instant: datetime
) -> None:
    waits = Waits().updated(observed)
    shown = waits.shown(instant, LANES)
    told = {(one.lane, one.queue): one for one in shown}

    assert len(told) == len(shown)
    for one in waits.latest:
        if instant < one.shown_until:
            assert told[one.lane, one.queue].age_order >= one.age_order
    assert all(one in observed and instant < one.shown_until for one in shown)


@given(OBSERVATIONS, INSTANTS)
def test_lanes_that_are_not_asked_about_are_not_told(
    observed: list[Observed], instant: datetime
) -> None:
    waits = Waits().updated(observed)
    every = waits.shown(instant, LANES)

    for lane in LANES:
        assert waits.shown(instant, [lane]) == [one for one in every if one.lane == lane]
    assert [one.lane for one in every] == sorted(
        (one.lane for one in every), key=lambda lane: ([*Traffic].index(lane.traffic), lane.to)
    )


@given(OBSERVATIONS, INSTANTS)
def test_the_same_is_told_for_as_long_as_it_is_said_to_be(
    observed: list[Observed], instant: datetime
) -> None:
    waits = Waits().updated(observed)
    validity = waits.validity(instant)
    now = waits.shown(instant, LANES)
    instants = sorted({edge for one in waits.latest for edge in (one.shown_until, one.recorded_at)})

    for other in instants:
        begun = validity.modified is None or other >= validity.modified
        if begun and (validity.due is None or other < validity.due):
            assert waits.shown(other, LANES) == now
    assert validity.due is None or validity.due > instant


def lane_answer(lane: Lane, status: Status) -> LaneAnswer:
    return LaneAnswer(
        lane=lane,
        status=status,
        last_known=None,
        stale=False,
        overdue=False,
        decided_by=None,
        last_confirmed_at=None,
    )


@given(OBSERVATIONS, INSTANTS)
def test_a_lane_has_a_number_is_closed_or_is_unknown(
    observed: list[Observed], instant: datetime
) -> None:
    statuses = dict(zip(LANES, Status, strict=True))
    answers = {lane: lane_answer(lane, status) for lane, status in statuses.items()}
    waits = Waits().updated(observed)

    for one, out in zip(waits.shown(instant, LANES), waits.out(instant, answers), strict=True):
        is_closed = one.closed or statuses[one.lane] is Status.CLOSED
        state = "closed" if is_closed else "unknown" if one.minutes is None else "known"
        wait = out.wait.model_dump()
        assert wait == {"state": state} | ({"minutes": one.minutes} if state == "known" else {})
        assert (out.vehicles, out.paused, out.method) == (one.vehicles, one.paused, one.method)
