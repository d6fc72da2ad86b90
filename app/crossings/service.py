"""Add and revise crossings, look at one, list them with their present status."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.service import LogSlot, Snapshot, append_change, reserve_slot, take_snapshot
from app.crossings.answers import Alternative, CrossingDetail, CrossingSummary, NearbyCrossing
from app.crossings.candidates import CrossingFilter, Rank, candidates
from app.crossings.summaries import alternative, crossing_detail, crossing_summary
from app.database.sessions import append
from app.errors import CrossingExists, CrossingNotFound, invalid, raising
from app.http.caching import Validity
from app.http.parameters import AsOf, Kind, require_existing
from app.notices.reading import last_noticed
from app.observations.reading import latest_waits, waits_of
from app.observations.waits import NO_WAITS, Waits
from app.places.details import (
    Details,
    crossing_details,
    details_of,
    details_of_one,
    details_out,
    details_record,
    require_in_use,
)
from app.places.models import Border, Country, Crossing, CrossingVersion
from app.places.schemas import (
    NAMES_OF_SIDES,
    CrossingIn,
    CrossingPatch,
    check_hours,
    check_location,
    check_traffic,
)
from app.sources.service import cite, require_sources
from app.status.consequences import Consequences, consequences
from app.status.due import announce, answers_record, subjects_of
from app.status.histories import CrossingHistory, Events, compact, load_histories
from app.status.reading import validity_of
from app.status.rule.history import History, OutOfReach
from app.status.rule.resolution import ResolvedHistory
from app.status.summaries import Summary, waits_out
from app.vocabulary import ChangeKind, CrossingOrder, Status, Traffic

_CROSSINGS_PER_READ = 100
_RESERVE = 100_000
"""Kilometres: more than any two points are apart."""


async def add_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing: CrossingIn
) -> WriteResult:
    """Add a crossing, and its border and countries with the first. Raises CrossingExists."""
    reporter.require_sides(crossing.sides)
    slot = await reserve_slot(session)
    return await _record(session, reporter, slot, crossing, _Retirement(), new=True)


async def revise_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing: CrossingIn
) -> WriteResult:
    """Replace all details of a crossing by a new version. Retired, it stays so."""
    reporter.require_sides(crossing.sides)
    slot = await _reserve_slot(session, [crossing.id])
    current = await details_of_one(session, crossing.id, known_change=slot.number)
    return await _record(session, reporter, slot, crossing, _Retirement.of(current), new=False)


async def patch_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing_id: str, patch: CrossingPatch
) -> WriteResult:
    """Replace some details of a crossing by a new version.

    Raises CrossingNotFound, and CrossingRetired for a successor that is retired itself.
    """
    slot = await _reserve_slot(session, [crossing_id])
    current = await details_of_one(session, crossing_id, known_change=slot.number)
    reporter.require_sides(current.sides)
    if any(name.side not in current.sides for name in patch.names or ()):
        raise invalid("names", NAMES_OF_SIDES)
    recorded = dict(details_out(current, [])) | {"citations": patch.citations}
    changed = {name: getattr(patch, name) for name in patch.model_fields_set}
    # What is kept was checked when it came in.
    crossing = CrossingIn.model_construct(**recorded | changed)
    _check_together(crossing, changed)
    retirement = await _retirement(session, current, patch, slot)
    return await _record(session, reporter, slot, crossing, retirement, new=False)


@dataclass(frozen=True, slots=True)
class _Retirement:
    """Since when a crossing is retired, and what replaced it; both None while it is in use."""

    at: datetime | None = None
    replaced_by: str | None = None

    @classmethod
    def of(cls, details: Details) -> "_Retirement":
        return cls(details.version.retired_at, details.version.replaced_by)


async def _retirement(
    session: AsyncSession, current: Details, patch: CrossingPatch, slot: LogSlot
) -> _Retirement:
    """Return what a patch leaves of a crossing's retirement, or makes of it.

    Raises Invalid, and CrossingRetired for a successor that is retired itself.
    """
    previous, changed = _Retirement.of(current), patch.model_fields_set
    at = patch.retired_at if "retired_at" in changed else previous.at
    if at is None:
        if patch.replaced_by is not None:
            raise invalid("replaced_by", "requires retired_at")
        return _Retirement()
    if at > slot.recorded_at:
        raise invalid("retired_at", "lies in the future")
    if "replaced_by" not in changed:
        return _Retirement(at, previous.replaced_by)
    if patch.replaced_by is not None:
        await _require_successor(session, current.id, patch.replaced_by, slot)
    return _Retirement(at, patch.replaced_by)


async def _require_successor(
    session: AsyncSession, crossing_id: str, successor: str, slot: LogSlot
) -> None:
    """Raise Invalid or CrossingRetired for what cannot take a crossing's place."""
    if successor == crossing_id:
        raise invalid("replaced_by", "must be another crossing")
    successors = await details_of(session, [successor], known_change=slot.number)
    if not successors:
        raise invalid("replaced_by", f"there is no crossing {successor!r}")
    await require_in_use(session, successors.values(), known_change=slot.number)


