"""HTTP of webhooks: every operation requires a key, and no response may be cached."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from app.access.service import Reporter
from app.access.writing import (
    IdempotentWriter,
    cipher_of,
    requires_key,
    writes,
    writes_without_body,
)
from app.database.sessions import Session, WriteSession
from app.encryption import Cipher
from app.errors import (
    DeliveryNotFound,
    QuotaExceeded,
    SubscriptionNotFound,
)
from app.http.bodies import Body
from app.http.paging import Page, PageQuery, row_id
from app.http.problems import preview, responses
from app.http.routing import feature_router
from app.subscriptions import service
from app.subscriptions.addresses import AddressPolicy
from app.subscriptions.quotas import Quotas
from app.subscriptions.schemas import (
    DeliveryOut,
    SubscriptionIn,
    SubscriptionOut,
    SubscriptionPreview,
    SubscriptionSecret,
)
from app.vocabulary import DeliveryState, KeyScope

router = feature_router(prefix="/v1/subscriptions", tag="subscriptions")

SubscriptionId = Annotated[UUID, Path(description="A subscription's id.")]
DeliveryId = Annotated[UUID, Path(description="A delivery's id.")]
Holder = Annotated[Reporter, requires_key(KeyScope.SUBSCRIPTIONS)]
SecretCipher = Annotated[Cipher, Depends(cipher_of)]
Command = Annotated[IdempotentWriter, writes_without_body(KeyScope.SUBSCRIPTIONS)]


def _reach(request: Request) -> AddressPolicy:
    policy: AddressPolicy = request.app.state.reach
    return policy


def _quotas(request: Request) -> Quotas:
    quotas: Quotas = request.app.state.quotas
    return quotas


AllowedQuotas = Annotated[Quotas, Depends(_quotas)]


async def _private(response: Response) -> None:
    response.headers["Cache-Control"] = "private, no-store"


@router.get(
    "",
    summary="List webhook subscriptions",
    responses=responses(),
    dependencies=[Depends(_private)],
)
async def list_subscriptions(
    session: Session, pagination: PageQuery, reporter: Holder
) -> Page[SubscriptionOut]:
    """List the subscriptions of the key, the newest first; those of all keys to an admin."""
    return pagination.page(
        await service.list_subscriptions(
            session, reporter, after=pagination.start(row_id), limit=pagination.limit + 1
        ),
        lambda subscription: (str(subscription.id),),
    )


@router.post(
    "",
    summary="Subscribe to changes by webhook",
    status_code=201,
    response_model=SubscriptionSecret,
    responses=responses(QuotaExceeded) | preview(SubscriptionPreview),
)
async def post_subscription(
    subscription: SubscriptionIn,
    reach: Annotated[AddressPolicy, Depends(_reach)],
    cipher: SecretCipher,
    quotas: AllowedQuotas,
    writer: Annotated[IdempotentWriter, writes(KeyScope.SUBSCRIPTIONS)],
) -> Response:
    """Have every later change that matches sent to a URL, signed by Standard Webhooks.

    The secret is in this answer alone, and for a day in its replay.
    """
    act = partial(
        service.subscribe, subscription=subscription, reach=reach, cipher=cipher, quotas=quotas
    )
    return await writer.run(subscription, act)


@router.get(
    "/{subscription_id}",
    summary="Get a subscription",
    responses=responses(SubscriptionNotFound),
    dependencies=[Depends(_private)],
)
async def get_subscription(
    session: Session, reporter: Holder, subscription_id: SubscriptionId
) -> SubscriptionOut:
    """Return a subscription: whether it is delivered to, and since when that fails."""
    return await service.get_subscription(session, reporter, subscription_id)


@router.delete(
    "/{subscription_id}",
    summary="Delete a subscription",
    status_code=204,
    responses=responses(SubscriptionNotFound),
)
async def delete_subscription(
    session: WriteSession, reporter: Holder, subscription_id: SubscriptionId
) -> None:
    """End a subscription at once; what was still to be sent to it is forgotten."""
    await service.unsubscribe(session, reporter, subscription_id)


@router.post(
    "/{subscription_id}/pause",
    summary="Pause a subscription",
    response_model=SubscriptionOut,
    responses=responses(SubscriptionNotFound),
)
async def pause_subscription(writer: Command, subscription_id: SubscriptionId) -> Response:
    """Send nothing more for the time being; what concerns it is kept for later."""
    act = partial(service.pause, subscription_id=subscription_id)
    return await writer.run(Body(), act, status=200)


@router.post(
    "/{subscription_id}/resume",
    summary="Resume a subscription",
    response_model=SubscriptionOut,
    responses=responses(SubscriptionNotFound),
)
async def resume_subscription(writer: Command, subscription_id: SubscriptionId) -> Response:
    """Go on where it stopped, be it paused or disabled: nothing is left out."""
    act = partial(service.resume, subscription_id=subscription_id)
    return await writer.run(Body(), act, status=200)


@router.post(
    "/{subscription_id}/secret",
    summary="Rotate a subscription's secret",
    response_model=SubscriptionSecret,
    responses=responses(SubscriptionNotFound),
)
async def rotate_secret(
    cipher: SecretCipher, writer: Command, subscription_id: SubscriptionId
) -> Response:
    """Make a new secret, shown this once; for 24 hours the one before signs messages, too."""
    act = partial(service.rotate, subscription_id=subscription_id, cipher=cipher)
    return await writer.run(Body(), act, status=200)


@router.post(
    "/{subscription_id}/ping",
    summary="Send a test message",
    status_code=201,
    response_model=DeliveryOut,
    responses=responses(SubscriptionNotFound),
)
async def ping_subscription(
    quotas: AllowedQuotas, writer: Command, subscription_id: SubscriptionId
) -> Response:
    """Send a test message, signed like all others; look at its delivery for what came of it."""
    act = partial(service.ping, subscription_id=subscription_id, quotas=quotas)
    return await writer.run(Body(), act)


@router.get(
    "/{subscription_id}/deliveries",
    summary="List deliveries",
    responses=responses(SubscriptionNotFound),
    dependencies=[Depends(_private)],
)
async def list_deliveries(
    session: Session,
    pagination: PageQuery,
    reporter: Holder,
    subscription_id: SubscriptionId,
    state: Annotated[
        DeliveryState | None, Query(description="Only those.", examples=["failed"])
    ] = None,
) -> Page[DeliveryOut]:
    """List messages with their attempts, the newest first; they are kept for 30 days."""
    rows = await service.list_deliveries(
        session,
        reporter,
        subscription_id,
        state=state,
        after=pagination.start(row_id),
        limit=pagination.limit + 1,
    )
    return pagination.page(rows, lambda delivery: (str(delivery.id),))


@router.post(
    "/{subscription_id}/deliveries/{delivery_id}/redeliver",
    summary="Redeliver a message",
    status_code=201,
    response_model=DeliveryOut,
    responses=responses(SubscriptionNotFound, DeliveryNotFound),
)
async def redeliver(
    writer: Command, subscription_id: SubscriptionId, delivery_id: DeliveryId
) -> Response:
    """Send a message again by the same id, whether it was delivered or has failed."""
    act = partial(service.redeliver, subscription_id=subscription_id, delivery_id=delivery_id)
    return await writer.run(Body(), act)
