"""The answer about a crossing before and after a change. Pure."""

from datetime import datetime

from app.http.bodies import Body, CountryCode, CrossingId
from app.status.rule.history import Answer, History, Lane, LaneAnswer
from app.status.rule.resolution import next_change, present_period, resolve
from app.vocabulary import Status, Traffic


class AnswerOut(Body):
    """What is answered about a crossing at an instant: the status answer without its events."""

    status: Status
    last_known: Status | None
    since: datetime | None
    until: datetime | None
    expected_until: datetime | None
    overdue: bool
    stale: bool
    last_confirmed_at: datetime | None
    next_change_at: datetime | None
    sides: dict[CountryCode, Status]


class LaneChangeOut(Body):
    """A lane whose answer a change altered; null where there was or is no such lane."""

    traffic: Traffic
    to: CountryCode
    before: Status | None
    after: Status | None


class AnswerChangeOut(Body):
    """What a change made of the answer about a crossing; ``before`` is null for a new one."""

    crossing: CrossingId
    before: AnswerOut | None
    after: AnswerOut
    lanes: list[LaneChangeOut]


def answer_change(
    crossing: str,
    before: tuple[History, datetime] | None,
    after: tuple[History, datetime],
) -> AnswerChangeOut | None:
    """Compare what two histories answer, each at its instant; None if that is the same."""
    old = before and resolve(*before)
    new = resolve(*after)
    old_out = _answer_out(old, *before) if before and old else None
    new_out = _answer_out(new, *after)
    lanes = _lane_changes(old, new)
    if old_out == new_out and not lanes:
        return None
    return AnswerChangeOut(crossing=crossing, before=old_out, after=new_out, lanes=lanes)


def _answer_out(answer: Answer, history: History, instant: datetime) -> AnswerOut:
    since, until = present_period(history, instant)
    return AnswerOut(
        status=answer.status,
        last_known=answer.last_known,
        since=since,
        until=until,
        expected_until=answer.expected_until,
        overdue=answer.overdue,
        stale=answer.stale,
        last_confirmed_at=answer.last_confirmed_at,
        next_change_at=next_change(history, instant),
        sides=dict(answer.sides),
    )


def _lane_changes(old: Answer | None, new: Answer) -> list[LaneChangeOut]:
    olds = {lane.lane: lane for lane in old.lanes} if old else {}
    news = {lane.lane: lane for lane in new.lanes}
    return [
        LaneChangeOut(
            traffic=lane.traffic,
            to=lane.to,
            before=olds[lane].status if lane in olds else None,
            after=news[lane].status if lane in news else None,
        )
        for lane in dict.fromkeys([*olds, *news])
        if _told(olds, lane) != _told(news, lane)
    ]


def _told(lanes: dict[Lane, LaneAnswer], lane: Lane) -> tuple[object, ...] | None:
    found = lanes.get(lane)
    if found is None:
        return None
    decided_by = found.decided_by and found.decided_by.id
    return found.status, found.last_known, found.stale, found.overdue, decided_by
