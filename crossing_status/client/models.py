"""What the service answers. Newer services may have further members and words.

Members that this version does not know are kept (``model_extra``). A word that it does not know is
a plain string. Instants are in UTC.
"""

from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from crossing_status.vocabulary import (
    Basis,
    Certainty,
    ChangeKind,
    DeclaredStatus,
    EventKind,
    ExceptionCode,
    GapCode,
    LaneReason,
    Mode,
    NoticeKind,
    ObservationMethod,
    Precision,
    Qualifier,
    ReasonCode,
    Status,
    Traffic,
    WaitState,
)

Word = TypeVar("Word")
OrNewer = Annotated[Word | str, Field(union_mode="left_to_right")]
"""A word of the vocabulary, or the string of one that is newer."""


class Model(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
        defer_build=True,  # most programs need only some of them
    )


# What several answers have


class Period(Model):
    """When it holds: ``[from, until)``. No ``until`` is until further notice."""

    from_: datetime = Field(alias="from")
    until: datetime | None


class NoticePeriod(Model):
    """When a notice holds; without ``from_`` since an unknown time."""

    from_: datetime | None = Field(alias="from")
    until: datetime | None


class Reason(Model):
    """Why, as a code and in words."""

    code: OrNewer[ReasonCode]
    text: str | None = None


class Exemption(Model):
    """Who may still cross although restricted or closed."""

    code: OrNewer[ExceptionCode]
    text: str | None = None


class Citation(Model):
    """The id of a source, and how it supports the fact."""

    source: UUID
    locator: str | None
    basis: OrNewer[Basis]


class CitationPreview(Citation):
    """A citation before it is written: a new source has no id yet."""

    source: UUID | None  # type: ignore[assignment]  # wider on purpose


class LaneId(Model):
    """One traffic category entering one country."""

    traffic: OrNewer[Traffic]
    to: str


# Status events


class StatusEvent(Model):
    """A declaration, a confirmation or a retraction; null ``traffic`` and ``to`` mean all."""

    id: UUID
    kind: OrNewer[EventKind]
    crossing: str
    decision: UUID
    change: int
    sides: list[str]
    status: OrNewer[DeclaredStatus] | None
    effective: Period | None
    expected_until: datetime | None
    traffic: list[OrNewer[Traffic]] | None
    to: str | None
    reason: Reason | None
    exceptions: list[Exemption]
    max_weight_kg: int | None
    max_height_m: float | None
    certainty: OrNewer[Certainty] | None
    precision: OrNewer[Precision] | None
    time_zone: str
    announced_at: datetime | None
    confirmed_at: datetime | None
    recorded_at: datetime
    recorded_by: str
    supersedes: UUID | None
    retracts: UUID | None
    superseded_by: UUID | None
    retracted_by: UUID | None
    incident: UUID | None
    citations: list[Citation]


class StatusEventPreview(StatusEvent):
    """A status event as it would be recorded: without what only the log can give."""

    id: None  # type: ignore[assignment]
    decision: None  # type: ignore[assignment]
    change: None  # type: ignore[assignment]
    recorded_at: None  # type: ignore[assignment]
    citations: list[CitationPreview]  # type: ignore[assignment]


class Effect(Model):
    """A period in which a write changes the answer for some lanes."""

    crossing: str
    before: OrNewer[Status]
    after: OrNewer[Status]
    from_: datetime = Field(alias="from")
    until: datetime | None
    lanes: list[LaneId]


class Decision(Model):
    """What was recorded, what it changes from now on, and where to POST to take it back."""

    decision: UUID
    change: int
    events: list[StatusEvent]
    effect: list[Effect]
    undo: list[str]


class DecisionPreview(Model):
    """What would be recorded, and what it would change."""

    decision: None
    change: None
    events: list[StatusEventPreview]
    effect: list[Effect]
    undo: list[str]


# Waits and observations


class WeightClass(Model):
    """Vehicles heavier than ``from_`` and not heavier than ``to``, in kilograms."""

    from_: int | None = Field(None, alias="from")
    to: int | None = None


class Queue(Model):
    """Which of the queues of a lane it is."""

    weight_kg: WeightClass | None = None
    empty: bool = False
    priority: bool = False
    pre_booked: bool = False
    goods: str | None = None


