"""Regular hours applied to declared statuses. Pure.

Outside its hours a lane is closed, whatever is declared; a declared closure takes precedence as the
reason. Within its hours nothing changes. Hours are details of a crossing and not part of its log,
so that they appear neither in the effect of a write nor among what comes due.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter, eq
from typing import Protocol, TypeVar

from app.status.rule.history import (
    NEVER,
    Answer,
    Lane,
    LaneAnswer,
    LaneState,
    OutOfReach,
    TimelinePeriod,
)
from app.status.rule.lanes import TICK
from app.status.rule.resolution import Period, ResolvedHistory, body_of, summaries
from app.vocabulary import LaneReason, Status

LaneT = TypeVar("LaneT", LaneAnswer, LaneState)

_MAX_SWITCHES = 1_000
"""After so many switches, schedules that are never open together count as always closed."""


class Schedule(Protocol):
    """The regular hours of a gate."""

    def is_closed(self, at: datetime) -> bool: ...

    def next_switch(self, at: datetime) -> datetime | None:
        """Return when the gate next opens or closes; None is never."""

    def last_switch(self, at: datetime) -> datetime | None:
        """Return when the gate last opened or closed by ``at``; None if not lately."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The schedules of each lane. A lane is closed if any of its schedules is."""

    lanes: Mapping[Lane, Sequence[Schedule]] = field(default_factory=dict)
    limit: LaneReason | None = None
    """The limit of the crossing that the traveller exceeds, which closes every lane for them."""

    def __bool__(self) -> bool:
        return bool(self.lanes) or self.limit is not None

    def is_closed(self, lane: Lane, at: datetime) -> bool:
        if self.limit is not None:
            return True
        return any(schedule.is_closed(at) for schedule in self.lanes.get(lane, ()))

    def next_switch(self, lane: Lane, at: datetime) -> datetime | None:
        """Return when ``lane`` next opens or closes; None is never."""
        if self.limit is not None:
            return None
        schedules = self.lanes.get(lane, ())
        if not self.is_closed(lane, at):
            return min(
                (switch for schedule in schedules if (switch := schedule.next_switch(at))),
                default=None,
            )
        instant = at
        for _ in range(_MAX_SWITCHES):
            closed = [schedule for schedule in schedules if schedule.is_closed(instant)]
            if not closed:
                return instant
            openings = [schedule.next_switch(instant) for schedule in closed]
            if None in openings:
                return None
            instant = max(opening for opening in openings if opening is not None)
        return None

    def last_switch(self, lane: Lane, at: datetime) -> datetime | None:
        """Return when ``lane`` last opened or closed by ``at``; None if not lately."""
        if self.limit is not None:
            return None
        schedules = self.lanes.get(lane, ())
        if not self.is_closed(lane, at):
            return max(
                (switch for schedule in schedules if (switch := schedule.last_switch(at))),
                default=None,
            )
        # It has been closed since the first of the closures that follow each other without a gap.
        started: datetime | None = None
        instant = at
        for _ in range(_MAX_SWITCHES):
            closed = [schedule for schedule in schedules if schedule.is_closed(instant)]
            starts = [schedule.last_switch(instant) for schedule in closed]
            if not closed:
                return started
            if None in starts:
                return None
            started = min(start for start in starts if start is not None)
            just_before = started - TICK
            if not self.is_closed(lane, just_before):
                return started
            instant = just_before
        return started


NO_HOURS = Hours()


