"""The summary of a crossing's status at an instant, and how a list shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.places.answers import CrossingListed, Links
from app.places.schemas import CrossingDetails
from app.status.log import CrossingLog
from app.status.rule.history import Answer, History, Lane
from app.status.rule.resolution import present_period, resolve, timeline
from app.vocabulary import Mode


@dataclass(frozen=True, eq=False)
class Summary:
    """What is answered about a crossing, or about some of its lanes, at an instant."""

    log: CrossingLog
    history: History
    instant: datetime
    answer: Answer

    @classmethod
    def of(
        cls, log: CrossingLog, instant: datetime, lanes: Sequence[Lane] | None = None
    ) -> "Summary":
        history = log.history(lanes)
        return cls(log, history, instant, resolve(history, instant))

    @property
    def id(self) -> str:
        return self.log.details.id

    @property
    def mode(self) -> Mode:
        return Mode(self.log.details.version.mode)

    @property
    def since(self) -> datetime | None:
        """Since when the status is so. It takes the whole timeline: only for what is shown."""
        since, _ = present_period(timeline(self.history), self.instant)
        return since


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
