"""Notices, incidents and retractions as serialised for the hash chain, from their tables."""

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.incidents.reading import incident_out
from app.incidents.schemas import IncidentOut
from app.notices.models import Incident, Notice, RecordRetraction
from app.notices.reading import notice_out
from app.notices.records import notice_record, retraction_record
from app.sources.models import Citation
from app.sources.service import citations_of


def incident_record(incident: IncidentOut) -> JsonValue:
    """Return the record of an incident, without the fields that later rows determine."""
    record: JsonValue = incident.model_dump(mode="json", exclude={"superseded_by", "retraction"})
    return record


async def notice_records(
    session: AsyncSession, *, first: int, last: int
) -> list[tuple[str, int, JsonValue]]:
    """Return the rows of changes ``first`` to ``last``: table, change and record."""
    records: list[tuple[str, int, JsonValue]] = []
    notices = (
        await session.scalars(select(Notice).where(Notice.change.between(first, last)))
    ).all()
    cited = await citations_of(session, Citation.notice_id, [row.id for row in notices])
    for row in notices:
        body = notice_out(row, cited[row.id], at=row.recorded_at)
        records.append(("notices", row.change, notice_record(body)))
    incidents = (
        await session.scalars(select(Incident).where(Incident.change.between(first, last)))
    ).all()
    cited = await citations_of(session, Citation.incident_id, [row.id for row in incidents])
    for incident in incidents:
        record = incident_record(incident_out(incident, cited[incident.id]))
        records.append(("incidents", incident.change, record))
    retractions = (
        await session.scalars(
            select(RecordRetraction).where(RecordRetraction.change.between(first, last))
        )
    ).all()
    cited = await citations_of(session, Citation.retraction_id, [row.id for row in retractions])
    for retraction in retractions:
        record = retraction_record(retraction, cited[retraction.id])
        records.append(("retractions", retraction.change, record))
    return records
