"""Find what still matters of a crossing's log without reading all of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Trusted: the owner of a database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    make_series()
    extend_events()
    # The id follows from the rest, so that it is the same however a log is restored.
    op.execute("""
        CREATE FUNCTION series_of(event status_event) RETURNS event_series LANGUAGE sql STABLE
        SET search_path = public, pg_temp AS $$
            SELECT md5(concat_ws(
                       '|', crossing_id, array_to_string(sides, ','),
                       array_to_string(traffic, ','), "to", certainty, timing
                   ))::uuid, series.*
            FROM (
                SELECT event.crossing_id, event.sides, coalesce(event.traffic, '{}') AS traffic,
                       coalesce(event."to", '') AS "to",
                       coalesce(event.certainty, '') AS certainty,
                       CASE WHEN lower(event.effective) > event.recorded_at THEN 'planned'
                            WHEN event.kind = 'confirmation'
                                OR upper(event.effective) <= event.recorded_at THEN 'past'
                            ELSE 'current' END AS timing
            ) series
        $$
    """)
    op.execute(FILL)
    op.execute("""
        CREATE FUNCTION place_event() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE
            series event_series;
        BEGIN
            IF NEW.kind = 'declaration' THEN
                NEW.said_at := least(NEW.announced_at, NEW.recorded_at);
                NEW.said_as := NEW.id;
                IF NEW.supersedes <> NEW.id AND NEW.announced_at IS NULL THEN
                    SELECT said_at, said_as INTO NEW.said_at, NEW.said_as
                        FROM status_event WHERE id = NEW.supersedes;
                    IF NOT FOUND THEN
                        RAISE EXCEPTION USING MESSAGE = 'there is no such event to supersede',
                            ERRCODE = 'foreign_key_violation',
                            CONSTRAINT = 'fk_status_event_supersedes_crossing_id';
                    END IF;
                END IF;
            END IF;
            IF NEW.kind <> 'retraction' THEN
                IF NOT EXISTS (SELECT FROM crossing WHERE id = NEW.crossing_id) THEN
                    RAISE EXCEPTION USING MESSAGE = 'there is no such crossing',
                        ERRCODE = 'foreign_key_violation',
                        CONSTRAINT = 'fk_status_event_crossing_id';
                END IF;
                series := series_of(NEW);
                NEW.series_id := series.id;
                IF NOT EXISTS (SELECT FROM event_series WHERE id = series.id) THEN
                    INSERT INTO event_series SELECT series.*;
                END IF;
            END IF;
            RETURN NEW;
        END $$
    """)
    # Triggers fire by name: what `guard` refuses is never placed.
    op.execute("""
        CREATE TRIGGER place BEFORE INSERT ON status_event
        FOR EACH ROW EXECUTE FUNCTION place_event()
    """)
    make_compacted_log()
    # Many confirmations may be one change: a crossing then has one of each sides and scope.
    op.drop_constraint("uq_status_event_change_crossing_id", "status_event")
    op.create_index(
        "uq_status_event_change_crossing_id",
        "status_event",
        ["change", "crossing_id"],
        unique=True,
        postgresql_where="kind <> 'confirmation'",
    )
    op.create_index(
        "uq_status_event_confirmation",
        "status_event",
        ["change", "crossing_id", "sides", "traffic", "to"],
        unique=True,
        postgresql_where="kind = 'confirmation'",
        postgresql_nulls_not_distinct=True,
    )


def downgrade() -> None:
    op.drop_index("uq_status_event_confirmation", "status_event")
    op.drop_index("uq_status_event_change_crossing_id", "status_event")
    op.create_unique_constraint(
        "uq_status_event_change_crossing_id", "status_event", ["change", "crossing_id"]
    )
    op.create_table(
        "due",
        sa.Column("crossing_id", sa.Text(), nullable=False),
        sa.Column("at", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["crossing_id"], ["crossing.id"], name=op.f("fk_due_crossing_id")),
        sa.PrimaryKeyConstraint("crossing_id", name=op.f("pk_due")),
    )
    op.create_index("ix_due_at", "due", ["at", "crossing_id"])
    op.execute("INSERT INTO due (crossing_id, at) SELECT crossing_id, due_at FROM compacted_log")
    op.drop_table("compacted_log")
    op.execute("DROP TRIGGER place ON status_event")
    op.execute("DROP FUNCTION place_event()")
    op.execute("DROP FUNCTION series_of(status_event)")
    op.drop_index("ix_status_event_declarations", "status_event")
    op.drop_index("ix_status_event_confirmations", "status_event")
    for column in ("said_as", "said_at", "series_id"):
        op.drop_column("status_event", column)
    op.drop_table("event_series")
    op.execute("DROP EXTENSION btree_gist")


def make_series() -> None:
    op.create_table(
        "event_series",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("crossing_id", sa.Text(), nullable=False),
        sa.Column("sides", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("traffic", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("to", sa.Text(), nullable=False),
        sa.Column("certainty", sa.Text(), nullable=False),
        sa.Column("timing", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "timing IN ('past', 'current', 'planned')", name=op.f("ck_event_series_timing_known")
        ),
        sa.ForeignKeyConstraint(
            ["crossing_id"], ["crossing.id"], name=op.f("fk_event_series_crossing_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_series")),
        sa.UniqueConstraint(
            *("crossing_id", "sides", "traffic", "to", "certainty", "timing"),
            name=op.f("uq_event_series_crossing_id_sides_traffic_to_certainty_timing"),
        ),
    )
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_series
        EXECUTE FUNCTION refuse_change()
    """)


