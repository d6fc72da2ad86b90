"""The states of lanes over time: which declaration decides, and whether it still holds."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from app.status.rule.evidence import Evidence
from app.status.rule.force import (
    InForce,
    RankedDeclaration,
    by_prominence,
    decider_of,
    not_outlived,
)
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
    """The state of a lane over a period."""

    decider: RankedDeclaration | None = None
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
    """Lanes that are in the scope of exactly the same events, so that they share every status."""

    def __init__(
        self,
        history: History,
        lanes: tuple[Lane, ...],
        declarations: Iterable[RankedDeclaration],
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
        """Return the evidence for a declaration of ``sides``: each event that names one of them."""
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
        events: list[tuple[datetime, Declaration | Confirmation]] = [
            (confirmation.confirmed_at, confirmation) for confirmation in self.confirmations
        ]
        for ranked in self.declarations:
            events.append((ranked.event.start, ranked.event))
            if ranked.event.end:
                events.append((ranked.event.end, ranked.event))
        return [(instant, event.recorded_at, event.sides) for instant, event in events]

    def in_force(self, at: datetime) -> dict[str, InForce]:
        """Return the declarations in force at ``at``, by side."""
        candidates = [
            ranked for ranked in self.declarations if ranked.event.start <= at < ranked.end
        ]
        sides = {side: InForce() for side in self.sides}
        for side, in_force in sides.items():
            for ranked in not_outlived(
                [ranked for ranked in candidates if side in ranked.event.sides]
            ):
                in_force.enter(ranked)
        return sides

    def state(self, decider: RankedDeclaration | None, at: datetime) -> GroupState:
        return next(state for _, state in self._states(decider, at, at + TICK))

    def states(self, since: datetime = ALWAYS) -> list[tuple[datetime, GroupState]]:
        """Return the lane's states from ``since`` on, each with the instant it begins."""
        changes: list[tuple[datetime, GroupState]] = []
        for (start, decider), (end, _) in pairwise([*self._deciders(since), (NEVER, None)]):
            for instant, state in self._states(decider, start, end):
                if not changes or changes[-1][1] != state:
                    changes.append((instant, state))
        return changes

    def _deciders(self, since: datetime) -> Iterator[tuple[datetime, RankedDeclaration | None]]:
        begins: defaultdict[datetime, list[RankedDeclaration]] = defaultdict(list)
        ends: defaultdict[datetime, list[RankedDeclaration]] = defaultdict(list)
        for ranked in self.declarations:
            if ranked.event.start > since:
                begins[ranked.event.start].append(ranked)
            if ranked.end > since:
                ends[ranked.end].append(ranked)
        sides = self.in_force(since)
        yield since, decider_of(sides.values())
        for instant in sorted((begins.keys() | ends.keys()) - {NEVER}):
            for ranked in ends.get(instant, ()):
                for side in ranked.event.sides:
                    sides[side].leave(ranked)
            for ranked in begins.get(instant, ()):
                for side in ranked.event.sides:
                    sides[side].enter(ranked)
            yield instant, decider_of(sides.values())

    def _states(
        self, decider: RankedDeclaration | None, start: datetime, end: datetime
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
    declarations: Sequence[RankedDeclaration],
    confirmations: Sequence[Confirmation],
) -> list[LaneGroup]:
    scopes = {one.event.scope for one in declarations} | {one.scope for one in confirmations}
    alike: defaultdict[frozenset[Scope], list[Lane]] = defaultdict(list)
    for lane in history.lanes:
        alike[frozenset(scope for scope in scopes if scope.covers(lane))].append(lane)
    return [
        LaneGroup(history, tuple(lanes), declarations, confirmations) for lanes in alike.values()
    ]
