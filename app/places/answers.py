"""Bodies of crossings and borders with their statuses."""

from datetime import datetime

from app.http.bodies import Body, BorderId, CountryCode
from app.places.schemas import CrossingDetails
from app.sources.schemas import CitationPreview
from app.status.schemas import StatusOut, StatusPreview
from app.vocabulary import Mode, Status


class Links(Body):
    """Where to go on from a crossing."""

    self: str
    status: str
    timeline: str
    events: str
    border: str

    @classmethod
    def of(cls, crossing: str, border: str) -> "Links":
        here = f"/v1/crossings/{crossing}"
        return cls(
            self=here,
            status=f"{here}/status",
            timeline=f"{here}/timeline",
            events=f"{here}/events",
            border=f"/v1/borders/{border}",
        )


class CrossingListed(CrossingDetails):
    """A crossing with the summary of its present status."""

    status: Status
    since: datetime | None
    last_known: Status | None
    stale: bool
    overdue: bool
    last_confirmed_at: datetime | None
    links: Links


class CrossingAlone(CrossingListed):
    """A crossing with the whole answer for now."""

    now: StatusOut


class CrossingPreview(CrossingListed):
    """A crossing as it would be added."""

    citations: list[CitationPreview]  # type: ignore[assignment]  # wider: new sources have no id
    version: None  # type: ignore[assignment]  # a preview takes no place in the log
    now: StatusPreview


class BorderOut(Body):
    """A border: its crossings, and how many are of each status."""

    id: BorderId
    countries: list[CountryCode]
    at: datetime | None
    known_at: datetime | None
    counts: dict[Status, int]
    counts_by_mode: dict[Mode, dict[Status, int]]
    crossings: list[CrossingListed]
