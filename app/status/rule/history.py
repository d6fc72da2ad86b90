"""The values that the resolution rule works on. No clock, no I/O, no database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.vocabulary import Certainty, ExceptionCode, LaneReason, Status, Traffic

ALWAYS = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
"""The ends of the calendar: beyond every instant that a history may hold."""

SaidOrder = tuple[datetime, datetime, int]
"""Said at, recorded at, and the id to make the order of any log total. A correction that keeps when
its target was said keeps all of it, or mending one of two entries said at the same instant would
make it the later."""


class OutOfReach(Exception):  # no fault: more of the log is to be loaded
    """The answer lies beyond the part of a log that a history holds."""


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


@dataclass(frozen=True, slots=True)
class Limits:
    """The heaviest and the highest vehicle that may cross; None is no limit known."""

    max_weight_kg: int | None = None
    max_height_m: float | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class ExceptedGroup:
    """Who may still cross although restricted or closed."""

    code: ExceptionCode
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """To whom a declaration does not apply in full, and whom it lets through."""

    exceptions: tuple[ExceptedGroup, ...] = ()
    limits: Limits = NO_LIMITS


NO_TERMS = Terms()


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
    said: SaidOrder | None = field(default=None, compare=False)
    """Its place among what was said; None where that follows from the events at hand."""
    terms: Terms = NO_TERMS
    reason: LaneReason | None = None
    """Which of its terms makes its status another one for the traveller who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The source was checked again at ``confirmed_at``: what it says is still true."""

    id: UUID
    recorded_at: datetime
    sides: frozenset[str]
    confirmed_at: datetime
    scope: Scope = Scope()
    is_observed: bool = False
    """It follows from an observation, and is no event of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRetraction:
    """The declaration or confirmation ``retracts`` is withdrawn."""

    id: UUID
    recorded_at: datetime
    retracts: UUID


Event = Declaration | Confirmation | EventRetraction


@dataclass(frozen=True, slots=True)
class Held:
    """Since when the summary statuses at an instant had held; None is ever."""

    since: datetime | None
    """That of all lanes."""
    others: Mapping[frozenset[Lane], datetime | None] = field(default_factory=dict)
    """Those of some lanes, where it is not the same."""
    unknown: Sequence[frozenset[Lane]] = ()


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class History:
    """What is known of one crossing: its lanes, its patience, and its log in any order.

    A log may be cut: then the events that are left answer for ``[known_from, known_until]`` as
    all of them would, and ``held`` tells what cannot be seen from there.
    """

    sides: tuple[str, ...]
    lanes: tuple[Lane, ...]
    confirm_within: timedelta
    events: tuple[Event, ...] = ()
    known_from: datetime = ALWAYS
    known_until: datetime = NEVER
    held: Held | None = None

    @property
    def observed(self) -> list[Confirmation]:
        """The confirmations that are no events of the log."""
        confirmations = (event for event in self.events if isinstance(event, Confirmation))
        return [confirmation for confirmation in confirmations if confirmation.is_observed]

    @property
    def recorded(self) -> list[Event]:
        """The events of the log."""
        observed = {confirmation.id for confirmation in self.observed}
        return [event for event in self.events if event.id not in observed]

    def since(self, lanes: Iterable[Lane]) -> datetime | None:
        """Return since when the summary status of ``lanes`` at ``known_from`` had held.

        None is ever. Raises OutOfReach where that is not known.
        """
        if self.known_from == ALWAYS:
            return None
        if self.held is None:
            raise OutOfReach
        asked = frozenset(lanes)
        if asked in self.held.unknown:
            raise OutOfReach
        return self.held.others.get(asked, self.held.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """The status of one lane, at an instant or over a stretch of the timeline."""

    lane: Lane
    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    decided_by: Declaration | None
    closed_by: LaneReason | None = None
    """What closes it although nobody declares it closed: its regular hours, or a limit."""

    @property
    def outside_hours(self) -> bool:
        return self.closed_by is LaneReason.HOURS

    @property
    def reason(self) -> LaneReason | None:
        """Why it has its status, where its deciding event alone does not say so."""
        return self.closed_by or (None if self.decided_by is None else self.decided_by.reason)

    @property
    def exceptions(self) -> tuple[ExceptedGroup, ...]:
        """The exceptions of a closure that let the traveller through."""
        if self.decided_by is None or self.decided_by.reason is not LaneReason.EXCEPTION:
            return ()
        return self.decided_by.terms.exceptions


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneAnswer(LaneState):
    """The answer for one lane at one instant."""

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
class TimelinePeriod:
    """A maximal period ``[start, end)`` over which nothing below differs; None is unbounded."""

    start: datetime | None
    end: datetime | None
    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    decided_by: tuple[Declaration, ...]
    lanes: tuple[LaneState, ...]
