"""A timeline as a drawing: where its periods lie on a line, in percent. Pure."""

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
"""Steps between ticks."""
_MARGIN = 0.02
"""Of the time shown, at either end."""


class Zoom(StrEnum):
    """How much of a timeline is drawn."""

    MONTHS = "3m"
    YEAR = "1y"
    ALL = "all"


_REACH = {
    Zoom.MONTHS: (timedelta(days=92), timedelta(days=14)),
    Zoom.YEAR: (timedelta(days=365), timedelta(days=61)),
}
"""How far back and ahead of the instant in question each looks."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A maximal period of one status: where it begins and how long it is, in percent."""

    x: float
    width: float
    status: Status
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class BandRow:
    """The periods of one traffic; of the whole crossing where that is None."""

    traffic: Traffic | None
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Tick:
    """The beginning of a month or a year, in percent."""

    x: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Band:
    """What is drawn: ``x`` counts percent of the width from ``start`` to ``end``."""

    start: datetime
    end: datetime
    rows: Sequence[BandRow]
    ticks: Sequence[Tick]
    by_year: bool
    now: float
    """Where the instant in question lies."""


def window(
    stretches: Sequence[TimelinePeriod], zoom: Zoom, at: datetime
) -> tuple[datetime, datetime]:
    """Return from when until when is drawn, around ``at``."""
    if zoom is not Zoom.ALL:
        back, ahead = _REACH[zoom]
        return at - back, at + ahead
    bounds = [bound for one in stretches for bound in (one.start, one.end) if bound is not None]
    first, last = min([*bounds, at - timedelta(days=30)]), max([*bounds, at])
    margin = (last - first) * _MARGIN
    return first - margin, last + margin


def band(
    stretches: Sequence[TimelinePeriod],
    *,
    start: datetime,
    end: datetime,
    at: datetime,
    zone: ZoneInfo,
) -> Band:
    """Lay a timeline out over ``[start, end)``; ticks are at midnights of ``zone``.

    Each traffic has a row of its own where one's status ever differs from the crossing's.
    """
    shown = [
        one
        for one in stretches
        if (one.end is None or one.end > start) and (one.start is None or one.start < end)
    ]
    whole = BandRow(None, _segments([(one, one.status) for one in shown], start, end))
    traffic = dict.fromkeys(lane.lane.traffic for one in shown for lane in one.lanes)
    rows = [
        BandRow(
            category,
            _segments(
                [(one, _status_of(one.lanes, category, one.status)) for one in shown], start, end
            ),
        )
        for category in traffic
    ]
    if all(row.segments == whole.segments for row in rows):
        rows = []
    step = next(step for step in _MONTHS if step * 30 * _MAX_TICKS >= (end - start).days)
    return Band(
        start=start,
        end=end,
        rows=[whole, *rows],
        ticks=[Tick(_place(one, start, end), one) for one in _ticks(start, end, step, zone)],
        by_year=step >= 12,  # noqa: PLR2004  # months
        now=_place(at, start, end),
    )


def _status_of(lanes: Iterable[LaneState], traffic: Traffic, otherwise: Status) -> Status:
    """Return the status of both directions; where they differ, what sums the crossing up."""
    statuses = {lane.status for lane in lanes if lane.lane.traffic is traffic}
    if len(statuses) == 1:
        return statuses.pop()
    return Status.RESTRICTED if statuses & {Status.OPEN, Status.RESTRICTED} else otherwise


def _segments(
    periods: Sequence[tuple[TimelinePeriod, Status]], start: datetime, end: datetime
) -> list[Segment]:
    segments: list[Segment] = []
    for status, group in groupby(periods, itemgetter(1)):
        alike = [stretch for stretch, _ in group]
        first, last = alike[0].start, alike[-1].end
        x = 0.0 if first is None else max(0.0, _place(first, start, end))
        until = 100.0 if last is None else min(100.0, _place(last, start, end))
        segments.append(Segment(x, round(until - x, 3), status, first, last))
    return segments


def _place(at: datetime, start: datetime, end: datetime) -> float:
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
