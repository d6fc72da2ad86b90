"""Keep the board up to date: follow commits, catch up after gaps, notice a lost database.

One task listens. It is notified of each commit, and queries the newest change twice a second, so
that it notices within two seconds that the database does not answer. The other task loads what the
board lacks by change number, so that lost notifications do not matter.

Both run in a thread of their own, so that they need not wait for requests. The board and its
monitor belong to the thread that serves requests, and change only there, between two responses.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
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
from app.garbage import collection_paused
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
from app.status.confirming import confirmed_since, newest_confirming
from app.status.histories import CrossingHistory, load_histories
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import ChangeKind

COMPARE_SECONDS = 0.5
ANSWER_SECONDS = 1.0
"""How long the database may take to answer before it counts as lost."""

_VIEWS_BETWEEN_YIELDS = 20
_CROSSINGS_PER_READ = 500

_NEWEST_CHANGE = """
    SELECT coalesce(newest.number, 0), newest.hash, extract(epoch FROM clock_timestamp())::float8,
           (SELECT version_num FROM alembic_version),
           obj_description('alembic_version'::regclass, 'pg_class'),
           (SELECT max(recorded_at) FROM latest_observation),
           (SELECT max(recorded_at) FROM confirming_observation)
    FROM (SELECT) single_row LEFT JOIN LATERAL
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
    """The changes that a board does not reflect yet."""

    change: int
    hash: bytes
    now: datetime
    touched: Mapping[str, tuple[int, datetime]]
    """The last change of each crossing concerned, and when it was recorded."""
    revised: AbstractSet[str]
    """The crossings with new details."""


