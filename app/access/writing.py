"""Writes: who may write, a retry that is answered once, and the preview of a write."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, NamedTuple

import rfc8785
from fastapi import Depends, Header, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg.rows import args_row
from pydantic import BaseModel, JsonValue
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import IdempotencyRecord, SecretAnswer
from app.access.service import Reporter, authenticate
from app.database.driver import driver
from app.database.monitor import DatabaseMonitor
from app.database.sessions import Sessions, WriteSession, append
from app.encryption import Cipher, UnreadableSecret
from app.errors import (
    KeyInFlight,
    KeyReused,
    SecretsUnavailable,
    Unauthorized,
    invalid,
    sqlstate_of,
)
from app.http.parameters import require_json
from app.http.routing import SMALL_BODY
from app.limits.requests import RequestLimits
from app.vocabulary import KeyScope

_BODY_HEADERS = {"content-type", "content-length"}
_LOCK_NOT_AVAILABLE = "55P03"

_LOCK_KEY = """
    SELECT pg_advisory_xact_lock(hashtextextended(%(key_id)s || ' ' || %(idempotency_key)s, 0))
"""
SECRETS_KEPT = timedelta(days=1)
"""How long a retry gets the secret that its first answer had."""

_SELECT_STORED = """
    SELECT request_hash, status, headers, answer.body, secret.body
    FROM kept_answer answer LEFT JOIN secret_answer secret
        ON secret.key_id = answer.key_id AND secret.idempotency_key = answer.idempotency_key
            AND secret.kept_at > now() - %(secrets_kept)s
    WHERE answer.key_id = %(key_id)s AND answer.idempotency_key = %(idempotency_key)s
