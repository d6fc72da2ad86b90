"""Read observations: the waits at an instant, the list of a crossing, its summary by hour."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.caches import remembered, shared
from app.changes.service import Snapshot, take_snapshot
from app.database.driver import driver, fetch
from app.errors import invalid
from app.http.parameters import AsOf
from app.observations.recording import CLOCK_SKEW, OBSERVATION_LOCK
from app.observations.schemas import (
    HourOut,
    ObservationOut,
    ObservationSummary,
    SeriesSummary,
)
from app.observations.waits import Observed, Waits, observation_out, queue_of
from app.places.details import Details, details_of_one, require_lanes
from app.places.zones import zone_of
from app.status.rule.history import Lane
from app.vocabulary import ObservationMethod, Traffic

SUMMARY_PERIOD = timedelta(days=28)
LONGEST_SUMMARY = timedelta(days=92)
_LONGEST_SHOWN = timedelta(days=1)
"""The longest time that an observation is shown as a present wait; the limit of the setting."""
OBSERVATION_CHANNEL = "observation"
"""Notified when there is a new latest observation."""
BEFORE_ALL = datetime(1900, 1, 1, tzinfo=UTC)
"""An instant before anything was recorded."""
_LAST_INSTANT = datetime.max.replace(tzinfo=UTC)

_FIGURES = """
    series.id, series.crossing_id, series.traffic, series."to", series.queue::text,
    series.source_id, one.observed_at, one.recorded_at, one.recorded_by, one.shown_until,
    one.closed, one.minutes, one.vehicles, one.lanes_open, one.moving, one.paused, one.estimate,
    one.method, (SELECT coalesce(publisher, title) FROM source WHERE source.id = series.source_id)
"""
LATEST = f"""
    SELECT {_FIGURES}
    FROM observation_series series JOIN latest_observation one ON one.series_id = series.id
"""  # noqa: S608  # of this module
_LATEST_OF = f"{LATEST} WHERE series.crossing_id = ANY (%(crossings)s)"
_LATEST_SINCE = f"{LATEST} WHERE one.recorded_at > %(recorded_after)s"
_NEWEST = "SELECT coalesce(max(recorded_at), %(before_all)s) FROM latest_observation"
_SHARE = f"SELECT pg_advisory_xact_lock_shared({OBSERVATION_LOCK})"
_RECORDED = "SELECT recorded_at FROM change WHERE number = %(change)s"
_AT = f"""
    SELECT {_FIGURES}
    FROM observation_series series CROSS JOIN LATERAL (
        SELECT * FROM observation
        WHERE series_id = series.id
          AND observed_at > %(earliest)s AND observed_at <= %(latest)s
          AND least(observed_at, recorded_at) <= %(at)s AND shown_until > %(at)s
          AND recorded_at < %(recorded_before)s
        ORDER BY observed_at DESC LIMIT 1
    ) one
    WHERE series.crossing_id = ANY (%(crossings)s)
"""  # noqa: S608  # of this module
# One lookup for each series: within a series the index has them in order.
_LIST = f"""
    SELECT {_FIGURES}
    FROM observation_series series CROSS JOIN LATERAL (
        SELECT * FROM observation
        WHERE series_id = series.id
          AND observed_at >= %(from)s AND observed_at < %(until)s
          AND observed_at <= %(last)s
          AND (observed_at, series_id) < (%(last)s, %(last_series)s)
        ORDER BY observed_at DESC LIMIT %(limit)s
    ) one
    WHERE series.crossing_id = %(crossing)s
      AND (%(traffic)s::text IS NULL OR series.traffic = %(traffic)s)
      AND (%(to)s::text IS NULL OR series."to" = %(to)s)
    ORDER BY one.observed_at DESC, series.id DESC LIMIT %(limit)s
"""  # noqa: S608  # of this module
# Hours of the week by local time; 1 January 1970 was a Thursday. One number is computed for each
# row, since extracting a weekday and an hour takes longer than all the rest.
_SUMMARY = """
    SELECT series.id, series.traffic, series."to", series.queue::text, series.source_id,
           hours.*
    FROM observation_series series
    JOIN unnest(%(sides)s::text[], %(zones)s::text[]) AS clock (to_side, zone)
      ON to_side = series."to"
    CROSS JOIN LATERAL (
        SELECT mod(floor(date_part('epoch', observed_at AT TIME ZONE zone) / 3600)::integer + 72,
                   168) AS hour_of_week,
               count(*) AS observations,
               percentile_cont(%(shares)s::float8[]) WITHIN GROUP (ORDER BY minutes) AS quantiles,
               count(*) FILTER (WHERE minutes IS NULL AND NOT closed) AS unknown,
               count(*) FILTER (WHERE closed) AS closed
        FROM observation
        WHERE series_id = series.id
          AND observed_at >= %(from)s AND observed_at < %(until)s
        GROUP BY 1
    ) hours
    WHERE series.crossing_id = %(crossing)s
      AND (%(traffic)s::text IS NULL OR series.traffic = %(traffic)s)
      AND (%(to)s::text IS NULL OR series."to" = %(to)s)
    ORDER BY series.id, hour_of_week
