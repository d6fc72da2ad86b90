"""Read the outcomes of imports."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.importers.importer import Importer, importers
from app.importers.models import ImportedFeed, ImportedPayload
from app.importers.schemas import FeedOut, RefusedValue, UnmappedPlace

REFUSED_TOLD = 100
"""The number of refused values of a feed that an answer lists."""


async def list_feeds(
    session: AsyncSession, *, after: str | None = None, limit: int | None = None
) -> list[FeedOut]:
    """Return the feeds that have an importer, by name, from the one after ``after``."""
    selected = [
        importer for name, importer in sorted(importers().items()) if after is None or name > after
    ]
    states = {row.name: row for row in await session.scalars(select(ImportedFeed))}
    payloads: defaultdict[str, list[ImportedPayload]] = defaultdict(list)
    for row in await session.scalars(select(ImportedPayload).order_by(ImportedPayload.address)):
        payloads[row.feed].append(row)
    now = (await session.scalars(select(func.now()))).one()
    return [
        _feed(importer, states.get(importer.name), payloads[importer.name], now)
        for importer in selected[:limit]
    ]


def _feed(
    importer: Importer,
    state: ImportedFeed | None,
    payloads: Sequence[ImportedPayload],
    now: datetime,
) -> FeedOut:
    observed_at = max(
        (payload.observed_at for payload in payloads if payload.observed_at), default=None
    )
    refused = [refusal for payload in payloads for refusal in payload.refused]
    source = importer.source
    return FeedOut(
        name=importer.name,
        title=source.title,
        publisher=source.publisher,
        url=source.url,
        source=state and state.source_id,
        status_policy=importer.policy.status,
        interval_seconds=int(importer.interval.total_seconds()),
        last_attempt_at=state and state.attempted_at,
        last_success_at=state and state.succeeded_at,
        last_change_at=state and state.changed_at,
        next_attempt_at=state and state.next_attempt_at,
        failures=state.failures if state else 0,
        error=state and state.error,
        observed_at=observed_at,
        age=None if observed_at is None else max(0, int((now - observed_at).total_seconds())),
        rows=sum(payload.rows for payload in payloads),
        refused_count=len(refused),
        refused=list(_refused(refused[:REFUSED_TOLD])),
        unknown_places=[
            UnmappedPlace.model_validate(place)
            for payload in payloads
            for place in payload.unknown_places
        ],
    )


def _refused(rows: Iterable[dict[str, object]]) -> Iterable[RefusedValue]:
    fields = RefusedValue.model_fields
    for row in rows:
        yield RefusedValue.model_validate({name: row[name] for name in fields})
