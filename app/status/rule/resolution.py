"""The resolution rule: what the status of a crossing is, was and will be, and why.

Everything here is a pure function of a ``History`` and instants (timezone-aware). The words
are those of the README's "How a status is resolved"; a declaration is

* a *candidate* for a lane at an instant when it is eligible, covers it and its period holds it;
* *lifted* by a candidate of the same side, said later, starting no earlier, no less firm;
* *in force* when not lifted; the most severe in force over both sides *decides* the lane.
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from operator import attrgetter
from uuid import UUID

from app.status.rule.history import (
    Answer,
    Confirmation,
    Declaration,
    History,
    Lane,
    LaneAnswer,
    LaneState,
    Retraction,
    Scope,
    Stretch,
)
from app.vocabulary import Certainty, Status

SEVERITY: Mapping[Status, int] = {Status.OPEN: 1, Status.RESTRICTED: 2, Status.CLOSED: 3}
FIRMNESS: Mapping[Certainty, int] = {Certainty.REPORTED: 1, Certainty.CONFIRMED: 2}

_TICK = timedelta(microseconds=1)
_ALWAYS = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)

_SaidOrder = tuple[datetime, datetime, int]
"""Said at, recorded at, and the id to make the order of any log total. A correction that keeps when
its target was said keeps all of it, or mending one of two entries said at the same instant would
make it the later."""


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """An eligible declaration with its place among the others."""

    event: Declaration
    said: _SaidOrder
    end: datetime
    severity: int
    firmness: int
    prominence: tuple[datetime, _SaidOrder]


_by_said = attrgetter("said")
_by_prominence = attrgetter("prominence")


class _InForce:
    """One side's declarations in force for one lane, as instants pass in order.

    In force, the later said starts the earlier (else it would lift the other), so within one
    firmness only the next one said can lift a newcomer. Each step costs a few bisections.
    """

    def __init__(self) -> None:
        self._said: dict[int, list[_Said]] = {firmness: [] for firmness in FIRMNESS.values()}
        self._ranked: dict[int, list[_Said]] = {
            severity: [] for severity in sorted(SEVERITY.values(), reverse=True)
        }
        self._shadowed: list[_Said] = []

    def enter(self, new: _Said) -> None:
        """Let ``new`` take effect: call in order of start, then of being said."""
        if self._shadowed:
            self._shadowed = [
                old for old in self._shadowed if old.end > new.end or not _lifts(new, old)
            ]
        for firmness, line in self._said.items():
            if firmness <= new.firmness:
                lifted = line[: bisect_left(line, new.said, key=_by_said)]
                del line[: len(lifted)]
                for old in lifted:
                    self._unrank(old)
                self._shadowed += [old for old in lifted if old.end > new.end]
        self._raise(new)

    def leave(self, old: _Said) -> None:
        """End ``old``, in force or not, and raise what only it had lifted."""
        line = self._said[old.firmness]
        place = bisect_left(line, old.said, key=_by_said)
        if place == len(line) or line[place] is not old:
            self._shadowed = [other for other in self._shadowed if other is not old]
            return
        del line[place]
        self._unrank(old)
        for other in sorted(self._shadowed, key=_by_said, reverse=True):
            if not self._is_lifted(other):
                self._raise(other)
                self._shadowed.remove(other)

    def foremost(self) -> _Said | None:
        """Return the most severe, of those the latest to start, then the latest said."""
        for line in self._ranked.values():
            if line:
                return line[-1]
        return None

    def __iter__(self) -> Iterator[_Said]:
        for line in self._said.values():
            yield from line

    def _is_lifted(self, old: _Said) -> bool:
        for firmness, line in self._said.items():
            if firmness >= old.firmness:
                later = bisect_right(line, old.said, key=_by_said)
                if later < len(line) and line[later].event.start >= old.event.start:
                    return True
        return False

    def _raise(self, new: _Said) -> None:
        insort(self._said[new.firmness], new, key=_by_said)
        insort(self._ranked[new.severity], new, key=_by_prominence)

    def _unrank(self, old: _Said) -> None:
        line = self._ranked[old.severity]
        del line[bisect_left(line, old.prominence, key=_by_prominence)]


def _lifts(later: _Said, old: _Said) -> bool:
    return (
        later.said > old.said
        and later.event.start >= old.event.start
        and later.firmness >= old.firmness
    )


def _decider(sides: Iterable[_InForce]) -> _Said | None:
    foremost = [found for side in sides if (found := side.foremost())]
    return max(foremost, key=lambda one: (one.severity, one.prominence), default=None)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """When a lane was last heard of from some sides; ``confirm_within`` bounds its worth."""

    confirm_within: timedelta
    past: list[datetime]
    """Instants that had come when they were recorded, sorted."""
    plans: list[tuple[datetime, datetime]]
    """Instants still to come when they were recorded, each with that moment, sorted."""

    @classmethod
    def of(
        cls, instants: Iterable[tuple[datetime, datetime]], confirm_within: timedelta
    ) -> "_Evidence":
        past: list[datetime] = []
        plans: list[tuple[datetime, datetime]] = []
        for instant, recorded_at in instants:
            if instant <= recorded_at:
                past.append(instant)
            else:
                plans.append((instant, recorded_at))
        return cls(confirm_within, sorted(past), sorted(plans))

    def support(
        self, since: datetime, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, bool]]:
        """Cut ``[start, end)`` where support for something in force since ``since`` changes.

        A past instant supports all before it (between two known facts the earlier holds) and
        ``confirm_within`` after it; a plan supports from its own instant, and only as long
        as the moment it was recorded is recent.
        """
        reach = start
        if self.past and self.past[-1] >= since:
            reach = max(start, self.past[-1] + self.confirm_within)
        if reach > start:
            yield start, True
        first = bisect_left(self.plans, (max(since, start - self.confirm_within), _ALWAYS))
        for instant, recorded_at in self.plans[first:]:
            if reach >= end or instant >= end:
                break
            until = recorded_at + self.confirm_within
            if until <= reach or until <= instant:
                continue
            if instant > reach:
                yield reach, False
            yield max(instant, reach), True
            reach = until
        if reach < end:
            yield reach, False

    def newest(self, since: datetime, at: datetime) -> datetime | None:
        """Return when the lane was last heard of, by evidence from ``since`` that has come."""
        known = [
            min(instant, recorded_at)
            for instant, recorded_at in self.plans
            if since <= instant <= at
        ]
        place = bisect_right(self.past, at)
        if place and self.past[place - 1] >= since:
            known.append(self.past[place - 1])
        return max(known, default=None)


@dataclass(frozen=True, slots=True)
class _State:
    """What a lane is over a stretch of time."""

    decider: _Said | None = None
    supported: bool = True
    overdue: bool = False

    @property
    def status(self) -> Status:
        if self.decider is None or self.last_known:
            return Status.UNKNOWN
        return self.decider.event.status

    @property
    def last_known(self) -> Status | None:
        if self.decider is None or self.supported or self.closed:
            return None
        return self.decider.event.status

    @property
    def stale(self) -> bool:
        return self.closed and not self.supported

    @property
    def closed(self) -> bool:
        return self.decider is not None and self.decider.event.status is Status.CLOSED

    @property
    def event(self) -> Declaration | None:
        return self.decider.event if self.decider else None


class _Group:
    """Lanes that exactly the same events speak about, so that they always share a status."""

    def __init__(
        self,
        history: History,
        lanes: tuple[Lane, ...],
        declarations: Iterable[_Said],
        confirmations: Iterable[Confirmation],
    ) -> None:
        lane = lanes[0]
        self.lanes = lanes
        self.sides = history.sides
        self.confirm_within = history.confirm_within
        self.declarations = sorted(
            (one for one in declarations if one.event.scope.covers(lane)), key=_by_prominence
        )
        self.confirmations = [one for one in confirmations if one.scope.covers(lane)]

    def evidence(self, sides: frozenset[str]) -> _Evidence:
        """Return what supports a declaration of ``sides``: whatever names one of them."""
        if sides not in self._evidence:
            self._evidence[sides] = _Evidence.of(
                (
                    (instant, recorded_at)
                    for instant, recorded_at, names in self.instants
                    if names & sides
                ),
                self.confirm_within,
            )
        return self._evidence[sides]

    @cached_property
    def _evidence(self) -> dict[frozenset[str], _Evidence]:
        return {}

    @cached_property
    def instants(self) -> list[tuple[datetime, datetime, frozenset[str]]]:
        """Every start, end and confirmation, when it was recorded, and the sides it names."""
        found: list[tuple[datetime, Declaration | Confirmation]] = [
            (one.confirmed_at, one) for one in self.confirmations
        ]
        for one in self.declarations:
            found.append((one.event.start, one.event))
            if one.event.end:
                found.append((one.event.end, one.event))
        return [(instant, event.recorded_at, event.sides) for instant, event in found]

    def in_force(self, at: datetime) -> dict[str, _InForce]:
        """Return what is in force at ``at``, by side."""
        sides = {side: _InForce() for side in self.sides}
        for one in self.declarations:
            if one.event.start <= at < one.end:
                for side in one.event.sides:
                    sides[side].enter(one)
        return sides

    def state(self, decider: _Said | None, at: datetime) -> _State:
        return next(state for _, state in self._states(decider, at, at + _TICK))

    def states(self) -> list[tuple[datetime, _State]]:
        """Return the lane's states over all time, each with the instant it begins."""
        found: list[tuple[datetime, _State]] = []
        for (start, decider), (end, _) in pairwise([*self._deciders(), (_NEVER, None)]):
            for instant, state in self._states(decider, start, end):
                if not found or found[-1][1] != state:
                    found.append((instant, state))
        return found

    def _deciders(self) -> Iterator[tuple[datetime, _Said | None]]:
        begins: defaultdict[datetime, list[_Said]] = defaultdict(list)
        ends: defaultdict[datetime, list[_Said]] = defaultdict(list)
        for one in self.declarations:
            begins[one.event.start].append(one)
            ends[one.end].append(one)
        sides = {side: _InForce() for side in self.sides}
        yield _ALWAYS, None
        for instant in sorted((begins.keys() | ends.keys()) - {_NEVER}):
            for one in ends.get(instant, ()):
                for side in one.event.sides:
                    sides[side].leave(one)
            for one in begins.get(instant, ()):
                for side in one.event.sides:
                    sides[side].enter(one)
            yield instant, _decider(sides.values())

    def _states(
        self, decider: _Said | None, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, _State]]:
        """Yield the states over ``[start, end)``, which ``decider`` decides throughout."""
        if decider is None:
            yield start, _State()
            return
        event = decider.event
        support = list(self.evidence(event.sides).support(event.start, start, end))
        due = event.expected_until or _NEVER
        for (begin, supported), (until, _) in pairwise([*support, (end, False)]):
            if begin < due:
                yield begin, _State(decider, supported)
            if due < until:
                yield max(begin, due), _State(decider, supported, overdue=True)


