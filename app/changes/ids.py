"""Ids for new rows: ordered by time, or derived from a seed and therefore always the same."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

_SEEDS = UUID("5f0e3c1a-0d0f-5b0e-9a57-6c6f73736e67")


def seed_id(seed: str, name: str) -> UUID:
    """Return the id of a row from a seed, which is the same in every database."""
    return uuid5(_SEEDS, f"{seed} {name}")


def new_ids(
    recorded_at: datetime, names: Sequence[str], *, seed: str | None = None
) -> dict[str, UUID]:
    """Return an id for each name: UUIDv7 in the order of names, or fixed ids for a seed."""
    if seed is not None:
        return {name: seed_id(seed, name) for name in names}
    return {name: _uuid7(recorded_at, position) for position, name in enumerate(names)}


def _uuid7(instant: datetime, position: int) -> UUID:
    """Return a UUIDv7 (RFC 9562): milliseconds, then ``position`` in 12 bits, then 62 random bits.

    Positions from 4,096 on use the following milliseconds.
    """
    later, position = divmod(position, 1 << 12)
    milliseconds = int(instant.timestamp() * 1000) + later
    return UUID(
        int=milliseconds << 80 | 0x7 << 76 | position << 64 | 0b10 << 62 | secrets.randbits(62)
    )
