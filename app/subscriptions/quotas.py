"""How many subscriptions a key may have, and how often it may have test messages sent."""

import math
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.config import Settings
from app.errors import QuotaExceeded, RateLimited
from app.subscriptions.models import Subscription

# Ids are in the order of time, and the index has them.
_OLDEST_PING = text("""
    SELECT EXTRACT(epoch FROM created_at + interval '1 minute' - now())::float8
    FROM delivery
    WHERE subscription_id = :id AND id >= uuidv7(interval '-61 seconds')
      AND change IS NULL AND created_at > now() - interval '1 minute'
    ORDER BY created_at DESC OFFSET :before LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Quotas:
    """What each key may have; 0 is no limit."""

    subscriptions: int = 0
    """Of one key."""
    pings: int = 0
    """Of one subscription in a minute."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.subscriptions_per_key, settings.pings_per_minute)

    async def require_room(self, session: AsyncSession, reporter: Reporter) -> None:
        """Raise QuotaExceeded if a key has as many subscriptions as it may.

        Those who subscribe at once with one key wait for each other until they commit.
        """
        if not self.subscriptions:
            return
        lock = func.hashtextextended(f"subscriptions {reporter.key_id}", 0)
        await session.execute(select(func.pg_advisory_xact_lock(lock)))
        own = select(func.count()).where(Subscription.key_id == reporter.key_id)
        count = await session.scalar(own) or 0
        if count >= self.subscriptions:
            raise QuotaExceeded(
                f"The key {reporter.name!r} has {count} subscriptions, and may have"
                f" {self.subscriptions}. Delete one first."
            )

    async def require_calm(self, session: AsyncSession, subscription_id: UUID) -> None:
        """Raise RateLimited if too many test messages were asked for; the row must be locked."""
        if not self.pings:
            return
        parameters = {"id": subscription_id, "before": self.pings - 1}
        seconds: float | None = await session.scalar(_OLDEST_PING, parameters)
        if seconds is not None:
            wait = max(1, math.ceil(seconds))
            raise RateLimited(
                f"A subscription may have {self.pings} test messages a minute. Try again in"
                f" {wait} s.",
                headers={"Retry-After": str(wait)},
            )
