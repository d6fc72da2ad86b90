"""The state of the board, and how old it is.

The state is a `BoardEntry` for each crossing and the number of the newest change in them. Only the
`BoardUpdater` changes it, after each commit that it learns of. Answers are computed on request.
"""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from app.board.views import BoardEntry, Moment, View
from app.database.monitor import DatabaseMonitor, monotonic_seconds
from app.http.bodies import sides_of
from app.observations.reading import BEFORE_ALL
from app.observations.waits import Waits
from app.status.histories import CrossingHistory


class Board:
    """The present of every crossing."""

    def __init__(self, monitor: DatabaseMonitor, *, max_age: float) -> None:
        self.monitor = monitor
        self.max_age = max_age
        """Seconds without database contact after which open and restricted are withheld."""
        self.change = -1
        """The newest change that the board reflects; -1 before it is loaded."""
        self.hash = b""
        """The hash of that change, which distinguishes one history from another."""
        self.observed_until = BEFORE_ALL
        """When the newest observation that the board reflects was recorded."""
        self.confirmed_until = BEFORE_ALL
        """When the newest observation that confirms an `open` on the board was recorded."""
        self.revision = 0
        """Counts the updates. As long as it stays the same, answers change by time alone."""
        self.as_of = -math.inf
        """When the board was last known to reflect everything, in `monotonic_seconds`."""
        self._entries: dict[str, BoardEntry] = {}
        self._ids: list[str] = []
        self._by_border: dict[str, list[str]] = {}
        self._updated = asyncio.Event()

    @property
    def is_loaded(self) -> bool:
        return self.change >= 0

    @property
    def age(self) -> float:
        """Seconds since the board was last known to reflect everything."""
        return monotonic_seconds() - self.as_of

    def moment(self) -> Moment:
        """Return the present instant, and whether the board is too old to be relied on."""
        now = self.monitor.now()
        limit = self.as_of + self.monitor.offset + self.max_age
        return Moment(_instant(now), _instant(limit) if now >= limit else None)

    # Only for the updater

    def update(
        self,
        entries: Mapping[str, BoardEntry],
        *,
        change: int,
        change_hash: bytes,
        as_of: float,
        whole: bool,
        observed_until: datetime | None = None,
        confirmed_until: datetime | None = None,
    ) -> None:
        """Replace some entries, or with ``whole`` all of them.

        With ``observed_until``, the waits in them include all observations recorded until then.
        """
        if whole or not entries.keys() <= self._entries.keys():
            self._entries = {**({} if whole else self._entries), **entries}
            self._ids = sorted(self._entries)
            self._by_border = {}
            for crossing_id in self._ids:
                border = self._entries[crossing_id].present.details.border
                self._by_border.setdefault(border, []).append(crossing_id)
        else:
            self._entries.update(entries)
        self.change, self.hash, self.as_of = change, change_hash, as_of
        self.observed_until = observed_until or self.observed_until
        self.confirmed_until = confirmed_until or self.confirmed_until
        self._notify_updated()

    def update_waits(self, waits: Mapping[str, Waits], *, observed_until: datetime) -> None:
        """Update the waits of some crossings."""
        for crossing_id, new_waits in waits.items():
            # A crossing that is not on the board yet will be loaded with its waits.
            if crossing_id in self._entries:
                self._entries[crossing_id].update_waits(new_waits)
        self.observed_until = observed_until
        self._notify_updated()

    def update_confirmed(
        self, histories: Mapping[str, CrossingHistory], *, confirmed_until: datetime
    ) -> None:
        """Update the histories of crossings that observations have confirmed."""
        for crossing_id, history in histories.items():
            present = self._entries[crossing_id].present
            self._entries[crossing_id] = BoardEntry(replace(present, history=history))
        self.confirmed_until = confirmed_until
        self._notify_updated()

    def _notify_updated(self) -> None:
        self.revision += 1
        self._updated.set()
        self._updated = asyncio.Event()

    def confirm(self, as_of: float) -> None:
        """Note that the board reflected everything at ``as_of``."""
        self.as_of = as_of

    def clear(self) -> None:
        """Become unloaded: the ordinary routes answer until the board is loaded again."""
        self.change, self.hash = -1, b""
        self.observed_until = self.confirmed_until = BEFORE_ALL

    # For readers

    async def reached(self, change: int, *, within: float) -> bool:
        """Wait at most ``within`` seconds for a change. Return whether the board reflects it."""
        return await self._wait_until(lambda: self.change >= change, within)

    async def observed(self, until: datetime, *, within: float) -> bool:
        """Wait at most ``within`` seconds for the observations recorded ``until`` then."""
        return await self._wait_until(lambda: self.observed_until >= until, within)

    async def _wait_until(self, condition: Callable[[], bool], within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                while not condition():
                    await self._updated.wait()
        except TimeoutError:
            return False
        return True

    @property
    def size(self) -> int:
        """The number of crossings."""
        return len(self._ids)

    def entry(self, crossing_id: str) -> BoardEntry | None:
        return self._entries.get(crossing_id)

    def entries(self, border: str | None = None) -> list[BoardEntry]:
        """Return the entries of a border, or all, in the order of their ids."""
        ids = self._ids if border is None else self._by_border.get(border, [])
        return [self._entries[crossing_id] for crossing_id in ids]

    def views(self, moment: Moment, border: str | None, *, after: str | None) -> Iterator[View]:
        """Yield the crossings after ``after`` of a border, or of all, in the order of their ids."""
        ids: Sequence[str] = self._ids if border is None else self._by_border.get(border, [])
        start = 0 if after is None else bisect_right(ids, after)
        return (self._view(ids[position], moment) for position in range(start, len(ids)))

    def has_border(self, border: str) -> bool:
        return border in self._by_border

    def borders(self, *, after: str | None, limit: int) -> list[str]:
        """Return the borders after ``after``, in the order of their ids."""
        names = sorted(self._by_border)
        start = 0 if after is None else bisect_right(names, after)
        return names[start : start + limit]

    def views_of(self, border: str, moment: Moment) -> list[View]:
        """Return the crossings of a border by id; an empty list for an unknown border."""
        return [self._view(crossing_id, moment) for crossing_id in self._by_border.get(border, ())]

    def views_of_countries(self, codes: Collection[str], moment: Moment) -> list[View]:
        """Return the crossings of all borders of the countries."""
        return [
            view
            for border in sorted(self._by_border)
            if not set(codes).isdisjoint(sides_of(border))
            for view in self.views_of(border, moment)
        ]

    def _view(self, crossing_id: str, moment: Moment) -> View:
        view = self._entries[crossing_id].view(moment)
        assert view is not None  # the database ensures that every crossing has lanes
        return view


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
