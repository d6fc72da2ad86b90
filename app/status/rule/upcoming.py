"""What is announced to come: when lanes will be declared otherwise than they are now. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.status.rule.history import NEVER, Declaration, Lane, LaneState, TimelinePeriod
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A period to come in which ``lanes`` are declared otherwise than they are before it."""

    start: datetime
    end: datetime | None
    """When they will be declared otherwise again, or not at all; None is until further notice."""
    status: Status
    lanes: tuple[Lane, ...]
    event: Declaration
    """That decides them at the start."""


_Run = tuple[datetime, datetime | None, Status, Declaration]


def upcoming(resolved: ResolvedHistory, at: datetime) -> tuple[Upcoming, ...]:
    """Return what is to come after ``at``, the earliest first.

    An opening that nobody confirms is declared to the end of its period: that it runs out is not
    announced by anyone. Where lanes only return to what they are at ``at``, the end of what came
    in between says so. Raises OutOfReach.
    """
    later = (bound for one in resolved.standing for bound in (one.event.start, one.end))
    if not any(at < bound < NEVER for bound in later):
        return ()
    stretches = list(resolved.timeline(at))
    alike: defaultdict[_Run, list[Lane]] = defaultdict(list)
    for place, lane in enumerate(resolved.history.lanes):
        for run in _announced(stretches, place, at):
            alike[run].append(lane)
    found = [Upcoming(*run[:3], tuple(lanes), run[3]) for run, lanes in alike.items()]
    return tuple(sorted(found, key=lambda one: (one.start, one.lanes)))


def _announced(stretches: Sequence[TimelinePeriod], place: int, at: datetime) -> Iterator[_Run]:
    """Yield the periods of one lane that are worth announcing."""
    present = before = stretches[0].lanes[place].status
    begun: tuple[datetime, Status, Declaration] | None = None
    for stretch in stretches[1:]:
        state = stretch.lanes[place]
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
