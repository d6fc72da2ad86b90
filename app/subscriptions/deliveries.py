"""The queue of deliveries: what is due to a receiver, in which order, and its outcome.

Changes of one crossing reach a receiver in order: a delivery waits for the earlier ones that
share a crossing with it, and one that touches no crossing for the earlier ones without one. Other
deliveries do not wait for it.

A receiver has to agree to be called first, in the handshake of CloudEvents webhooks: until then its
subscription is ``pending``, and what concerns it is kept.

A *turn* of a subscription sends everything that is due to it; there is one at a time. A worker
takes it with a lease, which it renews; when the worker dies, another worker takes over.
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
"""Notified when something has become due."""
LEASE = timedelta(seconds=12)
"""A turn whose lease was not renewed for this long is taken by another worker."""
DELAYS = tuple(
    timedelta(seconds=one)
    for one in (5, 30, 120, 600, 1_800, *(hours * 3_600 for hours in (1, 2, 4, 8, *[12] * 5)))
)
"""Delays between attempts; after the last of them, three days on, a delivery has failed."""
JITTER = 0.2
LONGEST_WAIT = timedelta(hours=12)
"""The longest delay that a receiver can ask for by Retry-After."""
PATIENCE = timedelta(days=5)
"""How long every attempt must fail for a subscription to be disabled."""
KEPT = timedelta(days=30)
"""How long a delivery is kept after its end, to be read and repeated."""
HANDSHAKE_PATIENCE = timedelta(days=1)
"""How long a receiver may not agree before its subscription is disabled."""
FIRST_HANDSHAKE_DELAY = timedelta(seconds=5)
"""Then a handshake is tried again after as long as it has failed, at most `LONGEST_WAIT`."""
AT_ONCE = 4
"""Concurrent attempts at one receiver; only one while they fail."""

_LOCK = text("""
    SELECT turn, status, failing_since IS NOT NULL AS failing, url, secret,
           CASE WHEN old_secret_until > clock_timestamp() THEN old_secret END AS old_secret
    FROM subscription WHERE id = :id FOR NO KEY UPDATE
""")
_FIRST_IN_LINE = text("""
    SELECT id, change, greatest(next_attempt_at - now(), interval '0') AS wait
    FROM delivery candidate
    WHERE subscription_id = :id AND state = 'pending' AND id <> ALL (:under_way)
      AND NOT EXISTS (
          SELECT FROM delivery earlier
          WHERE earlier.subscription_id = :id AND earlier.state = 'pending'
            AND earlier.change < candidate.change
            AND (earlier.crossings && candidate.crossings
                 OR earlier.crossings = '{}' AND candidate.crossings = '{}'))
    ORDER BY wait, tries, change NULLS FIRST LIMIT :room
""")
_RECORD = text("""
    INSERT INTO attempt (delivery_id, at, milliseconds, status, error)
    SELECT id, :at, :milliseconds, :status, :error FROM delivery WHERE id = :id
