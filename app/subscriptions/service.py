"""Manage subscriptions: every reporter its own ones, an admin all of them."""

import base64
import secrets
from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.models import Change
from app.database.sessions import append
from app.encryption import Cipher
from app.errors import DeliveryNotFound, SubscriptionNotFound, invalid
from app.http.bodies import utc
from app.http.parameters import Kind, require_existing
from app.subscriptions.addresses import AddressPolicy
from app.subscriptions.deliveries import ask_receiver, wake
from app.subscriptions.models import Attempt, Delivery, FanOut, Subscription
from app.subscriptions.quotas import Quotas
from app.subscriptions.schemas import (
    AttemptOut,
    ChangeFilter,
    DeliveryOut,
    SubscriptionIn,
    SubscriptionOut,
    SubscriptionSecret,
)
from app.vocabulary import DeliveryState, KeyScope, SubscriptionStatus

ATTEMPTS_SHOWN = 50

_RESUME = text("""
    UPDATE subscription SET status = CASE WHEN agreed_at IS NULL THEN 'pending' ELSE 'active' END,
                            disabled_reason = NULL, failing_since = NULL
    WHERE id = :id AND status <> 'active'
""")
_PAUSE = text("""
    UPDATE subscription SET status = 'paused', pending_reason = NULL, disabled_reason = NULL
    WHERE id = :id
""")
_ROTATE = text("""
    UPDATE subscription SET old_secret = secret, secret = :secret,
                            old_secret_until = clock_timestamp() + interval '24 hours'
    WHERE id = :id
""")
_DELETE = text("DELETE FROM subscription WHERE id = :id")
_PING = text("INSERT INTO delivery (subscription_id) VALUES (:id) RETURNING id")
_REPEAT = text("""
    UPDATE delivery SET state = 'pending', tries = 0, next_attempt_at = clock_timestamp(),
                        ended_at = NULL
    WHERE id = :id
""")


async def subscribe(
    session: AsyncSession,
    reporter: Reporter,
    *,
    subscription: SubscriptionIn,
    reach: AddressPolicy,
    cipher: Cipher,
    quotas: Quotas,
) -> WriteResult:
    """Make a subscription to the changes from now on. It is pending until its receiver agrees.

    Raises Invalid for a URL that webhooks may not go to, and for a filter that names what does
    not exist, and QuotaExceeded.
    """
    await quotas.require_room(session, reporter)
    await _require_existing(session, subscription.filter)
    try:
        is_exempt = await reach.require(subscription.url)
    except ValueError as error:
        raise invalid("url", str(error)) from error
    # Changes that commit from now on are fanned out after this transaction.
    await session.execute(select(FanOut.change).with_for_update(read=True))
    after = await session.scalar(select(func.max(Change.number))) or 0
    subscription_id = await session.scalar(select(func.uuidv7(type_=Subscription.id.type)))
    assert subscription_id is not None
    secret = new_secret()
    now = await session.scalar(select(func.now()))
    row = Subscription(
        id=subscription_id,
        key_id=reporter.key_id,
        agreed_at=now if is_exempt else None,
        status=SubscriptionStatus.ACTIVE if is_exempt else SubscriptionStatus.PENDING,
        url=subscription.url,
        description=subscription.description,
        filter=subscription.filter.model_dump(mode="json"),
        after=after,
        secret=cipher.encrypt(secret),
    )
    await append(session, row)
    await ask_receiver(session, subscription_id)
    return await _with_secret(session, subscription_id, secret)


async def list_subscriptions(
    session: AsyncSession, reporter: Reporter, *, after: UUID | None, limit: int
) -> list[SubscriptionOut]:
    """Return the reporter's subscriptions, the newest first, from the one after ``after``."""
    rows = _visible(reporter).order_by(Subscription.id.desc()).limit(limit)
    if after is not None:
        rows = rows.where(Subscription.id < after)
    return [_out(row) for row in await session.scalars(rows)]


async def get_subscription(
    session: AsyncSession, reporter: Reporter, subscription_id: UUID
) -> SubscriptionOut:
    """Return one of the reporter's subscriptions. Raises SubscriptionNotFound."""
    return _out(await _require(session, _visible(reporter), subscription_id))


