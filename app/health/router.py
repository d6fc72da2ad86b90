"""HTTP of liveness and readiness."""

import math
from typing import Literal

from fastapi import Request, Response
from pydantic import Field

from app.board.board import Board
from app.board.keeper import Keeper
from app.database import schema
from app.errors import Unavailable
from app.http.bodies import Body
from app.http.problems import RETRY_SECONDS, responses
from app.http.routing import feature_router

router = feature_router(prefix="/health", tag="health")


class Live(Body):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(Body):
    """The service answers about the present; while degraded, about nothing else."""

    status: Literal["ready", "degraded"] = Field(
        description="`degraded`: the database does not answer. The present is told from"
        " memory, with its age; history and writes are a 503."
    )
    change: int = Field(description="The newest change that the board reflects.")
    knowledge_age: int = Field(description="Seconds since the database was last heard.")
    schema_revision: str | None


@router.get("/live", summary="Is it alive?", responses=responses())
async def live(response: Response) -> Live:
    """Tell that the process is alive. It does not ask the database."""
    response.headers["Cache-Control"] = "no-store"
    return Live()


@router.get("/ready", summary="Is it ready?", responses=responses())
async def ready(request: Request, response: Response) -> Ready:
    """Tell whether the service can answer; 503 while it cannot.

    Without its database it is ready, degraded, for as long as its board may be relied on.
    """
    response.headers["Cache-Control"] = "no-store"
    board: Board = request.app.state.board
    keeper: Keeper = request.app.state.keeper
    revision = keeper.schema_revision
    later = {"Retry-After": RETRY_SECONDS}
    if revision is not None and revision != schema.head():
        raise Unavailable(
            f"The schema is at {revision}, this code needs {schema.head()}.", headers=later
        )
    if not board.is_loaded:
        raise Unavailable("The board is not loaded yet.", headers=later)
    if board.age >= board.max_age:
        raise Unavailable(
            f"The database was last heard {math.floor(board.age)} seconds ago.", headers=later
        )
    return Ready(
        status="degraded" if board.watch.is_lost else "ready",
        change=board.change,
        knowledge_age=max(0, math.floor(board.age)),
        schema_revision=revision,
    )
