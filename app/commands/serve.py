"""`crossings serve`."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from app.commands.database import Database, open_database
from app.commands.delivering import deliver_beside_server
from app.commands.errors import fail
from app.commands.key_files import (
    admin_key_file,
    checkpoint_key_file,
    vapid_key_file,
    with_secret_key,
)
from app.commands.options import DataDir, settings_of
from app.commands.secrets import require_readable_secrets
from app.commands.worker import require_importers
from app.config import Settings
from app.delivery.processes import interrupts_held, kept_alive
from app.embedded.data_directory import has_cluster
from app.http.connections import (
    HEAD_BYTES,
    Connection,
    ConnectionLimits,
    OpenConnections,
    ServerConfig,
    open_as_many_files_as_allowed,
)
from app.http.origin import Origins
from app.logs import configure_logs
from app.seeding.service import load_seeds

STALLED_SECONDS = 20
"""Seconds a client may stop reading before its connection is closed."""

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(show_default="8000")] = None,
    workers: Annotated[int | None, typer.Option(show_default="1")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve over HTTP; with DATABASE_URL unset, on an embedded PostgreSQL."""
    settings = settings_of(host=host, port=port, workers=workers, data_dir=data_dir)
    require_importers(settings)
    # Returning from uvicorn, a stop must unwind what follows rather than end the process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Before anything is made: a port that is taken leaves no trace.
    with _port(settings.host, settings.port) as listener:
        is_embedded = settings.database_url is None
        is_first = is_embedded and not has_cluster(settings.data_dir)
        if is_first:
            typer.echo(f"Making a database in {settings.data_dir.absolute()} (first start only)")
        with open_database(settings, serve=True) as database:
            settings = with_secret_key(settings, make=True)
            if is_embedded:
                _prepare(database, settings, is_first=is_first)
            database.require_schema()
            if settings.secret_key is None:
                typer.echo("CROSSINGS_SECRET_KEY is not set: no webhooks can be made.", err=True)
            require_readable_secrets(database, settings.cipher, delivers=settings.delivery_worker)
            with TemporaryDirectory(prefix="crossings-metrics-") as figures:
                _serve(settings, database, listener, figures)


class Workers(Multiprocess):
    """Processes that do not hear the terminal's Ctrl-C: their parent ends them in order."""

    def init_processes(self) -> None:
        with interrupts_held():
            super().init_processes()

    def terminate_all(self) -> None:
        # Else a client that connects now waits for a worker, and is cut off when this process ends.
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        with interrupts_held():
            super().keep_subprocess_alive()


def _serve(settings: Settings, database: Database, listener: socket.socket, figures: str) -> None:
    configure_logs(settings.log_format, settings.log_level)
    checkpoint_key = checkpoint_key_file(settings)
    vapid_key = vapid_key_file(settings, make=True)
    # Workers are processes of their own: they read the settings from their environment.
    os.environ |= {
        "CROSSINGS_CHECKPOINT_KEY": str(checkpoint_key or ""),
        "CROSSINGS_VAPID_KEY": str(vapid_key or ""),
        "CROSSINGS_SECRET_KEY": (
            settings.secret_key.get_secret_value() if settings.secret_key else ""
        ),
        "PROMETHEUS_MULTIPROC_DIR": figures,
        "CROSSINGS_DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": database.url,
        "DATABASE_READ_URL": settings.database_read_url or "",
        "CROSSINGS_WORKERS": str(settings.workers),
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
        # `Forwarded` is read by the application.
        proxy_headers=settings.forwarded_header == "x-forwarded-for",
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
    config.connections = OpenConnections(
        _connection_limits(settings), Origins(settings.public_url).root
    )
    _listen(listener, settings.host, settings.port)
    embedded_database = settings.database_url is None
    _announce(
        f"http://{settings.host}:{listener.getsockname()[1]}",
        admin_key_file(settings.data_dir, database) if embedded_database else None,
    )
    server = uvicorn.Server(config)
    try:
        with (
            kept_alive(deliver_beside_server, name="delivery worker")
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
        fail("The service could not start; see its log for the reason.")


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        total=settings.max_connections,
        per_client=settings.max_connections_per_client,
        header_seconds=settings.header_seconds,
        body_seconds=settings.body_seconds,
        # In chunks of a byte a body takes seven times as many.
        request_bytes=8 * settings.max_body_bytes + HEAD_BYTES,
        database_connections=2 * settings.pool_size,
        proxies=settings.trusted_proxies,
    )


def _prepare(database: Database, settings: Settings, *, is_first: bool) -> None:
    """Bring an embedded database to what this version needs, and say so where it takes long."""
    if is_first:
        typer.echo("Creating the tables")
    elif not database.has_usable_schema():
        typer.echo("Migrating the tables to this version")
    database.migrate(settings.cipher)
    if is_first:
        typer.echo("Loading the crossings and their history")
    database.run(partial(load_seeds, only=settings.seed_sets))
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
        fail(f"Cannot listen on {host} port {port}: {reason}.")
