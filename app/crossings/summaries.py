"""Bodies of crossings with their status, from summaries and details."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.crossings.answers import Alternative, CrossingDetail, CrossingSummary, Links
from app.observations.schemas import WaitOut
from app.places.details import Details
from app.places.schemas import CrossingRecord
from app.status.schemas import EventOut
from app.status.summaries import Summary, status_out
from app.vocabulary import Status


def crossing_summary(
    summary: Summary, details: CrossingRecord, waits: Sequence[WaitOut]
) -> CrossingSummary:
    """Return the body of a crossing in a list."""
    answer = summary.answer
    return CrossingSummary(
        **dict(details),
        status=answer.status,
        since=summary.since,
        last_known=answer.last_known,
        stale=answer.stale,
        overdue=answer.overdue,
        last_confirmed_at=answer.last_confirmed_at,
        opens_at=summary.opens_at,
        waits=list(waits),
        links=Links.of(details.id, details.border),
    )


def alternative(
    origin: Details, summary: Summary, details: CrossingRecord, waits: Sequence[WaitOut]
) -> Alternative:
    """Return the body of a crossing that can be used instead of ``origin``."""
    point = summary.details.point
    distance = None
    if origin.point is not None and point is not None:
        distance = origin.point.distance_km(point)
    usable_for = dict.fromkeys(
        lane.lane.traffic for lane in summary.answer.lanes if lane.status is not Status.CLOSED
    )
    return Alternative(
        **dict(crossing_summary(summary, details, waits)),
        usable_for=list(usable_for),
        distance_km=distance,
    )


def crossing_detail(
    summary: Summary,
    details: CrossingRecord,
    events: Mapping[UUID, EventOut],
    waits: Sequence[WaitOut],
) -> CrossingDetail:
    """Return the body of a crossing with its whole present status."""
    body = crossing_summary(summary, details, waits)
    return CrossingDetail(**dict(body), now=status_out(summary, events, waits))
