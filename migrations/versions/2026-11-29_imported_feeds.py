"""What importers of feeds last did: state of theirs, no part of the log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INSTANT = pg.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "imported_feed",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("attempted_at", INSTANT, nullable=True),
        sa.Column("succeeded_at", INSTANT, nullable=True),
        sa.Column("changed_at", INSTANT, nullable=True),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_imported_feed_failures_not_negative")),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name=op.f("fk_imported_feed_source_id")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_imported_feed")),
    )
    op.create_table(
        "imported_payload",
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("read_at", INSTANT, nullable=False),
        sa.Column("observed_at", INSTANT, nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("refused", pg.JSONB(), nullable=False),
        sa.Column("unknown_places", pg.JSONB(), nullable=False),
        sa.CheckConstraint(
            "sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_imported_payload_sha256_is_hex")
        ),
        sa.CheckConstraint("rows >= 0", name=op.f("ck_imported_payload_rows_not_negative")),
        sa.CheckConstraint(
            "jsonb_typeof(refused) = 'array'", name=op.f("ck_imported_payload_refused_is_list")
        ),
        sa.CheckConstraint(
            "jsonb_typeof(unknown_places) = 'array'",
            name=op.f("ck_imported_payload_unknown_places_is_list"),
        ),
        sa.ForeignKeyConstraint(
            ["feed"], ["imported_feed.name"], name=op.f("fk_imported_payload_feed")
        ),
        sa.PrimaryKeyConstraint("feed", "address", name=op.f("pk_imported_payload")),
    )


def downgrade() -> None:
    op.drop_table("imported_payload")
    op.drop_table("imported_feed")
