"""The schema as a whole: bring it to head, tell whether it is, and say who may do what."""

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

# Importing the tables of every feature is what fills the metadata.
import app.access.models
import app.changes.models
import app.database.writability
import app.importers.models
import app.limits.models
import app.notices.models
import app.observations.models
import app.places.models
import app.seeding.models
import app.sources.models
import app.status.models
import app.subscriptions.models  # noqa: F401
from app.config import data_folder
from app.database.connections import conninfo, create_sync_engine
from app.database.tables import Base
from app.encryption import Cipher

MIGRATION_LOCK = 0x4D494752  # any number, as long as every migrator takes the same

metadata = Base.metadata

MUTABLE = {
    "write_attempt": "DELETE",
    **dict.fromkeys(
        ("compacted_log", "write_probe", "imported_feed", "imported_payload"), "UPDATE"
    ),
    **dict.fromkeys(
        ("subscription", "delivery", "attempt", "fan_out", "secret_answer", "allowance"),
        "UPDATE, DELETE",
    ),
}
"""What the service may do to a table besides: those that are no part of the log."""
READ_ONLY = ("alembic_version", "latest_observation")
"""Tables that only migrations and triggers write to."""


def migrate(
    owner_url: str,
    *,
    revision: str = "head",
    service_role: str | None = None,
    cipher: Cipher | None = None,
) -> None:
    """Bring the schema to ``revision`` and grant the service's role what it needs.

    Raises MissingSecretKey if there are secrets to encrypt and no ``cipher``.
    """
    engine = create_sync_engine(owner_url)
    try:
        with engine.begin() as connection:
            command.upgrade(_config(connection, cipher), revision)
            if service_role:
                grant(connection, service_role)
    finally:
        engine.dispose()


def grant(connection: Connection, service_role: str) -> None:
    """Let ``service_role`` read and append; only what is no part of the log may it alter."""
    role = connection.dialect.identifier_preparer.quote(service_role)
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {role}"))
    connection.execute(text(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}"))
    present = set(inspect(connection).get_table_names())
    for table in present.intersection(READ_ONLY):
        connection.execute(text(f"REVOKE INSERT ON {table} FROM {role}"))
    for table in MUTABLE.keys() & present:
        connection.execute(text(f"GRANT {MUTABLE[table]} ON {table} TO {role}"))


def service_role(database_url: str, owner_url: str) -> str | None:
    """Return the role to grant to, None where one role owns and serves."""
    role, owner = conninfo(database_url).get("user"), conninfo(owner_url).get("user")
    return role if role != owner else None


@cache
def head() -> str:
    """Return the revision that this code needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("There are no migrations beside the code.")
    return revision


def current(connection: Connection) -> str | None:
    """Return the revision that the database is at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None = None, cipher: Cipher | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(data_folder("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["cipher"] = cipher
    return config
