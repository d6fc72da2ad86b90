"""Load only what the present and the future of crossings need, out of however long a log.

All is read as known at a change. Since logs only grow, that takes no snapshot of the database.
A log is cut at an instant ``since``: what is left gives the same answers from then on. An event
that nobody undid is left out only if it cannot matter any more: it has ended by ``since``, or is
lifted for good, and among those that speak for the same sides about the same lanes there is
newer evidence.
Since when the present status has held may lie further back: then the log is cut earlier.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, cast
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from app.changes.service import recorded_at
from app.notices.reading import last_noticed
from app.places.details import Details, crossing_details, details_of
from app.places.schemas import CrossingDetails
from app.sources.models import Citation
from app.sources.schemas import CitationOut
from app.status.log import event_out, history_of
from app.status.models import StatusEvent
from app.status.rule.history import History
from app.status.rule.resolution import present_period
from app.status.schemas import EventOut

_SLICE = 500
"""Crossings that are loaded at once: so few that the database needs no disk for it."""
_DEPTHS = (timedelta(days=30), timedelta(days=365), None)
"""How far back a log is looked at, the next only where the one before did not reach."""

# `reach` is the last instant that an event speaks about, `heard` the newest evidence that it
# had given by :since, `said` when it was said at the latest. What a firm declaration without an
# end lifts by :since stays lifted, so that it speaks as evidence only; a correction, which was
# said when its target was, is not relied on to lift. Corrections need what they correct; these
# are few, which the planner cannot know (OFFSET 0 keeps it to the index).
_KEPT = text("""
    WITH RECURSIVE standing AS (
        SELECT id, supersedes, crossing_id, sides, traffic, "to", recorded_at, confirmed_at,
               lower(effective) AS start, upper(effective) AS "end",
               certainty IS NOT DISTINCT FROM 'unconfirmed' AS rumour,
               certainty = 'confirmed' AND upper_inf(effective) AND lower(effective) <= :since
                   AND (supersedes IS NULL OR announced_at IS NOT NULL) AS lifts,
               CASE WHEN supersedes IS NOT NULL AND announced_at IS NULL THEN recorded_at
                    ELSE least(announced_at, recorded_at) END AS said
        FROM status_event one
        WHERE crossing_id = ANY (:crossings) AND kind <> 'retraction' AND change <= :known
          AND NOT EXISTS (SELECT FROM status_event later
                          WHERE later.supersedes = one.id AND later.change <= :known)
          AND NOT EXISTS (SELECT FROM status_event later
                          WHERE later.retracts = one.id AND later.change <= :known)
    ), ranked AS (
        SELECT id, supersedes, rumour,
               coalesce(confirmed_at, "end", start) AS last_word,
               confirmed_at IS NULL AND "end" IS NULL AS endless,
               coalesce(greatest(
                   max(said) FILTER (WHERE lifts) OVER (alike ORDER BY start DESC),
                   max(said) FILTER (WHERE lifts AND traffic IS NULL AND "to" IS NULL) OVER (
                       PARTITION BY crossing_id, sides, rumour ORDER BY start DESC
                   )
               ) > said, false) AS lifted,
               coalesce(
                   max(greatest(
                       CASE WHEN confirmed_at <= :since THEN confirmed_at END,
                       CASE WHEN start <= :since THEN least(start, recorded_at) END,
                       CASE WHEN "end" <= :since THEN least("end", recorded_at) END
                   )) OVER alike,
                   '-infinity'
               ) AS heard
        FROM standing
        WINDOW alike AS (PARTITION BY crossing_id, sides, traffic, "to", rumour)
    ), kept AS (
        SELECT id, supersedes FROM ranked
        WHERE last_word >= heard OR (endless AND (rumour OR NOT lifted))
        UNION
        SELECT target.id, target.supersedes
        FROM kept CROSS JOIN LATERAL (
            SELECT id, supersedes FROM status_event WHERE id = kept.supersedes OFFSET 0
        ) target
        WHERE kept.supersedes IS NOT NULL
    )
    SELECT id FROM kept
""").bindparams(
    bindparam("since", type_=TIMESTAMP(timezone=True)),
    bindparam("crossings", type_=ARRAY(Text)),
)
_EVENT, _CITATION = StatusEvent.__table__.c, Citation.__table__.c
_CITED = (
    select(
        func.json_agg(
            aggregate_order_by(
                func.json_build_object(
                    *("source", _CITATION.source_id),
                    *("locator", _CITATION.locator),
                    *("basis", _CITATION.basis),
                ),
                _CITATION.id,
            )
        ).cast(Text)
    )
    .where(_CITATION.event_id == _EVENT.id)
    .scalar_subquery()
)
# Plain rows have the same attributes as entities, at a fraction of the price.
_CUT = select(_CITED, *_EVENT).where(_EVENT.id.in_(select(_KEPT.columns(_EVENT.id).subquery())))
_CITATIONS = TypeAdapter(list[CitationOut])
_EVER = datetime.fromisoformat("1900-01-01T00:00:00Z")
"""No instant lies before it, so a log cut here is whole but for what was undone."""


@dataclass(frozen=True, slots=True)
class Place:
    """A crossing's details, and the last change that touches it with the instant of that."""

    details: Details
    told: CrossingDetails
    change: int | None
    recorded_at: datetime | None
    depth: int = 0
    """Where in `_DEPTHS` its log was last found to reach back far enough."""


