"""The change log's table."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    FetchedValue,
    Index,
    LargeBinary,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class Change(Base):
    """A committed change. Numbers follow the order of commits and have no gaps."""

    __tablename__ = "change"
    __table_args__ = (
        # Target of the foreign keys by which rows prove that they have the instant of their change.
        UniqueConstraint("number", "recorded_at"),
        UniqueConstraint("recorded_at"),
        CheckConstraint("length(hash) = 32", name="hash_is_sha256"),
        Index(
            "ix_change_subjects",
            "subjects",
            postgresql_using="gin",
            postgresql_ops={"subjects": "jsonb_path_ops"},
        ),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str] = mapped_column(Computed("payload ->> 'recorded_by'", persisted=True))
    written_in: Mapped[int] = mapped_column(BigInteger, FetchedValue())
    subjects: Mapped[dict[str, object]]
    payload: Mapped[dict[str, object]]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