def _check_together(crossing: CrossingIn, changed: Collection[str]) -> None:
    """Raise Invalid where what is given does not go with what is kept."""
    field = "traffic" if "traffic" in changed else "mode"
    try:
        check_traffic(crossing.mode, crossing.traffic)
        if "location" in changed and crossing.location is not None:
            field = "location"
            check_location(crossing.sides, crossing.location)
        if {"hours", "traffic"} & set(changed):
            field = "hours" if "hours" in changed else "traffic"
            check_hours(crossing.sides, crossing.traffic, crossing.hours)
    except ValueError as error:
        raise invalid(field, str(error)) from error


async def _reserve_slot(session: AsyncSession, crossing_ids: list[str]) -> LogSlot:
    """Take the next place in the log, behind all that has come due of the crossings."""
    slot = await reserve_slot(session, crossing_ids)
    while slot.something_is_due and await announce(session, slot, crossing_ids):
        slot = await reserve_slot(session, crossing_ids)
    return slot


async def get_crossing(
    session: AsyncSession, crossing_id: str
) -> tuple[CrossingDetail, Snapshot, Validity]:
    """Return one crossing with its whole present answer. Raises CrossingNotFound."""
    snapshot = await take_snapshot(session, AsOf())
    waits = await latest_waits(session, [crossing_id])
    body, summary = await _alone(session, crossing_id, snapshot, waits)
    return body, snapshot, await validity_of(session, [summary], waits)


async def list_crossings(
    session: AsyncSession,
    *,
    wanted: CrossingFilter,
    at: datetime | None = None,
    as_of: AsOf = AsOf(),  # noqa: B008  # frozen
    status: Status | None = None,
    order: CrossingOrder | None = None,
    after: Rank | None,
    limit: int,
) -> tuple[list[tuple[Rank, CrossingSummary]], Snapshot, Validity | None]:
    """Return crossings in their order, from the one after ``after``, as they are or were ``at``.

    Those retired by then are left out, unless they are wanted or named. Where traffic or
    direction is asked for, the status is of those lanes. The validity is of all but the last of
    ``limit``, and only of lists whose members do not depend on the time. Raises Invalid for a
    place that does not exist.
    """
    await require_existing(
        session,
        {
            "id": (Kind.CROSSING, wanted.ids),
            "border": (Kind.BORDER, [wanted.border]),
            "country": (Kind.COUNTRY, [wanted.country]),
            "to": (Kind.COUNTRY, [wanted.to]),
        },
    )
    snapshot = await take_snapshot(session, as_of)
    ranks = await candidates(session, wanted, known_change=snapshot.change)
    if order is None:
        ranks = [rank for rank in ranks if after is None or rank > after]
    matching: list[tuple[Rank, Summary]] = []
    left_out: list[tuple[Rank, Summary]] = []
    while ranks and (order is not None or len(matching) < limit):
        batch, ranks = ranks[:_CROSSINGS_PER_READ], ranks[_CROSSINGS_PER_READ:]
        for rank, summary in await _summaries(session, batch, wanted, snapshot, at):
            if wanted.leaves_out(summary.details, at):
                left_out.append((rank, summary))
            elif status in {None, summary.answer.status}:
                matching.append((rank, summary))
    if order is not None:
        by_evidence = sorted(
            (Rank(_evidence_seconds(summary), summary.id), summary) for _, summary in matching
        )
        matching = [pair for pair in by_evidence if after is None or pair[0] > after]
    page = matching[:limit]
    ids = [summary.id for _, summary in page]
    waits = await waits_of(session, ids, at=at, as_of=as_of, snapshot=snapshot)
    validity = None
    if wanted.is_plain and at is None and status is None and order is None:
        # The page is as it is since those went that would be on it.
        last = matching[limit - 1][0] if len(matching) >= limit else None
        gone = [summary for rank, summary in left_out if last is None or rank < last]
        validity = await validity_of(
            session, [*(summary for _, summary in matching[: limit - 1]), *gone], waits
        )
    return await _summaries_out(session, page, wanted, waits), snapshot, validity


