"""Announced changes: periods in which lanes will be declared otherwise than now. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.status.rule.history import NEVER, Declaration, Lane, LaneState, TimelinePeriod
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A future period in which ``lanes`` are declared otherwise than before it."""

    start: datetime
    end: datetime | None
    """When they will be declared otherwise again, or not at all; None is until further notice."""
    status: Status
    lanes: tuple[Lane, ...]
    event: Declaration
    """The declaration that decides them at the start."""


_Run = tuple[datetime, datetime | None, Status, Declaration]


def upcoming(resolved: ResolvedHistory, at: datetime) -> tuple[Upcoming, ...]:
    """Return the announced periods after ``at``, the earliest first.

    The expiry of an opening that is not confirmed is not an announced change. If lanes only return
    to their state at ``at``, the end of the period in between says so. Raises OutOfReach.
    """
    bounds = (bound for ranked in resolved.active for bound in (ranked.event.start, ranked.end))
    if not any(at < bound < NEVER for bound in bounds):
        return ()
    stretches = list(resolved.timeline(at))
    alike: defaultdict[_Run, list[Lane]] = defaultdict(list)
    for index, lane in enumerate(resolved.history.lanes):
        for run in _announced(stretches, index, at):
            alike[run].append(lane)
    periods = [Upcoming(*run[:3], tuple(lanes), run[3]) for run, lanes in alike.items()]
    return tuple(sorted(periods, key=lambda period: (period.start, period.lanes)))


def _announced(stretches: Sequence[TimelinePeriod], index: int, at: datetime) -> Iterator[_Run]:
    """Yield the periods of one lane that are worth announcing."""
    present = before = stretches[0].lanes[index].status
    begun: tuple[datetime, Status, Declaration] | None = None
    for stretch in stretches[1:]:
        state = stretch.lanes[index]
        runs_out = begun is not None and state.decided_by == begun[2]
        status = _declared(state, at)
        if status is before or runs_out:
            continue
        assert stretch.start is not None  # only the first may have none
        if begun:
            yield begun[0], stretch.start, *begun[1:]
        is_return = status is present and before is not Status.UNKNOWN
        event = None if status is Status.UNKNOWN or is_return else state.decided_by
        begun = (stretch.start, status, event) if event else None
        before = status
    if begun:
        yield begun[0], None, *begun[1:]


def _declared(state: LaneState, at: datetime) -> Status:
    """Return the status; of what is still to come, the announced one although it may run out."""
    event = state.decided_by
    return event.status if event is not None and event.start > at else state.status
