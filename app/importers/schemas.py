"""Bodies of imported feeds."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.http.bodies import Body
from app.importers.policy import StatusPolicy


class RefusedValue(Body):
    """A value of a feed that was not recorded."""

    place: str = Field(description="As the feed names it.")
    what: str = Field(description="Which of the values of the place.")
    value: str | None = Field(description="As the feed has it; null if it may not be shown.")
    reason: str


class UnmappedPlace(Body):
    """A place of a feed that is not mapped to a crossing."""

    key: str = Field(description="By which the feed knows it.")
    name: str
    reason: str | None = Field(description="Why it is left out; null if nobody has looked yet.")


class FeedOut(Body, title="ImportedFeed"):
    """A feed of waits that can be imported, and how its last import went."""

    name: str = Field(examples=["us-cbp"])
    title: str
    publisher: str | None
    url: str | None
    source: UUID | None = Field(description="Null until something was recorded from it.")
    status_policy: StatusPolicy = Field(
        description="What it may say of a status: nothing, or that a lane of its side is open."
    )
    interval_seconds: int = Field(description="Between two imports.")
    last_attempt_at: datetime | None
    last_success_at: datetime | None = Field(
        description="When it was last read, or found unchanged."
    )
    last_change_at: datetime | None = Field(description="When observations were last recorded.")
    next_attempt_at: datetime | None = Field(
        description="Null if it was never imported by schedule."
    )
    failures: int = Field(description="Since the last success.")
    error: str | None = Field(description="What went wrong at the last attempt.")
    observed_at: datetime | None = Field(description="Of the newest observation last read.")
    age: int | None = Field(description="Seconds since then.")
    rows: int = Field(description="Observations in what was last read, new and known.")
    refused_count: int
    refused: list[RefusedValue] = Field(description="The first 100 of those last read.")
    unknown_places: list[UnmappedPlace]
