"""Let a correction be retracted: it withdraws what it corrects too, which stays superseded."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    guard_event()
    guard_retraction()
    # Only the newest version of an incident can be retracted, and that retracts all of them.
    guard_joining("""
        WITH RECURSIVE version AS (
            SELECT NEW.incident_id AS id
            UNION ALL
            SELECT incident.id FROM incident JOIN version ON supersedes = version.id
        )
        SELECT FROM retraction JOIN version ON incident_id = version.id
    """)


def downgrade() -> None:
    guard_event("""
                WHEN NEW.retracts IS NOT NULL AND target.supersedes IS NOT NULL
                    THEN 'ck_status_event_retracts_no_correction'
    """)
    guard_retraction("""
            WHEN (SELECT supersedes FROM notice WHERE id = NEW.notice_id
                  UNION ALL
                  SELECT supersedes FROM incident WHERE id = NEW.incident_id) IS NOT NULL
                THEN 'ck_retraction_no_correction'
    """)
    guard_joining("SELECT FROM retraction WHERE incident_id = NEW.incident_id")


# S608: what is filled in is this module's own.
def guard_event(last_check: str = "") -> None:
    op.execute(f"""
        CREATE OR REPLACE FUNCTION guard_event() RETURNS trigger LANGUAGE plpgsql
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
                    THEN 'ck_status_event_retracts_no_retraction'{last_check.rstrip()}
            END;
            IF breach IS NOT NULL THEN
                RAISE EXCEPTION 'status event % breaches %', NEW.id, breach
                    USING ERRCODE = 'check_violation', CONSTRAINT = breach;
            END IF;
            RETURN NEW;
        END $$
    """)  # noqa: S608


def guard_retraction(last_check: str = "") -> None:
    op.execute(f"""
        CREATE OR REPLACE FUNCTION guard_retraction() RETURNS trigger LANGUAGE plpgsql
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
                THEN 'ck_retraction_target_standing'{last_check.rstrip()}
        END;
        BEGIN
            IF breach IS NOT NULL THEN
                RAISE EXCEPTION 'retraction % breaches %', NEW.id, breach
                    USING ERRCODE = 'check_violation', CONSTRAINT = breach;
            END IF;
            RETURN NEW;
        END $$
    """)  # noqa: S608


def guard_joining(retracted: str) -> None:
    op.execute(f"""
        CREATE OR REPLACE FUNCTION guard_joining() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        BEGIN
            IF EXISTS ({retracted.strip()}) THEN
                RAISE EXCEPTION 'incident % was retracted', NEW.incident_id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_incident_standing';
            END IF;
            RETURN NEW;
        END $$
    """)
