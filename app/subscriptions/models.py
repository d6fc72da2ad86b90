"""The tables of webhooks. They are not part of the log: addresses and secrets are private."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, column_property, mapped_column
from sqlalchemy.types import Text

from app.access.models import ApiKey
from app.database.tables import ENCRYPTED, Base
from app.encryption import FERNET_PATTERN


class Subscription(Base):
    """A receiver of the changes after ``after`` that match ``filter``; it belongs to a key.

    The next delivery is due at ``turn_at``; if that is null, none is. ``turn`` counts the times
    that a worker took it, of which only the newest is valid, until ``lease_until``. A transaction
    that adds, ends or postpones a delivery, or changes the turn, holds the lock of this row.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'active', 'paused', 'disabled')", name="status_known"
        ),
        CheckConstraint(
            "CASE status WHEN 'pending' THEN agreed_at IS NULL"
            " WHEN 'active' THEN agreed_at IS NOT NULL ELSE true END",
            name="pending_until_agreed",
        ),
        CheckConstraint(
            "pending_reason IS NULL OR status = 'pending'", name="pending_for_a_reason"
        ),
        CheckConstraint(
            "(status = 'disabled') = (disabled_reason IS NOT NULL)", name="disabled_for_a_reason"
        ),
        CheckConstraint(
            "(old_secret IS NULL) = (old_secret_until IS NULL)", name="old_secret_ends"
        ),
        CheckConstraint("after >= 0", name="after_numbered"),
        CheckConstraint("url ~ '^https?://'", name="url_of_the_web"),
        CheckConstraint("jsonb_typeof(filter) = 'object'", name="filter_object"),
        CheckConstraint(
            f"secret ~ '{FERNET_PATTERN}' AND old_secret ~ '{FERNET_PATTERN}'",
            name="secrets_encrypted",
        ),
        CheckConstraint("lease_until IS NULL OR turn_at IS NOT NULL", name="leased_when_due"),
        Index(None, "key_id", "id"),
        Index(None, "turn_at", postgresql_where=text("turn_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    key_id: Mapped[str] = mapped_column(ForeignKey("api_key.id"))
    url: Mapped[str]
    description: Mapped[str | None]
    filter: Mapped[dict[str, object]]
    after: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    agreed_at: Mapped[datetime | None]
    """When the receiver agreed to be called."""
    pending_reason: Mapped[str | None]
    """What the last handshake came to, while the receiver has not agreed."""
    disabled_reason: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    """When the first failed attempt, or handshake, since the last successful one began."""
    secret: Mapped[str] = mapped_column(info=ENCRYPTED)
    old_secret: Mapped[str | None] = mapped_column(info=ENCRYPTED)
    old_secret_until: Mapped[datetime | None]
    turn: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    turn_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    owner: Mapped[str] = column_property(
        select(ApiKey.name).where(ApiKey.id == key_id).scalar_subquery()
    )
    """The name of its key."""


class Delivery(Base):
    """A change to be sent to a subscription, or a test message, which has no change.

    Its id is that of the message. ``tries`` counts the attempts since it was last begun.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("subscription_id", "change"),
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state_known"),
        CheckConstraint(
            "(state = 'pending') = (next_attempt_at IS NOT NULL)"
            " AND (state = 'pending') = (ended_at IS NULL)",
            name="pending_until_ended",
        ),
        CheckConstraint("tries >= 0", name="tries_counted"),
        Index(
            "ix_delivery_pending",
            "subscription_id",
            "change",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "subscription_id", "id"),
        Index(None, "ended_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    subscription_id: Mapped[UUID] = mapped_column(ForeignKey("subscription.id", ondelete="CASCADE"))
    change: Mapped[int | None] = mapped_column(ForeignKey("change.number"))
    crossings: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class Attempt(Base):
    """One request to a receiver, and its outcome; without a status there was no response."""

    __tablename__ = "attempt"
    __table_args__ = (
        CheckConstraint(
            "(status BETWEEN 200 AND 299) IS TRUE = (error IS NULL)", name="failed_for_a_reason"
        ),
        CheckConstraint("milliseconds >= 0", name="took_time"),
        CheckConstraint("length(error) <= 200", name="error_short"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("delivery.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime]
    milliseconds: Mapped[int]
    status: Mapped[int | None]
    error: Mapped[str | None]


class FanOut(Base):
    """The one row that says up to which change deliveries were made."""

    __tablename__ = "fan_out"
    __table_args__ = (
        CheckConstraint("one", name="single_row"),
        CheckConstraint("change >= 0", name="change_numbered"),
    )

    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    change: Mapped[int] = mapped_column(BigInteger)
