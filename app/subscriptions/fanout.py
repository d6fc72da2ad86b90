"""Turn changes into deliveries: each change, in order, for each subscription that it matches."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.caches import remembered
from app.changes.filters import Filter
from app.changes.models import Change
from app.changes.service import changes_after, hashed_record
from app.subscriptions.deliveries import wake
from app.subscriptions.models import FanOut
from app.subscriptions.schemas import ChangeFilter

BATCH = 100

_SUBSCRIPTIONS = text(
    'SELECT id, "after", filter::text FROM subscription WHERE "after" < :newest ORDER BY id'
)
_LOCK = text("SELECT id FROM subscription WHERE id = ANY (:ids) ORDER BY id FOR NO KEY UPDATE")
_DELIVER = text("""
    INSERT INTO delivery (subscription_id, change, crossings)
    SELECT subscription_id, number,
           ARRAY(SELECT jsonb_array_elements_text(subjects -> 'crossings'))
    FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS bigint[])) matched (subscription_id, number)
    JOIN change USING (number) JOIN subscription ON subscription.id = subscription_id
    ORDER BY number
""")
_MOVE = text("UPDATE fan_out SET change = :newest")
_MOVE_IF_NOBODY_IS_TOLD = text("""
    UPDATE fan_out SET change = newest.number
    FROM (SELECT max(number) AS number FROM change) newest
    WHERE newest.number > fan_out.change
      AND NOT EXISTS (SELECT FROM subscription WHERE "after" < newest.number)
    RETURNING fan_out.change
""")


async def fan_out(session: AsyncSession) -> int:
    """Make the deliveries of the next changes; return how many changes were read.

    One process at a time does so; for the others the result is 0.
    """
    place = await session.scalar(select(FanOut.change).with_for_update(skip_locked=True))
    if place is None or await session.scalar(_MOVE_IF_NOBODY_IS_TOLD) is not None:
        return 0
    changes = await changes_after(session, place, BATCH)
    if not changes:
        return 0
    matched = await _matched(session, changes)
    if matched:
        # A turn that ends meanwhile has not seen these deliveries, and so must wait for this lock.
        ids = sorted({subscription_id for subscription_id, _ in matched})
        await session.execute(_LOCK, {"ids": ids})
        columns = {"ids": [one for one, _ in matched], "numbers": [one for _, one in matched]}
        await session.execute(_DELIVER, columns)
        await wake(session, ids)
    await session.execute(_MOVE, {"newest": changes[-1].number})
    return len(changes)


async def _matched(session: AsyncSession, changes: Sequence[Change]) -> list[tuple[UUID, int]]:
    """Return each subscription that a change matches, with the number of the change."""
    subscriptions = await session.execute(_SUBSCRIPTIONS, {"newest": changes[-1].number})
    records = [(change.number, hashed_record(change)) for change in changes]
    return [
        (subscription_id, number)
        for subscription_id, after, wanted in subscriptions
        for number, record in records
        if number > after and _filter(wanted).matches(record)
    ]


@remembered("subscription filters", bound=4 * 2**20, result_bytes=2_000)
def _filter(wanted: str) -> Filter:
    """Parse the filter of a subscription; many have the same one."""
    return ChangeFilter.model_validate_json(wanted).filter()
