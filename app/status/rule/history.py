"""The values that the resolution rule works on. No clock, no I/O, no database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.vocabulary import Certainty, Status, Traffic


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """One traffic category entering one country: the finest thing that has a status."""

    traffic: Traffic
    to: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The lanes an event speaks about; None means every one, now and later."""

    traffic: frozenset[Traffic] | None = None
    to: str | None = None

    def covers(self, lane: Lane) -> bool:
        return (self.traffic is None or lane.traffic in self.traffic) and (
            self.to is None or lane.to == self.to
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A status for some lanes over ``[start, end)``; ``end`` None is until further notice."""

    id: UUID
    recorded_at: datetime
    sides: frozenset[str]
    status: Status
    start: datetime
    end: datetime | None = None
    expected_until: datetime | None = None
    scope: Scope = Scope()
    certainty: Certainty = Certainty.CONFIRMED
    announced_at: datetime | None = None
    supersedes: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The source was checked again at ``confirmed_at``: what it says is still true."""

    id: UUID
    recorded_at: datetime
    sides: frozenset[str]
    confirmed_at: datetime
    scope: Scope = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraction:
    """The declaration or confirmation ``retracts`` is withdrawn."""

    id: UUID
    recorded_at: datetime
    retracts: UUID


Event = Declaration | Confirmation | Retraction


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class History:
    """What is known of one crossing: its lanes, its patience, and its log in any order."""

    sides: tuple[str, ...]
    lanes: tuple[Lane, ...]
    confirm_within: timedelta
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneAnswer:
    """The answer for one lane at one instant."""

    lane: Lane
    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    decided_by: Declaration | None
    last_confirmed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer for a crossing at one instant: the summary, and every lane asked about."""

    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    expected_until: datetime | None
    last_confirmed_at: datetime | None
    sides: tuple[tuple[str, Status], ...]
    lanes: tuple[LaneAnswer, ...]
    decided_by: tuple[Declaration, ...]
    also_said: tuple[Declaration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """A lane's part of a stretch of the timeline."""

    lane: Lane
    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    decided_by: Declaration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A maximal period ``[start, end)`` over which nothing below differs; None is unbounded."""

    start: datetime | None
    end: datetime | None
    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    decided_by: tuple[Declaration, ...]
    lanes: tuple[LaneState, ...]
