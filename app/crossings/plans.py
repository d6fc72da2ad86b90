"""Upcoming statuses: for whom, from when, until when, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.places.details import Details
from app.status.rule.history import Lane
from app.status.rule.upcoming import Upcoming
from app.status.schemas import EventOut
from app.vocabulary import Certainty, Precision, Status, Traffic

Scopes = Sequence[tuple[list[Traffic], list[str]]]


class LaneLike(Protocol):
    """Anything with the traffic and the direction of a lane."""

    @property
    def traffic(self) -> Traffic: ...
    @property
    def to(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """An upcoming status of some lanes of a crossing."""

    start: datetime
    end: datetime | None
    status: Status
    lanes: Sequence[Lane]
    scopes: Scopes
    """The scopes of the lanes; empty if these are all lanes of the crossing."""
    sides: Sequence[str]
    """The sides that declare it."""
    precision: Precision
    certainty: Certainty
    event: EventOut | None

    def covers(self, traffic: Traffic, to: str) -> bool:
        return Lane(traffic, to) in self.lanes


def plans_of(
    upcoming: Iterable[Upcoming], details: Details, events: Mapping[UUID, EventOut]
) -> list[Plan]:
    """Return the plans of a crossing, or of some of its lanes."""
    every = set(details.lanes)
    return [_plan(change, events.get(change.event.id), every=every) for change in upcoming]


def _plan(change: Upcoming, event: EventOut | None, *, every: set[Lane]) -> Plan:
    return Plan(
        start=change.start,
        end=change.end,
        status=change.status,
        lanes=change.lanes,
        scopes=[] if set(change.lanes) == every else scopes_of(change.lanes),
        sides=event.sides if event else sorted(change.event.sides),
        precision=(event.precision if event else None) or Precision.MINUTE,
        certainty=change.event.certainty,
        event=event,
    )


def scopes_of(lanes: Iterable[LaneLike]) -> Scopes:
    """Return the lanes as few groups of traffic with the countries entered."""
    directions: dict[Traffic, list[str]] = {}
    for lane in lanes:
        directions.setdefault(lane.traffic, []).append(lane.to)
    scopes: dict[tuple[str, ...], list[Traffic]] = {}
    for traffic, to in directions.items():
        scopes.setdefault(tuple(to), []).append(traffic)
    return [(traffic, list(to)) for to, traffic in scopes.items()]
