"""What lanes are over time, alike lanes together: who decides, and whether it still holds."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from app.status.rule.evidence import Evidence
from app.status.rule.force import InForce, Said, by_prominence, decider_of, not_outlived
from app.status.rule.history import (
    ALWAYS,
    NEVER,
    Confirmation,
    Declaration,
    History,
    Lane,
    Scope,
)
from app.vocabulary import Status

TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class GroupState:
    """What a lane is over a stretch of time."""

    decider: Said | None = None
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
    def declared(self) -> Status:
        """The status before expiry."""
        return self.decider.event.status if self.decider else Status.UNKNOWN

    @property
    def event(self) -> Declaration | None:
        return self.decider.event if self.decider else None


class LaneGroup:
    """Lanes that exactly the same events speak about, so that they always share a status."""

    def __init__(
        self,
        history: History,
        lanes: tuple[Lane, ...],
        declarations: Iterable[Said],
        confirmations: Iterable[Confirmation],
    ) -> None:
        lane = lanes[0]
        self.lanes = lanes
        self.sides = history.sides
        self.confirm_within = history.confirm_within
        self.declarations = sorted(
            (one for one in declarations if one.event.scope.covers(lane)), key=by_prominence
        )
        self.confirmations = [one for one in confirmations if one.scope.covers(lane)]

    def evidence(self, sides: frozenset[str]) -> Evidence:
        """Return what supports a declaration of ``sides``: whatever names one of them."""
        if sides not in self._evidence:
            self._evidence[sides] = Evidence.of(
                (
                    (instant, recorded_at)
                    for instant, recorded_at, names in self.instants
                    if names & sides
                ),
                self.confirm_within,
            )
        return self._evidence[sides]

    @cached_property
    def _evidence(self) -> dict[frozenset[str], Evidence]:
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

    def in_force(self, at: datetime) -> dict[str, InForce]:
        """Return what is in force at ``at``, by side."""
        found = [one for one in self.declarations if one.event.start <= at < one.end]
        sides = {side: InForce() for side in self.sides}
        for side, in_force in sides.items():
            for one in not_outlived([one for one in found if side in one.event.sides]):
                in_force.enter(one)
        return sides

    def state(self, decider: Said | None, at: datetime) -> GroupState:
        return next(state for _, state in self._states(decider, at, at + TICK))

    def states(self, since: datetime = ALWAYS) -> list[tuple[datetime, GroupState]]:
        """Return the lane's states from ``since`` on, each with the instant it begins."""
        found: list[tuple[datetime, GroupState]] = []
        for (start, decider), (end, _) in pairwise([*self._deciders(since), (NEVER, None)]):
            for instant, state in self._states(decider, start, end):
                if not found or found[-1][1] != state:
                    found.append((instant, state))
        return found

    def _deciders(self, since: datetime) -> Iterator[tuple[datetime, Said | None]]:
        begins: defaultdict[datetime, list[Said]] = defaultdict(list)
        ends: defaultdict[datetime, list[Said]] = defaultdict(list)
        for one in self.declarations:
            if one.event.start > since:
                begins[one.event.start].append(one)
            if one.end > since:
                ends[one.end].append(one)
        sides = self.in_force(since)
        yield since, decider_of(sides.values())
        for instant in sorted((begins.keys() | ends.keys()) - {NEVER}):
            for one in ends.get(instant, ()):
                for side in one.event.sides:
                    sides[side].leave(one)
            for one in begins.get(instant, ()):
                for side in one.event.sides:
                    sides[side].enter(one)
            yield instant, decider_of(sides.values())

    def _states(
        self, decider: Said | None, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, GroupState]]:
        """Yield the states over ``[start, end)``, which ``decider`` decides throughout."""
        if decider is None:
            yield start, GroupState()
            return
        event = decider.event
        support = list(self.evidence(event.sides).support(event.start, start, end))
        due = event.expected_until or NEVER
        for (begin, supported), (until, _) in pairwise([*support, (end, False)]):
            if begin < due:
                yield begin, GroupState(decider, supported)
            if due < until:
                yield max(begin, due), GroupState(decider, supported, overdue=True)


def groups_of(
    history: History,
    declarations: Sequence[Said],
    confirmations: Sequence[Confirmation],
) -> list[LaneGroup]:
    scopes = {one.event.scope for one in declarations} | {one.scope for one in confirmations}
    alike: defaultdict[frozenset[Scope], list[Lane]] = defaultdict(list)
    for lane in history.lanes:
        alike[frozenset(scope for scope in scopes if scope.covers(lane))].append(lane)
    return [
        LaneGroup(history, tuple(lanes), declarations, confirmations) for lanes in alike.values()
    ]
