"""The observations that confirm an `open`: outside the log, kept for good, loaded as confirmations.

A feed has one every few minutes. None of them alters a status: it only puts off when the `open`
expires. Where one would alter a status, of now or of the past, a confirmation is recorded instead.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import LogSlot
from app.database.driver import driver, fetch
from app.observations.reading import BEFORE_ALL
from app.status.rule.history import Confirmation, Lane, Scope
from app.vocabulary import Traffic

# As of confirmations in `cut.sql`: the last one by the instant, the next one, and the newest. Each
# takes one look at an index, since in a series what was observed later was recorded later.
CONFIRMING = """(
    SELECT json_agg(json_build_array(series.id, series.traffic, series."to", one.observed_at,
                                     one.recorded_at))::text
    FROM observation_series series
    CROSS JOIN LATERAL (
        SELECT observed_at, recorded_at FROM confirming_observation
        WHERE series_id = series.id AND recorded_at <= %(known_at)s
        ORDER BY recorded_at DESC LIMIT 1
    ) newest
    CROSS JOIN LATERAL (
        SELECT newest.*
        UNION
        (SELECT observed_at, recorded_at FROM confirming_observation
         WHERE series_id = series.id AND observed_at <= least(%(at)s, newest.observed_at)
         ORDER BY observed_at DESC LIMIT 1)
        UNION
        (SELECT observed_at, recorded_at FROM confirming_observation
         WHERE series_id = series.id AND observed_at > %(at)s
           AND observed_at <= newest.observed_at
         ORDER BY observed_at LIMIT 1)
    ) one
    WHERE series.crossing_id = crossing.id
)"""
"""Those of a row of ``crossing`` that can matter to the parameter ``at``, as known ``known_at``."""
_ADD = """
    INSERT INTO confirming_observation (series_id, observed_at, recorded_at)
    SELECT series.id, given.observed_at,
           greatest(%(now)s, (SELECT max(recorded_at) + interval '1 microsecond'
                              FROM confirming_observation))
    FROM jsonb_to_recordset(%(lanes)s) AS given (
        crossing_id text, traffic text, "to" text, observed_at timestamptz)
    JOIN observation_series series
      ON (series.crossing_id, series.traffic, series."to", series.source_id, series.queue)
       = (given.crossing_id, given.traffic, given."to", %(source)s, '{}')
"""
_SINCE = """
    SELECT series.crossing_id, max(recorded_at)
    FROM confirming_observation JOIN observation_series series ON series.id = series_id
    WHERE recorded_at > %(recorded_after)s
    GROUP BY series.crossing_id
"""
_NEWEST = "SELECT coalesce(max(recorded_at), %(before_all)s) FROM confirming_observation"


class _Row(NamedTuple):
    series_id: int
    traffic: str
    to: str
    observed_at: datetime
    recorded_at: datetime

    def confirmation(self) -> Confirmation:
        """Return what it confirms: of the side that the traffic enters, whose authority saw it."""
        observed_at = self.observed_at.astimezone(UTC)
        microseconds = (observed_at - BEFORE_ALL) // timedelta(microseconds=1)
        return Confirmation(
            id=UUID(int=self.series_id << 64 | microseconds),
            recorded_at=self.recorded_at.astimezone(UTC),
            sides=frozenset({self.to}),
            confirmed_at=observed_at,
            scope=Scope(frozenset({Traffic(self.traffic)}), self.to),
            is_observed=True,
        )


_ROWS = TypeAdapter(list[_Row])


class _Recorded(NamedTuple):
    crossing: str
    recorded_at: datetime


class _Instant(NamedTuple):
    instant: datetime


@dataclass(frozen=True, slots=True)
class ObservedLane:
    """A lane of a crossing that was seen to work."""

    crossing: str
    lane: Lane
    observed_at: datetime


def confirmations(stored: str | None) -> list[Confirmation]:
    """Return the confirmations of a crossing, as `CONFIRMING` selects them."""
    return [] if stored is None else [row.confirmation() for row in _ROWS.validate_json(stored)]


async def record_confirming(
    session: AsyncSession, slot: LogSlot, *, source: UUID, lanes: Iterable[ObservedLane]
) -> None:
    """Keep the observations of whole lanes by a source; ``slot`` holds the lock of the log."""
    rows = [
        {
            "crossing_id": observed.crossing,
            "traffic": observed.lane.traffic.value,
            "to": observed.lane.to,
            "observed_at": observed.observed_at.isoformat(),
        }
        for observed in lanes
    ]
    parameters = {
        "lanes": Jsonb(rows),
        "source": source,
        "now": slot.recorded_at,
    }
    async with driver(session) as connection:
        await connection.execute(_ADD, parameters)


async def confirmed_since(
    session: AsyncSession, recorded_after: datetime
) -> tuple[list[str], datetime]:
    """Return the crossings that observations confirmed since an instant.

    Also return when the newest of these was recorded: the instant to call this with next.
    """
    parameters = {"recorded_after": recorded_after}
    rows = await fetch(session, _Recorded, _SINCE, parameters)
    newest = max((row.recorded_at for row in rows), default=recorded_after)
    return [row.crossing for row in rows], newest.astimezone(UTC)


async def newest_confirming(session: AsyncSession) -> datetime:
    """Return when the newest was recorded."""
    [(newest,)] = await fetch(session, _Instant, _NEWEST, {"before_all": BEFORE_ALL})
    return newest.astimezone(UTC)