async def pause(session: AsyncSession, reporter: Reporter, *, subscription_id: UUID) -> WriteResult:
    """Send nothing more until it is resumed; deliveries are still queued."""
    await _hold(session, reporter, subscription_id)
    await session.execute(_PAUSE, {"id": subscription_id})
    return await _written(session, subscription_id)


async def resume(
    session: AsyncSession, reporter: Reporter, *, subscription_id: UUID
) -> WriteResult:
    """Go on from where it stopped, paused or disabled."""
    await _hold(session, reporter, subscription_id)
    await session.execute(_RESUME, {"id": subscription_id})
    await ask_receiver(session, subscription_id)
    await wake(session, [subscription_id])
    return await _written(session, subscription_id)


async def rotate(
    session: AsyncSession, reporter: Reporter, *, subscription_id: UUID, cipher: Cipher
) -> WriteResult:
    """Make a new secret; for 24 hours messages are signed with the previous one, too."""
    await _hold(session, reporter, subscription_id)
    secret = new_secret()
    await session.execute(_ROTATE, {"id": subscription_id, "secret": cipher.encrypt(secret)})
    return await _with_secret(session, subscription_id, secret)


async def unsubscribe(session: AsyncSession, reporter: Reporter, subscription_id: UUID) -> None:
    """Delete a subscription and its deliveries."""
    await _hold(session, reporter, subscription_id)
    await session.execute(_DELETE, {"id": subscription_id})


async def ping(
    session: AsyncSession, reporter: Reporter, *, subscription_id: UUID, quotas: Quotas
) -> WriteResult:
    """Send a test message, as soon as the subscription is active. Raises RateLimited."""
    await _hold(session, reporter, subscription_id)
    await quotas.require_calm(session, subscription_id)
    delivery_id: UUID = (await session.execute(_PING, {"id": subscription_id})).scalar_one()
    return await _sent(session, subscription_id, delivery_id)


async def redeliver(
    session: AsyncSession, reporter: Reporter, *, subscription_id: UUID, delivery_id: UUID
) -> WriteResult:
    """Send a message again, whatever its outcome, with the same id and all its attempts anew."""
    await _hold(session, reporter, subscription_id)
    await _require_delivery(session, subscription_id, delivery_id)
    await session.execute(_REPEAT, {"id": delivery_id})
    return await _sent(session, subscription_id, delivery_id)


async def list_deliveries(
    session: AsyncSession,
    reporter: Reporter,
    subscription_id: UUID,
    *,
    state: DeliveryState | None,
    after: UUID | None,
    limit: int,
) -> list[DeliveryOut]:
    """Return the deliveries of a subscription, the newest first, from the one after ``after``."""
    await _require(session, _visible(reporter), subscription_id)
    rows = select(Delivery).where(Delivery.subscription_id == subscription_id)
    if state is not None:
        rows = rows.where(Delivery.state == state.value)
    if after is not None:
        rows = rows.where(Delivery.id < after)
    return await _deliveries_out(session, rows.order_by(Delivery.id.desc()).limit(limit))


async def _require_existing(session: AsyncSession, change_filter: ChangeFilter) -> None:
    named: dict[str, tuple[Kind, Collection[str | None]]] = {
        "filter.crossings": (Kind.CROSSING, change_filter.crossings),
        "filter.borders": (Kind.BORDER, change_filter.borders),
        "filter.countries": (Kind.COUNTRY, change_filter.countries),
        "filter.to": (Kind.COUNTRY, [change_filter.to]),
    }
    await require_existing(session, named, where="body")


def _visible(reporter: Reporter) -> Select[Subscription]:
    rows = select(Subscription)
    if KeyScope.ADMIN in reporter.scopes:
        return rows
    return rows.where(Subscription.key_id == reporter.key_id)


async def _require(
    session: AsyncSession, rows: Select[Subscription], subscription_id: UUID
) -> Subscription:
    row = (await session.scalars(rows.where(Subscription.id == subscription_id))).one_or_none()
    if row is None:
        raise SubscriptionNotFound(f"There is no subscription {subscription_id} of yours.")
    return row


