"""Bodies of status events, decisions and answers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.http.bodies import Body, CountryCode, CrossingId, Instant, Text, example
from app.observations.schemas import WaitOut
from app.places.schemas import Distinct, MaxHeight, MaxWeight, TrafficList
from app.sources.schemas import (
    CITATION_EXAMPLE,
    CitationIn,
    CitationOut,
    CitationPreview,
    Citations,
)
from app.sources.statements import PeriodIn, PeriodOut, Reason, Undo
from app.vocabulary import (
    Certainty,
    DeclaredStatus,
    EventKind,
    ExceptionCode,
    LaneReason,
    Precision,
    Status,
    Traffic,
)

AT_MOST = 1_000
"""Crossings that one decision may cover, and rows that may be confirmed at once."""

Sides = Annotated[
    list[CountryCode],
    Field(
        min_length=1,
        max_length=2,
        examples=[["LT"]],
        description="Whose authority declares it: one or both sides of the crossing.",
        json_schema_extra={"uniqueItems": True},
    ),
    Distinct,
]
ScopeTraffic = Annotated[
    TrafficList | None, Field(description="The traffic it applies to; null means all.")
]
ScopeTo = Annotated[
    CountryCode | None, Field(description="The country being entered; null means both directions.")
]


class Exemption(Body):
    """Who may still cross although restricted or closed, as a code and in English words."""

    code: ExceptionCode
    text: Text | None = None


class DecisionIn(Body, title="NewDecision"):
    """One decision: a status for one or many crossings."""

    model_config = example(
        {
            "crossings": ["sumskas-losa", "tverecius-vidzy"],
            "sides": ["LT"],
            "status": "closed",
            "effective": {"from": "2023-08-18T00:00:00+03:00", "until": None},
            "reason": {"code": "security", "text": "Preventive measure"},
            "announced_at": "2023-08-16T00:00:00+03:00",
            "citations": [CITATION_EXAMPLE],
        }
    )

    crossings: Annotated[
        list[CrossingId],
        Field(min_length=1, max_length=AT_MOST, json_schema_extra={"uniqueItems": True}),
        Distinct,
    ]
    sides: Sides
    status: DeclaredStatus
    effective: PeriodIn = Field(default_factory=lambda: PeriodIn(from_=None, until=None))
    expected_until: Instant | None = Field(
        None, description="An announced end that does not by itself reopen anything."
    )
    traffic: ScopeTraffic = None
    to: ScopeTo = None
    reason: Reason
    exceptions: list[Exemption] = Field([], max_length=20)
    max_weight_kg: MaxWeight = None
    max_height_m: MaxHeight = None
    certainty: Certainty = Certainty.CONFIRMED
    precision: Precision = Field(Precision.MINUTE, description="Of `effective.from`.")
    announced_at: Instant | None = Field(
        None, description="When the authority announced it; not in the future."
    )
    citations: Citations
    incident: UUID | None = Field(
        None,
        description="The incident that it belongs to. A correction has to name it again.",
    )
    supersedes: Annotated[list[UUID], Field(max_length=AT_MOST), Distinct] = Field(
        default=[],
        description="To correct a decision: one event of each of the crossings.",
        json_schema_extra={"uniqueItems": True},
    )

    @field_validator("max_weight_kg", "max_height_m")
    @classmethod
    def _lets_others_through(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("status") is DeclaredStatus.CLOSED:
            raise PydanticCustomError("limit", "cannot be combined with the status closed")
        return value

    @field_validator("expected_until")
    @classmethod
    def _has_one_end(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        effective = info.data.get("effective")
        if value is not None and isinstance(effective, PeriodIn) and effective.until is not None:
            raise PydanticCustomError("ends", "cannot be combined with effective.until")
        return value


class ConfirmationIn(Body, title="NewConfirmation"):
    """The source was checked again, and what it says is still true."""

    model_config = example({"sides": ["LT"], "citations": [CITATION_EXAMPLE]})

    sides: Sides
    traffic: ScopeTraffic = None
    to: ScopeTo = None
    confirmed_at: Instant | None = Field(
        None, description="When it was checked; defaults to the recorded instant."
    )
    citations: Citations


class ConfirmationRow(Body):
    """One of many confirmations: what is still true of one crossing."""

    crossing: CrossingId
    sides: Sides
    traffic: ScopeTraffic = None
    to: ScopeTo = None
    confirmed_at: Instant | None = Field(
        None, description="When it was checked; defaults to the recorded instant."
    )
    citations: list[CitationIn] = Field(
        [], max_length=50, description="Defaults to the citations shared by all rows."
    )


class ConfirmationsIn(Body, title="NewConfirmations"):
    """The sources of many crossings were checked again, and what they say is still true."""

    model_config = example(
        {
            "confirmations": [
                {"crossing": "sumskas-losa", "sides": ["LT"]},
                {"crossing": "medininkai-kamienny-loh", "sides": ["LT"], "traffic": ["car"]},
            ],
            "citations": [CITATION_EXAMPLE],
        }
    )

    confirmations: list[ConfirmationRow] = Field(min_length=1, max_length=AT_MOST)
    citations: list[CitationIn] = Field(
        [], max_length=50, description="For every row that has no citations of its own."
    )


class EventOut(Body, title="StatusEvent"):
    """A status event: everything that the resolution rule needs, so that anyone can check us."""

    id: UUID
    kind: EventKind
    crossing: CrossingId
    decision: UUID
    change: int
    sides: list[CountryCode]
    status: DeclaredStatus | None
    effective: PeriodOut | None
    expected_until: datetime | None
    traffic: list[Traffic] | None
    to: CountryCode | None
    reason: Reason | None
    exceptions: list[Exemption]
    max_weight_kg: int | None
    max_height_m: float | None
    certainty: Certainty | None
    precision: Precision | None
    time_zone: str = Field(
        description="The IANA time zone of the side that declares it: what is known to the day or"
        " month is a date in it.",
        examples=["Europe/Vilnius"],
    )
    announced_at: datetime | None
    confirmed_at: datetime | None
    recorded_at: datetime
    recorded_by: str
    supersedes: UUID | None
    retracts: UUID | None
    superseded_by: UUID | None
    retracted_by: UUID | None
    incident: UUID | None
    citations: list[CitationOut]


class EventPreview(EventOut, title="StatusEventPreview"):
    """A status event as it would be recorded: without what only the log can give."""

    id: None  # type: ignore[assignment]
    decision: None  # type: ignore[assignment]
    change: None  # type: ignore[assignment]
    recorded_at: None  # type: ignore[assignment]
    citations: list[CitationPreview]  # type: ignore[assignment]


class LaneId(Body, title="LaneId"):
    """One traffic category entering one country."""

    traffic: Traffic
    to: CountryCode


class EffectOut(Body, title="Effect"):
    """A period in which the write changes the answer for some lanes.

    `before` and `after` are the statuses at its start, without and with the write.
    """

    crossing: CrossingId
    before: Status
    after: Status
    from_: datetime = Field(alias="from")
    until: datetime | None = Field(
        description="When a declared status ends; an expiry is not an end."
    )
    lanes: list[LaneId]


class DecisionOut(Body, title="Decision"):
    """What was recorded, what it changes from now on, and how to take it back."""

    decision: UUID
    change: int
    events: list[EventOut]
    effect: list[EffectOut]
    undo: Undo


class DecisionPreview(Body):
    """What would be recorded, and what it would change."""

    decision: None
    change: None
    events: list[EventPreview]
    effect: list[EffectOut]
    undo: Undo


class LaneOut(LaneId, title="Lane"):
    """A lane's status and the event that decides it, null if nothing is in force."""

    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    decided_by: UUID | None
    reason: LaneReason | None = Field(
        description="`hours` if nothing but its regular hours closes it; what makes the status"
        " another one for the traveller who asks; otherwise the deciding event has the reason."
    )
    exceptions: list[Exemption] = Field(
        [],
        exclude_if=lambda exceptions: not exceptions,
        description="Of a closure, those that apply to the traveller who asks.",
    )


