"""The stream of changes: one reader of the log for each process, and all who follow it.

Nothing is queued for anyone. A follower has a place in the log: who is level is sent each
change as it comes, without waiting; who is not is brought up by a task of its own, from the
recent changes or, at first, from the log. Who falls behind further than those is cut off
and resumes.
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
"""Give or take a tenth: then a follower comes back, perhaps to another worker."""
LOOKED_UP_BYTES = 4 * 2**20
"""Of filters that are remembered."""
CHANGES_PER_READ = 50
PAGE_BYTES = 64 * 2**10
"""Of the log, for one who is brought up; one change at least."""

_FOLLOWERS_PER_TURN = 250
"""Followers who are sent something before others have their turn."""
_NEXT_CHANGES = f"""
    SELECT {", ".join(ChangeRow._fields)} FROM change
    WHERE number >= %(place)s ORDER BY number LIMIT %(limit)s
"""  # noqa: S608  # nothing of it comes from outside

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """What a follower asks for; without ``after``, from now on."""

    wanted: Filter
    envelope: EnvelopeKind
    after: int | None
    resumes: bool
    """Whether ``after`` is the last id of an earlier stream."""


@dataclass(eq=False, slots=True)
class Follower:
    """One who reads the stream."""

    send: Send
    wanted: Filter
    envelope: EnvelopeKind
    place: int
    """The change up to which all that matches was sent."""
    named: int
    """The last id that was sent."""
    until: float
    """When the stream ends, in `monotonic_seconds`."""
    beat: int = field(default_factory=lambda: randrange(HEARTBEAT_SECONDS))  # noqa: S311
    """The second of every fifteen in which it hears a heartbeat."""
    is_level: bool = False
    """Whether it has all that there is, and is sent what comes."""
    task: asyncio.Task[None] | None = None
    """Brings it up, or to its end."""


class Stream:
    """Follows the log of one database, and is followed."""

    def __init__(self, connector: Connector, monitor: DatabaseMonitor) -> None:
        self.place = -1
        """The newest change that it has; -1 before it knows any log."""
        self.is_draining = False
        self._hash = b""
        self._monitor = monitor
        self._engine = create_engine(connector, pool_size=2, pre_ping=False)
        # One statement a look: a transaction around it would cost two more turns.
        at_once = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = create_sessions(at_once)
        self._recent = RecentChanges()
        self._followers: dict[Follower, None] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._looked_up: Cache[Filter, bool] = Cache(
            "stream filters", bound=LOOKED_UP_BYTES, weigh=lambda _: 0
        )
        """Filters all of whose names exist."""
        self._reading = asyncio.Lock()
        """Of the log, for those who are brought up: one at a time."""
        self._news = asyncio.Event()
        self._moved = asyncio.Event()

    # For whoever runs it

    async def run(self) -> None:
        """Follow the log until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._beat())
        finally:
            self.drain()
            await self._engine.dispose()

    def hear(self) -> None:
        """Look into the log: it was told of a change."""
        self._news.set()

    def compare(self, change: int, change_hash: bytes) -> None:
        """Look into the log if this, its newest change, is another than ours."""
        if (change, change_hash) != (self.place, self._hash):
            self._news.set()

    def drain(self) -> None:
        """End every stream, and let none begin."""
        self.is_draining = True
        self._end_all()

    # For whoever follows it

    @property
    def count(self) -> int:
        """How many follow it."""
        return len(self._followers)

    @property
    def is_lost(self) -> bool:
        return self._monitor.is_lost

    async def reached(self, number: int, *, within: float) -> bool:
        """Wait until it has come to ``number``, for so many seconds at most; tell whether."""
        try:
            async with asyncio.timeout(within):
                while self.place < number:
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def require_existing(self, wanted: Filter) -> None:
        """Raise Invalid if a filter names what does not exist; while the log is away, let it be.

        What exists does not go: a crowd that asks the same is looked up once.
        """
        if not any((wanted.crossings, wanted.borders, wanted.countries, wanted.to)):
            return
        try:
            async with self._reading, self._monitor.deadline(limited=False):
                if self._looked_up.get(wanted):
                    return
                async with self._sessions() as session:
                    await require_existing(session, wanted.named())
        except OUTAGES as error:
            _log.warning("A filter cannot be checked: %s", reason(error))
            return
        self._looked_up.put(wanted, True)

    async def join(self, asked: StreamQuery, send: Send) -> Follower:
        """Begin to send what is asked for; it must `leave` when its reader is gone."""
        place = self.place if asked.after is None else asked.after
        await send(opening(place))
        follower = Follower(
            send,
            asked.wanted,
            asked.envelope,
            place,
            place,
            monotonic_seconds() + LIFETIME_SECONDS * uniform(0.9, 1.1),  # noqa: S311  # no secret
        )
        self._followers[follower] = None
        self._bring_up(follower, from_log=True)
        if self.is_draining:
            self._end(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Send nothing more."""
        self._followers.pop(follower, None)
        follower.is_level = False
        if follower.task is not None:
            follower.task.cancel()

    # The log

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                async with self._monitor.deadline(limited=False):
                    news = await self._read()
                for told in news:
                    await self._publish(told)
                if len(news) == CHANGES_PER_READ:
                    self._news.set()
            except OUTAGES as error:
                _log.warning("The stream cannot read the log: %s", reason(error))
                await asyncio.sleep(RECONNECT_SECONDS)
                self._news.set()
            except Exception:  # noqa: BLE001  # logged, and nothing else would tell of it
                # Better no stream than one that stands still.
                _log.exception("The stream cannot go on")
                self._end_all()
                await asyncio.sleep(RECONNECT_SECONDS)
                self._news.set()

    async def _read(self) -> Sequence[EncodedChange]:
        """Return what comes next in the log, if ours is still the log."""
        if self.place < 0:
            await self._start()
            return []
        async with self._sessions() as session:
            # One statement, without the trips to bound a transaction.
            _ = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            asked = {"place": self.place, "limit": CHANGES_PER_READ + 1}
            found = await fetch(session, ChangeRow, _NEXT_CHANGES, asked)
        if self.place > 0:
            if not found or (found[0].number, found[0].hash) != (self.place, self._hash):
                await self._go_back()
                return []
            del found[0]
        return [EncodedChange(change) for change in found[:CHANGES_PER_READ]]

    async def _start(self) -> None:
        rows = select(Change).order_by(Change.number.desc()).limit(RECENT_CHANGES)
        async with self._sessions() as session:
            found = list(await session.scalars(rows))
        for change in reversed(found):
            self._recent.add(EncodedChange(change))
        self._stand_at(found[0].number if found else 0, found[0].hash if found else b"")

    async def _go_back(self) -> None:
        """Return to the last change that the log still has, and send everyone there.

        A standby has taken over that did not have the newest changes yet: what came after is
        void, and its numbers are given again.
        """
        ours = self._recent.hashes()
        rows = select(Change.number, Change.hash).where(Change.number.in_(list(ours)))
        async with self._sessions() as session:
            theirs = (await session.execute(rows)).all()
            newest = await session.scalar(select(func.max(Change.number))) or 0
        # Before all that is kept, if none of that is left.
        common = max(
            (number for number, found in theirs if ours[number] == found),
            default=min([newest, *(number - 1 for number in ours)]),
        )
        _log.warning("The log went back to change %s", common)
        self._recent.keep_until(common)
        self._stand_at(common, ours.get(common, b""))
        for follower in list(self._followers):
            self._end(follower, dropped(min(follower.place, common)))
        self._news.set()

    def _stand_at(self, number: int, change_hash: bytes) -> None:
        self.place, self._hash = number, change_hash
        self._moved.set()
        self._moved = asyncio.Event()

    # The followers

    async def _publish(self, told: EncodedChange) -> None:
        """Send a change to all who are level and want it."""
        self._recent.add(told)
        self._stand_at(told.number, told.hash)
        matching: dict[Filter, bool] = {}
        for turn, follower in enumerate(list(self._followers)):
            if turn % _FOLLOWERS_PER_TURN == _FOLLOWERS_PER_TURN - 1:
                await asyncio.sleep(0)
            if not follower.is_level or follower.place >= told.number:
                continue
            wanted = follower.wanted
            if wanted not in matching:
                matching[wanted] = wanted.matches(told.change)
            if matching[wanted]:
                if not _sent(follower.send(told.message(follower.envelope))):
                    self._bring_up(follower, from_log=False)
                    continue
                follower.named = told.number
            follower.place = told.number

    def _bring_up(self, follower: Follower, *, from_log: bool) -> None:
        follower.is_level = follower.place >= self.place
        if not follower.is_level:
            follower.task = asyncio.create_task(self._catch_up(follower, from_log=from_log))
            follower.task.add_done_callback(partial(self._see_to, follower))

    def _see_to(self, follower: Follower, task: asyncio.Task[None]) -> None:
        """End a stream that could not be brought up: it would wait in vain."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("A follower could not catch up", exc_info=error)
            self._end(follower)

    async def _catch_up(self, follower: Follower, *, from_log: bool) -> None:
        """Send, at the reader's pace, all that it lacks; end if that is out of reach."""
        while follower.place < self.place:
            told = self._recent.after(follower.place)
            if told is not None:
                part, reached = [told], told.number
            elif from_log:
                part, reached = await self._page(follower)
            else:
                follower.task = None
                self._end(follower)
                return
            for one in part:
                if follower.wanted.matches(one.change):
                    await follower.send(one.message(follower.envelope))
                    follower.named = one.number
                follower.place = one.number
            follower.place = reached
        follower.is_level, follower.task = True, None

    async def _page(self, follower: Follower) -> tuple[list[EncodedChange], int]:
        """Return the next part of the log for a follower, and the change up to which it is."""
        while True:
            try:
                async with (
                    self._reading,
                    self._monitor.deadline(limited=False),
                    self._sessions() as session,
                ):
                    found, reached = await matching_changes(
                        session, follower.wanted, after=follower.place, limit=CHANGES_PER_READ
                    )
            except OUTAGES:  # told of by the reader of the log, once for all followers
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            page: list[EncodedChange] = []
            weight = 0
            for change in found:
                told = EncodedChange(change)
                weight += told.weight
                if page and weight > PAGE_BYTES:
                    return page, page[-1].number
                page.append(told)
            return page, reached

    async def _beat(self) -> None:
        """Send heartbeats, some of them each second, and end what has lived its time."""
        beat = 0
        while True:
            await asyncio.sleep(1)
            beat = (beat + 1) % HEARTBEAT_SECONDS
            now = monotonic_seconds()
            for follower in list(self._followers):
                if now >= follower.until:
                    self._end(follower)
                elif follower.beat == beat:
                    lags = follower.named < follower.place
                    if _sent(follower.send(heartbeat(follower.place if lags else None))) and lags:
                        follower.named = follower.place

    def _end_all(self) -> None:
        for follower in list(self._followers):
            self._end(follower)

    def _end(self, follower: Follower, *last: Message) -> None:
        """End a stream in order: its reader sees that no change was broken off."""
        self.leave(follower)
        task = asyncio.create_task(_send_all(follower.send, (*last, END)))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _send_all(send: Send, messages: Sequence[Message]) -> None:
    for message in messages:
        await send(message)


def _sent(sending: Awaitable[None]) -> bool:
    """Return whether something was sent at once; if the reader has no room it was not at all.

    A server waits for room before it writes, so that what waits can be called off.
    """
    steps = sending.__await__()
    try:
        next(steps)
    except StopIteration:
        return True
    steps.close()
    return False
