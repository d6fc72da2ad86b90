"""Webhooks: who is to be told of changes, what each is told, and the queue behind it.

The queue's tables, in the schema ``queue``, are those of pgqueuer 1.6; a later revision drops them.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

QUEUE = Path(__file__).with_name("pgqueuer.sql")
INSTANT = pg.TIMESTAMP(timezone=True)


def upgrade() -> None:
    make_subscriptions()
    make_deliveries()
    op.create_table(
        "fan_out",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_fan_out")),
        sa.CheckConstraint("one", name=op.f("ck_fan_out_single_row")),
        sa.CheckConstraint("change >= 0", name=op.f("ck_fan_out_change_numbered")),
    )
    op.execute("INSERT INTO fan_out (change) SELECT coalesce(max(number), 0) FROM change")
    connection = op.get_bind()
    connection.execution_options(no_parameters=True).exec_driver_sql(
        QUEUE.read_text(encoding="utf-8")
    )
    # The option stays on the connection, and would double each % of later migrations.
    connection.execution_options(no_parameters=False)


def downgrade() -> None:
    """Go back. Subscriptions and what is due to them are gone: they are no part of the log."""
    op.execute("DROP SCHEMA queue CASCADE")
    for table in ("fan_out", "attempt", "delivery", "subscription"):
        op.drop_table(table)


def make_subscriptions() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("filter", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("failing_since", INSTANT, nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", INSTANT, nullable=True),
        sa.Column("turn", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("turn_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        sa.CheckConstraint(
            "status IN ('active', 'paused', 'disabled')", name=op.f("ck_subscription_status_known")
        ),
        sa.CheckConstraint(
            "(status = 'disabled') = (disabled_reason IS NOT NULL)",
            name=op.f("ck_subscription_disabled_for_a_reason"),
        ),
        sa.CheckConstraint(
            "(old_secret IS NULL) = (old_secret_until IS NULL)",
            name=op.f("ck_subscription_old_secret_ends"),
        ),
        sa.CheckConstraint("after >= 0", name=op.f("ck_subscription_after_numbered")),
        sa.CheckConstraint("url ~ '^https?://'", name=op.f("ck_subscription_url_of_the_web")),
        sa.CheckConstraint(
            "jsonb_typeof(filter) = 'object'", name=op.f("ck_subscription_filter_object")
        ),
        sa.CheckConstraint(
            "secret LIKE 'whsec\\_%' AND old_secret LIKE 'whsec\\_%'",
            name=op.f("ck_subscription_secrets_marked"),
        ),
    )
    op.create_index(op.f("ix_subscription_owner_id"), "subscription", ["owner", "id"])


def make_deliveries() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=True),
        sa.Column("crossings", pg.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", INSTANT, server_default=sa.text("now()"), nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscription.id"],
            name=op.f("fk_delivery_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["change"], ["change.number"], name=op.f("fk_delivery_change")),
        sa.UniqueConstraint(
            "subscription_id", "change", name=op.f("uq_delivery_subscription_id_change")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'failed')", name=op.f("ck_delivery_state_known")
        ),
        sa.CheckConstraint(
            "(state = 'pending') = (next_attempt_at IS NOT NULL)"
            " AND (state = 'pending') = (ended_at IS NULL)",
            name=op.f("ck_delivery_pending_until_ended"),
        ),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_delivery_tries_counted")),
    )
    op.create_index(
        op.f("ix_delivery_pending"),
        "delivery",
        ["subscription_id", "change"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(op.f("ix_delivery_subscription_id_id"), "delivery", ["subscription_id", "id"])
    op.create_index(op.f("ix_delivery_ended_at"), "delivery", ["ended_at"])
    op.create_table(
        "attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["delivery.id"],
            name=op.f("fk_attempt_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "(status BETWEEN 200 AND 299) IS TRUE = (error IS NULL)",
            name=op.f("ck_attempt_failed_for_a_reason"),
        ),
        sa.CheckConstraint("milliseconds >= 0", name=op.f("ck_attempt_took_time")),
        sa.CheckConstraint("length(error) <= 200", name=op.f("ck_attempt_error_short")),
    )
    op.create_index(op.f("ix_attempt_delivery_id"), "attempt", ["delivery_id"])
