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
from app.crossings.candidates import CrossingFilter, Rank, find_candidates
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
_FARTHEST_KM = 100_000
"""Farther than any two points on Earth are apart, in kilometres."""


async def add_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing: CrossingIn
) -> WriteResult:
    """Add a crossing, and its border and countries if they are new. Raises CrossingExists."""
    reporter.require_sides(crossing.sides)
    slot = await reserve_slot(session)
    return await _record(session, reporter, slot, crossing, _Retirement(), new=True)


async def revise_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing: CrossingIn
) -> WriteResult:
    """Replace all details of a crossing by a new version, except whether it is retired."""
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
    # The unchanged fields were validated when they were recorded.
    crossing = CrossingIn.model_construct(**recorded | changed)
    _check_together(crossing, changed)
    retirement = await _retirement(session, current, patch, slot)
    return await _record(session, reporter, slot, crossing, retirement, new=False)


@dataclass(frozen=True, slots=True)
class _Retirement:
    """When a crossing was retired, and its successor; both None while it is in use."""

    at: datetime | None = None
    replaced_by: str | None = None

    @classmethod
    def of(cls, details: Details) -> "_Retirement":
        return cls(details.version.retired_at, details.version.replaced_by)


async def _retirement(
    session: AsyncSession, current: Details, patch: CrossingPatch, slot: LogSlot
) -> _Retirement:
    """Return the retirement of a crossing after a patch.

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
    """Raise Invalid or CrossingRetired for a successor that cannot replace the crossing."""
    if successor == crossing_id:
        raise invalid("replaced_by", "must be another crossing")
    successors = await details_of(session, [successor], known_change=slot.number)
    if not successors:
        raise invalid("replaced_by", f"there is no crossing {successor!r}")
    await require_in_use(session, successors.values(), known_change=slot.number)


def _check_together(crossing: CrossingIn, changed: Collection[str]) -> None:
    """Raise Invalid where changed fields contradict unchanged ones."""
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
    """Reserve the next slot of the log, after recording what has come due at the crossings."""
    slot = await reserve_slot(session, crossing_ids)
    while slot.something_is_due and await announce(session, slot, crossing_ids):
        slot = await reserve_slot(session, crossing_ids)
    return slot


async def get_crossing(
    session: AsyncSession, crossing_id: str
) -> tuple[CrossingDetail, Snapshot, Validity]:
    """Return a crossing with its whole present status. Raises CrossingNotFound."""
    snapshot = await take_snapshot(session, AsOf())
    waits = await latest_waits(session, [crossing_id])
    body, summary = await _load_detail(session, crossing_id, snapshot, waits)
    return body, snapshot, await validity_of(session, [summary], waits)


async def list_crossings(
    session: AsyncSession,
    *,
    crossing_filter: CrossingFilter,
    at: datetime | None = None,
    as_of: AsOf = AsOf(),  # noqa: B008  # frozen
    status: Status | None = None,
    order: CrossingOrder | None = None,
    after: Rank | None,
    limit: int,
) -> tuple[list[tuple[Rank, CrossingSummary]], Snapshot, Validity | None]:
    """Return the crossings after ``after``, in order, with their status at present or at ``at``.

    Crossings that were retired by then are left out, unless the filter includes or names them.
    With traffic or a direction in the filter, the status is that of those lanes. The validity is
    that of all but the last of ``limit``, and None for lists whose members depend on the time.
    Raises Invalid for a crossing, border or country that does not exist.
    """
    await require_existing(
        session,
        {
            "id": (Kind.CROSSING, crossing_filter.ids),
            "border": (Kind.BORDER, [crossing_filter.border]),
            "country": (Kind.COUNTRY, [crossing_filter.country]),
            "to": (Kind.COUNTRY, [crossing_filter.to]),
        },
    )
    snapshot = await take_snapshot(session, as_of)
    ranks = await find_candidates(session, crossing_filter, known_change=snapshot.change)
    if order is None:
        ranks = [rank for rank in ranks if after is None or rank > after]
    matching: list[tuple[Rank, Summary]] = []
    left_out: list[tuple[Rank, Summary]] = []
    while ranks and (order is not None or len(matching) < limit):
        batch, ranks = ranks[:_CROSSINGS_PER_READ], ranks[_CROSSINGS_PER_READ:]
        for rank, summary in await _summaries(session, batch, crossing_filter, snapshot, at):
            if crossing_filter.excludes(summary.details, at):
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
    if crossing_filter.has_fixed_members and at is None and status is None and order is None:
        # The page also depends on the retired crossings that would be on it.
        last = matching[limit - 1][0] if len(matching) >= limit else None
        retired = [summary for rank, summary in left_out if last is None or rank < last]
        validity = await validity_of(
            session, [*(summary for _, summary in matching[: limit - 1]), *retired], waits
        )
    return await _summaries_out(session, page, crossing_filter, waits), snapshot, validity


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
    """Return the other crossings of either country that are not closed for ``traffic``.

    Without ``traffic`` they are open for at least one category that this crossing is authorised
    for: a railway is not an alternative to a road. Open and restricted crossings come before
    unknown ones, each by distance, or by id if the distance is unknown. Raises CrossingNotFound,
    and Invalid for a country that does not exist here.
    """
    await require_existing(session, {"to": (Kind.COUNTRY, [to])})
    snapshot = await take_snapshot(session, AsOf())
    origin = await details_of_one(session, crossing_id, known_change=snapshot.change)
    categories = origin.traffic if traffic is None else [traffic]
    crossing_filter = CrossingFilter(
        any_traffic=categories, to=to, any_country=origin.sides, retired=retired
    )
    ranks = await find_candidates(session, crossing_filter, known_change=snapshot.change)
    ranked = [
        (distance_rank(origin, summary.details, summary.answer.status), summary)
        for start in range(0, len(ranks), _CROSSINGS_PER_READ)
        for _, summary in await _summaries(
            session, ranks[start : start + _CROSSINGS_PER_READ], crossing_filter, snapshot, None
        )
        if summary.answer.status is not Status.CLOSED
        and summary.id != crossing_id
        and not crossing_filter.excludes(summary.details)
    ]
    ranked.sort(key=itemgetter(0))
    page = [pair for pair in ranked if after is None or pair[0] > after][:limit]
    details = await crossing_details(session, [summary.details for _, summary in page])
    waits = await latest_waits(session, [summary.id for _, summary in page])
    return [
        (
            rank,
            alternative(
                origin,
                summary,
                details[summary.id],
                waits_out(summary, waits.get(summary.id, NO_WAITS)),
            ),
        )
        for rank, summary in page
    ], snapshot


def distance_rank(origin: Details, details: Details, status: Status) -> Rank:
    """Rank crossings by distance: unknown statuses after others, unknown locations last."""
    distance = float(_FARTHEST_KM)
    if origin.point is not None and details.point is not None:
        distance = origin.point.distance_km(details.point)
    return Rank(distance + 2 * _FARTHEST_KM * (status is Status.UNKNOWN), details.id)


async def _summaries(
    session: AsyncSession,
    ranks: list[Rank],
    crossing_filter: CrossingFilter,
    snapshot: Snapshot,
    at: datetime | None,
) -> list[tuple[Rank, Summary]]:
    """Return the summaries of the matching lanes, without crossings that were recorded later."""
    ids = [rank.id for rank in ranks]
    # Only plain lists of the present have a validity.
    is_timed = crossing_filter.has_fixed_members and at is None
    noticed = await last_noticed(session, ids, snapshot.change) if is_timed else {}

    def summarize(history: CrossingHistory) -> Summary:
        lanes = crossing_filter.lanes_of(history.details) if crossing_filter.filters_lanes else None
        summary = Summary.of(
            history, at or snapshot.now, lanes, noticed=noticed.get(history.details.id)
        )
        _ = summary.period
        if is_timed:
            _ = summary.due_at, summary.last_change_at
        return summary

    summaries = await load_histories(session, ids, snapshot, summarize, at=at)
    return [(rank, summary) for rank in ranks if (summary := summaries[rank.id]).details.known]


async def _summaries_out(
    session: AsyncSession,
    page: list[tuple[Rank, Summary]],
    crossing_filter: CrossingFilter,
    waits: Mapping[str, Waits],
) -> list[tuple[Rank, CrossingSummary]]:
    """Return the bodies of a page of crossings, with distances from ``near`` if it is given."""
    details = await crossing_details(session, [summary.details for _, summary in page])
    bodies: list[tuple[Rank, CrossingSummary]] = []
    for rank, summary in page:
        waits_of_crossing = waits_out(summary, waits.get(summary.id, NO_WAITS))
        item = crossing_summary(summary, details[summary.id], waits_of_crossing)
        point = summary.details.point
        if crossing_filter.near is not None and point is not None:
            distance = crossing_filter.near.distance_km(point)
            item = NearbyCrossing(**dict(item), distance_km=distance)
        bodies.append((rank, item))
    return bodies


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
        await _insert_crossing(session, crossing.id, border)
    await append(session, version)
    await append(session, *citations)
    await compact(session, {crossing.id: (effects.due_at, effects.left)}, change=slot.number)
    waits = await latest_waits(session, [crossing.id])
    body, _ = await _load_detail(
        session, crossing.id, Snapshot(slot.number, slot.recorded_at), waits
    )
    return WriteResult(body, f"/v1/crossings/{crossing.id}", slot.number, cited.new_ids)


async def _consequences(session: AsyncSession, details: Details, slot: LogSlot) -> Consequences:
    """Return what the new details change. They apply to all of the past, too."""
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


async def _insert_crossing(session: AsyncSession, crossing_id: str, border: Border) -> None:
    """Insert a crossing, and its border and countries if they are new."""
    for code in border.sides:
        await session.execute(insert(Country).values(code=code).on_conflict_do_nothing())
    await session.execute(
        insert(Border).values(first=border.first, second=border.second).on_conflict_do_nothing()
    )
    taken = f"There is already a crossing {crossing_id!r} already."
    border_id = "-".join(border.sides)
    with raising({"pk_crossing": (CrossingExists, taken)}):
        await append(session, Crossing(id=crossing_id, border_id=border_id))


async def _load_detail(
    session: AsyncSession, crossing_id: str, snapshot: Snapshot, waits: Mapping[str, Waits]
) -> tuple[CrossingDetail, Summary]:
    noticed = await last_noticed(session, [crossing_id], snapshot.change)

    def summarize(history: CrossingHistory) -> tuple[Summary, Events]:
        summary = Summary.of(history, snapshot.now, noticed=noticed.get(crossing_id)).settled()
        _ = summary.last_change_at
        return summary, history.events

    results = await load_histories(session, [crossing_id], snapshot, summarize)
    if crossing_id not in results:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    summary, events = results[crossing_id]
    records = await crossing_details(session, [summary.details])
    body = crossing_detail(
        summary,
        records[crossing_id],
        events,
        waits_out(summary, waits.get(crossing_id, NO_WAITS)),
    )
    return body, summary


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
        hours=[hours.model_dump(mode="json") for hours in crossing.hours],
    )
