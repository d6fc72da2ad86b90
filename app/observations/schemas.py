"""Bodies of observations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.errors import FAULTS_TOLD
from app.http.bodies import Body, CountryCode, CrossingId, Instant, Line, example
from app.sources.schemas import SourceOrId
from app.validation import message_of
from app.vocabulary import ObservationMethod, Status, Traffic

AT_MOST = 1_000
"""Observations in one request."""
LONGEST_WAIT_MINUTES = 30 * 24 * 60

_Flag = Annotated[bool, Field(strict=True)]
_Weight = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]


class WeightClass(Body):
    """Vehicles heavier than `from` and not heavier than `to`, in kilograms; null is no limit."""

    from_: _Weight | None = Field(None, alias="from", examples=[3500])
    to: _Weight | None = Field(None, examples=[7500])

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.from_ is None and self.to is None:
            raise PydanticCustomError("weight", "must have from or to")
        if self.from_ is not None and self.to is not None and self.to <= self.from_:
            raise PydanticCustomError("weight", "to must be greater than from")
        return self


class Queue(Body):
    """Which of the queues of a lane it is."""

    weight_kg: WeightClass | None = None
    empty: _Flag = Field(default=False, description="For empty vehicles.")
    priority: _Flag = Field(default=False, description="For vehicles with priority.")
    pre_booked: _Flag = Field(default=False, description="For those with a booking.")
    goods: Line | None = Field(None, description="For these goods.", examples=["perishable"])

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self == Queue.model_construct():
            raise PydanticCustomError("queue", "must have at least one field, or be null")
        return self

    def stored(self) -> dict[str, object]:
        """Return the queue in its stored form, which is the same for equal queues."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class KnownWait(Body):
    """How long those wait who join the queue."""

    state: Literal["known"]
    minutes: int = Field(strict=True, ge=0, le=LONGEST_WAIT_MINUTES, examples=[35])


class ClosedWait(Body):
    """The lane is closed: there is no wait."""

    state: Literal["closed"]


class UnknownWait(Body):
    """The wait is not known."""

    state: Literal["unknown"]


Wait = Annotated[KnownWait | ClosedWait | UnknownWait, Field(discriminator="state")]
_WAIT_TAGS = frozenset({"known", "closed", "unknown"})
"""Names of kinds of waits, which appear in the path of an error."""


class ObservationIn(Body, title="NewObservation"):
    """What was observed of a lane, or of one of its queues, at an instant."""

    crossing: CrossingId
    traffic: Traffic
    to: CountryCode = Field(description="The country being entered.")
    queue: Queue | None = Field(None, description="Null is the lane as a whole.")
    observed_at: Instant | None = Field(None, description="Defaults to the recorded instant.")
    wait: Wait | None = Field(None, description="Null is unknown, if there are other figures.")
    vehicles: int | None = Field(
        None, strict=True, ge=0, le=100_000, description="How many wait.", examples=[120]
    )
    lanes_open: int | None = Field(
        None, strict=True, ge=0, le=1_000, description="Open lanes of this traffic.", examples=[3]
    )
    moving: _Flag | None = Field(
        None, description="Whether the traffic was seen to move; null if nobody looked."
    )
    paused: _Flag | None = Field(
        None, description="Whether the queue is paused. It does not affect the status."
    )
    estimate: _Flag = Field(default=False, description="The figures are estimates.")
    method: ObservationMethod = Field(examples=["official"])

    @field_validator("lanes_open", "moving")
    @classmethod
    def _is_not_of_a_closed_lane(
        cls, value: int | bool | None, info: ValidationInfo
    ) -> int | bool | None:
        if value and isinstance(info.data.get("wait"), ClosedWait):
            raise PydanticCustomError("closed", "does not apply to a closed lane")
        return value

    @model_validator(mode="after")
    def _has_a_figure(self) -> Self:
        if self.wait is None and (self.vehicles, self.lanes_open, self.moving) == (None,) * 3:
            raise PydanticCustomError(
                "figures", "must have at least one of wait, vehicles, lanes_open and moving"
            )
        return self


@dataclass(frozen=True, slots=True)
class FaultyRow:
    """A row of a batch that is not valid: its errors, by field."""

    faults: tuple[tuple[str, str], ...]
    """The first errors."""
    untold: int
    """How many more errors there are."""


_row: TypeAdapter[ObservationIn] = TypeAdapter(ObservationIn)


