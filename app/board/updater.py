"""Keep the board up to date: follow commits, catch up after gaps, notice a lost database.

One task listens: it is notified of each commit, asks for the newest change twice a second, and so
notices within two seconds that the database does not answer. The other loads by change number
what the board lacks, so that it does not matter which notifications were lost.

Both run in a thread of their own, where nothing they wait for has to wait for the readers. The
board and its monitor belong to the readers' thread: they change only there, between two answers.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

import psycopg
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.board.board import Board
from app.board.views import BoardEntry, Moment, PresentData
from app.changes.models import Change
from app.changes.service import Snapshot, recorded_at, take_snapshot
from app.changes.stream.stream import Stream
from app.database.connections import Connector
from app.database.driver import fetch
from app.database.monitor import (
    OUTAGES,
    RECONNECT_SECONDS,
    answer_within,
    monotonic_seconds,
    reason,
)
from app.database.sessions import OPTIONS, create_engine, create_sessions, read_only_session
from app.http.parameters import AsOf
from app.notices.reading import last_noticed
from app.observations.reading import (
    BEFORE_ALL,
    OBSERVATION_CHANNEL,
    latest_since,
    latest_waits,
    newest_recorded,
)
from app.observations.waits import NO_WAITS
from app.places.details import crossing_details
from app.places.models import Crossing
from app.status.histories import CrossingHistory, load_histories
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import ChangeKind

COMPARE_SECONDS = 0.5
ANSWER_SECONDS = 1.0
"""After so long without an answer the database counts as lost."""

_WARMED_AT_ONCE = 20
_CROSSINGS_PER_PART = 500

_NEWEST_CHANGE = """
    SELECT coalesce(newest.number, 0), newest.hash, extract(epoch FROM clock_timestamp())::float8,
           (SELECT version_num FROM alembic_version),
           (SELECT max(recorded_at) FROM latest_observation)
    FROM (SELECT) one LEFT JOIN LATERAL
         (SELECT number, hash FROM change ORDER BY number DESC LIMIT 1) newest ON true
"""
_SINCE = """
    SELECT number, hash, kind, recorded_at, subjects -> 'crossings', clock_timestamp()
    FROM change WHERE number >= %(change)s ORDER BY number
