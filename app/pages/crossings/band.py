"""A timeline as a drawing: the positions of its periods on a line, in percent. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from zoneinfo import ZoneInfo

from app.status.rule.history import LaneState, TimelinePeriod
from app.vocabulary import Status, Traffic

_MAX_TICKS = 5
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)
"""Possible steps between ticks, in months."""
_MARGIN = 0.02
"""The margin at either end, as a part of the time shown."""


class Zoom(StrEnum):
    """How much of a timeline is drawn."""

    MONTHS = "3m"
    YEAR = "1y"
    ALL = "all"


_REACH = {
    Zoom.MONTHS: (timedelta(days=92), timedelta(days=14)),
    Zoom.YEAR: (timedelta(days=365), timedelta(days=61)),
}
"""How far each shows before and after the instant in question."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A maximal period of one status, with its position and width in percent."""

    x: float
    width: float
    status: Status
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class BandRow:
    """The periods of one traffic, or of the whole crossing if that is None."""

    traffic: Traffic | None
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Tick:
    """The start of a month or a year, with its position in percent."""

    x: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Band:
    """The drawing of ``[start, end)``, with positions in percent of the width."""

    start: datetime
    end: datetime
    rows: Sequence[BandRow]
    ticks: Sequence[Tick]
    by_year: bool
    now: float
    """The position of the instant in question."""


def window(
    timeline: Sequence[TimelinePeriod], zoom: Zoom, at: datetime
) -> tuple[datetime, datetime]:
    """Return the start and the end of the drawing, around ``at``."""
    if zoom is not Zoom.ALL:
        back, ahead = _REACH[zoom]
        return at - back, at + ahead
    bounds = [
        bound for period in timeline for bound in (period.start, period.end) if bound is not None
    ]
    first, last = min([*bounds, at - timedelta(days=30)]), max([*bounds, at])
    margin = (last - first) * _MARGIN
    return first - margin, last + margin


def band(
    timeline: Sequence[TimelinePeriod],
    *,
    start: datetime,
    end: datetime,
    at: datetime,
    zone: ZoneInfo,
) -> Band:
    """Lay out a timeline over ``[start, end)``, with ticks at midnights of ``zone``.

    There is a row for each traffic if any traffic ever differs from the whole crossing.
    """
    periods = [
        period
        for period in timeline
        if (period.end is None or period.end > start)
        and (period.start is None or period.start < end)
    ]
    whole_row = BandRow(
        None, _segments([(period, period.status) for period in periods], start, end)
    )
    traffic = dict.fromkeys(lane.lane.traffic for period in periods for lane in period.lanes)
    rows = [
        BandRow(
            category,
            _segments(
                [(period, _status_of(period.lanes, category, period.status)) for period in periods],
                start,
                end,
            ),
        )
        for category in traffic
    ]
    if all(row.segments == whole_row.segments for row in rows):
        rows = []
    step = next(step for step in _MONTHS if step * 30 * _MAX_TICKS >= (end - start).days)
    return Band(
        start=start,
        end=end,
        rows=[whole_row, *rows],
        ticks=[
            Tick(_percent_of(tick, start, end), tick) for tick in _ticks(start, end, step, zone)
        ],
        by_year=step >= 12,  # noqa: PLR2004  # months
        now=_percent_of(at, start, end),
    )


def _status_of(lanes: Iterable[LaneState], traffic: Traffic, otherwise: Status) -> Status:
    """Return the status of both directions; if they differ, ``restricted`` or ``otherwise``."""
    statuses = {lane.status for lane in lanes if lane.lane.traffic is traffic}
    if len(statuses) == 1:
        return statuses.pop()
    return Status.RESTRICTED if statuses & {Status.OPEN, Status.RESTRICTED} else otherwise


def _segments(
    periods: Sequence[tuple[TimelinePeriod, Status]], start: datetime, end: datetime
) -> list[Segment]:
    segments: list[Segment] = []
    for status, group in groupby(periods, itemgetter(1)):
        same_status = [period for period, _ in group]
        first, last = same_status[0].start, same_status[-1].end
        x = 0.0 if first is None else max(0.0, _percent_of(first, start, end))
        until = 100.0 if last is None else min(100.0, _percent_of(last, start, end))
        segments.append(Segment(x, round(until - x, 3), status, first, last))
    return segments


def _percent_of(at: datetime, start: datetime, end: datetime) -> float:
    return round(100 * ((at - start) / (end - start)), 3)


def _ticks(start: datetime, end: datetime, step: int, zone: ZoneInfo) -> list[datetime]:
    local = start.astimezone(zone)
    months = (local.year * 12 + local.month - 1) // step * step
    ticks: list[datetime] = []
    while True:
        months += step
        tick = datetime(months // 12, months % 12 + 1, 1, tzinfo=zone)
        if tick >= end:
            return ticks
        ticks.append(tick)
