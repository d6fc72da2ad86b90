"""The status as most would serve it: FastAPI, the async ORM, one query a request.

Kept simpler than the service's own answer, in its favour: of each side the newest declaration in
force counts, lanes, confirmations and staleness are left out.
"""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import aliased

from app.status.models import StatusEvent

SEVERITY = ("unknown", "open", "restricted", "closed")
NEWEST = 20

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=20, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Declared(BaseModel):
    """A declaration that decides."""

    id: UUID
    sides: list[str]
    status: str
    since: datetime
    until: datetime | None
    reason: str | None
    recorded_at: datetime
    recorded_by: str


class Status(BaseModel):
    """What a crossing is."""

    crossing: str
    status: str
    sides: dict[str, str]
    decided_by: list[Declared]


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


@app.get("/v1/crossings/{crossing_id}/status")
async def get_status(
    crossing_id: str, session: Annotated[AsyncSession, Depends(session)]
) -> Status:
    undoing = aliased(StatusEvent)
    rows = await session.scalars(
        select(StatusEvent)
        .where(
            StatusEvent.crossing_id == crossing_id,
            StatusEvent.effective.contains(func.now()),
            ~exists().where(
                or_(undoing.supersedes == StatusEvent.id, undoing.retracts == StatusEvent.id)
            ),
        )
        .order_by(StatusEvent.change.desc())
        .limit(NEWEST)
    )
    sides: dict[str, StatusEvent] = {}
    for row in rows:
        for side in row.sides:
            sides.setdefault(side, row)
    found = {side: row.status or "unknown" for side, row in sides.items()}
    worst = max(found.values(), key=SEVERITY.index, default="unknown")
    return Status(
        crossing=crossing_id,
        status=worst,
        sides=found,
        decided_by=[_declared(row) for row in sides.values() if row.status == worst],
    )


def _declared(row: StatusEvent) -> Declared:
    assert row.effective is not None
    assert row.effective.lower is not None
    assert row.status is not None
    return Declared(
        id=row.id,
        sides=row.sides,
        status=row.status,
        since=row.effective.lower,
        until=row.effective.upper,
        reason=row.reason_text,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
    )
