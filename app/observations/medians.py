"""The medians of the waits that were observed in a period, by lane and queue."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.database.driver import fetch
from app.http.parameters import AsOf
from app.observations.reading import lane_of, recorded_before
from app.observations.schemas import Queue
from app.observations.waits import queue_of
from app.status.rule.history import Lane

_MEDIANS = """
    SELECT series.crossing_id, series.traffic, series."to", series.queue::text, count(*),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY minutes)
    FROM observation_series series JOIN observation ON series_id = series.id
    WHERE series.crossing_id = ANY (%(crossings)s)
      AND observed_at >= %(from)s AND observed_at < %(until)s
      AND recorded_at < %(recorded_before)s AND minutes IS NOT NULL
    GROUP BY series.crossing_id, series.traffic, series."to", series.queue
    ORDER BY series.queue
"""


class _Row(NamedTuple):
    crossing: str
    traffic: str
    to: str
    queue: str
    waits: int
    median: float


@dataclass(frozen=True, slots=True)
class MedianWait:
    """The median of the known waits of a lane, or of one of its queues, from all sources."""

    lane: Lane
    queue: Queue | None
    count: int
    minutes: float


async def median_waits(
    session: AsyncSession,
    crossings: Sequence[str],
    *,
    start: datetime,
    end: datetime,
    as_of: AsOf,
) -> dict[str, list[MedianWait]]:
    """Return the median waits of ``[start, end)``, as known, of the crossings that have any.

    Of each crossing, those of lanes come before those of their queues.
    """
    parameters = {
        "crossings": list(crossings),
        "from": start,
        "until": end,
        "recorded_before": await recorded_before(session, as_of),
    }
    medians: defaultdict[str, list[MedianWait]] = defaultdict(list)
    for row in await fetch(session, _Row, _MEDIANS, parameters):
        lane = lane_of(row.traffic, row.to)
        medians[row.crossing].append(MedianWait(lane, queue_of(row.queue), row.waits, row.median))
    return medians
