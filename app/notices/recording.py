"""Record, correct and retract notices; shared with incidents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.ids import new_ids
from app.changes.service import LogSlot, Snapshot, append_change, reserve_slot
from app.database.sessions import append
from app.errors import (
    CrossingRetired,
    Forbidden,
    NotCorrectable,
    NoticeNotFound,
    Problem,
    Superseded,
    invalid,
    raising,
)
from app.http.bodies import STORED, sides_of
from app.notices.models import Incident, Notice, RecordRetraction
from app.notices.reading import notice_out, notices_out, versions_of
from app.notices.records import notice_record, retraction_record
from app.notices.schemas import NoticeIn, NoticeRecorded
from app.places.details import details_of, require_in_use
from app.places.models import Border, Country, Crossing
from app.sources.service import NewCitations, cite, require_sources
from app.sources.statements import RetractionIn
from app.vocabulary import ChangeKind, Precision

# Constraints that a concurrent write can make fail after all checks have passed.
_PROBLEMS_BY_CONSTRAINT: Mapping[str, tuple[type[Problem], str]] = {
    "uq_notice_supersedes": (Superseded, "The notice was corrected already."),
    "uq_incident_supersedes": (Superseded, "The incident was corrected already."),
    "uq_retraction_notice_id": (Superseded, "The notice was retracted already."),
    "uq_retraction_incident_id": (Superseded, "The incident was retracted already."),
    "ck_notice_target_standing": (Superseded, "The notice was corrected or retracted already."),
    "ck_incident_target_standing": (
        Superseded,
        "The incident was corrected or retracted already.",
    ),
    "ck_incident_standing": (Superseded, "The incident was retracted already."),
    "ck_notice_crossings_in_use": (CrossingRetired, "A crossing that it names is retired."),
    "ck_retraction_target_standing": (Superseded, "It was corrected or retracted already."),
    "ck_notice_supersedes_no_firmer": (
        NotCorrectable,
        "An unconfirmed notice may supersede only an unconfirmed one.",
    ),
}


async def record_notice(
    session: AsyncSession, reporter: Reporter, *, notice: NoticeIn, seed: str | None = None
) -> WriteResult:
    """Append a notice, or the correction of one."""
    _require_issuer_side(reporter, notice.issuer.country)
    slot = await reserve_slot(session)
    effective = _effective(notice, slot)
    corrected = await _check_references(session, reporter, notice)
    places = await _places_of(session, notice, corrected, slot)
    await require_sources(session, notice.citations)
    cited = cite(slot, reporter, notice.citations)
    notice_id = new_ids(slot.recorded_at, ["notice"], seed=seed)["notice"]
    row = _row(notice, notice_id, effective, slot, reporter)
    body = notice_out(row, cited.citations, at=slot.recorded_at)
    incidents = {row.incident_id, corrected and corrected.incident_id} - {None}
    await append_change(
        session,
        slot,
        kind=ChangeKind.NOTICE,
        subjects={
            **places,
            "notices": ids_with_corrected(row),
            "incidents": sorted(map(str, incidents)),
            "sources": cited.source_ids(),
        },
        payload={"notices": [notice_record(body)], "sources": cited.source_records()},
        recorded_by=reporter.name,
    )
    codes = {*notice.subjects.countries, *filter(None, [notice.issuer.country])}
    for code in sorted(codes):
        await session.execute(insert(Country).values(code=code).on_conflict_do_nothing())
    await append_cited(session, row, cited)
    path = f"/v1/notices/{row.id}"
    (body_now,) = await notices_out(
        session, [row], snapshot=Snapshot(slot.number, slot.recorded_at)
    )
    recorded = NoticeRecorded.model_validate(
        {**dict(body_now), "undo": undo_paths(path, row)}, context=STORED
    )
    return WriteResult(recorded, path, slot.number, {str(row.id)} | cited.new_ids)


async def retract_notice(
    session: AsyncSession, reporter: Reporter, *, notice_id: UUID, retraction: RetractionIn
) -> WriteResult:
    """Withdraw a notice. Raises NoticeNotFound."""
    slot = await reserve_slot(session)
    target = await session.get(Notice, notice_id)
    if target is None:
        raise NoticeNotFound(f"There is no notice {notice_id}.")
    _require_issuer_side(reporter, target.issuer_country)
    places = await _with_wider_places(session, target.countries, target.borders, target.crossings)
    recorded_ids = await append_retraction(
        session,
        reporter,
        slot,
        kind=ChangeKind.NOTICE,
        subjects={
            **places,
            "notices": [str(notice_id)],
            "incidents": [str(target.incident_id)] if target.incident_id else [],
        },
        target=RecordRetraction(notice_id=notice_id),
        retraction=retraction,
    )
    snapshot = Snapshot(slot.number, slot.recorded_at)
    body = (await notices_out(session, [target], snapshot=snapshot))[0]
    recorded = NoticeRecorded.model_validate({**dict(body), "undo": []}, context=STORED)
    return WriteResult(recorded, f"/v1/notices/{notice_id}", slot.number, recorded_ids)


async def require_incident(
    session: AsyncSession, incident_id: UUID, *, field: str = "incident"
) -> Incident:
    """Return an incident. Raises Invalid if it does not exist or any version was retracted."""
    incident = await session.get(Incident, incident_id)
    if incident is None:
        raise invalid(field, f"there is no incident {incident_id}")
    versions = versions_of(Incident.id == incident_id)
    withdrawn = select(RecordRetraction.id).where(RecordRetraction.incident_id.in_(versions))
    if field == "incident" and await session.scalar(withdrawn) is not None:
        raise invalid(field, f"the incident {incident_id} was retracted")
    return incident


async def append_retraction(
    session: AsyncSession,
    reporter: Reporter,
    slot: LogSlot,
    *,
    kind: ChangeKind,
    subjects: Mapping[str, Sequence[str]],
    target: RecordRetraction,
    retraction: RetractionIn,
) -> set[str]:
    """Complete ``target``, append it, and return the new ids."""
    await require_sources(session, retraction.citations)
    cited = cite(slot, reporter, retraction.citations)
    target.id = new_ids(slot.recorded_at, ["retraction"])["retraction"]
    target.change, target.recorded_at = slot.number, slot.recorded_at
    target.recorded_by = reporter.name
    target.reason_code = retraction.reason.code.value
    target.reason_text = retraction.reason.text
    await append_change(
        session,
        slot,
        kind=kind,
        subjects={**subjects, "sources": cited.source_ids()},
        payload={
            "retractions": [retraction_record(target, cited.citations)],
            "sources": cited.source_records(),
        },
        recorded_by=reporter.name,
    )
    await append_cited(session, target, cited)
    return {str(target.id), *cited.new_ids}


async def append_cited(
    session: AsyncSession, row: Notice | Incident | RecordRetraction, cited: NewCitations
) -> None:
    await append(session, *cited.new_sources)
    with raising(_PROBLEMS_BY_CONSTRAINT):
        await append(session, row)
    column = f"{row.__tablename__}_id"
    await append(session, *cited.linked(**{column: row.id}))


def _require_issuer_side(reporter: Reporter, country: str | None) -> None:
    """Raise Forbidden for a key limited to sides, and an issuer of another country or of none."""
    if country is not None:
        reporter.require_sides([country])
    elif reporter.sides is not None:
        sides = ", ".join(sorted(reporter.sides))
        raise Forbidden(f"The key {reporter.name!r} may only speak for {sides}: name the country.")


def _row(
    notice: NoticeIn,
    notice_id: UUID,
    effective: Range[datetime],
    slot: LogSlot,
    reporter: Reporter,
) -> Notice:
    return Notice(
        id=notice_id,
        change=slot.number,
        recorded_at=slot.recorded_at,
        recorded_by=reporter.name,
        kind=notice.kind.value,
        issuer_country=notice.issuer.country,
        issuer_name=notice.issuer.name,
        countries=notice.subjects.countries,
        borders=notice.subjects.borders,
        crossings=notice.subjects.crossings,
        text=notice.text,
        figures=[figure.model_dump(mode="json") for figure in notice.figures],
        certainty=notice.certainty.value,
        effective=effective,
        precision=notice.precision.value,
        announced_at=notice.announced_at,
        incident_id=notice.incident,
        contradicts=notice.contradicts,
        supersedes=notice.supersedes,
    )


def _effective(notice: NoticeIn, slot: LogSlot) -> Range[datetime]:
    start, until = notice.effective.from_, notice.effective.until
    if start is None and notice.precision is not Precision.UNKNOWN:
        start = slot.recorded_at
    if start is not None and until is not None and until <= start:
        raise invalid("effective.until", "must lie after effective.from")
    if notice.announced_at is not None and notice.announced_at > slot.recorded_at:
        raise invalid("announced_at", "lies in the future")
    return Range(start, until)


async def _check_references(
    session: AsyncSession, reporter: Reporter, notice: NoticeIn
) -> Notice | None:
    """Check that what a notice refers to exists. Return the notice that it corrects, if any.

    Raises Invalid, and Forbidden if the reporter may not correct that notice.
    """
    if notice.incident is not None:
        await require_incident(session, notice.incident)
    ids = {*notice.contradicts, *filter(None, [notice.supersedes])}
    rows = await session.scalars(select(Notice).where(Notice.id.in_(ids)))
    notices = {row.id: row for row in rows}
    for notice_id in notice.contradicts:
        if notice_id not in notices:
            raise invalid("contradicts", f"there is no notice {notice_id}")
    if notice.supersedes is None:
        return None
    if notice.supersedes not in notices:
        raise invalid("supersedes", f"there is no notice {notice.supersedes}")
    corrected = notices[notice.supersedes]
    _require_issuer_side(reporter, corrected.issuer_country)
    return corrected


async def _places_of(
    session: AsyncSession, notice: NoticeIn, corrected: Notice | None, slot: LogSlot
) -> dict[str, list[str]]:
    """Return the places of a notice and of the notice that it corrects, with wider places.

    Raises Invalid for unknown places. Raises CrossingRetired, except for crossings that the
    corrected notice was already about.
    """
    subjects = notice.subjects
    known_crossings = await details_of(session, subjects.crossings, known_change=slot.number)
    known_borders = set(
        await session.scalars(select(Border.id).where(Border.id.in_(subjects.borders)))
    )
    for name in subjects.crossings:
        if name not in known_crossings:
            raise invalid("subjects.crossings", f"there is no crossing {name!r}")
    for name in subjects.borders:
        if name not in known_borders:
            raise invalid("subjects.borders", f"there is no border {name}")
    previous_crossings = [] if corrected is None else corrected.crossings
    added_crossings = [
        known_crossings[crossing_id]
        for crossing_id in subjects.crossings
        if crossing_id not in previous_crossings
    ]
    await require_in_use(session, added_crossings, known_change=slot.number)
    countries, borders, crossings = subjects.countries, subjects.borders, subjects.crossings
    if corrected is not None:
        countries = [*countries, *corrected.countries]
        borders = [*borders, *corrected.borders]
        crossings = [*crossings, *corrected.crossings]
    return await _with_wider_places(session, countries, borders, crossings)


async def _with_wider_places(
    session: AsyncSession,
    countries: Sequence[str],
    borders: Sequence[str],
    crossings: Sequence[str],
) -> dict[str, list[str]]:
    """Return places with the borders of the crossings and the countries of the borders."""
    rows = await session.scalars(
        select(Crossing.border_id).where(Crossing.id.in_(crossings)).distinct()
    )
    all_borders = sorted({*borders, *rows})
    sides = {side for border in all_borders for side in sides_of(border)}
    return {
        "crossings": sorted(set(crossings)),
        "borders": all_borders,
        "countries": sorted({*countries, *sides}),
    }


def ids_with_corrected(row: Notice | Incident) -> list[str]:
    """Return the ids of a row and of the row it corrects, whose followers need the change, too."""
    return [str(row_id) for row_id in (row.id, row.supersedes) if row_id is not None]


def undo_paths(path: str, row: Notice | Incident) -> list[str]:
    return [] if row.supersedes is not None else [f"{path}/retraction"]
