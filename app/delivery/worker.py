"""The courier: a process beside those that serve, which tells of changes whoever subscribed.

It follows the log, makes deliveries, sends them, and announces what comes due, so that none of it
slows readers. There may be several: the database says who does what, and whatever one leaves
undone when it is killed, another or the next one does.
"""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

import uvloop
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import PgqException, RetryRequested
from pgqueuer.domain.models import Job
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.cloudevents import enveloped
from app.changes.models import Change
from app.changes.service import change_record
from app.config import Settings
from app.database.connections import Connector
from app.database.monitor import OUTAGES, reason
from app.database.queue import CHANNEL, Errand, Line, enqueue, queries
from app.database.sessions import OPTIONS, Sessions, create_engine, create_sessions
from app.status.due import announce_due, next_due
from app.subscriptions.addresses import AddressPolicy
from app.subscriptions.deliveries import ENTRYPOINT, Outcome, advance, revive, tidy, turn_of
from app.subscriptions.fanout import BATCH, fan_out
from app.subscriptions.sending import AT_ONCE, Message, Sender

COME_DUE = "come_due"
HEARTBEAT = timedelta(seconds=6)
"""A job of a courier that was not heard of for so long is another's."""
POLL_SECONDS = 1.0
BREATH_SECONDS = 0.05
"""While changes come faster than that, one look is for several."""
TURN_SECONDS = 20.0
"""After so long a turn begins nothing new: it queues up again."""
REVIVE_SECONDS = 60.0
TIDY_SECONDS = 3_600.0
LONGEST_PAUSE = 10.0
"""Seconds between attempts to reach a lost database."""

SESSIONS = 10
"""Database connections, besides the two of the queue."""

