"""The command line: ``crossings``. It calls the same functions as HTTP does."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NoReturn, TypeVar

import sqlalchemy.exc
import typer
import uvicorn
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from uvicorn.supervisors import Multiprocess

from app import schema
from app.access import service as access
from app.access.attempts import attempts_since
from app.access.keys import Key
from app.audit.pages import damaged_page_of, damaged_pages, describe
from app.audit.service import find_faults
from app.backup import clusters, dumps
from app.backup.directories import BackupError, BackupKind, kind_of
from app.changes.checkpoints import Checkpoint, SigningKey, is_signed, missing_of
from app.changes.service import change_record, changes_after, wire_instant
from app.config import Settings
from app.database.connections import Connector, create_sync_engine
from app.database.sessions import Transact, create_engine, create_sessions
from app.delivery.processes import follow_parent, interrupts_held, kept_alive
from app.embedded.data_directory import ADMIN_KEY, CHECKPOINT_KEY, has_cluster
from app.embedded.running import reaching, serving
from app.embedded.server import OWNER, SERVICE, EmbeddedError, Server
from app.errors import DAMAGED, Problem, sqlstate_of
from app.http.connections import (
    HEAD_BYTES,
    Connection,
    ConnectionLimits,
    Crowd,
    ServerConfig,
    open_as_many_files_as_allowed,
)
from app.http.origin import Origins
from app.logs import configure_logs
from app.seeding.files import SeedError
from app.seeding.service import load_seeds
from app.validation import faults_of, message_of
from app.vocabulary import KeyScope

STALLED_SECONDS = 20
"""Seconds a client may stop reading before its connection is closed."""

Result = TypeVar("Result")
Part = TypeVar("Part")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Crossing Status: is that border crossing open?",
)
keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
app.add_typer(keys, name="keys")

DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the embedded PostgreSQL keeps its data.", show_default="data"),
]


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"crossings {version('crossing-status')}")
        raise typer.Exit


def _instant(text: str) -> datetime:
    """Read an instant, which must not leave open in which time zone it is."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an instant") from None
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no offset from UTC, such as Z or +02:00")
    return instant


@app.callback()
def options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take what stands before a command."""


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """How to reach the database, as the service and as the owner."""

    url: str
    owner_url: str
    server: Server | None = None
    """The embedded PostgreSQL, where that is what it is."""

    def migrate(self) -> None:
        schema.migrate(self.owner_url, service_role=schema.service_role(self.url, self.owner_url))

    def revision(self) -> str | None:
        engine = create_sync_engine(self.url)
        try:
            with engine.connect() as connection:
                return schema.current(connection)
        finally:
            engine.dispose()

    def require_schema(self) -> None:
        """Leave with a sentence unless the schema is the one that this code needs."""
        if (revision := self.revision()) != schema.head():
            _fail(
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


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(show_default="8000")] = None,
    workers: Annotated[int | None, typer.Option(show_default="1")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve over HTTP; with DATABASE_URL unset, on an embedded PostgreSQL."""
    settings = _settings(host=host, port=port, workers=workers, data_dir=data_dir)
    _require_importers(settings)
    # Returning from uvicorn, a stop must unwind what follows rather than end the process.
    signal.signal(signal.SIGTERM, _leave)
    # Before anything is made: a port that is taken leaves no trace.
    with _port(settings.host, settings.port) as listener:
        is_embedded = settings.database_url is None
        is_first = is_embedded and not has_cluster(settings.data_dir)
        if is_first:
            typer.echo(f"Making a database in {settings.data_dir.absolute()} (first start only)")
        with _database(settings, serve=True) as database:
            if is_embedded:
                _prepare(database, settings.seed_sets, is_first=is_first)
            database.require_schema()
            _serve(settings, database, listener)