def extend_events() -> None:
    op.add_column("status_event", sa.Column("series_id", sa.Uuid(), nullable=True))
    op.add_column("status_event", sa.Column("said_at", pg.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("status_event", sa.Column("said_as", sa.Uuid(), nullable=True))


FILL = """
    ALTER TABLE status_event DISABLE TRIGGER append_only;

    WITH RECURSIVE said AS (
        SELECT id, least(announced_at, recorded_at) AS said_at, id AS said_as
        FROM status_event
        WHERE kind = 'declaration' AND (supersedes IS NULL OR announced_at IS NOT NULL)
        UNION ALL
        SELECT later.id, said.said_at, said.said_as
        FROM said JOIN status_event later ON later.supersedes = said.id
        WHERE later.announced_at IS NULL
    )
    UPDATE status_event SET said_at = said.said_at, said_as = said.said_as
    FROM said WHERE said.id = status_event.id;

    INSERT INTO event_series
    SELECT DISTINCT (series_of(event)).* FROM status_event event WHERE kind <> 'retraction';

    UPDATE status_event event SET series_id = (series_of(event)).id WHERE kind <> 'retraction';

    ALTER TABLE status_event ENABLE TRIGGER append_only;
    ALTER TABLE status_event
        ADD CONSTRAINT fk_status_event_series_id
            FOREIGN KEY (series_id) REFERENCES event_series (id),
        ADD CONSTRAINT fk_status_event_said_as
            FOREIGN KEY (said_as) REFERENCES status_event (id),
        ADD CONSTRAINT ck_status_event_said CHECK (
            (kind = 'declaration') = (num_nonnulls(said_at, said_as) = 2)
            AND (kind = 'declaration' OR num_nonnulls(said_at, said_as) = 0)
        ),
        ADD CONSTRAINT ck_status_event_in_series CHECK (
            (kind = 'retraction') = (series_id IS NULL)
        );
    CREATE INDEX ix_status_event_declarations ON status_event
        USING gist (series_id, lower(effective), upper(effective), said_at, change)
        WHERE kind = 'declaration';
    CREATE INDEX ix_status_event_confirmations ON status_event
        USING gist (series_id, confirmed_at, change)
        WHERE kind = 'confirmation';
"""


def make_compacted_log() -> None:
    op.create_table(
        "compacted_log",
        sa.Column("crossing_id", sa.Text(), nullable=False),
        sa.Column("due_at", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("change", sa.BigInteger(), nullable=True),
        sa.Column("known_from", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("events", pg.ARRAY(sa.Uuid()), nullable=True),
        sa.Column("held", pg.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(change, known_from, events, held) IN (0, 4)",
            name=op.f("ck_compacted_log_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["crossing_id"], ["crossing.id"], name=op.f("fk_compacted_log_crossing_id")
        ),
        sa.PrimaryKeyConstraint("crossing_id", name=op.f("pk_compacted_log")),
    )
    op.create_index("ix_compacted_log_due_at", "compacted_log", ["due_at", "crossing_id"])
    # Nothing is compacted yet: each crossing is looked at as if something were due of it.
    op.execute("""
        INSERT INTO compacted_log (crossing_id, due_at)
        SELECT crossing_id, least(at, now()) FROM due
    """)
    op.drop_table("due")
