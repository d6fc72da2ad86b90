"""Announce in the log what comes due by itself: once, in order, before what is recorded later."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy import Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Place, fill_place, take_place, wire_instant
from app.effective.answers import AnswerChangeOut, answer_change
from app.effective.models import Due
from app.places.details import Details
from app.status.log import before
from app.status.rule.resolution import next_change
from app.vocabulary import ChangeKind

RECORDED_BY = "crossing-status"
"""Who records what nobody reported: it follows from the log and the time."""

_AT_ONCE = 100
"""Crossings in one change."""
_JUST_BEFORE = timedelta(microseconds=1)
"""The database tells no shorter time."""

_NOTE = text("""
    INSERT INTO due (crossing_id, at) SELECT * FROM unnest(:crossings, :instants)
    ON CONFLICT (crossing_id) DO UPDATE SET at = excluded.at
""").bindparams(
    bindparam("crossings", type_=ARRAY(Text)),
    bindparam("instants", type_=ARRAY(TIMESTAMP(timezone=True))),
)


async def take_place_after_due(session: AsyncSession, crossings: Sequence[str]) -> Place:
    """Take the next place in the log, behind all that has come due of ``crossings``."""
    place = await take_place(session)
    while place.something_is_due and await _announce(session, place, crossings):
        place = await take_place(session)
    return place


async def announce_due(session: AsyncSession) -> bool:
    """Append the earliest of what is due, if anything is; tell whether to look again.

    What comes due at one instant is one change, of a hundred crossings at most. Each call takes
    the lock of the log until the transaction ends.
    """
    place = await take_place(session)
    return place.something_is_due and await _announce(session, place, None)


async def next_due(session: AsyncSession) -> datetime | None:
    """Return when something next comes due; in the past, if it has not been announced yet."""
    return await session.scalar(select(func.min(Due.at)))


async def note_due(session: AsyncSession, due: Mapping[str, datetime | None]) -> None:
    """Note when each crossing's answer next differs by itself; None is never."""
    await session.execute(_NOTE, {"crossings": list(due), "instants": list(due.values())})


def answers_told(changed: Iterable[AnswerChangeOut | None]) -> dict[str, JsonValue]:
    """Return what a change's payload says of the answers that it altered; nothing if none."""
    told: list[JsonValue] = [one.model_dump(mode="json") for one in changed if one]
    return {"answers": told} if told else {}


async def _announce(session: AsyncSession, place: Place, crossings: Sequence[str] | None) -> bool:
    """Append what came due first, of ``crossings`` or of all; tell whether there was any."""
    asked = [] if crossings is None else [Due.crossing_id.in_(crossings)]
    at = await session.scalar(select(func.min(Due.at)).where(*asked))
    if at is None or at > place.recorded_at:
        return False
    names = select(Due.crossing_id).where(Due.at == at, *asked).order_by(Due.crossing_id)
    found = await before(session, list(await session.scalars(names.limit(_AT_ONCE))))
    changed: list[AnswerChangeOut] = []
    due: dict[str, datetime | None] = {}
    for name, one in found.items():
        told = answer_change(name, (one.history, at - _JUST_BEFORE), (one.history, at))
        changed += [told] if told else []
        due[name] = next_change(one.history, at)
    await note_due(session, due)
    if changed:
        touched = [found[one.crossing].details for one in changed]
        await fill_place(
            session,
            place,
            kind=ChangeKind.EFFECTIVE,
            subjects=subjects_of(touched),
            payload={"at": wire_instant(at), **answers_told(changed)},
            recorded_by=RECORDED_BY,
        )
    return True


def subjects_of(crossings: Sequence[Details]) -> dict[str, list[str]]:
    """Return what a change of these crossings is about, as the log lists it."""
    return {
        "crossings": [one.id for one in crossings],
        "borders": sorted({one.border for one in crossings}),
        "countries": sorted({side for one in crossings for side in one.sides}),
    }
