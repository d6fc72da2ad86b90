"""The connections of a process to its database, shared out so that none waits for all others.

What feeds the board and the stream has connections of its own besides these.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from app.database.connections import Connector
from app.database.sessions import create_engine
from app.database.write_queue import WRITERS_AT_ONCE

_BESIDE_WRITERS = 2
"""Connections to look keys up, and to write down who tried what."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many connections each has."""

    readers: int
    history: int
    writers: int

    @classmethod
    def of(cls, connections: int) -> "Shares":
        """Share connections out: of 20, ten, four and six."""
        writers = max(1, min(WRITERS_AT_ONCE + _BESIDE_WRITERS, connections * 3 // 10))
        history = max(1, connections // 5)
        return cls(max(1, connections - writers - history), history, writers)

    @property
    def writers_at_once(self) -> int:
        return max(1, min(WRITERS_AT_ONCE, self.writers - _BESIDE_WRITERS))


class Pools:
    """The pools of a process: for the present, for history, for writers, and on a standby."""

    def __init__(self, primary: Connector, standby: Connector | None, connections: int) -> None:
        self.shares = shares = Shares.of(connections)
        self.readers = create_engine(primary, pool_size=shares.readers)
        self.history = create_engine(primary, pool_size=shares.history)
        self.writers = create_engine(primary, pool_size=shares.writers)
        self._primary = primary
        self._limits: AsyncEngine | None = None
        self.standby: AsyncEngine | None = None
        if standby is not None:
            self.standby = create_engine(standby, pool_size=shares.history)

    def open_limits(self) -> AsyncEngine:
        """Return a pool of two connections: what counts requests may not wait behind them."""
        self._limits = create_engine(self._primary, pool_size=2)
        return self._limits

    @property
    def engines(self) -> Mapping[str, AsyncEngine]:
        found = {"readers": self.readers, "history": self.history, "writers": self.writers}
        others = {"limits": self._limits, "standby": self.standby}
        return found | {name: engine for name, engine in others.items() if engine is not None}

    @property
    def queues(self) -> Mapping[str, QueuePool]:
        """Return the connections of each, to be counted."""
        return {
            name: engine.pool
            for name, engine in self.engines.items()
            if isinstance(engine.pool, QueuePool)
        }

    async def dispose(self) -> None:
        """Close all connections."""
        for engine in self.engines.values():
            await engine.dispose()
