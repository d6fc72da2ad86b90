"""What every statement has, be it a status event or a notice: a period, a reason, a withdrawal."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.http.bodies import Body, Instant, Text, example
from app.sources.schemas import CitationIn
from app.vocabulary import ReasonCode


class PeriodIn(Body, title="NewPeriod"):
    """When it holds: ``[from, until)``; no ``until`` is until further notice."""

    from_: Instant | None = Field(
        None, alias="from", description="Defaults to the recorded instant."
    )
    until: Instant | None = None


class PeriodOut(Body, title="Period"):
    """When it holds: ``[from, until)``; ``until`` null is until further notice."""

    from_: datetime = Field(alias="from")
    until: datetime | None


class Reason(Body):
    """Why, as a code and in English words."""

    code: ReasonCode
    text: Text | None = Field(None, examples=["Preventive measure"])


Undo = Annotated[
    list[str],
    Field(
        description="Where to POST a retraction of each new entry; empty for a correction, whose"
        " retraction would withdraw what it corrected as well."
    ),
]


class RetractionIn(Body, title="NewRetraction"):
    """The withdrawal of something that should not have been recorded.

    The retraction of a correction withdraws all versions: what was superseded stays superseded.
    """

    model_config = example({"reason": {"code": "other", "text": "Posted by mistake"}})

    reason: Reason
    citations: list[CitationIn] = Field([], max_length=50)
