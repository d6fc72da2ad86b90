"""The tables of webhooks: what they refuse, who may write them, and how they come and go."""

from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from psycopg import Connection, sql
from sqlalchemy import create_engine

from app import schema
from app.embedded.server import SERVICE
from app.encryption import Cipher
from tests.conftest import SECRET_KEY, Database

ADD_KEY = """
    INSERT INTO api_key (id, name, secret_hash, scopes)
    VALUES ('a', 'me', sha256('a'), '{subscriptions:write}')
"""
SUBSCRIBE = """
    INSERT INTO subscription (key_id, url, filter, "after", secret)
    VALUES ('a', 'https://example.com/', '{}', 0, %s) RETURNING id
"""
CIPHER = Cipher([SECRET_KEY])
TOKEN = CIPHER.encrypt("whsec_x")
REFUSED = [
    ("subscription", "status = 'resting'", "ck_subscription_status_known"),
    ("subscription", "status = 'disabled'", "ck_subscription_disabled_for_a_reason"),
    ("subscription", "status = 'active'", "ck_subscription_pending_until_agreed"),
    ("subscription", "agreed_at = now()", "ck_subscription_pending_until_agreed"),
    (
        "subscription",
        "pending_reason = 'no', status = 'paused'",
        "ck_subscription_pending_for_a_reason",
    ),
    ("subscription", "disabled_reason = 'gone'", "ck_subscription_disabled_for_a_reason"),
    ("subscription", "old_secret = 'gAAAAA'", "ck_subscription_old_secret_ends"),
    ("subscription", "secret = 'whsec_x'", "ck_subscription_secrets_encrypted"),
    (
        "subscription",
        "old_secret = 'whsec_y', old_secret_until = now()",
        "ck_subscription_secrets_encrypted",
    ),
    ("subscription", "key_id = 'b'", "fk_subscription_key_id"),
    ("subscription", "url = 'ftp://example.com/'", "ck_subscription_url_of_the_web"),
    ("subscription", "filter = '[]'", "ck_subscription_filter_object"),
    ("subscription", '"after" = -1', "ck_subscription_after_numbered"),
    ("subscription", "lease_until = now()", "ck_subscription_leased_when_due"),
    (
        "delivery",
        "state = 'lost', next_attempt_at = NULL, ended_at = now()",
        "ck_delivery_state_known",
    ),
    ("delivery", "state = 'delivered'", "ck_delivery_pending_until_ended"),
    ("delivery", "next_attempt_at = NULL", "ck_delivery_pending_until_ended"),
    ("delivery", "tries = -1", "ck_delivery_tries_counted"),
    ("delivery", "change = 7", "fk_delivery_change"),
    ("attempt", "status = 500", "ck_attempt_failed_for_a_reason"),
    ("attempt", "error = 'none'", "ck_attempt_failed_for_a_reason"),
    ("attempt", "status = NULL", "ck_attempt_failed_for_a_reason"),
    ("attempt", "milliseconds = -1", "ck_attempt_took_time"),
    ("fan_out", "one = false", "ck_fan_out_single_row"),
    ("fan_out", "change = -1", "ck_fan_out_change_numbered"),
]


@pytest.fixture
def service(database: Database) -> Iterator[Connection]:
    """The service's own role, beside a subscription with a delivery that was attempted."""
    with database.connect(SERVICE) as connection:
        connection.execute(ADD_KEY)
        (made,) = connection.execute(SUBSCRIBE, [TOKEN]).fetchone() or (None,)
        connection.execute("INSERT INTO delivery (subscription_id) VALUES (%s)", [made])
        connection.execute(
            "INSERT INTO attempt (delivery_id, at, milliseconds, status)"
            " SELECT id, now(), 1, 200 FROM delivery"
        )
        yield connection


def test_nothing_untrue_can_be_written(service: Connection) -> None:
    for table, change, constraint in REFUSED:
        update = sql.SQL("UPDATE {} SET ").format(sql.Identifier(table)) + sql.SQL(change)
        with pytest.raises(psycopg.errors.IntegrityError) as refused:
            service.execute(update)
        assert refused.value.diag.constraint_name == constraint, (table, change)


def test_a_subscription_takes_all_that_is_its_own_along(service: Connection) -> None:
    service.execute("DELETE FROM subscription")

    for table in ("delivery", "attempt"):
        rows = service.execute(sql.SQL("TABLE {}").format(sql.Identifier(table))).fetchall()
        assert rows == []


@pytest.mark.usefixtures("service")
def test_down_and_up_again_with_rows_in_place(database: Database) -> None:
    """Subscriptions are gone then: they are no part of the log. Changes so far are not told."""
    with database.connect() as owner:
        engine = create_engine(database.owner_url)
        with engine.connect() as connection:
            command.downgrade(schema._config(connection, CIPHER), "0004")
        engine.dispose()
        assert owner.execute("SELECT to_regclass('subscription')").fetchone() == (None,)
        assert owner.execute("SELECT to_regnamespace('queue')").fetchone() == (None,)

        schema.migrate(database.owner_url, service_role=SERVICE, cipher=CIPHER)

        assert owner.execute("SELECT count(*) FROM subscription").fetchone() == (0,)
        newest = "SELECT coalesce(max(number), 0) FROM change"
        assert owner.execute("SELECT change FROM fan_out").fetchone() == (
            owner.execute(newest).fetchone()
        )
    with database.connect(SERVICE) as service:
        service.execute(SUBSCRIBE, [TOKEN])


def test_what_is_due_stays_due_when_the_queue_of_pgqueuer_comes_and_goes(
    service: Connection, database: Database
) -> None:
    service.execute("UPDATE subscription SET turn = 3, turn_at = now(), lease_until = now()")
    due = service.execute("SELECT id, turn, turn_at FROM subscription").fetchall()
    with database.connect() as owner:
        engine = create_engine(database.owner_url)
        with engine.connect() as connection:
            command.downgrade(schema._config(connection, CIPHER), "0007")
        engine.dispose()
        assert owner.execute("SELECT id, turn, turn_at FROM subscription").fetchall() == due
        enqueue = (
            "INSERT INTO queue.pgqueuer (priority, status, entrypoint, dedupe_key)"
            " SELECT 0, 'queued', 'deliver', id || '/' || turn FROM subscription"
        )
        owner.execute(enqueue)

        schema.migrate(database.owner_url, service_role=SERVICE, cipher=CIPHER)

        assert owner.execute("SELECT to_regnamespace('queue')").fetchone() == (None,)
    assert service.execute("SELECT id, turn, turn_at FROM subscription").fetchall() == due
