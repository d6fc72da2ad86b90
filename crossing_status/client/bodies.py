"""What is sent to the service. The service checks it, and names each field that is not valid.

Instants need an offset. What is left out has the default of the service.
"""

from datetime import datetime
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from crossing_status.vocabulary import (
    Basis,
    Certainty,
    DeclaredStatus,
    ExceptionCode,
    ObservationMethod,
    Precision,
    ReasonCode,
    SourceKind,
    Traffic,
    WaitState,
)


class Body(BaseModel):
    """A part of a request: what it does not have is a mistake."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
        use_enum_values=True,
        defer_build=True,
    )


class NewSource(Body):
    """Where a fact comes from: as much as is known of it."""

    kind: SourceKind = SourceKind.ARTICLE
    title: str
    publisher: str | None = None
    published_at: datetime | str | None = None
    retrieved_at: datetime | str | None = None
    url: str | None = None
    file_name: str | None = None
    sha256: str | None = None
    language: str | None = None
    note: str | None = None


class NewCitation(Body):
    """The link to a source: one that is recorded, by id, or a new one."""

    source: UUID | NewSource
    locator: str | None = None
    basis: Basis = Basis.STATED


class NewPeriod(Body):
    """When it holds: from ``from_``, by default from now on, until ``until``."""

    from_: AwareDatetime | None = Field(None, alias="from")
    until: AwareDatetime | None = None


class NewReason(Body):
    """Why, as a code and in words."""

    code: ReasonCode
    text: str | None = None


class NewExemption(Body):
    """Who may still cross although restricted or closed."""

    code: ExceptionCode
    text: str | None = None


class NewDecision(Body):
    """One decision: a status for one or many crossings; null ``traffic`` and ``to`` mean all."""

    crossings: list[str]
    sides: list[str]
    status: DeclaredStatus
    effective: NewPeriod = NewPeriod()
    expected_until: AwareDatetime | None = None
    traffic: list[Traffic] | None = None
    to: str | None = None
    reason: NewReason
    exceptions: list[NewExemption] = []
    max_weight_kg: int | None = None
    max_height_m: float | None = None
    certainty: Certainty = Certainty.CONFIRMED
    precision: Precision = Precision.MINUTE
    announced_at: AwareDatetime | None = None
    citations: list[NewCitation]
    incident: UUID | None = None
    supersedes: list[UUID] = []


class NewRetraction(Body):
    """The withdrawal of something that should not have been recorded."""

    reason: NewReason
    citations: list[NewCitation] = []


class NewConfirmation(Body):
    """The source was checked again, and what it says is still true."""

    sides: list[str]
    traffic: list[Traffic] | None = None
    to: str | None = None
    confirmed_at: AwareDatetime | None = None
    citations: list[NewCitation]


class NewWeightClass(Body):
    """Vehicles heavier than ``from_`` and not heavier than ``to``, in kilograms."""

    from_: int | None = Field(None, alias="from")
    to: int | None = None


class NewQueue(Body):
    """Which of the queues of a lane it is."""

    weight_kg: NewWeightClass | None = None
    empty: bool = False
    priority: bool = False
    pre_booked: bool = False
    goods: str | None = None


class NewWait(Body):
    """A wait; only one that is known has ``minutes``."""

    state: WaitState
    minutes: int | None = None


class NewObservation(Body):
    """What was observed of a lane, or of one of its queues, at an instant."""

    crossing: str
    traffic: Traffic
    to: str
    queue: NewQueue | None = None
    observed_at: AwareDatetime | None = None
    wait: NewWait | None = None
    vehicles: int | None = None
    lanes_open: int | None = None
    moving: bool | None = None
    paused: bool | None = None
    estimate: bool = False
    method: ObservationMethod


class NewObservations(Body):
    """Observations of one source about many lanes."""

    source: UUID | NewSource
    observations: list[NewObservation]
