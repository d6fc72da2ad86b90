"""The waits of a crossing: which observations are shown at an instant. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.caches import remembered
from app.http.bodies import STORED
from app.http.caching import ALWAYS_VALID, Validity
from app.observations.schemas import (
    ClosedWait,
    KnownWait,
    ObservationOut,
    Queue,
    UnknownWait,
    Wait,
    WaitOut,
)
from app.status.rule.history import Lane, LaneAnswer
from app.status.rule.observations import LaneObservation, disagrees, supported_status
from app.vocabulary import ObservationMethod, Status, Traffic


@dataclass(frozen=True, slots=True)
class Observed:
    """An observation of a series."""

    series_id: int
    lane: Lane
    queue: str
    """As JSON text of the database, the same for equal queues; empty for the lane as a whole."""
    source: UUID
    observed_at: datetime
    recorded_at: datetime
    shown_until: datetime
    closed: bool
    minutes: int | None
    vehicles: int | None
    lanes_open: int | None
    moving: bool | None
    paused: bool | None
    estimate: bool
    method: ObservationMethod
    source_name: str

    @property
    def is_of_lane(self) -> bool:
        """Whether it is of the lane as a whole, not of one of its queues."""
        return queue_of(self.queue) is None

    @property
    def supports(self) -> Status | None:
        """The status that it is evidence of; None if it is of none."""
        return supported_status(self._evidence)

    def disagrees_with(self, lane: LaneAnswer) -> bool:
        """Return whether it disagrees with the answer for its lane."""
        return disagrees(self._evidence, lane, is_of_lane=self.is_of_lane)

    @property
    def _evidence(self) -> LaneObservation:
        return LaneObservation(
            method=self.method,
            is_closed=self.closed,
            is_moving=self.moving,
            minutes=self.minutes,
            vehicles=self.vehicles,
            is_paused=self.paused,
            is_estimate=self.estimate,
        )

    @property
    def age_order(self) -> tuple[datetime, datetime, int]:
        """Order observations from the oldest to the latest."""
        return self.observed_at, self.recorded_at, self.series_id


@dataclass(frozen=True, slots=True)
class Waits:
    """The latest observation of each series of a crossing."""

    latest: tuple[Observed, ...] = ()

    def updated(self, newer: Iterable[Observed]) -> "Waits":
        """Return a copy with ``newer`` observations, which may be in any order."""
        by_series = {observed.series_id: observed for observed in self.latest}
        for observed in newer:
            previous = by_series.get(observed.series_id)
            if previous is None or previous.age_order < observed.age_order:
                by_series[observed.series_id] = observed
        return Waits(tuple(by_series.values()))

    def shown(self, instant: datetime, lanes: Iterable[Lane]) -> list[Observed]:
        """Return the latest of each lane and queue, from any source, that is not too old."""
        lane_set = frozenset(lanes)
        newest: dict[tuple[Lane, str], Observed] = {}
        for observed in self.latest:
            if observed.lane in lane_set and instant < observed.shown_until:
                previous = newest.get((observed.lane, observed.queue))
                if previous is None or previous.age_order < observed.age_order:
                    newest[observed.lane, observed.queue] = observed
        return sorted(newest.values(), key=_sort_key)

    def validity(self, instant: datetime) -> Validity:
        """Return since when, and until when, the same observations are shown as at ``instant``."""
        validity = ALWAYS_VALID
        for observed in self.latest:
            if instant < observed.shown_until:
                validity = validity.also(Validity(observed.recorded_at, observed.shown_until))
            else:
                validity = validity.also(Validity(observed.shown_until, None))
        return validity

    def out(self, instant: datetime, lanes: Mapping[Lane, LaneAnswer]) -> list[WaitOut]:
        """Return the waits shown at ``instant`` on lanes with these answers, as bodies."""
        return [
            WaitOut(
                **_wait_fields(observed, is_closed=lanes[observed.lane].status is Status.CLOSED),
                disagrees=observed.disagrees_with(lanes[observed.lane]),
            )
            for observed in self.shown(instant, lanes)
        ]


NO_WAITS = Waits()


def observation_out(observed: Observed, *, crossing: str, recorded_by: str) -> ObservationOut:
    """Return an observation as it was recorded."""
    return ObservationOut(
        **_wait_fields(observed, is_closed=False),
        crossing=crossing,
        recorded_at=observed.recorded_at,
        recorded_by=recorded_by,
    )


def _wait_fields(observed: Observed, *, is_closed: bool) -> dict[str, object]:
    """Return the fields of a body; where the lane ``is_closed``, it has no wait."""
    return {
        "traffic": observed.lane.traffic,
        "to": observed.lane.to,
        "queue": queue_of(observed.queue),
        "wait": _wait(observed, is_closed=is_closed),
        "vehicles": observed.vehicles,
        "lanes_open": observed.lanes_open,
        "moving": observed.moving,
        "paused": observed.paused,
        "estimate": observed.estimate,
        "method": observed.method,
        "source": observed.source,
        "source_name": observed.source_name,
        "observed_at": observed.observed_at,
        "shown_until": observed.shown_until,
        "supports": observed.supports,
    }


def _wait(observed: Observed, *, is_closed: bool) -> Wait:
    if is_closed or observed.closed:
        return ClosedWait(state="closed")
    if observed.minutes is None:
        return UnknownWait(state="unknown")
    return KnownWait(state="known", minutes=observed.minutes)


@remembered("queues", bound=2**22, result_bytes=1_500)
def queue_of(stored: str) -> Queue | None:
    """Parse the JSON of a queue; None for the lane as a whole."""
    queue = json.loads(stored)
    return Queue.model_validate(queue, context=STORED) if queue else None


_ORDER: Mapping[Traffic, int] = {one: place for place, one in enumerate(Traffic)}


def _sort_key(observed: Observed) -> tuple[int, str, bool, Sequence[int], str]:
    """Order waits by lane: first those of the whole lane, then by weight."""
    queue = queue_of(observed.queue)
    weight = None if queue is None else queue.weight_kg
    bounds = (-1, -1) if weight is None else (weight.from_ or 0, weight.to or 0)
    return (
        _ORDER[observed.lane.traffic],
        observed.lane.to,
        queue is not None,
        bounds,
        observed.queue,
    )
