"""Read notices: lists of all, or those in force at an instant about a place."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    exists,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.changes.service import Snapshot, take_snapshot
from app.errors import NoticeNotFound
from app.http.bodies import STORED, sides_of, utc
from app.http.parameters import AsOf, Kind, require_existing
from app.notices.models import Incident, Notice, RecordRetraction
from app.notices.schemas import STALE_AFTER_DAYS, NoticeOut, RetractionOut
from app.places.models import Border, Crossing
from app.sources.models import Citation
from app.sources.schemas import CitationOut
from app.sources.service import citations_of
from app.vocabulary import NoticeKind


@dataclass(frozen=True, slots=True)
class NoticeFilter:
    """A filter of notices; None matches all. A place also matches notices about wider places."""

    kind: NoticeKind | None = None
    country: str | None = None
    border: str | None = None
    crossing: str | None = None
    incident: UUID | None = None
    source: UUID | None = None
    in_force_at: datetime | None = None


def _last_notice_changes_query() -> Select[str, int]:
    known_change = bindparam("known_change", type_=BigInteger)
    later = aliased(Notice)
    change = func.coalesce(RecordRetraction.change, later.change, Notice.change)
    changes = (
        select(func.unnest(Notice.crossings).label("crossing"), change.label("change"))
        .outerjoin(
            RecordRetraction,
            (RecordRetraction.notice_id == Notice.id) & (RecordRetraction.change <= known_change),
        )
        .outerjoin(later, (later.supersedes == Notice.id) & (later.change <= known_change))
        .where(
            Notice.crossings.overlap(bindparam("crossings", type_=ARRAY(Text))),
            Notice.change <= known_change,
        )
        .subquery()
    )
    return select(changes.c.crossing, func.max(changes.c.change)).group_by(changes.c.crossing)


def notice_is_active(
    notice: type[Notice], known_change: int | ColumnElement[int]
) -> ColumnElement[bool]:
    """Return the condition that a notice is neither corrected nor withdrawn, as known."""
    later = aliased(Notice)
    return ~exists().where(later.supersedes == notice.id, later.change <= known_change) & ~(
        exists().where(
            RecordRetraction.notice_id == notice.id, RecordRetraction.change <= known_change
        )
    )


def _contradictions_query() -> Select[UUID, UUID, int]:
    known_change = bindparam("known_change", type_=BigInteger)
    versions = (
        select(Notice.id.label("notice"), Notice.id.label("ancestor"), Notice.supersedes)
        .where(Notice.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
        .cte("older", recursive=True)
    )
    parent, other = aliased(Notice), aliased(Notice)
    versions = versions.union_all(
        select(versions.c.notice, parent.id, parent.supersedes).where(
            parent.id == versions.c.supersedes
        )
    )
    pairs = select(versions.c.notice, other.id, other.change).where(
        and_(
            other.contradicts.contains(array([versions.c.ancestor])),
            other.id != versions.c.notice,  # a correction may contradict what it corrects
            other.change <= known_change,
            notice_is_active(other, known_change),
        )
    )
    return pairs.order_by(other.change).distinct()


# Built once: building these queries takes longer than running them, and every answer needs them.
_LAST_NOTICE_CHANGES_QUERY = _last_notice_changes_query()
_CONTRADICTIONS_QUERY = _contradictions_query()


async def get_notice(session: AsyncSession, notice_id: UUID) -> tuple[NoticeOut, Snapshot]:
    """Return a notice with its later corrections and retraction. Raises NoticeNotFound."""
    snapshot = await take_snapshot(session, AsOf())
    row = await session.get(Notice, notice_id)
    if row is None:
        raise NoticeNotFound(f"There is no notice {notice_id}.")
    return (await notices_out(session, [row], snapshot=snapshot))[0], snapshot


async def list_notices(
    session: AsyncSession,
    *,
    notice_filter: NoticeFilter,
    after: tuple[int, UUID] | None,
    limit: int,
) -> tuple[list[NoticeOut], Snapshot]:
    """Return the notices after ``after`` (a change and an id), the newest first.

    Raises Invalid for a place, an incident or a source that does not exist.
    """
    await require_existing(
        session,
        {
            "country": (Kind.COUNTRY, [notice_filter.country]),
            "border": (Kind.BORDER, [notice_filter.border]),
            "crossing": (Kind.CROSSING, [notice_filter.crossing]),
            "incident": (Kind.INCIDENT, [notice_filter.incident]),
            "source": (Kind.SOURCE, [notice_filter.source]),
        },
    )
    snapshot = await take_snapshot(session, AsOf())
    rows = _newest_query(notice_filter, snapshot.change).limit(limit)
    if after is not None:
        rows = rows.where(tuple_(Notice.change, Notice.id) < after)
    notices = (await session.scalars(rows)).all()
    return await notices_out(
        session, notices, snapshot=snapshot, at=notice_filter.in_force_at
    ), snapshot


async def notices_in_force(
    session: AsyncSession, *, about: NoticeFilter, at: datetime, snapshot: Snapshot, limit: int
) -> list[NoticeOut]:
    """Return the newest notices about a place in force at ``at``, as known by ``snapshot``."""
    rows = _newest_query(replace(about, in_force_at=at), snapshot.change).limit(limit)
    return await notices_out(session, (await session.scalars(rows)).all(), snapshot=snapshot, at=at)


async def notices_out(
    session: AsyncSession, rows: Sequence[Notice], *, snapshot: Snapshot, at: datetime | None = None
) -> list[NoticeOut]:
    """Return the bodies of notices, with their corrections and retractions by ``snapshot``.

    Whether they are stale is as of ``at``, by default of the snapshot.
    """
    ids = [row.id for row in rows]
    citations = await citations_of(session, Citation.notice_id, ids)
    retractions = await retractions_of(session, RecordRetraction.notice_id, ids, snapshot.change)
    superseded_by = await corrections_of(session, Notice, ids, snapshot.change)
    contradictions = await _contradictions_of(session, ids, snapshot.change)
    return [
        notice_out(
            row,
            citations[row.id],
            contradicted_by=contradictions[row.id],
            superseded_by=superseded_by.get(row.id),
            retraction=retractions.get(row.id),
            at=at or snapshot.now,
        )
        for row in rows
    ]


def notice_out(
    row: Notice,
    citations: Sequence[CitationOut],
    *,
    contradicted_by: Sequence[UUID] = (),
    superseded_by: UUID | None = None,
    retraction: RetractionOut | None = None,
    at: datetime,
) -> NoticeOut:
    """Return the body of a notice, from its row and from what later rows say about it."""
    said_at = row.announced_at or row.recorded_at
    is_old = at - said_at >= timedelta(days=STALE_AFTER_DAYS)
    return NoticeOut.model_validate(
        {
            "id": row.id,
            "kind": row.kind,
            "change": row.change,
            "issuer": {"country": row.issuer_country, "name": row.issuer_name},
            "subjects": {
                "countries": row.countries,
                "borders": row.borders,
                "crossings": row.crossings,
            },
            "text": row.text,
            "figures": row.figures,
            "certainty": row.certainty,
            "effective": {"from": utc(row.effective.lower), "until": utc(row.effective.upper)},
            "precision": row.precision,
            "announced_at": utc(row.announced_at),
            "incident": row.incident_id,
            "contradicts": row.contradicts,
            "supersedes": row.supersedes,
            "recorded_at": utc(row.recorded_at),
            "recorded_by": row.recorded_by,
            "citations": list(citations),
            "contradicted_by": list(contradicted_by),
            "superseded_by": superseded_by,
            "retraction": retraction,
            "stale": row.effective.upper is None and is_old,
        },
        context=STORED,
    )


async def corrections_of(
    session: AsyncSession,
    table: type[Notice] | type[Incident],
    ids: Iterable[UUID],
    known_change: int,
) -> dict[UUID | None, UUID]:
    """Return the ids of the corrections of notices or incidents, by the id of their target."""
    rows = select(table.supersedes, table.id).where(
        table.supersedes.in_(list(ids)), table.change <= known_change
    )
    return dict((await session.execute(rows)).all())


async def retractions_of(
    session: AsyncSession,
    target: InstrumentedAttribute[UUID | None],
    ids: Iterable[UUID],
    known_change: int,
) -> dict[UUID | None, RetractionOut]:
    """Return the retractions of notices or incidents, by the id of their target."""
    rows = (
        await session.scalars(
            select(RecordRetraction).where(
                target.in_(list(ids)), RecordRetraction.change <= known_change
            )
        )
    ).all()
    citations = await citations_of(session, Citation.retraction_id, [row.id for row in rows])
    return {
        row.notice_id or row.incident_id: retraction_out(row, citations[row.id]) for row in rows
    }


def retraction_out(row: RecordRetraction, citations: Sequence[CitationOut]) -> RetractionOut:
    return RetractionOut.model_validate(
        {
            "id": row.id,
            "change": row.change,
            "recorded_at": utc(row.recorded_at),
            "recorded_by": row.recorded_by,
            "reason": {"code": row.reason_code, "text": row.reason_text},
            "citations": list(citations),
        },
        context=STORED,
    )


async def last_noticed(
    session: AsyncSession, crossing_ids: Sequence[str], known_change: int
) -> dict[str, int]:
    """Return the newest change of each crossing by a notice about it, or by the undoing of one."""
    parameters = {"crossings": list(crossing_ids), "known_change": known_change}
    return dict((await session.execute(_LAST_NOTICE_CHANGES_QUERY, parameters)).all())


def versions_of(condition: ColumnElement[bool]) -> Select[UUID]:
    """Return the ids of all versions of some incidents, earlier and later."""
    versions = (
        select(Incident.id, Incident.supersedes).where(condition).cte("chain", recursive=True)
    )
    other = aliased(Incident)
    versions = versions.union(
        select(other.id, other.supersedes).where(
            or_(other.id == versions.c.supersedes, other.supersedes == versions.c.id)
        )
    )
    return select(versions.c.id)


def _newest_query(notice_filter: NoticeFilter, known_change: int) -> Select[Notice]:
    return (
        select(Notice)
        .where(*conditions_of(notice_filter, known_change))
        .order_by(Notice.change.desc(), Notice.id.desc())
    )


def conditions_of(notice_filter: NoticeFilter, known_change: int) -> list[ColumnElement[bool]]:
    """Return the conditions that the filter puts on a notice."""
    conditions: list[ColumnElement[bool]] = [Notice.change <= known_change]
    if notice_filter.kind is not None:
        conditions.append(Notice.kind == notice_filter.kind.value)
    if notice_filter.incident is not None:
        conditions.append(
            Notice.incident_id.in_(versions_of(Incident.id == notice_filter.incident))
        )
    if notice_filter.source is not None:
        cited = (Citation.notice_id == Notice.id, Citation.source_id == notice_filter.source)
        conditions.append(exists().where(*cited))
    if notice_filter.country is not None:
        conditions.append(_about_country(notice_filter.country))
    if notice_filter.border is not None:
        conditions.append(_about_border(notice_filter.border))
    if notice_filter.crossing is not None:
        conditions.append(_about_crossing(notice_filter.crossing))
    if notice_filter.in_force_at is not None:
        conditions += [_in_force(notice_filter.in_force_at), notice_is_active(Notice, known_change)]
    return conditions


def _in_force(at: datetime) -> ColumnElement[bool]:
    """Return the condition that a notice is in force.

    With an unknown start it is in force from when it was announced, or else recorded.
    """
    said_at = func.coalesce(Notice.announced_at, Notice.recorded_at)
    return Notice.effective.contains(at) & or_(~func.lower_inf(Notice.effective), said_at <= at)


def _about_country(code: str) -> ColumnElement[bool]:
    """Return the condition that a notice is about a country, one of its borders or crossings."""
    borders = select(Border.id).where(or_(Border.first == code, Border.second == code))
    return or_(
        Notice.countries.contains([code]),
        _overlaps(Notice.borders, borders),
        _overlaps(Notice.crossings, select(Crossing.id).where(Crossing.border_id.in_(borders))),
    )


def _about_border(border: str) -> ColumnElement[bool]:
    """Return the condition that a notice is about a border, its crossings or its countries."""
    return or_(
        Notice.countries.overlap(sides_of(border)),
        Notice.borders.contains([border]),
        _overlaps(Notice.crossings, select(Crossing.id).where(Crossing.border_id == border)),
    )


def _about_crossing(crossing: str) -> ColumnElement[bool]:
    """Return the condition that a notice is about a crossing, its border or its countries."""
    borders = (
        select(Border.id)
        .join(Crossing, Crossing.border_id == Border.id)
        .where(Crossing.id == crossing)
    )
    countries = (
        select(func.unnest(array([Border.first, Border.second])))
        .join(Crossing, Crossing.border_id == Border.id)
        .where(Crossing.id == crossing)
    )
    return or_(
        Notice.crossings.contains([crossing]),
        _overlaps(Notice.borders, borders),
        _overlaps(Notice.countries, countries),
    )


def _overlaps(column: InstrumentedAttribute[list[str]], values: Select[str]) -> ColumnElement[bool]:
    return column.bool_op("&&")(func.array(values.scalar_subquery()))


async def _contradictions_of(
    session: AsyncSession, ids: Sequence[UUID], known_change: int
) -> dict[UUID, list[UUID]]:
    """Return the active notices that contradict each of ``ids``, or a version it corrects."""
    result: defaultdict[UUID, list[UUID]] = defaultdict(list)
    parameters = {"ids": list(ids), "known_change": known_change}
    for notice, contradicting, _ in await session.execute(_CONTRADICTIONS_QUERY, parameters):
        result[notice].append(contradicting)
    return result
