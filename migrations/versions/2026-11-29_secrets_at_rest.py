"""Encrypt secrets, take them out of stored answers, and let keys own by id.

Where several keys have one name, the newest that is valid keeps it; the others get their id
appended. A subscription belongs to the key of its owner's name that may manage it.
"""

import re
from collections.abc import Callable

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql as pg

from app.encryption import Cipher, MissingSecretKey

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# What is stored must stay as it is here, whatever the service makes of it later.
FERNET_PATTERN = "^gAAAA[A-Za-z0-9_-]+={0,2}$"
SECRET = re.compile(rb'"secret":"[^"]*"')

LOCK = "LOCK TABLE api_key, kept_answer, subscription IN ACCESS EXCLUSIVE MODE"
IS_PLAIN = """position('"secret":"'::bytea IN body) > 0"""
IS_YOUNG = "kept_at > now() - interval '1 day'"
NEEDS_KEY = f"""
    SELECT EXISTS (SELECT FROM subscription)
        OR EXISTS (SELECT FROM kept_answer WHERE {IS_PLAIN} AND {IS_YOUNG})
"""  # noqa: S608  # constants
NEEDS_KEY_TO_GO_BACK = """
    SELECT EXISTS (SELECT FROM subscription) OR EXISTS (SELECT FROM secret_answer)
"""

KEYS = """
    SELECT id, name, scopes, created_at,
           revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS is_valid
    FROM api_key LEFT JOIN key_revocation ON key_id = id
"""
ASSIGN = f"""
    UPDATE subscription SET key_id = (
        SELECT id FROM ({KEYS}) key WHERE name = owner
        ORDER BY scopes && '{{subscriptions:write,admin}}' DESC, is_valid DESC, created_at DESC, id
        LIMIT 1
    )
"""  # noqa: S608  # constants
RENAME = f"""
    UPDATE api_key SET name = api_key.name || ' (' || api_key.id || ')'
    FROM (
        SELECT id, row_number() OVER (
            PARTITION BY name ORDER BY is_valid DESC, created_at DESC, id
        ) AS place
        FROM ({KEYS}) key
    ) numbered
    WHERE numbered.id = api_key.id AND place > 1
"""  # noqa: S608  # constants