class BoardUpdater:
    """Follows a database for a board, and notifies the stream."""

    def __init__(
        self, connector: Connector, board: Board, stream: Stream, *, owns_process: bool = False
    ) -> None:
        self.schema_revision: str | None = None
        """The revision of the schema when the database last answered."""
        self.served_code: str | None = None
        """Which code can use that schema, as `schema.is_usable` reads it."""
        self._owns_process = owns_process
        self._board = board
        self._stream = stream
        self._monitor = board.monitor
        self._connect = partial(connector, seconds=ANSWER_SECONDS)
        self._engine = create_engine(connector, pool_size=2, pre_ping=False)
        self._sessions = create_sessions(self._engine)
        self._behind = asyncio.Event()
        self._newest_notified = 0
        """The newest change in a notification."""
        self._observations_notified = 0
        """How many times new observations were noticed."""
        self._observations_loaded = 0
        """The same count when they were last loaded."""

    async def run(self) -> None:
        """Keep the board up to date until cancelled."""
        self._reader_loop = asyncio.get_running_loop()
        loop = asyncio.new_event_loop()
        updating = loop.create_task(self._update())
        thread = asyncio.create_task(asyncio.to_thread(loop.run_until_complete, updating))
        try:
            await asyncio.shield(thread)
        finally:
            loop.call_soon_threadsafe(updating.cancel)
            await asyncio.wait({thread})
            loop.close()

    async def _update(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._catch_up())
        finally:
            await self._engine.dispose()

    async def _in_reader_thread(self, function: Callable[[], None]) -> None:
        """Call a function in the thread that serves requests, and wait until it is done."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._reader_loop.call_soon_threadsafe(function)
        self._reader_loop.call_soon_threadsafe(loop.call_soon_threadsafe, done.set)
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
                # A lost connection does not matter if the next one succeeds.
                if isinstance(error, TimeoutError) or self._monitor.heard_at == heard_at:
                    await self._on_loss(error)
                    await asyncio.sleep(RECONNECT_SECONDS)

    async def _on_loss(self, error: Exception) -> None:
        if not self._monitor.is_lost:
            _log.warning("Lost contact with the database: %s", reason(error))
        await self._in_reader_thread(self._monitor.lost)

    async def _follow(self, connection: psycopg.AsyncConnection) -> None:
        """Learn of every commit, and regularly that there was none."""
        await answer_within(ANSWER_SECONDS, connection.execute("LISTEN change"))
        await answer_within(ANSWER_SECONDS, connection.execute("LISTEN observation"))
        while True:
            sent_at = monotonic_seconds()
            cursor = await answer_within(ANSWER_SECONDS, connection.execute(_NEWEST_CHANGE))
            row = await cursor.fetchone() or ()
            change, change_hash, clock, revision, served_code, observed, confirmed = row
            self.schema_revision, self.served_code = revision, served_code
            note_contact = partial(
                self._monitor.heard, change, change_hash or b"", clock, asked_at=sent_at
            )
            await self._in_reader_thread(note_contact)
            if (change, self._monitor.hash) == (self._board.change, self._board.hash):
                await self._in_reader_thread(partial(self._board.confirm, sent_at))
            else:
                self._behind.set()
            if (observed or BEFORE_ALL, confirmed or BEFORE_ALL) != (
                self._board.observed_until,
                self._board.confirmed_until,
            ):
                self._on_observations()
            await self._in_reader_thread(partial(self._stream.compare, change, self._monitor.hash))
            async for notification in connection.notifies(timeout=COMPARE_SECONDS):
                if notification.channel == OBSERVATION_CHANNEL:
                    self._on_observations()
                    continue
                self._newest_notified = max(self._newest_notified, int(notification.payload))
                self._behind.set()
                self._reader_loop.call_soon_threadsafe(self._stream.hear)

    def _on_observations(self) -> None:
        self._observations_notified += 1
        self._behind.set()

    async def _catch_up(self) -> None:
        """Load what is missing whenever the board is behind."""
        while True:
            await self._behind.wait()
            self._behind.clear()
            try:
                async with self._monitor.deadline(limited=False):
                    with collection_paused():
                        if not self._is_current():
                            await self._load()
                        if self._observations_loaded < self._observations_notified:
                            await self._load_waits()
            except OUTAGES as error:
                _log.warning("The board could not be brought up to date: %s", reason(error))
                await asyncio.sleep(RECONNECT_SECONDS)
                self._behind.set()
            except Exception:  # noqa: BLE001  # logged here, since nothing else would report it
                # Better no board than one that is no longer updated.
                _log.exception("The board could not be built")
                await self._in_reader_thread(self._board.clear)
                await asyncio.sleep(RECONNECT_SECONDS)

    def _is_current(self) -> bool:
        """Return whether the board has every change noticed, perhaps from an earlier load."""
        board, monitor = self._board, self._monitor
        return board.change >= self._newest_notified and (
            monitor.heard_at <= board.as_of
            or (monitor.change, monitor.hash) == (board.change, board.hash)
        )

    async def _load(self) -> None:
        """Load the changes that were committed since, or everything."""
        if not (self._board.is_loaded and await self._load_committed()):
            await self._load_all()

    async def _load_all(self) -> None:
        started_at = monotonic_seconds()
        async with read_only_session(self._sessions) as session:
            snapshot = await take_snapshot(session, AsOf())
            change_hash = await _hash_of(session, snapshot.change)
            observed_until = await newest_recorded(session)
            confirmed_until = await newest_confirming(session)
            presents = await self._load_crossings(session, snapshot)
        entries = {crossing_id: BoardEntry(present) for crossing_id, present in presents.items()}
        update = partial(
            self._board.update,
            entries,
            as_of=started_at,
            whole=True,
            observed_until=observed_until,
            confirmed_until=confirmed_until,
        )
        await self._in_reader_thread(
            partial(update, change=snapshot.change, change_hash=change_hash)
        )
        self._newest_notified = snapshot.change  # may be lower than before, after a failover
        if self._owns_process:
            # The board stays in memory; collecting garbage in it would block requests.
            gc.freeze()
        await _precompute(entries, Moment(snapshot.now))

    async def _load_waits(self) -> None:
        """Load the observations that were recorded after the board's newest one."""
        notified = self._observations_notified
        async with self._sessions() as session:
            _ = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            # After a failover, the database may lack observations that the board has.
            is_known = (
                await newest_recorded(session) >= self._board.observed_until
                and await newest_confirming(session) >= self._board.confirmed_until
            )
            waits, observed_until = await latest_since(session, self._board.observed_until)
            crossing_ids, confirmed_until = await confirmed_since(
                session, self._board.confirmed_until
            )
            histories = await self._confirmed(session, crossing_ids)
        if is_known:
            update = partial(self._board.update_waits, waits, observed_until=observed_until)
            await self._in_reader_thread(update)
            if crossing_ids:
                update = partial(
                    self._board.update_confirmed, histories, confirmed_until=confirmed_until
                )
                await self._in_reader_thread(update)
        else:
            await self._load_all()
        self._observations_loaded = notified

    async def _confirmed(
        self, session: AsyncSession, crossing_ids: Sequence[str]
    ) -> Mapping[str, CrossingHistory]:
        """Load the histories of those crossings that are on the board, as known at its change."""
        on_board = [id_ for id_ in crossing_ids if self._board.entry(id_) is not None]
        if not on_board:
            return {}
        now = (await take_snapshot(session, AsOf())).now
        return await _load_histories_of(session, on_board, Snapshot(self._board.change, now))

    async def _load_committed(self) -> bool:
        """Load the changes committed since. Return False if the board has another history."""
        started_at = monotonic_seconds()
        # No transaction, which would need more round trips: all reads are as known at a change.
        async with self._sessions() as session:
            _ = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            committed = await _committed_since(session, self._board)
            if committed is None:
                return False
            presents = await self._load_touched(session, committed)
        entries = {crossing_id: BoardEntry(present) for crossing_id, present in presents.items()}
        await _precompute(entries, Moment(committed.now))

        def update() -> None:
            self._board.update(
                entries,
                change=committed.change,
                change_hash=committed.hash,
                as_of=started_at,
                whole=False,
            )
            # Otherwise a standby that lacks changes which clients have seen could answer.
            if self._monitor.change <= committed.change:
                clock = committed.now.timestamp()
                self._monitor.heard(committed.change, committed.hash, clock, asked_at=started_at)

        await self._in_reader_thread(update)
        return True

    async def _load_crossings(
        self, session: AsyncSession, snapshot: Snapshot
    ) -> dict[str, PresentData]:
        """Load all crossings on two connections, so that one waits while the other computes."""
        ids = list(await session.scalars(select(Crossing.id).order_by(Crossing.id)))
        batches = (
            ids[start : start + _CROSSINGS_PER_READ]
            for start in range(0, len(ids), _CROSSINGS_PER_READ)
        )
        snapshot_id = await session.scalar(select(func.pg_export_snapshot()))

        async def load(session: AsyncSession) -> dict[str, PresentData]:
            presents: dict[str, PresentData] = {}
            for batch in batches:
                presents |= await _load_presents(session, batch, snapshot)
            return presents

        async with read_only_session(self._sessions) as second:
            await second.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot_id}'"))
            other = asyncio.create_task(load(second))
            try:
                return await load(session) | await other
            finally:
                other.cancel()
                await asyncio.wait({other})

    async def _load_touched(
        self, session: AsyncSession, committed: CommittedChanges
    ) -> dict[str, PresentData]:
        """Load the crossings that changes concern, and the details only of revised ones."""
        snapshot = Snapshot(committed.change, committed.now)
        entries = {
            crossing_id: self._board.entry(crossing_id)
            for crossing_id in committed.touched.keys() - committed.revised
        }
        loaded_ids = [crossing_id for crossing_id, entry in entries.items() if entry is not None]
        presents: dict[str, PresentData] = {}
        for crossing_id, history in (
            await _load_histories_of(session, loaded_ids, snapshot)
        ).items():
            entry = entries[crossing_id]
            assert entry is not None
            present = entry.present
            presents[crossing_id] = PresentData(
                history, present.record_json, *committed.touched[crossing_id], present.waits
            )
        others = sorted(committed.touched.keys() - presents.keys())
        return presents | (await _load_presents(session, others, snapshot) if others else {})


