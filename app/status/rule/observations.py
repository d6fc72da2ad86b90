"""What an observation is evidence of. By itself it changes no status."""

from dataclasses import dataclass

from app.status.rule.history import LaneAnswer
from app.vocabulary import ObservationMethod, Status

_MEASURED_BY = frozenset({ObservationMethod.OFFICIAL, ObservationMethod.SENSOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneObservation:
    """What was observed of a lane, as far as it can be evidence of a status."""

    method: ObservationMethod
    is_closed: bool = False
    """The lane was seen closed."""
    is_moving: bool | None = None
    """Whether its traffic was seen to move; None if that was not observed."""
    minutes: int | None = None
    """The wait."""
    vehicles: int | None = None
    """How many wait."""
    is_paused: bool | None = None
    """Whether the queue was paused; None where queues do not pause."""
    is_estimate: bool = False


def disagrees(observation: LaneObservation, lane: LaneAnswer, *, is_of_lane: bool) -> bool:
    """Return whether an observation disagrees with the answer for its lane.

    It does if somebody passes a lane that is declared closed, or if a lane was seen closed that is
    answered as open; ``is_of_lane`` tells that it is of the whole lane, not of one of its queues.
    """
    if lane.status is Status.CLOSED:
        return not lane.outside_hours and supported_status(observation) is Status.OPEN
    return lane.status is Status.OPEN and observation.is_closed and is_of_lane


def supported_status(observation: LaneObservation) -> Status | None:
    """Return the status that an observation is evidence of; None if it is of none.

    Traffic that was seen to move, and a wait that a sensor or an official has measured, support
    an `open`: somebody passes. Neither is seen in an estimate, nor in what was derived from other
    figures. The length of a queue supports nothing: vehicles wait before a closed gate too, and
    an empty queue may be one that nobody can join. Nor does a pause of the queue. A lane seen
    closed supports no `open`; that it is closed is for a declaration to say.
    """
    if observation.is_closed or observation.is_estimate:
        return None
    is_seen_moving = (
        observation.is_moving is True and observation.method is not ObservationMethod.DERIVED
    )
    is_measured = observation.minutes is not None and observation.method in _MEASURED_BY
    return Status.OPEN if is_seen_moving or is_measured else None
