"""The content of the pages of incidents and sources: facts, and what these refer to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Snapshot
from app.facts.reading import get_source_facts
from app.facts.schemas import FactOut
from app.http.parameters import AsOf
from app.incidents.reading import (
    StoryPosition,
    get_incident,
    notices_by_id,
    story_of,
)
from app.incidents.schemas import IncidentOut, StoryItem
from app.notices.schemas import NoticeOut
from app.sources.schemas import SourceOut
from app.sources.service import sources_of
from app.status.schemas import EventOut


@dataclass(frozen=True, slots=True)
class References:
    """What facts refer to, by id."""

    sources: Mapping[UUID, SourceOut]
    notices: Mapping[UUID, NoticeOut]
    """The notices that contradict one of the facts, or are contradicted by one."""


@dataclass(frozen=True, slots=True)
class Story:
    """An incident with one page of its story, as known at a change."""

    change: int
    incident: IncidentOut
    items: Sequence[StoryItem]
    more: bool
    references: References


@dataclass(frozen=True, slots=True)
class SourceStory:
    """A source with one page of the facts that cite it, each with its citation's number."""

    source: SourceOut
    facts: Sequence[tuple[int, FactOut]]
    more: bool
    references: References


async def read_story(
    session: AsyncSession,
    incident_id: UUID,
    *,
    as_of: AsOf,
    after: StoryPosition | None,
    limit: int,
    only_decisions: bool = False,
) -> Story:
    """Return a page of an incident's story, after a position. Raises IncidentNotFound."""
    incident, snapshot = await get_incident(session, incident_id, as_of)
    items, more = await story_of(
        session,
        incident_id,
        snapshot=snapshot,
        after=after,
        limit=limit,
        only_decisions=only_decisions,
    )
    notices = [item.notice for item in items if item.notice]
    events = [event for item in items for event in item.decision or ()]
    references = await _load_references(session, snapshot, notices, [incident, *events])
    return Story(snapshot.change, incident, items, more, references)


async def read_source(
    session: AsyncSession, source_id: UUID, *, after: int | None, limit: int
) -> SourceStory:
    """Return a source with a page of the facts that cite it. Raises SourceNotFound."""
    source, facts, more, snapshot = await get_source_facts(
        session, source_id, after=after, limit=limit
    )
    notices = [fact.notice for _, fact in facts if fact.notice]
    events = [event for _, fact in facts for event in fact.decision or ()]
    return SourceStory(
        source, facts, more, await _load_references(session, snapshot, notices, events)
    )


async def _load_references(
    session: AsyncSession,
    snapshot: Snapshot,
    notices: Sequence[NoticeOut],
    facts: Sequence[IncidentOut | EventOut],
) -> References:
    ids = {
        contradicted
        for notice in notices
        for contradicted in (*notice.contradicts, *notice.contradicted_by)
    }
    others = await notices_by_id(session, list(ids), snapshot)
    cited = {
        citation.source
        for fact in (*notices, *others.values(), *facts)
        for citation in fact.citations
    }
    return References(await sources_of(session, cited), others)
