"""Keep regular hours with the details of a crossing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "crossing_version",
        sa.Column("hours", pg.JSONB(), server_default=sa.text("'[]'"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_crossing_version_hours_listed"),
        "crossing_version",
        "jsonb_typeof(hours) = 'array'",
    )


def downgrade() -> None:
    op.drop_column("crossing_version", "hours")
