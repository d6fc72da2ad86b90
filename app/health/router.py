"""HTTP of liveness and readiness."""

from typing import Literal

from app.database import schema
from app.database.sessions import Session
from app.errors import Unavailable
from app.http.bodies import Body
from app.http.problems import responses
from app.http.routing import feature_router

router = feature_router(prefix="/health", tag="health")


class Live(Body):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(Body):
    """The database answers and has the schema that this code needs."""

    status: Literal["ready"] = "ready"
    schema_revision: str


@router.get("/live", summary="Is it alive?", responses=responses())
async def live() -> Live:
    """Tell that the process is alive. It does not ask the database."""
    return Live()


@router.get("/ready", summary="Is it ready?", responses=responses())
async def ready(session: Session) -> Ready:
    """Tell whether the service can answer; 503 while it cannot."""
    connection = await session.connection()
    revision = await connection.run_sync(schema.current)
    if revision != schema.head():
        raise Unavailable(f"The schema is at {revision}, this code needs {schema.head()}.")
    return Ready(schema_revision=revision)
