"""The queue of the writes of a process, which wait before they take a connection."""

from app.database.turns import Turns
from app.errors import Overloaded

WRITERS_AT_ONCE = 4
"""Writes of a process at a time: one has the lock of the log, others prepare or commit."""


class WriteQueue(Turns):
    """Admits a few writes at a time, and refuses those that could not be served in time."""

    def __init__(self, *, limit: int, deadline: float, at_once: int = WRITERS_AT_ONCE) -> None:
        message = "writes are waiting. Nothing was written; try again later."
        super().__init__(Overloaded, message, limit=limit, deadline=deadline, at_once=at_once)