"""
_FORGET_SECRETS = text("DELETE FROM secret_answer WHERE kept_at <= now() - CAST(:age AS interval)")

ValidateOnly = Annotated[
    bool,
    Query(
        description="Check everything and answer 200 with what would change, without writing"
        " anything."
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=255,
        description="Any string that is unique to this write, bare or quoted. A retry with the"
        " same key, path and body gets the first answer again, with `Idempotent-Replayed: true`."
        " Never deleted, save for a secret: after a day it is null.",
    ),
]
_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key, made with `crossings keys create`.",
)
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did: the body to answer with, its location, its change and the new ids.

    What is not part of the log has no change, and a write of several things has no location.
    """

    body: BaseModel
    location: str | None
    change: int | None
    new_ids: AbstractSet[str] = field(default_factory=frozenset)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the response."""
    without_secret: BaseModel | None = None
    """The body as it is kept for good, if the one to answer with has a secret."""


class _StoredAnswer(NamedTuple):
    request_hash: bytes
    status: int
    headers: dict[str, object]
    body: bytes
    secret_body: str | None
    """The whole body, encrypted, if it has a secret that is still kept."""


@dataclass(frozen=True, slots=True)
class IdempotentWriter:
    """The write of one request: its transaction, its reporter and its options."""

    request: Request
    session: AsyncSession
    reporter: Reporter
    idempotency_key: str | None
    validate_only: bool

    async def run(
        self,
        body: BaseModel,
        write: Callable[[AsyncSession, Reporter], Awaitable[WriteResult]],
        *,
        status: int = 201,
    ) -> Response:
        """Run ``write``, unless an answer is stored under the idempotency key.

        The answer is stored in the transaction of the write: either both are committed or neither.
        """
        if self.validate_only:
            return await self._preview(write)
        if self.idempotency_key is None:
            return _answer(await write(self.session, self.reporter), status)
        request_hash = self._request_hash(body)
        stored = await self._stored_answer()
        if stored is not None:
            # The first commit may have waited in vain for a standby: the next one waits again,
            # but only if it has something to write.
            await self.session.execute(select(func.pg_logical_emit_message(True, "replay", "")))
            return self._replay(stored, request_hash)
        result = await write(self.session, self.reporter)
        response = _answer(result, status)
        await self._store(response, request_hash, result.without_secret)
        return response

    async def _store(
        self, response: Response, request_hash: bytes, without_secret: BaseModel | None
    ) -> None:
        names = {"key_id": self.reporter.key_id, "idempotency_key": self.idempotency_key}
        answer = IdempotencyRecord(
            **names,
            request_hash=request_hash,
            status=response.status_code,
            headers={
                name: value for name, value in response.headers.items() if name not in _BODY_HEADERS
            },
            body=bytes(response.body) if without_secret is None else _json(without_secret).encode(),
        )
        await append(self.session, answer)
        if without_secret is not None:
            body = cipher_of(self.request).encrypt(bytes(response.body).decode())
            await append(self.session, SecretAnswer(**names, body=body))

    async def _preview(
        self, write: Callable[[AsyncSession, Reporter], Awaitable[WriteResult]]
    ) -> Response:
        async with self.session.begin_nested() as savepoint:
            result = await write(self.session, self.reporter)
            # Deferred constraints are checked now, since this is never committed.
            await self.session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            await savepoint.rollback()
        body = _as_preview(result.body.model_dump(mode="json", by_alias=True), result)
        return Response(json.dumps(body), 200, media_type="application/json")

    async def _stored_answer(self) -> _StoredAnswer | None:
        """Return the stored answer, after waiting for a first request that is still under way."""
        parameters = {
            "key_id": self.reporter.key_id,
            "idempotency_key": self.idempotency_key,
            "secrets_kept": SECRETS_KEPT,
        }
        try:
            async with driver(self.session) as connection:
                # One round trip; the select runs once the lock is held.
                async with connection.pipeline():
                    await connection.execute(_LOCK_KEY, parameters)
                    cursor = connection.cursor(row_factory=args_row(_StoredAnswer))
                    await cursor.execute(_SELECT_STORED, parameters)
                return await cursor.fetchone()
        except OperationalError as error:
            if sqlstate_of(error) != _LOCK_NOT_AVAILABLE:
                raise
            raise KeyInFlight(
                "A request with this Idempotency-Key has not finished yet; try again soon.",
                headers={"Retry-After": "2"},
            ) from error

    def _replay(self, stored: _StoredAnswer, request_hash: bytes) -> Response:
        if stored.request_hash != request_hash:
            raise KeyReused("This Idempotency-Key was used for a request with a different body.")
        headers = {name: str(value) for name, value in stored.headers.items()}
        body = stored.body
        if stored.secret_body is not None:
            try:
                body = cipher_of(self.request).decrypt(stored.secret_body).encode()
            except UnreadableSecret as error:
                raise SecretsUnavailable(
                    "The secret in the stored answer cannot be read with the service's keys."
                ) from error
        return Response(
            body,
            stored.status,
            headers={**headers, "Idempotent-Replayed": "true"},
            media_type="application/json",
        )

    def _request_hash(self, body: BaseModel) -> bytes:
        # In a PATCH, null and absent differ; elsewhere a default may be spelt out.
        partial = self.request.method == "PATCH"
        values = body.model_dump(mode="json", by_alias=True, exclude_unset=partial)
        canonical = rfc8785.dumps(values)
        return hashlib.sha256(self.request.url.path.encode() + b"\n" + canonical).digest()


class _ReporterDependency:
    """The dependency that gives the reporter, whose key is looked up before the body is read."""

    body_bytes = 0

    def __init__(self, scope: KeyScope) -> None:
        self._scope = scope

    async def admit(self, request: Request) -> None:
        """Raise RateLimited, or Unauthorized or Forbidden unless the key has the scope."""
        credentials = await _bearer(request)
        sessions: Sessions = request.app.state.key_sessions
        monitor: DatabaseMonitor = request.app.state.monitor
        token = credentials.credentials if credentials else None
        limits: RequestLimits = request.app.state.limits
        limits.require_trust(request.scope)
        try:
            async with monitor.deadline(), sessions() as session:
                reporter = await authenticate(session, token)
        except Unauthorized:
            await limits.count_wrong_key(request.scope)
            raise
        request.state.key = reporter.key_id
        await limits.count_question(request.scope, reporter.key_id)
        reporter.require_scope(self._scope)
        request.state.reporter = reporter

    async def __call__(self, request: Request, _: _Credentials) -> Reporter:
        reporter: Reporter = request.state.reporter
        return reporter


class _WriterDependency(_ReporterDependency):
    """The dependency that gives the writer, which waits for its turn after the body is read."""

    def __init__(self, scope: KeyScope, body_bytes: int) -> None:
        super().__init__(scope)
        self.body_bytes = body_bytes

    async def admit(self, request: Request) -> None:
        """Raise what the base class does, and UnsupportedMediaType unless the body is JSON."""
        await super().admit(request)
        require_json(request)

    async def __call__(  # type: ignore[override]  # the framework reads each signature by itself
        self,
        request: Request,
        session: WriteSession,
        _: _Credentials,
        validate_only: ValidateOnly = False,
        idempotency_key: IdempotencyKey = None,
    ) -> IdempotentWriter:
        key = None if idempotency_key is None else _unquoted(idempotency_key)
        return IdempotentWriter(request, session, request.state.reporter, key, validate_only)


def writes(scope: KeyScope, *, body_bytes: int = SMALL_BODY) -> object:
    """Return the dependency of an operation that writes with a key of ``scope``.

    Its body may have ``body_bytes``, unless the limit of the service is lower.
    """
    return Depends(_WriterDependency(scope, body_bytes), scope="function")


def requires_key(scope: KeyScope) -> object:
    """Return the dependency of an operation that requires a key with ``scope``."""
    return Depends(_ReporterDependency(scope), scope="function")


def writes_without_body(scope: KeyScope) -> object:
    """Return the dependency of a write without a body, which has no preview."""

    async def writer(
        request: Request,
        session: WriteSession,
        reporter: Annotated[Reporter, requires_key(scope)],
        idempotency_key: IdempotencyKey = None,
    ) -> IdempotentWriter:
        key = None if idempotency_key is None else _unquoted(idempotency_key)
        return IdempotentWriter(request, session, reporter, key, validate_only=False)

    return Depends(writer, scope="function")


def _unquoted(key: str) -> str:
    """Return the key, bare or as the quoted string of the IETF draft."""
    match = re.fullmatch(r'"([\x20-\x7e]{1,253})"|([\x21\x23-\x7e]{1,255})', key)
    if match is None:
        raise invalid(
            "Idempotency-Key", "must be 1 to 255 printable ASCII characters", where="header"
        )
    return match[1] or match[2]


def cipher_of(request: Request) -> Cipher:
    """Return what encrypts secrets. Raises SecretsUnavailable where the service has no key."""
    cipher: Cipher | None = request.app.state.cipher
    if cipher is None:
        raise SecretsUnavailable(
            "The operator has not set CROSSINGS_SECRET_KEY, so the service cannot keep a secret."
        )
    return cipher


async def forget_secrets(session: AsyncSession) -> None:
    """Delete the secrets of stored answers that no retry gets any more."""
    await session.execute(_FORGET_SECRETS, {"age": SECRETS_KEPT})


def _json(body: BaseModel) -> str:
    return body.model_dump_json(by_alias=True)


def _answer(result: WriteResult, status: int) -> Response:
    headers = dict(result.headers)
    if result.change is not None:
        headers["Change-Number"] = str(result.change)
    if status == HTTPStatus.CREATED and result.location is not None:
        headers["Location"] = result.location
    return Response(
        _json(result.body),
        status,
        headers=headers,
        media_type="application/json",
    )


def _as_preview(value: JsonValue, result: WriteResult) -> JsonValue:
    """Return a body with null for the ids and numbers that only a real write has."""
    match value:
        case dict():
            is_new = result.change is not None and result.change in (
                value.get("change"),
                value.get("version"),
            )
            hidden = {"change", "version", "recorded_at"} if is_new else set()
            return {
                name: None if name in hidden else _as_preview(part, result)
                for name, part in value.items()
            }
        case list():
            parts = [_as_preview(part, result) for part in value]
            return [part for part in parts if part is not None]
        case str() if any(new_id in value for new_id in result.new_ids):
            return None
    return value
