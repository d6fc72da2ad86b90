"""The schema as a whole: bring it to head, tell whether this code can use it, grant access."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from alembic import command, op
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, inspect, text

# Importing the tables of every feature is what fills the metadata.
import app.access.models
import app.alerts.models
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
LOCK_WAIT = 60.0
"""Seconds for which a migration is tried again while others hold the locks that it needs."""
LOCK_TIMEOUT = "300ms"
"""How long each try waits for a lock, and everybody else behind it.

It is well below one second: after that the service takes a silent database to be lost, and
PostgreSQL ends a deadlock by refusing one of those in it, which must not be a writer.
"""

metadata = Base.metadata

MUTABLE = {
    "write_attempt": "DELETE",
    **dict.fromkeys(
        ("compacted_log", "write_probe", "imported_feed", "imported_payload"), "UPDATE"
    ),
    **dict.fromkeys(
        (
            *("subscription", "delivery", "attempt", "fan_out", "secret_answer", "allowance"),
            *("alert", "alert_delivery", "alert_fan_out"),
        ),
        "UPDATE, DELETE",
    ),
}
"""What the service may do to a table besides: those that are no part of the log."""
READ_ONLY = ("alembic_version", "latest_observation")
"""Tables that only migrations and triggers write to."""


class UnknownSchema(Exception):
    """The schema is of a version that is newer than this one, and that this one cannot use."""


class ServedCode(BaseModel):
    """Which code can use a schema, by the revisions at which its own schema would be.

    It is kept as a comment on the table of versions, because older code does not have the migration
    that says so.
    """

    revision: str
    """The revision that this is about: older code migrates down without altering the comment."""
    serves: list[str]


def migrate(
    owner_url: str,
    *,
    revision: str = "head",
    service_role: str | None = None,
    cipher: Cipher | None = None,
    lock_wait: float = LOCK_WAIT,
) -> None:
    """Bring the schema to ``revision`` and grant the service's role what it needs.

    Each migration is a transaction of its own. One that cannot have its locks is undone and tried
    again for ``lock_wait`` seconds. A newer schema that this code can use stays as it is.

    Raises UnknownSchema for a newer one that it cannot use, and MissingSecretKey if there are
    secrets to encrypt and no ``cipher``.
    """
    engine = create_sync_engine(owner_url)
    config = _config(None, cipher)
    config.attributes |= {"service_role": service_role, "lock_wait": lock_wait}
    try:
        with engine.connect() as connection:
            if _is_newer(connection):
                return
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            if service_role:
                grant(connection, service_role)
                connection.commit()
    finally:
        engine.dispose()


def _is_newer(connection: Connection) -> bool:
    """Return whether the schema is newer than this code. Raises UnknownSchema if it is too new."""
    revision, comment = current(connection), served_code(connection)
    connection.rollback()
    if revision is None or revision in _revisions():
        return False
    if not is_usable(revision, comment):
        raise UnknownSchema(
            f"The schema is at {revision}, which this version does not know: run the newer version"
            " that made it."
        )
    return True


@contextmanager
def without_transaction() -> Iterator[None]:
    """Let statements of a migration run by themselves, such as ``CREATE INDEX CONCURRENTLY``.

    They may wait for as long as it takes, because nobody waits behind them. What came before in the
    migration is committed: it must do nothing else, and be repeatable.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


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


def served_code(connection: Connection) -> str | None:
    """Return which code can use the schema, as `record_served_code` left it."""
    query = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"
    comment: str | None = connection.scalar(text(query))
    return comment


def is_usable(revision: str | None, comment: str | None) -> bool:
    """Return whether this code can use a schema at ``revision``.

    ``comment`` is what `served_code` returns: a newer schema says so itself.
    """
    if revision == head():
        return True
    try:
        served = ServedCode.model_validate_json(comment or "")
    except ValidationError:
        return False
    return served.revision == revision and head() in served.serves


def record_served_code(
    connection: Connection, scripts: ScriptDirectory, revision: str | None
) -> None:
    """Store which code can use the schema at ``revision``, by what its migration says."""
    comment: sql.Composable = sql.NULL
    if revision is not None:
        module = scripts.get_revision(revision).module
        oldest = getattr(module, "oldest_code", revision)
        served = scripts.iterate_revisions(revision, oldest, inclusive=True)
        names = [script.revision for script in served]
        comment = sql.Literal(ServedCode(revision=revision, serves=names).model_dump_json())
    statement = sql.SQL("COMMENT ON TABLE alembic_version IS {}").format(comment)
    connection.exec_driver_sql(statement.as_string())


def _revisions() -> frozenset[str]:
    scripts = ScriptDirectory.from_config(_config())
    return frozenset(script.revision for script in scripts.walk_revisions())


def _config(connection: Connection | None = None, cipher: Cipher | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(data_folder("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["cipher"] = cipher
    return config
