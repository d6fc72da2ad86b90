"""Regular hours: when the gates of a side are open by the week and the calendar.

The OSM ``opening_hours`` syntax, read by the clock on the wall of an IANA zone. Nothing else
touches the library that evaluates it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

# Its stub forgets the exception.
from opening_hours import OpeningHours, UnknownCountryError, validate  # type: ignore[attr-defined]

from app.caches import remembered

_STEP = timedelta(days=7)
"""Clocks are not put forward and back again within so short a time."""
_HORIZON = timedelta(days=1100)
"""How far ahead a switch is looked for."""
_LOOK_BACK = tuple(timedelta(days=days) for days in (2, 35, 400))
_UNSUPPORTED = ("sunrise", "sunset", "dawn", "dusk", "SH", "||")
"""Nobody can check the sun and school holidays; after fallbacks the library misses changes."""


class HoursInvalid(ValueError):
    """An expression that cannot be evaluated, with the reason in its message."""


@remembered("opening hours", bound=4_000_000, result_bytes=2_000)
def _parsed(expression: str, country: str) -> OpeningHours:
    return OpeningHours(
        expression,
        country=country if _has_holidays(country) else None,
        auto_country=False,
        auto_timezone=False,
        max_interval_days=_HORIZON.days,
    )


def _has_holidays(country: str) -> bool:
    """Tell whether the library knows the public holidays of a country."""
    try:
        OpeningHours("PH", country=country, auto_country=False, auto_timezone=False)
    except UnknownCountryError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class RegularHours:
    """One expression by the clock of ``time_zone``, with the public holidays of ``country``."""

    expression: str
    time_zone: str
    country: str

    def check(self) -> None:
        """Raise HoursInvalid, naming what is wrong, where it cannot be evaluated."""
        words = _uncommented(self.expression)
        unsupported = next((word for word in _UNSUPPORTED if word in words), None)
        if unsupported is not None:
            raise HoursInvalid(f"{unsupported!r} is not supported: use clock times, PH and ;")
        if not validate(self.expression):
            raise HoursInvalid("is not in the opening_hours syntax of OpenStreetMap")
        if "PH" in words and not _has_holidays(self.country):
            raise HoursInvalid(f"'PH' is not supported: holidays of {self.country} are not known")
        if warnings := self._hours.warnings:
            raise HoursInvalid(f"is ambiguous: {warnings[0]}")

    def is_closed(self, at: datetime) -> bool:
        """Tell whether the gate is closed; ``unknown`` in an expression does not close it."""
        return self._hours.is_closed(self._wall(at))

    @remembered("next switches of hours", bound=4_000_000)
    def next_switch(self, at: datetime) -> datetime | None:
        """Return when it next opens if it is closed, or closes if not; None within three years."""
        was_closed, instant = self.is_closed(at), at
        # The library looks for a change day by day, so it is asked as seldom as can be.
        change = self._hours.next_change(self._wall(at))
        while instant - at < _HORIZON:
            left = None if change is None else change - self._wall(instant)
            end = instant + (_STEP if left is None else min(_STEP, left))
            turn = self._turn_of_clocks(instant, end)
            instant = turn or end
            if turn is not None or (left is not None and left <= _STEP):
                if self.is_closed(instant) is not was_closed:
                    return instant
                change = self._hours.next_change(self._wall(instant))
        return None

    @remembered("last switches of hours", bound=2_000_000)
    def last_switch(self, at: datetime) -> datetime | None:
        """Return when it last opened or closed by ``at``; None if not for a year."""
        for days in _LOOK_BACK:
            last: datetime | None = None
            switch = self.next_switch(at - days)
            while switch is not None and switch <= at:
                last, switch = switch, self.next_switch(switch)
            if last is not None:
                return last
        return None

    @property
    def _hours(self) -> OpeningHours:
        return _parsed(self.expression, self.country)

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def _wall(self, at: datetime) -> datetime:
        return at.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _turn_of_clocks(self, start: datetime, end: datetime) -> datetime | None:
        """Return when the clocks are altered in ``(start, end]``, to the second; None if not."""
        zone = self._zone
        offset = start.astimezone(zone).utcoffset()
        if end.astimezone(zone).utcoffset() == offset:
            return None
        low, high = int(start.timestamp()), int(-(-end.timestamp() // 1))
        while high - low > 1:
            middle = (low + high) // 2
            if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
                low = middle
            else:
                high = middle
        return datetime.fromtimestamp(high, UTC)


def _uncommented(expression: str) -> str:
    """Return an expression without its comments."""
    return "".join(expression.split('"')[::2])
