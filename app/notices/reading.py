"""Read notices: all of the log, or what holds at an instant for a place."""

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
    """Which notices are asked for; None asks for all. Places also take what is wider."""

    kind: NoticeKind | None = None
    country: str | None = None
    border: str | None = None
    crossing: str | None = None
    incident: UUID | None = None
    source: UUID | None = None
    in_force_at: datetime | None = None


def _last_noticed() -> Select[str, int]:
    known_change = bindparam("known_change", type_=BigInteger)
    later = aliased(Notice)
    change = func.coalesce(RecordRetraction.change, later.change, Notice.change)
    named = (
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
    return select(named.c.crossing, func.max(named.c.change)).group_by(named.c.crossing)


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


def _contradictions() -> Select[UUID, UUID, int]:
    known_change = bindparam("known_change", type_=BigInteger)
    older = (
        select(Notice.id.label("notice"), Notice.id.label("ancestor"), Notice.supersedes)
        .where(Notice.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
        .cte("older", recursive=True)
    )
    parent, other = aliased(Notice), aliased(Notice)
    older = older.union_all(
        select(older.c.notice, parent.id, parent.supersedes).where(parent.id == older.c.supersedes)
    )
    pairs = select(older.c.notice, other.id, other.change).where(
        and_(
            other.contradicts.contains(array([older.c.ancestor])),
            other.id != older.c.notice,  # a correction may contradict what it corrects
            other.change <= known_change,
            notice_is_active(other, known_change),
        )
    )
    return pairs.order_by(other.change).distinct()


# Built once: building them takes longer than running them, and every answer asks them.
_LAST_NOTICED = _last_noticed()
_CONTRADICTING = _contradictions()


async def get_notice(session: AsyncSession, notice_id: UUID) -> tuple[NoticeOut, Snapshot]:
    """Return one notice, and what became of it. Raises NoticeNotFound."""
    snapshot = await take_snapshot(session, AsOf())
    row = await session.get(Notice, notice_id)
    if row is None:
        raise NoticeNotFound(f"There is no notice {notice_id}.")
    return (await notices_out(session, [row], snapshot=snapshot))[0], snapshot


async def list_notices(
    session: AsyncSession, *, asked: NoticeFilter, after: tuple[int, UUID] | None, limit: int
) -> tuple[list[NoticeOut], Snapshot]:
    """Return notices, the newest first, from the one after ``after``: its change and id.

    Raises Invalid for a place, an incident or a source that does not exist.
    """
    await require_existing(
        session,
        {
            "country": (Kind.COUNTRY, [asked.country]),
            "border": (Kind.BORDER, [asked.border]),
            "crossing": (Kind.CROSSING, [asked.crossing]),
            "incident": (Kind.INCIDENT, [asked.incident]),
            "source": (Kind.SOURCE, [asked.source]),
        },
    )
    snapshot = await take_snapshot(session, AsOf())
    rows = _newest(asked, snapshot.change).limit(limit)
    if after is not None:
        rows = rows.where(tuple_(Notice.change, Notice.id) < after)
    notices = (await session.scalars(rows)).all()
    return await notices_out(session, notices, snapshot=snapshot, at=asked.in_force_at), snapshot


async def notices_in_force(
    session: AsyncSession, *, about: NoticeFilter, at: datetime, snapshot: Snapshot, limit: int
) -> list[NoticeOut]:
    """Return the newest notices ``about`` a place that hold at ``at``, as known then."""
    rows = _newest(replace(about, in_force_at=at), snapshot.change).limit(limit)
    return await notices_out(session, (await session.scalars(rows)).all(), snapshot=snapshot, at=at)


async def notices_out(
    session: AsyncSession, rows: Sequence[Notice], *, snapshot: Snapshot, at: datetime | None = None
) -> list[NoticeOut]:
    """Return notices as bodies, with what became of them by ``snapshot``; stale as of ``at``."""
    ids = [row.id for row in rows]
    citations = await citations_of(session, Citation.notice_id, ids)
    retractions = await retractions_of(session, RecordRetraction.notice_id, ids, snapshot.change)
    later = await session.execute(
        select(Notice.supersedes, Notice.id).where(
            Notice.supersedes.in_(ids), Notice.change <= snapshot.change
        )
    )
    superseded_by = dict(later.all())
    against = await _contradicting(session, ids, snapshot.change)
    return [
        notice_out(
            row,
            citations[row.id],
            contradicted_by=against[row.id],
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
    """Return a notice as a body, from what the log and its later rows say."""
    said_at = row.announced_at or row.recorded_at
    old = at - said_at >= timedelta(days=STALE_AFTER_DAYS)
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
            "stale": row.effective.upper is None and old,
        },
        context=STORED,
    )


async def retractions_of(
    session: AsyncSession,
    target: InstrumentedAttribute[UUID | None],
    ids: Iterable[UUID],
    known_change: int,
) -> dict[UUID | None, RetractionOut]:
    """Return the retraction of each of the notices, or incidents, that has one."""
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
    """Return the last change of each crossing by a notice naming it, or by what undid that."""
    parameters = {"crossings": list(crossing_ids), "known_change": known_change}
    return dict((await session.execute(_LAST_NOTICED, parameters)).all())


def lineage(of: ColumnElement[bool]) -> Select[UUID]:
    """Return the ids of some incidents, of what they correct and of what corrects them."""
    chain = select(Incident.id, Incident.supersedes).where(of).cte("chain", recursive=True)
    other = aliased(Incident)
    chain = chain.union(
        select(other.id, other.supersedes).where(
            or_(other.id == chain.c.supersedes, other.supersedes == chain.c.id)
        )
    )
    return select(chain.c.id)


def _newest(asked: NoticeFilter, known_change: int) -> Select[Notice]:
    return (
        select(Notice)
        .where(*wanted(asked, known_change))
        .order_by(Notice.change.desc(), Notice.id.desc())
    )


def wanted(asked: NoticeFilter, known_change: int) -> list[ColumnElement[bool]]:
    """Return the conditions on a notice that together say what is asked for."""
    conditions: list[ColumnElement[bool]] = [Notice.change <= known_change]
    if asked.kind is not None:
        conditions.append(Notice.kind == asked.kind.value)
    if asked.incident is not None:
        conditions.append(Notice.incident_id.in_(lineage(Incident.id == asked.incident)))
    if asked.source is not None:
        cited = (Citation.notice_id == Notice.id, Citation.source_id == asked.source)
        conditions.append(exists().where(*cited))
    if asked.country is not None:
        conditions.append(_about_country(asked.country))
    if asked.border is not None:
        conditions.append(_about_border(asked.border))
    if asked.crossing is not None:
        conditions.append(_about_crossing(asked.crossing))
    if asked.in_force_at is not None:
        conditions += [_in_force(asked.in_force_at), notice_is_active(Notice, known_change)]
    return conditions


def _in_force(at: datetime) -> ColumnElement[bool]:
    """Where the start is unknown, a notice holds from when it was announced or recorded."""
    said = func.coalesce(Notice.announced_at, Notice.recorded_at)
    return Notice.effective.contains(at) & or_(~func.lower_inf(Notice.effective), said <= at)


def _about_country(code: str) -> ColumnElement[bool]:
    """Ask whether it names the country, one of its borders or a crossing there."""
    borders = select(Border.id).where(or_(Border.first == code, Border.second == code))
    return or_(
        Notice.countries.contains([code]),
        _overlaps(Notice.borders, borders),
        _overlaps(Notice.crossings, select(Crossing.id).where(Crossing.border_id.in_(borders))),
    )


def _about_border(border: str) -> ColumnElement[bool]:
    """Ask whether it names the border, a crossing there, or one of the two countries."""
    return or_(
        Notice.countries.overlap(sides_of(border)),
        Notice.borders.contains([border]),
        _overlaps(Notice.crossings, select(Crossing.id).where(Crossing.border_id == border)),
    )


def _about_crossing(crossing: str) -> ColumnElement[bool]:
    """Ask whether it names the crossing, its border, or one of the two countries."""
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


def _overlaps(column: InstrumentedAttribute[list[str]], wanted: Select[str]) -> ColumnElement[bool]:
    return column.bool_op("&&")(func.array(wanted.scalar_subquery()))


async def _contradicting(
    session: AsyncSession, ids: Sequence[UUID], known_change: int
) -> dict[UUID, list[UUID]]:
    """Return the standing notices that contradict each of ``ids``, or what it corrects."""
    result: defaultdict[UUID, list[UUID]] = defaultdict(list)
    parameters = {"ids": list(ids), "known_change": known_change}
    for notice, contradicting, _ in await session.execute(_CONTRADICTING, parameters):
        result[notice].append(contradicting)
    return result