@dataclass(frozen=True, eq=False, slots=True)
class AnswersWithHours:
    """A resolved history with hours, which has the same methods."""

    resolved: ResolvedHistory
    hours: Hours

    def answer(self, at: datetime) -> Answer:
        """Return the answer at ``at``. Raises OutOfReach."""
        declared = self.resolved.answer(at)
        return with_lanes_closed(declared, self._outside(declared.lanes, at), self._reason)

    @property
    def _reason(self) -> LaneReason:
        return self.hours.limit or LaneReason.HOURS

    def period(self, at: datetime) -> Period:
        """Return the period of the summary status at ``at``.

        Hours do not interrupt a declared status. If they do not change it at ``at``, its period is
        the declared one. If they do, the period began when the hours closed a lane, or with the
        declared status if that is later, and ends when the summary status next changes.
        """
        if self.hours.limit is not None:
            return Period(since=None, until=None, expires_at=None)
        declared, answer = self.resolved.answer(at), self.answer(at)
        if declared.status is answer.status:
            return self.resolved.period(at)
        switches = [
            switch
            for lane in self._outside(declared.lanes, at)
            if (switch := self.hours.last_switch(lane, at))
        ]
        declared_since = self.resolved.period(at).since
        since = max(
            (instant for instant in (*switches, declared_since) if instant is not None),
            default=None,
        )
        until = self._next(at, lambda first, second: first.status is second.status)
        return Period(since=since, until=until, expires_at=None)

    def next_change(self, at: datetime) -> datetime | None:
        """Return when the body next changes by time alone; None is never."""
        return self._next(at, lambda first, second: body_of(first) == body_of(second))

    def next_difference(self, at: datetime) -> datetime | None:
        """Return when anything in the answer next changes by time alone; None is never."""
        return self._next(at, eq)

    def last_change(self, at: datetime) -> datetime | None:
        """Return since when the answer has been that at ``at``; None is always."""
        instants = [self.resolved.last_change(at)]
        instants += [self.hours.last_switch(lane, at) for lane in self._passable_lanes(at)]
        return max((instant for instant in instants if instant is not None), default=None)

    def opens_at(self, at: datetime) -> datetime | None:
        """Return when the hours next open a lane that only they close at ``at``."""
        outside = self._outside(self.resolved.answer(at).lanes, at)
        instants = {self.hours.next_switch(lane, at): lane for lane in outside}
        for instant in sorted(instant for instant in instants if instant is not None):
            statuses = {lane.lane: lane.status for lane in self.answer(instant).lanes}
            if any(statuses[lane] is not Status.CLOSED for lane in outside):
                return instant
        return None

    def timeline(self, start: datetime, end: datetime) -> Iterator[TimelinePeriod]:
        """Yield ``[start, end)`` as maximal periods of one answer, with the hours applied."""
        for period in self.resolved.timeline(start):
            begin, until = period.start or start, min(period.end or NEVER, end)
            while begin < until:
                lanes = [lane.lane for lane in period.lanes if lane.status is not Status.CLOSED]
                switch = min(self._switches(lanes, begin), default=NEVER)
                stop = min(switch, until)
                outside = self._outside(period.lanes, begin)
                yield _part_of_period(period, outside, self._reason, begin, stop)
                begin = stop
            if until == end:
                return

    def _next(self, at: datetime, alike: Callable[[Answer, Answer], bool]) -> datetime | None:
        present = self.answer(at)
        boundaries = self.resolved.boundaries()
        begin = at
        for end in (*boundaries[bisect_right(boundaries, at) :], NEVER):
            for _ in range(_MAX_SWITCHES):
                switch = min(self._switches(self._passable_lanes(begin), begin), default=NEVER)
                if switch >= end:
                    break
                if not alike(self.answer(switch), present):
                    return switch
                begin = switch
            if end < NEVER and not alike(self.answer(end), present):
                return end
            begin = end
        if self.resolved.history.known_until < NEVER:
            raise OutOfReach
        return None

    def _switches(self, lanes: Iterable[Lane], at: datetime) -> Iterator[datetime]:
        return (switch for lane in lanes if (switch := self.hours.next_switch(lane, at)))

    def _passable_lanes(self, at: datetime) -> list[Lane]:
        """Return the lanes that no declaration closes at ``at``."""
        lanes = self.resolved.answer(at).lanes
        return [lane.lane for lane in lanes if lane.status is not Status.CLOSED]

    def _outside(self, lanes: Iterable[LaneAnswer | LaneState], at: datetime) -> set[Lane]:
        """Return the lanes that only their hours close at ``at``."""
        return {
            lane.lane
            for lane in lanes
            if lane.status is not Status.CLOSED and self.hours.is_closed(lane.lane, at)
        }


def with_lanes_closed(
    declared: Answer, outside: Collection[Lane], reason: LaneReason = LaneReason.HOURS
) -> Answer:
    """Return an answer with some lanes closed by their hours, or by another ``reason``.

    Declarations that no longer decide any lane move to what is also said.
    """
    if not outside:
        return declared
    lanes = _closed(declared.lanes, outside, reason)
    status, last_known = summaries(lanes)
    deciding = {lane.decided_by.id for lane in lanes if lane.decided_by}
    decided_by = tuple(event for event in declared.decided_by if event.id in deciding)
    not_deciding = [event for event in declared.decided_by if event.id not in deciding]
    return replace(
        declared,
        status=status,
        last_known=last_known,
        stale=any(lane.stale for lane in lanes),
        overdue=any(lane.overdue for lane in lanes),
        expected_until=min(
            (event.expected_until for event in decided_by if event.expected_until), default=None
        ),
        lanes=lanes,
        decided_by=decided_by,
        also_said=tuple(
            sorted([*not_deciding, *declared.also_said], key=attrgetter("start"), reverse=True)
        ),
    )


def _closed(
    lanes: Iterable[LaneT], outside: Collection[Lane], reason: LaneReason
) -> tuple[LaneT, ...]:
    """Return all lanes, with those in ``outside`` closed."""
    return tuple(
        replace(
            lane,
            status=Status.CLOSED,
            last_known=None,
            stale=False,
            overdue=False,
            decided_by=None,
            closed_by=reason,
        )
        if lane.lane in outside
        else lane
        for lane in lanes
    )


def _part_of_period(
    period: TimelinePeriod,
    outside: Collection[Lane],
    reason: LaneReason,
    start: datetime,
    end: datetime,
) -> TimelinePeriod:
    """Return a part of a period with some lanes closed by their hours."""
    lanes = _closed(period.lanes, outside, reason)
    status, last_known = summaries(lanes)
    deciding = {lane.decided_by.id for lane in lanes if lane.decided_by}
    return TimelinePeriod(
        start=start,
        end=end,
        status=status,
        last_known=last_known,
        stale=any(lane.stale for lane in lanes),
        overdue=any(lane.overdue for lane in lanes),
        decided_by=tuple(event for event in period.decided_by if event.id in deciding),
        lanes=lanes,
    )
