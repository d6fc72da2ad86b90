"""The real parts that tests stand on: an embedded PostgreSQL, databases cloned from a template."""

import asyncio
import fcntl
import itertools
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import httpx2
import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import ASGIApp, Receive, Scope, Send

from app import schema
from app.access.service import create_key, free_name
from app.board.middleware import BoardMiddleware
from app.changes.stream import stream
from app.config import Settings
from app.database.connections import Connector
from app.database.sessions import create_engine, create_sessions
from app.embedded.running import serving
from app.embedded.server import DATABASE, OWNER, SERVICE, SUPERUSER, Server
from app.embedded.supervisor import SETTINGS
from app.encryption import new_secret_key
from app.main import create_service
from app.seeding.service import load_seeds
from app.vocabulary import KeyScope
from bench.figures import record_figures
from tests.api import Api
from tests.seeds import SETS
from tests.waiting import PATIENCE

hypothesis_settings.register_profile("full", deadline=None, print_blob=True)
hypothesis_settings.register_profile("few", max_examples=10, deadline=None, print_blob=True)
hypothesis_settings.load_profile("few")

EMPTY, SEEDED = "template_empty", "template_seeded"
SECRET_KEY = new_secret_key()
LONGEST = (
    "tests/test_fuzz.py",
    # Until there are databases, the other processes have these, which need none.
    "tests/status/test_resolution_properties.py",
    "tests/pages/test_languages.py",
    "tests/status/test_cut.py",
    "tests/faults/",
    "tests/pages/",
    "tests/test_cli.py",
    "tests/scale/",
    "tests/board/",
    "tests/database/",
)
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    for folder in reversed(LONGEST):
        items.sort(key=lambda item: not item.nodeid.startswith(folder))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--figures", action="store_true", help="write the figures that docs/promises.md shows"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say the figures that tests recorded as properties, added up for each file."""
    figures: dict[str, Counter[str]] = {}
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            of_file = figures.setdefault(report.nodeid.partition("::")[0], Counter())
            of_file["passed"] += report.when == "call" and report.passed
            of_file["failed"] += report.failed
            if report.when == "teardown":
                of_file.update(dict(report.user_properties))
    for file, of_file in figures.items():
        if of_file.keys() - {"passed", "failed"}:
            terminalreporter.write_line(f"{file}: {dict(of_file)}")
    if terminalreporter.config.getoption("--figures"):
        record_figures({file: dict(of_file) for file, of_file in figures.items()})


@dataclass(frozen=True)
class Database:
    """A database of one test's own, reached in each of its roles."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.url(SERVICE, self.name)

    @property
    def owner_url(self) -> str:
        return self.server.url(OWNER, self.name)

    def connect(self, role: str = OWNER) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.server.socket_dir), user=role, dbname=self.name, autocommit=True
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Give a session in a transaction that commits."""
        engine = create_engine(Connector(self.url))
        try:
            async with create_sessions(engine)() as session, session.begin():
                yield session
        finally:
            await engine.dispose()

    async def new_key(
        self, *scopes: KeyScope, sides: list[str] | None = None, name: str = "reporter"
    ) -> str:
        """Make a key as `make_key` does."""
        async with self.session() as session:
            return await make_key(session, name, *scopes, sides=sides)

    @asynccontextmanager
    async def api(self, *, reporter: str = "reporter", **settings: object) -> AsyncIterator[Api]:
        """Give the real application on this database, with a key of every scope."""
        async with started(self.url, **settings) as (service, client):
            assert await service.board.reached(0, within=PATIENCE)
            # By its own connections: others would take as long as half a start.
            async with service.application.state.sessions.begin() as session:
                key = await make_key(session, reporter)
            yield Api(client, key)


async def make_key(
    session: AsyncSession, name: str, *scopes: KeyScope, sides: list[str] | None = None
) -> str:
    """Make a key of every scope, or of some; its name has a number if another has it."""
    name = await free_name(session, name)
    return str(await create_key(session, name=name, scopes=scopes or KeyScope, sides=sides))


@dataclass(frozen=True)
class Lent:
    """A running application on a database, and what the rows of it were like before its use."""

    database: Database
    api: Api
    watching: psycopg.Connection
    before: list[tuple[object, ...]]
    ending: AsyncExitStack


class Shelf:
    """Keeps the application that a test wrote nothing with, for the next: a start takes 0.1 s."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._unused: list[Lent] = []

    async def take(self) -> Lent:
        if self._unused:
            return self._unused.pop()
        ending = AsyncExitStack()
        database = ending.enter_context(clone(self._server, SEEDED))
        watching = ending.enter_context(database.connect(SUPERUSER))
        api = await ending.enter_async_context(database.api())
        return Lent(database, api, watching, written(watching), ending)

    async def take_back(self, lent: Lent) -> None:
        if written(lent.watching) == lent.before:
            self._unused.append(lent)
        else:
            await lent.ending.aclose()

    async def clear(self) -> None:
        for one in self._unused:
            await one.ending.aclose()


def written(watching: psycopg.Connection) -> list[tuple[object, ...]]:
    """Return of each table how many rows it has, and the newest transaction that wrote one."""
    tables = watching.execute(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname IN ('public', 'queue') ORDER BY 1, 2"
    )
    counts = [
        sql.SQL("SELECT count(*), max(xmin::text::bigint) FROM {}").format(sql.Identifier(*table))
        for table in tables.fetchall()
    ]
    return watching.execute(sql.SQL(" UNION ALL ").join(counts)).fetchall()


def logging_faults(app: ASGIApp) -> ASGIApp:
    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception:
            logging.getLogger(__name__).exception("%s failed", scope["path"])
            raise

    return logged


class GivenSettings(Settings):
    """Settings that are given: to look for more in the environment takes a tenth of a start."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def service_on(url: str, **settings: object) -> BoardMiddleware:
    """Build the real service on the database at ``url``, be there one or not."""
    # However slow the machine, nobody is refused where that is not what is tested.
    slow = {"request_deadline": PATIENCE, "write_deadline": PATIENCE}
    limits = ("board", "database", "wrong_keys", "alerts")
    unlimited = {f"rate_limit_{limit}": 0 for limit in limits}
    any_number = {"subscriptions_per_key": 0, "pings_per_minute": 0}
    given = {"database_url": url, "secret_key": SECRET_KEY, **slow, **unlimited, **any_number}
    return create_service(GivenSettings.model_validate({**given, **settings}))


