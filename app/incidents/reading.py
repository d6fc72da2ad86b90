"""Read incidents, and their stories: active decisions and notices in the order of time."""

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
from app.notices.reading import (
    NoticeFilter,
    conditions_of,
    corrections_of,
    notice_is_active,
    notices_out,
    retractions_of,
    versions_of,
)
from app.notices.schemas import NoticeOut, RetractionOut
from app.places.models import Border, Crossing
from app.sources.models import Citation
from app.sources.schemas import CitationOut
from app.sources.service import citations_of
from app.status.log import event_is_active, events_out
from app.status.models import StatusEvent
from app.status.schemas import EventOut

StoryPosition = tuple[datetime, int, UUID]
"""The position of an item in a story: its instant, its change, its id."""


async def get_incident(
    session: AsyncSession,
    incident_id: UUID,
    as_of: AsOf = AsOf(),  # noqa: B008  # immutable
) -> tuple[IncidentOut, Snapshot]:
    """Return an incident without its story, as known. Raises IncidentNotFound."""
    snapshot = await take_snapshot(session, as_of)
    row = await session.get(Incident, incident_id)
    if row is None or row.change > snapshot.change:
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
    """Return the incidents after ``after`` (a change and an id), the newest first.

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
        ids = _incidents_at(country=country, border=border, crossing=crossing, snapshot=snapshot)
        rows = rows.where(Incident.id.in_(versions_of(Incident.id.in_(ids))))
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
    """Return the active decisions and notices of an incident, the oldest first.

    The second value says whether there are more. With ``only_decisions`` notices are left out.
    """
    items = _members(incident_id, snapshot.change).subquery()
    rows = select(items).order_by(items.c.at, items.c.change, items.c.id).limit(limit + 1)
    if only_decisions:
        rows = rows.where(items.c.decides)
    if after is not None:
        rows = rows.where(tuple_(items.c.at, items.c.change, items.c.id) > after)
    candidates = (await session.execute(rows)).all()
    page = within(candidates, lambda row: row.weight, limit=limit)
    decisions = await active_decisions(
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


def story_cursor(item: StoryItem) -> tuple[str, str, str]:
    """Return the parts of a cursor for the items after this one."""
    decision = item.decision[0].decision if item.decision else None
    item_id = decision or (item.notice and item.notice.id)
    return item.at.isoformat(), str(item.change), str(item_id)


async def incidents_out(
    session: AsyncSession, rows: Sequence[Incident], *, snapshot: Snapshot
) -> list[IncidentOut]:
    """Return the bodies of incidents, with their corrections and retractions by ``snapshot``."""
    ids = [row.id for row in rows]
    citations = await citations_of(session, Citation.incident_id, ids)
    retractions = await retractions_of(session, RecordRetraction.incident_id, ids, snapshot.change)
    superseded_by = await corrections_of(session, Incident, ids, snapshot.change)
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
    """Return the body of an incident, from its row and from what later rows say about it."""
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
    """Return the condition that an incident is neither corrected nor retracted, as known."""
    later = aliased(Incident)
    return ~exists().where(later.supersedes == Incident.id, later.change <= known_change) & ~(
        exists().where(
            RecordRetraction.incident_id == Incident.id, RecordRetraction.change <= known_change
        )
    )


def _members(incident_id: UUID, known_change: int) -> Select[datetime, int, UUID, bool, int]:
    versions = versions_of(Incident.id == incident_id)
    decisions = (
        select(
            func.min(func.lower(StatusEvent.effective)).label("at"),
            func.max(StatusEvent.change).label("change"),
            StatusEvent.decision.label("id"),
            literal(value=True).label("decides"),
            func.count().label("weight"),
        )
        .where(
            StatusEvent.incident_id.in_(versions),
            StatusEvent.change <= known_change,
            event_is_active(known_change),
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
        Notice.incident_id.in_(versions),
        Notice.change <= known_change,
        notice_is_active(Notice, known_change),
    )
    members = union_all(decisions, notices).subquery()
    return select(members.c.at, members.c.change, members.c.id, members.c.decides, members.c.weight)


async def active_decisions(
    session: AsyncSession, decisions: Sequence[UUID], known_change: int
) -> dict[UUID, list[EventOut]]:
    """Return the active events of each decision, as known."""
    rows = await session.scalars(
        select(StatusEvent)
        .where(StatusEvent.decision.in_(decisions), event_is_active(known_change))
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


def _incidents_at(
    *, country: str | None, border: str | None, crossing: str | None, snapshot: Snapshot
) -> Select[UUID | None]:
    """Return the incidents with a notice about all these places, or with an event there."""
    notice_filter = NoticeFilter(country=country, border=border, crossing=crossing)
    notices = select(Notice.incident_id).where(
        *conditions_of(notice_filter, snapshot.change), Notice.incident_id.is_not(None)
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
    ids = union_all(notices, events).subquery()
    return select(ids.c.incident_id)
