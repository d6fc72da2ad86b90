"""How long an open or restricted may be relied on after its newest evidence."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.status.rule.history import ALWAYS


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of a lane from some sides; each is good for ``confirm_within``."""

    confirm_within: timedelta
    past: list[datetime]
    """Instants that had passed when they were recorded, sorted."""
    plans: list[tuple[datetime, datetime]]
    """Instants still to come when they were recorded, each with that moment, sorted."""

    @classmethod
    def of(
        cls, instants: Iterable[tuple[datetime, datetime]], confirm_within: timedelta
    ) -> "Evidence":
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
        first = bisect_left(self.plans, (max(since, start - self.confirm_within), ALWAYS))
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
        """Return the newest evidence at ``at`` among that from ``since`` on."""
        known = [
            min(instant, recorded_at)
            for instant, recorded_at in self.plans
            if since <= instant <= at
        ]
        place = bisect_right(self.past, at)
        if place and self.past[place - 1] >= since:
            known.append(self.past[place - 1])
        return max(known, default=None)
