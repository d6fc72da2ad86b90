"""Charts of the waits of lanes: of the last day, and of the usual week. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from app.observations.schemas import HourOut, ObservationSummary, Queue, SeriesSummary
from app.vocabulary import Traffic

HOURS = 24
DAYS = 7
HEIGHT = 60
"""The height of a drawing in its own units; an hour is one unit wide."""
_BAR = 0.85
"""The width of a bar."""
_TOPS = (15, 30, 60, 120, 180, 240, 360, 480, 720, 1_440, 2_880, 5_760, 10_080, 20_160, 43_200)
"""Possible ends of the scale, in minutes."""

HourOfWeek = tuple[int, int]
"""The number of the weekday, 1 for Monday, and the hour."""
_Key = tuple[Traffic, str, Queue | None]


@dataclass(frozen=True, slots=True)
class LaneChart:
    """The waits of a lane, or of one of its queues, by the clocks of the side where it waits."""

    traffic: Traffic
    to: str
    queue: Queue | None
    source: UUID
    zone: ZoneInfo
    """That of the clocks."""
    last_hours: Sequence[HourOfWeek]
    """The last 24 hours, the latest last."""
    day: Mapping[HourOfWeek, HourOut]
    """What was observed in those."""
    week: Mapping[HourOfWeek, HourOut]
    """What is usual at each hour of the week."""

    @property
    def top(self) -> int:
        """The end of the scale, in minutes."""
        longest = max((*_minutes(self.day), *_minutes(self.week)), default=0)
        return next(top for top in _TOPS if top >= longest)

    @property
    def day_bars(self) -> str:
        return self._bars(self.day.get(hour) for hour in self.last_hours)

    @property
    def usual_line(self) -> str:
        """The path of what is usual at the last hours."""
        steps = (
            f"M{x} {self._y(usual.median_minutes)}H{x + 1}"
            for x, usual in enumerate(self.week.get(hour) for hour in self.last_hours)
            if usual is not None and usual.median_minutes is not None
        )
        return "".join(steps)

    @property
    def week_bars(self) -> str:
        return self._bars(
            self.week.get((day, hour)) for day in range(1, DAYS + 1) for hour in range(HOURS)
        )

    @property
    def day_range(self) -> tuple[float, float] | None:
        """The shortest and the longest wait of the last day, in minutes."""
        return _range(self.day)

    @property
    def week_range(self) -> tuple[float, float] | None:
        return _range(self.week)

    def _bars(self, hours: Iterable[HourOut | None]) -> str:
        return "".join(
            f"M{x} {HEIGHT}V{self._y(hour.median_minutes)}h{_BAR}V{HEIGHT}z"
            for x, hour in enumerate(hours)
            if hour is not None and hour.median_minutes is not None
        )

    def _y(self, minutes: float) -> float:
        """Return how far below the top a wait ends; the shortest can still be seen."""
        return round(min(HEIGHT * (1 - minutes / self.top), HEIGHT - 1), 1)


def charts_of(day: ObservationSummary, weeks: ObservationSummary, now: datetime) -> list[LaneChart]:
    """Return a chart for each lane and queue that has waits, of its most frequent source.

    ``day`` summarises the hours that `day_start` begins, ``weeks`` several weeks up to ``now``.
    """
    by_lane: defaultdict[_Key, list[SeriesSummary]] = defaultdict(list)
    for series in weeks.series:
        if any(hour.median_minutes is not None for hour in series.hours):
            by_lane[series.traffic, series.to, series.queue].append(series)
    order = list(Traffic)
    charts = [
        _chart(max(candidates, key=_count), day.series, now) for candidates in by_lane.values()
    ]
    return sorted(charts, key=lambda one: (order.index(one.traffic), one.to, one.queue is not None))


def day_start(now: datetime) -> datetime:
    """Return when the first of the last 24 hours began."""
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)


def _chart(usual: SeriesSummary, of_day: Iterable[SeriesSummary], now: datetime) -> LaneChart:
    zone = ZoneInfo(usual.time_zone)
    starts = (day_start(now) + timedelta(hours=number) for number in range(HOURS))
    local = (start.astimezone(zone) for start in starts)
    same = (
        series
        for series in of_day
        if (series.traffic, series.to, series.queue, series.source)
        == (usual.traffic, usual.to, usual.queue, usual.source)
    )
    return LaneChart(
        traffic=usual.traffic,
        to=usual.to,
        queue=usual.queue,
        source=usual.source,
        zone=zone,
        last_hours=[(hour.isoweekday(), hour.hour) for hour in local],
        day={(hour.weekday, hour.hour): hour for series in same for hour in series.hours},
        week={(hour.weekday, hour.hour): hour for hour in usual.hours},
    )


def _count(series: SeriesSummary) -> int:
    return sum(hour.count for hour in series.hours)


def _minutes(hours: Mapping[HourOfWeek, HourOut]) -> list[float]:
    return [hour.median_minutes for hour in hours.values() if hour.median_minutes is not None]


def _range(hours: Mapping[HourOfWeek, HourOut]) -> tuple[float, float] | None:
    minutes = _minutes(hours)
    return (min(minutes), max(minutes)) if minutes else None