class Wait(Model):
    """A wait; ``minutes`` is None unless it is known."""

    state: OrNewer[WaitState]
    minutes: int | None = None


class Observed(Model):
    """What is shown of an observation everywhere."""

    traffic: OrNewer[Traffic]
    to: str
    queue: Queue | None
    wait: Wait
    vehicles: int | None
    lanes_open: int | None
    moving: bool | None
    paused: bool | None
    estimate: bool
    method: OrNewer[ObservationMethod]
    source: UUID
    source_name: str
    observed_at: datetime
    shown_until: datetime
    supports: OrNewer[Status] | None


class LatestWait(Observed):
    """The latest observation of a lane, or of one of its queues."""

    disagrees: bool


class Observation(Observed):
    """An observation as it was recorded."""

    crossing: str
    recorded_at: datetime
    recorded_by: str


class RecordedObservations(Model):
    """What was recorded of a batch; ``change`` is that of a new source."""

    recorded: int
    duplicates: int
    source: UUID
    change: int | None


class ObservationsPreview(Model):
    """What would be recorded of a batch; a new source has no id."""

    recorded: int
    duplicates: int
    source: UUID | None
    change: None


# Statuses


class Lane(LaneId):
    """A lane's status and the event that decides it, None if nothing is in force."""

    status: OrNewer[Status]
    last_known: OrNewer[Status] | None
    stale: bool
    overdue: bool
    decided_by: UUID | None
    reason: OrNewer[LaneReason] | None
    exceptions: list[Exemption] = []


class CrossingStatus(Model):
    """Whether it is open, for whom, since when, until when, and who says so."""

    crossing: str
    status: OrNewer[Status]
    last_known: OrNewer[Status] | None
    at: datetime | None
    known_at: datetime | None
    since: datetime | None
    until: datetime | None
    expires_at: datetime | None
    expected_until: datetime | None
    overdue: bool
    next_change_at: datetime | None
    opens_at: datetime | None
    last_confirmed_at: datetime | None
    stale: bool
    sides: dict[str, OrNewer[Status]]
    lanes: list[Lane]
    waits: list[LatestWait]
    decided_by: list[StatusEvent]
    also_said: list[StatusEvent]
    retired_at: datetime | None
    replaced_by: str | None
    change: int | None


class TimelinePeriod(Model):
    """A maximal period over which the answer does not differ; bounds that are None are open."""

    from_: datetime | None = Field(alias="from")
    until: datetime | None
    status: OrNewer[Status]
    last_known: OrNewer[Status] | None
    stale: bool
    overdue: bool
    decided_by: list[UUID]
    lanes: list[Lane]


# Crossings


class CrossingName(Model):
    """What one side's checkpoint is called in one language."""

    lang: str
    side: str
    name: str


class Location(Model):
    """A point in WGS 84 degrees, and how far off it may be."""

    lat: float
    lon: float
    precision_km: float


class RegularHours(Model):
    """When a side regularly lets traffic through, in the syntax of OpenStreetMap."""

    side: str
    traffic: list[OrNewer[Traffic]] | None = None
    to: str | None = None
    time_zone: str
    opening_hours: str


class Contact(Model):
    """Whom to ask about a side: an authority, and how it is reached."""

    side: str
    authority: str
    phone: str | None = None
    email: str | None = None
    url: str | None = None
    address: str | None = None


class CrossingLinks(Model):
    """Addresses related to a crossing."""

    self: str
    status: str
    timeline: str
    events: str
    alternatives: str
    border: str


class CrossingSummary(Model):
    """A crossing with the summary of its present status."""

    id: str
    border: str
    sides: list[str]
    mode: OrNewer[Mode]
    traffic: list[OrNewer[Traffic]]
    names: list[CrossingName]
    aliases: list[str]
    location: Location | None
    confirm_within_days: int
    confirm_within_hours: int | None
    retired_at: datetime | None
    replaced_by: str | None
    hours: list[RegularHours]
    contacts: list[Contact]
    max_weight_kg: int | None
    max_height_m: float | None
    citations: list[Citation]
    version: int
    status: OrNewer[Status]
    since: datetime | None
    last_known: OrNewer[Status] | None
    stale: bool
    overdue: bool
    last_confirmed_at: datetime | None
    opens_at: datetime | None
    waits: list[LatestWait]
    links: CrossingLinks