"""

_log = logging.getLogger(__name__)


class _CommittedRow(NamedTuple):
    number: int
    hash: bytes
    kind: str
    recorded_at: datetime
    crossings: list[str] | None
    now: datetime


@dataclass(frozen=True, slots=True)
class CommittedChanges:
    """What is committed beyond a board."""

    change: int
    hash: bytes
    now: datetime
    touched: Mapping[str, tuple[int, datetime]]
    """The last change of each crossing that is touched, and when it was recorded."""
    revised: AbstractSet[str]
    """Those of them that have new details."""


class BoardUpdater:
    """Follows one database for one board, and tells the stream of what it hears."""

    def __init__(
        self, connector: Connector, board: Board, stream: Stream, *, owns_process: bool = False
    ) -> None:
        self.schema_revision: str | None = None
        """Of the database, when it last answered."""
        self._owns_process = owns_process
        self._board = board
        self._stream = stream
        self._monitor = board.monitor
        self._connect = partial(connector, seconds=ANSWER_SECONDS)
        self._engine = create_engine(connector, pool_size=2, pre_ping=False)
        self._sessions = create_sessions(self._engine)
        self._behind = asyncio.Event()
        self._newest_notified = 0
        """The newest change that a notification named."""
        self._observations_notified = 0
        """How many times new observations were noticed."""
        self._observations_loaded = 0
        """The same count when they were last loaded."""

    async def run(self) -> None:
        """Keep the board true until cancelled."""
        self._home = asyncio.get_running_loop()
        loop = asyncio.new_event_loop()
        keeping = loop.create_task(self._keep())
        thread = asyncio.create_task(asyncio.to_thread(loop.run_until_complete, keeping))
        try:
            await asyncio.shield(thread)
        finally:
            loop.call_soon_threadsafe(keeping.cancel)
            await asyncio.wait({thread})
            loop.close()

    async def _keep(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._catch_up())
        finally:
            await self._engine.dispose()

    async def _at_home(self, act: Callable[[], None]) -> None:
        """Let the readers' thread do it, and wait until it has."""
        done = asyncio.Event()
        here = asyncio.get_running_loop()
        self._home.call_soon_threadsafe(act)
        self._home.call_soon_threadsafe(here.call_soon_threadsafe, done.set)
        await done.wait()

    async def _listen(self) -> None:
        while True:
            heard_at = self._monitor.heard_at
            try:
                connection = await self._connect(options=OPTIONS, autocommit=True)
                try:
                    await self._follow(connection)
                finally:
                    await connection.close()
            except OUTAGES as error:
                # A connection that was cut is no loss as long as there is a next one.
                if isinstance(error, TimeoutError) or self._monitor.heard_at == heard_at:
                    await self._lose(error)
                    await asyncio.sleep(RECONNECT_SECONDS)

    async def _lose(self, error: Exception) -> None:
        if not self._monitor.is_lost:
            _log.warning("Lost contact with the database: %s", reason(error))
        await self._at_home(self._monitor.lost)

    async def _follow(self, connection: psycopg.AsyncConnection) -> None:
        """Hear of every commit, and that there was none."""
        await answer_within(ANSWER_SECONDS, connection.execute("LISTEN change"))
        await answer_within(ANSWER_SECONDS, connection.execute("LISTEN observation"))
        while True:
            asked_at = monotonic_seconds()
            cursor = await answer_within(ANSWER_SECONDS, connection.execute(_NEWEST_CHANGE))
            row = await cursor.fetchone() or ()
            change, change_hash, clock, self.schema_revision, observed = row
            heard = partial(
                self._monitor.heard, change, change_hash or b"", clock, asked_at=asked_at
            )
            await self._at_home(heard)
            if (change, self._monitor.hash) == (self._board.change, self._board.hash):
                await self._at_home(partial(self._board.confirm, asked_at))
            else:
                self._behind.set()
            if (observed or BEFORE_ALL) != self._board.observed_until:
                self._hear_of_observations()
            await self._at_home(partial(self._stream.compare, change, self._monitor.hash))
            async for notification in connection.notifies(timeout=COMPARE_SECONDS):
                if notification.channel == OBSERVATION_CHANNEL:
                    self._hear_of_observations()
                    continue
                self._newest_notified = max(self._newest_notified, int(notification.payload))
                self._behind.set()
                self._home.call_soon_threadsafe(self._stream.hear)

    def _hear_of_observations(self) -> None:
        self._observations_notified += 1
        self._behind.set()

    async def _catch_up(self) -> None:
        """Load whenever the board is behind."""
        while True:
            await self._behind.wait()
            self._behind.clear()
            try:
                async with self._monitor.deadline(limited=False):
                    with _collecting_nothing():
                        if not self._is_level():
                            await self._load()
                        if self._observations_loaded < self._observations_notified:
                            await self._load_waits()
            except OUTAGES as error:
                _log.warning("The board could not be brought up to date: %s", reason(error))
                await asyncio.sleep(RECONNECT_SECONDS)
                self._behind.set()
            except Exception:  # noqa: BLE001  # logged, and nothing else would tell of it
                # Better no board than one that stands still.
                _log.exception("The board could not be built")
                await self._at_home(self._board.forget)
                await asyncio.sleep(RECONNECT_SECONDS)

    def _is_level(self) -> bool:
        """Return whether the board has every change noticed; a load may have been ahead of them."""
        board, watch = self._board, self._monitor
        return board.change >= self._newest_notified and (
            watch.heard_at <= board.as_of
            or (watch.change, watch.hash) == (board.change, board.hash)
        )

    async def _load(self) -> None:
        """Bring the board up to date: load what was committed since, or everything."""
        if not (self._board.is_loaded and await self._load_committed()):
            await self._load_all()

    async def _load_all(self) -> None:
        asked_at = monotonic_seconds()
        async with read_only_session(self._sessions) as session:
            snapshot = await take_snapshot(session, AsOf())
            change_hash = await _hash_of(session, snapshot.change)
            observed_until = await newest_recorded(session)
            presents = await self._load_crossings(session, snapshot)
        entries = {name: BoardEntry(present) for name, present in presents.items()}
        take = partial(
            self._board.take, entries, as_of=asked_at, whole=True, observed_until=observed_until
        )
        await self._at_home(partial(take, change=snapshot.change, change_hash=change_hash))
        self._newest_notified = snapshot.change  # it may count less than another history did
        if self._owns_process:
            # All of it is there to stay: to look it through for garbage would halt readers.
            gc.freeze()
        await _warm(entries, Moment(snapshot.now))

    async def _load_waits(self) -> None:
        """Load what was observed since the board's newest observation was recorded."""
        notified = self._observations_notified
        async with self._sessions() as session:
            _ = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            # A standby that took over may lack what the board has.
            is_known = await newest_recorded(session) >= self._board.observed_until
            waits, observed_until = await latest_since(session, self._board.observed_until)
        if is_known:
            take = partial(self._board.take_waits, waits, observed_until=observed_until)
            await self._at_home(take)
        else:
            await self._load_all()
        self._observations_loaded = notified

    async def _load_committed(self) -> bool:
        """Load what was committed since; False if the board is of another history."""
        asked_at = monotonic_seconds()
        # Without a transaction, which would take more trips: all is read as known at a change.
        async with self._sessions() as session:
            _ = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            committed = await _committed_since(session, self._board)
            if committed is None:
                return False
            presents = await self._touched(session, committed)
        entries = {name: BoardEntry(present) for name, present in presents.items()}
        await _warm(entries, Moment(committed.now))

        def take() -> None:
            self._board.take(
                entries,
                change=committed.change,
                change_hash=committed.hash,
                as_of=asked_at,
                whole=False,
            )
            # Otherwise a standby could answer from less than readers have already seen.
            if self._monitor.change <= committed.change:
                clock = committed.now.timestamp()
                self._monitor.heard(committed.change, committed.hash, clock, asked_at=asked_at)

        await self._at_home(take)
        return True

    async def _load_crossings(
        self, session: AsyncSession, snapshot: Snapshot
    ) -> dict[str, PresentData]:
        """Load every crossing, on two connections: while one waits, the other's are worked out."""
        names = list(await session.scalars(select(Crossing.id).order_by(Crossing.id)))
        parts = (
            names[start : start + _CROSSINGS_PER_PART]
            for start in range(0, len(names), _CROSSINGS_PER_PART)
        )
        exported = await session.scalar(select(func.pg_export_snapshot()))

        async def load(session: AsyncSession) -> dict[str, PresentData]:
            found: dict[str, PresentData] = {}
            for part in parts:
                found |= await _presents(session, part, snapshot)
            return found

        async with read_only_session(self._sessions) as second:
            await second.execute(text(f"SET TRANSACTION SNAPSHOT '{exported}'"))
            other = asyncio.create_task(load(second))
            try:
                return await load(session) | await other
            finally:
                other.cancel()
                await asyncio.wait({other})

    async def _touched(
        self, session: AsyncSession, committed: CommittedChanges
    ) -> dict[str, PresentData]:
        """Load the crossings that changes touched; their details only where they were revised."""
        snapshot = Snapshot(committed.change, committed.now)
        old = {
            name: self._board.entry(name) for name in committed.touched.keys() - committed.revised
        }
        known_already = [name for name, entry in old.items() if entry is not None]
        found: dict[str, PresentData] = {}
        for name, history in (await _histories(session, known_already, snapshot)).items():
            entry = old[name]
            assert entry is not None
            present = entry.present
            found[name] = PresentData(
                history, present.record_json, *committed.touched[name], present.waits
            )
        others = sorted(committed.touched.keys() - found.keys())
        return found | (await _presents(session, others, snapshot) if others else {})


