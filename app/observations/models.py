"""The tables of observations: append-only, but not part of the hash-chained log."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class ObservationSeries(Base):
    """One source's observations of a queue of a lane, or of the lane as a whole."""

    __tablename__ = "observation_series"
    __table_args__ = (
        UniqueConstraint("crossing_id", "traffic", "to", "source_id", "queue"),
        CheckConstraint("jsonb_typeof(queue) = 'object'", name="queue_is_object"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    crossing_id: Mapped[str] = mapped_column(ForeignKey("crossing.id"))
    traffic: Mapped[str]
    to: Mapped[str]
    queue: Mapped[dict[str, object]] = mapped_column(server_default=text("'{}'"))
    """The fields of a `Queue`; empty for the lane as a whole."""
    source_id: Mapped[UUID] = mapped_column(ForeignKey("source.id"))


class _Figures:
    """The values of an observation, when it was made, and how."""

    observed_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    shown_until: Mapped[datetime]
    """When it becomes too old to be shown as a present wait."""
    closed: Mapped[bool]
    minutes: Mapped[int | None]
    vehicles: Mapped[int | None]
    lanes_open: Mapped[int | None] = mapped_column(SmallInteger)
    moving: Mapped[bool | None]
    paused: Mapped[bool | None]
    estimate: Mapped[bool]
    method: Mapped[str]


class Observation(_Figures, Base):
    """What was observed of a series at an instant.

    Its partitions, one for each week, are in the schema ``partitions``.
    """

    __tablename__ = "observation"
    __table_args__ = (
        CheckConstraint("minutes BETWEEN 0 AND 43200", name="minutes_in_range"),
        CheckConstraint("vehicles BETWEEN 0 AND 100000", name="vehicles_in_range"),
        CheckConstraint("lanes_open BETWEEN 0 AND 1000", name="lanes_open_in_range"),
        CheckConstraint(
            "NOT closed OR (minutes IS NULL AND coalesce(lanes_open, 0) = 0"
            " AND moving IS NOT TRUE)",
            name="closed_has_no_wait",
        ),
        CheckConstraint(
            "observed_at <= recorded_at + interval '1 minute'", name="observed_before_recorded"
        ),
        {"postgresql_partition_by": "RANGE (observed_at)"},
    )

    # A trigger checks that the series exists, for all rows of a statement at once.
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    observed_at: Mapped[datetime] = mapped_column(primary_key=True)


class LatestObservation(_Figures, Base):
    """The latest observation of each series, kept by a trigger."""

    __tablename__ = "latest_observation"
    __table_args__ = (Index(None, "recorded_at"),)

    series_id: Mapped[int] = mapped_column(
        ForeignKey("observation_series.id"), primary_key=True, autoincrement=False
    )


class ConfirmingObservation(Base):
    """An observation that confirms an `open`: kept for good, as answers depend on it.

    In a series, what was observed later is recorded later.
    """

    __tablename__ = "confirming_observation"
    __table_args__ = (
        CheckConstraint("observed_at <= recorded_at", name="observed_before_recorded"),
        Index(None, "series_id", "recorded_at"),
        Index(None, "recorded_at"),
    )

    series_id: Mapped[int] = mapped_column(
        ForeignKey("observation_series.id"), primary_key=True, autoincrement=False
    )
    observed_at: Mapped[datetime] = mapped_column(primary_key=True)
    recorded_at: Mapped[datetime]
