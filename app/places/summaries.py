"""How a crossing is shown with its status: in a list, and alone."""

from collections.abc import Mapping
from uuid import UUID

from app.places.answers import CrossingAlone, CrossingListed, Links
from app.places.schemas import CrossingDetails
from app.status.schemas import EventOut
from app.status.summaries import Summary, status_out


def listing(summary: Summary, details: CrossingDetails) -> CrossingListed:
    """Return a crossing as lists show it."""
    answer = summary.answer
    return CrossingListed(
        **dict(details),
        status=answer.status,
        since=summary.since,
        last_known=answer.last_known,
        stale=answer.stale,
        overdue=answer.overdue,
        last_confirmed_at=answer.last_confirmed_at,
        links=Links.of(details.id, details.border),
    )


def alone(
    summary: Summary, details: CrossingDetails, events: Mapping[UUID, EventOut]
) -> CrossingAlone:
    """Return a crossing with its whole present answer."""
    listed = listing(summary, details)
    return CrossingAlone(**dict(listed), now=status_out(summary, events))
