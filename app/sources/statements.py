"""What every statement has, be it a status event or a notice: a period, a reason, a withdrawal."""

from datetime import datetime

from pydantic import Field

from app.http.bodies import Body, Instant, Text, example
from app.sources.schemas import CitationIn
from app.vocabulary import ReasonCode


class PeriodIn(Body):
    """When it holds: ``[from, until)``; no ``until`` is until further notice."""

    from_: Instant | None = Field(
        None, alias="from", description="Defaults to the recorded instant."
    )
    until: Instant | None = None


class PeriodOut(Body):
    """When it holds: ``[from, until)``; ``until`` null is until further notice."""

    from_: datetime = Field(alias="from")
    until: datetime | None


class Reason(Body):
    """Why, as a code and in words."""

    code: ReasonCode
    text: Text | None = Field(None, examples=["Preventive measure"])


class RetractionIn(Body):
    """The withdrawal of an event that should not have been recorded."""

    model_config = example({"reason": {"code": "other", "text": "Posted by mistake"}})

    reason: Reason
    citations: list[CitationIn] = Field([], max_length=50)
