"""What is due to a receiver, in which order, and what becomes of it.

Changes of one crossing reach a receiver in order: a delivery waits for the earlier ones that
share a crossing with it, and one that touches no crossing for the earlier ones of its kind. The
others go by, so that nothing waits for what it has nothing to do with.

A *turn* of a subscription sends all that is due to it; there is one at a time. A worker takes it
for as long as its lease lasts, and renews that; should the worker die, another takes it up.
"""

import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CHANNEL = "delivery"
"""Notified when something has become due at once."""
LEASE = timedelta(seconds=12)
"""A turn whose worker was not heard of for so long is taken by another."""
DELAYS = tuple(
    timedelta(seconds=one)
    for one in (5, 30, 120, 600, 1_800, *(hours * 3_600 for hours in (1, 2, 4, 8, *[12] * 5)))
)
"""Between attempts; after the last of them, three days on, a delivery has failed."""
JITTER = 0.2
LONGEST_WAIT = timedelta(hours=12)
"""However long a receiver asks to be left alone."""
PATIENCE = timedelta(days=5)
"""For so long every attempt may fail before a subscription is disabled."""
KEPT = timedelta(days=30)
"""For so long a delivery that has ended can be looked at and repeated."""
AT_ONCE = 4
"""Attempts under way at one receiver; one as long as they fail."""

_LOCK = text("""
    SELECT turn, status, failing_since IS NOT NULL AS failing, url, secret,
           CASE WHEN old_secret_until > clock_timestamp() THEN old_secret END AS old_secret
    FROM subscription WHERE id = :id FOR NO KEY UPDATE
""")
_FIRST_IN_LINE = text("""
    SELECT id, change, greatest(next_attempt_at - now(), interval '0') AS wait
    FROM delivery one
    WHERE subscription_id = :id AND state = 'pending' AND id <> ALL (:under_way)
      AND NOT EXISTS (
          SELECT FROM delivery earlier
          WHERE earlier.subscription_id = :id AND earlier.state = 'pending'
            AND earlier.change < one.change
            AND (earlier.crossings && one.crossings
                 OR earlier.crossings = '{}' AND one.crossings = '{}'))
    ORDER BY wait, tries, change NULLS FIRST LIMIT :room
""")
_RECORD = text("""
    INSERT INTO attempt (delivery_id, at, milliseconds, status, error)
    SELECT id, :at, :milliseconds, :status, :error FROM delivery WHERE id = :id
""")
_DELIVERED = text("""
    WITH told AS (
        INSERT INTO attempt (delivery_id, at, milliseconds, status)
        SELECT id, :at, :milliseconds, :status FROM delivery WHERE id = :id
    ), done AS (
        UPDATE delivery SET state = 'delivered', tries = tries + 1, next_attempt_at = NULL,
                            ended_at = clock_timestamp()
        WHERE id = :id AND state = 'pending'
    )
    UPDATE subscription SET failing_since = NULL
    WHERE id = :subscription AND failing_since IS NOT NULL
""")
_END = text("""
    UPDATE delivery SET state = 'failed', tries = tries + 1, next_attempt_at = NULL,
                        ended_at = clock_timestamp()
    WHERE id = :id AND state = 'pending'
""")
_POSTPONE = text("""
    UPDATE delivery SET tries = tries + 1, next_attempt_at = clock_timestamp() + :delay
    WHERE id = :id AND state = 'pending'
""")
_TRIES = text("SELECT tries FROM delivery WHERE id = :id")
_FAILED = text("""
    UPDATE subscription SET failing_since = coalesce(failing_since, :at)
    WHERE id = :id RETURNING :at - failing_since
""")
_DISABLE = text("""
    UPDATE subscription SET status = 'disabled', disabled_reason = :reason
    WHERE id = :id AND status = 'active'
""")
_END_TURN = text("""
    UPDATE subscription SET turn_at = now() + CAST(:delay AS interval), lease_until = NULL
    WHERE id = :id AND turn = :turn
""")
_WAKE = text(f"""
    WITH woken AS (
        UPDATE subscription SET turn_at = now()
        WHERE id = ANY (:ids) AND status = 'active'
          AND (turn_at IS NULL OR turn_at > clock_timestamp())
        RETURNING id
    )
    SELECT pg_notify('{CHANNEL}', '') WHERE EXISTS (SELECT FROM woken)
""")  # noqa: S608  # the channel is a constant
# Receivers that fail come after all others.
_TAKE_TURNS = text("""
    WITH due AS (
        SELECT id FROM subscription
        WHERE turn_at <= now() AND (lease_until IS NULL OR lease_until <= now())
        ORDER BY failing_since IS NOT NULL, turn_at LIMIT :room FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE subscription SET turn = turn + 1, lease_until = now() + :lease
    FROM due WHERE subscription.id = due.id RETURNING subscription.id, turn
""")
_RENEW = text("""
    WITH held AS (
        SELECT id FROM subscription
        JOIN unnest(CAST(:ids AS uuid[]), CAST(:turns AS bigint[])) taken (id, turn)
            USING (id, turn)
        WHERE lease_until IS NOT NULL FOR NO KEY UPDATE OF subscription SKIP LOCKED
    )
    UPDATE subscription SET lease_until = now() + :lease
    FROM held WHERE subscription.id = held.id
""")
_NEXT_TURN = text("SELECT min(turn_at) - clock_timestamp() FROM subscription WHERE turn_at > now()")
_TIDY = text("DELETE FROM delivery WHERE ended_at < now() - CAST(:kept AS interval)")


