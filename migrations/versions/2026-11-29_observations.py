"""Waits as they were observed: partitioned by week, with the latest of each series beside them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INSTANT = pg.TIMESTAMP(timezone=True)


def upgrade() -> None:
    make_tables()
    make_triggers()
    make_partitions()


def downgrade() -> None:
    op.execute("DROP FUNCTION drop_observation_partitions(timestamptz)")
    op.execute("DROP FUNCTION make_observation_partitions(timestamptz, timestamptz)")
    op.drop_table("latest_observation")
    op.drop_table("observation")
    op.drop_table("observation_series")
    op.execute("DROP FUNCTION place_observations()")
    op.execute("DROP FUNCTION guard_series()")
    op.execute("DROP SCHEMA partitions")


def figures() -> list[sa.Column[object]]:
    return [
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("observed_at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("shown_until", INSTANT, nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("vehicles", sa.Integer(), nullable=True),
        sa.Column("lanes_open", sa.SmallInteger(), nullable=True),
        sa.Column("moving", sa.Boolean(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=True),
        sa.Column("estimate", sa.Boolean(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
    ]


def make_tables() -> None:
    op.create_table(
        "observation_series",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("crossing_id", sa.Text(), nullable=False),
        sa.Column("traffic", sa.Text(), nullable=False),
        sa.Column("to", sa.Text(), nullable=False),
        sa.Column("queue", pg.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "jsonb_typeof(queue) = 'object'", name=op.f("ck_observation_series_queue_is_object")
        ),
        sa.ForeignKeyConstraint(
            ["crossing_id"], ["crossing.id"], name=op.f("fk_observation_series_crossing_id")
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name=op.f("fk_observation_series_source_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observation_series")),
        sa.UniqueConstraint(
            *("crossing_id", "traffic", "to", "source_id", "queue"),
            name=op.f("uq_observation_series_crossing_id_traffic_to_source_id_queue"),
        ),
    )
    op.create_table(
        "observation",
        *figures(),
        sa.CheckConstraint(
            "minutes BETWEEN 0 AND 43200", name=op.f("ck_observation_minutes_in_range")
        ),
        sa.CheckConstraint(
            "vehicles BETWEEN 0 AND 100000", name=op.f("ck_observation_vehicles_in_range")
        ),
        sa.CheckConstraint(
            "lanes_open BETWEEN 0 AND 1000", name=op.f("ck_observation_lanes_open_in_range")
        ),
        sa.CheckConstraint(
            "NOT closed OR (minutes IS NULL AND coalesce(lanes_open, 0) = 0"
            " AND moving IS NOT TRUE)",
            name=op.f("ck_observation_closed_has_no_wait"),
        ),
        sa.CheckConstraint(
            "observed_at <= recorded_at + interval '1 minute'",
            name=op.f("ck_observation_observed_before_recorded"),
        ),
        sa.PrimaryKeyConstraint("series_id", "observed_at", name=op.f("pk_observation")),
        postgresql_partition_by="RANGE (observed_at)",
    )
    op.create_table(
        "latest_observation",
        *figures(),
        sa.ForeignKeyConstraint(
            ["series_id"], ["observation_series.id"], name=op.f("fk_latest_observation_series_id")
        ),
        sa.PrimaryKeyConstraint("series_id", name=op.f("pk_latest_observation")),
    )
    op.create_index("ix_latest_observation_recorded_at", "latest_observation", ["recorded_at"])


def make_triggers() -> None:
    for table in ("observation_series", "observation"):
        op.execute(f"""
            CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            EXECUTE FUNCTION refuse_change()
        """)
    op.execute("""
        CREATE FUNCTION guard_series() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE
            both_sides text[];
            authorised text[];
            breach text;
        BEGIN
            SELECT ARRAY[first, second] INTO both_sides
                FROM crossing JOIN border ON border.id = border_id
                WHERE crossing.id = NEW.crossing_id;
            SELECT traffic INTO authorised FROM crossing_version
                WHERE crossing_id = NEW.crossing_id ORDER BY change DESC LIMIT 1;
            breach := CASE
                WHEN NEW."to" <> ALL (both_sides)
                    THEN 'ck_observation_series_to_of_crossing'
                WHEN NEW.traffic <> ALL (authorised)
                    THEN 'ck_observation_series_traffic_authorised'
            END;
            IF breach IS NOT NULL THEN
                RAISE EXCEPTION 'observation series % breaches %', NEW.id, breach
                    USING ERRCODE = 'check_violation', CONSTRAINT = breach;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER guard BEFORE INSERT ON observation_series
        FOR EACH ROW EXECUTE FUNCTION guard_series()
    """)
    # A foreign key would look for the series of each row by a statement of its own, and would
    # lock both tables whenever a partition goes. Series never go.
    op.execute("""
        CREATE FUNCTION place_observations() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = public, pg_temp AS $$
        BEGIN
            IF EXISTS (SELECT FROM new LEFT JOIN observation_series ON id = series_id
                       WHERE id IS NULL) THEN
                RAISE EXCEPTION USING MESSAGE = 'there is no such series',
                    ERRCODE = 'foreign_key_violation', CONSTRAINT = 'fk_observation_series_id';
            END IF;
            INSERT INTO latest_observation AS latest
            SELECT DISTINCT ON (series_id) * FROM new ORDER BY series_id, observed_at DESC
            ON CONFLICT (series_id) DO UPDATE
            SET observed_at = excluded.observed_at, recorded_at = excluded.recorded_at,
                recorded_by = excluded.recorded_by, shown_until = excluded.shown_until,
                closed = excluded.closed, minutes = excluded.minutes,
                vehicles = excluded.vehicles, lanes_open = excluded.lanes_open,
                moving = excluded.moving, paused = excluded.paused,
                estimate = excluded.estimate, method = excluded.method
            WHERE excluded.observed_at > latest.observed_at;
            IF FOUND THEN
                PERFORM pg_notify('observation', '');
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER place AFTER INSERT ON observation REFERENCING NEW TABLE AS new
        FOR EACH STATEMENT EXECUTE FUNCTION place_observations()
    """)


def make_partitions() -> None:
    # In a schema of their own: nobody but their owner may use them directly.
    op.execute("CREATE SCHEMA partitions")
    # Attached rather than made as a partition at once, which would wait for all readers.
    op.execute("""
        CREATE FUNCTION make_observation_partitions(earliest timestamptz, latest timestamptz)
        RETURNS void LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            week timestamptz;
            name text;
        BEGIN
            FOR week IN
                SELECT generate_series(date_trunc('week', earliest), latest, '7 days')
            LOOP
                name := to_char(week, '"observation_"YYYYMMDD');
                CONTINUE WHEN to_regclass('partitions.' || name) IS NOT NULL;
                EXECUTE format(
                    'CREATE TABLE partitions.%I (LIKE observation INCLUDING ALL)', name);
                EXECUTE format(
                    'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE'
                    ' ON partitions.%I EXECUTE FUNCTION refuse_change()', name);
                EXECUTE format(
                    'ALTER TABLE observation ATTACH PARTITION partitions.%I'
                    ' FOR VALUES FROM (%L) TO (%L)', name, week, week + interval '7 days');
            END LOOP;
        END $$
    """)
    # A table that goes waits for its readers, and others then wait for it: not for long.
    op.execute("""
        CREATE FUNCTION drop_observation_partitions(before timestamptz)
        RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
        DECLARE
            name text;
            dropped integer := 0;
        BEGIN
            IF before > now() - interval '7 days' THEN
                RAISE EXCEPTION 'observations are kept for a week at least'
                    USING ERRCODE = 'check_violation';
            END IF;
            FOR name IN
                SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                WHERE inhparent = 'observation'::regclass
                  AND to_timestamp(right(relname, 8), 'YYYYMMDD') + interval '7 days' <= before
                ORDER BY relname
            LOOP
                BEGIN
                    EXECUTE format('DROP TABLE IF EXISTS partitions.%I', name);
                    dropped := dropped + 1;
                EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                    RETURN dropped;
                END;
            END LOOP;
            RETURN dropped;
        END $$
    """)
