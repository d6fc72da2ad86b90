"""Answer questions about statuses: load the log, apply the rule, return a body."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Snapshot, recorded_at, take_snapshot
from app.errors import CrossingNotFound, invalid
from app.http.caching import ALWAYS_VALID, Validity
from app.http.parameters import AsOf
from app.notices.reading import last_noticed
from app.observations.reading import waits_of
from app.observations.waits import NO_WAITS, Waits
from app.places.details import require_lanes
from app.status.histories import BEFORE_ALL, CrossingHistory, load_histories
from app.status.rule.history import ALWAYS, NEVER, OutOfReach, TimelinePeriod
from app.status.rule.hours import AnswersWithHours
from app.status.rule.resolution import ResolvedHistory
from app.status.rule.travellers import ANYONE, Traveller
from app.status.schemas import StatusOut, TimelinePeriodOut
from app.status.summaries import Summary, lane_out, status_out, valid, waits_out
from app.vocabulary import Traffic

HOURS_SHOWN_FOR = timedelta(days=366)
"""The longest range of a timeline that regular hours are shown in."""


async def get_status(
    session: AsyncSession,
    *,
    crossing_id: str,
    at: datetime | None,
    as_of: AsOf,
    traffic: Traffic | None,
    to: str | None,
    traveller: Traveller = ANYONE,
) -> tuple[StatusOut, Snapshot, Validity]:
    """Return the status of a crossing, or of the lanes that ``traffic`` and ``to`` select.

    It is that for ``traveller``.
    """
    snapshot = await take_snapshot(session, as_of)
    noticed = await last_noticed(session, [crossing_id], snapshot.change)
    all_waits = await waits_of(session, [crossing_id], at=at, as_of=as_of, snapshot=snapshot)
    waits = all_waits.get(crossing_id, NO_WAITS)
    is_present = as_of.is_present(at)

    def answer(history: CrossingHistory) -> tuple[Summary, StatusOut]:
        lanes = require_lanes(history.details, traffic, to)
        summary = Summary.of(
            history,
            at or snapshot.now,
            lanes,
            noticed=noticed.get(crossing_id),
            traveller=traveller,
        )
        if is_present:
            _ = summary.due_at, summary.last_change_at
        wait_bodies = waits_out(summary, waits)
        return summary, status_out(
            summary, history.events, wait_bodies, at=at, known_at=as_of.known_at
        )

    answers = await load_histories(session, [crossing_id], snapshot, answer, at=at)
    if crossing_id not in answers:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    summary, body = answers[crossing_id]
    validity = await validity_of(session, [summary], all_waits) if is_present else ALWAYS_VALID
    return body, snapshot, validity


async def validity_of(
    session: AsyncSession, summaries: Sequence[Summary], waits: Mapping[str, Waits]
) -> Validity:
    """Return since when and until when answers are the same, as known now.

    ``waits`` are the waits of the crossings that have any.
    """
    changes = {summary.change for summary in summaries if summary.change is not None}
    recorded = await recorded_at(session, changes)
    validity = valid(
        (summary, None if summary.change is None else recorded[summary.change])
        for summary in summaries
    )
    for summary in summaries:
        validity = validity.also(waits.get(summary.id, NO_WAITS).validity(summary.instant))
    return validity


async def get_timeline(
    session: AsyncSession,
    *,
    crossing_id: str,
    as_of: AsOf,
    traffic: Traffic | None,
    to: str | None,
    start: datetime | None,
    end: datetime | None,
    after: datetime | None,
    limit: int,
    hours: bool = False,
) -> tuple[list[TimelinePeriodOut], Snapshot]:
    """Return the crossing's periods, the oldest first, clipped to ``[start, end)``.

    ``after`` is the end of the last period of the page before.
    """
    if start is not None and end is not None and end <= start:
        raise invalid("end", "must lie after start", where="query")
    if hours and (start is None or end is None or end - start > HOURS_SHOWN_FOR):
        raise invalid("hours", "requires start and end, at most 366 days apart", where="query")
    snapshot = await take_snapshot(session, as_of)
    since = _later(start, after)

    def page(history: CrossingHistory) -> list[TimelinePeriodOut]:
        narrowed = replace(
            history.history, lanes=tuple(require_lanes(history.details, traffic, to))
        )
        periods: list[TimelinePeriodOut] = []
        resolved = ResolvedHistory(narrowed)
        every = resolved.timeline(since or ALWAYS)
        if hours and since is not None and end is not None:
            schedules = history.details.schedules(narrowed.lanes)
            every = AnswersWithHours(resolved, schedules).timeline(since, end)
        for period in every:
            if end is not None and period.start is not None and period.start >= end:
                break
            if min(period.end or NEVER, end or NEVER) > narrowed.known_until:
                raise OutOfReach
            periods += [_period_out(cut) for cut in clipped([period], since, end)]
            if len(periods) == limit:
                break
        return periods

    pages = await load_histories(session, [crossing_id], snapshot, page, at=since or BEFORE_ALL)
    if crossing_id not in pages:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    return pages[crossing_id], snapshot


def whole_timeline(history: CrossingHistory) -> list[TimelinePeriodOut]:
    """Return all periods of a crossing, the oldest first."""
    return [_period_out(period) for period in history.resolved.timeline()]


def clipped(
    periods: Iterable[TimelinePeriod], start: datetime | None, end: datetime | None
) -> list[TimelinePeriod]:
    """Return the part of a timeline within ``[start, end)``; None does not cut."""
    return [
        TimelinePeriod(
            start=_later(period.start, start),
            end=_earlier(period.end, end),
            status=period.status,
            last_known=period.last_known,
            stale=period.stale,
            overdue=period.overdue,
            decided_by=period.decided_by,
            lanes=period.lanes,
        )
        for period in periods
        if (start is None or period.end is None or period.end > start)
        and (end is None or period.start is None or period.start < end)
    ]


def _period_out(period: TimelinePeriod) -> TimelinePeriodOut:
    return TimelinePeriodOut(
        from_=period.start,
        until=period.end,
        status=period.status,
        last_known=period.last_known,
        stale=period.stale,
        overdue=period.overdue,
        decided_by=[event.id for event in period.decided_by],
        lanes=[lane_out(lane) for lane in period.lanes],
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((x for x in (one, other) if x is not None), default=None)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((x for x in (one, other) if x is not None), default=None)