@app.command("courier", hidden=True)
@app.command()
def worker(data_dir: DataDir = None) -> None:
    """Deliver webhooks. `serve` runs one such process itself; more can share the work."""
    settings = _settings(data_dir=data_dir)
    _require_importers(settings)
    with _migrated(data_dir) as database:
        _be_worker(settings.model_copy(update={"database_url": database.url}))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Migrate the database to the schema that this version needs."""
    with _database(_settings(data_dir=data_dir)) as database:
        database.migrate()
        typer.echo(f"The schema is at {database.revision()}.")


@app.command()
def seed(
    only: Annotated[
        str | None,
        typer.Option(
            help="Names of the sets to load, separated by commas: the folders of `seeds/`.",
            show_default="all",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Load the seed data. Only what is new or has changed is written."""
    settings = _settings(seeds=only)
    with _migrated(data_dir) as database:
        written = database.run(partial(load_seeds, only=settings.seed_sets))
        typer.echo(f"{written} seed records written.")


@app.command()
def export(data_dir: DataDir = None) -> None:
    """Print the whole change log, one JSON object a line."""

    async def write(session: AsyncSession) -> None:
        after = 0
        while found := await changes_after(session, after, 500):
            for change in found:
                typer.echo(json.dumps(change_record(change)))
            after = found[-1].number

    with _migrated(data_dir) as database:
        database.run(write)