class StatusOut(Body, title="CrossingStatus"):
    """The answer to the question: is it open, for whom, since when, and who says so."""

    crossing: CrossingId
    status: Status
    last_known: Status | None = Field(
        description="If the status is unknown: what it was before the evidence became too old."
    )
    at: datetime | None = Field(description="The instant asked about; null is now.")
    known_at: datetime | None
    since: datetime | None = Field(
        description="Since when the status has been the same; null means always."
    )
    until: datetime | None = Field(
        description="When the declared status ends; null means until further notice."
        " An expiry is not an end: see `expires_at`."
    )
    expires_at: datetime | None = Field(
        description="When an open or restricted status will be answered as unknown"
        " unless it is confirmed; null if it cannot expire, or already has."
    )
    expected_until: datetime | None
    overdue: bool = Field(description="The announced end has passed, but nobody has reopened it.")
    next_change_at: datetime | None = Field(
        description="When this answer will next change even if nothing new is recorded;"
        " waits have their own `shown_until`."
    )
    opens_at: datetime | None = Field(
        description="When regular hours next open a lane that nothing but they close."
    )
    last_confirmed_at: datetime | None = Field(
        description="When the lane that has gone unconfirmed for longest was last heard of."
        " Announced starts and ends count only once they have come."
    )
    stale: bool = Field(description="Closed, but not confirmed recently.")
    sides: dict[str, Status]
    lanes: list[LaneOut]
    waits: list[WaitOut] = Field(
        description="The latest observation of each lane and queue, unless it is too old."
    )
    decided_by: list[EventOut]
    also_said: list[EventOut] = Field(
        description="Other statements about this instant that do not decide."
    )
    retired_at: datetime | None = Field(
        description="Since when the crossing is retired: nothing more is recorded about it."
    )
    replaced_by: CrossingId | None
    change: int | None = Field(description="The newest change that touches this crossing.")


class TimelinePeriodOut(Body, title="TimelinePeriod"):
    """A maximal period over which the answer does not differ; null bounds are open."""

    from_: datetime | None = Field(alias="from")
    until: datetime | None
    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    decided_by: list[UUID]
    lanes: list[LaneOut]
