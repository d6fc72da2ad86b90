"""Read the active facts that cite a source, in the order of their locators."""

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
    active_decisions,
    incident_is_active,
    incidents_by_id,
    notices_by_id,
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

# Sorts "paragraph 10" after "paragraph 9": not every PostgreSQL has a numeric collation.
_LOCATOR_NUMBERS: ColumnElement[list[int]] = literal_column(
    "ARRAY(SELECT match[1]::numeric FROM regexp_matches(citation.locator, '[0-9]+', 'g') match)"
)

FactRow = Row[*tuple[Any, ...]]
"""A citation with the ids of its fact. Any is SQLAlchemy's type of columns by name."""


async def get_source_facts(
    session: AsyncSession, source_id: UUID, *, after: int | None, limit: int
) -> tuple[SourceOut, list[tuple[int, FactOut]], bool, Snapshot]:
    """Return a source, its facts after the citation ``after``, and whether there are more.

    Each fact comes with the id of its citation. Raises SourceNotFound, and Invalid if ``after`` is
    not a citation of the source.
    """
    snapshot = await take_snapshot(session, AsOf())
    source = await get_source(session, source_id)
    citations = _facts_of(source_id, snapshot.change).subquery()
    rows = select(citations).order_by(citations.c.numbers, citations.c.id).limit(limit + 1)
    if after is not None:
        # The fact may be retracted by now, but citations are never deleted.
        condition = (Citation.id == after, Citation.source_id == source_id)
        if await session.scalar(select(Citation.id).where(*condition)) is None:
            raise invalid_cursor()
        start = select(_LOCATOR_NUMBERS.label("numbers"), Citation.id).where(*condition).subquery()
        position = tuple_(citations.c.numbers, citations.c.id)
        rows = rows.join(start, position > tuple_(start.c.numbers, start.c.id))
    candidates = (await session.execute(rows)).all()
    page = within(candidates, lambda row: row.weight, limit=limit)
    more = len(page) < len(candidates)
    return source, await _facts(session, page, snapshot), more, snapshot


async def _facts(
    session: AsyncSession, rows: Sequence[FactRow], snapshot: Snapshot
) -> list[tuple[int, FactOut]]:
    def ids_in(column: str) -> list[Any]:  # Any: the columns have different types
        return [value for row in rows if (value := getattr(row, column)) is not None]

    decisions = await active_decisions(session, ids_in("decision"), snapshot.change)
    notices = await notices_by_id(session, ids_in("notice_id"), snapshot)
    incidents = await incidents_by_id(session, ids_in("incident_id"), snapshot)
    details = await details_of(session, ids_in("crossing_id"), known_change=snapshot.change)
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
    """Return the citations of a source with active facts, one for all events of a decision."""
    newer = aliased(CrossingVersion)
    newest = (
        select(func.max(newer.change))
        .where(newer.crossing_id == Citation.crossing_id, newer.change <= known_change)
        .scalar_subquery()
    )
    recorded = func.coalesce(StatusEvent.change, Notice.change, Incident.change, Citation.version)
    is_active = or_(
        and_(Citation.event_id.is_not(None), event_is_active(known_change)),
        and_(Citation.notice_id.is_not(None), notice_is_active(Notice, known_change)),
        and_(Citation.incident_id.is_not(None), incident_is_active(known_change)),
        Citation.version == newest,
    )
    columns = (
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
            _LOCATOR_NUMBERS.label("numbers"),
            func.count().label("weight"),
            *columns,
        )
        .outerjoin(StatusEvent, StatusEvent.id == Citation.event_id)
        .outerjoin(Notice, Notice.id == Citation.notice_id)
        .outerjoin(Incident, Incident.id == Citation.incident_id)
        .where(Citation.source_id == source_id, recorded <= known_change, is_active)
        .group_by(*columns)
    )
