"""Keep alerts: who is told of changes by Web Push or by e-mail, and what is to be sent to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None
oldest_code = "0020"  # it does not know these tables

# What is stored must stay as it is here, whatever the service makes of it later.
FERNET_PATTERN = "^gAAAA[A-Za-z0-9_-]+={0,2}$"
INSTANT = pg.TIMESTAMP(timezone=True)


def upgrade() -> None:
    make_alerts()
    make_deliveries()
    op.create_table(
        "alert_fan_out",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_alert_fan_out")),
        sa.CheckConstraint("one", name=op.f("ck_alert_fan_out_single_row")),
        sa.CheckConstraint("change >= 0", name=op.f("ck_alert_fan_out_change_numbered")),
    )
    op.execute("INSERT INTO alert_fan_out (change) SELECT coalesce(max(number), 0) FROM change")


def downgrade() -> None:
    """Go back. Alerts are gone: they are no part of the log."""
    for table in ("alert_fan_out", "alert_delivery", "alert"):
        op.drop_table(table)


def make_alerts() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("crossings", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("borders", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("traffic", sa.Text(), nullable=True),
        sa.Column("to", sa.Text(), nullable=True),
        sa.Column("is_digest", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("confirmed_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.CheckConstraint("channel IN ('push', 'email')", name=op.f("ck_alert_channel_known")),
        sa.CheckConstraint(
            "channel = 'email' OR confirmed_at IS NOT NULL",
            name=op.f("ck_alert_unconfirmed_by_email"),
        ),
        sa.CheckConstraint(
            "channel = 'email' OR NOT is_digest", name=op.f("ck_alert_digest_by_email")
        ),
        sa.CheckConstraint(
            f"recipient ~ '{FERNET_PATTERN}'", name=op.f("ck_alert_recipient_encrypted")
        ),
        sa.CheckConstraint(
            "cardinality(crossings) + cardinality(borders) BETWEEN 1 AND 50",
            name=op.f("ck_alert_about_something"),
        ),
        sa.CheckConstraint("after >= 0", name=op.f("ck_alert_after_numbered")),
    )
    for column in ("crossings", "borders"):
        op.create_index(op.f(f"ix_alert_{column}"), "alert", [column], postgresql_using="gin")


def make_deliveries() -> None:
    op.create_table(
        "alert_delivery",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=True),
        sa.Column("crossings", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_delivery")),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["alert.id"],
            name=op.f("fk_alert_delivery_alert_id"),
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("alert_id", "change", name=op.f("uq_alert_delivery_alert_id_change")),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_alert_delivery_tries_counted")),
        sa.CheckConstraint(
            "(change IS NULL) = (cardinality(crossings) = 0)",
            name=op.f("ck_alert_delivery_crossings_of_change"),
        ),
    )
    op.create_index(
        op.f("ix_alert_delivery_next_attempt_at"), "alert_delivery", ["next_attempt_at"]
    )
