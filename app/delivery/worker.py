"""The delivery worker: a separate process that delivers webhooks.

It follows the log, makes and sends deliveries, records what comes due, and maintains the partitions
of observations. There may be several: they share the work by locks in the database, and what one
leaves undone when it is killed, another one does.
"""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import uvloop
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncSession
from yarl import URL

from app.access.attempts import forget_attempts
from app.access.writing import forget_secrets
from app.changes.cloudevents import enveloped
from app.changes.models import Change
from app.changes.service import change_record
from app.config import Settings
from app.database.connections import Connector
from app.database.monitor import OUTAGES, DatabaseMonitor, answer_within, reason
from app.database.sessions import OPTIONS, Sessions, Transact, create_engine, create_sessions
from app.delivery.pacing import Pacing
from app.encryption import UnreadableSecret
from app.limits.stores import forget_allowances
from app.observations.partitions import drop_partitions, make_partitions
from app.observations.recording import ObservationLimits
from app.status.due import announce_due, until_due
from app.subscriptions.addresses import AddressPolicy
from app.subscriptions.deliveries import (
    CHANNEL,
    LEASE,
    Outcome,
    Turn,
    advance,
    put_off,
    record_handshake,
    renew,
    take_turns,
    tidy,
)
from app.subscriptions.fanout import BATCH, fan_out
from app.subscriptions.sending import AT_ONCE, DEFAULT_ORIGIN, Message, Sender

POLL_SECONDS = 1.0
BREATH_SECONDS = 0.05
"""The shortest time between two queries of the queue, so that one query serves many events."""
TURN_SECONDS = 20.0
"""A turn that has lasted this long sends nothing new and goes back to the queue."""
TIDY_SECONDS = 3_600.0
ANSWER_SECONDS = 10.0
"""A database that does not answer for this long counts as lost."""
LONGEST_PAUSE = 10.0
"""Seconds between attempts to reach a lost database."""

SESSIONS = 10
"""Database connections, besides the one that listens."""

_BATCH = 20
"""Turns taken at once: all of them begin before the first outcome is recorded."""
_BODIES = 50
"""How many bodies are cached, since one change usually goes to many receivers."""

Result = TypeVar("Result")
Beside = Callable[[Transact, Connector], Coroutine[object, object, None]]
"""A task that runs until it is cancelled, and raises when the database is lost.

Its connections come from the worker's connector, so that all of them lead to one server.
"""

_log = logging.getLogger(__name__)


