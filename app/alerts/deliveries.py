"""The queue of alerts: what is due to whom, in which order, and what came of it.

A delivery waits for the earlier ones of its alert that share a crossing with it. What was sent is
deleted; what failed is tried again, as webhooks are. A worker takes a batch with a lease, which it
renews; what a worker leaves undone when it is killed, another one sends.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.subscriptions.deliveries import delay_after
from app.vocabulary import AlertChannel

LEASE = timedelta(seconds=30)
"""A delivery whose lease was not renewed for this long is taken by another worker."""
UNCONFIRMED_KEPT = timedelta(hours=48)
"""How long an e-mail address is kept that nobody confirms."""

_TAKE = text("""
    WITH due AS (
        SELECT candidate.id FROM alert_delivery candidate JOIN alert ON alert.id = alert_id
        WHERE next_attempt_at <= now() AND (lease_until IS NULL OR lease_until <= now())
          AND channel = ANY (:channels)
          AND NOT EXISTS (
              SELECT FROM alert_delivery earlier
              WHERE earlier.alert_id = candidate.alert_id AND earlier.change < candidate.change
                AND earlier.crossings && candidate.crossings)
        ORDER BY next_attempt_at LIMIT :room FOR NO KEY UPDATE OF candidate SKIP LOCKED
    ), taken AS (
        UPDATE alert_delivery SET lease_until = now() + :lease
        FROM due WHERE alert_delivery.id = due.id RETURNING alert_delivery.*
    )
    SELECT taken.id, alert_id, taken.change, taken.crossings, tries,
           channel, recipient, language, traffic, "to", alert.crossings, alert.borders
    FROM taken JOIN alert ON alert.id = alert_id
""")
_NEXT = text("""
    SELECT min(next_attempt_at) - clock_timestamp() FROM alert_delivery
    WHERE next_attempt_at > now()
""")
_RENEW = text("""
    UPDATE alert_delivery SET lease_until = now() + :lease
    WHERE id = ANY (:ids) AND lease_until IS NOT NULL
""")
_END = text("DELETE FROM alert_delivery WHERE id = ANY (:ids)")
_POSTPONE = text("""
    UPDATE alert_delivery
    SET tries = tries + 1, lease_until = NULL, next_attempt_at = clock_timestamp() + delay
    FROM unnest(CAST(:ids AS uuid[]), CAST(:delays AS interval[])) failed (failed_id, delay)
    WHERE id = failed_id
""")
_REMOVE = text("DELETE FROM alert WHERE id = ANY (:ids)")
_TIDY = text("""
    DELETE FROM alert
    WHERE confirmed_at IS NULL AND created_at < now() - CAST(:kept AS interval)
""")


class Due(NamedTuple):
    """A delivery that a worker took, with its alert. Without a change it asks for confirmation."""

    id: UUID
    alert_id: UUID
    change: int | None
    crossings: Sequence[str]
    tries: int
    channel: str
    recipient: str
    """Encrypted."""
    language: str
    traffic: str | None
    to: str | None
    all_crossings: Sequence[str]
    borders: Sequence[str]


class Verdict(StrEnum):
    """What came of an attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """It may succeed later."""
    REFUSED = "refused"
    """It may succeed later; if it never does, the recipient is to blame."""
    GONE = "gone"
    """The recipient is not there any more."""


@dataclass(frozen=True, slots=True)
class AlertAttempt:
    """An attempt to send something, and what came of it."""

    due: Due
    verdict: Verdict
    retry_after: timedelta | None = None


async def take(
    session: AsyncSession, *, channels: Collection[AlertChannel], room: int
) -> tuple[Sequence[Due], timedelta | None]:
    """Take what has been due for longest, ``room`` at most, with a lease.

    Return it and the time until something more is due; None if nothing is planned.
    """
    parameters = {"channels": list(channels), "room": room, "lease": LEASE}
    rows = await session.execute(_TAKE, parameters)
    return [Due(*row) for row in rows], await session.scalar(_NEXT)


async def renew(session: AsyncSession, deliveries: Sequence[Due]) -> None:
    """Renew the leases of what is being sent."""
    await session.execute(_RENEW, {"ids": [due.id for due in deliveries], "lease": LEASE})


async def record(session: AsyncSession, attempts: Sequence[AlertAttempt]) -> int:
    """Record what came of attempts; return how many alerts were deleted, as nobody gets them.

    An alert is deleted when its recipient is gone, or has refused a message for three days.
    """
    ended: list[UUID] = []
    removed: list[UUID] = []
    postponed: dict[UUID, timedelta] = {}
    for attempt in attempts:
        due, delay = attempt.due, delay_after(attempt.due.tries + 1, attempt.retry_after)
        match attempt.verdict:
            case Verdict.DELIVERED:
                ended.append(due.id)
            case Verdict.GONE:
                removed.append(due.alert_id)
            case _ if delay is not None:
                postponed[due.id] = delay
            case Verdict.REFUSED:
                removed.append(due.alert_id)
            case Verdict.FAILED:
                ended.append(due.id)
    if ended:
        await session.execute(_END, {"ids": ended})
    if postponed:
        columns = {"ids": list(postponed), "delays": list(postponed.values())}
        await session.execute(_POSTPONE, columns)
    if removed:
        await session.execute(_REMOVE, {"ids": removed})
    return len(removed)


async def forget_unconfirmed(session: AsyncSession) -> None:
    """Delete the alerts, with their addresses, that were not confirmed in time."""
    await session.execute(_TIDY, {"kept": UNCONFIRMED_KEPT})
