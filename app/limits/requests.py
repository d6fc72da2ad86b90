"""What each request may cost, and how it is told: `RateLimit` fields, `Retry-After`, a problem.

There are four limits. What is answered from the memory of a process is counted there, each second
anew: that has to cost next to nothing. What asks the database, keys that are wrong, and alerts are
counted in a store that all processes may share.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from starlette.types import Message, Scope, Send

from app.config import Settings
from app.database.monitor import monotonic_seconds
from app.database.sessions import Sessions
from app.errors import RateLimited
from app.http.clients import client_network
from app.limits.stores import (
    DatabaseAllowances,
    MemoryAllowances,
    PatientStore,
    Rate,
    RedisAllowances,
    Taken,
)

_MOST_REFUSED = 10_000
"""Refusals that a process remembers."""
_HEADERS = "rate limit headers"
_USED = "rate limit used"
_NOT_MODIFIED = 304
_MAILS = Rate(1, 600, 1)
"""Requests to confirm that one e-mail address is sent, whoever asks for it."""

_Header = tuple[bytes, bytes]
_FREE = ("/health/", "/metrics")
"""Where operators look, and what decides whether a process serves."""
_ASKS = ("/v1/", "/feeds/", "/incidents", "/sources", "/status")
"""Where addresses begin that ask the database, unless the board answers.

Other pages are made from it too: each is counted when it is made, for all who then look at it.
"""
_WITH_KEY = "/v1/subscriptions"


def client_of(scope: Scope) -> str:
    """Return what the client of a request is counted by, as the proxies that are trusted say."""
    client = scope.get("client")
    host: str = client[0] if client else ""
    return client_network(host) if ":" in host else host


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit by its name: how much of what is allowed."""

    name: str
    rate: Rate
    allowed: str
    """What is allowed to each, as a sentence goes on."""

    @property
    def policy(self) -> str:
        """The limit as a `RateLimit-Policy` has it: so many in the time that a burst takes."""
        window = max(1, round(self.rate.burst * self.rate.interval))
        return f'"{self.name}";q={self.rate.burst};w={window}'

    def headers(self, taken: Taken) -> dict[str, str]:
        """Return the fields that tell what is left."""
        reset = math.ceil(taken.whole_after)
        return {
            "RateLimit-Policy": self.policy,
            "RateLimit": f'"{self.name}";r={taken.remaining};t={reset}',
        }

    def refusal(self, who: str, seconds: float) -> RateLimited:
        """Return the problem of a request that may be repeated in so many seconds."""
        wait = max(1, math.ceil(seconds))
        headers = {
            "RateLimit-Policy": self.policy,
            "RateLimit": f'"{self.name}";r=0;t={wait}',
            "Retry-After": str(wait),
        }
        return RateLimited(f"{who} may {self.allowed}. Try again in {wait} s.", headers=headers)


class BoardLimit:
    """Counts what each client is answered from the memory of this process, each second anew."""

    def __init__(self, requests: int) -> None:
        """Allow so many requests in a second."""
        self.limit = Limit("board", Rate(requests, 1, requests), f"ask {requests} times a second")
        self._requests = requests
        self._counts: dict[str, int] = {}
        self._until = 0.0

    def is_exceeded(self, client: str, now: float) -> bool:
        """Count a request; return whether it is one too many."""
        if now >= self._until:
            self._counts, self._until = {}, now + 1
        count = self._counts[client] = self._counts.get(client, 0) + 1
        return count > self._requests

    def give_back(self, client: str) -> None:
        """Do not count a request after all."""
        if client in self._counts:
            self._counts[client] -= 1

    @property
    def policy(self) -> list[_Header]:
        return [(b"ratelimit-policy", self.limit.policy.encode())]


