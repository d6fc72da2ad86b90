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
    op.execute(FILL)
    op.create_check_constraint(
        op.f("ck_crossing_version_hours_listed"),
        "crossing_version",
        "jsonb_typeof(hours) = 'array'",
    )


def downgrade() -> None:
    op.drop_column("crossing_version", "hours")


# The change log keeps what a downgrade drops.
FILL = """
    ALTER TABLE crossing_version DISABLE TRIGGER append_only;

    UPDATE crossing_version version
    SET hours = told -> 'hours'
    FROM change, jsonb_array_elements(payload -> 'crossings') told
    WHERE number = version.change AND told ->> 'id' = crossing_id AND told ? 'hours';

    ALTER TABLE crossing_version ENABLE TRIGGER append_only;
"""
