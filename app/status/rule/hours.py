"""Regular hours laid over what is declared: the weakest reason to be closed. Pure.

Outside its hours a lane is closed whatever is declared, unless a declaration closes it already;
within them they say nothing. They are part of a crossing's details, not of its log: so no answer
of the log, no effect of a write and nothing that comes due knows of them.
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
from app.vocabulary import Status

LaneT = TypeVar("LaneT", LaneAnswer, LaneState)

_SWITCHES_LOOKED_AT = 1_000
"""Then two schedules that never agree count as closed for good."""


class Schedule(Protocol):
    """When a gate is closed by the calendar."""

    def is_closed(self, at: datetime) -> bool: ...

    def next_switch(self, at: datetime) -> datetime | None:
        """Return when it next opens if it is closed, or closes if not; None is never."""

    def last_switch(self, at: datetime) -> datetime | None:
        """Return when it last did, by ``at``; None is not lately."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The schedules of each lane: one that any of them closes is closed."""

    lanes: Mapping[Lane, Sequence[Schedule]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lanes)

    def is_closed(self, lane: Lane, at: datetime) -> bool:
        return any(one.is_closed(at) for one in self.lanes.get(lane, ()))

    def next_switch(self, lane: Lane, at: datetime) -> datetime | None:
        """Return when ``lane`` next opens if it is closed, or closes if not; None is never."""
        schedules = self.lanes.get(lane, ())
        if not self.is_closed(lane, at):
            return min((found for one in schedules if (found := one.next_switch(at))), default=None)
        instant = at
        for _ in range(_SWITCHES_LOOKED_AT):
            closed = [one for one in schedules if one.is_closed(instant)]
            if not closed:
                return instant
            opens = [one.next_switch(instant) for one in closed]
            if None in opens:
                return None
            instant = max(one for one in opens if one is not None)
        return None

    def last_switch(self, lane: Lane, at: datetime) -> datetime | None:
        """Return when ``lane`` last opened or closed by ``at``; None is not lately."""
        schedules = self.lanes.get(lane, ())
        if not self.is_closed(lane, at):
            return max((found for one in schedules if (found := one.last_switch(at))), default=None)
        # It has been closed since the earliest of those whose closures meet without a break.
        started: datetime | None = None
        instant = at
        for _ in range(_SWITCHES_LOOKED_AT):
            closed = [one for one in schedules if one.is_closed(instant)]
            starts = [one.last_switch(instant) for one in closed]
            if not closed:
                return started
            if None in starts:
                return None
            started = min(one for one in starts if one is not None)
            just_before = started - TICK
            if not self.is_closed(lane, just_before):
                return started
            instant = just_before
        return started


NO_HOURS = Hours()


