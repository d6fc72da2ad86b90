"""Bodies of notices."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.http.bodies import Body, BorderId, CountryCode, CrossingId, Instant, Line, Texts, example
from app.places.schemas import DEFAULT_CONFIRM_WITHIN_DAYS, Distinct
from app.sources.schemas import CITATION_EXAMPLE, CitationOut, CitationPreview, Citations
from app.sources.statements import PeriodIn, Reason, Undo
from app.vocabulary import Certainty, NoticeKind, Precision, Qualifier

STALE_AFTER_DAYS = DEFAULT_CONFIRM_WITHIN_DAYS
"""Older notices without an end are stale; the default after which an open status expires."""


class Issuer(Body):
    """Who says it: a country's authorities, a named body, or one of a country; in English."""

    country: CountryCode | None = None
    name: Line | None = Field(None, examples=["State Border Guard Service"])

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if self.country is None and self.name is None:
            raise PydanticCustomError("issuer", "must have a country or a name")
        return self


class Subjects(Body):
    """What it is about: at least one country, border or crossing."""

    countries: Annotated[list[CountryCode], Field(max_length=200), Distinct] = Field(
        default=[], json_schema_extra={"uniqueItems": True}
    )
    borders: Annotated[list[BorderId], Field(max_length=200), Distinct] = Field(
        default=[], json_schema_extra={"uniqueItems": True}
    )
    crossings: Annotated[list[CrossingId], Field(max_length=200), Distinct] = Field(
        default=[], json_schema_extra={"uniqueItems": True}
    )

    @model_validator(mode="after")
    def _is_something(self) -> Self:
        if not (self.countries or self.borders or self.crossings):
            raise PydanticCustomError(
                "subjects", "must have at least a country, a border or a crossing"
            )
        return self


class Figure(Body):
    """A number in a notice, as exact and as certain as in its source, with texts in English."""

    value: float = Field(strict=True, ge=-1e15, le=1e15, allow_inf_nan=False, examples=[4500])
    unit: Line = Field(examples=["persons"])
    qualifier: Qualifier = Qualifier.EXACTLY
    of: Line | None = Field(None, description="What the figure counts.", examples=["Border guards"])
    hedge: Line | None = Field(
        None,
        description="How the source itself qualifies the figure, if it does.",
        examples=["may be"],
    )


class NoticePeriod(Body):
    """When it holds: ``[from, until)``; no ``from``: the start is not known."""

    from_: datetime | None = Field(alias="from")
    until: datetime | None


class NoticeIn(Body, title="NewNotice"):
    """A cited fact that is not a status: advice, a measure, a threat, a reaction, talks."""

    model_config = example(
        {
            "kind": "travel_advice",
            "issuer": {"country": "LT", "name": "Ministry of the Interior"},
            "subjects": {"countries": ["BY"]},
            "text": {"en": "Citizens are advised against travelling to Belarus."},
            "figures": [
                {"value": 4500, "unit": "persons", "qualifier": "up_to", "hedge": "may be"}
            ],
            "effective": {"from": "2023-08-01T00:00:00+03:00"},
            "precision": "month",
            "announced_at": "2023-08-16T00:00:00+03:00",
            "citations": [CITATION_EXAMPLE],
        }
    )

    kind: NoticeKind
    issuer: Issuer
    subjects: Subjects
    text: Texts
    figures: list[Figure] = Field([], max_length=50)
    certainty: Certainty = Certainty.CONFIRMED
    effective: PeriodIn = Field(
        default_factory=lambda: PeriodIn(from_=None, until=None),
        description="Without `from` it holds from the recorded instant or, with `precision`"
        " `unknown`, from an unknown start.",
    )
    precision: Precision = Field(
        Precision.MINUTE,
        description="Precision of both ends of `effective`, as given by the source.",
    )
    announced_at: Instant | None = Field(
        None, description="When the issuer announced it; not in the future."
    )
    incident: UUID | None = Field(
        None,
        description="The incident that it belongs to. A correction has to name it again.",
    )
    contradicts: Annotated[list[UUID], Field(max_length=50), Distinct] = Field(
        default=[],
        description="Notices that say something different. Both claims stand.",
        json_schema_extra={"uniqueItems": True},
    )
    supersedes: UUID | None = Field(None, description="The notice that this corrects.")
    citations: Citations


class RetractionOut(Body, title="Retraction"):
    """The withdrawal of something that should not have been recorded."""

    id: UUID
    change: int
    recorded_at: datetime
    recorded_by: str
    reason: Reason
    citations: list[CitationOut]


class NoticeOut(Body, title="Notice"):
    """A notice, and what became of it."""

    id: UUID
    kind: NoticeKind
    change: int
    issuer: Issuer
    subjects: Subjects
    text: Texts
    figures: list[Figure]
    certainty: Certainty
    effective: NoticePeriod
    precision: Precision
    announced_at: datetime | None
    incident: UUID | None
    contradicts: list[UUID]
    supersedes: UUID | None
    recorded_at: datetime
    recorded_by: str
    citations: list[CitationOut]
    contradicted_by: list[UUID] = Field(
        description="Notices that stand and contradict this one, or the one that it corrects."
    )
    superseded_by: UUID | None
    retraction: RetractionOut | None
    stale: bool = Field(
        description=f"No end is known, and the notice is {STALE_AFTER_DAYS} days old or older."
    )


class NoticeRecorded(NoticeOut, title="RecordedNotice"):
    """A notice as it was recorded, and where to take it back."""

    undo: Undo


class RetractionPreview(RetractionOut, title="RetractionPreview"):
    """A withdrawal as it would be recorded."""

    id: None  # type: ignore[assignment]  # only a real write assigns it
    change: None  # type: ignore[assignment]
    recorded_at: None  # type: ignore[assignment]
    citations: list[CitationPreview]  # type: ignore[assignment]  # wider: new sources have no id


class NoticePreview(NoticeRecorded, title="NoticePreview"):
    """A notice as it would be recorded, or withdrawn."""

    id: UUID | None  # type: ignore[assignment]  # set where an existing notice is to be retracted
    change: int | None  # type: ignore[assignment]
    recorded_at: datetime | None  # type: ignore[assignment]
    citations: list[CitationPreview]  # type: ignore[assignment]
    retraction: RetractionPreview | None