async def list_alternatives(
    session: AsyncSession,
    *,
    crossing_id: str,
    traffic: Traffic | None,
    to: str | None,
    retired: bool = False,
    after: Rank | None,
    limit: int,
) -> tuple[list[tuple[Rank, Alternative]], Snapshot]:
    """Return the other crossings of either country that are not closed for the traffic asked for.

    Without ``traffic``, for at least one category that this crossing is authorised for too: a
    railway is no alternative to a road. Those known to let somebody pass come before the unknown,
    each by distance; by id where nobody knows where the crossing is. Raises CrossingNotFound, and
    Invalid for a country that does not exist here.
    """
    await require_existing(session, {"to": (Kind.COUNTRY, [to])})
    snapshot = await take_snapshot(session, AsOf())
    here = await details_of_one(session, crossing_id, known_change=snapshot.change)
    categories = here.traffic if traffic is None else [traffic]
    wanted = CrossingFilter(any_traffic=categories, to=to, of_sides=here.sides, retired=retired)
    ranks = await candidates(session, wanted, known_change=snapshot.change)
    ranked = [
        (nearness(here, summary.details, summary.answer.status), summary)
        for start in range(0, len(ranks), _CROSSINGS_PER_READ)
        for _, summary in await _summaries(
            session, ranks[start : start + _CROSSINGS_PER_READ], wanted, snapshot, None
        )
        if summary.answer.status is not Status.CLOSED
        and summary.id != crossing_id
        and not wanted.leaves_out(summary.details)
    ]
    ranked.sort(key=itemgetter(0))
    page = [pair for pair in ranked if after is None or pair[0] > after][:limit]
    details = await crossing_details(session, [summary.details for _, summary in page])
    waits = await latest_waits(session, [summary.id for _, summary in page])
    return [
        (
            rank,
            alternative(
                here,
                summary,
                details[summary.id],
                waits_out(summary, waits.get(summary.id, NO_WAITS)),
            ),
        )
        for rank, summary in page
    ], snapshot


def nearness(here: Details, there: Details, status: Status) -> Rank:
    """Rank the unknown behind those that let somebody pass, in each the nowhere last."""
    distance = float(_RESERVE)
    if here.point is not None and there.point is not None:
        distance = here.point.distance_km(there.point)
    return Rank(distance + 2 * _RESERVE * (status is Status.UNKNOWN), there.id)


async def _summaries(
    session: AsyncSession,
    ranks: list[Rank],
    wanted: CrossingFilter,
    snapshot: Snapshot,
    at: datetime | None,
) -> list[tuple[Rank, Summary]]:
    """Return the summaries of those that were recorded by then, of the lanes asked about."""
    names = [rank.id for rank in ranks]
    # Only plain lists of the present have a validity.
    is_timed = wanted.is_plain and at is None
    noticed = await last_noticed(session, names, snapshot.change) if is_timed else {}

    def answer(history: CrossingHistory) -> Summary:
        lanes = wanted.lanes_of(history.details) if wanted.of_lanes else None
        summary = Summary.of(
            history, at or snapshot.now, lanes, noticed=noticed.get(history.details.id)
        )
        _ = summary.period
        if is_timed:
            _ = summary.due_at, summary.last_change_at
        return summary

    summaries = await load_histories(session, names, snapshot, answer, at=at)
    return [(rank, one) for rank in ranks if (one := summaries[rank.id]).details.known]


async def _summaries_out(
    session: AsyncSession,
    page: list[tuple[Rank, Summary]],
    wanted: CrossingFilter,
    waits: Mapping[str, Waits],
) -> list[tuple[Rank, CrossingSummary]]:
    """Return the crossings of a page as lists show them, with distances if they are asked for."""
    details = await crossing_details(session, [summary.details for _, summary in page])
    result: list[tuple[Rank, CrossingSummary]] = []
    for rank, summary in page:
        shown = waits_out(summary, waits.get(summary.id, NO_WAITS))
        item = crossing_summary(summary, details[summary.id], shown)
        there = summary.details.point
        if wanted.near is not None and there is not None:
            distance = wanted.near.distance_km(there)
            item = NearbyCrossing(**dict(item), distance_km=distance)
        result.append((rank, item))
    return result


def _evidence_seconds(summary: Summary) -> float:
    """Return when a crossing was last confirmed, in Unix seconds; minus infinity if never."""
    confirmed_at = summary.answer.last_confirmed_at
    return float("-inf") if confirmed_at is None else confirmed_at.timestamp()


