"""HTTP of liveness and readiness."""

from typing import Literal

from fastapi import Request, Response

from app.health.readiness import Ready, readiness
from app.http.bodies import Body
from app.http.problems import responses
from app.http.routing import feature_router

router = feature_router(prefix="/health", tag="health")


class Live(Body):
    """The process answers."""

    status: Literal["live"] = "live"


@router.get("/live", summary="Check that the process is alive", responses=responses())
async def live(response: Response) -> Live:
    """Tell that the process is alive. It does not ask the database."""
    response.headers["Cache-Control"] = "no-store"
    return Live()


@router.get("/ready", summary="Check that the service is ready", responses=responses())
async def ready(request: Request, response: Response) -> Ready:
    """Tell whether the service can answer; 503 while it cannot.

    Without its database it is ready, degraded, for as long as its board may be relied on.
    """
    response.headers["Cache-Control"] = "no-store"
    return readiness(request.app.state.board, request.app.state.updater)