class Kept(NamedTuple):
    """An event that a cut log holds, and its citations as JSON; None if it has none."""

    row: StatusEvent
    cited: str | None

    def may_be_shown(self, now: datetime) -> bool:
        effective = self.row.effective
        return effective is not None and (effective.upper is None or effective.upper > now)

    def body(self) -> EventOut:
        """Return its body: nobody has undone it, else the crossing would be loaded anew."""
        return event_out(self.row, _CITATIONS.validate_json(self.cited or "[]"))


class Shown(Mapping[UUID, EventOut]):
    """Events by id, each made a body when it is first asked for."""

    def __init__(self, events: Iterable[Kept]) -> None:
        self._events = {one.row.id: one for one in events}
        self._bodies: dict[UUID, EventOut] = {}

    def __getitem__(self, event_id: UUID) -> EventOut:
        if event_id not in self._bodies:
            self._bodies[event_id] = self._events[event_id].body()
        return self._bodies[event_id]

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)


@dataclass(frozen=True, slots=True)
class Present:
    """What answers about a crossing are made of, from some instant on."""

    place: Place
    history: History
    events: Shown
    """Those that may still be shown."""


async def present_of(
    session: AsyncSession, crossing_ids: Sequence[str], *, now: datetime, known_change: int
) -> dict[str, Present]:
    """Return what answers for ``now`` and later need, of those crossings that exist."""
    found: dict[str, Present] = {}
    for batch in slices(crossing_ids):
        details = await details_of(session, batch, known_change=known_change)
        told = await crossing_details(session, details.values())
        changes = await _changes(session, details, known_change)
        recorded = await recorded_at(session, changes.values())
        places = {
            name: Place(one, told[name], changes.get(name), recorded.get(changes.get(name, 0)))
            for name, one in details.items()
        }
        found |= await present_at(session, places, now=now, known_change=known_change)
    return found


async def present_at(
    session: AsyncSession, places: Mapping[str, Place], *, now: datetime, known_change: int
) -> dict[str, Present]:
    """Return what answers for ``now`` and later need, of places of which all else is known."""
    found: dict[str, Present] = {}
    for batch in slices(sorted(places)):
        some = {name: places[name] for name in batch}
        found |= await _presents(session, some, now, known_change)
    return found


async def _presents(
    session: AsyncSession, places: Mapping[str, Place], now: datetime, known_change: int
) -> dict[str, Present]:
    """Cut each log late enough to be short and early enough to be right.

    With it is kept the depth at which that was so: the next time begins there.
    """
    found: dict[str, Present] = {}
    for depth, reach in enumerate(_DEPTHS):
        since = _EVER if reach is None else now - reach
        pending = [name for name, one in places.items() if one.depth <= depth and name not in found]
        logs = await _cut(session, pending, since, known_change) if pending else {}
        for name in pending:
            place, log = places[name], logs.get(name, [])
            history = history_of(place.details, (one.row for one in log))
            if reach is None or present_period(history, now, since=since)[0] != since:
                shown = Shown(one for one in log if one.may_be_shown(now))
                found[name] = Present(replace(place, depth=depth), history, shown)
    return found


async def _cut(
    session: AsyncSession, crossing_ids: Sequence[str], since: datetime, known_change: int
) -> dict[str, list[Kept]]:
    given = {"since": since, "crossings": list(crossing_ids), "known": known_change}
    found: dict[str, list[Kept]] = {}
    for row in await session.execute(_CUT, given):
        found.setdefault(row.crossing_id, []).append(Kept(cast("StatusEvent", row), row[0]))
    return found


async def _changes(
    session: AsyncSession, details: Mapping[str, Details], known_change: int
) -> dict[str, int]:
    """Return the last change that touches each crossing."""
    events = (
        select(StatusEvent.crossing_id, func.max(StatusEvent.change))
        .where(StatusEvent.crossing_id.in_(list(details)), StatusEvent.change <= known_change)
        .group_by(StatusEvent.crossing_id)
    )
    found = {name: one.version.change for name, one in details.items() if one.known}
    for name, change in (await session.execute(events)).all():
        found[name] = max(found.get(name, 0), change)
    for name, change in (await last_noticed(session, list(details), known_change)).items():
        found[name] = max(found.get(name, 0), change)
    return found


def slices(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield crossings as few at a time as are best loaded at once."""
    for start in range(0, len(ids), _SLICE):
        yield ids[start : start + _SLICE]
