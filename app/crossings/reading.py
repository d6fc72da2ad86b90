"""Read crossings with their status: one, a list, or the alternatives to one."""

from collections.abc import Mapping
from datetime import datetime
from operator import itemgetter

from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Snapshot, take_snapshot
from app.crossings.answers import Alternative, CrossingDetail, CrossingSummary, NearbyCrossing
from app.crossings.candidates import CrossingFilter, Rank, distance_rank, find_candidates
from app.crossings.summaries import alternative, crossing_detail, crossing_summary
from app.errors import CrossingNotFound
from app.http.caching import Validity
from app.http.parameters import AsOf, Kind, require_existing
from app.notices.reading import last_noticed
from app.observations.reading import latest_waits, waits_of
from app.observations.waits import NO_WAITS, Waits
from app.places.details import (
    crossing_details,
    details_of_one,
)
from app.status.histories import CrossingHistory, Events, load_histories
from app.status.reading import validity_of
from app.status.rule.travellers import ANYONE, Traveller
from app.status.summaries import Summary, waits_out
from app.vocabulary import CrossingOrder, Status, Traffic

_CROSSINGS_PER_READ = 100


async def get_crossing(
    session: AsyncSession, crossing_id: str, traveller: Traveller = ANYONE
) -> tuple[CrossingDetail, Snapshot, Validity]:
    """Return a crossing with its whole present status. Raises CrossingNotFound."""
    snapshot = await take_snapshot(session, AsOf())
    waits = await latest_waits(session, [crossing_id])
    body, summary = await load_detail(session, crossing_id, snapshot, waits, traveller)
    return body, snapshot, await validity_of(session, [summary], waits)


async def list_crossings(
    session: AsyncSession,
    *,
    crossing_filter: CrossingFilter,
    at: datetime | None = None,
    as_of: AsOf = AsOf(),  # noqa: B008  # frozen
    status: Status | None = None,
    order: CrossingOrder | None = None,
    traveller: Traveller = ANYONE,
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
        for rank, summary in await _summaries(
            session, batch, crossing_filter, snapshot, at, traveller
        ):
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
    traveller: Traveller = ANYONE,
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
            session,
            ranks[start : start + _CROSSINGS_PER_READ],
            crossing_filter,
            snapshot,
            None,
            traveller,
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


async def _summaries(
    session: AsyncSession,
    ranks: list[Rank],
    crossing_filter: CrossingFilter,
    snapshot: Snapshot,
    at: datetime | None,
    traveller: Traveller,
) -> list[tuple[Rank, Summary]]:
    """Return the summaries of the matching lanes, without crossings that were recorded later."""
    ids = [rank.id for rank in ranks]
    # Only plain lists of the present have a validity.
    is_timed = crossing_filter.has_fixed_members and at is None
    noticed = await last_noticed(session, ids, snapshot.change) if is_timed else {}

    def summarize(history: CrossingHistory) -> Summary:
        lanes = crossing_filter.lanes_of(history.details) if crossing_filter.filters_lanes else None
        summary = Summary.of(
            history,
            at or snapshot.now,
            lanes,
            noticed=noticed.get(history.details.id),
            traveller=traveller,
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


async def load_detail(
    session: AsyncSession,
    crossing_id: str,
    snapshot: Snapshot,
    waits: Mapping[str, Waits],
    traveller: Traveller = ANYONE,
) -> tuple[CrossingDetail, Summary]:
    noticed = await last_noticed(session, [crossing_id], snapshot.change)

    def summarize(history: CrossingHistory) -> tuple[Summary, Events]:
        summary = Summary.of(
            history, snapshot.now, noticed=noticed.get(crossing_id), traveller=traveller
        ).settled()
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
