"""Read and write the state of importers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.importers.fetching import Validators
from app.importers.findings import Refusal, UnknownPlace
from app.importers.models import ImportedFeed, ImportedPayload


@dataclass(frozen=True, slots=True)
class KnownPayload:
    """The payload that was last read from an address."""

    sha256: str
    validators: Validators
    rows: int


@dataclass(frozen=True, slots=True)
class ReadPayload:
    """The result of reading a payload from an address."""

    address: str
    sha256: str
    validators: Validators
    read_at: datetime
    observed_at: datetime | None
    rows: int
    refused: Sequence[Refusal]
    unknown_places: Sequence[UnknownPlace]


async def known_payload(session: AsyncSession, *, feed: str, address: str) -> KnownPayload | None:
    row = await session.get(ImportedPayload, (feed, address))
    if row is None:
        return None
    return KnownPayload(row.sha256, Validators(row.etag, row.last_modified), row.rows)


async def next_attempt(session: AsyncSession, *, feed: str) -> tuple[datetime | None, int]:
    """Return when a feed is next due, None for now, and how often it has failed."""
    row = await session.get(ImportedFeed, feed)
    return (None, 0) if row is None else (row.next_attempt_at, row.failures)


async def plan_attempt(session: AsyncSession, *, feed: str, at: datetime) -> None:
    """Record when a feed is next due."""
    (await _feed(session, feed)).next_attempt_at = at


async def note_attempt(
    session: AsyncSession,
    *,
    feed: str,
    at: datetime,
    error: str | None,
    has_succeeded: bool,
    next_attempt_at: datetime | None = None,
) -> None:
    """Record an attempt at a feed; without ``next_attempt_at``, that is not changed."""
    row = await _feed(session, feed)
    row.attempted_at, row.error = at, error
    row.failures = 0 if has_succeeded else row.failures + 1
    if has_succeeded:
        row.succeeded_at = at
    if next_attempt_at is not None:
        row.next_attempt_at = next_attempt_at


async def note_payload(
    session: AsyncSession,
    read_payload: ReadPayload,
    *,
    feed: str,
    source_id: UUID | None,
    has_changed: bool,
) -> None:
    """Record what was read from an address."""
    row = await _feed(session, feed)
    if source_id is not None:
        row.source_id = source_id
    if has_changed:
        row.changed_at = read_payload.read_at
    values = {
        "sha256": read_payload.sha256,
        "etag": read_payload.validators.etag,
        "last_modified": read_payload.validators.last_modified,
        "read_at": read_payload.read_at,
        "observed_at": read_payload.observed_at,
        "rows": read_payload.rows,
        "refused": [asdict(refusal) for refusal in read_payload.refused],
        "unknown_places": [asdict(place) for place in read_payload.unknown_places],
    }
    payload = insert(ImportedPayload).values(feed=feed, address=read_payload.address, **values)
    await session.execute(
        payload.on_conflict_do_update(index_elements=["feed", "address"], set_=values)
    )


async def _feed(session: AsyncSession, name: str) -> ImportedFeed:
    """Return the row of a feed, locked until the end of the transaction."""
    await session.execute(insert(ImportedFeed).values(name=name).on_conflict_do_nothing())
    row = select(ImportedFeed).where(ImportedFeed.name == name).with_for_update()
    return (await session.scalars(row)).one()
