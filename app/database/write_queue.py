"""Writers of a process wait here for their turn, in order, before they take a connection."""

from app.database.turns import Turns
from app.errors import Overloaded

WRITERS_AT_ONCE = 4
"""Writes of a process that are under way at most: one holds the log, others prepare or commit."""


class WriteQueue(Turns):
    """Lets a few writers in at a time, and refuses those that could not be served in time."""

    def __init__(self, *, limit: int, deadline: float, at_once: int = WRITERS_AT_ONCE) -> None:
        told = "writes are waiting. Nothing was written; try again later."
        super().__init__(Overloaded, told, limit=limit, deadline=deadline, at_once=at_once)
