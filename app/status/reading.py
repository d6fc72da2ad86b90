"""Answer questions about statuses: load the log, ask the rule, tell it as a body."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Known, known, recorded_at
from app.errors import CrossingNotFound, LaneNotFound, invalid
from app.http.caching import Validity
from app.http.parameters import Knowledge
from app.status.log import CrossingLog, events_out, logs_of
from app.status.rule.history import Lane, Stretch
from app.status.rule.resolution import timeline
from app.status.schemas import EventOut, StatusOut, StretchOut
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
    log = await _log_of(session, crossing_id, asked)
    summary = Summary.of(log, at or asked.now, _lanes(log, traffic, to))
    events = await events_shown(session, log, summary, asked)
    body = status_out(summary, events, at=at, known_at=knowledge.known_at)
    return body, asked, await validity_of(session, [summary])


async def events_shown(
    session: AsyncSession, log: CrossingLog, summary: Summary, asked: Known
) -> dict[UUID, EventOut]:
    """Return the bodies of the events that the whole answer shows, by id."""
    rows = log.rows_of(summary.shown)
    events = await events_out(session, rows, known_change=asked.change)
    return {event.id: event for event in events}


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
    log = await _log_of(session, crossing_id, asked)
    stretches = timeline(log.history(_lanes(log, traffic, to)))
    shown = [
        one
        for one in clipped(stretches, start, end)
        if after is None or (one.start is not None and one.start >= after)
    ]
    return [_stretch_out(one) for one in shown[:limit]], asked


def whole_timeline(log: CrossingLog) -> list[StretchOut]:
    """Return all periods of a crossing, the oldest first."""
    return [_stretch_out(one) for one in timeline(log.history())]


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


async def _log_of(session: AsyncSession, crossing_id: str, asked: Known) -> CrossingLog:
    logs = await logs_of(session, [crossing_id], known_change=asked.change)
    if crossing_id not in logs:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    return logs[crossing_id]


def _lanes(log: CrossingLog, traffic: Traffic | None, to: str | None) -> list[Lane]:
    wanted = log.details.lanes_for(traffic, to)
    if not wanted:
        lanes = log.details.lanes
        listed = ", ".join(f"{lane.traffic.value} to {lane.to}" for lane in lanes)
        raise LaneNotFound(
            f"{log.details.id} has these lanes: {listed}.",
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
