"""Ids for new rows: ordered by time, or derived from a seed so that they never differ."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

_SEEDS = UUID("5f0e3c1a-0d0f-5b0e-9a57-6c6f73736e67")


def seed_id(seed: str, name: str) -> UUID:
    """Return the id of what a seed brings: the same in every database."""
    return uuid5(_SEEDS, f"{seed} {name}")


async def mint(
    session: AsyncSession, names: Sequence[str], *, seed: str | None = None
) -> dict[str, UUID]:
    """Return an id for each name: UUIDv7 of the database, or always the same for a seed."""
    if seed is not None:
        return {name: seed_id(seed, name) for name in names}
    rows = select(func.uuidv7()).select_from(func.generate_series(1, len(names)).alias())
    return dict(zip(names, await session.scalars(rows), strict=True))
