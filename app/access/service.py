"""Make, list, revoke and check API keys."""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from typing import NamedTuple

import iso3166
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import Key, new_key, parse_key
from app.access.models import ApiKey, KeyRevocation
from app.database.driver import fetch
from app.errors import Forbidden, Unauthorized, invalid
from app.http.bodies import BLANK, is_blank
from app.vocabulary import KeyScope

_VALID = """
    SELECT id, name, secret_hash, scopes, sides
    FROM api_key LEFT JOIN key_revocation ON key_id = id
    WHERE id = %(key_id)s AND key_id IS NULL AND (expires_at IS NULL OR expires_at > now())
"""


class _KeyRow(NamedTuple):
    id: str
    name: str
    secret_hash: bytes
    scopes: list[str]
    sides: list[str] | None


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who writes: a valid key's holder. ``sides`` None may speak for every side."""

    key_id: str | None
    name: str
    scopes: frozenset[KeyScope]
    sides: frozenset[str] | None = None

    def require_scope(self, scope: KeyScope) -> None:
        """Raise Forbidden unless the key has ``scope``."""
        if scope not in self.scopes:
            raise Forbidden(f"The key {self.name!r} lacks the scope {scope.value}.")

    def require_sides(self, sides: Iterable[str]) -> None:
        """Raise Forbidden unless the key may speak for all of ``sides``."""
        barred = sorted(set(sides) - self.sides) if self.sides is not None else []
        if barred:
            raise Forbidden(f"The key {self.name!r} may not speak for {', '.join(barred)}.")


async def create_key(
    session: AsyncSession,
    *,
    name: str,
    scopes: Iterable[KeyScope],
    sides: Iterable[str] | None = None,
    expires_at: datetime | None = None,
) -> Key:
    """Store a new key and return it: its secret is shown this once and never again.

    Raises Invalid for a blank name, one that another key has or had, a side that is no country,
    and an expiry that has passed.
    """
    if is_blank(name):
        raise invalid("name", BLANK)
    if (namesake := await session.scalar(select(ApiKey.id).where(ApiKey.name == name))) is not None:
        raise invalid("name", f"{name!r} is the name of the key {namesake}: choose another")
    for side in sides or ():
        if side not in iso3166.countries_by_alpha2:
            raise invalid("side", f"{side!r} is not an ISO 3166-1 alpha-2 code, such as LT")
    now = await session.scalar(select(func.now()))
    if expires_at is not None and now is not None and expires_at <= now:
        raise invalid("expires_at", "must lie in the future")
    key = new_key()
    session.add(
        ApiKey(
            id=key.id,
            name=name,
            secret_hash=key.secret_hash,
            scopes=sorted({scope.value for scope in scopes}),
            sides=sorted(set(sides)) if sides else None,
            expires_at=expires_at,
        )
    )
    await session.flush()  # a refusal by the database belongs to the caller
    return key


async def free_name(session: AsyncSession, name: str) -> str:
    """Return a name that no key has: ``name``, with a number if need be."""
    names = set(await session.scalars(select(ApiKey.name)))
    candidates = chain([name], (f"{name} {number}" for number in count(2)))
    return next(candidate for candidate in candidates if candidate not in names)


async def list_keys(session: AsyncSession) -> Sequence[tuple[ApiKey, datetime | None]]:
    """Return every key with the instant it was revoked, oldest first."""
    rows = (
        select(ApiKey, KeyRevocation.revoked_at)
        .outerjoin(KeyRevocation, KeyRevocation.key_id == ApiKey.id)
        .order_by(ApiKey.created_at, ApiKey.id)
    )
    return [(key, revoked_at) for key, revoked_at in await session.execute(rows)]


async def revoke_key(session: AsyncSession, *, key_id: str) -> bool:
    """End a key from the next request on; False if there is none or it is revoked already."""
    key = await session.get(ApiKey, key_id)
    revocation = await session.get(KeyRevocation, key_id)
    if key is None or revocation is not None:
        return False
    session.add(KeyRevocation(key_id=key_id))
    return True


async def authenticate(session: AsyncSession, token: str | None) -> Reporter:
    """Return who holds ``token``. Raises Unauthorized without saying what was wrong with it."""
    key = parse_key(token) if token else None
    row = None
    if key is not None:
        found = await fetch(session, _KeyRow, _VALID, {"key_id": key.id})
        row = found[0] if found else None
    if key is None or row is None or not hmac.compare_digest(row.secret_hash, key.secret_hash):
        raise Unauthorized(
            "Send a valid key: Authorization: Bearer KEY.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return Reporter(
        key_id=row.id,
        name=row.name,
        scopes=frozenset(KeyScope(scope) for scope in row.scopes),
        sides=None if row.sides is None else frozenset(row.sides),
    )