""")
_DELIVERED = text("""
    WITH recorded AS (
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
_AGREED = text("""
    UPDATE subscription
    SET agreed_at = :at, failing_since = NULL, pending_reason = NULL,
        status = CASE status WHEN 'pending' THEN 'active' ELSE status END
    WHERE id = :id AND agreed_at IS NULL
""")
_NOT_AGREED = text("""
    UPDATE subscription
    SET pending_reason = :error, failing_since = coalesce(failing_since, :at)
    WHERE id = :id AND status = 'pending' RETURNING :at - failing_since
""")
_NEVER_AGREED = text("""
    UPDATE subscription SET status = 'disabled', pending_reason = NULL, disabled_reason = :reason
    WHERE id = :id AND status = 'pending'
""")
_END_TURN = text("""
    UPDATE subscription SET turn_at = now() + CAST(:delay AS interval), lease_until = NULL
    WHERE id = :id AND turn = :turn
""")
_ASK = text(f"""
    WITH woken AS (
        UPDATE subscription SET turn_at = now() WHERE id = :id AND status = 'pending' RETURNING id
    )
    SELECT pg_notify('{CHANNEL}', '') WHERE EXISTS (SELECT FROM woken)
""")  # noqa: S608  # the channel is a constant
_WAKE = text(f"""
    WITH woken AS (
        UPDATE subscription SET turn_at = now()
        WHERE id = ANY (:ids) AND status = 'active'
          AND (turn_at IS NULL OR turn_at > clock_timestamp())
        RETURNING id
    )
    SELECT pg_notify('{CHANNEL}', '') WHERE EXISTS (SELECT FROM woken)
""")  # noqa: S608  # the channel is a constant
# Failing receivers come last.
_TAKE_TURNS = text("""
    WITH due AS (
        SELECT id FROM subscription
        WHERE turn_at <= now() AND (lease_until IS NULL OR lease_until <= now())
        ORDER BY failing_since IS NOT NULL, turn_at LIMIT :room FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE subscription SET turn = turn + 1, lease_until = now() + :lease
    FROM due WHERE subscription.id = due.id
    RETURNING subscription.id, turn, url, status = 'pending'
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
    """A turn that a worker took: it is valid until its subscription has a newer one."""

    subscription_id: UUID
    number: int
    url: str
    is_pending: bool
    """Whether the receiver has to agree to be called before anything is sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an attempt; without an ``error`` it succeeded."""

    at: datetime
    milliseconds: int
    status: int | None
    error: str | None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What to send next, and where to."""

    url: str
    secrets: Sequence[str]
    """Those to sign with, encrypted."""
    due: Mapping[UUID, int | None]
    """Deliveries by their id, each with its change; None is a test message."""
    disabled: str | None = None
    """Why the subscription is disabled, if it just became so."""


async def take_turns(
    session: AsyncSession, *, room: int
) -> tuple[Sequence[Turn], timedelta | None]:
    """Take the turns of those due for longest, ``room`` at most, with a lease.

    Return them and the time until the next one is due; None if nothing is planned.
    """
    rows = await session.execute(_TAKE_TURNS, {"room": room, "lease": LEASE})
    return [Turn(*row) for row in rows], await session.scalar(_NEXT_TURN)


async def renew(session: AsyncSession, turns: Sequence[Turn]) -> None:
    """Renew the lease of turns that are under way."""
    ids, numbers = [turn.subscription_id for turn in turns], [turn.number for turn in turns]
    parameters = {"ids": ids, "turns": numbers, "lease": LEASE}
    await session.execute(_RENEW, parameters)


async def put_off(session: AsyncSession, turn: Turn, delay: timedelta) -> None:
    """End a turn before anything was sent, and begin the next one later."""
    ended = {"id": turn.subscription_id, "turn": turn.number, "delay": delay}
    await session.execute(_END_TURN, ended)


async def record_handshake(session: AsyncSession, turn: Turn, outcome: Outcome) -> str | None:
    """Record what a receiver answered. If it did not agree, the turn ends.

    Return why the subscription is disabled, if it just became so.
    """
    identity = {"id": turn.subscription_id}
    row = (await session.execute(_LOCK, identity)).one_or_none()
    if row is None or row.turn != turn.number:
        return None
    if outcome.error is None:
        await session.execute(_AGREED, {**identity, "at": outcome.at})
        return None
    failing: timedelta | None = await session.scalar(
        _NOT_AGREED, {**identity, "at": outcome.at, "error": outcome.error}
    )
    reason, delay = None, None
    if failing is not None:
        if failing > HANDSHAKE_PATIENCE or outcome.status == HTTPStatus.GONE:
            reason = f"the receiver did not agree to be called: {outcome.error}"
            await session.execute(_NEVER_AGREED, {**identity, "reason": reason})
        else:
            delay = min(max(failing, outcome.retry_after or failing), LONGEST_WAIT)
            delay = max(delay, FIRST_HANDSHAKE_DELAY)
    await session.execute(_END_TURN, {**identity, "turn": turn.number, "delay": delay})
    return reason


async def advance(
    session: AsyncSession,
    turn: Turn,
    *,
    outcomes: Mapping[UUID, Outcome],
    under_way: AbstractSet[UUID],
    open_ended: bool = True,
) -> Step | None:
    """Record ``outcomes`` and return what to send now besides what is ``under_way``.

    If there is nothing to send and nothing under way, the turn ends. Without ``open_ended``
    nothing new is sent. None if the subscription does not exist.
    """
    subscription_id = turn.subscription_id
    row = (await session.execute(_LOCK, {"id": subscription_id})).one_or_none()
    if row is None:
        return None
    disabled = await _record(session, subscription_id, outcomes)
    due: dict[UUID, int | None] = {}
    if row.turn == turn.number:
        is_active = row.status == "active" and disabled is None
        failing = row.failing and all(outcome.error for outcome in outcomes.values())
        room = (1 if failing else AT_ONCE) - len(under_way)
        # Who resumed it meanwhile wants it to be asked.
        wait = timedelta() if row.status == "pending" else None
        if is_active and room > 0:
            parameters = {"id": subscription_id, "under_way": list(under_way), "room": room}
            first_in_line = (await session.execute(_FIRST_IN_LINE, parameters)).all()
            wait = min((first.wait for first in first_in_line), default=None)
            if open_ended:
                due = {first.id: first.change for first in first_in_line if not first.wait}
        if not due and not under_way:
            ended = {"id": subscription_id, "turn": turn.number, "delay": wait}
            await session.execute(_END_TURN, ended)
    secrets = [secret for secret in (row.secret, row.old_secret) if secret is not None]
    return Step(row.url, secrets, due, disabled)


async def wake(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Have what is due to active subscriptions sent now; their rows must be locked."""
    await session.execute(_WAKE, {"ids": list(ids)})


async def ask_receiver(session: AsyncSession, subscription_id: UUID) -> None:
    """Have the receiver of a pending subscription asked now; its row must be locked, or new."""
    await session.execute(_ASK, {"id": subscription_id})


async def tidy(session: AsyncSession) -> None:
    """Delete deliveries that ended long ago."""
    await session.execute(_TIDY, {"kept": KEPT})


def delay_after(tries: int, requested: timedelta | None) -> timedelta | None:
    """Return how long to wait after ``tries`` failed attempts; None after the last one."""
    if tries > len(DELAYS):
        return None
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # it is no secret
    return max(DELAYS[tries - 1] * jitter, min(requested or timedelta(), LONGEST_WAIT))


async def _record(
    session: AsyncSession, subscription_id: UUID, outcomes: Mapping[UUID, Outcome]
) -> str | None:
    """Record the outcomes of attempts; return why the subscription is now disabled, if it is."""
    reason = None
    for delivery_id, outcome in outcomes.items():
        parameters: dict[str, object] = {"id": delivery_id}
        outcome_fields = {
            "at": outcome.at,
            "milliseconds": outcome.milliseconds,
            "status": outcome.status,
        }
        if outcome.error is None:
            await session.execute(
                _DELIVERED, parameters | outcome_fields | {"subscription": subscription_id}
            )
            continue
        await session.execute(_RECORD, parameters | outcome_fields | {"error": outcome.error})
        tries = (await session.scalar(_TRIES, parameters) or 0) + 1
        delay = delay_after(tries, outcome.retry_after)
        if delay is None:
            await session.execute(_END, parameters)
        else:
            await session.execute(_POSTPONE, parameters | {"delay": delay})
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