class ListedCrossing(CrossingSummary):
    """A crossing in a list; the distance is that from ``near``."""

    distance_km: float | None = None


class Alternative(CrossingSummary):
    """Another crossing that can be used instead of one, with the status for that traffic."""

    usable_for: list[OrNewer[Traffic]]
    distance_km: float | None


class CrossingDetail(CrossingSummary):
    """A crossing with the whole answer for now."""

    now: CrossingStatus


# Borders


class Issuer(Model):
    """Who issued a notice."""

    country: str | None = None
    name: str | None = None


class Subjects(Model):
    """What a notice is about."""

    countries: list[str] = []
    borders: list[str] = []
    crossings: list[str] = []


class Figure(Model):
    """A number in a notice, as exact and as certain as in its source."""

    value: float
    unit: str
    qualifier: OrNewer[Qualifier] = Qualifier.EXACTLY
    of: str | None = None
    hedge: str | None = None


class Retraction(Model):
    """The withdrawal of something that should not have been recorded."""

    id: UUID
    change: int
    recorded_at: datetime
    recorded_by: str
    reason: Reason
    citations: list[Citation]


class Notice(Model):
    """A cited fact that is not a status; its text is by language."""

    id: UUID
    kind: OrNewer[NoticeKind]
    change: int
    issuer: Issuer
    subjects: Subjects
    text: dict[str, str]
    figures: list[Figure]
    certainty: OrNewer[Certainty]
    effective: NoticePeriod
    precision: OrNewer[Precision]
    announced_at: datetime | None
    incident: UUID | None
    contradicts: list[UUID]
    supersedes: UUID | None
    recorded_at: datetime
    recorded_by: str
    citations: list[Citation]
    contradicted_by: list[UUID]
    superseded_by: UUID | None
    retraction: Retraction | None
    stale: bool


class NewestEvidence(Model):
    """The newest evidence on a border: when, and of which crossing."""

    at: datetime
    crossing: str


class CoverageGap(Model):
    """Something that is not covered, although one might expect it; the text is English."""

    code: OrNewer[GapCode]
    text: str
    side: str | None
    crossings: list[str]


class BorderLinks(Model):
    """Addresses related to a border."""

    self: str
    crossings: str
    notices: str
    incidents: str


class BorderSummary(Model):
    """A border, and how many of its crossings are of each status."""

    id: str
    countries: list[str]
    counts: dict[OrNewer[Status], int]
    counts_by_mode: dict[OrNewer[Mode], dict[OrNewer[Status], int]]
    newest_evidence: NewestEvidence | None
    links: BorderLinks


class BorderDetail(BorderSummary):
    """A border: its crossings, the newest notices about it, and what is not covered."""

    at: datetime | None
    known_at: datetime | None
    crossings: list[CrossingSummary]
    notices: list[Notice]
    not_covered: list[CoverageGap]


# Statistics


class Closures(Model):
    """Closures with a part in the range; their lengths are those of that part, in seconds."""

    count: int
    total: float
    median: float | None
    longest: float | None
    began_before: int
    continued_after: int


class StatusFigures(Model):
    """Time by status, in seconds and as shares of all time, and closures."""

    seconds: dict[OrNewer[Status], float]
    shares: dict[OrNewer[Status], float]
    closures: Closures


class WaitFigures(Model):
    """The known waits that were observed on a lane, or on one of its queues."""

    traffic: OrNewer[Traffic]
    to: str
    queue: Queue | None
    count: int
    median_minutes: float


class CrossingStatistics(StatusFigures):
    """What a crossing, or some of its lanes, was like over a range."""

    crossing: str
    from_: datetime = Field(alias="from")
    until: datetime
    waits: list[WaitFigures]


class BorderStatistics(Model):
    """What the crossings of a border were like over a range; ``total`` is of all their time."""

    border: str
    from_: datetime = Field(alias="from")
    until: datetime
    total: StatusFigures
    crossings: list[CrossingStatistics]


# The log


class Change(Model):
    """One committed step of the log; ``hash`` chains it to the one before."""

    change: int
    kind: OrNewer[ChangeKind]
    recorded_at: datetime
    subjects: dict[str, list[str]]
    payload: dict[str, JsonValue]
    hash: str
