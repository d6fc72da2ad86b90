"""The resolution rule: what the status of a crossing is, was and will be, and why.

Everything here is a pure function of a ``History`` and instants (timezone-aware). The words
are those of docs/rule.md; a declaration is

* a *candidate* for a lane at an instant when it is eligible, covers the lane, and its period
  contains the instant;
* *lifted* by a candidate of the same side that was said later, starts no earlier, and is no less
  certain;
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
    """How long a summary status has lasted and will last without a break."""

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
    """An answer with the period of its status, and when it next changes."""

    at: datetime
    answer: Answer
    period: Period
    next_change: datetime | None

    def holds(self, at: datetime) -> bool:
        """Return whether this is still the answer at ``at``."""
        return self.at <= at and (self.next_change is None or at < self.next_change)


class ResolvedHistory:
    """A history as known at an instant, resolved.

    Its methods raise OutOfReach if the answer depends on events before the log was cut.
    """

    def __init__(self, history: History, known_at: datetime | None = None) -> None:
        events = [
            event for event in history.events if known_at is None or event.recorded_at <= known_at
        ]
        withdrawn = {event.retracts for event in events if isinstance(event, EventRetraction)}
        declarations = sorted(
            (event for event in events if isinstance(event, Declaration)), key=_recorded_order
        )
        withdrawn |= {event.supersedes for event in declarations if event.supersedes}
        order = said_order(declarations)
        active = [
            RankedDeclaration(
                event=event,
                said=order[event.id],
                end=event.end or NEVER,
                severity=SEVERITY[event.status],
                firmness=FIRMNESS.get(event.certainty, 0),
                prominence=(event.start, order[event.id]),
            )
            for event in declarations
            if event.id not in withdrawn
        ]
        self.history = history
        self.active = active
        self.rumours = [declaration for declaration in active if not declaration.firmness]
        self.confirmations = [
            event
            for event in events
            if isinstance(event, Confirmation) and event.id not in withdrawn
        ]
        eligible = [declaration for declaration in active if declaration.firmness]
        self.groups = groups_of(history, eligible, self.confirmations)
        self._answers: dict[datetime, Answer] = {}
        self._present: Present | None = None

    def answer(self, at: datetime) -> Answer:
        """Return the answer at ``at``. It is cached, because other methods need it again."""
        if at not in self._answers:
            if not self.history.known_from <= at <= self.history.known_until:
                raise OutOfReach
            self._answers[at] = self._answer(at)
        return self._answers[at]

    def _answer(self, at: datetime) -> Answer:
        lanes: dict[Lane, LaneAnswer] = {}
        statuses_by_side: dict[str, set[Status]] = {side: set() for side in self.history.sides}
        deciding: set[RankedDeclaration] = set()
        not_deciding: set[RankedDeclaration] = set()
        for group in self.groups:
            sides = group.in_force(at)
            decider = decider_of(sides.values())
            state = group.state(decider, at)
            lanes |= {lane: _lane_answer(group, lane, state, at) for lane in group.lanes}
            for side, in_force in sides.items():
                foremost = in_force.foremost()
                statuses_by_side[side].add(foremost.event.status if foremost else Status.UNKNOWN)
            if decider:
                deciding.add(decider)
                decided = decider.event.status
                declarations = chain.from_iterable(sides.values())
                not_deciding |= {
                    declaration
                    for declaration in declarations
                    if declaration.event.status is not decided
                }
        not_deciding |= {
            declaration for declaration in self.rumours if self._is_about(declaration, at)
        }
        lane_answers = tuple(lanes[lane] for lane in self.history.lanes)
        status, last_known = summaries(lane_answers)
        events = _latest_first(deciding)
        return Answer(
            status=status,
            last_known=last_known,
            stale=any(lane.stale for lane in lane_answers),
            overdue=any(lane.overdue for lane in lane_answers),
            expected_until=min(
                (
                    declaration.expected_until
                    for declaration in events
                    if declaration.expected_until
                ),
                default=None,
            ),
            last_confirmed_at=min(
                (lane.last_confirmed_at for lane in lane_answers if lane.last_confirmed_at),
                default=None,
            ),
            sides=tuple((side, summary(statuses)) for side, statuses in statuses_by_side.items()),
            lanes=lane_answers,
            decided_by=events,
            also_said=_latest_first(not_deciding - deciding),
        )

    def present(self, at: datetime) -> Present:
        """Return the whole answer at ``at``, which is computed once until it next changes."""
        if self._present is None or not self._present.holds(at):
            self._present = Present(at, self.answer(at), self.period(at), self.next_change(at))
        return self._present

    def period(self, at: datetime) -> Period:
        """Return the period of the summary status at ``at``."""
        known_from = self.history.known_from
        # Mostly the period began with what decides, so look back only as far as necessary.
        ages = (at - event.start for event in self.answer(at).decided_by)
        reach = max(ages, default=at - ALWAYS) + TICK
        while True:
            start = max(known_from, at - min(reach, at - ALWAYS))
            period = _period(self.groups, at, start)
            if (period.until or NEVER) > self.history.known_until:
                raise OutOfReach
            if period.since != start:
                return period
            if start == known_from:
                return period._replace(since=self.history.since(self.history.lanes))
            reach = max(reach * 4, _MONTH)

    def since_of(
        self, selections: Iterable[frozenset[Lane]], at: datetime
    ) -> Iterator[tuple[frozenset[Lane], datetime | None]]:
        """Yield since when each selection has had its summary status, if that is within reach."""
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
        since_by_groups: dict[frozenset[int], datetime] = {}
        for lanes in selections:
            groups = frozenset(group_indices[lane] for lane in lanes)
            if groups not in since_by_groups:
                since_by_groups[groups] = _since(sweep, groups)
            since: datetime | None = since_by_groups[groups]
            if since == known_from:
                try:
                    since = self.history.since(lanes)
                except OutOfReach:
                    continue
            yield lanes, since

    def next_change(self, at: datetime) -> datetime | None:
        """Return when the body next changes by time alone; None is never.

        The body does not contain when each lane was last confirmed.
        """
        return self._next(at, lambda first, second: body_of(first) == body_of(second))

    def next_difference(self, at: datetime) -> datetime | None:
        """Return when anything in the answer next changes by time alone; None is never."""
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
        """Return since when the answer has been that at ``at``, as recorded; None is always.

        Changes before a compacted log was last written to are not considered.
        """
        present = self.answer(at)
        boundaries = self.boundaries()
        known_from = self.history.known_from
        past = boundaries[bisect_right(boundaries, known_from) : bisect_right(boundaries, at)]
        past = [known_from, *past]
        for before, instant in reversed(list(pairwise(past))):
            if self.answer(before) != present:
                return instant
        if known_from > ALWAYS and self.history.held is None:
            raise OutOfReach
        return None

    def timeline(self, since: datetime = ALWAYS) -> Iterator[TimelinePeriod]:
        """Yield all time from ``since`` on as maximal periods of one answer.

        The last has no end, and the first has no start unless it starts at ``since``.
        """
        group_indices = {
            lane: index for index, group in enumerate(self.groups) for lane in group.lanes
        }
        for start, end, states in _sweep(self.groups, since):
            yield _timeline_period(
                start, end, [(lane, states[group_indices[lane]]) for lane in self.history.lanes]
            )

    def boundaries(self) -> list[datetime]:
        """Return every instant at which an answer may differ from that just before."""
        instants: set[datetime] = set()
        for declaration in self.active:
            instants |= {declaration.event.start, declaration.end}
            if declaration.event.expected_until:
                instants.add(declaration.event.expected_until)
        for group in self.groups:
            newest: dict[frozenset[str], datetime] = {}
            for instant, recorded_at, sides in group.instants:
                instants.add(instant)
                if instant <= recorded_at:
                    newest[sides] = max(instant, newest.get(sides, instant))
                else:
                    instants.add(recorded_at + group.confirm_within)
            # Of the evidence of the same sides, only the newest can expire.
            instants |= {instant + group.confirm_within for instant in newest.values()}
        return sorted(instants - {NEVER})

    def _is_about(self, declaration: RankedDeclaration, at: datetime) -> bool:
        return declaration.event.start <= at < declaration.end and any(
            declaration.event.scope.covers(lane) for lane in self.history.lanes
        )


def _since(sweep: Sequence[tuple[datetime, Sequence[Status]]], groups: Iterable[int]) -> datetime:
    """Return since when some groups have had their latest summary; the sweep is latest first."""
    start, statuses = sweep[0]
    current = summary(statuses[index] for index in groups)
    for begin, statuses in sweep[1:]:
        if summary(statuses[index] for index in groups) is not current:
            break
        start = begin
    return start


def _period(groups: Sequence[LaneGroup], at: datetime, since: datetime) -> Period:
    """Return the period of the summary status at ``at``, which begins at ``since`` or later."""
    current, declared, start = None, None, since
    expires_at: datetime | None = None
    for begin, _, states in _sweep(groups, since):
        status = summary(state.status for state in states)
        if begin <= at:
            declared = summary(state.declared for state in states)
            if status is not current:
                current, start = status, begin
        elif summary(state.declared for state in states) is not declared:
            return Period(start, begin, expires_at)
        elif expires_at is None and current in _PASSABLE and status is Status.UNKNOWN:
            expires_at = begin
    return Period(start, None, expires_at)


def _sweep(
    groups: Sequence[LaneGroup], since: datetime
) -> Iterator[tuple[datetime, datetime, Sequence[GroupState]]]:
    """Yield the states of the groups from ``since`` on, for each period between two changes."""
    changes: defaultdict[datetime, list[tuple[int, GroupState]]] = defaultdict(list)
    for index, group in enumerate(groups):
        for instant, state in group.states(since):
            changes[instant].append((index, state))
    states = [GroupState()] * len(groups)
    for start, end in pairwise([*sorted(changes), NEVER]):
        for index, state in changes[start]:
            states[index] = state
        yield start, end, states


def withheld(answer: Answer) -> Answer:
    """Return an answer that may no longer be relied on, with passable statuses as unknown.

    As without evidence, open and restricted become unknown, while closed stays closed.
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
    """Return the summary status of several lanes; ``unknown`` without any."""
    distinct = set(statuses)
    if len(distinct) == 1:
        return distinct.pop()
    return Status.RESTRICTED if distinct & _PASSABLE else Status.UNKNOWN


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
    """Return an answer without the parts that its body does not show."""
    return replace(
        answer, lanes=tuple(replace(lane, last_confirmed_at=None) for lane in answer.lanes)
    )


def _latest_first(declarations: Iterable[RankedDeclaration]) -> tuple[Declaration, ...]:
    return tuple(
        declaration.event for declaration in sorted(declarations, key=by_prominence, reverse=True)
    )


def _timeline_period(
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
