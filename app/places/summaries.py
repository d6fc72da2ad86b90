"""The summary of a crossing's status at an instant, and how a list shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.places.answers import CrossingListed, Links
from app.places.schemas import CrossingDetails
from app.status.log import CrossingLog
from app.status.reading import summary_of
from app.status.rule.history import Answer, Lane
from app.vocabulary import Mode


@dataclass(frozen=True, slots=True)
class Summary:
    """What is answered about a crossing, or about some of its lanes, at an instant."""

    log: CrossingLog
    answer: Answer
    since: datetime | None

    @classmethod
    def of(
        cls, log: CrossingLog, instant: datetime, lanes: Sequence[Lane] | None = None
    ) -> "Summary":
        return cls(log, *summary_of(log, instant, lanes))

    @property
    def mode(self) -> Mode:
        return Mode(self.log.details.version.mode)


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
