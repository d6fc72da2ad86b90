"""Bodies of webhooks."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.changes.filters import Filter
from app.http.bodies import Body, BorderId, CountryCode, CrossingId, Text, example
from app.vocabulary import ChangeKind, DeliveryState, SubscriptionStatus, Traffic

WebhookUrl = Annotated[
    str,
    Field(
        pattern=r"^https?://[!-~]+$",
        max_length=2000,
        examples=["https://example.com/crossings"],
        description="Where messages are sent: `https`, on port 443 or 8443, to a public address.",
    ),
]


class ChangeFilter(Body):
    """Which changes to be told of: of each list that is not empty, one must be touched.

    With ``traffic`` or ``to`` it must concern such a lane.
    """

    crossings: list[CrossingId] = Field([], max_length=200)
    borders: list[BorderId] = Field([], max_length=200)
    countries: list[CountryCode] = Field([], max_length=200)
    kinds: list[ChangeKind] = Field([], max_length=50)
    traffic: Traffic | None = None
    to: CountryCode | None = None

    def filter(self) -> Filter:
        return Filter(
            crossings=frozenset(self.crossings),
            borders=frozenset(self.borders),
            countries=frozenset(self.countries),
            kinds=frozenset(self.kinds),
            traffic=self.traffic,
            to=self.to,
        )


class SubscriptionIn(Body, title="NewSubscription"):
    """A new subscription. Without a filter it receives every change."""

    model_config = example(
        {
            "url": "https://example.com/crossings",
            "filter": {"borders": ["BY-LT"], "kinds": ["decision", "retraction", "effective"]},
            "description": "Tells our drivers",
        }
    )

    url: WebhookUrl
    filter: ChangeFilter = Field(default_factory=ChangeFilter)
    description: Text | None = None


class SubscriptionOut(Body, title="Subscription"):
    """A subscription, without its secret."""

    id: UUID
    owner: str = Field(
        description="The name of the key that created it. That key may manage it, and an admin's."
    )
    url: str
    filter: ChangeFilter
    description: str | None
    after: int = Field(description="The newest change when it was created. It receives later ones.")
    created_at: datetime
    status: SubscriptionStatus
    pending_reason: str | None = Field(
        description="What the last handshake came to, while the receiver has not agreed."
    )
    disabled_reason: str | None
    failing_since: datetime | None = Field(
        description="The first failed attempt since the last success."
    )
    old_secret_until: datetime | None = Field(
        description="Until then every message is also signed with the previous secret."
    )


class SubscriptionSecret(SubscriptionOut, title="SubscriptionWithSecret"):
    """A subscription with its new secret, which is shown this once."""

    secret: str | None = Field(
        description="Signs the messages, as Standard Webhooks specifies. Null if the request is"
        " repeated after more than a day.",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
    )


class SubscriptionPreview(SubscriptionOut, title="SubscriptionPreview"):
    """A subscription that would be: it has no id and no secret."""

    id: None  # type: ignore[assignment]  # what is not made has none
    secret: None


class AttemptOut(Body, title="DeliveryAttempt"):
    """One request to the receiver. Of its answer only the status is kept."""

    at: datetime
    milliseconds: int
    status: int | None = Field(description="Null if there was no answer.")
    error: str | None = Field(description="Why it failed; null if it succeeded.")


class DeliveryOut(Body, title="Delivery"):
    """A message to a receiver; its id is in `webhook-id` however often it is sent."""

    id: UUID
    change: int | None = Field(description="Null for a test message.")
    state: DeliveryState
    created_at: datetime
    next_attempt_at: datetime | None = Field(
        description="The next attempt is not made before then, nor before earlier deliveries"
        " that touch the same crossing."
    )
    ended_at: datetime | None
    attempts: list[AttemptOut] = Field(description="The newest 50, in order.")
