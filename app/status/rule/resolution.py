"""The resolution rule: what the status of a crossing is, was and will be, and why.

Everything here is a pure function of a ``History`` and instants (timezone-aware). The words
are those of the README's "How a status is resolved"; a declaration is

* a *candidate* for a lane at an instant when it is eligible, covers it and its period holds it;
* *lifted* by a candidate of the same side, said later, starting no earlier, no less firm;
* *in force* when not lifted; the most severe in force over both sides *decides* the lane.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain, pairwise

from app.status.rule.evidence import ALWAYS, NEVER
from app.status.rule.force import (
    FIRMNESS,
    SEVERITY,
    Said,
    by_prominence,
    decider_of,
    said_order,
)
from app.status.rule.history import (
    Answer,
    Confirmation,
    Declaration,
    History,
    Lane,
    LaneAnswer,
    LaneState,
    Retraction,
    Stretch,
)
from app.status.rule.lanes import TICK, Group, State, groups_of
from app.vocabulary import Status

_PASSABLE = {Status.OPEN, Status.RESTRICTED}
_MONTH = timedelta(days=30)


class _Known:
    """A history as known at an instant, ready to be asked."""

    def __init__(self, history: History, known_at: datetime | None) -> None:
        events = [one for one in history.events if known_at is None or one.recorded_at <= known_at]
        gone = {one.retracts for one in events if isinstance(one, Retraction)}
        declared = sorted(
            (one for one in events if isinstance(one, Declaration)), key=_recorded_order
        )
        gone |= {one.supersedes for one in declared if one.supersedes}
        said = said_order(declared)
        standing = [
            Said(
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
        self.groups = groups_of(history, declarations, confirmations)
        self.standing = standing

    def answer(self, at: datetime) -> Answer:
        lanes: dict[Lane, LaneAnswer] = {}
        spoken: dict[str, set[Status]] = {side: set() for side in self.history.sides}
        deciding: set[Said] = set()
        besides: set[Said] = set()
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
        status, last_known = _summaries(listed)
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

    def _is_about(self, one: Said, at: datetime) -> bool:
        return one.event.start <= at < one.end and any(
            one.event.scope.covers(lane) for lane in self.history.lanes
        )


# One question about a history, and about an instant of it, is seldom the only one.
_known = lru_cache(maxsize=8)(_Known)
_answer = lru_cache(maxsize=8)(_Known.answer)


def resolve(history: History, at: datetime, known_at: datetime | None = None) -> Answer:
    """Answer for the instant ``at``, from what was recorded by ``known_at`` (None: all)."""
    return _answer(_known(history, known_at), at)


def timeline(
    history: History, known_at: datetime | None = None, *, since: datetime = ALWAYS
) -> tuple[Stretch, ...]:
    """Return all time from ``since`` on as maximal stretches of one answer.

    The last has no end, and the first no start unless it is ``since``.
    """
    groups = _known(history, known_at).groups
    places = {lane: place for place, group in enumerate(groups) for lane in group.lanes}
    return tuple(
        _stretch(start, end, [(lane, states[places[lane]]) for lane in history.lanes])
        for start, end, states in _sweep(groups, since)
    )


def present_period(
    history: History, at: datetime, known_at: datetime | None = None, *, since: datetime = ALWAYS
) -> tuple[datetime | None, datetime | None]:
    """Return since when and until when the summary status at ``at`` holds without a break.

    It is not looked for before ``since``, which is the answer if it has held all along.
    """
    known = _known(history, known_at)
    # Mostly it began with what decides: a long log is looked at only as far back as need be.
    decided = (at - one.start for one in _answer(known, at).decided_by)
    reach = max(decided, default=at - ALWAYS) + TICK
    while True:
        begin = max(since, at - min(reach, at - ALWAYS))
        found = _period(known.groups, at, begin)
        if begin == since or found[0] != begin:
            return found
        reach = max(reach * 4, _MONTH)


def _period(
    groups: Sequence[Group], at: datetime, since: datetime
) -> tuple[datetime | None, datetime | None]:
    held, start = None, since
    for begin, _, states in _sweep(groups, since):
        status = summary(state.status for state in states)
        if status is not held:
            if begin > at:
                return _bound(start), begin
            held, start = status, begin
    return _bound(start), None


def _sweep(
    groups: Sequence[Group], since: datetime
) -> Iterator[tuple[datetime, datetime, Sequence[State]]]:
    """Yield what each of the groups is from ``since`` on, from one change of any to the next."""
    changes: defaultdict[datetime, list[tuple[int, State]]] = defaultdict(list)
    for place, group in enumerate(groups):
        for instant, state in group.states(since):
            changes[instant].append((place, state))
    states = [State()] * len(groups)
    for start, end in pairwise([*sorted(changes), NEVER]):
        for place, state in changes[start]:
            states[place] = state
        yield start, end, states


@lru_cache(maxsize=8)
def next_change(
    history: History, at: datetime, known_at: datetime | None = None
) -> datetime | None:
    """Return when the answer next differs though nothing new is recorded; None is never."""
    known = _known(history, known_at)
    present = _answer(known, at)
    boundaries = known.boundaries()
    return next(
        (
            instant
            for instant in boundaries[bisect_right(boundaries, at) :]
            if known.answer(instant) != present
        ),
        None,
    )


def last_change(history: History, at: datetime) -> datetime | None:
    """Return since when the answer is as it is at ``at``, by what is recorded; None is ever."""
    known = _known(history, None)
    present = _answer(known, at)
    boundaries = known.boundaries()
    passed = [ALWAYS, *boundaries[: bisect_right(boundaries, at)]]
    return next(
        (
            instant
            for before, instant in reversed(list(pairwise(passed)))
            if known.answer(before) != present
        ),
        None,
    )


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
    status, last_known = _summaries(lanes)
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


def _summaries(lanes: Sequence[LaneAnswer | LaneState]) -> tuple[Status, Status | None]:
    status = summary(lane.status for lane in lanes)
    if status is not Status.UNKNOWN:
        return status, None
    last_known = summary(lane.last_known or lane.status for lane in lanes)
    return status, None if last_known is Status.UNKNOWN else last_known


def _recorded_order(event: Declaration) -> tuple[datetime, int]:
    return event.recorded_at, event.id.int


def _lane_answer(group: Group, lane: Lane, state: State, at: datetime) -> LaneAnswer:
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


def _latest_first(found: Iterable[Said]) -> tuple[Declaration, ...]:
    return tuple(one.event for one in sorted(found, key=by_prominence, reverse=True))


def _stretch(start: datetime, end: datetime, states: Sequence[tuple[Lane, State]]) -> Stretch:
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
    status, last_known = _summaries(lanes)
    return Stretch(
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
