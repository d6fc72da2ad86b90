"""Bodies of statistics."""

from datetime import datetime

from pydantic import Field

from app.http.bodies import Body, BorderId, CountryCode, CrossingId
from app.observations.schemas import Queue
from app.vocabulary import Status, Traffic


class ClosuresOut(Body, title="Closures"):
    """Closures with a part in the range; their lengths are those of that part, in seconds."""

    count: int
    total: float
    median: float | None
    longest: float | None
    began_before: int = Field(description="How many began before the range.")
    continued_after: int = Field(description="How many continued after it.")


class StatusFigures(Body):
    """Time by status, in seconds and as shares of all time, and closures."""

    seconds: dict[Status, float]
    shares: dict[Status, float]
    closures: ClosuresOut


class WaitFigures(Body):
    """The known waits that were observed on a lane, or on one of its queues."""

    traffic: Traffic
    to: CountryCode
    queue: Queue | None
    count: int
    median_minutes: float


class CrossingStatistics(StatusFigures):
    """What a crossing, or some of its lanes, was like over a range."""

    crossing: CrossingId
    from_: datetime = Field(alias="from")
    until: datetime
    waits: list[WaitFigures]


class BorderStatistics(Body):
    """What the crossings of a border were like over a range."""

    border: BorderId
    from_: datetime = Field(alias="from")
    until: datetime
    total: StatusFigures = Field(description="Of the time of all crossings together.")
    crossings: list[CrossingStatistics]
