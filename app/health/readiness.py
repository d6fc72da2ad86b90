"""Whether the service can answer, and how well."""

import math
from typing import Literal

from pydantic import Field

from app import schema
from app.board.board import Board
from app.board.updater import BoardUpdater
from app.database.writability import Writability
from app.errors import Unavailable
from app.http.bodies import Body
from app.http.problems import RETRY_AFTER


class Ready(Body, title="Readiness"):
    """The service answers about the present; while degraded, about nothing else."""

    status: Literal["ready", "degraded"] = Field(
        description="`degraded`: the database does not answer, or is read-only. The present is"
        " told from memory, with its age; what needs the database is a 503."
    )
    reason: str | None = Field(description="Why it is degraded.")
    change: int = Field(description="The newest change that the board reflects.")
    knowledge_age: int = Field(description="Seconds since the last contact with the database.")
    schema_revision: str | None


def readiness(board: Board, updater: BoardUpdater, writability: Writability) -> Ready:
    """Return how well the service answers. Raises Unavailable while it cannot."""
    revision = updater.schema_revision
    later = {"Retry-After": RETRY_AFTER}
    if revision is not None and not schema.is_usable(revision, updater.served_code):
        raise Unavailable(
            f"The schema is at {revision}, this code needs {schema.head()}.", headers=later
        )
    if not board.is_loaded:
        raise Unavailable("The board is still being loaded.", headers=later)
    if board.age >= board.max_age:
        raise Unavailable(
            f"The last contact with the database was {math.floor(board.age)} seconds ago.",
            headers=later,
        )
    why = None
    if board.monitor.is_lost:
        why = "The database does not answer."
    elif writability.fault is not None:
        why = f"The database does not accept writes: {writability.fault}."
    return Ready(
        status="degraded" if why else "ready",
        reason=why,
        change=board.change,
        knowledge_age=max(0, math.floor(board.age)),
        schema_revision=revision,
    )