@dataclass(frozen=True, eq=False, slots=True)
class AnswersWithHours:
    """A resolved history with hours laid over it: asked as that is, and answers alike."""

    resolved: ResolvedHistory
    hours: Hours

    def answer(self, at: datetime) -> Answer:
        """Return what holds at ``at``. Raises OutOfReach."""
        declared = self.resolved.answer(at)
        return laid_over(declared, self._outside(declared.lanes, at))

    def period(self, at: datetime) -> Period:
        """Return the period of the summary status at ``at``.

        A night does not interrupt a declared status: where the hours alter nothing, it is that
        of what is declared. Where they do, it began when the hours did, or with what is declared
        if that came later, and ends when the summary status next differs.
        """
        declared, answer = self.resolved.answer(at), self.answer(at)
        if declared.status is answer.status:
            return self.resolved.period(at)
        switches = [
            found
            for lane in self._outside(declared.lanes, at)
            if (found := self.hours.last_switch(lane, at))
        ]
        begun = self.resolved.period(at).since
        since = max((one for one in (*switches, begun) if one is not None), default=None)
        until = self._next(at, lambda one, other: one.status is other.status)
        return Period(since=since, until=until, expires_at=None)

    def next_change(self, at: datetime) -> datetime | None:
        """Return when the body next differs though nothing new is recorded; None is never."""
        return self._next(at, lambda one, other: body_of(one) == body_of(other))

    def next_difference(self, at: datetime) -> datetime | None:
        """Return when anything of the answer next differs, in a body or not; None is never."""
        return self._next(at, eq)

    def last_change(self, at: datetime) -> datetime | None:
        """Return since when the answer is as it is at ``at``; None is ever."""
        found = [self.resolved.last_change(at)]
        found += [self.hours.last_switch(lane, at) for lane in self._depending(at)]
        return max((one for one in found if one is not None), default=None)

    def opens_at(self, at: datetime) -> datetime | None:
        """Return when the hours next open a lane that nothing but they close at ``at``."""
        outside = self._outside(self.resolved.answer(at).lanes, at)
        found = {self.hours.next_switch(lane, at): lane for lane in outside}
        for instant in sorted(one for one in found if one is not None):
            reached = {one.lane: one.status for one in self.answer(instant).lanes}
            if any(reached[lane] is not Status.CLOSED for lane in outside):
                return instant
        return None

    def timeline(self, start: datetime, end: datetime) -> Iterator[TimelinePeriod]:
        """Yield ``[start, end)`` as maximal periods of one answer, the hours included."""
        for period in self.resolved.timeline(start):
            begin, until = period.start or start, min(period.end or NEVER, end)
            while begin < until:
                lanes = [one.lane for one in period.lanes if one.status is not Status.CLOSED]
                switch = min(self._switches(lanes, begin), default=NEVER)
                stop = min(switch, until)
                yield _period_outside(period, self._outside(period.lanes, begin), begin, stop)
                begin = stop
            if until == end:
                return

    def _next(self, at: datetime, alike: Callable[[Answer, Answer], bool]) -> datetime | None:
        present = self.answer(at)
        boundaries = self.resolved.boundaries()
        begin = at
        for end in (*boundaries[bisect_right(boundaries, at) :], NEVER):
            for _ in range(_SWITCHES_LOOKED_AT):
                switch = min(self._switches(self._depending(begin), begin), default=NEVER)
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
        return (found for lane in lanes if (found := self.hours.next_switch(lane, at)))

    def _depending(self, at: datetime) -> list[Lane]:
        """Return the lanes that no declaration closes at ``at``."""
        lanes = self.resolved.answer(at).lanes
        return [one.lane for one in lanes if one.status is not Status.CLOSED]

    def _outside(self, lanes: Iterable[LaneAnswer | LaneState], at: datetime) -> set[Lane]:
        """Return the lanes that nothing but their hours closes at ``at``."""
        return {
            one.lane
            for one in lanes
            if one.status is not Status.CLOSED and self.hours.is_closed(one.lane, at)
        }


def laid_over(declared: Answer, outside: Collection[Lane]) -> Answer:
    """Return an answer with these lanes closed by their hours.

    What is declared of them is no longer what decides: it is among what is also said.
    """
    if not outside:
        return declared
    lanes = _closed(declared.lanes, outside)
    status, last_known = summaries(lanes)
    deciding = {lane.decided_by.id for lane in lanes if lane.decided_by}
    decided_by = tuple(one for one in declared.decided_by if one.id in deciding)
    besides = [one for one in declared.decided_by if one.id not in deciding]
    return replace(
        declared,
        status=status,
        last_known=last_known,
        stale=any(lane.stale for lane in lanes),
        overdue=any(lane.overdue for lane in lanes),
        expected_until=min(
            (one.expected_until for one in decided_by if one.expected_until), default=None
        ),
        lanes=lanes,
        decided_by=decided_by,
        also_said=tuple(
            sorted([*besides, *declared.also_said], key=attrgetter("start"), reverse=True)
        ),
    )


def _closed(lanes: Iterable[LaneT], outside: Collection[Lane]) -> tuple[LaneT, ...]:
    """Return all lanes, those of ``outside`` closed by their hours."""
    return tuple(
        replace(
            lane,
            status=Status.CLOSED,
            last_known=None,
            stale=False,
            overdue=False,
            decided_by=None,
            outside_hours=True,
        )
        if lane.lane in outside
        else lane
        for lane in lanes
    )


def _period_outside(
    period: TimelinePeriod, outside: Collection[Lane], start: datetime, end: datetime
) -> TimelinePeriod:
    """Return a part of a period with these lanes closed by their hours."""
    lanes = _closed(period.lanes, outside)
    status, last_known = summaries(lanes)
    deciding = {lane.decided_by.id for lane in lanes if lane.decided_by}
    return TimelinePeriod(
        start=start,
        end=end,
        status=status,
        last_known=last_known,
        stale=any(lane.stale for lane in lanes),
        overdue=any(lane.overdue for lane in lanes),
        decided_by=tuple(one for one in period.decided_by if one.id in deciding),
        lanes=lanes,
    )