async def _hold(session: AsyncSession, reporter: Reporter, subscription_id: UUID) -> None:
    """Lock a subscription. Raises SubscriptionNotFound unless it is the reporter's."""
    await _require(session, _visible(reporter).with_for_update(), subscription_id)


async def _require_delivery(
    session: AsyncSession, subscription_id: UUID, delivery_id: UUID
) -> Delivery:
    rows = select(Delivery).where(
        Delivery.id == delivery_id, Delivery.subscription_id == subscription_id
    )
    row = (await session.scalars(rows.execution_options(populate_existing=True))).one_or_none()
    if row is None:
        raise DeliveryNotFound(f"There is no delivery {delivery_id} of this subscription.")
    return row


async def _fresh(session: AsyncSession, subscription_id: UUID) -> Subscription:
    return (
        await session.scalars(
            select(Subscription).where(Subscription.id == subscription_id),
            execution_options={"populate_existing": True},
        )
    ).one()


async def _written(session: AsyncSession, subscription_id: UUID) -> WriteResult:
    body = _out(await _fresh(session, subscription_id))
    return WriteResult(body, f"/v1/subscriptions/{subscription_id}", None)


async def _with_secret(session: AsyncSession, subscription_id: UUID, secret: str) -> WriteResult:
    shown = dict(_out(await _fresh(session, subscription_id)))
    return WriteResult(
        SubscriptionSecret(**shown, secret=secret),
        f"/v1/subscriptions/{subscription_id}",
        None,
        {str(subscription_id), secret},
        without_secret=SubscriptionSecret(**shown, secret=None),
    )


async def _sent(session: AsyncSession, subscription_id: UUID, delivery_id: UUID) -> WriteResult:
    await wake(session, [subscription_id])
    row = await _require_delivery(session, subscription_id, delivery_id)
    (body,) = await _deliveries_out(session, select(Delivery).where(Delivery.id == row.id))
    return WriteResult(body, f"/v1/subscriptions/{subscription_id}/deliveries", None)


def _out(row: Subscription) -> SubscriptionOut:
    return SubscriptionOut(
        id=row.id,
        owner=row.owner,
        url=row.url,
        filter=ChangeFilter.model_validate(row.filter),
        description=row.description,
        after=row.after,
        created_at=row.created_at,
        status=SubscriptionStatus(row.status),
        pending_reason=row.pending_reason,
        disabled_reason=row.disabled_reason,
        failing_since=utc(row.failing_since),
        old_secret_until=utc(row.old_secret_until),
    )


async def _deliveries_out(session: AsyncSession, statement: Select[Delivery]) -> list[DeliveryOut]:
    """Return deliveries, the newest first, each with its attempts as they are at that moment.

    One statement reads both: between two, another attempt could be recorded.
    """
    delivery = aliased(Delivery, statement.subquery())
    pairs = await session.execute(
        select(delivery, Attempt)
        .outerjoin(Attempt, Attempt.delivery_id == delivery.id)
        .order_by(delivery.id.desc(), Attempt.id)
    )
    rows: list[Delivery] = []
    attempts: defaultdict[UUID, list[AttemptOut]] = defaultdict(list)
    for row, attempt in pairs:
        if row.id not in attempts:
            rows.append(row)
        of_delivery = attempts[row.id]
        if attempt is not None:
            of_delivery.append(
                AttemptOut(
                    at=attempt.at,
                    milliseconds=attempt.milliseconds,
                    status=attempt.status,
                    error=attempt.error,
                )
            )
    return [
        DeliveryOut(
            id=row.id,
            change=row.change,
            state=DeliveryState(row.state),
            created_at=row.created_at,
            next_attempt_at=utc(row.next_attempt_at),
            ended_at=utc(row.ended_at),
            attempts=attempts[row.id][-ATTEMPTS_SHOWN:],
        )
        for row in rows
    ]


def new_secret() -> str:
    """Return a secret of 256 random bits as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
