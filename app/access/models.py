"""The tables of API keys, of answers kept for retries, and of who tried to write."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    LargeBinary,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import ENCRYPTED, Base
from app.encryption import FERNET_PATTERN


class ApiKey(Base):
    """A reporter's key. Of the secret only the SHA-256 is kept: it is 256 random bits."""

    __tablename__ = "api_key"
    __table_args__ = (
        CheckConstraint("length(secret_hash) = 32", name="hash_is_sha256"),
        CheckConstraint("cardinality(scopes) > 0", name="has_scope"),
        CheckConstraint("cardinality(sides) > 0", name="sides_not_empty"),
        CheckConstraint("expires_at > created_at", name="expires_later"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]]
    sides: Mapped[list[str] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]


class KeyRevocation(Base):
    """The end of an API key; a row of its own, so that no row is ever changed."""

    __tablename__ = "key_revocation"

    key_id: Mapped[str] = mapped_column(ForeignKey("api_key.id"), primary_key=True)
    revoked_at: Mapped[datetime] = mapped_column(server_default=func.now())


class IdempotencyRecord(Base):
    """The answer to a write, kept with the write, so that a retry gets it again.

    It has no secret: an answer with one is also a `SecretAnswer`, for as long as that is kept.
    """

    __tablename__ = "kept_answer"
    __table_args__ = (
        CheckConstraint("status BETWEEN 200 AND 299", name="only_success"),
        CheckConstraint("length(request_hash) = 32", name="hash_is_sha256"),
        # Within a text of the body the quotes would be escaped.
        CheckConstraint("""position('"secret":"'::bytea IN body) = 0""", name="without_secret"),
    )

    key_id: Mapped[str] = mapped_column(ForeignKey("api_key.id"), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int]
    headers: Mapped[dict[str, object]] = mapped_column(server_default=text("'{}'"))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    kept_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SecretAnswer(Base):
    """The whole body of an answer that has a secret, encrypted; it is deleted after a day."""

    __tablename__ = "secret_answer"
    __table_args__ = (
        ForeignKeyConstraint(
            ["key_id", "idempotency_key"], ["kept_answer.key_id", "kept_answer.idempotency_key"]
        ),
        CheckConstraint(f"body ~ '{FERNET_PATTERN}'", name="body_encrypted"),
    )

    key_id: Mapped[str] = mapped_column(primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(info=ENCRYPTED)
    kept_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class WriteAttempt(Base):
    """A request that was to write, and what came of it.

    The database refuses to alter an attempt, and to delete one that is younger than 30 days.
    """

    __tablename__ = "write_attempt"
    __table_args__ = (
        CheckConstraint("status BETWEEN 100 AND 599", name="status_of_http"),
        CheckConstraint("seconds >= 0", name="took_time"),
        CheckConstraint("length(path) <= 300", name="path_short"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    request_id: Mapped[str]
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_key.id"), index=True)
    """None where the request had no key that is one."""
    client: Mapped[str | None] = mapped_column(INET)
    method: Mapped[str]
    path: Mapped[str]
    status: Mapped[int]
    change: Mapped[int | None] = mapped_column(BigInteger)
    seconds: Mapped[float]
