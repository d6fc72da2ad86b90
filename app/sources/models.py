"""The tables of sources and citations."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class Source(Base):
    """Where facts come from. ``published_at`` is a date or an instant, as printed."""

    __tablename__ = "source"
    __table_args__ = (
        ForeignKeyConstraint(["change", "recorded_at"], ["change.number", "change.recorded_at"]),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_is_hex"),
        Index(None, "change"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    publisher: Mapped[str | None]
    published_at: Mapped[str | None]
    retrieved_at: Mapped[str | None]
    url: Mapped[str | None]
    file_name: Mapped[str | None]
    sha256: Mapped[str | None]
    language: Mapped[str | None]
    note: Mapped[str | None]


class Citation(Base):
    """The link to a source from an event, a crossing's details, a notice, an incident."""

    __tablename__ = "citation"
    __table_args__ = (
        ForeignKeyConstraint(
            ["crossing_id", "version"],
            ["crossing_version.crossing_id", "crossing_version.change"],
        ),
        CheckConstraint(
            "num_nonnulls(event_id, crossing_id, notice_id, incident_id, retraction_id) = 1",
            name="one_subject",
        ),
        CheckConstraint("num_nulls(crossing_id, version) <> 1", name="version_whole"),
        Index(None, "event_id"),
        Index(None, "crossing_id", "version"),
        Index(None, "source_id"),
        Index(None, "notice_id"),
        Index(None, "incident_id"),
        Index(None, "retraction_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    source_id: Mapped[UUID] = mapped_column(ForeignKey("source.id"))
    event_id: Mapped[UUID | None] = mapped_column(ForeignKey("status_event.id"))
    crossing_id: Mapped[str | None]
    version: Mapped[int | None] = mapped_column(BigInteger)
    notice_id: Mapped[UUID | None] = mapped_column(ForeignKey("notice.id"))
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))
    retraction_id: Mapped[UUID | None] = mapped_column(ForeignKey("retraction.id"))
    locator: Mapped[str | None]
    basis: Mapped[str]