async def _presents(
    session: AsyncSession, names: Sequence[str], snapshot: Snapshot
) -> dict[str, PresentData]:
    """Load all that answers about these crossings are made of."""
    histories = await _histories(session, names, snapshot)
    records = await crossing_details(session, [history.details for history in histories.values()])
    noticed = await last_noticed(session, names, snapshot.change)
    waits = await latest_waits(session, names)
    changes = {name: history.last_change(noticed.get(name)) for name, history in histories.items()}
    recorded = await recorded_at(
        session, [change for change in changes.values() if change is not None]
    )
    return {
        name: PresentData(
            history,
            records[name].model_dump_json(by_alias=True).encode(),
            changes[name],
            recorded.get(changes[name] or 0),
            waits.get(name, NO_WAITS),
        )
        for name, history in histories.items()
    }


async def _histories(
    session: AsyncSession, names: Sequence[str], snapshot: Snapshot
) -> dict[str, CrossingHistory]:
    def reaching(history: CrossingHistory) -> CrossingHistory:
        if not history.is_compacted:
            resolved = ResolvedHistory(history.history)
            _ = resolved.present(snapshot.now), resolved.last_change(snapshot.now)
        return history

    return await load_histories(session, names, snapshot, reaching)


async def _committed_since(session: AsyncSession, board: Board) -> CommittedChanges | None:
    """Return what is committed beyond the board; None where its newest change is not in the log.

    Then a standby has taken over that did not have that change yet; or the log is empty.
    """
    rows = await fetch(session, _CommittedRow, _SINCE, {"change": board.change})
    if not rows or (board.change > 0 and tuple(rows[0][:2]) != (board.change, board.hash)):
        return None
    touched: dict[str, tuple[int, datetime]] = {}
    revised: set[str] = set()
    change, change_hash, now = board.change, board.hash, rows[0][-1]
    for change, change_hash, kind, instant, names, now in rows:  # noqa: B007
        if change == board.change or kind == ChangeKind.EFFECTIVE.value:
            # What comes due is on the board by itself, and is no record about a crossing.
            continue
        touched |= dict.fromkeys(names or (), (change, instant))
        if kind == ChangeKind.CROSSING.value:
            revised.update(names or ())
    return CommittedChanges(change, change_hash, now, touched, revised)


async def _hash_of(session: AsyncSession, change: int) -> bytes:
    """Return the hash of a change; empty before the first."""
    return await session.scalar(select(Change.hash).where(Change.number == change)) or b""


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Put the garbage collector off: while a board grows, it would look it through in vain."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _warm(entries: Mapping[str, BoardEntry], moment: Moment) -> None:
    """Work answers out before they are asked for, a few at a time: others go on meanwhile."""
    for position, entry in enumerate(entries.values()):
        entry.view(moment)
        if position % _WARMED_AT_ONCE == 0:
            await asyncio.sleep(0)
