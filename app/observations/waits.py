"""The waits of a crossing: which of what was observed is told at an instant. Pure."""

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
from app.status.rule.history import Lane
from app.status.rule.observations import LaneObservation, supported_status
from app.vocabulary import ObservationMethod, Status, Traffic


@dataclass(frozen=True, slots=True)
class Observed:
    """An observation of a series."""

    series_id: int
    lane: Lane
    queue: str
    """As JSON of the database: equal queues are equal texts; empty is the lane as a whole."""
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

    @property
    def age_order(self) -> tuple[datetime, datetime, int]:
        """Order observations from the oldest to the latest."""
        return self.observed_at, self.recorded_at, self.series_id


@dataclass(frozen=True, slots=True)
class Waits:
    """The latest observation of each series of a crossing."""

    latest: tuple[Observed, ...] = ()

    def updated(self, newer: Iterable[Observed]) -> "Waits":
        """Return this with what was observed since, in whatever order it comes."""
        found = {one.series_id: one for one in self.latest}
        for one in newer:
            known = found.get(one.series_id)
            if known is None or known.age_order < one.age_order:
                found[one.series_id] = one
        return Waits(tuple(found.values()))

    def shown(self, instant: datetime, lanes: Iterable[Lane]) -> list[Observed]:
        """Return the latest of each lane and queue, of whatever source, that is not too old."""
        wanted = frozenset(lanes)
        found: dict[tuple[Lane, str], Observed] = {}
        for one in self.latest:
            if one.lane in wanted and instant < one.shown_until:
                known = found.get((one.lane, one.queue))
                if known is None or known.age_order < one.age_order:
                    found[one.lane, one.queue] = one
        return sorted(found.values(), key=_place)

    def validity(self, instant: datetime) -> Validity:
        """Return since when, and until when, the same is shown as at ``instant``."""
        found = ALWAYS_VALID
        for one in self.latest:
            if instant < one.shown_until:
                found = found.also(Validity(one.recorded_at, one.shown_until))
            else:
                found = found.also(Validity(one.shown_until, None))
        return found

    def out(self, instant: datetime, statuses: Mapping[Lane, Status]) -> list[WaitOut]:
        """Return what is shown at ``instant`` of lanes with these statuses, as bodies."""
        return [
            WaitOut(**_told(one, is_closed=statuses[one.lane] is Status.CLOSED))
            for one in self.shown(instant, statuses)
        ]


NO_WAITS = Waits()


def observation_out(one: Observed, *, crossing: str, recorded_by: str) -> ObservationOut:
    """Return an observation as it was recorded."""
    return ObservationOut(
        **_told(one, is_closed=False),
        crossing=crossing,
        recorded_at=one.recorded_at,
        recorded_by=recorded_by,
    )


def _told(one: Observed, *, is_closed: bool) -> dict[str, object]:
    """Return the fields of a body; where the lane ``is_closed``, it has no wait."""
    return {
        "traffic": one.lane.traffic,
        "to": one.lane.to,
        "queue": queue_of(one.queue),
        "wait": _wait(one, is_closed=is_closed),
        "vehicles": one.vehicles,
        "lanes_open": one.lanes_open,
        "moving": one.moving,
        "paused": one.paused,
        "estimate": one.estimate,
        "method": one.method,
        "source": one.source,
        "observed_at": one.observed_at,
        "shown_until": one.shown_until,
        "supports": supported_status(
            LaneObservation(
                method=one.method,
                is_closed=one.closed,
                is_moving=one.moving,
                minutes=one.minutes,
                vehicles=one.vehicles,
                is_paused=one.paused,
                is_estimate=one.estimate,
            )
        ),
    }


def _wait(one: Observed, *, is_closed: bool) -> Wait:
    if is_closed or one.closed:
        return ClosedWait(state="closed")
    if one.minutes is None:
        return UnknownWait(state="unknown")
    return KnownWait(state="known", minutes=one.minutes)


@remembered("queues", bound=2**22, result_bytes=1_500)
def queue_of(stored: str) -> Queue | None:
    """Return a queue from the database's JSON of it; None is the lane as a whole."""
    found = json.loads(stored)
    return Queue.model_validate(found, context=STORED) if found else None


_ORDER: Mapping[Traffic, int] = {one: place for place, one in enumerate(Traffic)}


def _place(one: Observed) -> tuple[int, str, bool, Sequence[int], str]:
    """Order waits as lanes are ordered: first those of the whole lane, then by weight."""
    queue = queue_of(one.queue)
    weight = None if queue is None else queue.weight_kg
    bounds = (-1, -1) if weight is None else (weight.from_ or 0, weight.to or 0)
    return _ORDER[one.lane.traffic], one.lane.to, queue is not None, bounds, one.queue
