"""Let a crossing be retired: no more is recorded about it, and another may take its place."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "crossing_version", sa.Column("retired_at", pg.TIMESTAMP(timezone=True), nullable=True)
    )
    op.add_column("crossing_version", sa.Column("replaced_by", sa.Text(), nullable=True))
    op.execute(FILL)
    op.create_foreign_key(
        op.f("fk_crossing_version_replaced_by"),
        "crossing_version",
        "crossing",
        ["replaced_by"],
        ["id"],
    )
    op.create_check_constraint(
        op.f("ck_crossing_version_retired_in_the_past"),
        "crossing_version",
        "isfinite(retired_at) IS NOT FALSE AND retired_at <= recorded_at",
    )
    op.create_check_constraint(
        op.f("ck_crossing_version_only_retired_replaced"),
        "crossing_version",
        "replaced_by IS NULL OR retired_at IS NOT NULL",
    )
    op.create_check_constraint(
        op.f("ck_crossing_version_replaced_by_another"),
        "crossing_version",
        "replaced_by <> crossing_id",
    )
    op.create_index(
        "ix_crossing_version_retired",
        "crossing_version",
        ["crossing_id"],
        postgresql_where="retired_at IS NOT NULL",
    )
    make_guards()


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_successor ON crossing_version")
    for table in ("notice", "status_event"):
        op.execute(f"DROP TRIGGER guard_retired ON {table}")
    for function in ("guard_successor()", "guard_event_of_retired()", "guard_notice_of_retired()"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP FUNCTION is_retired(text)")
    op.drop_index("ix_crossing_version_retired", "crossing_version")
    for column in ("replaced_by", "retired_at"):
        op.drop_column("crossing_version", column)


# The change log keeps what a downgrade drops.
FILL = """
    ALTER TABLE crossing_version DISABLE TRIGGER append_only;

    UPDATE crossing_version version
    SET retired_at = (told ->> 'retired_at')::timestamptz, replaced_by = told ->> 'replaced_by'
    FROM change, jsonb_array_elements(payload -> 'crossings') told
    WHERE number = version.change AND told ->> 'id' = crossing_id AND told ? 'retired_at';

    ALTER TABLE crossing_version ENABLE TRIGGER append_only;
"""


def make_guards() -> None:
    op.execute("""
        CREATE FUNCTION is_retired(crossing text) RETURNS boolean LANGUAGE sql STABLE
        SET search_path = public, pg_temp AS $$
            SELECT retired_at IS NOT NULL FROM crossing_version
            WHERE crossing_id = crossing ORDER BY change DESC LIMIT 1
        $$
    """)
    op.execute("""
        CREATE FUNCTION guard_event_of_retired() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        BEGIN
            IF is_retired(NEW.crossing_id) THEN
                RAISE EXCEPTION 'the crossing % is retired', NEW.crossing_id
                    USING ERRCODE = 'check_violation',
                          CONSTRAINT = 'ck_status_event_crossing_in_use';
            END IF;
            RETURN NEW;
        END $$
    """)
    # A correction may go on naming what the notice was about before that was retired.
    op.execute("""
        CREATE FUNCTION guard_notice_of_retired() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE
            named_before text[] := coalesce(
                (SELECT crossings FROM notice WHERE id = NEW.supersedes), '{}'
            );
        BEGIN
            IF EXISTS (SELECT FROM unnest(NEW.crossings) named
                       WHERE named <> ALL (named_before) AND is_retired(named)) THEN
                RAISE EXCEPTION 'a crossing of the notice % is retired', NEW.id
                    USING ERRCODE = 'check_violation',
                          CONSTRAINT = 'ck_notice_crossings_in_use';
            END IF;
            RETURN NEW;
        END $$
    """)
    # A successor may be retired later, and the older version stays as it is.
    op.execute("""
        CREATE FUNCTION guard_successor() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE
            named_before text := (
                SELECT replaced_by FROM crossing_version
                WHERE crossing_id = NEW.crossing_id ORDER BY change DESC LIMIT 1
            );
        BEGIN
            IF NEW.replaced_by IS DISTINCT FROM named_before AND is_retired(NEW.replaced_by) THEN
                RAISE EXCEPTION 'the crossing % is retired', NEW.replaced_by
                    USING ERRCODE = 'check_violation',
                          CONSTRAINT = 'ck_crossing_version_successor_in_use';
            END IF;
            RETURN NEW;
        END $$
    """)
    for table, function in (
        ("status_event", "guard_event_of_retired"),
        ("notice", "guard_notice_of_retired"),
    ):
        op.execute(f"""
            CREATE TRIGGER guard_retired BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION {function}()
        """)
    op.execute("""
        CREATE TRIGGER guard_successor BEFORE INSERT ON crossing_version
        FOR EACH ROW WHEN (NEW.replaced_by IS NOT NULL) EXECUTE FUNCTION guard_successor()
    """)