async def _record(
    session: AsyncSession,
    reporter: Reporter,
    slot: LogSlot,
    crossing: CrossingIn,
    retirement: _Retirement,
    *,
    new: bool,
) -> WriteResult:
    border = Border(first=min(crossing.sides), second=max(crossing.sides))
    border_id = f"{border.first}-{border.second}"
    await require_sources(session, crossing.citations)
    cited = cite(slot, reporter, crossing.citations)
    version = _version(crossing, retirement, slot, reporter)
    citations = cited.linked(crossing_id=crossing.id, version=slot.number)
    details = Details(crossing.id, border_id, border.sides, version, known=True)
    effects = await _consequences(session, details, slot)
    await append_change(
        session,
        slot,
        kind=ChangeKind.CROSSING,
        subjects={**subjects_of([details]), "sources": cited.source_ids()},
        payload={
            "crossings": [details_record(details, citations)],
            "sources": cited.source_records(),
            **answers_record([effects.answers]),
        },
        recorded_by=reporter.name,
    )
    await append(session, *cited.new_sources)
    if new:
        await _place(session, crossing.id, border)
    await append(session, version)
    await append(session, *citations)
    await compact(session, {crossing.id: (effects.due_at, effects.left)}, change=slot.number)
    waits = await latest_waits(session, [crossing.id])
    body, _ = await _alone(session, crossing.id, Snapshot(slot.number, slot.recorded_at), waits)
    return WriteResult(body, f"/v1/crossings/{crossing.id}", slot.number, cited.new_ids)


async def _consequences(session: AsyncSession, details: Details, slot: LogSlot) -> Consequences:
    """Return what the new details change; they hold for all of the past, too."""
    now = slot.recorded_at

    def compare(history: CrossingHistory) -> Consequences:
        if history.history.held is not None:
            raise OutOfReach
        revised = replace(
            history.history, lanes=details.lanes, confirm_within=details.confirm_within
        )
        return consequences(details.id, history.resolved, ResolvedHistory(revised), now)

    compared = await load_histories(session, [details.id], Snapshot(slot.number - 1, now), compare)
    if details.id in compared:
        return compared[details.id]
    empty = History(sides=details.sides, lanes=details.lanes, confirm_within=details.confirm_within)
    return consequences(details.id, None, ResolvedHistory(empty), now)


async def _place(session: AsyncSession, crossing_id: str, border: Border) -> None:
    """Put a new crossing on its border, which comes into being with the first."""
    for code in border.sides:
        await session.execute(insert(Country).values(code=code).on_conflict_do_nothing())
    await session.execute(
        insert(Border).values(first=border.first, second=border.second).on_conflict_do_nothing()
    )
    taken = f"There is already a crossing {crossing_id!r} already."
    border_id = "-".join(border.sides)
    with raising({"pk_crossing": (CrossingExists, taken)}):
        await append(session, Crossing(id=crossing_id, border_id=border_id))


async def _alone(
    session: AsyncSession, crossing_id: str, snapshot: Snapshot, waits: Mapping[str, Waits]
) -> tuple[CrossingDetail, Summary]:
    noticed = await last_noticed(session, [crossing_id], snapshot.change)

    def answer(history: CrossingHistory) -> tuple[Summary, Events]:
        summary = Summary.of(history, snapshot.now, noticed=noticed.get(crossing_id)).settled()
        _ = summary.last_change_at
        return summary, history.events

    answers = await load_histories(session, [crossing_id], snapshot, answer)
    if crossing_id not in answers:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    summary, events = answers[crossing_id]
    records = await crossing_details(session, [summary.details])
    shown = waits_out(summary, waits.get(crossing_id, NO_WAITS))
    return crossing_detail(summary, records[crossing_id], events, shown), summary


def _version(
    crossing: CrossingIn, retirement: _Retirement, slot: LogSlot, reporter: Reporter
) -> CrossingVersion:
    location = crossing.location
    return CrossingVersion(
        crossing_id=crossing.id,
        change=slot.number,
        recorded_at=slot.recorded_at,
        recorded_by=reporter.name,
        mode=crossing.mode.value,
        traffic=[traffic.value for traffic in crossing.traffic],
        names=[name.model_dump(mode="json") for name in crossing.names],
        aliases=crossing.aliases,
        lat=location and location.lat,
        lon=location and location.lon,
        precision_km=location and location.precision_km,
        confirm_within_days=crossing.confirm_within_days,
        retired_at=retirement.at,
        replaced_by=retirement.replaced_by,
        hours=[one.model_dump(mode="json") for one in crossing.hours],
    )
