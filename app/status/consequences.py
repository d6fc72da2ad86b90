"""The answer about a crossing before and after a change. Pure."""

from dataclasses import dataclass
from datetime import datetime

from app.http.bodies import Body, CountryCode, CrossingId
from app.status.rule.cut import cut
from app.status.rule.effect import Effect, effects_of
from app.status.rule.history import Answer, History, Lane, LaneAnswer
from app.status.rule.resolution import Present, ResolvedHistory
from app.vocabulary import Status, Traffic


class AnswerOut(Body):
    """What is answered about a crossing at an instant: the status answer without its events."""

    status: Status
    last_known: Status | None
    since: datetime | None
    until: datetime | None
    expires_at: datetime | None = None  # missing in changes that were recorded without it
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
    """The answer about a crossing before and after a change; ``before`` is null for a new one."""

    crossing: CrossingId
    before: AnswerOut | None
    after: AnswerOut
    lanes: list[LaneChangeOut]


@dataclass(frozen=True, slots=True)
class Consequences:
    """What a write changes about one crossing."""

    answers: AnswerChangeOut | None
    due_at: datetime | None
    """When time alone next changes the answer; None is never."""
    effects: list[Effect]
    """The changes of lanes, if the lanes are the same as before."""
    left: History
    """The part of the history that still matters from then on."""


def consequences(
    crossing: str, before: ResolvedHistory | None, after: ResolvedHistory, now: datetime
) -> Consequences:
    """Compare the histories without and with the entry that is written at ``now``.

    ``before`` is None for a new crossing. Raises OutOfReach.
    """
    new = after.present(now)
    has_same_lanes = before is not None and before.history.lanes == after.history.lanes
    return Consequences(
        answers=answer_change(crossing, before.present(now) if before else None, new),
        due_at=new.next_change,
        effects=effects_of(before, after, since=now) if before and has_same_lanes else [],
        left=cut(after, now),
    )


def answer_change(crossing: str, old: Present | None, new: Present) -> AnswerChangeOut | None:
    """Compare two answers about a crossing; None if they are the same."""
    old_out = _answer_out(old) if old else None
    new_out = _answer_out(new)
    lanes = _lane_changes(old.answer if old else None, new.answer)
    if old_out == new_out and not lanes:
        return None
    return AnswerChangeOut(crossing=crossing, before=old_out, after=new_out, lanes=lanes)


def _answer_out(present: Present) -> AnswerOut:
    answer = present.answer
    return AnswerOut(
        status=answer.status,
        last_known=answer.last_known,
        since=present.period.since,
        until=present.period.until,
        expires_at=present.period.expires_at,
        expected_until=answer.expected_until,
        overdue=answer.overdue,
        stale=answer.stale,
        last_confirmed_at=answer.last_confirmed_at,
        next_change_at=present.next_change,
        sides=dict(answer.sides),
    )


def _lane_changes(old: Answer | None, new: Answer) -> list[LaneChangeOut]:
    before = {lane.lane: lane for lane in old.lanes} if old else {}
    after = {lane.lane: lane for lane in new.lanes}
    return [
        LaneChangeOut(
            traffic=lane.traffic,
            to=lane.to,
            before=before[lane].status if lane in before else None,
            after=after[lane].status if lane in after else None,
        )
        for lane in dict.fromkeys([*before, *after])
        if _compared_fields(before, lane) != _compared_fields(after, lane)
    ]


def _compared_fields(lanes: dict[Lane, LaneAnswer], lane: Lane) -> tuple[object, ...] | None:
    answer = lanes.get(lane)
    if answer is None:
        return None
    decided_by = answer.decided_by and answer.decided_by.id
    return answer.status, answer.last_known, answer.stale, answer.overdue, decided_by