@app.command()
def check(
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="A kept answer of /v1/changes/checkpoint, which the log must contain."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Verify the pages on the disk, the change log and its hash chain, and what follows from it."""
    kept = _read_checkpoint(checkpoint) if checkpoint else None

    async def look(session: AsyncSession) -> list[str]:
        faults = [fault async for fault in find_faults(session)]
        missing = await missing_of(session, kept) if kept else None
        return [*faults, missing] if missing else faults

    with _migrated(data_dir) as database:
        pages = damaged_pages(database.server) if database.server else []
        try:
            faults = [] if pages else database.run(look)
        except sqlalchemy.exc.DBAPIError as error:
            pages = [page] if (page := damaged_page_of(error)) else []
            if not pages:
                raise
        faults = [*describe(database.url, pages)] or faults
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)
    typer.echo("The change log is intact.")
    if kept:
        signed = f"signed by key {kept.fingerprint}" if kept.signature else "not signed"
        typer.echo(f"It contains change {kept.change} of the checkpoint, which is {signed}.")


def _read_checkpoint(path: Path) -> Checkpoint:
    try:
        checkpoint = Checkpoint.model_validate_json(path.read_bytes())
    except OSError as error:
        _fail(f"{path} cannot be read: {error.strerror}.")
    except ValidationError as error:
        _fail(f"{path} is not a checkpoint: {faults_of(error)}.")
    if checkpoint.signature and not is_signed(checkpoint):
        _fail(f"{path} was altered: its signature does not match.")
    return checkpoint


@app.command()
def audit(
    since: Annotated[
        datetime | None, typer.Option(help="In UTC; without it, the last 24 hours.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Only attempts with this key.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print who tried to write what, when, from where, and the outcome: one JSON object a line."""
    start = since.replace(tzinfo=UTC) if since else datetime.now(UTC) - timedelta(days=1)

    async def write(session: AsyncSession) -> None:
        async for attempt, name in attempts_since(session, start, key_id=key):
            told = {
                "at": wire_instant(attempt.at),
                "request_id": attempt.request_id,
                "key": attempt.key_id,
                "key_name": name,
                "client": attempt.client and str(attempt.client),
                "method": attempt.method,
                "path": attempt.path,
                "status": attempt.status,
                "change": attempt.change,
                "seconds": round(attempt.seconds, 6),
            }
            typer.echo(json.dumps(told))

    with _migrated(data_dir) as database:
        database.run(write)


@app.command()
def backup(
    directory: Annotated[Path, typer.Argument(help="A new directory, made by this.")],
    data_dir: DataDir = None,
) -> None:
    """Back the database up, with its keys, while the service may go on."""
    settings = _settings(data_dir=data_dir)
    with _database(settings) as database:
        if database.server is None:
            newest = dumps.back_up(database.owner_url, directory)
        else:
            newest = clusters.back_up(database.server, settings.data_dir, directory)
    typer.echo(f"{directory} is a verified backup; it has {newest}.")


@app.command()
def restore(
    directory: Annotated[Path, typer.Argument(help="What `crossings backup` made.")],
    wal: Annotated[
        Path | None, typer.Option(help="An archive of the write-ahead log, to replay all of it.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            parser=_instant, help="Replay only up to this instant, such as 2026-11-24T09:00:00Z."
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a new data directory of a backup; of a dump, fill the empty DATABASE_URL."""
    settings = _settings(data_dir=data_dir)
    kind = kind_of(directory)
    if kind is BackupKind.CLUSTER:
        recovery = clusters.Recovery(wal and wal.resolve(), until)
        newest = clusters.restore(directory, settings.data_dir, recovery)
        then = f"crossings serve --data-dir {settings.data_dir}"
    elif wal or until:
        _fail(f"{directory} is a dump: it is restored as it is, without --wal and --until.")
    elif settings.owner_url is None:
        _fail(f"{directory} is a dump: set DATABASE_URL to the empty database to restore it to.")
    else:
        newest = dumps.restore(directory, settings.owner_url)
        then = "crossings migrate"
    typer.echo(f"Restored; the newest is {newest}. Next: {then}")


@app.command("import")
def import_feed(
    name: Annotated[str, typer.Argument(help="The feed, such as us-cbp.")],
    payload: Annotated[
        str | None,
        typer.Argument(help="A file, or an address, to read instead.", metavar="[FILE|URL]"),
    ] = None,
    observed_at: Annotated[
        str | None,
        typer.Option(
            help="RFC 3339 instant of values that do not say one.",
            show_default="when they were fetched",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Import the waits of a feed once, and say what was recorded and what was refused."""
    from app.importers.command import import_once  # noqa: PLC0415 -- takes half a second

    settings = _settings(data_dir=data_dir)
    with _migrated(data_dir) as database:
        report, has_failed = database.run_all(
            partial(
                import_once, name=name, given=payload, observed_at=observed_at, settings=settings
            )
        )
    for line in report:
        typer.echo(line)
    if has_failed:
        raise typer.Exit(1)


@keys.command("create")
def create_key(
    name: str,
    scope: Annotated[list[KeyScope], typer.Option(help="What the key may write; repeatable.")],
    side: Annotated[
        list[str] | None,
        typer.Option(help="The side the key may speak for; repeatable. Without it, any side."),
    ] = None,
    expires_at: Annotated[
        datetime | None, typer.Option(help="In UTC; without it the key never expires.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a new key, and nothing else, on standard output. It is shown only once."""

    async def create(session: AsyncSession) -> Key:
        return await access.create_key(
            session,
            name=name,
            scopes=scope,
            sides=side,
            expires_at=expires_at and expires_at.replace(tzinfo=UTC),
        )

    with _migrated(data_dir) as database:
        typer.echo(str(database.run(create)))


@keys.command("list")
def list_keys(data_dir: DataDir = None) -> None:
    """List the keys: id, name, scopes, sides, expiry, revocation."""
    with _migrated(data_dir) as database:
        for key, revoked_at in database.run(access.list_keys):
            facts = [key.id, key.name, ",".join(key.scopes), ",".join(key.sides or ["*"])]
            facts.append(f"expires {key.expires_at:%Y-%m-%d}" if key.expires_at else "-")
            facts.append(f"revoked {revoked_at:%Y-%m-%d}" if revoked_at else "-")
            typer.echo("\t".join(facts))


@keys.command("revoke")
def revoke_key(key_id: str, data_dir: DataDir = None) -> None:
    """Revoke a key, from its next request on."""

    async def revoke(session: AsyncSession) -> bool:
        return await access.revoke_key(session, key_id=key_id)

    with _migrated(data_dir) as database:
        if not database.run(revoke):
            _fail(f"There is no valid key {key_id}.")


def main() -> None:
    """Run the command line; what an operator can mend is said in a sentence."""
    try:
        app()
    except (BackupError, EmbeddedError, SeedError, Problem) as error:
        _fail(str(error))
    except ValidationError as error:
        _fail("\n".join(f"{fault['loc'][0]}: {message_of(fault)}" for fault in error.errors()))
    except sqlalchemy.exc.DBAPIError as error:
        state = sqlstate_of(error)
        if state in DAMAGED:
            _fail(f"The database is damaged, see `crossings check`: {error.orig}")
        if not isinstance(error, sqlalchemy.exc.OperationalError):
            raise
        # An answer has a code, a failed connection has none.
        _fail(f"The database {'refused' if state else 'cannot be reached'}: {error.orig}")


def _settings(**given: object) -> Settings:
    return Settings.model_validate(
        {name: value for name, value in given.items() if value is not None}
    )


@contextmanager
def _database(settings: Settings, *, serve: bool = False) -> Iterator[DatabaseUrls]:
    """Give the database that is set, else the embedded one: held, or beside who holds it."""
    if settings.database_url and settings.owner_url:
        if settings.wal_archive is not None:
            _fail("CROSSINGS_WAL_ARCHIVE is for the embedded database: unset it or DATABASE_URL.")
        yield DatabaseUrls(settings.database_url, settings.owner_url)
        return
    reach = serving if serve else reaching
    with reach(settings.data_dir, settings.wal_archive) as server:
        yield DatabaseUrls(server.url(SERVICE), server.url(OWNER), server)


@contextmanager
def _migrated(data_dir: Path | None) -> Iterator[DatabaseUrls]:
    with _database(_settings(data_dir=data_dir)) as database:
        database.require_schema()
        yield database


def _admin_key(data_dir: Path, database: DatabaseUrls) -> Path:
    """Make ``admin.key``, a key with every scope, on the first start."""

    async def create(session: AsyncSession) -> Key:
        return await access.create_key(session, name="admin", scopes=list(KeyScope))

    # The key is stored before the file appears, so a file always holds a valid key.
    return _key_file(data_dir / ADMIN_KEY, lambda: f"{database.run(create)}\n")


def _checkpoint_key(settings: Settings) -> Path | None:
    """Return the file of the key that signs checkpoints; of an embedded database, it is made."""
    path = settings.checkpoint_key
    if path is None and settings.database_url is None:
        path = _key_file(settings.data_dir / CHECKPOINT_KEY, lambda: SigningKey.generate().pem())
    if path is not None:
        try:
            SigningKey.read(path)
        except (OSError, ValueError) as error:
            _fail(f"CROSSINGS_CHECKPOINT_KEY cannot be used: {error}.")
    return path


def _key_file(path: Path, make: Callable[[], str]) -> Path:
    """Return a file that appears whole, on the first start, and that only its owner can read."""
    if path.exists():
        return path
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(make(), encoding="ascii")
    return draft.rename(path)


def _prepare(database: DatabaseUrls, seed_sets: tuple[str, ...] | None, *, is_first: bool) -> None:
    """Bring an embedded database to what this version needs, and say so where it takes long."""
    if is_first:
        typer.echo("Creating the tables")
    elif database.revision() != schema.head():
        typer.echo("Migrating the tables to this version")
    database.migrate()
    if is_first:
        typer.echo("Loading the crossings and their history")
    database.run(partial(load_seeds, only=seed_sets))
    if is_first:
        typer.echo("Starting the service")


def _announce(here: str, admin_key: Path | None) -> None:
    typer.echo(f"Page     {here}/")
    typer.echo(f"Status   {here}/v1/crossings/sumskas-losa/status\nDocs     {here}/docs")
    if admin_key is None:
        return
    body = (
        '{"crossings": ["sumskas-losa"], "sides": ["LT"], "status": "closed",'
        ' "reason": {"code": "security"}, "citations": [{"source": {"title": "Told by phone"}}]}'
    )
    typer.echo(
        f"Key      {admin_key} (every scope)\n"
        "Close a crossing; with ?validate_only=true only see what it would change:\n"
        f"  curl {here}/v1/events -H \"Authorization: Bearer $(cat '{admin_key}')\" \\\n"
        f"    -H 'Content-Type: application/json' -d '{body}'"
    )


@contextmanager
def _port(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port, at which connections are refused until `_listen`; workers inherit it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        with _port_explained(host, port):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
        listener.set_inheritable(True)
        # Connections inherit it: the kernel cuts off who stopped reading, or is gone unsaid.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_SECONDS * 1000)
        yield listener


def _listen(listener: socket.socket, host: str, port: int) -> None:
    # Two that took the port at the same time find out here.
    with _port_explained(host, port):
        listener.listen()


@contextmanager
def _port_explained(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        _fail(f"Cannot listen on {host} port {port}: {reason}.")


def beside_server() -> None:
    """Be the delivery worker beside a server, in a process that it started."""
    follow_parent()
    _be_worker(Settings())


def _require_importers(settings: Settings) -> None:
    """Leave with a sentence if a feed is enabled for which there is no importer."""
    if not settings.enabled_importers:
        return
    from app.importers.schedule import enabled_importers  # noqa: PLC0415 -- as above

    try:
        enabled_importers(settings)
    except ValueError as error:
        _fail(f"importers: {error}")


def _be_worker(settings: Settings) -> None:
    # Its libraries take half a second to import, for which no other process is to wait.
    from app.delivery.worker import main  # noqa: PLC0415
    from app.importers.schedule import ImportSchedule  # noqa: PLC0415

    configure_logs(settings.log_format, settings.log_level)
    main(settings, besides=[ImportSchedule(settings).run])


class Workers(Multiprocess):
    """Processes that do not hear the terminal's Ctrl-C: their parent ends them in order."""

    def init_processes(self) -> None:
        with interrupts_held():
            super().init_processes()

    def terminate_all(self) -> None:
        # Else who comes now would wait for a worker, and be cut off when this process ends.
        for one in self.sockets:
            one.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        with interrupts_held():
            super().keep_subprocess_alive()


def _serve(settings: Settings, database: DatabaseUrls, listener: socket.socket) -> None:
    with TemporaryDirectory(prefix="crossings-metrics-") as figures:
        _serve_until_stopped(settings, database, listener, figures)


def _serve_until_stopped(
    settings: Settings, database: DatabaseUrls, listener: socket.socket, figures: str
) -> None:
    configure_logs(settings.log_format, settings.log_level)
    checkpoint_key = _checkpoint_key(settings)
    # Workers are processes of their own: they read the settings from their environment.
    os.environ |= {
        "CROSSINGS_CHECKPOINT_KEY": str(checkpoint_key or ""),
        "PROMETHEUS_MULTIPROC_DIR": figures,
        "CROSSINGS_DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": database.url,
        "DATABASE_READ_URL": settings.database_read_url or "",
        "CROSSINGS_POOL_SIZE": str(settings.pool_size),
        "CROSSINGS_MAX_BODY_BYTES": str(settings.max_body_bytes),
        "CROSSINGS_BOARD_MAX_AGE": str(settings.board_max_age),
        "CROSSINGS_WEBHOOK_ALLOW": settings.webhook_allow or "",
        "CROSSINGS_DRAIN_SECONDS": str(settings.drain_seconds),
    }
    config = ServerConfig(
        "app.main:worker",
        factory=True,
        http=Connection,
        ws="none",
        host=settings.host,
        port=settings.port,
        forwarded_allow_ips=settings.trusted_proxies,
        workers=settings.workers,
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_keep_alive=settings.idle_seconds,
        timeout_graceful_shutdown=settings.drain_seconds,
        # Where the processors are busy, one that starts says nothing for longer than the usual 5 s.
        timeout_worker_healthcheck=30,
        server_header=False,
    )
    open_as_many_files_as_allowed()
    config.crowd = Crowd(_connection_limits(settings), Origins(settings.public_url).root)
    _listen(listener, settings.host, settings.port)
    embedded_database = settings.database_url is None
    _announce(
        f"http://{settings.host}:{listener.getsockname()[1]}",
        _admin_key(settings.data_dir, database) if embedded_database else None,
    )
    server = uvicorn.Server(config)
    try:
        with (
            kept_alive(beside_server, name="delivery worker")
            if settings.delivery_worker
            else nullcontext()
        ):
            if settings.workers == 1:
                server.run(sockets=[listener])
            else:
                Workers(config, sockets=[listener]).run()
    except KeyboardInterrupt:
        return
    if settings.workers == 1 and not server.started:
        _fail("The service could not start; see its log for the reason.")


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        in_all=settings.max_connections,
        per_client=settings.max_connections_per_client,
        header_seconds=settings.header_seconds,
        body_seconds=settings.body_seconds,
        # In chunks of a byte a body takes seven times as many.
        request_bytes=8 * settings.max_body_bytes + HEAD_BYTES,
        database_connections=2 * settings.pool_size,
        proxies=settings.trusted_proxies,
    )


def _leave(_: int, __: object) -> None:
    sys.exit(0)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