class RequestLimits:
    """The limits of a process. What is not limited is None."""

    def __init__(
        self,
        store: PatientStore | MemoryAllowances,
        *,
        board: int = 0,
        database: Rate | None = None,
        wrong_keys: Rate | None = None,
        alerts: Rate | None = None,
    ) -> None:
        """``board`` is a number of requests in a second, 0 for no limit."""
        self.board = BoardLimit(board) if board else None
        self.database = self.wrong_keys = self.alerts = None
        if database is not None:
            often = f"ask the database {database.requests} times a second, {database.burst} at once"
            self.database = Limit("database", database, often)
        if wrong_keys is not None:
            often = f"send {wrong_keys.requests} wrong keys a minute"
            self.wrong_keys = Limit("wrong-keys", wrong_keys, often)
        if alerts is not None:
            often = f"ask for {alerts.requests} alerts an hour"
            self.alerts = Limit("alerts", alerts, often)
        self._store = store
        self._refused: dict[str, float] = {}
        """Until when each is refused without a question to the store, in `monotonic_seconds`."""

    @classmethod
    def of(cls, settings: Settings, sessions: Callable[[], Sessions]) -> Self:
        """Return the limits of the settings; ``sessions`` opens a pool where the store needs it."""
        database = settings.rate_limit_database
        wrong_keys = settings.rate_limit_wrong_keys
        alerts = settings.rate_limit_alerts
        return cls(
            _store_of(settings.rate_limits_in, sessions),
            board=settings.rate_limit_board,
            database=Rate(database, 1, settings.rate_limit_burst) if database else None,
            wrong_keys=Rate(wrong_keys, 60, wrong_keys) if wrong_keys else None,
            alerts=Rate(alerts, 3_600, alerts) if alerts else None,
        )

    def refusal(self, scope: Scope, now: float) -> RateLimited | None:
        """Count what is answered from memory, at ``now`` on any clock; return the refusal.

        Give back what was a 304 by `BoardLimit.give_back`.
        """
        board = self.board
        if board is None or not board.is_exceeded(client_of(scope), now):
            return None
        return board.limit.refusal(_address(scope), 1)

    async def count(self, scope: Scope, now: float, *, is_stream: bool = False) -> None:
        """Count a request that the board does not answer. Raises RateLimited.

        One with a key is counted once more, when that is known.
        """
        if not is_stream and _asks_database(scope):
            await self.count_question(scope)
        elif not scope["path"].startswith(_FREE):
            refusal = self.refusal(scope, now)
            if refusal is not None:
                raise refusal

    async def count_question(self, scope: Scope, key: str | None = None) -> None:
        """Count a request that asks the database, for its key or its client. Raises RateLimited."""
        if self.database is None:
            return
        who = _address(scope) if key is None else "This key"
        name = f"database {client_of(scope)}" if key is None else f"database key {key}"
        taken = await self._take(self.database, name, who)
        if taken is not None:
            state = scope.setdefault("state", {})
            state[_HEADERS], state[_USED] = self.database.headers(taken), name

    def require_trust(self, scope: Scope) -> None:
        """Raise RateLimited while a client has sent too many wrong keys: none is looked up then."""
        if self.wrong_keys is not None:
            self._require_allowed(
                self.wrong_keys, f"wrong-keys {client_of(scope)}", _address(scope)
            )

    async def count_wrong_key(self, scope: Scope) -> None:
        """Count a wrong key. Raises RateLimited if it was one too many."""
        if self.wrong_keys is None:
            return
        name = f"wrong-keys {client_of(scope)}"
        taken = await self._take(self.wrong_keys, name, _address(scope))
        if taken is not None and not taken.remaining:
            self._refuse_until(name, taken.next_after(self.wrong_keys.rate))

    async def count_alert(self, scope: Scope) -> None:
        """Count a request for an alert. Raises RateLimited."""
        if self.alerts is not None:
            await self._take(self.alerts, f"alerts {client_of(scope)}", _address(scope))

    async def may_write_to(self, address: str) -> bool:
        """Count a request to write to an e-mail address; return whether that may be done now."""
        digest = hashlib.sha256(address.lower().encode()).hexdigest()
        taken = await self._store.take(f"mail {digest}", _MAILS)
        return taken is None or not taken.is_refused

    def telling(self, scope: Scope, send: Send) -> Send:
        """Return ``send`` for a response that tells what is left; a 304 is given back."""
        if self.database is None and self.board is None:
            return send
        state = scope.setdefault("state", {})
        unmodified = False

        async def told(message: Message) -> None:
            nonlocal unmodified
            if message["type"] == "http.response.start":
                unmodified = message["status"] == _NOT_MODIFIED
                headers: dict[str, str] = state.get(_HEADERS, {})
                present = {name.lower() for name, _ in message["headers"]}
                encoded = [
                    (name.lower().encode(), value.encode()) for name, value in headers.items()
                ]
                added = [header for header in encoded if header[0] not in present]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)
            if unmodified and message["type"] == "http.response.body":
                unmodified = False
                await self._give_back(scope)

        return told

    async def close(self) -> None:
        """Close the connections of the store."""
        await self._store.close()

    async def _take(self, limit: Limit, name: str, who: str) -> Taken | None:
        self._require_allowed(limit, name, who)
        taken = await self._store.take(name, limit.rate)
        if taken is not None and taken.is_refused:
            wait = taken.next_after(limit.rate)
            self._refuse_until(name, wait)
            raise limit.refusal(who, wait)
        return taken

    def _require_allowed(self, limit: Limit, name: str, who: str) -> None:
        until = self._refused.get(name)
        if until is None:
            return
        wait = until - monotonic_seconds()
        if wait > 0:
            raise limit.refusal(who, wait)
        del self._refused[name]

    def _refuse_until(self, name: str, seconds: float) -> None:
        """Refuse without a question: meanwhile others can only use up what there will be."""
        if len(self._refused) >= _MOST_REFUSED:
            self._refused.clear()
        self._refused[name] = monotonic_seconds() + seconds

    async def _give_back(self, scope: Scope) -> None:
        used = scope["state"].get(_USED)
        if used is not None and self.database is not None:
            await self._store.take(used, self.database.rate, -1)
        if self.board is not None and not _asks_database(scope):
            self.board.give_back(client_of(scope))


def _asks_database(scope: Scope) -> bool:
    path: str = scope["path"]
    is_read = scope["method"] in {"GET", "HEAD"}
    return is_read and path.startswith(_ASKS) and not path.startswith(_WITH_KEY)


def _address(scope: Scope) -> str:
    return f"The address {client_of(scope)}"


def _store_of(place: str, sessions: Callable[[], Sessions]) -> PatientStore | MemoryAllowances:
    match place:
        case "memory":
            return MemoryAllowances()
        case "postgresql":
            return PatientStore(DatabaseAllowances(sessions()))
        case url:
            return PatientStore(RedisAllowances(url))
