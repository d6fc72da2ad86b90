"""Record observations, in batches from one source each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import rfc8785
from psycopg.rows import args_row
from psycopg.types.json import Jsonb
from pydantic_core import to_json
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.ids import seed_id
from app.changes.service import reserve_slot, wire_instant
from app.config import Settings
from app.database.driver import driver, fetch
from app.errors import FieldError, Forbidden, Invalid, invalid
from app.observations.schemas import (
    ClosedWait,
    FaultyRow,
    KnownWait,
    ObservationIn,
    ObservationsOut,
    Queue,
)
from app.sources.models import Source
from app.sources.schemas import SourceIn
from app.sources.service import record_source
from app.vocabulary import Traffic

OBSERVATION_LOCK = 0x4F425345525645  # any number, as long as every writer takes the same
CLOCK_SKEW = timedelta(minutes=1)
"""How far the clock of an observer may be ahead of ours."""
WAITS_AS_OF = "Waits-As-Of"
"""Header of the answer to a batch: the present waits that include it are as of that instant."""

_CROSSINGS = """
    SELECT crossing.id, border.first, border.second, newest.traffic, newest.retired_at
    FROM crossing JOIN border ON border.id = border_id CROSS JOIN LATERAL (
        SELECT traffic, retired_at FROM crossing_version WHERE crossing_id = crossing.id
        ORDER BY change DESC LIMIT 1
    ) newest
    WHERE crossing.id = ANY (%(crossings)s)
"""
_NOW = "SELECT clock_timestamp()"
# One batch at a time, so that instants of recording follow the order of commits, and a reader
# that reads by them misses none.
TAKE_LOCK = f"SELECT pg_advisory_xact_lock({OBSERVATION_LOCK})"
_MAKE_PARTITIONS = """
    SELECT make_observation_partitions(
        least(%(earliest)s, clock_timestamp()), clock_timestamp() + interval '1 day')
"""
# Rows are passed as JSON, which takes the driver a fraction of the time of arrays.
_GIVEN_SERIES = """
    jsonb_to_recordset(%(series)s) AS given (
        place integer, crossing_id text, traffic text, "to" text, queue jsonb)
"""
_GIVEN_ROWS = """
    jsonb_to_recordset(%(rows)s) AS given (
        place integer, observed_at timestamptz, closed boolean, minutes integer,
        vehicles integer, lanes_open smallint, moving boolean, paused boolean, estimate boolean,
        method text)
"""
_IS_KNOWN = """
    (known.crossing_id, known.traffic, known."to", known.source_id, known.queue)
  = (given.crossing_id, given.traffic, given."to", %(source)s, given.queue)
"""
# Not by ON CONFLICT, which would use up a number for each series that exists.
_ADD_SERIES = f"""
    INSERT INTO observation_series (crossing_id, traffic, "to", queue, source_id)
    SELECT given.crossing_id, given.traffic, given."to", given.queue, %(source)s
    FROM {_GIVEN_SERIES}
    WHERE NOT EXISTS (SELECT FROM observation_series known WHERE {_IS_KNOWN})