class DeliveryWorker:
    def __init__(self, settings: Settings, besides: Sequence[Beside] = ()) -> None:
        """``besides`` are further tasks to run on the database of the settings."""
        if settings.database_url is None:
            raise ValueError("DATABASE_URL is not set.")
        self._request_seconds = settings.request_deadline
        self._audit_keep_days = settings.audit_keep_days
        self._keep_observations = ObservationLimits.of(settings).keep
        self._connect = Connector(settings.database_url)
        self._reach = AddressPolicy(settings.webhook_networks)
        self._cipher = settings.cipher
        self._origin = urlsplit(settings.public_url or "").hostname or DEFAULT_ORIGIN
        self._pacing = Pacing(settings.deliveries_per_second)
        self._besides = besides
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        """Set when there may be changes without deliveries."""
        self._due = asyncio.Event()
        """Set when there may be turns to take."""
        self._turns: dict[asyncio.Task[None], Turn] = {}
        self._bodies: dict[int, str] = {}
        self._room = asyncio.Semaphore(SESSIONS)
        self._monitor: DatabaseMonitor
        self._sessions: Sessions
        self._sender: Sender

    async def run(self) -> None:
        """Work until `stop`; wait for the database when it is lost."""
        pause = 0.25
        while not self._stopping.is_set():
            lost = False
            try:
                await self._work()
            except* OUTAGES as group:
                lost = True
                _log.warning(
                    "The delivery worker lost contact with the database: %s", _reasons(group)
                )
            if lost:
                await wait_for_event(self._stopping, pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def stop(self) -> None:
        """Begin nothing new, and end when everything under way has ended."""
        self._stopping.set()
        self._due.set()

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            engine = create_engine(self._connect, pool_size=SESSIONS, pre_ping=False)
            stack.push_async_callback(engine.dispose)
            self._monitor = DatabaseMonitor(self._request_seconds)
            self._sessions = create_sessions(engine)
            sender = Sender(self._reach, origin=self._origin)
            self._sender = await stack.enter_async_context(sender)
            async with asyncio.TaskGroup() as tasks:
                besides = [
                    tasks.create_task(one)
                    for one in (
                        self._listen(),
                        self._follow(),
                        self._renew(),
                        self._tidy(),
                        *(beside(self._transact, self._connect) for beside in self._besides),
                    )
                ]
                await self._take_turns(tasks)
                for task in besides:
                    task.cancel()

    async def _listen(self) -> None:
        """Listen for notifications, and detect a lost database."""
        try:
            await listen(self._connect, {"change": self._news, CHANNEL: self._due})
        except OUTAGES:
            self._monitor.lost()
            raise

    async def _follow(self) -> None:
        """Make the deliveries of each new change, and record what comes due."""
        while True:
            self._news.clear()
            while await self._transact(fan_out) == BATCH:
                pass
            wait = await self._transact(until_due)
            if wait is not None and wait <= timedelta():
                while await self._transact(announce_due):
                    pass
            await asyncio.sleep(BREATH_SECONDS)
            await wait_for_event(self._news, _soonest(wait))

    async def _tidy(self) -> None:
        while True:
            await self._transact(tidy)
            await self._transact(forget_secrets)
            await self._transact(forget_allowances)
            await self._transact(partial(forget_attempts, keep_days=self._audit_keep_days))
            await self._transact(make_partitions)
            await self._transact(partial(drop_partitions, keep=self._keep_observations))
            await asyncio.sleep(TIDY_SECONDS)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            if self._turns:
                await self._transact(partial(renew, turns=list(self._turns.values())))

    async def _take_turns(self, tasks: asyncio.TaskGroup) -> None:
        """Send what is due until `stop`; then wait for what is under way."""
        while not self._stopping.is_set():
            self._due.clear()
            wait = None
            if room := min(AT_ONCE - len(self._turns), _BATCH):
                turns, wait = await self._transact(partial(take_turns, room=room))
                for turn in turns:
                    task = tasks.create_task(self.take_turn(turn))
                    self._turns[task] = turn
                    task.add_done_callback(self._turn_ended)
                if len(turns) == room:
                    self._due.set()
                await asyncio.sleep(BREATH_SECONDS)
            await wait_for_event(self._due, _soonest(wait))
        if self._turns:
            await asyncio.wait(self._turns)

    def _turn_ended(self, task: asyncio.Task[None]) -> None:
        del self._turns[task]
        self._due.set()

    async def take_turn(self, turn: Turn) -> None:
        """Take a turn. If it fails, it is taken again once its lease has expired."""
        try:
            host = None if await self._reach.is_exempt(turn.url) else URL(turn.url).host
            async with self._pacing.turn(host) as wait:
                if wait is None:
                    await self._deliver(turn, host)
                else:
                    delay = timedelta(seconds=wait)
                    await self._transact(partial(put_off, turn=turn, delay=delay))
        except OUTAGES as error:
            if not self._monitor.is_lost:
                _log.warning("A delivery was interrupted: %s", reason(error))
        except UnreadableSecret:
            _log.error(
                "Subscription %s waits: its secret cannot be read; see CROSSINGS_SECRET_KEY",
                turn.subscription_id,
            )
        except Exception:  # noqa: BLE001  # logged, and no fault of the other subscriptions
            _log.exception("Subscription %s could not be delivered to", turn.subscription_id)

    async def _deliver(self, turn: Turn, host: str | None) -> None:
        """Send what is due to a subscription until nothing is, or until the turn is too long.

        A receiver that was never called is asked first whether it wants that.
        """
        if turn.is_pending and not await self._is_agreed(turn, host):
            return
        clock = asyncio.get_running_loop().time
        ends_at = clock() + TURN_SECONDS
        under_way: dict[asyncio.Task[Outcome], UUID] = {}
        outcomes: dict[UUID, Outcome] = {}
        try:
            while True:
                messages = await self._transact(
                    partial(
                        self._step,
                        turn=turn,
                        host=host,
                        outcomes=outcomes,
                        under_way=set(under_way.values()),
                        open_ended=clock() < ends_at and not self._stopping.is_set(),
                    )
                )
                for message, wait in messages:
                    under_way[asyncio.create_task(self._send(message, wait))] = message.id
                if not under_way:
                    return
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                outcomes = {under_way.pop(task): task.result() for task in done}
        finally:
            for task in under_way:
                task.cancel()

    async def _send(self, message: Message, wait: float) -> Outcome:
        await asyncio.sleep(wait)
        return await self.attempt(message)

    async def attempt(self, message: Message) -> Outcome:
        """Send a message once."""
        return await self._sender.send(message)

    async def _is_agreed(self, turn: Turn, host: str | None) -> bool:
        """Ask a receiver whether it wants to be called. If not, the turn has ended."""
        (wait,) = await self._transact(partial(self._pacing.waits, host=host))
        await asyncio.sleep(wait)
        outcome = await self._sender.ask(turn.url)
        disabled = await self._transact(partial(record_handshake, turn=turn, outcome=outcome))
        if disabled:
            _log.warning("Subscription %s is disabled: %s.", turn.subscription_id, disabled)
        return outcome.error is None

    async def _step(
        self,
        session: AsyncSession,
        *,
        turn: Turn,
        host: str | None,
        outcomes: Mapping[UUID, Outcome],
        under_way: AbstractSet[UUID],
        open_ended: bool,
    ) -> list[tuple[Message, float]]:
        """Record outcomes; return the next messages, and the seconds after which to send each."""
        step = await advance(
            session, turn, outcomes=outcomes, under_way=under_way, open_ended=open_ended
        )
        if step is None:
            return []
        if step.disabled:
            _log.warning("Subscription %s is disabled: %s.", turn.subscription_id, step.disabled)
        secrets = self._decrypted(step.secrets) if step.due else []
        messages = [
            Message(message_id, step.url, secrets, await self._body(session, message_id, change))
            for message_id, change in step.due.items()
        ]
        waits = await self._pacing.waits(session, host, len(messages))
        return list(zip(messages, waits, strict=True))

    def _decrypted(self, tokens: Sequence[str]) -> Sequence[str]:
        if self._cipher is None:
            raise UnreadableSecret("no key is set")
        return [self._cipher.decrypt(token) for token in tokens]

    async def _body(self, session: AsyncSession, message_id: UUID, number: int | None) -> str:
        """Return the body of a message, which is the same for every attempt and every receiver."""
        if number is None:
            return _json(test_event(message_id))
        if number not in self._bodies:
            change = await session.get_one(Change, number)
            if len(self._bodies) >= _BODIES:
                self._bodies.clear()
            self._bodies[number] = _json(enveloped(change_record(change)))
        return self._bodies[number]

    async def _transact(self, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
        async with (
            self._room,
            self._monitor.deadline(limited=False),
            self._sessions() as session,
            session.begin(),
        ):
            return await work(session)


async def listen(connect: Connector, events: Mapping[str, asyncio.Event]) -> None:
    """Set the event of each channel that is notified. Raises when the database is lost."""
    async with await connect(options=OPTIONS, autocommit=True) as connection:
        for channel in events:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        while True:
            await answer_within(ANSWER_SECONDS, connection.execute("SELECT"))
            async for notification in connection.notifies(timeout=POLL_SECONDS):
                events[notification.channel].set()


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after ``seconds``."""
    # Not `wait_for`, which before Python 3.12 can lose a cancellation that comes with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _soonest(wait: timedelta | None) -> float:
    """Return the seconds until the next query, which finds what there is no notification for."""
    return POLL_SECONDS if wait is None else min(wait.total_seconds(), POLL_SECONDS)


def main(
    settings: Settings,
    besides: Sequence[Beside] = (),
    *,
    make_worker: Callable[[Settings, Sequence[Beside]], DeliveryWorker] = DeliveryWorker,
) -> None:
    """Run a delivery worker until SIGTERM or SIGINT, with ``besides`` as further tasks."""

    async def work() -> None:
        worker, loop = make_worker(settings, besides), asyncio.get_running_loop()

        def stop() -> None:
            worker.stop()
            # What has not ended in time is taken by another worker once its lease has expired.
            loop.call_later(settings.drain_seconds, os._exit, 0)

        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stop)
        await worker.run()

    uvloop.run(work())


def test_event(message_id: UUID) -> dict[str, object]:
    """Return the body of a test message: a CloudEvent without data."""
    return {
        "specversion": "1.0",
        "id": str(message_id),
        "source": "/v1/subscriptions",
        "type": "crossing-status.test",
        "datacontenttype": "application/json",
        "data": {},
    }


def _json(event: Mapping[str, object]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _reasons(group: BaseExceptionGroup[Exception]) -> str:
    """Return the error messages, each once; the first is the cause of the others."""
    return "; ".join(
        dict.fromkeys(
            _reasons(inner)
            if isinstance(inner, BaseExceptionGroup)
            else reason(inner) or type(inner).__name__
            for inner in group.exceptions
        )
    )
