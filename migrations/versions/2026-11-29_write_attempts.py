"""Keep an audit trail of write attempts, and a row that is written as a probe."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "write_attempt",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("client", pg.INET),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("change", sa.BigInteger),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_write_attempt")),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_key.id"], name=op.f("fk_write_attempt_key_id_api_key")
        ),
        sa.CheckConstraint(
            "status BETWEEN 100 AND 599", name=op.f("ck_write_attempt_status_of_http")
        ),
        sa.CheckConstraint("seconds >= 0", name=op.f("ck_write_attempt_took_time")),
        sa.CheckConstraint("length(path) <= 300", name=op.f("ck_write_attempt_path_short")),
    )
    op.create_index(op.f("ix_write_attempt_at"), "write_attempt", ["at"])
    op.create_index(op.f("ix_write_attempt_key_id"), "write_attempt", ["key_id"])
    op.execute(
        """
        CREATE FUNCTION keep_attempt() RETURNS trigger LANGUAGE plpgsql
        SET search_path = pg_catalog, public AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND OLD.at < now() - interval '30 days' THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'append_only';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON write_attempt
        FOR EACH ROW EXECUTE FUNCTION keep_attempt()
        """
    )
    op.execute(
        """
        CREATE TRIGGER never_emptied BEFORE TRUNCATE ON write_attempt
        EXECUTE FUNCTION refuse_change()
        """
    )
    op.create_table(
        "write_probe",
        sa.Column("one", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_write_probe")),
        sa.CheckConstraint("one", name=op.f("ck_write_probe_single_row")),
    )


def downgrade() -> None:
    """Go back, without the audit trail."""
    op.drop_table("write_probe")
    op.drop_table("write_attempt")
    op.execute("DROP FUNCTION keep_attempt()")
