"""The table that remembers which seed records were loaded."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class SeedRecord(Base):
    """A loaded seed record: its change and the digest of its text."""

    __tablename__ = "seed_record"
    __table_args__ = (CheckConstraint("length(digest) = 32", name="digest_is_sha256"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    change: Mapped[int] = mapped_column(BigInteger, ForeignKey("change.number"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
