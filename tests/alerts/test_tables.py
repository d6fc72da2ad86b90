"""The tables of alerts: what they refuse, and that an address goes with all that belongs to it."""

import psycopg
import pytest
from psycopg import sql

from app.embedded.server import SERVICE
from app.encryption import Cipher
from tests.conftest import SECRET_KEY, Database

ADD = """
    INSERT INTO alert (channel, recipient, language, crossings, borders, "after", confirmed_at)
    VALUES ('email', %s, 'en', '{a}', '{}', 0, now()) RETURNING id
"""
DELIVER = "INSERT INTO alert_delivery (alert_id, change, crossings) VALUES (%s, 1, '{a}')"
REFUSED = [
    ("alert", "channel = 'fax'", "ck_alert_channel_known"),
    ("alert", "channel = 'push', confirmed_at = NULL", "ck_alert_unconfirmed_by_email"),
    ("alert", "channel = 'push', is_digest = true", "ck_alert_digest_by_email"),
    ("alert", "recipient = 'anna@example.com'", "ck_alert_recipient_encrypted"),
    ("alert", "crossings = '{}'", "ck_alert_about_something"),
    ("alert", "borders = array_fill('a'::text, ARRAY[50])", "ck_alert_about_something"),
    ("alert", '"after" = -1', "ck_alert_after_numbered"),
    ("alert_delivery", "tries = -1", "ck_alert_delivery_tries_counted"),
    ("alert_delivery", "change = NULL", "ck_alert_delivery_crossings_of_change"),
    ("alert_delivery", "crossings = '{}'", "ck_alert_delivery_crossings_of_change"),
    ("alert_delivery", "alert_id = uuidv7()", "fk_alert_delivery_alert_id"),
    ("alert_fan_out", "change = -1", "ck_alert_fan_out_change_numbered"),
    ("alert_fan_out", "one = false", "ck_alert_fan_out_single_row"),
]


def test_what_makes_no_sense_is_refused_and_nothing_outlives_its_alert(empty: Database) -> None:
    with empty.connect(SERVICE) as service:
        token = Cipher([SECRET_KEY]).encrypt("{}")
        ((alert,),) = service.execute(ADD, [token]).fetchall()
        service.execute(DELIVER, [alert])
        for table, values, constraint in REFUSED:
            update = sql.SQL("UPDATE {} SET ").format(sql.Identifier(table))
            with pytest.raises(psycopg.errors.IntegrityError) as refusal:
                service.execute(update + sql.SQL(values))
            assert refusal.value.diag.constraint_name == constraint, values

        service.execute("DELETE FROM alert")

        assert service.execute("SELECT FROM alert_delivery").fetchall() == []
