"""Add crossings, list them with their present status, count a border."""

from collections import Counter
from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import Written
from app.changes.service import Known, Place, fill_place, known, take_place
from app.database.sessions import append
from app.errors import CrossingExists, raising
from app.http.parameters import Knowledge
from app.places.answers import BorderOut, CrossingAlone, CrossingListed, Links
from app.places.details import (
    Details,
    crossing_details,
    details_of_one,
    details_told,
    get_border,
)
from app.places.models import Border, Country, Crossing, CrossingVersion
from app.places.schemas import CrossingDetails, CrossingIn
from app.sources.service import cite
from app.status.log import CrossingLog, logs_of
from app.status.reading import status_of, summary_of
from app.vocabulary import ChangeKind, Mode, Status

_BATCH = 100


async def add_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing: CrossingIn, revise: bool = False
) -> Written:
    """Add a crossing, and its border and countries with the first; or a new version of one.

    Raises CrossingExists unless it is to ``revise``.
    """
    reporter.require_sides(crossing.sides)
    place = await take_place(session)
    border = Border(first=min(crossing.sides), second=max(crossing.sides))
    border_id = f"{border.first}-{border.second}"
    cited = await cite(session, place, reporter, crossing.citations)
    subjects = {
        "crossings": [crossing.id],
        "borders": [border_id],
        "countries": [border.first, border.second],
        "sources": sorted({str(one.source) for one in cited.citations}),
    }
    version = _version(crossing, place, reporter)
    citations = cited.for_version(crossing.id, place.number)
    details = Details(crossing.id, border_id, border.sides, version, known=True)
    await fill_place(
        session,
        place,
        kind=ChangeKind.CROSSING,
        subjects=subjects,
        payload={"crossings": [details_told(details, citations)], "sources": cited.told()},
        recorded_by=reporter.name,
    )
    await append(session, *cited.new_sources)
    for code in border.sides:
        await session.execute(insert(Country).values(code=code).on_conflict_do_nothing())
    await session.execute(
        insert(Border).values(first=border.first, second=border.second).on_conflict_do_nothing()
    )
    if not revise:
        taken = f"There is a crossing {crossing.id!r} already."
        with raising({"pk_crossing": (CrossingExists, taken)}):
            await append(session, Crossing(id=crossing.id, border_id=border_id))
    await append(session, version)
    await append(session, *citations)
    body = await _alone(session, crossing.id, Known(place.number, place.recorded_at))
    return Written(body, f"/v1/crossings/{crossing.id}", place.number, cited.new_ids)


async def get_crossing(session: AsyncSession, crossing_id: str) -> tuple[CrossingAlone, Known]:
    """Return one crossing with its whole present answer. Raises CrossingNotFound."""
    asked = await known(session, Knowledge())
    return await _alone(session, crossing_id, asked), asked


async def list_crossings(
    session: AsyncSession,
    *,
    ids: list[str] | None = None,
    border: str | None = None,
    country: str | None = None,
    mode: Mode | None = None,
    status: Status | None = None,
    after: str | None,
    limit: int,
) -> tuple[list[CrossingListed], Known]:
    """Return crossings by id, from the one after ``after``, with their present status."""
    asked = await known(session, Knowledge())
    names = list(
        await session.scalars(_names(ids=ids, border=border, country=country, after=after))
    )
    found: list[CrossingListed] = []
    while names and len(found) < limit:
        batch, names = names[:_BATCH], names[_BATCH:]
        logs = await logs_of(session, batch, known_change=asked.change)
        found += [
            one
            for one in await _listed(session, list(logs.values()), asked.now)
            if mode in {None, one.mode} and status in {None, one.status}
        ]
    return found[:limit], asked


async def get_border_status(
    session: AsyncSession, *, border_id: str, at: datetime | None, knowledge: Knowledge
) -> tuple[BorderOut, Known]:
    """Return the border's crossings and how many are of each status. Raises BorderNotFound."""
    border = await get_border(session, border_id)
    asked = await known(session, knowledge)
    names = list(await session.scalars(_names(border=border.id)))
    logs = await logs_of(session, names, known_change=asked.change)
    # A crossing added later was not among those counted then.
    known_then = [log for log in logs.values() if log.details.known]
    crossings = await _listed(session, known_then, at or asked.now)
    by_mode = {
        mode: _counts([one for one in crossings if one.mode is mode])
        for mode in sorted({one.mode for one in crossings})
    }
    body = BorderOut(
        id=border.id,
        countries=list(border.sides),
        at=at,
        known_at=knowledge.known_at,
        counts=_counts(crossings),
        counts_by_mode=by_mode,
        crossings=crossings,
    )
    return body, asked


def _counts(crossings: list[CrossingListed]) -> dict[Status, int]:
    found = Counter(one.status for one in crossings)
    return {status: found[status] for status in Status}


async def _alone(session: AsyncSession, crossing_id: str, asked: Known) -> CrossingAlone:
    await details_of_one(session, crossing_id, known_change=asked.change)
    log = (await logs_of(session, [crossing_id], known_change=asked.change))[crossing_id]
    listed = (await _listed(session, [log], asked.now))[0]
    now = await status_of(session, log, at=None, known_at=None, asked=asked)
    return CrossingAlone(**dict(listed), now=now)


async def _listed(
    session: AsyncSession, logs: list[CrossingLog], now: datetime
) -> list[CrossingListed]:
    details = await crossing_details(session, [log.details for log in logs])
    return [_listing(log, details[log.details.id], now) for log in logs]


def _listing(log: CrossingLog, details: CrossingDetails, now: datetime) -> CrossingListed:
    answer, since = summary_of(log, now)
    return CrossingListed(
        **dict(details),
        status=answer.status,
        since=since,
        last_known=answer.last_known,
        stale=answer.stale,
        overdue=answer.overdue,
        last_confirmed_at=answer.last_confirmed_at,
        links=Links.of(details.id, details.border),
    )


def _names(
    *,
    ids: list[str] | None = None,
    border: str | None = None,
    country: str | None = None,
    after: str | None = None,
) -> Select[str]:
    rows = select(Crossing.id).order_by(Crossing.id)
    if ids:
        rows = rows.where(Crossing.id.in_(ids))
    if border is not None:
        rows = rows.where(Crossing.border_id == border)
    if country is not None:
        rows = rows.join(Border, Border.id == Crossing.border_id).where(
            or_(Border.first == country, Border.second == country)
        )
    return rows if after is None else rows.where(Crossing.id > after)


def _version(crossing: CrossingIn, place: Place, reporter: Reporter) -> CrossingVersion:
    location = crossing.location
    return CrossingVersion(
        crossing_id=crossing.id,
        change=place.number,
        recorded_at=place.recorded_at,
        recorded_by=reporter.name,
        mode=crossing.mode.value,
        traffic=[traffic.value for traffic in crossing.traffic],
        names=[name.model_dump(mode="json") for name in crossing.names],
        aliases=crossing.aliases,
        lat=location and location.lat,
        lon=location and location.lon,
        precision_km=location and location.precision_km,
        confirm_within_days=crossing.confirm_within_days,
    )
