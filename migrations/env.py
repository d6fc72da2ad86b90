"""How a migration reaches the database: one transaction, one migrator, short waits."""

from alembic import context
from sqlalchemy import Connection, text

from app.config import Settings
from app.database.connections import create_sync_engine
from app.schema import MIGRATION_LOCK, metadata


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    context.config.attributes.setdefault("cipher", Settings().cipher)
    with context.begin_transaction():
        # A migration that cannot have its locks soon gives way rather than queue up readers.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = Settings().owner_url
    if url is None:
        raise SystemExit("Set DATABASE_URL, or use `crossings migrate`.")
    with create_sync_engine(url).connect() as opened:
        run(opened)
