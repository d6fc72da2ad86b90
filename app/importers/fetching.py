"""Fetch a payload: only if it changed, within limits, and without following redirects."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.metadata import version
from types import TracebackType
from typing import Self

import aiohttp

from app.importers.findings import quoted
from app.subscriptions.sending import retry_delay

SECONDS = 60.0
"""The limit for a whole fetch, from resolving the name to the last byte."""
MAX_BYTES = 5_000_000
"""The largest payload, decompressed: ten times the largest feed."""
LONGEST_RETRY_AFTER = timedelta(days=1)

_FAULTS: dict[type[Exception], str] = {
    TimeoutError: "gave no complete answer in time",
    aiohttp.ClientSSLError: "has no valid certificate",
    aiohttp.InvalidURL: "is not a valid address",
    aiohttp.ClientConnectorDNSError: "has a host name that does not resolve",
    aiohttp.ClientConnectorError: "cannot be connected to",
    aiohttp.ClientPayloadError: "closed the connection before the answer was complete",
    aiohttp.ClientOSError: "closed the connection before the answer was complete",
    aiohttp.ServerDisconnectedError: "closed the connection before the answer was complete",
}
"""Messages by the type of error; the first that matches applies."""


class FetchFailed(Exception):
    """There is no payload. The message says why, to follow "the address"."""

    def __init__(self, reason: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """The delay that the server asked for by Retry-After."""


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of a payload, for a conditional request."""

    etag: str | None = None
    last_modified: str | None = None

    def headers(self) -> dict[str, str]:
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


@dataclass(frozen=True, slots=True)
class Payload:
    """The content of an address or a file."""

    body: bytes
    fetched_at: datetime
    validators: Validators = Validators()


class Fetcher:
    """Fetches payloads; used as a context manager."""

    def __init__(self, *, seconds: float | None = None, max_bytes: int | None = None) -> None:
        self._seconds = SECONDS if seconds is None else seconds
        self._max_bytes = MAX_BYTES if max_bytes is None else max_bytes
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            headers={"User-Agent": f"crossing-status/{version('crossing-status')}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def fetch(self, address: str, validators: Validators) -> Payload | None:
        """Return the payload; None if it has not changed. Raises FetchFailed."""
        try:
            return await self._fetch(address, validators)
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise FetchFailed(_reason(fault)) from fault

    async def _fetch(self, address: str, validators: Validators) -> Payload | None:
        async with self._session.get(
            address, headers=validators.headers(), allow_redirects=False
        ) as response:
            if response.status == HTTPStatus.NOT_MODIFIED:
                return None
            if response.status == HTTPStatus.OK:
                validators = Validators(
                    response.headers.get("ETag"), response.headers.get("Last-Modified")
                )
                body = await self._read(response)
                return Payload(body, datetime.now(UTC), validators)
            if 300 <= response.status < 400:  # noqa: PLR2004 -- redirects
                # Only the addresses of the importer are connected to.
                to = quoted(response.headers.get("Location", "nowhere"))
                raise FetchFailed(f"answered {response.status}, with a redirect to {to}")
            wait = response.headers.get("Retry-After")
            delay = None if wait is None else retry_delay(wait, datetime.now(UTC))
            raise FetchFailed(
                f"answered {response.status}",
                retry_after=None if delay is None else min(delay, LONGEST_RETRY_AFTER),
            )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        too_large = f"answered with more than {self._max_bytes} bytes"
        if (response.content_length or 0) > self._max_bytes:
            raise FetchFailed(too_large)
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > self._max_bytes:
                raise FetchFailed(too_large)
        return bytes(body)


def _reason(fault: Exception) -> str:
    for kind, message in _FAULTS.items():
        if isinstance(fault, kind):
            return message
    return "did not answer with HTTP"
