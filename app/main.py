"""The application: what it is made of, in the order in which a request meets it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from multiprocessing import parent_process
from threading import Event, Lock
from time import monotonic
from types import FrameType

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Lifespan
from uvicorn import Server

from app.access.attempts import AuditTrail
from app.alerts.service import AlertBook, AlertOffer
from app.board.board import Board
from app.board.middleware import BoardMiddleware
from app.board.updater import BoardUpdater
from app.changes.checkpoints import SigningKey
from app.changes.read_sessions import HistoryTurns, Standby
from app.changes.router import router as changes
from app.changes.router import webhooks
from app.changes.stream.stream import Stream
from app.config import Settings
from app.crossings.router import borders, countries
from app.crossings.router import router as places
from app.database.connections import Connector
from app.database.monitor import OUTAGES, DatabaseMonitor
from app.database.pools import Pools
from app.database.sessions import Sessions, create_sessions
from app.database.writability import Writability
from app.database.write_queue import WriteQueue
from app.delivery.processes import follow_parent
from app.facts.router import router as sources
from app.feeds.router import router as feeds
from app.health.metrics import Metrics, WorkerParts
from app.health.router import metrics as metrics_router
from app.health.router import router as health
from app.http import problems
from app.http.documentation.docs import router as docs
from app.http.documentation.openapi import Documents, describe
from app.http.forwarded import ForwardedMiddleware
from app.http.origin import Origins
from app.http.requests import RequestTally
from app.http.root import router as root
from app.http.security import SecurityHeaders
from app.http.security import router as security
from app.importers.router import router as imported_feeds
from app.incidents.router import router as incidents
from app.limits.requests import RequestLimits
from app.logs import configure_logs
from app.notices.router import router as notices
from app.observations.recording import ObservationLimits
from app.observations.router import router as observations
from app.pages.page_cache import PageCache
from app.pages.problems import problem_response
from app.pages.router import routers as pages
from app.statistics.router import router as statistics
from app.status.router import router as status
from app.subscriptions.addresses import AddressPolicy
from app.subscriptions.quotas import Quotas
from app.subscriptions.router import router as subscriptions
from app.tracing import start_tracing

DRAIN_SECONDS = 1.0
"""For so long a worker that is to stop lets its readers leave: answers ask them to."""
LOAD_SECONDS, LOAD_POLL_SECONDS = 120.0, 0.1
"""For so long a worker beside others waits for its board before it takes connections."""

DESCRIBE_SECONDS = 5.0
"""For so long after its board is loaded a worker waits before it builds the OpenAPI document."""

FEATURES = (
    root,
    status,
    places,
    borders,
    countries,
    observations,
    statistics,
    imported_feeds,
    notices,
    incidents,
    sources,
    changes,
    feeds,
    subscriptions,
    health,
)
"""In the order of the documentation."""


def create_service(
    settings: Settings | None = None,
    *,
    owns_process: bool = False,
    tally: RequestTally | None = None,
) -> BoardMiddleware:
    """Build the service; without settings, from the environment.

    ``owns_process`` lets it set the garbage collector for all of the process; ``tally`` is what
    counts its requests.
    """
    settings = settings or Settings()
    if settings.database_url is None:
        raise ValueError("DATABASE_URL is not set; `crossings serve` brings its own database.")
    board = Board(DatabaseMonitor(settings.request_deadline), max_age=settings.board_max_age)
    primary = Connector(settings.database_url)
    standby = Connector(settings.database_read_url) if settings.database_read_url else None
    stream = Stream(primary, board.monitor)
    pools = Pools(primary, standby, settings.pool_size)
    tally = tally or RequestTally()
    write_queue = WriteQueue(
        limit=settings.write_queue,
        deadline=settings.write_deadline,
        at_once=pools.shares.writers_at_once,
    )
    updater = BoardUpdater(primary, board, stream, owns_process=owns_process)
    sessions = create_sessions(pools.writers)
    trail = AuditTrail(sessions, board.monitor)
    writability = Writability(sessions, board.monitor)
    metrics = Metrics(
        WorkerParts(board, tally, write_queue, stream, trail, writability, pools.queues),
        settings.figures_dir,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = {
            asyncio.create_task(one.run()) for one in (updater, stream, metrics, trail, writability)
        }
        if owns_process:
            running.add(asyncio.create_task(_describe_early(app, board)))
            stopping = _on_stop(service.drain)
            if parent_process() is not None:
                await _loaded(board, stopping)
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            with suppress(*OUTAGES):
                await trail.flush()
            await limits.close()
            await pools.dispose()

    app = create_app(settings, lifespan)
    app.state.settings = settings
    app.state.signing_key = (
        SigningKey.read(settings.checkpoint_key) if settings.checkpoint_key else None
    )
    app.state.cipher = settings.cipher
    app.state.metrics = metrics
    app.state.pools = pools
    app.state.writability = writability
    app.state.write_queue = write_queue
    _open_sessions(app, pools, board.monitor)
    app.state.limits = limits = RequestLimits.of(
        settings, lambda: _committing_at_once(pools.open_limits())
    )
    app.state.monitor = board.monitor
    app.state.board = board
    app.state.board_max_age = board.max_age
    app.state.updater = updater
    _set_policies(app, settings)
    service = BoardMiddleware(
        app,
        board,
        stream,
        app.state.origins,
        SecurityHeaders(settings.hsts_seconds),
        limits,
        tally=tally,
        logged=settings.log_requests,
        note=trail.note,
    )
    return service


def _open_sessions(app: FastAPI, pools: Pools, monitor: DatabaseMonitor) -> None:
    app.state.sessions = create_sessions(pools.readers)
    app.state.history = create_sessions(pools.history)
    app.state.history_turns = HistoryTurns(pools.shares.history)
    app.state.write_sessions = create_sessions(pools.writers)
    app.state.key_sessions = _committing_at_once(pools.writers)
    app.state.standby = None
    if pools.standby is not None:
        app.state.standby = Standby(create_sessions(pools.standby), monitor)


def _set_policies(app: FastAPI, settings: Settings) -> None:
    app.state.observation_limits = ObservationLimits.of(settings)
    app.state.quotas = Quotas.of(settings)
    app.state.reach = AddressPolicy(settings.webhook_networks)
    app.state.alert_offer = AlertOffer.of(settings)
    cipher = settings.cipher
    app.state.alerts = (
        AlertBook(cipher, settings.alerts_limit) if cipher and app.state.alert_offer else None
    )


def _committing_at_once(engine: AsyncEngine) -> Sessions:
    """Return sessions for one statement each: a transaction around it would cost two more trips."""
    return create_sessions(engine.execution_options(isolation_level="AUTOCOMMIT"))


def worker() -> ASGIApp:
    """Build the service in a process that a server runs: it ends with its parent, if it has one."""
    follow_parent()
    settings = Settings()
    configure_logs(settings.log_format, settings.log_level)
    service: ASGIApp
    tracing = start_tracing(settings)
    if tracing is None:
        service = create_service(settings, owns_process=True)
    else:
        service = tracing.requests(
            create_service(settings, owns_process=True, tally=tracing.tally())
        )
    if settings.forwarded_header == "forwarded":
        return ForwardedMiddleware(service, settings.trusted_proxies)
    return service


def _on_stop(drain: Callable[[], None]) -> Event:
    """Drain as soon as the server is to stop, and let it stop once that is done.

    Return what is set as soon as it is to stop.

    The server by itself would cut off every connection that is idle, at times a moment after the
    next request was sent on it.
    """
    loop = asyncio.get_running_loop()
    stopping, leaving = Event(), set[asyncio.Task[None]]()
    for number in (signal.SIGINT, signal.SIGTERM):
        servers = signal.getsignal(number)

        def stop(number: int, frame: FrameType | None, then: object = servers) -> None:
            server = getattr(then, "__self__", None)
            if isinstance(server, Server) and server.started and not stopping.is_set():
                drained = _drained(server, drain, partial(server.handle_exit, number, frame))
                loop.call_soon_threadsafe(lambda: leaving.add(loop.create_task(drained)))
            else:
                loop.call_soon_threadsafe(drain)
                if callable(then):
                    then(number, frame)
            stopping.set()

        signal.signal(number, stop)
        server = getattr(servers, "__self__", None)
        if isinstance(server, Server) and server.should_exit:
            stopping.set()  # It was told so before anybody could hear of it here.
    return stopping


async def _loaded(board: Board, stopping: Event) -> None:
    """Wait for the board: until then other workers answer, and the one that is replaced stays."""
    ends_at = monotonic() + LOAD_SECONDS
    while monotonic() < ends_at and not stopping.is_set():
        if await board.reached(0, within=LOAD_POLL_SECONDS):
            return


async def _drained(server: Server, drain: Callable[[], None], stop: Callable[[], object]) -> None:
    """Take no more connections, and stop when those there are have ended or had the time to."""
    drain()
    for listening in server.servers:
        listening.close()
    ends_at = monotonic() + DRAIN_SECONDS
    while server.server_state.connections and monotonic() < ends_at:  # noqa: ASYNC110 -- no event of ours
        await asyncio.sleep(0.02)
    stop()


def create_app(settings: Settings, lifespan: Lifespan[FastAPI]) -> FastAPI:
    """Build the application: the ordinary routes, and their documentation."""
    app = FastAPI(
        openapi_url=None,
        lifespan=lifespan,
        routes=_routes(),
        redirect_slashes=False,
    )
    app.state.origins = Origins(settings.public_url, settings.hosts)
    app.state.max_body_bytes = settings.max_body_bytes
    app.state.tiles = settings.tile_url, settings.tile_attribution
    problems.install(app, problem_response)
    app.state.page_cache = PageCache()
    app.add_middleware(problems.DrainGuard)
    app.state.documents = partial(_documents_once, app.state.origins.root)
    return app


def _routes() -> list[BaseRoute]:
    """Return the routes, in the order in which a request is compared with them.

    They are those of the routers themselves: FastAPI would analyse each included route once more.
    """
    routers = (*FEATURES, *pages, docs, security, metrics_router)
    return [route for router in routers for route in router.routes]


async def _describe_early(app: FastAPI, board: Board) -> None:
    """Build the OpenAPI document before anybody asks for it, which takes a second.

    It is built in a thread, so that requests are answered meanwhile; and only some time after the
    board is loaded, since there is much else to do at first.
    """
    if await board.reached(0, within=LOAD_SECONDS):
        await asyncio.sleep(DESCRIBE_SECONDS)
        await asyncio.to_thread(app.state.documents)


_describing = Lock()


@cache
def _documents(root: str) -> Documents:
    """Build the OpenAPI document, once for all applications of a process at one address."""
    return describe(_routes(), webhooks.routes, root=root)


def _documents_once(root: str) -> Documents:
    """Return the OpenAPI document; those who ask for it while it is built wait."""
    with _describing:
        return _documents(root)