_BATCH = 50
_BODIES = 50
"""Kept, as one change mostly goes to many."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class DeliveryWorker:
    """One courier, on one database."""

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None:
            raise ValueError("DATABASE_URL is not set.")
        self._url = settings.database_url
        self._connect = Connector(settings.database_url)
        self._reach = AddressPolicy(settings.webhook_networks)
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._bodies: dict[int, str] = {}
        self._sessions: Sessions
        self._sender: Sender

    async def run(self) -> None:
        """Work until told to stop; a lost database is waited for."""
        pause = 0.25
        while not self._stopping.is_set():
            lost = False
            try:
                await self._work()
            except* (*OUTAGES, PgqException) as group:
                lost = True
                _log.warning("The courier lost contact with the database: %s", _reasons(group))
            if lost:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def stop(self) -> None:
        """Begin nothing new, and end when what is under way has ended."""
        self._stopping.set()
        self._news.set()

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            line = await stack.enter_async_context(self._line())
            engine = create_engine(self._url, pool_size=SESSIONS, pre_ping=False)
            stack.push_async_callback(engine.dispose)
            self._sessions = create_sessions(engine)
            self._sender = await stack.enter_async_context(Sender(self._reach))
            manager = QueueManager(queries(line), channel=CHANNEL)
            manager.entrypoint(ENTRYPOINT)(self._deliver)
            manager.entrypoint(COME_DUE)(self._announce)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._every(REVIVE_SECONDS, revive))
                tasks.create_task(self._every(TIDY_SECONDS, tidy))
                tasks.create_task(self._end(manager))
                await manager.run(
                    dequeue_timeout=timedelta(seconds=POLL_SECONDS),
                    batch_size=_BATCH,
                    max_concurrent_tasks=AT_ONCE,
                    shutdown_on_listener_failure=True,
                    heartbeat_timeout=HEARTBEAT,
                )

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[Line]:
        async with AsyncExitStack() as stack:
            pair = []
            for _ in ("asking", "hearing"):
                connection = await self._connect(options=OPTIONS, autocommit=True)
                stack.push_async_callback(connection.close)
                pair.append(connection)
            yield Line(*pair, also={"change": lambda _: self._news.set()})

    async def _end(self, manager: QueueManager) -> None:
        await self._stopping.wait()
        manager.shutdown.set()

    async def _every(
        self, seconds: float, work: Callable[[AsyncSession], Awaitable[object]]
    ) -> None:
        while not self._stopping.is_set():
            await self._transact(work)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _follow(self) -> None:
        """Make deliveries of every change soon after it is told of, and plan for what it plans."""
        while not self._stopping.is_set():
            self._news.clear()
            while await self._transact(fan_out) == BATCH:
                pass
            await self._transact(await_due)
            await asyncio.sleep(BREATH_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), POLL_SECONDS)

    async def _announce(self, _: Job) -> None:
        with _repeated_after_outage():
            while await self._transact(announce_due):
                pass
            await self._transact(await_due)

    async def _deliver(self, job: Job) -> None:
        assert job.payload is not None
        with _repeated_after_outage():
            await self._take_turn(*turn_of(job.payload))

    async def _take_turn(self, subscription_id: UUID, turn: int) -> None:
        """Send what is due to a subscription until nothing is, or the turn has been long."""
        clock = asyncio.get_running_loop().time
        ends_at = clock() + TURN_SECONDS
        under_way: dict[asyncio.Task[Outcome], UUID] = {}
        outcomes: dict[UUID, Outcome] = {}
        try:
            while True:
                messages = await self._transact(
                    partial(
                        self._step,
                        subscription_id=subscription_id,
                        turn=turn,
                        outcomes=outcomes,
                        under_way=set(under_way.values()),
                        open_ended=clock() < ends_at and not self._stopping.is_set(),
                    )
                )
                for one in messages:
                    under_way[asyncio.create_task(self._sender.send(one))] = one.id
                if not under_way:
                    return
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                outcomes = {under_way.pop(task): task.result() for task in done}
        finally:
            for task in under_way:
                task.cancel()

    async def _step(
        self,
        session: AsyncSession,
        *,
        subscription_id: UUID,
        turn: int,
        outcomes: Mapping[UUID, Outcome],
        under_way: AbstractSet[UUID],
        open_ended: bool,
    ) -> list[Message]:
        step = await advance(
            session,
            subscription_id,
            turn,
            outcomes=outcomes,
            under_way=under_way,
            open_ended=open_ended,
        )
        if step is None:
            return []
        if step.disabled:
            _log.warning("Subscription %s is disabled: %s.", subscription_id, step.disabled)
        return [
            Message(one, step.url, step.secrets, await self._body(session, one, change))
            for one, change in step.due.items()
        ]

    async def _body(self, session: AsyncSession, message_id: UUID, number: int | None) -> str:
        """Return what is sent: the same at every attempt, and to everyone."""
        if number is None:
            return _json(test_event(message_id))
        if number not in self._bodies:
            change = await session.get_one(Change, number)
            if len(self._bodies) >= _BODIES:
                self._bodies.clear()
            self._bodies[number] = _json(enveloped(change_record(change)))
        return self._bodies[number]

    async def _transact(self, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
        async with self._sessions() as session, session.begin():
            return await work(session)


async def await_due(session: AsyncSession) -> None:
    """See that what comes due next is announced when it does, by whichever courier."""
    due, now = await next_due(session), await session.scalar(select(func.now()))
    if due is not None and now is not None:
        wait = max(due - now, timedelta())
        await enqueue(session, [Errand(COME_DUE, b"", f"{COME_DUE} {due.isoformat()}", wait)])


@contextmanager
def _repeated_after_outage() -> Iterator[None]:
    try:
        yield
    except OUTAGES as error:
        _log.warning("A job was interrupted: %s", reason(error))
        raise RetryRequested(timedelta(seconds=1), "the database is unavailable") from error


def main(settings: Settings) -> None:
    """Be a courier until SIGTERM or SIGINT."""

    async def work() -> None:
        courier, loop = DeliveryWorker(settings), asyncio.get_running_loop()

        def stop() -> None:
            courier.stop()
            # Not cancelled: the queue would take the jobs for done, and what was not ended in
            # time is the next courier's.
            loop.call_later(settings.drain_seconds, os._exit, 0)

        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, stop)
        await courier.run()

    uvloop.run(work())


def test_event(message_id: UUID) -> dict[str, object]:
    """Return what a test message says: a CloudEvent about nothing."""
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
    return "; ".join(
        _reasons(one) if isinstance(one, BaseExceptionGroup) else reason(one) or type(one).__name__
        for one in group.exceptions
    )
