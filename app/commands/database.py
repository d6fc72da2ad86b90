"""The database that a command works on: the one that is set, else the embedded one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncSession

from app import schema
from app.commands.errors import fail
from app.commands.options import settings_of
from app.config import Settings
from app.database.connections import Connector, create_sync_engine
from app.database.sessions import Transact, create_engine, create_sessions
from app.embedded.running import reaching, serving
from app.embedded.server import OWNER, SERVICE, Server
from app.encryption import Cipher

Result = TypeVar("Result")
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Database:
    """How to reach the database, as the service and as the owner."""

    url: str
    owner_url: str
    server: Server | None = None
    """The embedded PostgreSQL; None for any other."""

    def migrate(self, cipher: Cipher | None, *, lock_wait: float = schema.LOCK_WAIT) -> None:
        """Bring the schema to head, as `schema.migrate` does and raises."""
        schema.migrate(
            self.owner_url,
            service_role=schema.service_role(self.url, self.owner_url),
            cipher=cipher,
            lock_wait=lock_wait,
        )

    def revision(self) -> str | None:
        with self._connection() as connection:
            return schema.current(connection)

    def has_usable_schema(self) -> bool:
        with self._connection() as connection:
            return schema.is_usable(schema.current(connection), schema.served_code(connection))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        engine = create_sync_engine(self.url)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def require_schema(self) -> None:
        """End the process with a message unless this code can use the schema."""
        if not self.has_usable_schema():
            revision = self.revision()
            fail(
                f"The schema is at {revision or 'nothing'}, this code needs {schema.head()}:"
                " run `crossings migrate` first."
            )

    def run(self, use: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
        """Give ``use`` a session in one transaction of its own."""

        async def once(transact: Transact) -> Result:
            return await transact(use)

        return self.run_all(once)

    def run_all(self, use: Callable[[Transact], Awaitable[Result]]) -> Result:
        """Let ``use`` work in as many transactions as it likes."""

        async def work() -> Result:
            engine = create_engine(Connector(self.url))

            async def transact(part: Callable[[AsyncSession], Awaitable[Part]], /) -> Part:
                async with create_sessions(engine)() as session, session.begin():
                    return await part(session)

            try:
                return await use(transact)
            finally:
                await engine.dispose()

        return asyncio.run(work())


@contextmanager
def open_database(settings: Settings, *, serve: bool = False) -> Iterator[Database]:
    """Give the database that is set, else the embedded one, started unless it runs already."""
    if settings.database_url and settings.owner_url:
        if settings.wal_archive is not None:
            fail("CROSSINGS_WAL_ARCHIVE is for the embedded database: unset it or DATABASE_URL.")
        yield Database(settings.database_url, settings.owner_url)
        return
    reach = serving if serve else reaching
    with reach(settings.data_dir, settings.wal_archive) as server:
        yield Database(server.url(SERVICE), server.url(OWNER), server)


@contextmanager
def migrated_database(data_dir: Path | None) -> Iterator[Database]:
    with open_database(settings_of(data_dir=data_dir)) as database:
        database.require_schema()
        yield database
