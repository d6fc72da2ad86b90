"""Bodies of incidents: the stories that gather decisions and notices."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.http.bodies import Body, Texts, example
from app.http.paging import Page
from app.notices.schemas import NoticeOut, RetractionOut, RetractionPreview
from app.sources.schemas import CITATION_EXAMPLE, CitationOut, CitationPreview, Citations
from app.sources.statements import Undo
from app.status.schemas import EventOut


class IncidentIn(Body, title="NewIncident"):
    """A story, which decisions and notices may join."""

    model_config = example(
        {
            "title": {"en": "Two crossings close over a threat"},
            "summary": {"en": "Lithuania closes two crossings; its neighbours react."},
            "citations": [CITATION_EXAMPLE],
        }
    )

    title: Texts
    summary: Texts
    supersedes: UUID | None = Field(
        None,
        description="The incident that this corrects; whatever joined that one belongs to this"
        " one.",
    )
    citations: Citations


class IncidentOut(Body, title="Incident"):
    """An incident, and what became of it."""

    id: UUID
    change: int
    title: Texts
    summary: Texts
    supersedes: UUID | None
    recorded_at: datetime
    recorded_by: str
    citations: list[CitationOut]
    superseded_by: UUID | None
    retraction: RetractionOut | None


class StoryItem(Body):
    """What happened next: a decision with its status events, or a notice."""

    at: datetime = Field(
        description="When it took effect; if no source says so, when it was announced."
    )
    change: int
    decision: list[EventOut] | None
    notice: NoticeOut | None


class IncidentDetail(IncidentOut, title="IncidentDetail"):
    """An incident with its story so far."""

    timeline: Page[StoryItem] = Field(
        description="Everything that belongs to it and stands, the oldest first."
    )


class IncidentRecorded(IncidentOut, title="RecordedIncident"):
    """An incident as it was recorded, and where to take it back."""

    undo: Undo


class IncidentPreview(IncidentRecorded, title="IncidentPreview"):
    """An incident as it would be recorded, or withdrawn."""

    id: UUID | None  # type: ignore[assignment]  # set where an existing incident is to be retracted
    change: int | None  # type: ignore[assignment]
    recorded_at: datetime | None  # type: ignore[assignment]
    citations: list[CitationPreview]  # type: ignore[assignment]  # wider: new sources have no id
    retraction: RetractionPreview | None
