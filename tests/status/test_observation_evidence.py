"""What an observation is evidence of, and which answers it disagrees with: no status asks it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.status.rule.history import Lane, LaneAnswer
from app.status.rule.observations import LaneObservation, disagrees, supported_status
from app.vocabulary import LaneReason, ObservationMethod, Status, Traffic

FIGURES = st.none() | st.integers(0, 43_200)
OBSERVATIONS = st.builds(
    LaneObservation,
    method=st.sampled_from(ObservationMethod),
    is_closed=st.booleans(),
    is_moving=st.none() | st.booleans(),
    minutes=FIGURES,
    vehicles=FIGURES,
    is_paused=st.none() | st.booleans(),
    is_estimate=st.booleans(),
)


def oracle(observation: LaneObservation) -> bool:
    """Tell, as the documentation has it, whether an observation supports an `open`."""
    measurers = [ObservationMethod.SENSOR, ObservationMethod.OFFICIAL]
    measured = observation.minutes is not None and observation.method in measurers
    moves = observation.is_moving is True and observation.method != ObservationMethod.DERIVED
    return (measured or moves) and not observation.is_estimate and not observation.is_closed


@given(OBSERVATIONS)
def test_it_is_as_the_documentation_says(observation: LaneObservation) -> None:
    assert (supported_status(observation) is Status.OPEN) == oracle(observation)


@given(OBSERVATIONS)
def test_it_never_supports_anything_but_an_open(observation: LaneObservation) -> None:
    assert supported_status(observation) in {None, Status.OPEN}


@given(OBSERVATIONS, FIGURES)
def test_the_length_of_a_queue_makes_no_difference(
    observation: LaneObservation, vehicles: int | None
) -> None:
    other = replace(observation, vehicles=vehicles)

    assert supported_status(other) is supported_status(observation)


@given(OBSERVATIONS, st.none() | st.booleans())
def test_a_pause_of_the_queue_makes_no_difference(
    observation: LaneObservation, is_paused: bool | None
) -> None:
    other = replace(observation, is_paused=is_paused)

    assert supported_status(other) is supported_status(observation)


@given(OBSERVATIONS, st.integers(0, 43_200))
def test_how_long_a_wait_is_makes_no_difference(observation: LaneObservation, minutes: int) -> None:
    one, other = (replace(observation, minutes=wait) for wait in (0, minutes))

    assert supported_status(one) is supported_status(other)


@given(OBSERVATIONS)
def test_an_estimate_and_a_lane_seen_closed_support_nothing(observation: LaneObservation) -> None:
    assert supported_status(replace(observation, is_estimate=True)) is None
    assert supported_status(replace(observation, is_closed=True)) is None


@pytest.mark.parametrize(
    ("observation", "status"),
    [
        (LaneObservation(method=ObservationMethod.SENSOR, minutes=35), Status.OPEN),
        (LaneObservation(method=ObservationMethod.OFFICIAL, minutes=0), Status.OPEN),
        (LaneObservation(method=ObservationMethod.CAMERA, is_moving=True), Status.OPEN),
        (LaneObservation(method=ObservationMethod.REPORTED, is_moving=True), Status.OPEN),
        (LaneObservation(method=ObservationMethod.QUEUE_SYSTEM, minutes=35, vehicles=9), None),
        (LaneObservation(method=ObservationMethod.DERIVED, minutes=35, is_moving=True), None),
        (LaneObservation(method=ObservationMethod.CAMERA, vehicles=200), None),
        (LaneObservation(method=ObservationMethod.OFFICIAL, vehicles=0), None),
        (LaneObservation(method=ObservationMethod.CAMERA, is_moving=False), None),
    ],
)
def test_examples(observation: LaneObservation, status: Status | None) -> None:
    assert supported_status(observation) is status


# Disagreement


def answer(status: Status, *, outside_hours: bool = False) -> LaneAnswer:
    return LaneAnswer(
        lane=Lane(Traffic.CAR, "LT"),
        status=status,
        last_known=None,
        stale=False,
        overdue=False,
        decided_by=None,
        last_confirmed_at=None,
        closed_by=LaneReason.HOURS if outside_hours else None,
    )


@given(OBSERVATIONS, st.booleans())
def test_evidence_of_an_open_disagrees_with_a_declared_closure_alone(
    observation: LaneObservation, is_of_lane: bool
) -> None:
    """Outside its regular hours nobody has declared a lane closed."""
    passes = supported_status(observation) is Status.OPEN

    closed, outside = answer(Status.CLOSED), answer(Status.CLOSED, outside_hours=True)

    assert disagrees(observation, closed, is_of_lane=is_of_lane) == passes
    assert not disagrees(observation, outside, is_of_lane=is_of_lane)


@given(OBSERVATIONS, st.booleans())
def test_a_lane_that_was_seen_closed_disagrees_with_an_open_alone(
    observation: LaneObservation, is_of_lane: bool
) -> None:
    """A closed queue of a lane says nothing of the others."""
    seen_closed = observation.is_closed and is_of_lane

    assert disagrees(observation, answer(Status.OPEN), is_of_lane=is_of_lane) == seen_closed
    for other in (Status.RESTRICTED, Status.UNKNOWN):
        assert not disagrees(observation, answer(other), is_of_lane=is_of_lane)
