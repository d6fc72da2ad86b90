"""The resolution rule: what the status of a crossing is, was and will be, and why.

Everything here is a pure function of a ``History`` and instants (timezone-aware). The words
are those of docs/rule.md; a declaration is

* a *candidate* for a lane at an instant when it is eligible, covers it and its period holds it;
* *lifted* by a candidate of the same side, said later, starting no earlier, no less firm;
* *in force* when not lifted; the most severe in force over both sides *decides* the lane.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, pairwise, takewhile
from operator import eq
from typing import NamedTuple

from app.status.rule.force import (
    FIRMNESS,
    SEVERITY,
    RankedDeclaration,
    by_prominence,
    decider_of,
    said_order,
)
from app.status.rule.history import (
    ALWAYS,
    NEVER,
    Answer,
    Confirmation,
    Declaration,
    EventRetraction,
    History,
    Lane,
    LaneAnswer,
    LaneState,
    OutOfReach,
    TimelinePeriod,
)
from app.status.rule.lanes import TICK, GroupState, LaneGroup, groups_of
from app.vocabulary import Status

_PASSABLE = {Status.OPEN, Status.RESTRICTED}
_MONTH = timedelta(days=30)


class Period(NamedTuple):
    """How long a summary status has held and will hold without a break."""

    since: datetime | None
    """None is always."""
    until: datetime | None
    """When the declared status ends; None is until further notice. Expiry is not an end."""
    expires_at: datetime | None
    """When an open or restricted will be answered as unknown unless it is confirmed.

    None if its declared end comes first, and of any other status.
    """


@dataclass(frozen=True, slots=True)
class Present:
    """An answer with the period of its status, and when it next differs."""

    at: datetime
    answer: Answer
    period: Period
    next_change: datetime | None

    def holds(self, at: datetime) -> bool:
        """Return whether it is still the answer at ``at``."""
        return self.at <= at and (self.next_change is None or at < self.next_change)


class ResolvedHistory:
    """A history as known at an instant, ready to be asked.

    Its methods raise OutOfReach where the log was cut too short to tell.
    """

    def __init__(self, history: History, known_at: datetime | None = None) -> None:
        events = [one for one in history.events if known_at is None or one.recorded_at <= known_at]
        gone = {one.retracts for one in events if isinstance(one, EventRetraction)}
        declared = sorted(
            (one for one in events if isinstance(one, Declaration)), key=_recorded_order
        )
        gone |= {one.supersedes for one in declared if one.supersedes}
        said = said_order(declared)
        standing = [
            RankedDeclaration(
                event=one,
                said=said[one.id],
                end=one.end or NEVER,
                severity=SEVERITY[one.status],
                firmness=FIRMNESS.get(one.certainty, 0),
                prominence=(one.start, said[one.id]),
            )
            for one in declared
            if one.id not in gone
        ]
        self.history = history
        self.rumours = [one for one in standing if not one.firmness]
        declarations = [one for one in standing if one.firmness]
        confirmations = [
            one for one in events if isinstance(one, Confirmation) and one.id not in gone
        ]
        self.confirmations = confirmations
        self.groups = groups_of(history, declarations, confirmations)
        self.standing = standing
        self._answers: dict[datetime, Answer] = {}
        self._present: Present | None = None

    def answer(self, at: datetime) -> Answer:
        """Return what holds at ``at``; it is kept, for one question is seldom the only one."""
        if at not in self._answers:
            if not self.history.known_from <= at <= self.history.known_until:
                raise OutOfReach
            self._answers[at] = self._answer(at)
        return self._answers[at]

    def _answer(self, at: datetime) -> Answer:
        lanes: dict[Lane, LaneAnswer] = {}
        spoken: dict[str, set[Status]] = {side: set() for side in self.history.sides}
        deciding: set[RankedDeclaration] = set()
        besides: set[RankedDeclaration] = set()
        for group in self.groups:
            sides = group.in_force(at)
            decider = decider_of(sides.values())
            state = group.state(decider, at)
            lanes |= {lane: _lane_answer(group, lane, state, at) for lane in group.lanes}
            for side, in_force in sides.items():
                foremost = in_force.foremost()
                spoken[side].add(foremost.event.status if foremost else Status.UNKNOWN)
            if decider:
                deciding.add(decider)
                decided = decider.event.status
                others = chain.from_iterable(sides.values())
                besides |= {one for one in others if one.event.status is not decided}
        besides |= {one for one in self.rumours if self._is_about(one, at)}
        listed = tuple(lanes[lane] for lane in self.history.lanes)
        status, last_known = summaries(listed)
        events = _latest_first(deciding)
        return Answer(
            status=status,
            last_known=last_known,
            stale=any(lane.stale for lane in listed),
            overdue=any(lane.overdue for lane in listed),
            expected_until=min(
                (one.expected_until for one in events if one.expected_until), default=None
            ),
            last_confirmed_at=min(
                (lane.last_confirmed_at for lane in listed if lane.last_confirmed_at),
                default=None,
            ),
            sides=tuple((side, summary(found)) for side, found in spoken.items()),
            lanes=listed,
            decided_by=events,
            also_said=_latest_first(besides - deciding),
        )

    def present(self, at: datetime) -> Present:
        """Return the whole answer at ``at``; it is worked out once until it next differs."""
        if self._present is None or not self._present.holds(at):
            self._present = Present(at, self.answer(at), self.period(at), self.next_change(at))
        return self._present

    def period(self, at: datetime) -> Period:
        """Return the period of the summary status at ``at``."""
        known_from = self.history.known_from
        # Mostly it began with what decides: a long log is looked at only as far back as need be.
        decided = (at - one.start for one in self.answer(at).decided_by)
        reach = max(decided, default=at - ALWAYS) + TICK
        while True:
            begin = max(known_from, at - min(reach, at - ALWAYS))
            period = _period(self.groups, at, begin)
            if (period.until or NEVER) > self.history.known_until:
                raise OutOfReach
            if period.since != begin:
                return period
            if begin == known_from:
                return period._replace(since=self.history.since(self.history.lanes))
            reach = max(reach * 4, _MONTH)

    def since_of(
        self, selections: Iterable[frozenset[Lane]], at: datetime
    ) -> Iterator[tuple[frozenset[Lane], datetime | None]]:
        """Yield since when the summary status of each selection has held; none that is unknown."""
        known_from = self.history.known_from
        sweep = [
            (begin, [state.status for state in states])
            for begin, _, states in takewhile(
                lambda part: part[0] <= at, _sweep(self.groups, known_from)
            )
        ]
        sweep.reverse()
        group_indices = {
            lane: index for index, group in enumerate(self.groups) for lane in group.lanes
        }
        known: dict[frozenset[int], datetime] = {}
        for lanes in selections:
            asked = frozenset(group_indices[lane] for lane in lanes)
            if asked not in known:
                known[asked] = _since(sweep, asked)
            found: datetime | None = known[asked]
            if found == known_from:
                try:
                    found = self.history.since(lanes)
                except OutOfReach:
                    continue
            yield lanes, found

    def next_change(self, at: datetime) -> datetime | None:
        """Return when the body next differs though nothing new is recorded; None is never.

        When each lane was last confirmed is not in it.
        """
        return self._next(at, lambda one, other: body_of(one) == body_of(other))

    def next_difference(self, at: datetime) -> datetime | None:
        """Return when anything of the answer next differs, in a body or not; None is never."""
        return self._next(at, eq)

    def _next(self, at: datetime, alike: Callable[[Answer, Answer], bool]) -> datetime | None:
        present = self.answer(at)
        boundaries = self.boundaries()
        for instant in boundaries[bisect_right(boundaries, at) :]:
            if not alike(self.answer(instant), present):
                return instant
        if self.history.known_until < NEVER:
            raise OutOfReach
        return None

    def last_change(self, at: datetime) -> datetime | None:
        """Return since when the answer is as it is at ``at``, by what is recorded; None is ever.

        Of a log that was compacted when it was written to, what lies before that is left out.
        """
        present = self.answer(at)
        boundaries = self.boundaries()
        known_from = self.history.known_from
        passed = boundaries[bisect_right(boundaries, known_from) : bisect_right(boundaries, at)]
        passed = [known_from, *passed]
        for before, instant in reversed(list(pairwise(passed))):
            if self.answer(before) != present:
                return instant
        if known_from > ALWAYS and self.history.held is None:
            raise OutOfReach
        return None

    def timeline(self, since: datetime = ALWAYS) -> Iterator[TimelinePeriod]:
        """Yield all time from ``since`` on as maximal stretches of one answer.

        The last has no end, and the first no start unless it is ``since``.
        """
        places = {lane: place for place, group in enumerate(self.groups) for lane in group.lanes}
        for start, end, states in _sweep(self.groups, since):
            yield _stretch(
                start, end, [(lane, states[places[lane]]) for lane in self.history.lanes]
            )

    def boundaries(self) -> list[datetime]:
        """Return every instant at which an answer might differ from the one just before."""
        found: set[datetime] = set()
        for one in self.standing:
            found |= {one.event.start, one.end}
            if one.event.expected_until:
                found.add(one.event.expected_until)
        for group in self.groups:
            newest: dict[frozenset[str], datetime] = {}
            for instant, recorded_at, sides in group.instants:
                found.add(instant)
                if instant <= recorded_at:
                    newest[sides] = max(instant, newest.get(sides, instant))
                else:
                    found.add(recorded_at + group.confirm_within)
            # Until the newest of the same sides runs out, none before it does.
            found |= {instant + group.confirm_within for instant in newest.values()}
        return sorted(found - {NEVER})

    def _is_about(self, one: RankedDeclaration, at: datetime) -> bool:
        return one.event.start <= at < one.end and any(
            one.event.scope.covers(lane) for lane in self.history.lanes
        )


def _since(sweep: Sequence[tuple[datetime, Sequence[Status]]], asked: Iterable[int]) -> datetime:
    """Return since when the groups' summary is what it was last; the latest comes first."""
    start, statuses = sweep[0]
    held = summary(statuses[place] for place in asked)
    for begin, statuses in sweep[1:]:
        if summary(statuses[place] for place in asked) is not held:
            break
        start = begin
    return start


