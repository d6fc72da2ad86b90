"""Turn changes into deliveries: each change that is news, in order, for each alert about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.models import AlertFanOut
from app.alerts.news import LaneScope, news_of
from app.changes.models import Change
from app.changes.service import changes_after
from app.places.models import Crossing
from app.places.zones import zone_of
from app.vocabulary import ChangeKind

BATCH = 100
CHANNEL = "alert"
"""Notified when something has become due."""
DIGEST_HOUR = 7
"""When digests are sent, by the clocks of the border's first country."""

# Locked, so that none of them is deleted while its delivery is inserted.
_ALERTS = text("""
    SELECT id, crossings, borders, traffic, "to", is_digest FROM alert
    WHERE confirmed_at IS NOT NULL AND "after" < :number
      AND (crossings && CAST(:crossings AS text[]) OR borders && CAST(:borders AS text[]))
    ORDER BY id FOR KEY SHARE
""")
_DELIVER = text(f"""
    WITH delivered AS (
        INSERT INTO alert_delivery (alert_id, change, crossings, next_attempt_at)
        SELECT alert_id, :number, string_to_array(names, ' '), coalesce(:at, now())
        FROM unnest(CAST(:ids AS uuid[]), CAST(:names AS text[])) news (alert_id, names)
    )
    SELECT pg_notify('{CHANNEL}', '')
""")  # noqa: S608  # the channel is a constant
# What was already sent, or is being sent, is left alone.
_ADD_TO_DIGESTS = text("""
    UPDATE alert_delivery
    SET change = :number,
        crossings = ARRAY(SELECT DISTINCT unnest(crossings || string_to_array(names, ' ')))
    FROM unnest(CAST(:ids AS uuid[]), CAST(:names AS text[])) news (alert_id, names)
    WHERE alert_delivery.alert_id = news.alert_id
      AND change IS NOT NULL AND tries = 0 AND lease_until IS NULL
    RETURNING alert_delivery.alert_id
""")
_MOVE = text("UPDATE alert_fan_out SET change = :newest")
_MOVE_IF_NOBODY_IS_TOLD = text("""
    UPDATE alert_fan_out SET change = newest.number
    FROM (SELECT max(number) AS number FROM change) newest
    WHERE newest.number > alert_fan_out.change
      AND NOT EXISTS (SELECT FROM alert WHERE confirmed_at IS NOT NULL AND "after" < newest.number)
    RETURNING alert_fan_out.change
""")


async def fan_out_alerts(session: AsyncSession) -> int:
    """Make the deliveries of the next changes; return how many changes were read.

    One process at a time does so; for the others the result is 0.
    """
    place = await session.scalar(select(AlertFanOut.change).with_for_update(skip_locked=True))
    if place is None or await session.scalar(_MOVE_IF_NOBODY_IS_TOLD) is not None:
        return 0
    changes = await changes_after(session, place, BATCH)
    if not changes:
        return 0
    for change in changes:
        await _fan_out(session, change)
    await session.execute(_MOVE, {"newest": changes[-1].number})
    return len(changes)


async def _fan_out(session: AsyncSession, change: Change) -> None:
    news = news_of(ChangeKind(change.kind), change.payload)
    if not news:
        return
    rows = select(Crossing.id, Crossing.border_id).where(Crossing.id.in_(list(news)))
    borders = {crossing: border for crossing, border in await session.execute(rows)}  # noqa: C416
    about = {"crossings": list(borders), "borders": sorted(set(borders.values()))}
    at_once: dict[UUID, str] = {}
    digests: dict[UUID, str] = {}
    known: dict[tuple[str | None, str | None], Sequence[str]] = {}
    for alert in await session.execute(_ALERTS, {"number": change.number, **about}):
        vehicle = (alert.traffic, alert.to)
        if vehicle not in known:
            known[vehicle] = _concerned(news, *vehicle)
        names = [
            crossing
            for crossing in known[vehicle]
            if crossing in alert.crossings or borders.get(crossing) in alert.borders
        ]
        if names:
            (digests if alert.is_digest else at_once)[alert.id] = " ".join(names)
    if at_once:
        await _deliver(session, change.number, at_once)
    if digests:
        added = await session.scalars(_ADD_TO_DIGESTS, _columns(change.number, digests))
        for alert_id in added.all():
            digests.pop(alert_id, None)
        now = await session.scalar(select(func.now()))
        assert now is not None
        country = min(borders.values()).partition("-")[0]
        await _deliver(session, change.number, digests, next_morning(now, zone_of(country)))


async def _deliver(
    session: AsyncSession, number: int, names: Mapping[UUID, str], at: datetime | None = None
) -> None:
    await session.execute(_DELIVER, {**_columns(number, names), "at": at})


def next_morning(now: datetime, zone: ZoneInfo) -> datetime:
    """Return when the next digests are sent."""
    local = now.astimezone(zone)
    day = local.date() + timedelta(days=local.hour >= DIGEST_HOUR)
    return datetime.combine(day, time(DIGEST_HOUR), zone)


def _concerned(
    news: Mapping[str, Sequence[LaneScope]], traffic: str | None, to: str | None
) -> Sequence[str]:
    return [
        crossing
        for crossing, scopes in news.items()
        if any(scope.overlaps(traffic, to) for scope in scopes)
    ]


def _columns(number: int, names: Mapping[UUID, str]) -> dict[str, object]:
    return {"number": number, "ids": list(names), "names": list(names.values())}
