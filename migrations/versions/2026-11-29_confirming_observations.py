"""Keep the observations that confirm an open, and let details name hours to confirm it within."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

INSTANT = pg.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.add_column("crossing_version", sa.Column("confirm_within_hours", sa.Integer()))
    op.execute(FILL)
    op.create_check_constraint(
        op.f("ck_crossing_version_confirm_within_hours_positive"),
        "crossing_version",
        "confirm_within_hours > 0",
    )
    op.create_table(
        "confirming_observation",
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("observed_at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "observed_at <= recorded_at",
            name=op.f("ck_confirming_observation_observed_before_recorded"),
        ),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["observation_series.id"],
            name=op.f("fk_confirming_observation_series_id"),
        ),
        sa.PrimaryKeyConstraint("series_id", "observed_at", name=op.f("pk_confirming_observation")),
    )
    op.create_index(
        "ix_confirming_observation_series_id_recorded_at",
        "confirming_observation",
        ["series_id", "recorded_at"],
    )
    op.create_index(
        "ix_confirming_observation_recorded_at", "confirming_observation", ["recorded_at"]
    )
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON confirming_observation
        EXECUTE FUNCTION refuse_change()
    """)
    # Within a series the order of being observed is that of being recorded: readers rely on it.
    op.execute("""
        CREATE FUNCTION guard_confirming() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE
            last confirming_observation;
        BEGIN
            SELECT * INTO last FROM confirming_observation
                WHERE series_id = NEW.series_id ORDER BY observed_at DESC LIMIT 1;
            IF last.observed_at >= NEW.observed_at OR last.recorded_at >= NEW.recorded_at THEN
                RAISE EXCEPTION 'a later observation of series % confirms already', NEW.series_id
                    USING ERRCODE = 'check_violation',
                          CONSTRAINT = 'ck_confirming_observation_in_order';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER guard BEFORE INSERT ON confirming_observation
        FOR EACH ROW EXECUTE FUNCTION guard_confirming()
    """)
    op.execute("""
        CREATE FUNCTION tell_of_confirming() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        BEGIN
            PERFORM pg_notify('observation', '');
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER tell AFTER INSERT ON confirming_observation
        FOR EACH STATEMENT EXECUTE FUNCTION tell_of_confirming()
    """)


def downgrade() -> None:
    op.drop_table("confirming_observation")
    op.execute("DROP FUNCTION tell_of_confirming()")
    op.execute("DROP FUNCTION guard_confirming()")
    op.drop_column("crossing_version", "confirm_within_hours")


# The change log keeps what a downgrade drops.
FILL = """
    ALTER TABLE crossing_version DISABLE TRIGGER append_only;

    UPDATE crossing_version version
    SET confirm_within_hours = (record ->> 'confirm_within_hours')::integer
    FROM change, jsonb_array_elements(payload -> 'crossings') record
    WHERE number = version.change AND record ->> 'id' = crossing_id
      AND record ? 'confirm_within_hours';

    ALTER TABLE crossing_version ENABLE TRIGGER append_only;
"""
