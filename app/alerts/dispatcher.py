"""Send alerts, beside the delivery worker: follow the log, make deliveries, and send them."""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from app.alerts.deliveries import (
    LEASE,
    AlertAttempt,
    Due,
    Verdict,
    forget_unconfirmed,
    record,
    renew,
    take,
)
from app.alerts.fanout import BATCH, CHANNEL, fan_out_alerts
from app.alerts.mail import Envelope, Letterhead, Mailer, MailServer
from app.alerts.messages import (
    AlertMessage,
    Audience,
    CrossingNews,
    load_news,
    message_of,
    name_of,
    words_of,
)
from app.alerts.push import TTL_SECONDS, PushAddress, PushSigner, VapidKey
from app.alerts.service import Recipient
from app.config import Settings
from app.database.connections import Connector
from app.database.monitor import OUTAGES, reason
from app.database.sessions import Transact
from app.delivery.worker import BREATH_SECONDS, POLL_SECONDS, listen, wait_for_event
from app.encryption import UnreadableSecret
from app.languages.words import Words
from app.subscriptions.addresses import AddressPolicy
from app.subscriptions.sending import Sender
from app.vocabulary import AlertChannel

AT_ONCE = 1_000
"""Alerts that are being sent at the same time."""
AT_ONE_HOST = 100
"""Of these, messages to one push service: one that does not answer keeps no others waiting."""
_BATCH = 200
_RECORD_SECONDS = 0.1
"""How often outcomes are recorded, all those since the last time together."""
_TIDY_SECONDS = 600.0
_DRAIN_SECONDS = 4.0
"""For so long what is being sent may go on when the worker stops."""

