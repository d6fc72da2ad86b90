"""The state of importers. It is not part of the log: each run overwrites it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class ImportedFeed(Base):
    """When a feed was last imported, and when it is next due."""

    __tablename__ = "imported_feed"
    __table_args__ = (CheckConstraint("failures >= 0", name="failures_not_negative"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    source_id: Mapped[UUID | None] = mapped_column(ForeignKey("source.id"))
    """Null until something was recorded."""
    attempted_at: Mapped[datetime | None]
    succeeded_at: Mapped[datetime | None]
    """When a payload was last read, or was found unchanged."""
    changed_at: Mapped[datetime | None]
    """When observations were last recorded."""
    next_attempt_at: Mapped[datetime | None]
    """Null if it is only imported by command."""
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Failures since the last success."""
    error: Mapped[str | None]
    """The error of the last attempt."""


class ImportedPayload(Base):
    """The payload that was last read from one address of a feed, or from a file."""

    __tablename__ = "imported_payload"
    __table_args__ = (
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_is_hex"),
        CheckConstraint("rows >= 0", name="rows_not_negative"),
        CheckConstraint("jsonb_typeof(refused) = 'array'", name="refused_is_list"),
        CheckConstraint("jsonb_typeof(unknown_places) = 'array'", name="unknown_places_is_list"),
    )

    feed: Mapped[str] = mapped_column(ForeignKey("imported_feed.name"), primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    read_at: Mapped[datetime]
    observed_at: Mapped[datetime | None]
    """When its newest observation was made."""
    rows: Mapped[int] = mapped_column(Integer)
    """The number of its observations, new and known."""
    refused: Mapped[list[dict[str, object]]]
    unknown_places: Mapped[list[dict[str, object]]]
