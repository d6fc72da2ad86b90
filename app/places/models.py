"""The tables of countries, borders and crossings."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base
from app.validation import SLUG

CONTACTS_REACHABLE = """
    NOT contacts @? '$[*] ? (
        !exists(@.side ? (@ like_regex "^[A-Z]{2}$"))
        || !exists(@.authority ? (@ like_regex "[^ ]"))
        || !(@.phone != null || @.email != null || @.url != null)
    )'
"""
CONTACTS_PHONES = """
    NOT contacts @? '$[*].phone ? (
        @ != null && !exists(@ ? (@ like_regex "^[+][1-9][0-9]{6,14}$"))
    )'
"""
TRAFFIC_OF_MODE = """
    CASE mode WHEN 'rail' THEN traffic <@ '{train}'
              WHEN 'water' THEN true
              ELSE NOT traffic && '{train}' END
"""


class Country(Base):
    """A country by its ISO 3166-1 alpha-2 code."""

    __tablename__ = "country"
    __table_args__ = (CheckConstraint("code ~ '^[A-Z]{2}$'", name="code_is_alpha2"),)

    code: Mapped[str] = mapped_column(primary_key=True)


class Border(Base):
    """The unordered pair of neighbouring countries; the id joins them alphabetically."""

    __tablename__ = "border"
    __table_args__ = (
        CheckConstraint("first < second", name="alphabetical"),
        Index(None, "second"),
    )

    id: Mapped[str] = mapped_column(
        Computed("first || '-' || second", persisted=True), primary_key=True
    )
    first: Mapped[str] = mapped_column(ForeignKey("country.code"))
    second: Mapped[str] = mapped_column(ForeignKey("country.code"))

    @property
    def sides(self) -> tuple[str, str]:
        """The two countries, in alphabetical order."""
        return self.first, self.second


class Crossing(Base):
    """The parts of a border crossing point that never change. The others are in its versions."""

    __tablename__ = "crossing"
    __table_args__ = (
        CheckConstraint(f"id ~ '{SLUG}'", name="id_is_slug"),
        Index(None, "border_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    border_id: Mapped[str] = mapped_column(ForeignKey("border.id"))


class CrossingVersion(Base):
    """A crossing's details as recorded by one change."""

    __tablename__ = "crossing_version"
    __table_args__ = (
        ForeignKeyConstraint(["change", "recorded_at"], ["change.number", "change.recorded_at"]),
        CheckConstraint("cardinality(traffic) > 0", name="has_traffic"),
        # Versions from before this constraint may violate it: the log is never rewritten.
        CheckConstraint(TRAFFIC_OF_MODE, name="traffic_of_mode", postgresql_not_valid=True),
        CheckConstraint("confirm_within_days > 0", name="confirm_within_positive"),
        CheckConstraint("confirm_within_hours > 0", name="confirm_within_hours_positive"),
        CheckConstraint("num_nonnulls(lat, lon, precision_km) IN (0, 3)", name="location_whole"),
        CheckConstraint("lat BETWEEN -90 AND 90", name="lat_in_range"),
        CheckConstraint("lon BETWEEN -180 AND 180", name="lon_in_range"),
        CheckConstraint("precision_km > 0", name="precision_positive"),
        CheckConstraint(
            "isfinite(retired_at) IS NOT FALSE AND retired_at <= recorded_at",
            name="retired_in_the_past",
        ),
        CheckConstraint(
            "replaced_by IS NULL OR retired_at IS NOT NULL", name="only_retired_replaced"
        ),
        CheckConstraint("replaced_by <> crossing_id", name="replaced_by_another"),
        CheckConstraint("jsonb_typeof(hours) = 'array'", name="hours_listed"),
        CheckConstraint("max_weight_kg > 0 AND max_height_m > 0", name="limits_positive"),
        CheckConstraint("jsonb_typeof(contacts) = 'array'", name="contacts_listed"),
        CheckConstraint(CONTACTS_REACHABLE, name="contacts_reachable"),
        CheckConstraint(CONTACTS_PHONES, name="contacts_phones"),
        Index(None, "change"),
        Index(
            "ix_crossing_version_retired",
            "crossing_id",
            postgresql_where=text("retired_at IS NOT NULL"),
        ),
    )

    crossing_id: Mapped[str] = mapped_column(ForeignKey("crossing.id"), primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    mode: Mapped[str]
    traffic: Mapped[list[str]]
    names: Mapped[list[dict[str, object]]]
    aliases: Mapped[list[str]]
    lat: Mapped[float | None] = mapped_column(Double)
    lon: Mapped[float | None] = mapped_column(Double)
    precision_km: Mapped[float | None] = mapped_column(Double)
    confirm_within_days: Mapped[int]
    retired_at: Mapped[datetime | None]
    replaced_by: Mapped[str | None] = mapped_column(ForeignKey("crossing.id"))
    hours: Mapped[list[dict[str, object]]] = mapped_column(server_default=text("'[]'"))
    confirm_within_hours: Mapped[int | None]
    """Instead of the days."""
    max_weight_kg: Mapped[int | None]
    max_height_m: Mapped[float | None] = mapped_column(Double)
    contacts: Mapped[list[dict[str, object]]] = mapped_column(server_default=text("'[]'"))
