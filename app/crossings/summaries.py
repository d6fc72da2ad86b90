"""How a crossing is shown with its status: in a list, and alone."""

from collections.abc import Mapping
from uuid import UUID

from app.crossings.answers import CrossingDetail, CrossingSummary, Links
from app.places.schemas import CrossingRecord
from app.status.schemas import EventOut
from app.status.summaries import Summary, status_out


def crossing_summary(summary: Summary, details: CrossingRecord) -> CrossingSummary:
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
        links=Links.of(details.id, details.border),
    )


def crossing_detail(
    summary: Summary, details: CrossingRecord, events: Mapping[UUID, EventOut]
) -> CrossingDetail:
    """Return a crossing with its whole present answer."""
    listed = crossing_summary(summary, details)
    return CrossingDetail(**dict(listed), now=status_out(summary, events))
