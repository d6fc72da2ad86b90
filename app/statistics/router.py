"""HTTP of statistics."""

from typing import Annotated

from fastapi import Depends, Path, Query

from app.changes.read_sessions import AnyReadSessions
from app.errors import BorderNotFound, CrossingNotFound, HistoryOverloaded, LaneNotFound
from app.http.bodies import BorderId, QueryInstant
from app.http.caching import ResponseCacheHeaders
from app.http.parameters import AsOfQuery, Retired
from app.http.problems import responses
from app.http.routing import feature_router
from app.statistics import reading
from app.statistics.reading import StatisticsQuery
from app.statistics.schemas import BorderStatistics, CrossingStatistics
from app.status.router import CrossingPath, LaneTo, LaneTraffic

router = feature_router(prefix="/v1", tag="statistics")


def _statistics_query(
    traffic: LaneTraffic = None,
    to: LaneTo = None,
    from_: Annotated[
        QueryInstant | None,
        Query(alias="from", description="Defaults to 365 days before `until`; at most 3,660."),
    ] = None,
    until: Annotated[QueryInstant | None, Query(description="Defaults to now.")] = None,
) -> StatisticsQuery:
    return StatisticsQuery(from_=from_, until=until, traffic=traffic, to=to)


StatisticsQueryParameters = Annotated[StatisticsQuery, Depends(_statistics_query)]


@router.get(
    "/crossings/{crossing_id}/statistics",
    summary="Get statistics of a crossing",
    responses=responses(HistoryOverloaded, CrossingNotFound, LaneNotFound),
)
async def get_crossing_statistics(
    read_sessions: AnyReadSessions,
    cache_headers: ResponseCacheHeaders,
    crossing_id: CrossingPath,
    query: StatisticsQueryParameters,
    as_of: AsOfQuery,
) -> CrossingStatistics:
    """Return time by status, closures and median waits. Regular hours do not count."""
    async with read_sessions.history(as_of) as session:
        body, snapshot = await reading.get_crossing_statistics(
            session, crossing_id=crossing_id, query=query, as_of=as_of
        )
    cache_headers.tell(at=query.until, as_of=as_of, **snapshot.freshness())
    return body


@router.get(
    "/borders/{border_id}/statistics",
    summary="Get statistics of a border",
    responses=responses(HistoryOverloaded, BorderNotFound),
)
async def get_border_statistics(
    read_sessions: AnyReadSessions,
    cache_headers: ResponseCacheHeaders,
    border_id: Annotated[BorderId, Path()],
    query: StatisticsQueryParameters,
    as_of: AsOfQuery,
    retired: Retired = False,
) -> BorderStatistics:
    """Return the same of each crossing of a border, and of all of them together."""
    async with read_sessions.history(as_of) as session:
        body, snapshot = await reading.get_border_statistics(
            session, border_id=border_id, query=query, as_of=as_of, retired=retired
        )
    cache_headers.tell(at=query.until, as_of=as_of, **snapshot.freshness())
    return body