def upgrade() -> None:
    """Encrypt. Raises MissingSecretKey, before anything is altered, if that takes a key."""
    op.execute(LOCK)
    cipher = required_cipher(NEEDS_KEY)
    let_keys_own_by_id()
    encrypt_subscriptions(cipher)
    op.create_table(
        "secret_answer",
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column(
            "kept_at", pg.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("key_id", "idempotency_key", name=op.f("pk_secret_answer")),
        sa.ForeignKeyConstraint(
            ["key_id", "idempotency_key"],
            ["kept_answer.key_id", "kept_answer.idempotency_key"],
            name=op.f("fk_secret_answer_key_id_idempotency_key"),
        ),
        sa.CheckConstraint(
            f"body ~ '{FERNET_PATTERN}'", name=op.f("ck_secret_answer_body_encrypted")
        ),
    )
    op.create_index(op.f("ix_secret_answer_kept_at"), "secret_answer", ["kept_at"])
    strip_answers(cipher)


def downgrade() -> None:
    """Decrypt. Names that keys got stay, and a secret that an answer has lost is lost."""
    op.execute(LOCK)
    cipher = required_cipher(NEEDS_KEY_TO_GO_BACK)
    op.drop_constraint(op.f("ck_kept_answer_without_secret"), "kept_answer")
    restore_answers(cipher)
    op.drop_table("secret_answer")
    op.drop_constraint(op.f("ck_subscription_secrets_encrypted"), "subscription")
    if cipher is not None:
        rewrite_subscriptions(cipher.decrypt)
    op.create_check_constraint(
        op.f("ck_subscription_secrets_marked"),
        "subscription",
        "secret LIKE 'whsec\\_%' AND old_secret LIKE 'whsec\\_%'",
    )
    op.add_column("subscription", sa.Column("owner", sa.Text))
    op.execute("UPDATE subscription SET owner = name FROM api_key WHERE api_key.id = key_id")
    op.alter_column("subscription", "owner", nullable=False)
    op.drop_column("subscription", "key_id")
    op.create_index(op.f("ix_subscription_owner_id"), "subscription", ["owner", "id"])
    op.drop_constraint(op.f("uq_api_key_name"), "api_key")


def required_cipher(condition: str) -> Cipher | None:
    """Return the cipher; None where there is none and, by the condition, no need of one."""
    cipher: Cipher | None = context.config.attributes.get("cipher")
    if cipher is None and op.get_bind().scalar(sa.text(condition)):
        raise MissingSecretKey(
            "The database has secrets of webhooks, which this migration encrypts or decrypts: set"
            " CROSSINGS_SECRET_KEY. `crossings secrets new-key` prints a new key. It altered"
            " nothing."
        )
    return cipher


def let_keys_own_by_id() -> None:
    op.add_column("subscription", sa.Column("key_id", sa.Text))
    op.execute(ASSIGN)
    op.alter_column("subscription", "key_id", nullable=False)
    op.create_foreign_key(
        op.f("fk_subscription_key_id"), "subscription", "api_key", ["key_id"], ["id"]
    )
    op.drop_column("subscription", "owner")
    op.create_index(op.f("ix_subscription_key_id_id"), "subscription", ["key_id", "id"])
    op.execute("ALTER TABLE api_key DISABLE TRIGGER append_only")
    op.execute(RENAME)
    op.execute("ALTER TABLE api_key ENABLE TRIGGER append_only")
    op.create_unique_constraint(op.f("uq_api_key_name"), "api_key", ["name"])


def encrypt_subscriptions(cipher: Cipher | None) -> None:
    op.drop_constraint(op.f("ck_subscription_secrets_marked"), "subscription")
    if cipher is not None:
        rewrite_subscriptions(cipher.encrypt)
    op.create_check_constraint(
        op.f("ck_subscription_secrets_encrypted"),
        "subscription",
        f"secret ~ '{FERNET_PATTERN}' AND old_secret ~ '{FERNET_PATTERN}'",
    )


def rewrite_subscriptions(rewrite: Callable[[str], str]) -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, secret, old_secret FROM subscription")).all()
    for row in rows:
        connection.execute(
            sa.text("UPDATE subscription SET secret = :secret, old_secret = :old WHERE id = :id"),
            {
                "id": row.id,
                "secret": rewrite(row.secret),
                "old": None if row.old_secret is None else rewrite(row.old_secret),
            },
        )


def strip_answers(cipher: Cipher | None) -> None:
    """Take secrets out of stored answers; those of the last day are kept, encrypted."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(f"""
            SELECT key_id, idempotency_key, body, kept_at, {IS_YOUNG} AS is_young
            FROM kept_answer WHERE {IS_PLAIN}
        """)  # noqa: S608  # constants
    ).all()
    op.execute("ALTER TABLE kept_answer DISABLE TRIGGER append_only")
    for row in rows:
        if row.is_young and cipher is not None:
            connection.execute(
                sa.text("INSERT INTO secret_answer VALUES (:key_id, :idempotency_key, :body, :at)"),
                {
                    "key_id": row.key_id,
                    "idempotency_key": row.idempotency_key,
                    "body": cipher.encrypt(row.body.decode()),
                    "at": row.kept_at,
                },
            )
        replace_body(row.key_id, row.idempotency_key, SECRET.sub(b'"secret":null', row.body))
    op.execute("ALTER TABLE kept_answer ENABLE TRIGGER append_only")
    op.create_check_constraint(
        op.f("ck_kept_answer_without_secret"),
        "kept_answer",
        """position('"secret":"'::bytea IN body) = 0""",
    )


def restore_answers(cipher: Cipher | None) -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text("TABLE secret_answer")).all()
    op.execute("ALTER TABLE kept_answer DISABLE TRIGGER append_only")
    for row in rows:
        assert cipher is not None  # there are rows
        replace_body(row.key_id, row.idempotency_key, cipher.decrypt(row.body).encode())
    op.execute("ALTER TABLE kept_answer ENABLE TRIGGER append_only")


def replace_body(key_id: str, idempotency_key: str, body: bytes) -> None:
    op.get_bind().execute(
        sa.text("""
            UPDATE kept_answer SET body = :body
            WHERE key_id = :key_id AND idempotency_key = :idempotency_key
        """),
        {"key_id": key_id, "idempotency_key": idempotency_key, "body": body},
    )
