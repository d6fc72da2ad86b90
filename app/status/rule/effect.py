"""What a write changes: two timelines of one crossing compared. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.status.rule.history import History, Lane, LaneState, TimelinePeriod
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status


@dataclass(frozen=True, slots=True)
class Effect:
    """A maximal period in which ``lanes`` answer otherwise than they would without the write."""

    before: Status
    after: Status
    start: datetime
    end: datetime | None
    lanes: tuple[Lane, ...]


_Difference = tuple[LaneState, LaneState]


def effects(without: History, with_it: History, *, since: datetime) -> list[Effect]:
    """Return where a lane's status, ``last_known`` or deciding event differs from ``since`` on."""
    return effects_of(ResolvedHistory(without), ResolvedHistory(with_it), since=since)


def effects_of(
    without: ResolvedHistory, with_it: ResolvedHistory, *, since: datetime
) -> list[Effect]:
    """Compare as `effects` does, what is resolved already."""
    pairs = list(_pairs(without.timeline(since), with_it.timeline(since), since))
    lanes_by_period: defaultdict[tuple[datetime, datetime | None, Status, Status], list[Lane]]
    lanes_by_period = defaultdict(list)
    for place, lane in enumerate(with_it.history.lanes):
        for start, end, (before, after) in _runs(pairs, place):
            lanes_by_period[start, end, before.status, after.status].append(lane)
    found = [
        Effect(before, after, start, end, tuple(lanes))
        for (start, end, before, after), lanes in lanes_by_period.items()
    ]
    return sorted(found, key=lambda one: (one.start, one.lanes))


def _pairs(
    without: Iterator[TimelinePeriod], with_it: Iterator[TimelinePeriod], since: datetime
) -> Iterator[tuple[datetime, datetime | None, TimelinePeriod, TimelinePeriod]]:
    """Yield the stretches of both timelines side by side, cut at the bounds of both."""
    old, new = next(without), next(with_it)
    start = since
    while True:
        ends = [one.end for one in (old, new) if one.end is not None]
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
    pairs: Sequence[tuple[datetime, datetime | None, TimelinePeriod, TimelinePeriod]], place: int
) -> Iterator[tuple[datetime, datetime | None, _Difference]]:
    """Yield one lane's differences, joined while the statuses on both sides stay the same."""
    run: tuple[datetime, datetime | None, _Difference] | None = None
    for start, end, old, new in pairs:
        before, after = old.lanes[place], new.lanes[place]
        differs = _told(before) != _told(after)
        if run and differs and run[1] == start and _statuses(run[2]) == _statuses((before, after)):
            run = (run[0], end, run[2])
            continue
        if run:
            yield run
        run = (start, end, (before, after)) if differs else None
    if run:
        yield run


def _told(state: LaneState) -> tuple[object, ...]:
    return state.status, state.last_known, state.decided_by and state.decided_by.id


def _statuses(difference: _Difference) -> tuple[Status, Status]:
    return difference[0].status, difference[1].status
