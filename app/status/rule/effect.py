"""What a write changes: two timelines of one crossing compared. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.status.rule.history import Lane, LaneState, TimelinePeriod
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status


@dataclass(frozen=True, slots=True)
class Effect:
    """A maximal period in which ``lanes`` differ from what they would be without the write.

    It ends where a declared status does: that an open expires unless it is confirmed is not an end.
    """

    before: Status
    after: Status
    """Both are those at the start."""
    start: datetime
    end: datetime | None
    lanes: tuple[Lane, ...]


_Difference = tuple[LaneState, LaneState]


def effects_of(
    without: ResolvedHistory, with_it: ResolvedHistory, *, since: datetime
) -> list[Effect]:
    """Return where a lane's status, ``last_known`` or deciding event differs from ``since`` on.

    What expires meanwhile neither ends a difference nor begins another.
    """
    pairs = list(_pairs(without.timeline(since), with_it.timeline(since), since))
    lanes_by_period: defaultdict[tuple[datetime, datetime | None, Status, Status], list[Lane]]
    lanes_by_period = defaultdict(list)
    for index, lane in enumerate(with_it.history.lanes):
        for start, end, (before, after) in _runs(pairs, index):
            lanes_by_period[start, end, before.status, after.status].append(lane)
    effects = [
        Effect(before, after, start, end, tuple(lanes))
        for (start, end, before, after), lanes in lanes_by_period.items()
    ]
    return sorted(effects, key=lambda effect: (effect.start, effect.lanes))


def _pairs(
    without: Iterator[TimelinePeriod], with_it: Iterator[TimelinePeriod], since: datetime
) -> Iterator[tuple[datetime, datetime | None, TimelinePeriod, TimelinePeriod]]:
    """Yield the periods of both timelines in pairs, cut at the bounds of both."""
    old, new = next(without), next(with_it)
    start = since
    while True:
        ends = [period.end for period in (old, new) if period.end is not None]
        end = min(ends, default=None)
        if end is None or end > start:
            yield start, end, old, new
        if end is None:
            return
        start = max(start, end)
        if old.end == end:
            old = next(without)
        if new.end == end:
            new = next(with_it)


def _runs(
    pairs: Sequence[tuple[datetime, datetime | None, TimelinePeriod, TimelinePeriod]], index: int
) -> Iterator[tuple[datetime, datetime | None, _Difference]]:
    """Yield one lane's differences, joined while the declared statuses stay the same."""
    run: tuple[datetime, datetime | None, _Difference] | None = None
    last: _Difference | None = None
    for start, end, old, new in pairs:
        part = old.lanes[index], new.lanes[index]
        if run and last and _goes_on(last, part):
            run = (run[0], end, run[2])
        else:
            if run:
                yield run
            run = (start, end, part) if _differs(part) else None
        last = part
    if run:
        yield run


def _goes_on(last: _Difference, part: _Difference) -> bool:
    """Return whether a difference goes on: where both have expired, it does until one ends."""
    if _differs(part):
        return [_declared(state) for state in last] == [_declared(state) for state in part]
    is_expired = part[1].last_known is not None
    return is_expired and [_decider(state) for state in last] == [_decider(state) for state in part]


def _differs(part: _Difference) -> bool:
    before, after = part
    return (before.status, before.last_known, _decider(before)) != (
        after.status,
        after.last_known,
        _decider(after),
    )


def _declared(state: LaneState) -> Status:
    return state.last_known or state.status


def _decider(state: LaneState) -> UUID | None:
    return state.decided_by.id if state.decided_by else None
