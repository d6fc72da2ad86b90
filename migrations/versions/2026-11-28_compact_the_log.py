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
    op.execute(FILL)
    op.execute("""
        CREATE FUNCTION place_event() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE
            spoken text := coalesce(NEW.certainty, '');
            times text := CASE WHEN lower(NEW.effective) > NEW.recorded_at THEN 'planned'
                               WHEN NEW.kind = 'confirmation'
                                   OR upper(NEW.effective) <= NEW.recorded_at THEN 'past'
                               ELSE 'current' END;
        BEGIN
            IF NEW.kind = 'declaration' THEN
                NEW.said_at := least(NEW.announced_at, NEW.recorded_at);
                NEW.said_as := NEW.id;
                IF NEW.supersedes IS NOT NULL AND NEW.announced_at IS NULL THEN
                    SELECT said_at, said_as INTO NEW.said_at, NEW.said_as
                        FROM status_event WHERE id = NEW.supersedes;
                END IF;
            END IF;
            IF NEW.kind <> 'retraction' THEN
                LOOP
                    SELECT id INTO NEW.series_id FROM event_series
                        WHERE crossing_id = NEW.crossing_id AND sides = NEW.sides
                          AND traffic = coalesce(NEW.traffic, '{}')
                          AND "to" = coalesce(NEW."to", '')
                          AND certainty = spoken AND timing = times;
                    EXIT WHEN FOUND;
                    INSERT INTO event_series (crossing_id, sides, traffic, "to", certainty, timing)
                        VALUES (NEW.crossing_id, NEW.sides, coalesce(NEW.traffic, '{}'),
                                coalesce(NEW."to", ''), spoken, times)
                        ON CONFLICT DO NOTHING;
                END LOOP;
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
    op.drop_index("ix_status_event_declarations", "status_event")
    op.drop_index("ix_status_event_confirmations", "status_event")
    for column in ("said_as", "said_at", "series_id"):
        op.drop_column("status_event", column)
    op.drop_table("event_series")
    op.execute("DROP EXTENSION btree_gist")


def make_series() -> None:
    op.create_table(
        "event_series",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
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
            name=op.f("uq_event_series_crossing_id"),
        ),
    )
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_series
        EXECUTE FUNCTION refuse_change()
    """)


def extend_events() -> None:
    op.add_column("status_event", sa.Column("series_id", sa.BigInteger(), nullable=True))
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

    CREATE TEMP TABLE placed ON COMMIT DROP AS
    SELECT id, crossing_id, sides, coalesce(traffic, '{}') AS traffic, coalesce("to", '') AS "to",
           coalesce(certainty, '') AS certainty,
           CASE WHEN lower(effective) > recorded_at THEN 'planned'
                WHEN kind = 'confirmation' OR upper(effective) <= recorded_at THEN 'past'
                ELSE 'current' END AS timing
    FROM status_event WHERE kind <> 'retraction';

    INSERT INTO event_series (crossing_id, sides, traffic, "to", certainty, timing)
    SELECT DISTINCT crossing_id, sides, traffic, "to", certainty, timing FROM placed;

    UPDATE status_event SET series_id = series.id
    FROM placed JOIN event_series series
        USING (crossing_id, sides, traffic, "to", certainty, timing)
    WHERE placed.id = status_event.id;

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
