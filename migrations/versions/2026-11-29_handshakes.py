"""Have receivers agree to be called before anything is sent to them.

The receivers that there are have taken messages so far: they count as having agreed.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscription", sa.Column("agreed_at", pg.TIMESTAMP(timezone=True)))
    op.add_column("subscription", sa.Column("pending_reason", sa.Text))
    op.execute("UPDATE subscription SET agreed_at = created_at")
    _set_statuses("status IN ('pending', 'active', 'paused', 'disabled')")
    op.create_check_constraint(
        op.f("ck_subscription_pending_until_agreed"),
        "subscription",
        "CASE status WHEN 'pending' THEN agreed_at IS NULL"
        " WHEN 'active' THEN agreed_at IS NOT NULL ELSE true END",
    )
    op.create_check_constraint(
        op.f("ck_subscription_pending_for_a_reason"),
        "subscription",
        "pending_reason IS NULL OR status = 'pending'",
    )
    op.alter_column("subscription", "status", server_default=sa.text("'pending'"))


def downgrade() -> None:
    """Go back. Nothing is sent to a receiver that has not agreed: it is paused then."""
    op.execute("UPDATE subscription SET pending_reason = NULL, status = 'paused'"
               " WHERE status = 'pending'")  # fmt: skip
    op.alter_column("subscription", "status", server_default=sa.text("'active'"))
    op.drop_constraint(op.f("ck_subscription_pending_for_a_reason"), "subscription")
    op.drop_constraint(op.f("ck_subscription_pending_until_agreed"), "subscription")
    _set_statuses("status IN ('active', 'paused', 'disabled')")
    op.drop_column("subscription", "pending_reason")
    op.drop_column("subscription", "agreed_at")


def _set_statuses(condition: str) -> None:
    op.drop_constraint(op.f("ck_subscription_status_known"), "subscription")
    op.create_check_constraint(op.f("ck_subscription_status_known"), "subscription", condition)
