"""The stream of changes: one reader of the log in each process, and its followers.

Nothing is queued. Each follower has a position in the log. A follower that is current is sent each
change without waiting. Any other is brought up to date by a task of its own, from the recent
changes or, at first, from the log. A follower that falls behind the recent changes is
disconnected, and resumes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import randrange, uniform

from sqlalchemy import func, select
from starlette.types import Message, Send

from app.caches import Cache
from app.changes.cloudevents import EnvelopeKind
from app.changes.filters import Filter
from app.changes.models import Change
from app.changes.service import ChangeRow, matching_changes
from app.changes.stream.wire import (
    END,
    RECENT_CHANGES,
    EncodedChange,
    RecentChanges,
    dropped,
    heartbeat,
    opening,
)
from app.database.connections import Connector
from app.database.driver import fetch
from app.database.monitor import (
    OUTAGES,
    RECONNECT_SECONDS,
    DatabaseMonitor,
    monotonic_seconds,
    reason,
)
from app.database.sessions import create_engine, create_sessions
from app.http.parameters import require_existing

HEARTBEAT_SECONDS = 15
LIFETIME_SECONDS = 3_600
"""The length of a stream, give or take a tenth. Clients reconnect, perhaps to another worker."""
CHECKED_FILTERS_BYTES = 4 * 2**20
"""The size of the cache of filters whose ids exist."""
CHANGES_PER_READ = 50
PAGE_BYTES = 64 * 2**10
"""The size of a page of the log for a follower that is behind; at least one change."""

_FOLLOWERS_PER_TURN = 250
"""How many followers are served before other tasks get their turn."""
_NEXT_CHANGES = f"""
    SELECT {", ".join(ChangeRow._fields)} FROM change
    WHERE number >= %(newest)s ORDER BY number LIMIT %(limit)s
