"""The table of what is left to those who ask often. It is no part of the log."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class Allowance(Base):
    """What a client or a key has used: until ``full_at`` less than its whole allowance is left.

    The table is not logged: after a crash of the database it is empty, and standbys lack it.
    """

    __tablename__ = "allowance"
    __table_args__ = ({"prefixes": ["UNLOGGED"], "postgresql_with": {"fillfactor": 50}},)

    name: Mapped[str] = mapped_column(primary_key=True)
    """The limit, and who it is counted for."""
    full_at: Mapped[datetime]
