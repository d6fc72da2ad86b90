"""The house: places, sources, the log of status events and of changes, keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "api_key",
    "change",
    "country",
    "border",
    "kept_answer",
    "key_revocation",
    "source",
    "crossing",
    "crossing_version",
    "status_event",
    "citation",
    "seed_record",
)
"""In the order of their making; dropped in reverse."""

FUNCTIONS = (
    "refuse_change()",
    "place_change()",
    "guard_version()",
    "guard_event()",
    "guard_citation()",
    "require_citation()",
    "is_open(bigint)",
)


def upgrade() -> None:
    make_tables()
    make_functions()
    make_triggers()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")


def make_tables() -> None:

    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("sides", pg.ARRAY(sa.Text()), nullable=True),
        sa.Column(
            "created_at",
            pg.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("cardinality(scopes) > 0", name=op.f("ck_api_key_has_scope")),
        sa.CheckConstraint("cardinality(sides) > 0", name=op.f("ck_api_key_sides_not_empty")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_api_key_expires_later")),
        sa.CheckConstraint("length(secret_hash) = 32", name=op.f("ck_api_key_hash_is_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
    )
    op.create_table(
        "change",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recorded_at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column(
            "recorded_by",
            sa.Text(),
            sa.Computed("payload ->> 'recorded_by'", persisted=True),
            nullable=False,
        ),
        sa.Column("written_in", sa.BigInteger(), nullable=False),
        sa.Column("subjects", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("payload", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(hash) = 32", name=op.f("ck_change_hash_is_sha256")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_change")),
        sa.UniqueConstraint("number", "recorded_at", name=op.f("uq_change_number_recorded_at")),
        sa.UniqueConstraint("recorded_at", name=op.f("uq_change_recorded_at")),
    )
    op.create_table(
        "country",
        sa.Column("code", sa.Text(), nullable=False),
        sa.CheckConstraint("code ~ '^[A-Z]{2}$'", name=op.f("ck_country_code_is_alpha2")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_country")),
    )
    op.create_table(
        "border",
        sa.Column(
            "id", sa.Text(), sa.Computed("first || '-' || second", persisted=True), nullable=False
        ),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("second", sa.Text(), nullable=False),
        sa.CheckConstraint("first < second", name=op.f("ck_border_alphabetical")),
        sa.ForeignKeyConstraint(["first"], ["country.code"], name=op.f("fk_border_first")),
        sa.ForeignKeyConstraint(["second"], ["country.code"], name=op.f("fk_border_second")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_border")),
    )
    op.create_index(op.f("ix_border_second"), "border", ["second"], unique=False)
    op.create_table(
        "kept_answer",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column(
            "headers",
            pg.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column(
            "kept_at", pg.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint("length(request_hash) = 32", name=op.f("ck_kept_answer_hash_is_sha256")),
        sa.CheckConstraint("status BETWEEN 200 AND 299", name=op.f("ck_kept_answer_only_success")),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_kept_answer_key_id")),
        sa.PrimaryKeyConstraint("key_id", "idempotency_key", name=op.f("pk_kept_answer")),
    )
    op.create_table(
        "key_revocation",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column(
            "revoked_at",
            pg.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_key_revocation_key_id")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_key_revocation")),
    )
    op.create_table(
        "source",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("publisher", sa.Text(), nullable=True),
        sa.Column("published_at", sa.Text(), nullable=True),
        sa.Column("retrieved_at", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_source_sha256_is_hex")),
        sa.ForeignKeyConstraint(
            ["change", "recorded_at"],
            ["change.number", "change.recorded_at"],
            name=op.f("fk_source_change_recorded_at"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source")),
    )
    op.create_index(op.f("ix_source_change"), "source", ["change"], unique=False)
    op.create_table(
        "crossing",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("border_id", sa.Text(), nullable=False),
        sa.CheckConstraint("id ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_crossing_id_is_slug")),
        sa.ForeignKeyConstraint(["border_id"], ["border.id"], name=op.f("fk_crossing_border_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crossing")),
    )
    op.create_index(op.f("ix_crossing_border_id"), "crossing", ["border_id"], unique=False)
    op.create_table(
        "crossing_version",
        sa.Column("crossing_id", sa.Text(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("traffic", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("names", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("aliases", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("precision_km", sa.Double(), nullable=True),
        sa.Column("confirm_within_days", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "cardinality(traffic) > 0", name=op.f("ck_crossing_version_has_traffic")
        ),
        sa.CheckConstraint(
            "confirm_within_days > 0", name=op.f("ck_crossing_version_confirm_within_positive")
        ),
        sa.CheckConstraint("lat BETWEEN -90 AND 90", name=op.f("ck_crossing_version_lat_in_range")),
        sa.CheckConstraint(
            "lon BETWEEN -180 AND 180", name=op.f("ck_crossing_version_lon_in_range")
        ),
        sa.CheckConstraint(
            "num_nonnulls(lat, lon, precision_km) IN (0, 3)",
            name=op.f("ck_crossing_version_location_whole"),
        ),
        sa.CheckConstraint("precision_km > 0", name=op.f("ck_crossing_version_precision_positive")),
        sa.ForeignKeyConstraint(
            ["change", "recorded_at"],
            ["change.number", "change.recorded_at"],
            name=op.f("fk_crossing_version_change_recorded_at"),
        ),
        sa.ForeignKeyConstraint(
            ["crossing_id"], ["crossing.id"], name=op.f("fk_crossing_version_crossing_id")
        ),
        sa.PrimaryKeyConstraint("crossing_id", "change", name=op.f("pk_crossing_version")),
    )
    op.create_index(
        op.f("ix_crossing_version_change"), "crossing_version", ["change"], unique=False
    )
    op.create_table(
        "status_event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("crossing_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Uuid(), nullable=False),
        sa.Column("sides", pg.ARRAY(sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("effective", pg.TSTZRANGE(), nullable=True),
        sa.Column("expected_until", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("traffic", pg.ARRAY(sa.Text()), nullable=True),
        sa.Column("to", sa.Text(), nullable=True),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason_text", sa.Text(), nullable=True),
        sa.Column("exceptions", pg.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("certainty", sa.Text(), nullable=True),
        sa.Column("precision", sa.Text(), nullable=True),
        sa.Column("announced_at", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("confirmed_at", pg.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("supersedes", sa.Uuid(), nullable=True),
        sa.Column("retracts", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(kind <> 'confirmation') = (reason_code IS NOT NULL)",
            name=op.f("ck_status_event_reason_given"),
        ),
        sa.CheckConstraint(
            "(kind = 'confirmation') = (confirmed_at IS NOT NULL)",
            name=op.f("ck_status_event_confirmation_whole"),
        ),
        sa.CheckConstraint(
            "(kind = 'declaration') = (num_nonnulls(status, effective, certainty, precision) = 4)"
            " AND (kind = 'declaration' OR num_nonnulls(status, effective, certainty, precision,"
            " expected_until, announced_at, supersedes) = 0)",
            name=op.f("ck_status_event_declaration_whole"),
        ),
        sa.CheckConstraint(
            "(kind = 'retraction') = (retracts IS NOT NULL)",
            name=op.f("ck_status_event_retraction_whole"),
        ),
        sa.CheckConstraint(
            "certainty IN ('confirmed', 'reported', 'unconfirmed')",
            name=op.f("ck_status_event_certainty_known"),
        ),
        sa.CheckConstraint(
            "kind IN ('declaration', 'confirmation', 'retraction')",
            name=op.f("ck_status_event_kind_known"),
        ),
        sa.CheckConstraint(
            "status IN ('open', 'restricted', 'closed')",
            name=op.f("ck_status_event_status_declarable"),
        ),
        sa.CheckConstraint(
            "NOT isempty(effective) AND lower_inc(effective) AND NOT upper_inc(effective)"
            " AND isfinite(lower(effective))"
            " AND (upper_inf(effective) OR isfinite(upper(effective)))",
            name=op.f("ck_status_event_effective_not_empty"),
        ),
        sa.CheckConstraint(
            "isfinite(expected_until) IS NOT FALSE AND isfinite(announced_at) IS NOT FALSE"
            " AND isfinite(confirmed_at) IS NOT FALSE",
            name=op.f("ck_status_event_instants_finite"),
        ),
        sa.CheckConstraint(
            "announced_at <= recorded_at", name=op.f("ck_status_event_announced_in_the_past")
        ),
        sa.CheckConstraint(
            "cardinality(sides) BETWEEN 1 AND 2", name=op.f("ck_status_event_sides_not_empty")
        ),
        sa.CheckConstraint(
            "cardinality(traffic) > 0", name=op.f("ck_status_event_traffic_not_empty")
        ),
        sa.CheckConstraint(
            "confirmed_at <= recorded_at", name=op.f("ck_status_event_confirmed_in_the_past")
        ),
        sa.CheckConstraint(
            "expected_until IS NULL"
            " OR (upper_inf(effective) AND expected_until > lower(effective))",
            name=op.f("ck_status_event_expected_until_after_start"),
        ),
        sa.CheckConstraint(
            "id <> supersedes AND id <> retracts", name=op.f("ck_status_event_not_about_itself")
        ),
        sa.ForeignKeyConstraint(
            ["change", "recorded_at"],
            ["change.number", "change.recorded_at"],
            name=op.f("fk_status_event_change_recorded_at"),
        ),
        sa.ForeignKeyConstraint(
            ["crossing_id"], ["crossing.id"], name=op.f("fk_status_event_crossing_id")
        ),
        sa.ForeignKeyConstraint(
            ["retracts", "crossing_id"],
            ["status_event.id", "status_event.crossing_id"],
            name=op.f("fk_status_event_retracts_crossing_id"),
        ),
        sa.ForeignKeyConstraint(
            ["supersedes", "crossing_id"],
            ["status_event.id", "status_event.crossing_id"],
            name=op.f("fk_status_event_supersedes_crossing_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_event")),
        sa.UniqueConstraint(
            "change", "crossing_id", name=op.f("uq_status_event_change_crossing_id")
        ),
        sa.UniqueConstraint("id", "crossing_id", name=op.f("uq_status_event_id_crossing_id")),
        sa.UniqueConstraint("retracts", name=op.f("uq_status_event_retracts")),
        sa.UniqueConstraint("supersedes", name=op.f("uq_status_event_supersedes")),
    )
    op.create_index(
        op.f("ix_status_event_change_id"), "status_event", ["change", "id"], unique=False
    )
    op.create_index(
        op.f("ix_status_event_crossing_id"),
        "status_event",
        ["crossing_id", sa.literal_column("change DESC")],
        unique=False,
    )
    op.create_index(op.f("ix_status_event_decision"), "status_event", ["decision"], unique=False)
    op.create_table(
        "citation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=True),
        sa.Column("crossing_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("locator", sa.Text(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(event_id, crossing_id) = 1", name=op.f("ck_citation_one_subject")
        ),
        sa.CheckConstraint(
            "num_nulls(crossing_id, version) <> 1", name=op.f("ck_citation_version_whole")
        ),
        sa.ForeignKeyConstraint(
            ["crossing_id", "version"],
            ["crossing_version.crossing_id", "crossing_version.change"],
            name=op.f("fk_citation_crossing_id_version"),
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["status_event.id"], name=op.f("fk_citation_event_id")
        ),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name=op.f("fk_citation_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_citation")),
    )
    op.create_index(
        op.f("ix_citation_crossing_id_version"),
        "citation",
        ["crossing_id", "version"],
        unique=False,
    )
    op.create_index(op.f("ix_citation_event_id"), "citation", ["event_id"], unique=False)
    op.create_index(op.f("ix_citation_source_id"), "citation", ["source_id"], unique=False)

    op.create_table(
        "seed_record",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_seed_record_digest_is_sha256")),
        sa.ForeignKeyConstraint(["change"], ["change.number"], name=op.f("fk_seed_record_change")),
        sa.PrimaryKeyConstraint("id", "change", name=op.f("pk_seed_record")),
    )


def make_functions() -> None:
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'append_only';
        END $$
    """)
    # 0x43524F5353 is the lock that every writer of the log takes.
    op.execute("""
        CREATE FUNCTION place_change() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE newest change;
        BEGIN
            PERFORM pg_advisory_xact_lock(x'43524F5353'::bigint);
            SELECT * INTO newest FROM change ORDER BY number DESC LIMIT 1;
            IF NEW.number <> coalesce(newest.number, 0) + 1 THEN
                RAISE EXCEPTION 'change % does not follow %', NEW.number, newest.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_change_follows';
            END IF;
            IF NEW.recorded_at <= newest.recorded_at OR NEW.recorded_at >
               greatest(clock_timestamp(), newest.recorded_at + interval '1 microsecond') THEN
                RAISE EXCEPTION 'recorded_at is for the database to set'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_change_recorded_now';
            END IF;
            NEW.written_in := pg_current_xact_id()::text::bigint;
            RETURN NEW;
        END $$
    """)
    # A change is open to rows for as long as its own transaction is the newest.
    op.execute("""
        CREATE FUNCTION is_open(change_number bigint) RETURNS boolean LANGUAGE sql
        SET search_path = public, pg_temp AS $$
            SELECT number = change_number AND written_in = pg_current_xact_id()::text::bigint
            FROM change ORDER BY number DESC LIMIT 1
        $$
    """)
    op.execute("""
        CREATE FUNCTION guard_version() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        BEGIN
            IF is_open(NEW.change) IS NOT TRUE THEN
                RAISE EXCEPTION 'change % is closed', NEW.change
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_change_is_newest';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION guard_event() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE
            both_sides text[];
            authorised text[];
            target status_event;
            breach text;
        BEGIN
            SELECT ARRAY[first, second] INTO both_sides
                FROM crossing JOIN border ON border.id = border_id
                WHERE crossing.id = NEW.crossing_id;
            SELECT traffic INTO authorised FROM crossing_version
                WHERE crossing_id = NEW.crossing_id ORDER BY change DESC LIMIT 1;
            SELECT * INTO target FROM status_event
                WHERE id = coalesce(NEW.supersedes, NEW.retracts);
            breach := CASE
                WHEN is_open(NEW.change) IS NOT TRUE
                    THEN 'ck_change_is_newest'
                WHEN NOT NEW.sides <@ both_sides OR NEW.sides[1] = NEW.sides[2]
                    THEN 'ck_status_event_side_of_crossing'
                WHEN NEW."to" <> ALL (both_sides)
                    THEN 'ck_status_event_to_of_crossing'
                WHEN NEW.kind <> 'retraction' AND NOT NEW.traffic <@ authorised
                    THEN 'ck_status_event_traffic_authorised'
                WHEN target.id IS NULL
                    THEN NULL
                WHEN EXISTS (SELECT FROM status_event
                             WHERE target.id IN (supersedes, retracts))
                    THEN 'ck_status_event_target_standing'
                WHEN NEW.supersedes IS NOT NULL AND target.kind <> 'declaration'
                    THEN 'ck_status_event_supersedes_declaration'
                WHEN NEW.certainty = 'unconfirmed' AND target.certainty <> 'unconfirmed'
                    THEN 'ck_status_event_supersedes_no_firmer'
                WHEN NEW.retracts IS NOT NULL AND target.kind = 'retraction'
                    THEN 'ck_status_event_retracts_no_retraction'
                WHEN NEW.retracts IS NOT NULL AND target.supersedes IS NOT NULL
                    THEN 'ck_status_event_retracts_no_correction'
            END;
            IF breach IS NOT NULL THEN
                RAISE EXCEPTION 'status event % breaches %', NEW.id, breach
                    USING ERRCODE = 'check_violation', CONSTRAINT = breach;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION guard_citation() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE recorded bigint := coalesce(
            NEW.version, (SELECT change FROM status_event WHERE id = NEW.event_id)
        );
        BEGIN
            IF recorded IS NOT NULL AND is_open(recorded) IS NOT TRUE THEN
                RAISE EXCEPTION 'what was recorded takes no more citations'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_change_is_newest';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION require_citation() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        DECLARE cited boolean;
        BEGIN
            IF TG_TABLE_NAME = 'status_event' THEN
                cited := EXISTS (SELECT FROM citation WHERE event_id = NEW.id);
            ELSE
                cited := EXISTS (SELECT FROM citation
                                 WHERE crossing_id = NEW.crossing_id AND version = NEW.change);
            END IF;
            IF NOT cited THEN
                RAISE EXCEPTION '% needs a citation', TG_TABLE_NAME
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_citation_required';
            END IF;
            RETURN NULL;
        END $$
    """)


def make_triggers() -> None:
    for table in TABLES:
        op.execute(f"""
            CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            EXECUTE FUNCTION refuse_change()
        """)
    for table, function in {
        "change": "place_change",
        "source": "guard_version",
        "crossing_version": "guard_version",
        "status_event": "guard_event",
        "citation": "guard_citation",
    }.items():
        op.execute(f"""
            CREATE TRIGGER guard BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION {function}()
        """)
    # Deferred: citations are written after what they cite.
    op.execute("""
        CREATE CONSTRAINT TRIGGER cited AFTER INSERT ON status_event
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind <> 'retraction')
        EXECUTE FUNCTION require_citation()
    """)
    op.execute("""
        CREATE CONSTRAINT TRIGGER cited AFTER INSERT ON crossing_version
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_citation()
    """)