"""  # noqa: S608  # no input in it

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """A parsed request for the stream. Without ``after`` it begins with the next change."""

    change_filter: Filter
    envelope: EnvelopeKind
    after: int | None
    resumes: bool
    """Whether ``after`` is the last id of an earlier stream."""


@dataclass(eq=False, slots=True)
class Follower:
    """A client of the stream."""

    send: Send
    change_filter: Filter
    envelope: EnvelopeKind
    position: int
    """The change up to which all matching changes were sent."""
    last_sent_id: int
    """The last id that was sent."""
    ends_at: float
    """When the stream ends, in `monotonic_seconds`."""
    heartbeat_second: int = field(default_factory=lambda: randrange(HEARTBEAT_SECONDS))  # noqa: S311
    """The second of every fifteen in which it gets a heartbeat."""
    is_current: bool = False
    """Whether it has every change, and is sent new ones directly."""
    task: asyncio.Task[None] | None = None
    """The task that brings it up to date."""


class Stream:
    """Reads the log of a database, and sends it to followers."""

    def __init__(self, connector: Connector, monitor: DatabaseMonitor) -> None:
        self.newest_change = -1
        """The newest change that was read; -1 before the log is loaded."""
        self.is_draining = False
        self._hash = b""
        self._monitor = monitor
        self._engine = create_engine(connector, pool_size=2, pre_ping=False)
        # Each read is a single statement; a transaction would cost two more round trips.
        at_once = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = create_sessions(at_once)
        self._recent = RecentChanges()
        self._followers: dict[Follower, None] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._checked_filters: Cache[Filter, bool] = Cache(
            "stream filters", bound=CHECKED_FILTERS_BYTES, weigh=lambda _: 0
        )
        """Filters whose ids all exist."""
        self._read_lock = asyncio.Lock()
        """Lets only one follower at a time read the log."""
        self._log_grew = asyncio.Event()
        self._advanced = asyncio.Event()

    # For the owner

    async def run(self) -> None:
        """Follow the log until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._send_heartbeats())
        finally:
            self.drain()
            await self._engine.dispose()

    def hear(self) -> None:
        """Read the log, after a notification of a change."""
        self._log_grew.set()

    def compare(self, change: int, change_hash: bytes) -> None:
        """Read the log if its newest change is not the one that was read last."""
        if (change, change_hash) != (self.newest_change, self._hash):
            self._log_grew.set()

    def drain(self) -> None:
        """End all streams, and refuse new ones."""
        self.is_draining = True
        self._end_all()

    # For the endpoint

    @property
    def count(self) -> int:
        """The number of followers."""
        return len(self._followers)

    @property
    def is_lost(self) -> bool:
        return self._monitor.is_lost

    async def reached(self, number: int, *, within: float) -> bool:
        """Wait at most ``within`` seconds for change ``number``. Return whether it has arrived."""
        try:
            async with asyncio.timeout(within):
                while self.newest_change < number:
                    await self._advanced.wait()
        except TimeoutError:
            return False
        return True

    async def require_existing(self, change_filter: Filter) -> None:
        """Raise Invalid if a filter names something that does not exist.

        Nothing is checked while the database is away. Existing ids stay, so that a filter is
        checked only once for all clients.
        """
        if not any(
            (
                change_filter.crossings,
                change_filter.borders,
                change_filter.countries,
                change_filter.to,
            )
        ):
            return
        try:
            async with self._read_lock, self._monitor.deadline(limited=False):
                if self._checked_filters.get(change_filter):
                    return
                async with self._sessions() as session:
                    await require_existing(session, change_filter.ids_to_check())
        except OUTAGES as error:
            _log.warning("A filter cannot be checked: %s", reason(error))
            return
        self._checked_filters.put(change_filter, True)

    async def join(self, query: StreamQuery, send: Send) -> Follower:
        """Add a follower. It must `leave` when the client disconnects."""
        position = self.newest_change if query.after is None else query.after
        await send(opening(position))
        follower = Follower(
            send,
            query.change_filter,
            query.envelope,
            position,
            position,
            monotonic_seconds() + LIFETIME_SECONDS * uniform(0.9, 1.1),  # noqa: S311  # no secret
        )
        self._followers[follower] = None
        self._bring_up_to_date(follower, from_log=True)
        if self.is_draining:
            self._end(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Remove a follower."""
        self._followers.pop(follower, None)
        follower.is_current = False
        if follower.task is not None:
            follower.task.cancel()

    # The log

    async def _follow(self) -> None:
        while True:
            await self._log_grew.wait()
            self._log_grew.clear()
            try:
                async with self._monitor.deadline(limited=False):
                    changes = await self._read()
                for change in changes:
                    await self._publish(change)
                if len(changes) == CHANGES_PER_READ:
                    self._log_grew.set()
            except OUTAGES as error:
                _log.warning("The stream cannot read the log: %s", reason(error))
                await asyncio.sleep(RECONNECT_SECONDS)
                self._log_grew.set()
            except Exception:  # noqa: BLE001  # logged here, since nothing else would report it
                # Better no streams than streams that stand still.
                _log.exception("The stream cannot go on")
                self._end_all()
                await asyncio.sleep(RECONNECT_SECONDS)
                self._log_grew.set()

    async def _read(self) -> Sequence[EncodedChange]:
        """Return the next changes. If the log was rewound, rewind and return none."""
        if self.newest_change < 0:
            await self._start()
            return []
        async with self._sessions() as session:
            # A single statement needs no transaction, whose bounds would cost round trips.
            _ = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            parameters = {"newest": self.newest_change, "limit": CHANGES_PER_READ + 1}
            rows = await fetch(session, ChangeRow, _NEXT_CHANGES, parameters)
        if self.newest_change > 0:
            if not rows or (rows[0].number, rows[0].hash) != (self.newest_change, self._hash):
                await self._rewind()
                return []
            del rows[0]
        return [EncodedChange(change) for change in rows[:CHANGES_PER_READ]]

    async def _start(self) -> None:
        rows = select(Change).order_by(Change.number.desc()).limit(RECENT_CHANGES)
        async with self._sessions() as session:
            changes = list(await session.scalars(rows))
        for change in reversed(changes):
            self._recent.add(EncodedChange(change))
        self._set_newest(changes[0].number if changes else 0, changes[0].hash if changes else b"")

    async def _rewind(self) -> None:
        """Go back to the last change that the log still has, and make all followers do so.

        This happens when a standby took over that did not have the newest changes yet. These are
        void, and their numbers are used again.
        """
        recent_hashes = self._recent.hashes()
        rows = select(Change.number, Change.hash).where(Change.number.in_(list(recent_hashes)))
        async with self._sessions() as session:
            known = (await session.execute(rows)).all()
            newest = await session.scalar(select(func.max(Change.number))) or 0
        # Before all recent changes, if the log has none of them.
        common = max(
            (number for number, change_hash in known if recent_hashes[number] == change_hash),
            default=min([newest, *(number - 1 for number in recent_hashes)]),
        )
        _log.warning("The log went back to change %s", common)
        self._recent.drop_after(common)
        self._set_newest(common, recent_hashes.get(common, b""))
        for follower in list(self._followers):
            self._end(follower, dropped(min(follower.position, common)))
        self._log_grew.set()

    def _set_newest(self, number: int, change_hash: bytes) -> None:
        self.newest_change, self._hash = number, change_hash
        self._advanced.set()
        self._advanced = asyncio.Event()

    # The followers

    async def _publish(self, change: EncodedChange) -> None:
        """Send a change to all current followers whose filter it matches."""
        self._recent.add(change)
        self._set_newest(change.number, change.hash)
        matching: dict[Filter, bool] = {}
        for number, follower in enumerate(list(self._followers)):
            if number % _FOLLOWERS_PER_TURN == _FOLLOWERS_PER_TURN - 1:
                await asyncio.sleep(0)
            if not follower.is_current or follower.position >= change.number:
                continue
            change_filter = follower.change_filter
            if change_filter not in matching:
                matching[change_filter] = change_filter.matches(change.record)
            if matching[change_filter]:
                if not _sent_at_once(follower.send(change.message(follower.envelope))):
                    self._bring_up_to_date(follower, from_log=False)
                    continue
                follower.last_sent_id = change.number
            follower.position = change.number

    def _bring_up_to_date(self, follower: Follower, *, from_log: bool) -> None:
        follower.is_current = follower.position >= self.newest_change
        if not follower.is_current:
            follower.task = asyncio.create_task(self._catch_up(follower, from_log=from_log))
            follower.task.add_done_callback(partial(self._end_failed, follower))

    def _end_failed(self, follower: Follower, task: asyncio.Task[None]) -> None:
        """End the stream of a follower whose task has failed."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("A follower could not catch up", exc_info=error)
            self._end(follower)

    async def _catch_up(self, follower: Follower, *, from_log: bool) -> None:
        """Send the changes that a follower lacks, or end it if they are no longer recent."""
        while follower.position < self.newest_change:
            recent = self._recent.after(follower.position)
            if recent is not None:
                batch, reached = [recent], recent.number
            elif from_log:
                batch, reached = await self._page(follower)
            else:
                follower.task = None
                self._end(follower)
                return
            for change in batch:
                if follower.change_filter.matches(change.record):
                    await follower.send(change.message(follower.envelope))
                    follower.last_sent_id = change.number
                follower.position = change.number
            follower.position = reached
        follower.is_current, follower.task = True, None

    async def _page(self, follower: Follower) -> tuple[list[EncodedChange], int]:
        """Return the next matching changes for a follower, and the last change checked."""
        while True:
            try:
                async with (
                    self._read_lock,
                    self._monitor.deadline(limited=False),
                    self._sessions() as session,
                ):
                    changes, reached = await matching_changes(
                        session,
                        follower.change_filter,
                        after=follower.position,
                        limit=CHANGES_PER_READ,
                    )
            except OUTAGES:  # logged by `_follow`, once for all followers
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            page: list[EncodedChange] = []
            weight = 0
            for change in changes:
                encoded = EncodedChange(change)
                weight += encoded.weight
                if page and weight > PAGE_BYTES:
                    return page, page[-1].number
                page.append(encoded)
            return page, reached

    async def _send_heartbeats(self) -> None:
        """Send heartbeats, some each second, and end the streams whose time is over."""
        heartbeat_second = 0
        while True:
            await asyncio.sleep(1)
            heartbeat_second = (heartbeat_second + 1) % HEARTBEAT_SECONDS
            now = monotonic_seconds()
            for follower in list(self._followers):
                if now >= follower.ends_at:
                    self._end(follower)
                elif follower.heartbeat_second == heartbeat_second:
                    lags = follower.last_sent_id < follower.position
                    if (
                        _sent_at_once(follower.send(heartbeat(follower.position if lags else None)))
                        and lags
                    ):
                        follower.last_sent_id = follower.position

    def _end_all(self) -> None:
        for follower in list(self._followers):
            self._end(follower)

    def _end(self, follower: Follower, *last: Message) -> None:
        """End a stream properly, so that the client knows that no message was cut off."""
        self.leave(follower)
        task = asyncio.create_task(_send_all(follower.send, (*last, END)))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _send_all(send: Send, messages: Sequence[Message]) -> None:
    for message in messages:
        await send(message)


def _sent_at_once(send: Awaitable[None]) -> bool:
    """Return whether a message was sent at once; otherwise it was not sent at all.

    A server waits for buffer space before it writes, so that a waiting send can be abandoned.
    """
    steps = send.__await__()
    try:
        next(steps)
    except StopIteration:
        return True
    steps.close()
    return False