_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
"""What a push service answers of a subscription that has expired, or was ended."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchNews:
    """What there is to say to the recipients of a batch, each of which is said to many of them."""

    root: str
    """The path of the service."""
    news: Mapping[Audience, Mapping[str, CrossingNews]]
    _messages: dict[tuple[object, ...], AlertMessage | None] = field(default_factory=dict)
    _payloads: dict[tuple[object, ...], bytes] = field(default_factory=dict)

    def message(self, due: Due) -> AlertMessage | None:
        """Return what a delivery says; None if the vehicle can use none of its crossings."""
        key = _saying(due)
        if key not in self._messages:
            vehicle = _audience(due)
            known = self.news[vehicle]
            present = [known[crossing] for crossing in due.crossings if crossing in known]
            words = words_of(due.language)
            self._messages[key] = message_of(words, present, vehicle) if present else None
        return self._messages[key]

    def payload(self, due: Due) -> bytes | None:
        """Return what a delivery says to the service worker of a browser."""
        message = self.message(due)
        if message is None:
            return None
        key = _saying(due)
        if key not in self._payloads:
            self._payloads[key] = message.payload(root=self.root, tag=_topic(due))
        return self._payloads[key]

    def subjects(self, due: Due, words: Words) -> str:
        """Name all that an alert is about, and for which vehicle."""
        vehicle = _audience(due)
        known = self.news[vehicle]
        crossings = [known[name].details for name in due.all_crossings if name in known]
        names = [*(name_of(words, one) for one in crossings), *map(words.border, due.borders)]
        whom = vehicle.whom(words)
        return ", ".join(names) + (f" ({whom})" if whom else "")


class AlertDispatcher:
    """Sends the alerts of one process. Without a key for what is stored there are none."""

    def __init__(self, settings: Settings) -> None:
        self._cipher = settings.cipher
        self._reach = AddressPolicy(settings.webhook_networks)
        self._root = urlsplit(settings.public_url or "").path
        self._channels: list[AlertChannel] = []
        self._signer: PushSigner | None = None
        self._mailer: Mailer | None = None
        self._letterhead: Letterhead | None = None
        if settings.vapid_key is not None:
            contact = settings.security_contact or settings.public_url
            is_contact = contact is not None and contact.startswith(("mailto:", "https:"))
            self._signer = PushSigner(
                VapidKey.read(settings.vapid_key), contact if is_contact else None
            )
            self._channels.append(AlertChannel.PUSH)
        if settings.smtp_url and settings.mail_from and settings.public_url:
            self._mailer = Mailer(MailServer.of(settings.smtp_url))
            self._letterhead = Letterhead(settings.mail_from, settings.public_url)
            self._channels.append(AlertChannel.EMAIL)
        self._news, self._due = asyncio.Event(), asyncio.Event()
        self._under_way: dict[asyncio.Task[None], int] = {}
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._transact: Transact
        self._sender: Sender

    async def run(self, transact: Transact, connector: Connector) -> None:
        """Send until it is cancelled. Raises when the database is lost."""
        if self._cipher is None or not self._channels:
            return
        self._transact = transact
        async with AsyncExitStack() as stack:
            self._sender = await stack.enter_async_context(Sender(self._reach))
            if self._mailer is not None:
                stack.push_async_callback(self._mailer.close)
            await stack.enter_async_context(self._finishing())
            async with asyncio.TaskGroup() as tasks:
                for task in (self._listen(connector), self._follow(), self._send(), self._tidy()):
                    _ = tasks.create_task(task)

    @asynccontextmanager
    async def _finishing(self) -> AsyncIterator[None]:
        """Let what is being sent end; what does not is sent again once its lease has expired."""
        try:
            yield
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=_DRAIN_SECONDS)
            for task in self._under_way:
                task.cancel()

    async def _listen(self, connector: Connector) -> None:
        await listen(connector, {"change": self._news, CHANNEL: self._due})

    async def _follow(self) -> None:
        while True:
            self._news.clear()
            while await self._transact(fan_out_alerts) == BATCH:
                pass
            await asyncio.sleep(BREATH_SECONDS)
            await wait_for_event(self._news, POLL_SECONDS)

    async def _tidy(self) -> None:
        while True:
            await self._transact(forget_unconfirmed)
            await asyncio.sleep(_TIDY_SECONDS)

    async def _send(self) -> None:
        while True:
            self._due.clear()
            room = min(_BATCH, AT_ONCE - sum(self._under_way.values()))
            wait: timedelta | None = None
            if room > 0:
                batch, wait = await self._transact(
                    partial(take, channels=self._channels, room=room)
                )
                if batch:
                    task = asyncio.create_task(self._deliver(batch))
                    self._under_way[task] = len(batch)
                    task.add_done_callback(self._batch_ended)
                if len(batch) == room:
                    continue
            seconds = POLL_SECONDS if wait is None else wait.total_seconds()
            await wait_for_event(self._due, max(0.0, min(seconds, POLL_SECONDS)))

    def _batch_ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        # A later delivery may have waited for one of these.
        self._due.set()

    async def _deliver(self, batch: Sequence[Due]) -> None:
        """Send a batch. What is not recorded in the end is sent again later."""
        sending: set[asyncio.Task[AlertAttempt]] = set()
        try:
            news = await self._load(batch)
            sending |= {asyncio.create_task(self._try(due, news)) for due in batch}
            await self._record(batch, sending)
        except OUTAGES as error:
            _log.warning("Alerts were interrupted: %s", reason(error))
        except Exception:  # noqa: BLE001  # logged, and no fault of the other alerts
            _log.exception("Alerts could not be sent")
        finally:
            for task in sending:
                task.cancel()

    async def _load(self, batch: Sequence[Due]) -> BatchNews:
        crossings: defaultdict[Audience, set[str]] = defaultdict(set)
        for due in batch:
            # A request to confirm names all of them.
            crossings[_audience(due)].update(due.crossings or due.all_crossings)
        news = {
            vehicle: await self._transact(partial(load_news, crossings=names, vehicle=vehicle))
            for vehicle, names in crossings.items()
        }
        return BatchNews(self._root, news)

    async def _record(self, batch: Sequence[Due], sending: set[asyncio.Task[AlertAttempt]]) -> None:
        clock = asyncio.get_running_loop().time
        renewed = clock()
        pending = {due.id: due for due in batch}
        while sending:
            done, _ = await asyncio.wait(sending, timeout=_RECORD_SECONDS)
            if done:
                attempts = [task.result() for task in done]
                removed = await self._transact(partial(record, attempts=attempts))
                sending -= done
                for attempt in attempts:
                    del pending[attempt.due.id]
                if removed:
                    _log.info("%s alerts were deleted: nobody receives them any more", removed)
            if pending and clock() - renewed > LEASE.total_seconds() / 4:
                await self._transact(partial(renew, deliveries=list(pending.values())))
                renewed = clock()

    async def _try(self, due: Due, news: BatchNews) -> AlertAttempt:
        """Make an attempt. One that fails by a fault of ours does so alone."""
        try:
            return await self._attempt(due, news)
        except Exception as error:  # noqa: BLE001  # its text may have the address
            _log.error("Alert %s could not be sent: %s", due.alert_id, type(error).__name__)
            return AlertAttempt(due, Verdict.FAILED)

    async def _attempt(self, due: Due, news: BatchNews) -> AlertAttempt:
        assert self._cipher is not None
        try:
            recipient = Recipient.decrypted(due.recipient, self._cipher)
        except UnreadableSecret:
            _log.error(
                "Alert %s waits: its address cannot be read; see CROSSINGS_SECRET_KEY", due.alert_id
            )
            return AlertAttempt(due, Verdict.FAILED)
        if recipient.push is not None:
            return await self._push(due, recipient.push, news)
        return await self._mail(due, recipient, news)

    async def _push(self, due: Due, address: PushAddress, news: BatchNews) -> AlertAttempt:
        assert self._signer is not None
        payload = news.payload(due)
        if payload is None:
            return AlertAttempt(due, Verdict.DELIVERED)
        headers = {
            "Authorization": self._signer.authorization(address.endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(TTL_SECONDS),
            "Topic": _topic(due),
            "Urgency": "high",
        }
        async with self._turn_at(address.endpoint):
            outcome = await self._sender.post(address.endpoint, headers, address.encrypt(payload))
        if outcome.error is None:
            return AlertAttempt(due, Verdict.DELIVERED)
        verdict = Verdict.GONE if outcome.status in _GONE else Verdict.REFUSED
        return AlertAttempt(due, verdict, outcome.retry_after)

    def _turn_at(self, endpoint: str) -> asyncio.Semaphore:
        host = urlsplit(endpoint).netloc
        turn = self._hosts.get(host)
        if turn is None:
            turn = self._hosts[host] = asyncio.Semaphore(AT_ONE_HOST)
        return turn

    async def _mail(self, due: Due, recipient: Recipient, news: BatchNews) -> AlertAttempt:
        assert self._mailer is not None
        assert self._letterhead is not None
        assert recipient.email is not None
        words = words_of(due.language)
        envelope = Envelope(
            recipient.email, due.id, due.alert_id, recipient.token, datetime.now(UTC)
        )
        if due.change is None:
            mail = self._letterhead.confirmation(words, news.subjects(due, words), envelope)
        elif message := news.message(due):
            mail = self._letterhead.alert(words, message, envelope)
        else:
            return AlertAttempt(due, Verdict.DELIVERED)
        verdict, error = await self._mailer.send(mail)
        if error is not None:
            _log.warning("Message %s was not sent: %s", due.id, error)
        return AlertAttempt(due, verdict)


def _saying(due: Due) -> tuple[object, ...]:
    """Return what decides the text of a delivery."""
    return due.language, due.traffic, due.to, tuple(due.crossings)


def _audience(due: Due) -> Audience:
    return Audience(due.traffic, due.to)


def _topic(due: Due) -> str:
    """Return what a later message replaces, if the browser has not received it by then.

    It is at most 32 characters of the base64 of URLs (RFC 8030).
    """
    return hashlib.sha256(" ".join(sorted(due.crossings)).encode()).hexdigest()[:32]