"""  # noqa: S608  # of this module
_ADD = f"""
    WITH series AS MATERIALIZED (
        SELECT id, place FROM {_GIVEN_SERIES} JOIN observation_series known ON {_IS_KNOWN}
    ), slot AS MATERIALIZED (
        SELECT greatest(
            clock_timestamp(),
            (SELECT max(recorded_at) + interval '1 microsecond' FROM latest_observation)
        ) AS recorded_at
    ), added AS (
        INSERT INTO observation (series_id, observed_at, recorded_at, recorded_by, shown_until,
                                 closed, minutes, vehicles, lanes_open, moving, paused, estimate,
                                 method)
        SELECT series.id, coalesce(given.observed_at, slot.recorded_at), slot.recorded_at,
               %(recorded_by)s,
               least(coalesce(given.observed_at, slot.recorded_at), slot.recorded_at)
                   + %(shown_for)s,
               closed, minutes, vehicles, lanes_open, moving, paused, estimate, method
        FROM {_GIVEN_ROWS} JOIN series USING (place) CROSS JOIN slot
        ORDER BY series.id, given.observed_at
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM added
"""  # noqa: S608  # of this module
_NEWEST = "SELECT coalesce(max(recorded_at), clock_timestamp()) FROM latest_observation"


@dataclass(frozen=True, slots=True)
class ObservationLimits:
    """How long observations are kept, and how long they are shown as present waits."""

    keep: timedelta
    shown_for: timedelta

    @classmethod
    def of(cls, settings: Settings) -> "ObservationLimits":
        return cls(
            keep=timedelta(days=settings.observations_keep_days),
            shown_for=timedelta(seconds=settings.wait_max_age),
        )


class _CrossingRow(NamedTuple):
    id: str
    first: str
    second: str
    traffic: list[str]
    retired_at: datetime | None

    @property
    def sides(self) -> tuple[str, str]:
        return self.first, self.second


class _Now(NamedTuple):
    now: datetime


class _Added(NamedTuple):
    rows: int


_SeriesKey = tuple[str, Traffic, str, Queue | None]


async def record_observations(
    session: AsyncSession,
    reporter: Reporter,
    *,
    source: UUID | SourceIn,
    observations: Sequence[ObservationIn | FaultyRow],
    limits: ObservationLimits,
) -> WriteResult:
    """Append the observations of one source: all of them or none.

    Equal inline sources are recorded once. Observations that the source already has for the same
    lane, queue and instant are skipped and counted. The body of the result is an
    `ObservationsOut`. Raises Invalid, which names bad rows by their index, and Forbidden for a
    crossing of which the reporter may speak for neither side.
    """
    rows = [observation for observation in observations if isinstance(observation, ObservationIn)]
    crossings = {
        crossing.id: crossing
        for crossing in await _crossings(session, {observation.crossing for observation in rows})
    }
    [(now,)] = await fetch(session, _Now, _NOW)
    _require_sound(observations, crossings, now, limits)
    _require_sides(reporter, crossings.values())
    source_id, change = await _source(session, reporter, source)
    recorded, newest = await _append(session, reporter, source_id, rows, limits)
    body = ObservationsOut(
        recorded=recorded,
        duplicates=len(rows) - recorded,
        source=source_id,
        change=change,
    )
    return WriteResult(
        body,
        None,
        change,
        set() if change is None else {str(source_id)},
        {WAITS_AS_OF: wire_instant(newest)},
    )


async def _crossings(session: AsyncSession, ids: Iterable[str]) -> list[_CrossingRow]:
    return await fetch(session, _CrossingRow, _CROSSINGS, {"crossings": sorted(ids)})


def _require_sound(
    observations: Sequence[ObservationIn | FaultyRow],
    crossings: Mapping[str, _CrossingRow],
    now: datetime,
    limits: ObservationLimits,
) -> None:
    faults: list[FieldError] = []
    omitted = 0
    for index, row in enumerate(observations):
        if isinstance(row, FaultyRow):
            row_faults: Iterable[tuple[str, str]] = row.faults
            omitted += row.untold
        else:
            row_faults = _faults(row, crossings.get(row.crossing), now, limits)
        faults += [
            FieldError("body", f"observations.{index}" + (field and f".{field}"), message)
            for field, message in row_faults
        ]
    if faults:
        raise Invalid(faults, count=len(faults) + omitted)


def _faults(
    row: ObservationIn, crossing: _CrossingRow | None, now: datetime, limits: ObservationLimits
) -> Iterable[tuple[str, str]]:
    if crossing is None:
        yield "crossing", f"there is no crossing {row.crossing!r}"
    else:
        if crossing.retired_at is not None:
            yield "crossing", f"{row.crossing} is retired"
        if row.to not in crossing.sides:
            yield "to", f"{row.crossing} leads to {' and '.join(crossing.sides)}, not {row.to}"
        if row.traffic not in crossing.traffic:
            yield "traffic", f"{row.crossing} is not authorised for {row.traffic}"
    if row.observed_at is not None and row.observed_at > now + CLOCK_SKEW:
        yield "observed_at", "lies in the future"
    if row.observed_at is not None and row.observed_at < now - limits.keep:
        yield "observed_at", f"is older than the {limits.keep.days} days that are kept"


def _require_sides(reporter: Reporter, crossings: Iterable[_CrossingRow]) -> None:
    for crossing in crossings:
        if reporter.sides is not None and reporter.sides.isdisjoint(crossing.sides):
            raise Forbidden(
                f"The key {reporter.name!r} may not speak for {' or '.join(crossing.sides)}."
            )


async def _source(
    session: AsyncSession, reporter: Reporter, source: UUID | SourceIn
) -> tuple[UUID, int | None]:
    """Return the id of the source, and its change if it is recorded by this call."""
    if isinstance(source, UUID):
        if await session.scalar(select(Source.id).where(Source.id == source)) is None:
            raise invalid("source", f"there is no source {source}")
        return source, None
    # Equal sources have equal ids.
    seed = f"observations {rfc8785.dumps(source.model_dump(mode='json')).decode()}"
    source_id = seed_id(seed, "source")
    existing = select(Source.id).where(Source.id == source_id)
    if await session.scalar(existing) is None:
        # Another batch may be recording it: it has finished once this one has its slot in the log.
        await reserve_slot(session)
        if await session.scalar(existing) is None:
            recorded = await record_source(session, reporter, source=source, seed=seed)
            return source_id, recorded.change
    return source_id, None


async def _append(
    session: AsyncSession,
    reporter: Reporter,
    source_id: UUID,
    rows: Sequence[ObservationIn],
    limits: ObservationLimits,
) -> tuple[int, datetime]:
    """Append the rows that do not exist yet.

    Return how many were appended, and when the newest of the latest observations was recorded.
    """
    places: dict[_SeriesKey, int] = {}
    figures = [_figures(row, places.setdefault(_series_key(row), len(places))) for row in rows]
    parameters: dict[str, object] = {
        "source": source_id,
        "recorded_by": reporter.name,
        "shown_for": limits.shown_for,
        "earliest": min((row.observed_at for row in rows if row.observed_at), default=None),
        "series": _json([_series(key, place) for key, place in places.items()]),
        "rows": _json(figures),
    }
    async with driver(session) as connection:
        # One round trip; the lock is a statement of its own, so that the next ones see what
        # earlier writers have committed.
        async with connection.pipeline():
            await connection.execute(TAKE_LOCK)
            await connection.execute(_MAKE_PARTITIONS, parameters)
            await connection.execute(_ADD_SERIES, parameters)
            cursor = connection.cursor(row_factory=args_row(_Added))
            await cursor.execute(_ADD, parameters)
            newest_cursor = connection.cursor(row_factory=args_row(_Now))
            await newest_cursor.execute(_NEWEST)
        added, newest = await cursor.fetchone(), await newest_cursor.fetchone()
    assert added is not None  # it counts
    assert newest is not None
    return added.rows, newest.now


def _series_key(row: ObservationIn) -> _SeriesKey:
    return row.crossing, row.traffic, row.to, row.queue


def _series(key: _SeriesKey, place: int) -> dict[str, object]:
    crossing, traffic, to, queue = key
    return {
        "place": place,
        "crossing_id": crossing,
        "traffic": traffic,
        "to": to,
        "queue": {} if queue is None else queue.stored(),
    }


def _figures(row: ObservationIn, place: int) -> dict[str, object]:
    return {
        "place": place,
        "observed_at": row.observed_at and row.observed_at.isoformat(),
        "closed": isinstance(row.wait, ClosedWait),
        "minutes": row.wait.minutes if isinstance(row.wait, KnownWait) else None,
        "vehicles": row.vehicles,
        "lanes_open": row.lanes_open,
        "moving": row.moving,
        "paused": row.paused,
        "estimate": row.estimate,
        "method": row.method.value,
    }


def _json(rows: Sequence[Mapping[str, object]]) -> Jsonb:
    return Jsonb(rows, dumps=to_json)
