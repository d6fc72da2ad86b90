"""The state of the board, and how old it is.

The state is an `Entry` for each crossing and the number of the newest change in them. Only
`Board.take` and `Board.forget` alter it, and only the `BoardUpdater` calls them: after each commit
that it hears of. Answers are made of it when they are asked for.
"""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from app.board.views import BoardEntry, Moment, View
from app.database.monitor import DatabaseMonitor, monotonic_seconds
from app.http.bodies import sides_of
from app.observations.reading import BEFORE_ALL
from app.observations.waits import Waits


class Board:
    """Every crossing's present."""

    def __init__(self, monitor: DatabaseMonitor, *, max_age: float) -> None:
        self.monitor = monitor
        self.max_age = max_age
        """Seconds without database contact after which open and restricted are withheld."""
        self.change = -1
        """The newest change that it reflects; -1 before it is loaded."""
        self.hash = b""
        """The hash of that change, which distinguishes one history from another."""
        self.observed_until = BEFORE_ALL
        """When the newest observation was recorded that it reflects."""
        self.revision = 0
        """Counts what it has taken in: as long as it is the same, so are the answers."""
        self.as_of = -math.inf
        """When it was last known to reflect everything, in `monotonic_seconds`."""
        self._entries: dict[str, BoardEntry] = {}
        self._ids: list[str] = []
        self._by_border: dict[str, list[str]] = {}
        self._altered = asyncio.Event()

    @property
    def is_loaded(self) -> bool:
        return self.change >= 0

    @property
    def age(self) -> float:
        """Seconds since it was last known to reflect everything."""
        return monotonic_seconds() - self.as_of

    def moment(self) -> Moment:
        """Return the present, and whether the board may still be relied on."""
        now = self.monitor.now()
        limit = self.as_of + self.monitor.offset + self.max_age
        return Moment(_instant(now), _instant(limit) if now >= limit else None)

    # Only for the updater

    def take(
        self,
        entries: Mapping[str, BoardEntry],
        *,
        change: int,
        change_hash: bytes,
        as_of: float,
        whole: bool,
        observed_until: datetime | None = None,
    ) -> None:
        """Take in what was loaded: ``whole`` replaces everything.

        Then its waits have all that was recorded ``observed_until`` then.
        """
        if whole or not entries.keys() <= self._entries.keys():
            self._entries = {**({} if whole else self._entries), **entries}
            self._ids = sorted(self._entries)
            self._by_border = {}
            for name in self._ids:
                border = self._entries[name].present.details.border
                self._by_border.setdefault(border, []).append(name)
        else:
            self._entries.update(entries)
        self.change, self.hash, self.as_of = change, change_hash, as_of
        self.observed_until = observed_until or self.observed_until
        self._notify_altered()

    def take_waits(self, waits: Mapping[str, Waits], *, observed_until: datetime) -> None:
        """Take in what was observed since."""
        for name, newer in waits.items():
            # Of a crossing that is not here yet, they come with it.
            if name in self._entries:
                self._entries[name].take(newer)
        self.observed_until = observed_until
        self._notify_altered()

    def _notify_altered(self) -> None:
        self.revision += 1
        self._altered.set()
        self._altered = asyncio.Event()

    def confirm(self, as_of: float) -> None:
        """Note that nothing had been committed beyond it at ``as_of``."""
        self.as_of = as_of

    def forget(self) -> None:
        """Know nothing: the ordinary routes answer until it is loaded again."""
        self.change, self.hash, self.observed_until = -1, b"", BEFORE_ALL

    # For readers

    async def reached(self, change: int, *, within: float) -> bool:
        """Wait until it reflects ``change``, for so many seconds at most; tell whether it does."""
        return await self._until(lambda: self.change >= change, within)

    async def observed(self, until: datetime, *, within: float) -> bool:
        """Wait until it reflects what was observed and recorded ``until`` then."""
        return await self._until(lambda: self.observed_until >= until, within)

    async def _until(self, holds: Callable[[], bool], within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                while not holds():
                    await self._altered.wait()
        except TimeoutError:
            return False
        return True

    @property
    def size(self) -> int:
        """How many crossings it has."""
        return len(self._ids)

    def entry(self, crossing: str) -> BoardEntry | None:
        return self._entries.get(crossing)

    def entries(self, border: str | None = None) -> list[BoardEntry]:
        """Return what is known of each crossing of a border, or of each there is, by id."""
        ids = self._ids if border is None else self._by_border.get(border, [])
        return [self._entries[name] for name in ids]

    def views(self, moment: Moment, border: str | None, *, after: str | None) -> Iterator[View]:
        """Yield crossings by id, from the one after ``after``, of one border or of all."""
        ids: Sequence[str] = self._ids if border is None else self._by_border.get(border, [])
        start = 0 if after is None else bisect_right(ids, after)
        return (self._view(ids[position], moment) for position in range(start, len(ids)))

    def has_border(self, border: str) -> bool:
        return border in self._by_border

    def borders(self, *, after: str | None, limit: int) -> list[str]:
        """Return borders by id, from the one after ``after``."""
        names = sorted(self._by_border)
        start = 0 if after is None else bisect_right(names, after)
        return names[start : start + limit]

    def views_of(self, border: str, moment: Moment) -> list[View]:
        """Return all crossings of a border, by id; none of one that it does not know."""
        return [self._view(name, moment) for name in self._by_border.get(border, ())]

    def views_of_countries(self, codes: Collection[str], moment: Moment) -> list[View]:
        """Return all crossings of a border that one of the countries has."""
        return [
            view
            for border in sorted(self._by_border)
            if not set(codes).isdisjoint(sides_of(border))
            for view in self.views_of(border, moment)
        ]

    def _view(self, crossing: str, moment: Moment) -> View:
        view = self._entries[crossing].view(moment)
        assert view is not None  # a crossing has lanes: the database sees to it
        return view


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
