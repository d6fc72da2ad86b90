"""The tables of the log of status events."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    FetchedValue,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, Range
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base

_DECLARATION = "kind = 'declaration'"


class EventSeries(Base):
    """Events of one crossing with the same sides, lanes, certainty and timing.

    Empty ``traffic`` or ``to`` is every lane, empty ``certainty`` a confirmation. ``timing`` tells
    whether the periods were still to come, or over, when they were recorded.
    """

    __tablename__ = "event_series"
    __table_args__ = (
        UniqueConstraint("crossing_id", "sides", "traffic", "to", "certainty", "timing"),
        CheckConstraint("timing IN ('past', 'current', 'planned')", name="timing_known"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """Derived from the other columns."""
    crossing_id: Mapped[str] = mapped_column(ForeignKey("crossing.id"))
    sides: Mapped[list[str]]
    traffic: Mapped[list[str]]
    to: Mapped[str]
    certainty: Mapped[str]
    timing: Mapped[str]


class StatusEvent(Base):
    """One declaration, confirmation or retraction. Triggers refuse every change to a row."""

    __tablename__ = "status_event"
    __table_args__ = (
        UniqueConstraint("id", "crossing_id"),
        # One declaration of a crossing in each change, so that they are totally ordered;
        # of confirmations, whose order does not matter, one for each sides and scope.
        Index(
            "uq_status_event_change_crossing_id",
            "change",
            "crossing_id",
            unique=True,
            postgresql_where=text("kind <> 'confirmation'"),
        ),
        Index(
            "uq_status_event_confirmation",
            *("change", "crossing_id", "sides", "traffic", "to"),
            unique=True,
            postgresql_where=text("kind = 'confirmation'"),
            postgresql_nulls_not_distinct=True,
        ),
        UniqueConstraint("supersedes"),
        UniqueConstraint("retracts"),
        ForeignKeyConstraint(["change", "recorded_at"], ["change.number", "change.recorded_at"]),
        # Pairs with the crossing, so that what is superseded or retracted is of the same one.
        ForeignKeyConstraint(
            ["supersedes", "crossing_id"], ["status_event.id", "status_event.crossing_id"]
        ),
        ForeignKeyConstraint(
            ["retracts", "crossing_id"], ["status_event.id", "status_event.crossing_id"]
        ),
        CheckConstraint("kind IN ('declaration', 'confirmation', 'retraction')", name="kind_known"),
        CheckConstraint(
            f"({_DECLARATION}) = (num_nonnulls(status, effective, certainty, precision) = 4)"
            f" AND ({_DECLARATION} OR num_nonnulls(status, effective, certainty, precision,"
            " expected_until, announced_at, supersedes) = 0)",
            name="declaration_whole",
        ),
        CheckConstraint(
            "(kind = 'confirmation') = (confirmed_at IS NOT NULL)", name="confirmation_whole"
        ),
        CheckConstraint("(kind = 'retraction') = (retracts IS NOT NULL)", name="retraction_whole"),
        CheckConstraint(
            "(kind <> 'confirmation') = (reason_code IS NOT NULL)", name="reason_given"
        ),
        CheckConstraint("status IN ('open', 'restricted', 'closed')", name="status_declarable"),
        CheckConstraint(
            "certainty IN ('confirmed', 'reported', 'unconfirmed')", name="certainty_known"
        ),
        CheckConstraint(
            "NOT isempty(effective) AND lower_inc(effective) AND NOT upper_inc(effective)"
            " AND isfinite(lower(effective))"
            " AND (upper_inf(effective) OR isfinite(upper(effective)))",
            name="effective_not_empty",
        ),
        CheckConstraint(
            "expected_until IS NULL"
            " OR (upper_inf(effective) AND expected_until > lower(effective))",
            name="expected_until_after_start",
        ),
        CheckConstraint("cardinality(sides) BETWEEN 1 AND 2", name="sides_not_empty"),
        CheckConstraint("cardinality(traffic) > 0", name="traffic_not_empty"),
        CheckConstraint(
            "isfinite(expected_until) IS NOT FALSE AND isfinite(announced_at) IS NOT FALSE"
            " AND isfinite(confirmed_at) IS NOT FALSE",
            name="instants_finite",
        ),
        CheckConstraint("announced_at <= recorded_at", name="announced_in_the_past"),
        CheckConstraint("confirmed_at <= recorded_at", name="confirmed_in_the_past"),
        CheckConstraint("id <> supersedes AND id <> retracts", name="not_about_itself"),
        CheckConstraint(f"incident_id IS NULL OR {_DECLARATION}", name="incident_of_declaration"),
        CheckConstraint(
            f"({_DECLARATION}) = (num_nonnulls(said_at, said_as) = 2)"
            f" AND ({_DECLARATION} OR num_nonnulls(said_at, said_as) = 0)",
            name="said",
        ),
        CheckConstraint("(kind = 'retraction') = (series_id IS NULL)", name="in_series"),
        CheckConstraint(
            "num_nonnulls(max_weight_kg, max_height_m) = 0 OR status IN ('open', 'restricted')",
            name="limits_of_passable",
        ),
        CheckConstraint("max_weight_kg > 0 AND max_height_m > 0", name="limits_positive"),
        Index(None, "crossing_id", desc("change")),
        Index(None, "change", "id"),
        Index(None, "decision"),
        Index(None, "incident_id"),
        # The indexes that cut.sql scans.
        Index(
            "ix_status_event_declarations",
            "series_id",
            text("lower(effective)"),
            text("upper(effective)"),
            "said_at",
            "change",
            postgresql_using="gist",
            postgresql_where=text(_DECLARATION),
        ),
        Index(
            "ix_status_event_confirmations",
            "series_id",
            "confirmed_at",
            "change",
            postgresql_using="gist",
            postgresql_where=text("kind = 'confirmation'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    kind: Mapped[str]
    crossing_id: Mapped[str] = mapped_column(ForeignKey("crossing.id"))
    decision: Mapped[UUID]
    sides: Mapped[list[str]]
    status: Mapped[str | None]
    effective: Mapped[Range[datetime] | None] = mapped_column(TSTZRANGE)
    expected_until: Mapped[datetime | None]
    traffic: Mapped[list[str] | None]
    to: Mapped[str | None]
    reason_code: Mapped[str | None]
    reason_text: Mapped[str | None]
    exceptions: Mapped[list[dict[str, object]]]
    max_weight_kg: Mapped[int | None]
    max_height_m: Mapped[float | None] = mapped_column(Double)
    certainty: Mapped[str | None]
    precision: Mapped[str | None]
    announced_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))
    supersedes: Mapped[UUID | None]
    retracts: Mapped[UUID | None]
    # A trigger sets these.
    series_id: Mapped[UUID | None] = mapped_column(ForeignKey("event_series.id"), FetchedValue())
    said_at: Mapped[datetime | None] = mapped_column(FetchedValue())
    said_as: Mapped[UUID | None] = mapped_column(ForeignKey("status_event.id"), FetchedValue())
    """The event whose order it takes: itself, or the one that it corrects."""


class CompactedLog(Base):
    """The events of a crossing that matter to all instants from ``known_from`` on.

    It is derived from the log: each write replaces it for the crossings that it touches. It is
    valid as known at ``change`` and later, until the next event or version of the crossing.
    """

    __tablename__ = "compacted_log"
    __table_args__ = (
        CheckConstraint("num_nonnulls(change, known_from, events, held) IN (0, 4)", name="whole"),
        Index("ix_compacted_log_due_at", "due_at", "crossing_id"),
    )

    crossing_id: Mapped[str] = mapped_column(ForeignKey("crossing.id"), primary_key=True)
    due_at: Mapped[datetime | None]
    """The next instant at which time alone changes the answer; null is never."""
    change: Mapped[int | None] = mapped_column(BigInteger)
    known_from: Mapped[datetime | None]
    events: Mapped[list[UUID] | None]
    held: Mapped[dict[str, object] | None]
    """Since when the statuses at ``known_from`` had held: see `app.status.rule.cut`."""
