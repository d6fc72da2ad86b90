"""Answer questions about statuses: load the log, ask the rule, tell it as a body."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Known, known
from app.errors import CrossingNotFound, LaneNotFound, invalid
from app.http.parameters import Knowledge
from app.status.log import CrossingLog, events_out, logs_of
from app.status.rule.history import Lane, LaneAnswer, LaneState, Stretch
from app.status.rule.resolution import next_change, present_period, resolve, timeline
from app.status.schemas import LaneOut, StatusOut, StretchOut
from app.vocabulary import Traffic


async def get_status(
    session: AsyncSession,
    *,
    crossing_id: str,
    at: datetime | None,
    knowledge: Knowledge,
    traffic: Traffic | None,
    to: str | None,
) -> tuple[StatusOut, Known]:
    """Answer for one crossing, or for those of its lanes that ``traffic`` and ``to`` name."""
    asked = await known(session, knowledge)
    log = await _log_of(session, crossing_id, asked)
    lanes = _lanes(log, traffic, to)
    body = await status_of(
        session, log, at=at, known_at=knowledge.known_at, asked=asked, lanes=lanes
    )
    return body, asked


async def status_of(
    session: AsyncSession,
    log: CrossingLog,
    *,
    at: datetime | None,
    known_at: datetime | None,
    asked: Known,
    lanes: Sequence[Lane] | None = None,
) -> StatusOut:
    """Return the whole answer from a log that is loaded already."""
    history = log.history(lanes)
    instant = at or asked.now
    answer = resolve(history, instant)
    since, until = present_period(timeline(history), instant)
    shown = [event.id for event in (*answer.decided_by, *answer.also_said)]
    events = await events_out(session, log.rows_of(shown), known_change=asked.change)
    return StatusOut(
        crossing=log.details.id,
        status=answer.status,
        last_known=answer.last_known,
        at=at,
        known_at=known_at,
        since=since,
        until=until,
        expected_until=answer.expected_until,
        overdue=answer.overdue,
        next_change_at=next_change(history, instant),
        last_confirmed_at=answer.last_confirmed_at,
        stale=answer.stale,
        sides=dict(answer.sides),
        lanes=[_lane_out(lane) for lane in answer.lanes],
        decided_by=events[: len(answer.decided_by)],
        also_said=events[len(answer.decided_by) :],
        change=log.change,
    )


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
    wanted = [
        lane
        for lane in log.details.lanes
        if traffic in {None, lane.traffic} and to in {None, lane.to}
    ]
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
        lanes=[_lane_out(lane) for lane in one.lanes],
    )


def _lane_out(one: LaneAnswer | LaneState) -> LaneOut:
    return LaneOut(
        traffic=one.lane.traffic,
        to=one.lane.to,
        status=one.status,
        last_known=one.last_known,
        stale=one.stale,
        overdue=one.overdue,
        decided_by=one.decided_by.id if one.decided_by else None,
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((x for x in (one, other) if x is not None), default=None)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((x for x in (one, other) if x is not None), default=None)
