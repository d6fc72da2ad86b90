"""Record, correct and retract incidents."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.ids import new_ids
from app.changes.service import Snapshot, append_change, reserve_slot
from app.errors import Forbidden, IncidentNotFound
from app.http.bodies import STORED
from app.incidents.reading import incident_out, incidents_out
from app.incidents.records import incident_record
from app.incidents.schemas import IncidentIn, IncidentRecorded
from app.notices.models import Incident, RecordRetraction
from app.notices.recording import (
    append_cited,
    append_retraction,
    ids_with_corrected,
    require_incident,
    undo_paths,
)
from app.sources.service import cite, require_sources
from app.sources.statements import RetractionIn
from app.vocabulary import ChangeKind


async def record_incident(
    session: AsyncSession, reporter: Reporter, *, incident: IncidentIn, seed: str | None = None
) -> WriteResult:
    """Append an incident, or the correction of one."""
    slot = await reserve_slot(session)
    if incident.supersedes is not None:
        _require_own(
            reporter, await require_incident(session, incident.supersedes, field="supersedes")
        )
    await require_sources(session, incident.citations)
    cited = cite(slot, reporter, incident.citations)
    row = Incident(
        id=new_ids(slot.recorded_at, ["incident"], seed=seed)["incident"],
        change=slot.number,
        recorded_at=slot.recorded_at,
        recorded_by=reporter.name,
        title=incident.title,
        summary=incident.summary,
        supersedes=incident.supersedes,
    )
    body = incident_out(row, cited.citations)
    await append_change(
        session,
        slot,
        kind=ChangeKind.INCIDENT,
        subjects={
            "incidents": ids_with_corrected(row),
            "sources": cited.source_ids(),
        },
        payload={"incidents": [incident_record(body)], "sources": cited.source_records()},
        recorded_by=reporter.name,
    )
    await append_cited(session, row, cited)
    path = f"/v1/incidents/{row.id}"
    recorded = IncidentRecorded.model_validate(
        {**dict(body), "undo": undo_paths(path, row)}, context=STORED
    )
    return WriteResult(recorded, path, slot.number, {str(row.id)} | cited.new_ids)


async def retract_incident(
    session: AsyncSession, reporter: Reporter, *, incident_id: UUID, retraction: RetractionIn
) -> WriteResult:
    """Retract an incident, but not its decisions and notices. Raises IncidentNotFound."""
    slot = await reserve_slot(session)
    target = await session.get(Incident, incident_id)
    if target is None:
        raise IncidentNotFound(f"There is no incident {incident_id}.")
    _require_own(reporter, target)
    recorded_ids = await append_retraction(
        session,
        reporter,
        slot,
        kind=ChangeKind.INCIDENT,
        subjects={"incidents": [str(incident_id)]},
        target=RecordRetraction(incident_id=incident_id),
        retraction=retraction,
    )
    snapshot = Snapshot(slot.number, slot.recorded_at)
    body = (await incidents_out(session, [target], snapshot=snapshot))[0]
    recorded = IncidentRecorded.model_validate({**dict(body), "undo": []}, context=STORED)
    return WriteResult(recorded, f"/v1/incidents/{incident_id}", slot.number, recorded_ids)


def _require_own(reporter: Reporter, incident: Incident) -> None:
    """Raise Forbidden if a key limited to some sides changes the incident of another reporter."""
    if reporter.sides is not None and incident.recorded_by != reporter.name:
        raise Forbidden(
            f"The key {reporter.name!r} may only correct and withdraw its own incidents."
        )
