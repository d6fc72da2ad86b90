"""How a crossing is shown with its status: in a list, and alone."""

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
    """Return a crossing as lists show it."""
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
    here: Details, summary: Summary, details: CrossingRecord, waits: Sequence[WaitOut]
) -> Alternative:
    """Return a crossing as one to use instead of ``here``."""
    there = summary.details.point
    distance = None
    if here.point is not None and there is not None:
        distance = here.point.distance_km(there)
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
    """Return a crossing with its whole present answer."""
    listed = crossing_summary(summary, details, waits)
    return CrossingDetail(**dict(listed), now=status_out(summary, events, waits))