class Turn(NamedTuple):
    """One that a worker took: it counts as long as its subscription has no newer one."""

    subscription_id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt; without an ``error`` it succeeded."""

    at: datetime
    milliseconds: int
    status: int | None
    error: str | None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What to send next, and to whom."""

    url: str
    secrets: Sequence[str]
    due: Mapping[UUID, int | None]
    """Deliveries by their id, each with its change; None is a test message."""
    disabled: str | None = None
    """Why nothing more is sent, if that came about just now."""


async def take_turns(
    session: AsyncSession, *, room: int
) -> tuple[Sequence[Turn], timedelta | None]:
    """Take what has been due for longest, so many at most, for as long as the lease lasts.

    Return also how long until something else is due; None if nothing is planned.
    """
    taken = await session.execute(_TAKE_TURNS, {"room": room, "lease": LEASE})
    return [Turn(*row) for row in taken], await session.scalar(_NEXT_TURN)


async def renew(session: AsyncSession, turns: Sequence[Turn]) -> None:
    """Begin the lease of turns that are under way anew."""
    ids, numbers = zip(*turns, strict=True)
    asked = {"ids": list(ids), "turns": list(numbers), "lease": LEASE}
    await session.execute(_RENEW, asked)


async def advance(
    session: AsyncSession,
    turn: Turn,
    *,
    outcomes: Mapping[UUID, Outcome],
    under_way: AbstractSet[UUID],
    open_ended: bool = True,
) -> Step | None:
    """Record ``outcomes`` and return what to send now besides what is ``under_way``.

    Where nothing is under way then, the turn has ended. Without ``open_ended`` nothing new is
    begun. None if there is no subscription.
    """
    subscription_id = turn.subscription_id
    found = (await session.execute(_LOCK, {"id": subscription_id})).one_or_none()
    if found is None:
        return None
    disabled = await _record(session, subscription_id, outcomes)
    due: dict[UUID, int | None] = {}
    if found.turn == turn.number:
        is_active = found.status == "active" and disabled is None
        failing = found.failing and all(one.error for one in outcomes.values())
        room = (1 if failing else AT_ONCE) - len(under_way)
        wait = None
        if is_active and room > 0:
            asked = {"id": subscription_id, "under_way": list(under_way), "room": room}
            found_first = (await session.execute(_FIRST_IN_LINE, asked)).all()
            wait = min((one.wait for one in found_first), default=None)
            if open_ended:
                due = {one.id: one.change for one in found_first if not one.wait}
        if not due and not under_way:
            ended = {"id": subscription_id, "turn": turn.number, "delay": wait}
            await session.execute(_END_TURN, ended)
    secrets = [one for one in (found.secret, found.old_secret) if one is not None]
    return Step(found.url, secrets, due, disabled)


async def wake(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """See that what is due to active subscriptions is sent now; their rows must be locked."""
    await session.execute(_WAKE, {"ids": list(ids)})


async def tidy(session: AsyncSession) -> None:
    """Let go of deliveries that ended long ago."""
    await session.execute(_TIDY, {"kept": KEPT})


def delay_after(tries: int, asked: timedelta | None) -> timedelta | None:
    """Return how long to wait after so many attempts failed; None when they were the last."""
    if tries > len(DELAYS):
        return None
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # it is no secret
    return max(DELAYS[tries - 1] * jitter, min(asked or timedelta(), LONGEST_WAIT))


async def _record(
    session: AsyncSession, subscription_id: UUID, outcomes: Mapping[UUID, Outcome]
) -> str | None:
    """Write down what came of attempts; return why the subscription is now disabled, if it is."""
    reason = None
    for delivery_id, outcome in outcomes.items():
        asked: dict[str, object] = {"id": delivery_id}
        told = {"at": outcome.at, "milliseconds": outcome.milliseconds, "status": outcome.status}
        if outcome.error is None:
            await session.execute(_DELIVERED, asked | told | {"subscription": subscription_id})
            continue
        await session.execute(_RECORD, asked | told | {"error": outcome.error})
        tries = (await session.scalar(_TRIES, asked) or 0) + 1
        delay = delay_after(tries, outcome.retry_after)
        if delay is None:
            await session.execute(_END, asked)
        else:
            await session.execute(_POSTPONE, asked | {"delay": delay})
        failing: timedelta | None = await session.scalar(
            _FAILED, {"id": subscription_id, "at": outcome.at}
        )
        if outcome.status == HTTPStatus.GONE:
            reason = "the receiver answered 410 Gone"
        elif failing is not None and failing > PATIENCE:
            reason = f"no attempt succeeded for {PATIENCE.days} days"
    if reason is not None:
        await session.execute(_DISABLE, {"id": subscription_id, "reason": reason})
    return reason
