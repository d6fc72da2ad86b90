"""The migration that encrypts secrets: both ways with rows in place, or not at all."""

from datetime import timedelta

import psycopg
import pytest
from alembic import command
from psycopg import Connection, sql
from sqlalchemy import create_engine

from app import schema
from app.embedded.server import SERVICE, SUPERUSER
from app.encryption import Cipher, MissingSecretKey, UnreadableSecret, new_secret_key
from tests.conftest import SECRET_KEY, Database

REVISION, BELOW = "0016", "0015"
CIPHER = Cipher([SECRET_KEY])
SECRET, OLD_SECRET = "whsec_bmV3", "whsec_b2xk"

KEYS = """
    INSERT INTO api_key (id, name, secret_hash, scopes, created_at) VALUES
    ('first', 'VSAT', sha256('1'), '{subscriptions:write}', '2026-01-01Z'),
    ('second', 'VSAT', sha256('2'), '{subscriptions:write}', '2026-01-02Z'),
    ('third', 'VSAT', sha256('3'), '{subscriptions:write}', '2026-01-03Z'),
    ('events', 'VSAT', sha256('4'), '{events:write}', '2026-01-04Z'),
    ('other', 'other', sha256('5'), '{admin}', '2026-01-05Z')
"""
REVOKE = "INSERT INTO key_revocation (key_id) VALUES ('third')"
SUBSCRIBE = """
    INSERT INTO subscription (owner, url, filter, "after", secret, old_secret, old_secret_until)
    VALUES (%(owner)s, 'https://example.com/', '{}', 0, %(secret)s, %(old)s,
            CASE WHEN %(old)s::text IS NOT NULL THEN now() END)
"""
KEEP = """
    INSERT INTO kept_answer (key_id, idempotency_key, request_hash, status, body, kept_at)
    VALUES ('other', %s, sha256('x'), 201, %s, now() - %s)
"""
BODY = f'{{"id":"1","secret":"{SECRET}"}}'.encode()
STRIPPED = b'{"id":"1","secret":null}'
PLAIN = rb'{"text":"\"secret\":\"mine"}'


@pytest.fixture
def below(database: Database) -> Database:
    """A database as the release before left it, with secrets in clear."""
    go_down(database)
    with database.connect(SUPERUSER) as connection:
        connection.execute(KEYS)
        connection.execute(REVOKE)
        for owner, old in (("VSAT", None), ("other", OLD_SECRET)):
            connection.execute(SUBSCRIBE, {"owner": owner, "secret": SECRET, "old": old})
        for name, body, age in (("young", BODY, 1), ("old", BODY, 25), ("plain", PLAIN, 1)):
            connection.execute(KEEP, [name, body, timedelta(hours=age)])
    return database


def go_down(database: Database, cipher: Cipher | None = None) -> None:
    engine = create_engine(database.owner_url)
    try:
        with engine.connect() as connection:
            command.downgrade(schema._config(connection, cipher), BELOW)
    finally:
        engine.dispose()


def go_up(database: Database, cipher: Cipher | None = CIPHER, revision: str = "head") -> None:
    schema.migrate(database.owner_url, revision=revision, service_role=SERVICE, cipher=cipher)


def rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query.encode()).fetchall()


def everything(database: Database) -> str:
    """Return every row of the tables that may have secrets, as text."""
    with database.connect() as connection:
        tables = rows(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = []
        for (table,) in tables:
            rows_of = sql.SQL("SELECT encode(convert_to(one::text, 'UTF8'), 'escape') FROM {} one")
            found += connection.execute(rows_of.format(sql.Identifier(str(table)))).fetchall()
    return str(found)


def answers(connection: Connection) -> dict[str, bytes]:
    kept = connection.execute("SELECT idempotency_key, body FROM kept_answer").fetchall()
    return dict(kept)


def test_what_was_in_clear_is_encrypted(below: Database) -> None:
    go_up(below)

    with below.connect() as connection:
        secrets = connection.execute(
            "SELECT secret, old_secret FROM subscription ORDER BY old_secret IS NOT NULL"
        ).fetchall()
        assert [[one and CIPHER.decrypt(one) for one in row] for row in secrets] == [
            [SECRET, None],
            [SECRET, OLD_SECRET],
        ]
        assert answers(connection) == {"young": STRIPPED, "old": STRIPPED, "plain": PLAIN}
        ((name, body, is_as_old),) = connection.execute(
            "SELECT idempotency_key, secret.body, secret.kept_at = answer.kept_at"
            " FROM secret_answer secret JOIN kept_answer answer USING (key_id, idempotency_key)"
        ).fetchall()
        assert (name, CIPHER.decrypt(body), is_as_old) == ("young", BODY.decode(), True)
    assert SECRET not in everything(below)
    assert SECRET.encode().hex() not in everything(below)


def test_a_subscription_belongs_to_the_valid_key_that_may_manage_it(below: Database) -> None:
    """The newest of those with its owner's name; and no two keys have one name any more."""
    go_up(below)

    with below.connect() as connection:
        owners = rows(connection, "SELECT key_id FROM subscription ORDER BY key_id")
        assert owners == [("other",), ("second",)]
        assert rows(connection, "SELECT id, name FROM api_key ORDER BY created_at") == [
            ("first", "VSAT (first)"),
            ("second", "VSAT (second)"),
            ("third", "VSAT (third)"),
            ("events", "VSAT"),
            ("other", "other"),
        ]
        for table in ("api_key", "kept_answer"):
            delete = sql.SQL("DELETE FROM {}").format(sql.Identifier(table))
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute(delete)


def test_going_back_decrypts(below: Database) -> None:
    """The owners have the names that their keys got, and an old answer has no secret any more."""
    go_up(below)
    go_down(below, CIPHER)

    with below.connect() as connection:
        columns = "SELECT owner, secret, old_secret FROM subscription ORDER BY owner"
        assert rows(connection, columns) == [
            ("VSAT (second)", SECRET, None),
            ("other", SECRET, OLD_SECRET),
        ]
        assert answers(connection) == {"young": BODY, "old": STRIPPED, "plain": PLAIN}
    go_up(below)


def test_without_a_key_nothing_is_altered(below: Database) -> None:
    before = everything(below)
    with pytest.raises(MissingSecretKey, match="set CROSSINGS_SECRET_KEY"):
        go_up(below, None)
    assert everything(below) == before

    go_up(below, revision=REVISION)
    before = everything(below)
    with pytest.raises(MissingSecretKey):
        go_down(below)
    with pytest.raises(UnreadableSecret):
        go_down(below, Cipher([new_secret_key()]))
    assert everything(below) == before


def test_a_database_without_secrets_needs_no_key(database: Database) -> None:
    go_down(database)
    go_up(database, None)