def _period(groups: Sequence[LaneGroup], at: datetime, since: datetime) -> Period:
    """Return the period of the summary status at ``at``, which begins at ``since`` or later."""
    held, declared, start = None, None, since
    expires_at: datetime | None = None
    for begin, _, states in _sweep(groups, since):
        status = summary(state.status for state in states)
        if begin <= at:
            declared = summary(state.declared for state in states)
            if status is not held:
                held, start = status, begin
        elif summary(state.declared for state in states) is not declared:
            return Period(start, begin, expires_at)
        elif expires_at is None and held in _PASSABLE and status is Status.UNKNOWN:
            expires_at = begin
    return Period(start, None, expires_at)


def _sweep(
    groups: Sequence[LaneGroup], since: datetime
) -> Iterator[tuple[datetime, datetime, Sequence[GroupState]]]:
    """Yield what each of the groups is from ``since`` on, from one change of any to the next."""
    changes: defaultdict[datetime, list[tuple[int, GroupState]]] = defaultdict(list)
    for place, group in enumerate(groups):
        for instant, state in group.states(since):
            changes[instant].append((place, state))
    states = [GroupState()] * len(groups)
    for start, end in pairwise([*sorted(changes), NEVER]):
        for place, state in changes[start]:
            states[place] = state
        yield start, end, states


