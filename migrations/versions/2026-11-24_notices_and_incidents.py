"""Notices and incidents: cited facts that are no status, and the stories they belong to."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("incident", "notice", "retraction")
"""In the order of their making; dropped in reverse."""

FUNCTIONS = (
    "guard_notice()",
    "guard_incident()",
    "guard_retraction()",
    "guard_joining()",
    "guard_told_citation()",
    "require_told_citation()",
)
CITED = ("notice_id", "incident_id", "retraction_id")
ONE_SUBJECT = "num_nonnulls(event_id, crossing_id) = 1"
ONE_SUBJECT_NOW = "num_nonnulls(event_id, crossing_id, notice_id, incident_id, retraction_id) = 1"


def upgrade() -> None:
    make_tables()
    widen_tables()
    restore_rows()
    make_functions()
    make_triggers()


def downgrade() -> None:
    """Go back. The change log keeps all that is dropped here; going up restores it.

    Until then `crossings check` tells of the events whose incident is not in their rows.
    """
    for column in CITED:
        op.execute(f"DROP TRIGGER guard_{column} ON citation")
    with unlocked("citation"):
        op.execute("DELETE FROM citation WHERE num_nonnulls(event_id, crossing_id) = 0")
    op.drop_constraint(op.f("ck_citation_one_subject"), "citation")
    for column in CITED:
        op.drop_column("citation", column)
    op.create_check_constraint(op.f("ck_citation_one_subject"), "citation", ONE_SUBJECT)
    op.execute("DROP TRIGGER guard_joining ON status_event")
    op.drop_column("status_event", "incident_id")
    for table in reversed(TABLES):
        op.drop_table(table)
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")


class unlocked:  # noqa: N801  # reads as a statement
    """Lift a table's refusal of changes within this transaction, for its owner alone."""

    def __init__(self, table: str) -> None:
        self.table = table

    def __enter__(self) -> None:
        op.execute(f"ALTER TABLE {self.table} DISABLE TRIGGER append_only")

    def __exit__(self, *_: object) -> None:
        op.execute(f"ALTER TABLE {self.table} ENABLE TRIGGER append_only")


def logged(table: str) -> tuple[sa.Column[Any] | sa.Constraint, ...]:
    """Return what every table of the log begins with."""
    return (
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(
            ["change", "recorded_at"],
            ["change.number", "change.recorded_at"],
            name=op.f(f"fk_{table}_change_recorded_at"),
        ),
    )


def refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def texts(table: str, column: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(
        f"jsonb_typeof({column}) = 'object' AND {column} <> '{{}}' AND NOT"
        f' jsonb_path_exists({column}, \'$.* ? (@.type() != "string" || @ == "")\')',
        name=op.f(f"ck_{table}_{column}_given"),
    )


def make_tables() -> None:
    op.create_table(
        "incident",
        *logged("incident"),
        sa.Column("title", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("summary", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("supersedes", sa.Uuid(), nullable=True),
        texts("incident", "title"),
        texts("incident", "summary"),
        sa.CheckConstraint("id <> supersedes", name=op.f("ck_incident_not_about_itself")),
        refers("incident", "supersedes", "incident.id"),
        sa.UniqueConstraint("supersedes", name=op.f("uq_incident_supersedes")),
    )
    op.create_index(op.f("ix_incident_change_id"), "incident", ["change", "id"])
    op.create_table(
        "notice",
        *logged("notice"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("issuer_country", sa.Text(), nullable=True),
        sa.Column("issuer_name", sa.Text(), nullable=True),
        sa.Column("countries", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("borders", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("crossings", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("text", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("figures", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("certainty", sa.Text(), nullable=False),
        sa.Column("effective", pg.TSTZRANGE(), nullable=False),
        sa.Column("precision", sa.Text(), nullable=False),
        sa.Column("announced_at", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("contradicts", pg.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("supersedes", sa.Uuid(), nullable=True),
        texts("notice", "text"),
        sa.CheckConstraint(
            "num_nonnulls(issuer_country, issuer_name) > 0 AND issuer_name IS DISTINCT FROM ''",
            name=op.f("ck_notice_has_issuer"),
        ),
        sa.CheckConstraint(
            "cardinality(countries) + cardinality(borders) + cardinality(crossings) > 0",
            name=op.f("ck_notice_has_subject"),
        ),
        sa.CheckConstraint(
            "jsonb_typeof(figures) = 'array' AND NOT"
            " jsonb_path_exists(figures, 'strict $[*] ? (@.type() != \"object\")') AND NOT"
            " jsonb_path_exists(figures, '$[*] ?"
            ' (!(@.value.type() == "number" && @.unit.type() == "string"'
            ' && @.qualifier.type() == "string"))\')',
            name=op.f("ck_notice_figures_whole"),
        ),
        sa.CheckConstraint(
            "certainty IN ('confirmed', 'reported', 'unconfirmed')",
            name=op.f("ck_notice_certainty_known"),
        ),
        sa.CheckConstraint(
            "NOT isempty(effective) AND (lower_inf(effective)"
            " OR (lower_inc(effective) AND isfinite(lower(effective))))"
            " AND NOT upper_inc(effective)"
            " AND (upper_inf(effective) OR isfinite(upper(effective)))",
            name=op.f("ck_notice_effective_not_empty"),
        ),
        sa.CheckConstraint(
            "NOT lower_inf(effective) OR precision = 'unknown'", name=op.f("ck_notice_start_known")
        ),
        sa.CheckConstraint(
            "precision IN ('minute', 'hour', 'day', 'month', 'unknown')",
            name=op.f("ck_notice_precision_known"),
        ),
        sa.CheckConstraint(
            "isfinite(announced_at) IS NOT FALSE AND announced_at <= recorded_at",
            name=op.f("ck_notice_announced_in_the_past"),
        ),
        sa.CheckConstraint(
            "id <> supersedes AND id <> ALL (contradicts)",
            name=op.f("ck_notice_not_about_itself"),
        ),
        refers("notice", "issuer_country", "country.code"),
        refers("notice", "incident_id", "incident.id"),
        refers("notice", "supersedes", "notice.id"),
        sa.UniqueConstraint("supersedes", name=op.f("uq_notice_supersedes")),
    )
    op.create_index(op.f("ix_notice_change_id"), "notice", ["change", "id"])
    op.create_index(op.f("ix_notice_incident_id"), "notice", ["incident_id"])
    for column in ("countries", "borders", "crossings", "contradicts"):
        op.create_index(op.f(f"ix_notice_{column}"), "notice", [column], postgresql_using="gin")
    op.create_table(
        "retraction",
        *logged("retraction"),
        sa.Column("notice_id", sa.Uuid(), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("reason_code", sa.Text(), nullable=False),
        sa.Column("reason_text", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(notice_id, incident_id) = 1", name=op.f("ck_retraction_one_target")
        ),
        refers("retraction", "notice_id", "notice.id"),
        refers("retraction", "incident_id", "incident.id"),
        sa.UniqueConstraint("notice_id", name=op.f("uq_retraction_notice_id")),
        sa.UniqueConstraint("incident_id", name=op.f("uq_retraction_incident_id")),
    )
    op.create_index(op.f("ix_retraction_change"), "retraction", ["change"])


def widen_tables() -> None:
    op.add_column("status_event", sa.Column("incident_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_status_event_incident_id"), "status_event", "incident", ["incident_id"], ["id"]
    )
    op.create_check_constraint(
        op.f("ck_status_event_incident_of_declaration"),
        "status_event",
        "incident_id IS NULL OR kind = 'declaration'",
    )
    op.create_index(op.f("ix_status_event_incident_id"), "status_event", ["incident_id"])
    for column in CITED:
        op.add_column("citation", sa.Column(column, sa.Uuid(), nullable=True))
        op.create_foreign_key(
            op.f(f"fk_citation_{column}"),
            "citation",
            column.removesuffix("_id"),
            [column],
            ["id"],
        )
        op.create_index(op.f(f"ix_citation_{column}"), "citation", [column])
    op.drop_constraint(op.f("ck_citation_one_subject"), "citation")
    op.create_check_constraint(op.f("ck_citation_one_subject"), "citation", ONE_SUBJECT_NOW)


def restore_rows() -> None:
    """Make again what going down dropped, from the change log, which forgot nothing."""
    op.execute("""
        INSERT INTO incident
        SELECT (told ->> 'id')::uuid, number, recorded_at, recorded_by,
               told -> 'title', told -> 'summary', (told ->> 'supersedes')::uuid
        FROM change, jsonb_array_elements(payload -> 'incidents') told ORDER BY number
    """)
    op.execute("""
        INSERT INTO notice
        SELECT (told ->> 'id')::uuid, number, recorded_at, recorded_by, told ->> 'kind',
               told #>> '{issuer,country}', told #>> '{issuer,name}',
               ARRAY(SELECT jsonb_array_elements_text(told #> '{subjects,countries}')),
               ARRAY(SELECT jsonb_array_elements_text(told #> '{subjects,borders}')),
               ARRAY(SELECT jsonb_array_elements_text(told #> '{subjects,crossings}')),
               told -> 'text', told -> 'figures', told ->> 'certainty',
               tstzrange((told #>> '{effective,from}')::timestamptz,
                         (told #>> '{effective,until}')::timestamptz),
               told ->> 'precision', (told ->> 'announced_at')::timestamptz,
               (told ->> 'incident')::uuid,
               ARRAY(SELECT jsonb_array_elements_text(told -> 'contradicts')::uuid),
               (told ->> 'supersedes')::uuid
        FROM change, jsonb_array_elements(payload -> 'notices') told ORDER BY number
    """)
    op.execute("""
        INSERT INTO retraction
        SELECT (told ->> 'id')::uuid, number, recorded_at, recorded_by,
               (told ->> 'notice')::uuid, (told ->> 'incident')::uuid,
               told #>> '{reason,code}', told #>> '{reason,text}'
        FROM change, jsonb_array_elements(payload -> 'retractions') told ORDER BY number
    """)
    for rows, column in zip(("notices", "incidents", "retractions"), CITED, strict=True):
        # S608: both names are ours.
        op.execute(f"""
            INSERT INTO citation (source_id, {column}, locator, basis)
            SELECT (cited ->> 'source')::uuid, (told ->> 'id')::uuid, cited ->> 'locator',
                   cited ->> 'basis'
            FROM change, jsonb_array_elements(payload -> '{rows}') told,
                 jsonb_array_elements(told -> 'citations') WITH ORDINALITY each (cited, place)
            ORDER BY number, place
        """)  # noqa: S608
    with unlocked("status_event"):
        op.execute("""
            UPDATE status_event SET incident_id = (told ->> 'incident')::uuid
            FROM change, jsonb_array_elements(payload -> 'events') told
            WHERE status_event.id = (told ->> 'id')::uuid AND told ->> 'incident' IS NOT NULL
        """)


def make_functions() -> None:
    op.execute("""
        CREATE FUNCTION guard_incident() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE breach text := CASE
            WHEN is_open(NEW.change) IS NOT TRUE
                THEN 'ck_change_is_newest'
            WHEN EXISTS (SELECT FROM incident WHERE supersedes = NEW.supersedes)
                 OR EXISTS (SELECT FROM retraction WHERE incident_id = NEW.supersedes)
                THEN 'ck_incident_target_standing'
        END;
        BEGIN
            IF breach IS NOT NULL THEN
                RAISE EXCEPTION 'incident % breaches %', NEW.id, breach
                    USING ERRCODE = 'check_violation', CONSTRAINT = breach;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION guard_notice() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE breach text := CASE
            WHEN is_open(NEW.change) IS NOT TRUE
                THEN 'ck_change_is_newest'
            WHEN (SELECT count(*) FROM country WHERE code = ANY (NEW.countries))
                     <> cardinality(NEW.countries)
                 OR (SELECT count(*) FROM border WHERE id = ANY (NEW.borders))
                     <> cardinality(NEW.borders)
                 OR (SELECT count(*) FROM crossing WHERE id = ANY (NEW.crossings))
                     <> cardinality(NEW.crossings)
                THEN 'ck_notice_subjects_known'
            WHEN (SELECT count(*) FROM notice WHERE id = ANY (NEW.contradicts))
                     <> cardinality(NEW.contradicts)
                THEN 'ck_notice_contradicts_known'
            WHEN EXISTS (SELECT FROM notice WHERE supersedes = NEW.supersedes)
                 OR EXISTS (SELECT FROM retraction WHERE notice_id = NEW.supersedes)
                THEN 'ck_notice_target_standing'
            WHEN NEW.certainty = 'unconfirmed' AND EXISTS (
                     SELECT FROM notice WHERE id = NEW.supersedes AND certainty <> 'unconfirmed')
                THEN 'ck_notice_supersedes_no_firmer'
        END;
        BEGIN
            IF breach IS NOT NULL THEN
                RAISE EXCEPTION 'notice % breaches %', NEW.id, breach
                    USING ERRCODE = 'check_violation', CONSTRAINT = breach;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION guard_retraction() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE breach text := CASE
            WHEN is_open(NEW.change) IS NOT TRUE
                THEN 'ck_change_is_newest'
            WHEN num_nonnulls(NEW.notice_id, NEW.incident_id) <> 1
                THEN 'ck_retraction_one_target'
            WHEN EXISTS (SELECT FROM notice WHERE supersedes = NEW.notice_id)
                 OR EXISTS (SELECT FROM incident WHERE supersedes = NEW.incident_id)
                 OR EXISTS (SELECT FROM retraction WHERE notice_id = NEW.notice_id
                                                      OR incident_id = NEW.incident_id)
                THEN 'ck_retraction_target_standing'
            WHEN (SELECT supersedes FROM notice WHERE id = NEW.notice_id
                  UNION ALL
                  SELECT supersedes FROM incident WHERE id = NEW.incident_id) IS NOT NULL
                THEN 'ck_retraction_no_correction'
        END;
        BEGIN
            IF breach IS NOT NULL THEN
                RAISE EXCEPTION 'retraction % breaches %', NEW.id, breach
                    USING ERRCODE = 'check_violation', CONSTRAINT = breach;
            END IF;
            RETURN NEW;
        END $$
    """)
    # Called for events and for notices that name an incident.
    op.execute("""
        CREATE FUNCTION guard_joining() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        BEGIN
            IF EXISTS (SELECT FROM retraction WHERE incident_id = NEW.incident_id) THEN
                RAISE EXCEPTION 'incident % was retracted', NEW.incident_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_incident_standing';
            END IF;
            RETURN NEW;
        END $$
    """)
    # Called with the table that is cited for, and the column that points there.
    op.execute("""
        CREATE FUNCTION guard_told_citation() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE recorded bigint;
        BEGIN
            EXECUTE format('SELECT change FROM %I WHERE id = ($1).%I', TG_ARGV[0], TG_ARGV[1])
                INTO recorded USING NEW;
            IF recorded IS NOT NULL AND is_open(recorded) IS NOT TRUE THEN
                RAISE EXCEPTION 'what was recorded takes no more citations'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_change_is_newest';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION require_told_citation() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE cited boolean;
        BEGIN
            EXECUTE format('SELECT EXISTS (SELECT FROM citation WHERE %I = $1)', TG_ARGV[0])
                INTO cited USING NEW.id;
            IF NOT cited THEN
                RAISE EXCEPTION '% needs a citation', TG_TABLE_NAME
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_citation_required';
            END IF;
            RETURN NULL;
        END $$
    """)


def make_triggers() -> None:
    for table in ("status_event", "notice"):
        op.execute(f"""
            CREATE TRIGGER guard_joining BEFORE INSERT ON {table}
            FOR EACH ROW WHEN (NEW.incident_id IS NOT NULL) EXECUTE FUNCTION guard_joining()
        """)
    for table in TABLES:
        op.execute(f"""
            CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            EXECUTE FUNCTION refuse_change()
        """)
        op.execute(f"""
            CREATE TRIGGER guard BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION guard_{table}()
        """)
        op.execute(f"""
            CREATE TRIGGER guard_{table}_id BEFORE INSERT ON citation
            FOR EACH ROW WHEN (NEW.{table}_id IS NOT NULL)
            EXECUTE FUNCTION guard_told_citation('{table}', '{table}_id')
        """)
    for table in ("incident", "notice"):
        op.execute(f"""
            CREATE CONSTRAINT TRIGGER cited AFTER INSERT ON {table}
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            EXECUTE FUNCTION require_told_citation('{table}_id')
        """)
