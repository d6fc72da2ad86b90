"""Take due subscriptions from their own table, and drop pgqueuer's.

What was queued is not lost: a subscription says itself when something is due to it.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

QUEUE = Path(__file__).with_name("pgqueuer.sql")


def upgrade() -> None:
    op.execute("DROP SCHEMA queue CASCADE")
    op.add_column("subscription", sa.Column("lease_until", pg.TIMESTAMP(timezone=True)))
    op.create_check_constraint(
        op.f("ck_subscription_leased_when_due"),
        "subscription",
        "lease_until IS NULL OR turn_at IS NOT NULL",
    )
    op.create_index(
        op.f("ix_subscription_turn_at"),
        "subscription",
        ["turn_at"],
        postgresql_where=sa.text("turn_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Go back. Turns that are due have no job then: a worker of that version finds them."""
    op.drop_index(op.f("ix_subscription_turn_at"), "subscription")
    op.drop_column("subscription", "lease_until")
    connection = op.get_bind()
    connection.execution_options(no_parameters=True).exec_driver_sql(
        QUEUE.read_text(encoding="utf-8")
    )
    # The option stays on the connection, and would double each % of later statements.
    connection.execution_options(no_parameters=False)