async def _load_presents(
    session: AsyncSession, ids: Sequence[str], snapshot: Snapshot
) -> dict[str, PresentData]:
    """Load the data from which the answers about some crossings are computed."""
    histories = await _load_histories_of(session, ids, snapshot)
    records = await crossing_details(session, [history.details for history in histories.values()])
    noticed = await last_noticed(session, ids, snapshot.change)
    waits = await latest_waits(session, ids)
    changes = {
        crossing_id: history.last_change(noticed.get(crossing_id))
        for crossing_id, history in histories.items()
    }
    recorded = await recorded_at(
        session, [change for change in changes.values() if change is not None]
    )
    return {
        crossing_id: PresentData(
            history,
            records[crossing_id].model_dump_json(by_alias=True).encode(),
            changes[crossing_id],
            recorded.get(changes[crossing_id] or 0),
            waits.get(crossing_id, NO_WAITS),
        )
        for crossing_id, history in histories.items()
    }


async def _load_histories_of(
    session: AsyncSession, ids: Sequence[str], snapshot: Snapshot
) -> dict[str, CrossingHistory]:
    def resolve(history: CrossingHistory) -> CrossingHistory:
        if not history.is_compacted:
            resolved = ResolvedHistory(history.history)
            _ = resolved.present(snapshot.now), resolved.last_change(snapshot.now)
        return history

    return await load_histories(session, ids, snapshot, resolve)


async def _committed_since(session: AsyncSession, board: Board) -> CommittedChanges | None:
    """Return the changes after that of the board; None if the log does not have that change.

    In that case a standby without that change has taken over, or the log is empty.
    """
    rows = await fetch(session, _CommittedRow, _SINCE, {"change": board.change})
    if not rows or (board.change > 0 and tuple(rows[0][:2]) != (board.change, board.hash)):
        return None
    touched: dict[str, tuple[int, datetime]] = {}
    revised: set[str] = set()
    change, change_hash, now = board.change, board.hash, rows[0][-1]
    for change, change_hash, kind, instant, ids, now in rows:  # noqa: B007
        if change == board.change or kind == ChangeKind.EFFECTIVE.value:
            # The board resolves what comes due by itself, and no record belongs to it.
            continue
        touched |= dict.fromkeys(ids or (), (change, instant))
        if kind == ChangeKind.CROSSING.value:
            revised.update(ids or ())
    return CommittedChanges(change, change_hash, now, touched, revised)


async def _hash_of(session: AsyncSession, change: int) -> bytes:
    """Return the hash of a change; empty for change 0."""
    return await session.scalar(select(Change.hash).where(Change.number == change)) or b""


async def _precompute(entries: Mapping[str, BoardEntry], moment: Moment) -> None:
    """Compute answers ahead of requests, a few at a time, so that other tasks can run."""
    for position, entry in enumerate(entries.values()):
        entry.view(moment)
        if position % _VIEWS_BETWEEN_YIELDS == 0:
            await asyncio.sleep(0)
