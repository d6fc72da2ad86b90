"""Answer questions about statuses: load the log, ask the rule, tell it as a body."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Known, known, recorded_at
from app.errors import CrossingNotFound, LaneNotFound, invalid
from app.http.caching import ALWAYS_VALID, Validity
from app.http.parameters import Knowledge
from app.notices.reading import last_noticed
from app.places.details import Details
from app.status.histories import BEFORE_ALL, CrossingHistory, load_histories
from app.status.rule.history import ALWAYS, NEVER, Lane, OutOfReach, Stretch
from app.status.rule.resolution import ResolvedHistory
from app.status.schemas import StatusOut, StretchOut
from app.status.summaries import Summary, lane_out, status_out, valid
from app.vocabulary import Traffic


async def get_status(
    session: AsyncSession,
    *,
    crossing_id: str,
    at: datetime | None,
    knowledge: Knowledge,
    traffic: Traffic | None,
    to: str | None,
) -> tuple[StatusOut, Known, Validity]:
    """Answer for one crossing, or for those of its lanes that ``traffic`` and ``to`` name."""
    asked = await known(session, knowledge)
    noticed = await last_noticed(session, [crossing_id], asked.change)
    is_present = at is None and knowledge == Knowledge()

    def answer(history: CrossingHistory) -> tuple[Summary, StatusOut]:
        lanes = _lanes(history.details, traffic, to)
        summary = Summary.of(history, at or asked.now, lanes, noticed=noticed.get(crossing_id))
        if is_present:
            _ = summary.last_change_at
        return summary, status_out(summary, history.events, at=at, known_at=knowledge.known_at)

    found = await load_histories(session, [crossing_id], asked, answer, at=at)
    if crossing_id not in found:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    summary, body = found[crossing_id]
    validity = await validity_of(session, [summary]) if is_present else ALWAYS_VALID
    return body, asked, validity


async def validity_of(session: AsyncSession, summaries: Sequence[Summary]) -> Validity:
    """Return since when and until when answers are as they are, by what is recorded now."""
    changes = {one.change for one in summaries if one.change is not None}
    recorded = await recorded_at(session, changes)
    return valid((one, None if one.change is None else recorded[one.change]) for one in summaries)


async def get_timeline(
    session: AsyncSession,
    *,
    crossing_id: str,
    knowledge: Knowledge,
    traffic: Traffic | None,
    to: str | None,
    start: datetime | None,
    end: datetime | None,
    after: datetime | None,
    limit: int,
) -> tuple[list[StretchOut], Known]:
    """Return the crossing's periods, the oldest first, clipped to ``[start, end)``.

    ``after`` is the end of the last period of the page before.
    """
    if start is not None and end is not None and end <= start:
        raise invalid("end", "must lie after start", where="query")
    asked = await known(session, knowledge)
    since = _later(start, after)

    def page(history: CrossingHistory) -> list[StretchOut]:
        narrowed = replace(history.history, lanes=tuple(_lanes(history.details, traffic, to)))
        found: list[StretchOut] = []
        for one in ResolvedHistory(narrowed).timeline(since or ALWAYS):
            if end is not None and one.start is not None and one.start >= end:
                break
            if min(one.end or NEVER, end or NEVER) > narrowed.known_until:
                raise OutOfReach
            found += [_stretch_out(cut) for cut in clipped([one], since, end)]
            if len(found) == limit:
                break
        return found

    pages = await load_histories(session, [crossing_id], asked, page, at=since or BEFORE_ALL)
    if crossing_id not in pages:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    return pages[crossing_id], asked


def whole_timeline(history: CrossingHistory) -> list[StretchOut]:
    """Return all periods of a crossing, the oldest first."""
    return [_stretch_out(one) for one in history.resolved.timeline()]


def clipped(
    stretches: Iterable[Stretch], start: datetime | None, end: datetime | None
) -> list[Stretch]:
    """Return the part of a timeline within ``[start, end)``; None does not cut."""
    return [
        Stretch(
            start=_later(one.start, start),
            end=_earlier(one.end, end),
            status=one.status,
            last_known=one.last_known,
            stale=one.stale,
            overdue=one.overdue,
            decided_by=one.decided_by,
            lanes=one.lanes,
        )
        for one in stretches
        if (start is None or one.end is None or one.end > start)
        and (end is None or one.start is None or one.start < end)
    ]


def _lanes(details: Details, traffic: Traffic | None, to: str | None) -> list[Lane]:
    wanted = details.lanes_for(traffic, to)
    if not wanted:
        lanes = details.lanes
        listed = ", ".join(f"{lane.traffic.value} to {lane.to}" for lane in lanes)
        raise LaneNotFound(
            f"{details.id} has these lanes: {listed}.",
            lanes=[{"traffic": lane.traffic.value, "to": lane.to} for lane in lanes],
        )
    return wanted


def _stretch_out(one: Stretch) -> StretchOut:
    return StretchOut(
        from_=one.start,
        until=one.end,
        status=one.status,
        last_known=one.last_known,
        stale=one.stale,
        overdue=one.overdue,
        decided_by=[event.id for event in one.decided_by],
        lanes=[lane_out(lane) for lane in one.lanes],
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((x for x in (one, other) if x is not None), default=None)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((x for x in (one, other) if x is not None), default=None)
