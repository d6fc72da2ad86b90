"""Bodies of crossings and borders with their statuses."""

from datetime import datetime

from pydantic import Field

from app.http.bodies import Body, BorderId, CountryCode, CrossingId
from app.notices.schemas import NoticeOut
from app.observations.schemas import WaitOut
from app.places.schemas import CrossingRecord
from app.sources.schemas import CitationPreview
from app.status.schemas import StatusOut
from app.vocabulary import GapCode, Mode, Status, Traffic

NOTICES_SHOWN = 50
"""How many notices the answer about a border contains."""


class Links(Body, title="CrossingLinks"):
    """Addresses related to a crossing."""

    self: str
    status: str
    timeline: str
    events: str
    alternatives: str
    border: str

    @classmethod
    def of(cls, crossing: str, border: str) -> "Links":
        path = f"/v1/crossings/{crossing}"
        return cls(
            self=path,
            status=f"{path}/status",
            timeline=f"{path}/timeline",
            events=f"{path}/events",
            alternatives=f"{path}/alternatives",
            border=f"/v1/borders/{border}",
        )


class CrossingSummary(CrossingRecord, title="CrossingSummary"):
    """A crossing with the summary of its present status."""

    status: Status
    since: datetime | None
    last_known: Status | None
    stale: bool
    overdue: bool
    last_confirmed_at: datetime | None
    opens_at: datetime | None = Field(
        description="When regular hours next open a lane that nothing but they close."
    )
    waits: list[WaitOut] = Field(
        description="The latest observation of each lane and queue, unless it is too old."
    )
    links: Links


class NearbyCrossing(CrossingSummary, title="NearbyCrossing"):
    """A crossing in a list by distance."""

    distance_km: float = Field(description="From the point in `near`.")


class Alternative(CrossingSummary, title="Alternative"):
    """Another crossing that can be used instead of one, with the status for that traffic."""

    usable_for: list[Traffic] = Field(
        description="The traffic asked about, or common to both, for which it is not closed."
    )
    distance_km: float | None = Field(
        description="From the other crossing. Null if one of the two locations is unknown."
    )


class CrossingDetail(CrossingSummary, title="CrossingDetail"):
    """A crossing with the whole answer for now."""

    now: StatusOut


class CrossingPreview(CrossingSummary, title="CrossingPreview"):
    """A crossing as it would be added."""

    citations: list[CitationPreview]  # type: ignore[assignment]  # wider: new sources have no id
    version: None  # type: ignore[assignment]  # a preview has no change number
    now: StatusOut


class NewestEvidence(Body):
    """The newest evidence on a border: when, and of which crossing."""

    at: datetime
    crossing: CrossingId


class Gap(Body, title="CoverageGap"):
    """Something that is not covered here, although one might expect it."""

    code: GapCode
    text: str = Field(description="What is missing, in English.")
    side: CountryCode | None
    crossings: list[CrossingId]


class BorderLinks(Body):
    """Addresses related to a border."""

    self: str
    crossings: str
    notices: str
    incidents: str

    @classmethod
    def of(cls, border: str) -> "BorderLinks":
        return cls(
            self=f"/v1/borders/{border}",
            crossings=f"/v1/crossings?border={border}",
            notices=f"/v1/notices?border={border}",
            incidents=f"/v1/incidents?border={border}",
        )


class BorderSummary(Body, title="BorderSummary"):
    """A border, and how many of its crossings are of each status."""

    id: BorderId
    countries: list[CountryCode]
    counts: dict[Status, int]
    counts_by_mode: dict[Mode, dict[Status, int]]
    newest_evidence: NewestEvidence | None
    links: BorderLinks


class BorderOut(BorderSummary, title="BorderDetail"):
    """A border: its crossings, the notices about it, and what is not covered."""

    at: datetime | None
    known_at: datetime | None
    crossings: list[CrossingSummary]
    notices: list[NoticeOut] = Field(
        description=f"The newest {NOTICES_SHOWN} in force that concern it; `links.notices` has all."
    )
    not_covered: list[Gap]


class CountryOut(Body, title="Country"):
    """A country, its names by language, and the borders of it that are covered."""

    code: CountryCode
    names: dict[str, str] = Field(examples=[{"en": "Lithuania", "lt": "Lietuva"}])
    borders: list[BorderId]
