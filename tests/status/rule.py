"""Questions to the resolution rule about a history, each asked anew."""

from datetime import datetime

from app.status.rule.history import ALWAYS, Answer, History, TimelinePeriod
from app.status.rule.resolution import Period, ResolvedHistory


def resolve(history: History, at: datetime, known_at: datetime | None = None) -> Answer:
    return ResolvedHistory(history, known_at).answer(at)


def timeline(
    history: History, known_at: datetime | None = None, *, since: datetime = ALWAYS
) -> tuple[TimelinePeriod, ...]:
    return tuple(ResolvedHistory(history, known_at).timeline(since))


def present_period(history: History, at: datetime, known_at: datetime | None = None) -> Period:
    return ResolvedHistory(history, known_at).period(at)


def next_change(
    history: History, at: datetime, known_at: datetime | None = None
) -> datetime | None:
    return ResolvedHistory(history, known_at).next_change(at)