def _observation(value: object, _: ValidatorFunctionWrapHandler) -> ObservationIn | FaultyRow:
    """Parse a row; its errors are reported together with those that only the database can find."""
    try:
        return _row.validate_python(value)
    except ValidationError as error:
        faults = error.errors()
        field_errors = faults[:FAULTS_TOLD]
        return FaultyRow(
            tuple((_path(fault["loc"]), message_of(fault)) for fault in field_errors),
            untold=len(faults) - len(field_errors),
        )


def _path(location: tuple[int | str, ...]) -> str:
    parts = [part for part in location if part not in _WAIT_TAGS]
    return ".".join(str(part) for part in parts)


class ObservationsIn(Body, title="NewObservations"):
    """Observations of one source about many lanes."""

    model_config = example(
        {
            "source": {
                "kind": "dataset",
                "title": "Waiting times at the border",
                "publisher": "State Border Guard Service",
                "url": "https://example.org/waits",
            },
            "observations": [
                {
                    "crossing": "medininkai-kamienny-loh",
                    "traffic": "car",
                    "to": "LT",
                    "wait": {"state": "known", "minutes": 35},
                    "vehicles": 120,
                    "method": "official",
                },
                {
                    "crossing": "medininkai-kamienny-loh",
                    "traffic": "truck",
                    "to": "BY",
                    "queue": {"weight_kg": {"from": 7500}, "empty": True},
                    "wait": {"state": "known", "minutes": 240},
                    "paused": False,
                    "estimate": True,
                    "method": "queue_system",
                },
            ],
        }
    )

    source: SourceOrId = Field(
        description="One that is recorded, by id, or inline: an equal one is recorded only once."
    )
    observations: list[
        Annotated[
            ObservationIn | FaultyRow,
            WrapValidator(_observation, json_schema_input_type=ObservationIn),
        ]
    ] = Field(min_length=1, max_length=AT_MOST)


class ObservationsOut(Body, title="RecordedObservations"):
    """What was recorded of a batch."""

    recorded: int
    duplicates: int = Field(
        description="Rows left out: the source has an observation of that lane, queue and instant."
    )
    source: UUID
    change: int | None = Field(description="That of a new source; observations are not changes.")


class ObservationsPreview(ObservationsOut, title="ObservationsPreview"):
    """What would be recorded of a batch."""

    source: UUID | None  # type: ignore[assignment]  # wider: a new source has no id
    change: None


class _Observed(Body):
    """What is shown of an observation everywhere."""

    traffic: Traffic
    to: CountryCode
    queue: Queue | None
    wait: Wait
    vehicles: int | None
    lanes_open: int | None
    moving: bool | None
    paused: bool | None
    estimate: bool
    method: ObservationMethod
    source: UUID
    source_name: str = Field(description="Its publisher, or else its title.")
    observed_at: datetime = Field(description="Its age is what has passed since.")
    shown_until: datetime = Field(
        description="When it becomes too old to be shown, unless a later one comes."
    )
    supports: Status | None = Field(
        description="The status that it is evidence of, if of any. By itself it changes none."
    )


class WaitOut(_Observed, title="LatestWait"):
    """The latest observation of a lane, or of one of its queues: `closed` where the lane is."""

    disagrees: bool = Field(
        description="Whether it disagrees with the status of the lane. It changes none."
    )


class ObservationOut(_Observed, title="Observation"):
    """An observation as it was recorded."""

    crossing: CrossingId
    recorded_at: datetime
    recorded_by: str


class HourOut(Body, title="WaitsOfHour"):
    """An hour of the week; shares are of its observations, waits of those that have one."""

    weekday: int = Field(ge=1, le=7, description="1 is Monday.")
    hour: int = Field(ge=0, le=23)
    count: int = Field(description="Observations.")
    median_minutes: float | None
    p90_minutes: float | None = Field(description="Nine of ten waits were no longer.")
    unknown_share: float
    closed_share: float


class SeriesSummary(Body):
    """What a source observed of a lane, or of one of its queues, by hour of the week."""

    traffic: Traffic
    to: CountryCode
    queue: Queue | None
    source: UUID
    time_zone: str = Field(
        description="Of the hours: that of the side where the traffic waits, which it leaves.",
        examples=["Europe/Minsk"],
    )
    hours: list[HourOut] = Field(description="Those with observations, from Monday on.")


class ObservationSummary(Body):
    """What was observed at a crossing in a period, by hour of the week."""

    crossing: CrossingId
    from_: datetime = Field(alias="from")
    until: datetime
    series: list[SeriesSummary]