def withheld(answer: Answer) -> Answer:
    """Return what is left of an answer that may no longer be relied on.

    As where evidence runs out: what was open or restricted is unknown, a closed stays closed.
    """
    lanes = tuple(
        replace(lane, status=Status.UNKNOWN, last_known=lane.status)
        if lane.status in _PASSABLE
        else lane
        for lane in answer.lanes
    )
    status, last_known = summaries(lanes)
    sides = tuple(
        (side, Status.UNKNOWN if status in _PASSABLE else status) for side, status in answer.sides
    )
    return replace(answer, lanes=lanes, status=status, last_known=last_known, sides=sides)


def summary(statuses: Iterable[Status]) -> Status:
    """Return what several lanes are together; nothing at all is ``unknown``."""
    found = set(statuses)
    if len(found) == 1:
        return found.pop()
    return Status.RESTRICTED if found & _PASSABLE else Status.UNKNOWN


def summaries(lanes: Sequence[LaneAnswer | LaneState]) -> tuple[Status, Status | None]:
    status = summary(lane.status for lane in lanes)
    if status is not Status.UNKNOWN:
        return status, None
    last_known = summary(lane.last_known or lane.status for lane in lanes)
    return status, None if last_known is Status.UNKNOWN else last_known


def _recorded_order(event: Declaration) -> tuple[datetime, int]:
    return event.recorded_at, event.id.int


def _lane_answer(group: LaneGroup, lane: Lane, state: GroupState, at: datetime) -> LaneAnswer:
    event = state.event
    return LaneAnswer(
        lane=lane,
        status=state.status,
        last_known=state.last_known,
        stale=state.stale,
        overdue=state.overdue,
        decided_by=event,
        last_confirmed_at=group.evidence(event.sides).newest(event.start, at) if event else None,
    )


def body_of(answer: Answer) -> Answer:
    """Return an answer without what its body does not show."""
    return replace(
        answer, lanes=tuple(replace(lane, last_confirmed_at=None) for lane in answer.lanes)
    )


def _latest_first(found: Iterable[RankedDeclaration]) -> tuple[Declaration, ...]:
    return tuple(one.event for one in sorted(found, key=by_prominence, reverse=True))


def _stretch(
    start: datetime, end: datetime, states: Sequence[tuple[Lane, GroupState]]
) -> TimelinePeriod:
    lanes = tuple(
        LaneState(
            lane=lane,
            status=state.status,
            last_known=state.last_known,
            stale=state.stale,
            overdue=state.overdue,
            decided_by=state.event,
        )
        for lane, state in states
    )
    status, last_known = summaries(lanes)
    return TimelinePeriod(
        start=_bound(start),
        end=_bound(end),
        status=status,
        last_known=last_known,
        stale=any(lane.stale for lane in lanes),
        overdue=any(lane.overdue for lane in lanes),
        decided_by=_latest_first({state.decider for _, state in states if state.decider}),
        lanes=lanes,
    )


def _bound(instant: datetime) -> datetime | None:
    return None if instant in {ALWAYS, NEVER} else instant
