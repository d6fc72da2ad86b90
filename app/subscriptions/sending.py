"""One attempt to deliver a message: signed by Standard Webhooks, limited, never redirected.

Before the first one the receiver is asked whether it wants to be called, as CloudEvents has it
(HTTP 1.1 Web Hooks for Event Delivery, section 4).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Self
from uuid import UUID

import aiohttp
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook

from app.subscriptions.addresses import AddressPolicy, AddressRefused
from app.subscriptions.deliveries import Outcome

SECONDS = 15.0
"""The limit for a whole attempt, from resolving the name to the last byte that is read."""
AT_ONCE = 200
ANSWER_BYTES = 4096
DEFAULT_ORIGIN = "crossing-status"
"""What calls, unless the operator has named the service."""
MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"

_FAULTS: dict[type[Exception], str] = {
    TimeoutError: "no complete answer in time",
    aiohttp.ClientSSLError: "no secure connection: the certificate is not valid",
    aiohttp.InvalidURL: "refused: the URL does not have a valid host name",
    aiohttp.ClientConnectorDNSError: "the host name does not resolve",
    aiohttp.ClientConnectorError: "no connection",
    aiohttp.ClientPayloadError: "the connection was closed before the answer was complete",
    aiohttp.ClientOSError: "the connection was closed before the answer was complete",
    aiohttp.ServerDisconnectedError: "the connection was closed before the answer was complete",
}
"""Messages by the type of error; the first that matches applies."""
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Message:
    """What to send, where to, and the secrets to sign it with; the body is JSON."""

    id: UUID
    url: str
    secrets: Sequence[str]
    body: str


def sign(message: Message, at: datetime) -> dict[str, str]:
    """Return the headers with the signatures of a message, one by each of its secrets."""
    message_id = str(message.id)
    signatures = [Webhook(secret).sign(message_id, at, message.body) for secret in message.secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


class Sender:
    """Sends messages, a limited number at a time; used as a context manager."""

    def __init__(
        self,
        reach: AddressPolicy,
        *,
        origin: str = DEFAULT_ORIGIN,
        seconds: float | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._reach = reach
        self._origin = origin
        self._seconds = SECONDS if seconds is None else seconds
        self._resolver = resolver
        self._places = asyncio.Semaphore(AT_ONCE)
        self._by_scheme: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        for scheme in ("http", "https"):
            connector = aiohttp.TCPConnector(
                limit=0,
                resolver=self._resolver,
                socket_factory=partial(self._reach.open, secure=scheme == "https"),
            )
            self._by_scheme[scheme] = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                headers={"Content-Type": MEDIA_TYPE, "User-Agent": "crossing-status"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for session in self._by_scheme.values():
            await session.close()

    def forget_names(self) -> None:
        """Resolve every name anew."""
        for session in self._by_scheme.values():
            assert isinstance(session.connector, aiohttp.TCPConnector)
            session.connector.clear_dns_cache()

    async def send(self, message: Message) -> Outcome:
        """Make one attempt. Any error is its outcome."""
        at = datetime.now(UTC)
        body = message.body.encode()
        return await self._attempt("POST", message.url, at, sign(message, at), body)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Make one attempt to send anything. Any error is its outcome."""
        return await self._attempt("POST", url, datetime.now(UTC), headers, body)

    async def ask(self, url: str) -> Outcome:
        """Ask a receiver whether it wants to be called. Any error is the outcome, a no too."""
        asking = {"WebHook-Request-Origin": self._origin}
        return await self._attempt("OPTIONS", url, datetime.now(UTC), asking, allows=self._allows)

    def _allows(self, headers: Mapping[str, str]) -> str | None:
        """Return why an answer does not allow calls; None if it does."""
        allowed = headers.get("WebHook-Allowed-Origin")
        if allowed is None:
            return "no WebHook-Allowed-Origin in the answer to OPTIONS"
        origins = {origin.strip().lower() for origin in allowed.split(",")}
        if origins.isdisjoint({"*", self._origin.lower()}):
            return f"WebHook-Allowed-Origin does not allow {self._origin}"
        return None

    async def _attempt(
        self,
        method: str,
        url: str,
        at: datetime,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        allows: Callable[[Mapping[str, str]], str | None] = lambda _: None,
    ) -> Outcome:
        """Make a request; ``allows`` returns what is wrong with the headers of a success."""
        async with self._places:
            began = time.monotonic()
            status, retry_after = None, None
            try:
                session = self._by_scheme[url.partition(":")[0].lower()]
                async with session.request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    # Read so that the connection can be reused; a longer response ends it.
                    await response.content.read(ANSWER_BYTES)
                    status = response.status
                    if status in _BUSY and "Retry-After" in response.headers:
                        retry_after = retry_delay(response.headers["Retry-After"], at)
                    is_success = HTTPStatus(200) <= status < HTTPStatus(300)
                    error = allows(response.headers) if is_success else f"status {status}"
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as fault:
                error = _message_of(fault)
            milliseconds = round((time.monotonic() - began) * 1000)
            return Outcome(at, milliseconds, status, error, retry_after)


def retry_delay(header: str, now: datetime) -> timedelta | None:
    """Return the delay that a Retry-After asks for; None for a malformed one."""
    if header.isascii() and header.isdigit():
        return timedelta(seconds=int(header[:6]))
    try:
        return max(parsedate_to_datetime(header).astimezone(UTC) - now, timedelta())
    except ValueError:
        return None


def _message_of(fault: Exception) -> str:
    """Return a message without the receiver's response or address, which are private."""
    refusal = getattr(fault, "os_error", None)
    if isinstance(refusal, AddressRefused):
        return f"refused: the URL {refusal}"
    for kind, message in _FAULTS.items():
        if isinstance(fault, kind):
            return message
    return "the answer is not HTTP"
