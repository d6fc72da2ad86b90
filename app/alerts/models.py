"""The tables of alerts. They are not part of the log, and are deleted when nobody wants them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import ENCRYPTED, Base
from app.encryption import FERNET_PATTERN


class Alert(Base):
    """What somebody wants to be told of: changes after ``after`` of these crossings or borders.

    ``recipient`` is JSON, encrypted: the address, and the token that manages the alert. An e-mail
    address receives nothing but the request to confirm it until ``confirmed_at``.
    """

    __tablename__ = "alert"
    __table_args__ = (
        CheckConstraint("channel IN ('push', 'email')", name="channel_known"),
        CheckConstraint(
            "channel = 'email' OR confirmed_at IS NOT NULL", name="unconfirmed_by_email"
        ),
        CheckConstraint("channel = 'email' OR NOT is_digest", name="digest_by_email"),
        CheckConstraint(f"recipient ~ '{FERNET_PATTERN}'", name="recipient_encrypted"),
        CheckConstraint(
            "cardinality(crossings) + cardinality(borders) BETWEEN 1 AND 50",
            name="about_something",
        ),
        CheckConstraint("after >= 0", name="after_numbered"),
        Index(None, "crossings", postgresql_using="gin"),
        Index(None, "borders", postgresql_using="gin"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    channel: Mapped[str]
    recipient: Mapped[str] = mapped_column(info=ENCRYPTED)
    language: Mapped[str]
    crossings: Mapped[list[str]]
    borders: Mapped[list[str]]
    traffic: Mapped[str | None]
    to: Mapped[str | None]
    is_digest: Mapped[bool] = mapped_column(server_default=text("false"))
    after: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    confirmed_at: Mapped[datetime | None]


class AlertDelivery(Base):
    """A message that is still to be sent; its id is that of the message, however often it is sent.

    It is about the crossings of the alert that a change concerned. Without a change it asks an
    e-mail address to confirm the alert. A worker that sends it holds it until ``lease_until``.
    """

    __tablename__ = "alert_delivery"
    __table_args__ = (
        UniqueConstraint("alert_id", "change"),
        CheckConstraint("tries >= 0", name="tries_counted"),
        CheckConstraint(
            "(change IS NULL) = (cardinality(crossings) = 0)", name="crossings_of_change"
        ),
        Index(None, "next_attempt_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alert.id", ondelete="CASCADE"))
    change: Mapped[int | None] = mapped_column(BigInteger)
    crossings: Mapped[list[str]]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_until: Mapped[datetime | None]


class AlertFanOut(Base):
    """The one row that says up to which change deliveries of alerts were made."""

    __tablename__ = "alert_fan_out"
    __table_args__ = (
        CheckConstraint("one", name="single_row"),
        CheckConstraint("change >= 0", name="change_numbered"),
    )

    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    change: Mapped[int] = mapped_column(BigInteger)
