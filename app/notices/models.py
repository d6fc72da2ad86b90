"""The tables of notices, incidents and their retractions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSTZRANGE, Range
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Uuid

from app.database.tables import Base


def _logged(*constraints: object) -> tuple[Any, ...]:
    """Return a log table's constraints; Any is the type of SQLAlchemy's own attribute."""
    return (
        ForeignKeyConstraint(["change", "recorded_at"], ["change.number", "change.recorded_at"]),
        *constraints,
    )


def _texts(column: str) -> CheckConstraint:
    return CheckConstraint(
        f"jsonb_typeof({column}) = 'object' AND {column} <> '{{}}' AND NOT"
        f' jsonb_path_exists({column}, \'$.* ? (@.type() != "string" || @ == "")\')',
        name=f"{column}_given",
    )


class Incident(Base):
    """A story that groups decisions and notices, with title and summary by language."""

    __tablename__ = "incident"
    __table_args__ = _logged(
        _texts("title"),
        _texts("summary"),
        CheckConstraint("id <> supersedes", name="not_about_itself"),
        UniqueConstraint("supersedes"),
        Index(None, "change", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    title: Mapped[dict[str, object]]
    summary: Mapped[dict[str, object]]
    supersedes: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))


class Notice(Base):
    """A cited fact that is not a status. No lower bound of ``effective`` means an unknown start."""

    __tablename__ = "notice"
    __table_args__ = _logged(
        _texts("text"),
        CheckConstraint(
            "num_nonnulls(issuer_country, issuer_name) > 0 AND issuer_name IS DISTINCT FROM ''",
            name="has_issuer",
        ),
        CheckConstraint(
            "cardinality(countries) + cardinality(borders) + cardinality(crossings) > 0",
            name="has_subject",
        ),
        CheckConstraint(
            "jsonb_typeof(figures) = 'array' AND NOT"
            " jsonb_path_exists(figures, 'strict $[*] ? (@.type() != \"object\")') AND NOT"
            " jsonb_path_exists(figures, '$[*] ?"
            ' (!(@.value.type() == "number" && @.unit.type() == "string"'
            ' && @.qualifier.type() == "string"))\')',
            name="figures_whole",
        ),
        CheckConstraint(
            "certainty IN ('confirmed', 'reported', 'unconfirmed')", name="certainty_known"
        ),
        CheckConstraint(
            "NOT isempty(effective) AND (lower_inf(effective)"
            " OR (lower_inc(effective) AND isfinite(lower(effective))))"
            " AND NOT upper_inc(effective)"
            " AND (upper_inf(effective) OR isfinite(upper(effective)))",
            name="effective_not_empty",
        ),
        CheckConstraint("NOT lower_inf(effective) OR precision = 'unknown'", name="start_known"),
        CheckConstraint(
            "precision IN ('minute', 'hour', 'day', 'month', 'unknown')", name="precision_known"
        ),
        CheckConstraint(
            "isfinite(announced_at) IS NOT FALSE AND announced_at <= recorded_at",
            name="announced_in_the_past",
        ),
        CheckConstraint("id <> supersedes AND id <> ALL (contradicts)", name="not_about_itself"),
        UniqueConstraint("supersedes"),
        Index(None, "change", "id"),
        Index(None, "incident_id"),
        Index(None, "countries", postgresql_using="gin"),
        Index(None, "borders", postgresql_using="gin"),
        Index(None, "crossings", postgresql_using="gin"),
        Index(None, "contradicts", postgresql_using="gin"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    kind: Mapped[str]
    issuer_country: Mapped[str | None] = mapped_column(ForeignKey("country.code"))
    issuer_name: Mapped[str | None]
    countries: Mapped[list[str]]
    borders: Mapped[list[str]]
    crossings: Mapped[list[str]]
    text: Mapped[dict[str, object]]
    figures: Mapped[list[dict[str, object]]]
    certainty: Mapped[str]
    effective: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    precision: Mapped[str]
    announced_at: Mapped[datetime | None]
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))
    contradicts: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    supersedes: Mapped[UUID | None] = mapped_column(ForeignKey("notice.id"))


class RecordRetraction(Base):
    """The withdrawal of a notice or an incident. Those of status events are events."""

    __tablename__ = "retraction"
    __table_args__ = _logged(
        CheckConstraint("num_nonnulls(notice_id, incident_id) = 1", name="one_target"),
        UniqueConstraint("notice_id"),
        UniqueConstraint("incident_id"),
        Index(None, "change"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    notice_id: Mapped[UUID | None] = mapped_column(ForeignKey("notice.id"))
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))
    reason_code: Mapped[str]
    reason_text: Mapped[str | None]
