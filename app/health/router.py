"""HTTP of liveness, readiness and metrics."""

from ipaddress import ip_address
from typing import Literal

from fastapi import Request, Response

from app.config import Settings
from app.database.monitor import DatabaseMonitor
from app.database.sessions import Sessions, read_only_session
from app.errors import NotFound
from app.health.metrics import TEXT, Metrics, read_disk, read_feeds, read_log
from app.health.readiness import Ready, readiness
from app.http.bodies import Body
from app.http.problems import responses, unless_out
from app.http.routing import feature_router, hidden_router

router = feature_router(prefix="/health", tag="health")
metrics = hidden_router()


class Live(Body, title="Liveness"):
    """The process answers."""

    status: Literal["live"] = "live"


@router.get("/live", summary="Check that the process is alive", responses=responses())
async def live(response: Response) -> Live:
    """Return that the process is alive, without asking the database."""
    response.headers["Cache-Control"] = "no-store"
    return Live()


@router.get("/ready", summary="Check that the service is ready", responses=responses())
async def ready(request: Request, response: Response) -> Ready:
    """Return whether the service can answer; 503 while it cannot."""
    response.headers["Cache-Control"] = "no-store"
    state = request.app.state
    return readiness(state.board, state.updater, state.writability)


@metrics.get("/metrics", include_in_schema=False)
async def read_metrics(request: Request) -> Response:
    """Return the figures of the service, to clients of the networks that may read them."""
    state = request.app.state
    settings: Settings = state.settings
    address = None if request.client is None else ip_address(request.client.host)
    if not any(address in network for network in settings.metrics_networks):
        raise NotFound(f"There is nothing at {request.url.path}.")
    figures: Metrics = state.metrics
    sessions: Sessions = state.sessions
    await unless_out(_read_database(sessions, state.monitor))
    read_disk(settings.data_dir)
    return Response(figures.written(), media_type=TEXT)


async def _read_database(sessions: Sessions, monitor: DatabaseMonitor) -> None:
    async with monitor.deadline(), read_only_session(sessions) as session:
        await read_log(session)
        await read_feeds(session)