class _Known:
    """A history as known at an instant, ready to be asked."""

    def __init__(self, history: History, known_at: datetime | None) -> None:
        events = [one for one in history.events if known_at is None or one.recorded_at <= known_at]
        gone = {one.retracts for one in events if isinstance(one, Retraction)}
        declared = sorted(
            (one for one in events if isinstance(one, Declaration)), key=_recorded_order
        )
        gone |= {one.supersedes for one in declared if one.supersedes}
        said = _said_order(declared)
        standing = [
            _Said(
                event=one,
                said=said[one.id],
                end=one.end or _NEVER,
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
        self.groups = _groups(history, declarations, confirmations)
        self.standing = standing
        self.confirmations = confirmations

    def answer(self, at: datetime) -> Answer:
        lanes: dict[Lane, LaneAnswer] = {}
        spoken: dict[str, set[Status]] = {side: set() for side in self.history.sides}
        deciding: set[_Said] = set()
        besides: set[_Said] = set()
        for group in self.groups:
            sides = group.in_force(at)
            decider = _decider(sides.values())
            state = group.state(decider, at)
            lanes |= {lane: _lane_answer(group, lane, state, at) for lane in group.lanes}
            for side, in_force in sides.items():
                foremost = in_force.foremost()
                spoken[side].add(foremost.event.status if foremost else Status.UNKNOWN)
                besides |= {
                    one
                    for one in in_force
                    if decider and one.event.status is not decider.event.status
                }
            if decider:
                deciding.add(decider)
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
            for instant, recorded_at, _ in group.instants:
                found |= {instant, min(instant, recorded_at) + group.confirm_within}
        return sorted(found - {_NEVER})

    def _is_about(self, one: _Said, at: datetime) -> bool:
        return one.event.start <= at < one.end and any(
            one.event.scope.covers(lane) for lane in self.history.lanes
        )


def resolve(history: History, at: datetime, known_at: datetime | None = None) -> Answer:
    """Answer for the instant ``at``, from what was recorded by ``known_at`` (None: all)."""
    return _Known(history, known_at).answer(at)


def timeline(history: History, known_at: datetime | None = None) -> tuple[Stretch, ...]:
    """Return all time as maximal stretches of one answer; the outer bounds are None."""
    groups = _Known(history, known_at).groups
    changes: defaultdict[datetime, list[tuple[int, _State]]] = defaultdict(list)
    for place, group in enumerate(groups):
        for instant, state in group.states():
            changes[instant].append((place, state))
    places = {lane: place for place, group in enumerate(groups) for lane in group.lanes}
    states = [_State()] * len(groups)
    stretches: list[Stretch] = []
    for start, end in pairwise([*sorted(changes), _NEVER]):
        for place, state in changes[start]:
            states[place] = state
        stretches.append(
            _stretch(start, end, [(lane, states[places[lane]]) for lane in history.lanes])
        )
    return tuple(stretches)


def present_period(
    stretches: Sequence[Stretch], at: datetime
) -> tuple[datetime | None, datetime | None]:
    """Return since when and until when the summary status at ``at`` holds without a break."""
    first = last = bisect_right(stretches, at, key=lambda one: one.start or _ALWAYS) - 1
    status = stretches[first].status
    while first > 0 and stretches[first - 1].status is status:
        first -= 1
    while last + 1 < len(stretches) and stretches[last + 1].status is status:
        last += 1
    return stretches[first].start, stretches[last].end


def next_change(
    history: History, at: datetime, known_at: datetime | None = None
) -> datetime | None:
    """Return when the answer next differs though nothing new is recorded; None is never."""
    known = _Known(history, known_at)
    present = known.answer(at)
    boundaries = known.boundaries()
    return next(
        (
            instant
            for instant in boundaries[bisect_right(boundaries, at) :]
            if known.answer(instant) != present
        ),
        None,
    )


def summary(statuses: Iterable[Status]) -> Status:
    """Return what several lanes are together; nothing at all is ``unknown``."""
    found = set(statuses)
    if len(found) == 1:
        return found.pop()
    return Status.RESTRICTED if found & {Status.OPEN, Status.RESTRICTED} else Status.UNKNOWN


def _summaries(lanes: Sequence[LaneAnswer | LaneState]) -> tuple[Status, Status | None]:
    status = summary(lane.status for lane in lanes)
    if status is not Status.UNKNOWN:
        return status, None
    last_known = summary(lane.last_known or lane.status for lane in lanes)
    return status, None if last_known is Status.UNKNOWN else last_known


def _recorded_order(event: Declaration) -> tuple[datetime, int]:
    return event.recorded_at, event.id.int


def _said_order(declared: Iterable[Declaration]) -> dict[UUID, _SaidOrder]:
    """Return the place of each among what was said; a correction may keep its target's."""
    said: dict[UUID, _SaidOrder] = {}
    for one in declared:
        if one.supersedes and not one.announced_at:
            said[one.id] = said[one.supersedes]
        else:
            said_at = min(one.announced_at or one.recorded_at, one.recorded_at)
            said[one.id] = (said_at, one.recorded_at, one.id.int)
    return said


def _groups(
    history: History,
    declarations: Sequence[_Said],
    confirmations: Sequence[Confirmation],
) -> list[_Group]:
    scopes = {one.event.scope for one in declarations} | {one.scope for one in confirmations}
    alike: defaultdict[frozenset[Scope], list[Lane]] = defaultdict(list)
    for lane in history.lanes:
        alike[frozenset(scope for scope in scopes if scope.covers(lane))].append(lane)
    return [_Group(history, tuple(lanes), declarations, confirmations) for lanes in alike.values()]


def _lane_answer(group: _Group, lane: Lane, state: _State, at: datetime) -> LaneAnswer:
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


def _latest_first(found: Iterable[_Said]) -> tuple[Declaration, ...]:
    return tuple(one.event for one in sorted(found, key=_by_prominence, reverse=True))


def _stretch(start: datetime, end: datetime, states: Sequence[tuple[Lane, _State]]) -> Stretch:
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
        start=None if start == _ALWAYS else start,
        end=None if end == _NEVER else end,
        status=status,
        last_known=last_known,
        stale=any(lane.stale for lane in lanes),
        overdue=any(lane.overdue for lane in lanes),
        decided_by=_latest_first({state.decider for _, state in states if state.decider}),
        lanes=lanes,
    )
