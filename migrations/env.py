"""How migrations reach the database: one migrator, a transaction for each, and short waits.

Whoever waits for a lock makes everybody wait who comes after. So a migration that cannot have its
locks soon is undone, lets the others go first, and is tried again.
"""

import time
from collections.abc import Callable

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.config import Settings
from app.database.connections import create_sync_engine
from app.errors import sqlstate_of
from app.schema import (
    LOCK_TIMEOUT,
    LOCK_WAIT,
    MIGRATION_LOCK,
    grant,
    metadata,
    record_served_code,
)

FIRST_PAUSE, LONGEST_PAUSE = 0.3, 5.0
"""Seconds between two tries: at first as long as a try, then doubled."""

_LOCK_FAILURES = {"55P03", "40P01"}
"""Error codes of PostgreSQL: a lock was not available in time, or there was a deadlock."""


def run(connection: Connection) -> None:
    attributes = context.config.attributes
    attributes.setdefault("cipher", Settings().cipher)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        transaction_per_migration=True,
        on_version_apply=lambda *, heads, **_: _after_each(connection, heads),
    )
    ends_at = time.monotonic() + attributes.get("lock_wait", LOCK_WAIT)
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    try:
        _with_patience(connection, lambda: _lock(connection), ends_at)
        _with_patience(connection, context.run_migrations, ends_at)
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock_all()"))
        connection.commit()


def _lock(connection: Connection) -> None:
    """Wait until no other migrator is at work; transactions come and go within this lock."""
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
    connection.commit()


def _with_patience(connection: Connection, work: Callable[[], None], ends_at: float) -> None:
    """Try until all locks could be had. Whatever a failed try did is undone."""
    pause = FIRST_PAUSE
    while True:
        try:
            work()
        except DBAPIError as error:
            connection.rollback()
            if sqlstate_of(error) not in _LOCK_FAILURES or time.monotonic() >= ends_at:
                raise
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _after_each(connection: Connection, heads: set[str]) -> None:
    """Do what belongs to each migration's own transaction: what it made is useful at once."""
    if service_role := context.config.attributes.get("service_role"):
        grant(connection, service_role)
    record_served_code(connection, context.script, next(iter(heads), None))


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = Settings().owner_url
    if url is None:
        raise SystemExit("Set DATABASE_URL, or use `crossings migrate`.")
    with create_sync_engine(url).connect() as opened:
        run(opened)
