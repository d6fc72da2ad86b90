"""Read incidents, each as one story: what belongs to it and stands, in the order of time."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.changes.service import Snapshot, take_snapshot
from app.errors import IncidentNotFound
from app.http.bodies import STORED, utc
from app.http.paging import within
from app.http.parameters import AsOf, Kind, require_existing
from app.incidents.schemas import IncidentOut, StoryItem
from app.notices.models import Incident, Notice, RecordRetraction
from app.notices.reading import NoticeFilter, lineage, notices_out, retractions_of, wanted
from app.notices.reading import notice_is_active as notice_stands
from app.notices.schemas import NoticeOut, RetractionOut
from app.places.models import Border, Crossing
from app.sources.models import Citation
from app.sources.schemas import CitationOut
from app.sources.service import citations_of
from app.status.log import event_is_active as event_stands
from app.status.log import events_out
from app.status.models import StatusEvent
from app.status.schemas import EventOut

StoryPosition = tuple[datetime, int, UUID]
"""Where an item stands in a story: its instant, its change, its id."""


async def get_incident(session: AsyncSession, incident_id: UUID) -> tuple[IncidentOut, Snapshot]:
    """Return one incident without its story. Raises IncidentNotFound."""
    snapshot = await take_snapshot(session, AsOf())
    row = await session.get(Incident, incident_id)
    if row is None:
        raise IncidentNotFound(f"There is no incident {incident_id}.")
    return (await incidents_out(session, [row], snapshot=snapshot))[0], snapshot


async def list_incidents(
    session: AsyncSession,
    *,
    country: str | None = None,
    border: str | None = None,
    crossing: str | None = None,
    source: UUID | None = None,
    after: tuple[int, UUID] | None,
    limit: int,
) -> tuple[list[IncidentOut], Snapshot]:
    """Return incidents, the newest first, from the one after ``after``: its change and id.

    Raises Invalid for a place or a source that does not exist.
    """
    await require_existing(
        session,
        {
            "country": (Kind.COUNTRY, [country]),
            "border": (Kind.BORDER, [border]),
            "crossing": (Kind.CROSSING, [crossing]),
            "source": (Kind.SOURCE, [source]),
        },
    )
    snapshot = await take_snapshot(session, AsOf())
    rows = (
        select(Incident)
        .where(Incident.change <= snapshot.change)
        .order_by(Incident.change.desc(), Incident.id.desc())
        .limit(limit)
    )
    if source is not None:
        cited = (Citation.incident_id == Incident.id, Citation.source_id == source)
        rows = rows.where(exists().where(*cited))
    if country or border or crossing:
        touching = _touching(country=country, border=border, crossing=crossing, snapshot=snapshot)
        rows = rows.where(Incident.id.in_(lineage(Incident.id.in_(touching))))
    if after is not None:
        rows = rows.where(tuple_(Incident.change, Incident.id) < after)
    page = (await session.scalars(rows)).all()
    return await incidents_out(session, page, snapshot=snapshot), snapshot


async def story_of(
    session: AsyncSession,
    incident_id: UUID,
    *,
    snapshot: Snapshot,
    after: StoryPosition | None,
    limit: int,
    only_decisions: bool = False,
) -> tuple[list[StoryItem], bool]:
    """Return the standing decisions and notices of an incident, the oldest first.

    And whether there are more of them; with ``only_decisions`` without the notices.
    """
    items = _members(incident_id, snapshot.change).subquery()
    rows = select(items).order_by(items.c.at, items.c.change, items.c.id).limit(limit + 1)
    if only_decisions:
        rows = rows.where(items.c.decides)
    if after is not None:
        here = tuple_(items.c.at, items.c.change, items.c.id)
        rows = rows.where(here > after)
    candidates = (await session.execute(rows)).all()
    page = within(candidates, lambda row: row.weight, limit=limit)
    decisions = await standing_decisions(
        session, [row.id for row in page if row.decides], snapshot.change
    )
    notices = await notices_by_id(session, [row.id for row in page if not row.decides], snapshot)
    return [
        StoryItem(
            at=row.at,
            change=row.change,
            decision=decisions[row.id] if row.decides else None,
            notice=None if row.decides else notices[row.id],
        )
        for row in page
    ], len(page) < len(candidates)


async def incidents_out(
    session: AsyncSession, rows: Sequence[Incident], *, snapshot: Snapshot
) -> list[IncidentOut]:
    """Return incidents as bodies, with what became of them by ``snapshot``."""
    ids = [row.id for row in rows]
    citations = await citations_of(session, Citation.incident_id, ids)
    retractions = await retractions_of(session, RecordRetraction.incident_id, ids, snapshot.change)
    later = await session.execute(
        select(Incident.supersedes, Incident.id).where(
            Incident.supersedes.in_(ids), Incident.change <= snapshot.change
        )
    )
    superseded_by = dict(later.all())
    return [
        incident_out(
            row,
            citations[row.id],
            superseded_by=superseded_by.get(row.id),
            retraction=retractions.get(row.id),
        )
        for row in rows
    ]


def incident_out(
    row: Incident,
    citations: Sequence[CitationOut],
    *,
    superseded_by: UUID | None = None,
    retraction: RetractionOut | None = None,
) -> IncidentOut:
    """Return an incident as a body, from what the log and its later rows say."""
    return IncidentOut.model_validate(
        {
            "id": row.id,
            "change": row.change,
            "title": row.title,
            "summary": row.summary,
            "supersedes": row.supersedes,
            "recorded_at": utc(row.recorded_at),
            "recorded_by": row.recorded_by,
            "citations": list(citations),
            "superseded_by": superseded_by,
            "retraction": retraction,
        },
        context=STORED,
    )


def incident_is_active(known_change: int) -> ColumnElement[bool]:
    """Return the condition that an incident is neither corrected nor withdrawn, as known."""
    later = aliased(Incident)
    return ~exists().where(later.supersedes == Incident.id, later.change <= known_change) & ~(
        exists().where(
            RecordRetraction.incident_id == Incident.id, RecordRetraction.change <= known_change
        )
    )


def _members(incident_id: UUID, known_change: int) -> Select[datetime, int, UUID, bool, int]:
    chain = lineage(Incident.id == incident_id)
    decisions = (
        select(
            func.min(func.lower(StatusEvent.effective)).label("at"),
            func.max(StatusEvent.change).label("change"),
            StatusEvent.decision.label("id"),
            literal(value=True).label("decides"),
            func.count().label("weight"),
        )
        .where(
            StatusEvent.incident_id.in_(chain),
            StatusEvent.change <= known_change,
            event_stands(known_change),
        )
        .group_by(StatusEvent.decision)
    )
    notices = select(
        func.coalesce(func.lower(Notice.effective), Notice.announced_at, Notice.recorded_at).label(
            "at"
        ),
        Notice.change.label("change"),
        Notice.id.label("id"),
        literal(value=False).label("decides"),
        literal(1).label("weight"),
    ).where(
        Notice.incident_id.in_(chain),
        Notice.change <= known_change,
        notice_stands(Notice, known_change),
    )
    both = union_all(decisions, notices).subquery()
    return select(both.c.at, both.c.change, both.c.id, both.c.decides, both.c.weight)


async def standing_decisions(
    session: AsyncSession, decisions: Sequence[UUID], known_change: int
) -> dict[UUID, list[EventOut]]:
    """Return what stands of each decision, as known."""
    rows = await session.scalars(
        select(StatusEvent)
        .where(StatusEvent.decision.in_(decisions), event_stands(known_change))
        .order_by(StatusEvent.crossing_id)
    )
    events: defaultdict[UUID, list[EventOut]] = defaultdict(list)
    for event in await events_out(session, rows.all(), known_change=known_change):
        events[event.decision].append(event)
    return events


async def notices_by_id(
    session: AsyncSession, ids: Sequence[UUID], snapshot: Snapshot
) -> dict[UUID, NoticeOut]:
    rows = await session.scalars(select(Notice).where(Notice.id.in_(ids)))
    return {
        notice.id: notice for notice in await notices_out(session, rows.all(), snapshot=snapshot)
    }


async def incidents_by_id(
    session: AsyncSession, ids: Sequence[UUID], snapshot: Snapshot
) -> dict[UUID, IncidentOut]:
    rows = await session.scalars(select(Incident).where(Incident.id.in_(ids)))
    return {
        incident.id: incident
        for incident in await incidents_out(session, rows.all(), snapshot=snapshot)
    }


def _touching(
    *, country: str | None, border: str | None, crossing: str | None, snapshot: Snapshot
) -> Select[UUID | None]:
    """Return the incidents with a notice about all these places, or an event of a crossing."""
    about = NoticeFilter(country=country, border=border, crossing=crossing)
    notices = select(Notice.incident_id).where(
        *wanted(about, snapshot.change), Notice.incident_id.is_not(None)
    )
    events = (
        select(StatusEvent.incident_id)
        .join(Crossing, Crossing.id == StatusEvent.crossing_id)
        .join(Border, Border.id == Crossing.border_id)
        .where(StatusEvent.incident_id.is_not(None), StatusEvent.change <= snapshot.change)
    )
    if country is not None:
        events = events.where(or_(Border.first == country, Border.second == country))
    if border is not None:
        events = events.where(Border.id == border)
    if crossing is not None:
        events = events.where(Crossing.id == crossing)
    both = union_all(notices, events).subquery()
    return select(both.c.incident_id)
