"""What comes due: when time alone next changes the answer about each crossing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "due",
        sa.Column("crossing_id", sa.Text(), nullable=False),
        sa.Column("at", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["crossing_id"], ["crossing.id"], name=op.f("fk_due_crossing_id")),
        sa.PrimaryKeyConstraint("crossing_id", name=op.f("pk_due")),
    )
    op.create_index("ix_due_at", "due", ["at", "crossing_id"])
    # Nothing was announced until now: each crossing is looked at, and its next instant noted.
    op.execute("INSERT INTO due (crossing_id, at) SELECT id, now() FROM crossing")


def downgrade() -> None:
    op.drop_table("due")
