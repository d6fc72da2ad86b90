"""When the answer about each crossing next differs by itself."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class Due(Base):
    """The next instant at which time alone changes a crossing's answer; null is never.

    It follows from the log: each write sets it anew for the crossings that it touches.
    """

    __tablename__ = "due"
    __table_args__ = (Index("ix_due_at", "at", "crossing_id"),)

    crossing_id: Mapped[str] = mapped_column(ForeignKey("crossing.id"), primary_key=True)
    at: Mapped[datetime | None]