"""


# Of dropped partitions only the latest observations are left.
_OUTDATED = """
    SELECT crossing_id FROM latest_observation latest JOIN observation_series ON id = series_id
    CROSS JOIN LATERAL (
        SELECT * FROM observation WHERE series_id = latest.series_id
        ORDER BY observed_at DESC LIMIT 1
    ) newest
    WHERE newest.observed_at > latest.observed_at
       OR (newest.observed_at = latest.observed_at
           AND to_jsonb(newest) IS DISTINCT FROM to_jsonb(latest))
    GROUP BY crossing_id ORDER BY crossing_id
"""


class _ObservationRow(NamedTuple):
    series_id: int
    crossing_id: str
    traffic: str
    to: str
    queue: str
    source_id: UUID
    observed_at: datetime
    recorded_at: datetime
    recorded_by: str
    shown_until: datetime
    closed: bool
    minutes: int | None
    vehicles: int | None
    lanes_open: int | None
    moving: bool | None
    paused: bool | None
    estimate: bool
    method: str
    source_name: str

    def observed(self) -> Observed:
        return Observed(
            series_id=self.series_id,
            lane=lane_of(self.traffic, self.to),
            queue=_same(self.queue),
            source=_same_id(self.source_id),
            observed_at=self.observed_at.astimezone(UTC),
            recorded_at=self.recorded_at.astimezone(UTC),
            shown_until=self.shown_until.astimezone(UTC),
            closed=self.closed,
            minutes=self.minutes,
            vehicles=self.vehicles,
            lanes_open=self.lanes_open,
            moving=self.moving,
            paused=self.paused,
            estimate=self.estimate,
            method=ObservationMethod(self.method),
            source_name=_same(self.source_name),
        )


class _HourRow(NamedTuple):
    series_id: int
    traffic: str
    to: str
    queue: str
    source_id: UUID
    hour_of_week: int
    observations: int
    quantiles: list[float | None] | None
    unknown: int
    closed: int


class _Name(NamedTuple):
    crossing: str


class _Instant(NamedTuple):
    instant: datetime


@shared("observed lanes", most=1_000, entry_bytes=500)
def lane_of(traffic: str, to: str) -> Lane:
    return Lane(Traffic(traffic), to)


# The board keeps the latest of all crossings in memory: equal values are shared.
@remembered("observed names", bound=2**22, result_bytes=0)
def _same(text: str) -> str:
    return text


@shared("observation sources", most=10_000, entry_bytes=200)
def _same_id(source: UUID) -> UUID:
    return source


async def waits_of(
    session: AsyncSession,
    crossings: Sequence[str],
    *,
    at: datetime | None,
    as_of: AsOf,
    snapshot: Snapshot,
) -> Mapping[str, Waits]:
    """Return the waits of crossings at an instant, as known; of the present by default.

    A crossing without any is left out.
    """
    if as_of.is_present(at):
        return await latest_waits(session, crossings)
    instant = at or snapshot.now
    parameters = {
        "crossings": list(crossings),
        "at": instant,
        "earliest": instant - _LONGEST_SHOWN,
        "latest": instant + CLOCK_SKEW,
        "recorded_before": await recorded_before(session, as_of),
    }
    return _by_crossing(await fetch(session, _ObservationRow, _AT, parameters))


async def latest_waits(session: AsyncSession, crossings: Sequence[str]) -> dict[str, Waits]:
    rows = await fetch(session, _ObservationRow, _LATEST_OF, {"crossings": list(crossings)})
    return _by_crossing(rows)


async def latest_since(
    session: AsyncSession, recorded_after: datetime
) -> tuple[dict[str, Waits], datetime]:
    """Return the observations that became the latest of their series since an instant.

    Also return when the newest of them was recorded: the instant to call this with next.
    """
    parameters = {"recorded_after": recorded_after}
    rows = await fetch(session, _ObservationRow, _LATEST_SINCE, parameters)
    newest = max((row.recorded_at for row in rows), default=recorded_after)
    return _by_crossing(rows), newest.astimezone(UTC)


async def newest_recorded(session: AsyncSession) -> datetime:
    """Return when the newest of the latest observations was recorded."""
    [(newest,)] = await fetch(session, _Instant, _NEWEST, {"before_all": BEFORE_ALL})
    return newest.astimezone(UTC)


async def find_outdated(session: AsyncSession) -> list[str]:
    """Return the crossings whose stored latest observation is not the last one observed."""
    return [crossing for (crossing,) in await fetch(session, _Name, _OUTDATED)]


def _by_crossing(rows: Iterable[_ObservationRow]) -> dict[str, Waits]:
    by_crossing: defaultdict[str, list[Observed]] = defaultdict(list)
    for row in rows:
        by_crossing[row.crossing_id].append(row.observed())
    return {name: Waits(tuple(observed)) for name, observed in by_crossing.items()}


async def recorded_before(session: AsyncSession, as_of: AsOf) -> datetime:
    """Return the instant before which an observation must have been recorded to be known.

    As known at a change is as known until the next one.
    """
    if as_of.is_newest:
        return _LAST_INSTANT
    async with driver(session) as connection:
        # A batch that is not committed yet may have been recorded before the given instant.
        await connection.execute(_SHARE)
    if as_of.known_at is not None:
        return as_of.known_at + timedelta(microseconds=1)
    parameters = {"change": (as_of.known_change or 0) + 1}
    rows = await fetch(session, _Instant, _RECORDED, parameters)
    return rows[0].instant if rows else _LAST_INSTANT


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationFilter:
    """Which observations of a crossing to read."""

    crossing: str
    traffic: Traffic | None = None
    to: str | None = None
    from_: datetime | None = None
    until: datetime | None = None


async def list_observations(
    session: AsyncSession,
    *,
    observation_filter: ObservationFilter,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[tuple[int, ObservationOut]]:
    """Return a crossing's observations, each with its series, those observed last first.

    ``after`` is the instant and the series of the one before. Raises CrossingNotFound,
    LaneNotFound, and Invalid for a period without a length.
    """
    await _require_lanes(session, observation_filter)
    if (
        observation_filter.from_ is not None
        and observation_filter.until is not None
        and observation_filter.until <= observation_filter.from_
    ):
        raise invalid("until", "must lie after from", where="query")
    last, last_series = after or (_LAST_INSTANT, 0)
    parameters = {
        "crossing": observation_filter.crossing,
        "traffic": observation_filter.traffic and observation_filter.traffic.value,
        "to": observation_filter.to,
        "from": observation_filter.from_ or BEFORE_ALL,
        "until": observation_filter.until or _LAST_INSTANT,
        "last": last,
        "last_series": last_series,
        "limit": limit,
    }
    return [
        (
            row.series_id,
            observation_out(row.observed(), crossing=row.crossing_id, recorded_by=row.recorded_by),
        )
        for row in await fetch(session, _ObservationRow, _LIST, parameters)
    ]


async def summarise_observations(
    session: AsyncSession, *, observation_filter: ObservationFilter
) -> ObservationSummary:
    """Return what was observed at a crossing by hour of the week, for each series.

    Of four weeks by default. Raises CrossingNotFound, LaneNotFound, and Invalid for a period
    without a length or too long.
    """
    details = await _require_lanes(session, observation_filter)
    until = observation_filter.until or (await take_snapshot(session, AsOf())).now.astimezone(UTC)
    start = observation_filter.from_ or until - SUMMARY_PERIOD
    if until <= start:
        raise invalid("until", "must lie after from", where="query")
    if until - start > LONGEST_SUMMARY:
        raise invalid(
            "from", f"must lie within {LONGEST_SUMMARY.days} days of until", where="query"
        )
    # Traffic waits on the side that it is leaving.
    zones = {
        to: zone_of(leaving, details.point).key
        for to, leaving in (details.sides, details.sides[::-1])
    }
    parameters = {
        "crossing": observation_filter.crossing,
        "traffic": observation_filter.traffic and observation_filter.traffic.value,
        "to": observation_filter.to,
        "from": start,
        "until": until,
        "sides": list(zones),
        "zones": list(zones.values()),
        "shares": [0.5, 0.9],
    }
    by_series: defaultdict[int, list[_HourRow]] = defaultdict(list)
    for row in await fetch(session, _HourRow, _SUMMARY, parameters):
        by_series[row.series_id].append(row)
    return ObservationSummary(
        crossing=observation_filter.crossing,
        from_=start,
        until=until,
        series=[_series_out(rows, zones[rows[0].to]) for rows in by_series.values()],
    )


def _series_out(rows: Sequence[_HourRow], zone: str) -> SeriesSummary:
    first = rows[0]
    return SeriesSummary(
        traffic=Traffic(first.traffic),
        to=first.to,
        queue=queue_of(first.queue),
        source=first.source_id,
        time_zone=zone,
        hours=[_hour_out(row) for row in rows],
    )


def _hour_out(row: _HourRow) -> HourOut:
    median, p90 = row.quantiles or (None, None)
    days, hour = divmod(row.hour_of_week, 24)
    return HourOut(
        weekday=days + 1,
        hour=hour,
        count=row.observations,
        median_minutes=median,
        p90_minutes=p90,
        unknown_share=row.unknown / row.observations,
        closed_share=row.closed / row.observations,
    )


async def _require_lanes(session: AsyncSession, observation_filter: ObservationFilter) -> Details:
    """Return the details of the crossing. Raises LaneNotFound if it has no such lane."""
    details = await details_of_one(session, observation_filter.crossing, known_change=2**62)
    require_lanes(details, observation_filter.traffic, observation_filter.to)
    return details