@asynccontextmanager
async def started(
    url: str, **settings: object
) -> AsyncIterator[tuple[BoardMiddleware, httpx2.AsyncClient]]:
    """Give the service on the database at ``url``, and a client."""
    service = service_on(url, **settings)
    # Like a server: an exception that went unhandled is logged and answered, not raised.
    transport = httpx2.ASGITransport(app=logging_faults(service), raise_app_exceptions=False)
    async with (
        service.application.router.lifespan_context(service.application),
        httpx2.AsyncClient(transport=transport, base_url="http://crossings.test") as client,
    ):
        yield service, client


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def short_memory() -> Iterator[None]:
    """Let applications of this process begin with few changes for those who follow them.

    To encode all that they would keep takes longer than the rest of their start.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "RECENT_CHANGES", 10)
        yield


@pytest.fixture(scope="session")
def postgres(prepared: Path) -> Iterator[Server]:
    """The embedded PostgreSQL of the whole run."""
    with (
        tempfile.TemporaryDirectory(prefix="crossings-", dir=_roomy_memory()) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        # These databases need not outlive the machine, and a clone is many files.
        patch.setitem(SETTINGS, "fsync", "off")
        with serving(Path(shutil.copytree(prepared, Path(folder) / "data"))) as server:
            patch.undo()  # only this server
            yield server


@pytest.fixture(scope="module")
def template() -> str:
    """The name of the database that `database` is a clone of."""
    return EMPTY


@pytest.fixture
def database(postgres: Server, template: str) -> Iterator[Database]:
    """A migrated database for this test alone, with no rows but those of `template`."""
    with clone(postgres, template) as found:
        yield found


@pytest.fixture
def empty(postgres: Server) -> Iterator[Database]:
    """A migrated database without any rows, for this test alone."""
    with clone(postgres, EMPTY) as found:
        yield found


@pytest.fixture
def seeded(request: pytest.FixtureRequest, postgres: Server) -> Iterator[Database]:
    """A database with the seeds, for this test alone: that of `api`, where a test has it too."""
    if "api" in request.fixturenames:
        yield request.getfixturevalue("lent").database
    else:
        with clone(postgres, SEEDED) as found:
            yield found


@pytest.fixture
def api(lent: "Lent") -> Api:
    """The application on a seeded database that nobody else has written to."""
    return lent.api


@pytest.fixture
async def lent(shelf: "Shelf") -> AsyncIterator["Lent"]:
    found = await shelf.take()
    yield found
    await shelf.take_back(found)


@pytest.fixture(scope="module")
async def shelf(postgres: Server) -> AsyncIterator["Shelf"]:
    """What a module's tests have `api` from."""
    found = Shelf(postgres)
    yield found
    await found.clear()


@pytest.fixture(scope="module")
async def seeded_api(postgres: Server) -> AsyncIterator[Api]:
    """The application on a seeded database that a module's tests share and only read."""
    with clone(postgres, SEEDED) as found:
        async with found.api() as api:
            yield api


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory for a server of this test's own."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the seeds, which nobody serves: to be copied.

    The first process that needs it makes it, and the others wait.
    """
    mine = tmp_path_factory.getbasetemp()
    shared = mine if "PYTEST_XDIST_WORKER" not in os.environ else mine.parent
    data_dir, draft = shared / "prepared", shared / "draft"
    with (shared / "prepared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data_dir.exists():
            with serving(draft) as server:
                _make_templates(server)
            draft.rename(data_dir)
    return data_dir


@pytest.fixture
def seeded_dir(prepared: Path, tmp_path: Path) -> Path:
    """A data directory with the seeds, for this test alone."""
    return Path(shutil.copytree(prepared, tmp_path / "data"))


def _roomy_memory() -> Path | None:
    """Return a file system in memory, if there is one with room: clones cost a sixth there."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder with a random name is made in it
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 2**30
    return memory if roomy else None


@contextmanager
def clone(server: Server, template: str) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    with _superuser(server) as connection:
        connection.execute(_create(name, template))
        try:
            yield Database(server, name)
        finally:
            dropped = sql.Identifier(name)
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(dropped))


def _create(name: str, template: str) -> sql.Composed:
    return sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY").format(
        sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER)
    )


def _superuser(server: Server) -> psycopg.Connection:
    return psycopg.connect(
        host=str(server.socket_dir), user=SUPERUSER, dbname="postgres", autocommit=True
    )


def _make_templates(server: Server) -> None:
    """Migrate the server's own database, and fill it; of either state keep a template."""
    database = Database(server, DATABASE)
    schema.migrate(database.owner_url, service_role=SERVICE)
    with _superuser(server) as connection:
        connection.execute(_create(EMPTY, DATABASE))
        asyncio.run(_load(database))
        connection.execute(_create(SEEDED, DATABASE))


async def _load(database: Database) -> None:
    async with database.session() as session:
        await load_seeds(session, only=SETS)
