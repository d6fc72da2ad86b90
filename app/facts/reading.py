"""What was drawn from a source and stands, in the source's own order."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.changes.service import Snapshot, take_snapshot
from app.facts.schemas import FactOut
from app.http.paging import invalid_cursor, within
from app.http.parameters import AsOf
from app.incidents.reading import (
    incident_is_active,
    incidents_by_id,
    notices_by_id,
    standing_decisions,
)
from app.notices.models import Incident, Notice
from app.notices.reading import notice_is_active
from app.places.details import crossing_details, details_of
from app.places.models import CrossingVersion
from app.sources.models import Citation
from app.sources.schemas import SourceOut
from app.sources.service import get_source
from app.status.log import event_is_active
from app.status.models import StatusEvent
from app.vocabulary import Basis

# Not every PostgreSQL has a collation that knows "paragraph 10" to come after "paragraph 9".
_NUMBERS: ColumnElement[list[int]] = literal_column(
    "ARRAY(SELECT found[1]::numeric FROM regexp_matches(citation.locator, '[0-9]+', 'g') found)"
)

FactRow = Row[*tuple[Any, ...]]
"""A citation and what it is of; Any is SQLAlchemy's own type of a row by name."""


async def get_source_facts(
    session: AsyncSession, source_id: UUID, *, after: int | None, limit: int
) -> tuple[SourceOut, list[tuple[int, FactOut]], bool, Snapshot]:
    """Return a source, its facts after the citation ``after``, and whether there are more.

    Each fact comes with its citation. Raises SourceNotFound, and Invalid for a citation of none.
    """
    snapshot = await take_snapshot(session, AsOf())
    source = await get_source(session, source_id)
    drawn = _facts_of(source_id, snapshot.change).subquery()
    rows = select(drawn).order_by(drawn.c.numbers, drawn.c.id).limit(limit + 1)
    if after is not None:
        # Its fact may be gone by now, but a citation never is.
        cited = (Citation.id == after, Citation.source_id == source_id)
        if await session.scalar(select(Citation.id).where(*cited)) is None:
            raise invalid_cursor()
        here = select(_NUMBERS.label("numbers"), Citation.id).where(*cited).subquery()
        place = tuple_(drawn.c.numbers, drawn.c.id)
        rows = rows.join(here, place > tuple_(here.c.numbers, here.c.id))
    candidates = (await session.execute(rows)).all()
    found = within(candidates, lambda row: row.weight, limit=limit)
    more = len(found) < len(candidates)
    return source, await _facts(session, found, snapshot), more, snapshot


async def _facts(
    session: AsyncSession, rows: Sequence[FactRow], snapshot: Snapshot
) -> list[tuple[int, FactOut]]:
    def named(column: str) -> list[Any]:  # ids of whatever type the column has
        return [one for row in rows if (one := getattr(row, column)) is not None]

    decisions = await standing_decisions(session, named("decision"), snapshot.change)
    notices = await notices_by_id(session, named("notice_id"), snapshot)
    incidents = await incidents_by_id(session, named("incident_id"), snapshot)
    details = await details_of(session, named("crossing_id"), known_change=snapshot.change)
    crossings = await crossing_details(session, details.values())
    return [
        (
            row.id,
            FactOut(
                locator=row.locator,
                basis=Basis(row.basis),
                decision=decisions.get(row.decision),
                notice=notices.get(row.notice_id),
                incident=incidents.get(row.incident_id),
                crossing=crossings.get(row.crossing_id),
            ),
        )
        for row in rows
    ]


def _facts_of(source_id: UUID, known_change: int) -> Select[*tuple[Any, ...]]:
    """Return the citations of a source; one for all the events of a decision."""
    newer = aliased(CrossingVersion)
    newest = (
        select(func.max(newer.change))
        .where(newer.crossing_id == Citation.crossing_id, newer.change <= known_change)
        .scalar_subquery()
    )
    recorded = func.coalesce(StatusEvent.change, Notice.change, Incident.change, Citation.version)
    stands = or_(
        and_(Citation.event_id.is_not(None), event_is_active(known_change)),
        and_(Citation.notice_id.is_not(None), notice_is_active(Notice, known_change)),
        and_(Citation.incident_id.is_not(None), incident_is_active(known_change)),
        Citation.version == newest,
    )
    of = (
        Citation.locator,
        Citation.basis,
        StatusEvent.decision,
        Citation.notice_id,
        Citation.incident_id,
        Citation.crossing_id,
    )
    return (
        select(
            func.min(Citation.id).label("id"),
            _NUMBERS.label("numbers"),
            func.count().label("weight"),
            *of,
        )
        .outerjoin(StatusEvent, StatusEvent.id == Citation.event_id)
        .outerjoin(Notice, Notice.id == Citation.notice_id)
        .outerjoin(Incident, Incident.id == Citation.incident_id)
        .where(Citation.source_id == source_id, recorded <= known_change, stands)
        .group_by(*of)
    )
