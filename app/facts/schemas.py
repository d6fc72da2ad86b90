"""Bodies of a source with the facts that cite it."""

from pydantic import Field

from app.http.bodies import Body
from app.http.paging import Page
from app.incidents.schemas import IncidentOut
from app.notices.schemas import NoticeOut
from app.places.schemas import CrossingRecord
from app.sources.schemas import SourceOut
from app.status.schemas import EventOut
from app.vocabulary import Basis


class FactOut(Body, title="Fact"):
    """Where in the source, on what basis, and the fact: one of the four."""

    locator: str | None
    basis: Basis
    decision: list[EventOut] | None = Field(
        description="The status events of one request: declarations, or a confirmation."
    )
    notice: NoticeOut | None
    incident: IncidentOut | None
    crossing: CrossingRecord | None = Field(description="A crossing's present details.")


class SourceDetail(SourceOut, title="SourceDetail"):
    """A source with every fact that was taken from it and still applies."""

    facts: Page[FactOut] = Field(
        description="In the order of the source: by the numbers in `locator`, then as recorded."
    )
