"""Let details and declarations limit the weight and the height of vehicles."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

exempt_from = {
    "constraint-missing-not-valid": "it came before the first release, when logs were short",
}

TABLES = ("crossing_version", "status_event")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("max_weight_kg", sa.Integer()))
        op.add_column(table, sa.Column("max_height_m", sa.Double()))
    op.execute(FILL)
    for table in TABLES:
        add_constraint(table, "limits_positive", "max_weight_kg > 0 AND max_height_m > 0")
    add_constraint(
        "status_event",
        "limits_of_passable",
        "num_nonnulls(max_weight_kg, max_height_m) = 0 OR status IN ('open', 'restricted')",
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "max_weight_kg")
        op.drop_column(table, "max_height_m")


def add_constraint(table: str, name: str, condition: str) -> None:
    """Add a check. In the same transaction the rows are checked under its lock all the same."""
    full_name = f"ck_{table}_{name}"
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {full_name} CHECK ({condition}) NOT VALID")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {full_name}")


# The change log keeps what a downgrade drops. Mostly there is nothing, and then nothing is locked.
FILL = """
    DO $$
    BEGIN
        IF NOT EXISTS (
            SELECT FROM change
            WHERE payload @? '$.*[*] ? (exists(@.max_weight_kg) || exists(@.max_height_m))'
        ) THEN
            RETURN;
        END IF;

        ALTER TABLE crossing_version DISABLE TRIGGER append_only;
        UPDATE crossing_version version
        SET max_weight_kg = (record ->> 'max_weight_kg')::integer,
            max_height_m = (record ->> 'max_height_m')::double precision
        FROM change, jsonb_array_elements(payload -> 'crossings') record
        WHERE number = version.change AND record ->> 'id' = crossing_id
          AND record ?| ARRAY['max_weight_kg', 'max_height_m'];
        ALTER TABLE crossing_version ENABLE TRIGGER append_only;

        ALTER TABLE status_event DISABLE TRIGGER append_only;
        UPDATE status_event event
        SET max_weight_kg = (record ->> 'max_weight_kg')::integer,
            max_height_m = (record ->> 'max_height_m')::double precision
        FROM change, jsonb_array_elements(payload -> 'events') record
        WHERE number = event.change AND record ->> 'id' = event.id::text
          AND record ?| ARRAY['max_weight_kg', 'max_height_m'];
        ALTER TABLE status_event ENABLE TRIGGER append_only;
    END $$
"""
