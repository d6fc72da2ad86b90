"""The arithmetic of statistics: time by status and closures over a range. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, groupby
from operator import attrgetter

from app.status.rule.history import ALWAYS, NEVER, TimelinePeriod
from app.vocabulary import Status


@dataclass(frozen=True, slots=True)
class Closure:
    """The part within a range of a maximal period of `closed`."""

    length: timedelta
    began_before: bool
    """Whether it was closed just before the range, too."""
    continued_after: bool
    """Whether it is closed at the end of the range, too, which does not belong to the range."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How long each status lasted within a range, and the closures, the earliest first."""

    lengths: Mapping[Status, timedelta]
    closures: tuple[Closure, ...]

    @property
    def total(self) -> timedelta:
        return sum(self.lengths.values(), timedelta())

    @property
    def median_closure(self) -> timedelta | None:
        """The median length; of an even number, the mean of the two in the middle."""
        lengths = sorted(closure.length for closure in self.closures)
        middle = len(lengths) // 2
        return (lengths[middle] + lengths[-middle - 1]) / 2 if lengths else None

    @property
    def longest_closure(self) -> timedelta | None:
        return max((closure.length for closure in self.closures), default=None)

    def share(self, status: Status) -> float:
        """Return which part of the time had that status; 0 where there is no time."""
        return self.lengths[status] / self.total if self.total else 0.0


def figures_of(periods: Iterable[TimelinePeriod], start: datetime, end: datetime) -> Figures:
    """Return the figures over ``[start, end)`` of the periods of a timeline, the oldest first.

    They have no gaps. To tell closures that began before from those that began at ``start``, the
    first must begin before it; the last must contain ``end``.
    """
    lengths = dict.fromkeys(Status, timedelta())
    closures: list[Closure] = []
    for status, run in groupby(periods, attrgetter("status")):
        periods_of_run = list(run)
        first = periods_of_run[0].start or ALWAYS
        last = periods_of_run[-1].end or NEVER
        length = min(last, end) - max(first, start)
        if length <= timedelta():
            continue
        lengths[status] += length
        if status is Status.CLOSED:
            closures.append(Closure(length, began_before=first < start, continued_after=last > end))
    return Figures(lengths, tuple(closures))


def joined(figures: Iterable[Figures]) -> Figures:
    """Return the figures of several crossings together: the sums of their times."""
    every = list(figures)
    return Figures(
        {status: sum((one.lengths[status] for one in every), timedelta()) for status in Status},
        tuple(chain.from_iterable(one.closures for one in every)),
    )
