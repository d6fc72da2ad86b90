"""Read statistics: from the timelines of crossings, and from their observed waits."""

from asyncio import to_thread
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Snapshot, take_snapshot
from app.errors import CrossingNotFound, invalid
from app.http.parameters import AsOf
from app.observations.medians import MedianWait, median_waits
from app.places.details import Details, get_border, require_lanes
from app.places.models import Crossing
from app.statistics.figures import Figures, figures_of, joined
from app.statistics.schemas import (
    BorderStatistics,
    ClosuresOut,
    CrossingStatistics,
    StatusFigures,
    WaitFigures,
)
from app.status.histories import CrossingHistory, load_histories
from app.status.rule.history import Lane, OutOfReach
from app.status.rule.lanes import TICK
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status, Traffic

DEFAULT_RANGE = timedelta(days=365)
LONGEST_RANGE = timedelta(days=3_660)


@dataclass(frozen=True, slots=True)
class Range:
    """The time ``[start, end)``, which lies in the past."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsQuery:
    """Which time and which lanes statistics are about; None is the default range, and all lanes."""

    from_: datetime | None = None
    until: datetime | None = None
    traffic: Traffic | None = None
    to: str | None = None

    def range_at(self, now: datetime) -> Range:
        """Return the range, which by default ends now. Raises Invalid."""
        end = self.until or now.astimezone(UTC)
        start = self.from_ or end - DEFAULT_RANGE
        if end > now:
            raise invalid("until", "must not lie in the future", where="query")
        if end <= start and self.until is None:
            raise invalid("from", "must lie in the past", where="query")
        if end <= start:
            raise invalid("until", "must lie after from", where="query")
        if end - start > LONGEST_RANGE:
            raise invalid(
                "from", f"must lie within {LONGEST_RANGE.days} days of until", where="query"
            )
        return Range(start, end)


async def get_crossing_statistics(
    session: AsyncSession, *, crossing_id: str, query: StatisticsQuery, as_of: AsOf
) -> tuple[CrossingStatistics, Snapshot]:
    """Return the statistics of a crossing, as known.

    Raises CrossingNotFound, LaneNotFound, and Invalid for the range.
    """
    snapshot = await take_snapshot(session, as_of)
    period = query.range_at(snapshot.now)
    histories = await _load(session, [crossing_id], snapshot, period)
    if not histories:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    require_lanes(histories[0].details, query.traffic, query.to)
    [(statistics, _)] = await _statistics(session, histories, query, period, as_of)
    return statistics, snapshot


async def get_border_statistics(
    session: AsyncSession,
    *,
    border_id: str,
    query: StatisticsQuery,
    as_of: AsOf,
    retired: bool = False,
) -> tuple[BorderStatistics, Snapshot]:
    """Return the statistics of a border's crossings, as known, and of all of them together.

    Without those that were retired before the range, unless ``retired``, and without those that
    have none of the lanes. Raises BorderNotFound, and Invalid for the range or the direction.
    """
    border = await get_border(session, border_id)
    if query.to not in {None, *border.sides}:
        raise invalid(
            "to",
            f"{border.id} has no side {query.to}, only {', '.join(border.sides)}",
            where="query",
        )
    snapshot = await take_snapshot(session, as_of)
    period = query.range_at(snapshot.now)
    names = select(Crossing.id).where(Crossing.border_id == border.id).order_by(Crossing.id)
    ids = (await session.scalars(names)).all()
    rows = await _statistics_of(
        session, ids, query=query, period=period, snapshot=snapshot, as_of=as_of, retired=retired
    )
    body = BorderStatistics(
        border=border.id,
        from_=period.start,
        until=period.end,
        total=_figures_out(joined(figures for _, figures in rows)),
        crossings=[statistics for statistics, _ in rows],
    )
    return body, snapshot


async def statistics_of(
    session: AsyncSession,
    crossing_ids: Sequence[str],
    *,
    query: StatisticsQuery,
    period: Range,
    snapshot: Snapshot,
    as_of: AsOf,
) -> list[CrossingStatistics]:
    """Return the statistics of those crossings that were known and have such lanes."""
    rows = await _statistics_of(
        session,
        crossing_ids,
        query=query,
        period=period,
        snapshot=snapshot,
        as_of=as_of,
        retired=True,
    )
    return [statistics for statistics, _ in rows]


async def _statistics_of(
    session: AsyncSession,
    crossing_ids: Sequence[str],
    *,
    query: StatisticsQuery,
    period: Range,
    snapshot: Snapshot,
    as_of: AsOf,
    retired: bool,
) -> list[tuple[CrossingStatistics, Figures]]:
    histories = [
        history
        for history in await _load(session, crossing_ids, snapshot, period)
        if history.details.known
        and history.details.lanes_for(query.traffic, query.to)
        and (retired or not history.details.is_retired(period.start))
    ]
    return await _statistics(session, histories, query, period, as_of)


async def _load(
    session: AsyncSession, crossing_ids: Sequence[str], snapshot: Snapshot, period: Range
) -> list[CrossingHistory]:
    """Return histories that reach over the range, from just before it to its end."""

    def within_reach(history: CrossingHistory) -> CrossingHistory:
        if history.history.known_until < period.end:
            raise OutOfReach
        return history

    before = period.start - TICK
    return list(
        (await load_histories(session, crossing_ids, snapshot, within_reach, at=before)).values()
    )


async def crossing_figures(
    session: AsyncSession, crossing_ids: Sequence[str], *, query: StatisticsQuery
) -> dict[str, Figures]:
    """Return the figures of crossings as known now, without those that have no such lanes."""
    snapshot = await take_snapshot(session, AsOf())
    period = query.range_at(snapshot.now)
    histories = [
        history
        for history in await _load(session, crossing_ids, snapshot, period)
        if history.details.lanes_for(query.traffic, query.to)
    ]
    figures = await _resolve(histories, query, period)
    return {history.details.id: one for history, one in zip(histories, figures, strict=True)}


async def _statistics(
    session: AsyncSession,
    histories: Sequence[CrossingHistory],
    query: StatisticsQuery,
    period: Range,
    as_of: AsOf,
) -> list[tuple[CrossingStatistics, Figures]]:
    ids = [history.details.id for history in histories]
    waits = await median_waits(session, ids, start=period.start, end=period.end, as_of=as_of)
    every = await _resolve(histories, query, period)
    return [
        (
            _statistics_out(
                history.details, figures, waits.get(history.details.id, ()), query, period
            ),
            figures,
        )
        for history, figures in zip(histories, every, strict=True)
    ]


async def _resolve(
    histories: Sequence[CrossingHistory], query: StatisticsQuery, period: Range
) -> list[Figures]:
    """Return the figures of each history. In a thread, since long ones take seconds."""
    return await to_thread(lambda: [_figures_over(period, history, query) for history in histories])


def _figures_over(period: Range, history: CrossingHistory, query: StatisticsQuery) -> Figures:
    lanes = tuple(history.details.lanes_for(query.traffic, query.to))
    resolved = ResolvedHistory(replace(history.history, lanes=lanes))
    periods = takewhile(
        lambda one: one.start is None or one.start <= period.end,
        resolved.timeline(period.start - TICK),
    )
    return figures_of(periods, period.start, period.end)


def _statistics_out(
    details: Details,
    figures: Figures,
    waits: Iterable[MedianWait],
    query: StatisticsQuery,
    period: Range,
) -> CrossingStatistics:
    lanes = details.lanes_for(query.traffic, query.to)
    return CrossingStatistics(
        **dict(_figures_out(figures)),
        crossing=details.id,
        from_=period.start,
        until=period.end,
        waits=_waits_out(lanes, waits),
    )


def _figures_out(figures: Figures) -> StatusFigures:
    closures = figures.closures
    return StatusFigures(
        seconds={status: length.total_seconds() for status, length in figures.lengths.items()},
        shares={status: figures.share(status) for status in Status},
        closures=ClosuresOut(
            count=len(closures),
            total=figures.lengths[Status.CLOSED].total_seconds(),
            median=_seconds(figures.median_closure),
            longest=_seconds(figures.longest_closure),
            began_before=sum(closure.began_before for closure in closures),
            continued_after=sum(closure.continued_after for closure in closures),
        ),
    )


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()


def _waits_out(lanes: Sequence[Lane], waits: Iterable[MedianWait]) -> list[WaitFigures]:
    return [
        WaitFigures(
            traffic=wait.lane.traffic,
            to=wait.lane.to,
            queue=wait.queue,
            count=wait.count,
            median_minutes=wait.minutes,
        )
        for wait in sorted(
            (wait for wait in waits if wait.lane in lanes), key=lambda wait: lanes.index(wait.lane)
        )
    ]
