"""The answer about a crossing at an instant, before it becomes a body."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from uuid import UUID

from app.http.bodies import utc
from app.http.caching import ALWAYS_VALID, Validity
from app.observations.schemas import WaitOut
from app.observations.waits import NO_WAITS, Waits
from app.places.details import Details
from app.status.histories import CrossingHistory
from app.status.rule.history import Answer, Lane, LaneAnswer, LaneState
from app.status.rule.hours import AnswersWithHours
from app.status.rule.resolution import Period, ResolvedHistory, withheld
from app.status.rule.travellers import ANYONE, Traveller, for_traveller
from app.status.schemas import EventOut, Exemption, LaneOut, StatusOut
from app.vocabulary import Mode


@dataclass(frozen=True, eq=False)
class Summary:
    """The answer for a crossing, or for some of its lanes, at an instant.

    What needs a part of the timeline is computed on first access, since a list reads more
    crossings than it shows. It raises OutOfReach if the history is too short.
    """

    details: Details
    resolved: ResolvedHistory | AnswersWithHours
    instant: datetime
    answer: Answer
    change: int | None
    withheld_since: datetime | None = None
    """Since when the data is too old for open and restricted to be relied on; None if it is not."""

    @classmethod
    def of(
        cls,
        history: CrossingHistory,
        instant: datetime,
        lanes: Sequence[Lane] | None = None,
        *,
        noticed: int | None = None,
        traveller: Traveller = ANYONE,
    ) -> "Summary":
        """Answer for ``lanes`` or all; ``noticed`` is the last change of a notice about it."""
        resolved = history.resolved
        chosen = history.history.lanes if lanes is None else tuple(lanes)
        if chosen != history.history.lanes or not traveller.is_anyone:
            narrowed = replace(history.history, lanes=chosen)
            resolved = ResolvedHistory(for_traveller(narrowed, traveller))
        change = history.last_change(noticed)
        return cls.resolve(history.details, resolved, instant, change, traveller)

    @classmethod
    def resolve(
        cls,
        details: Details,
        resolved: ResolvedHistory,
        instant: datetime,
        change: int | None,
        traveller: Traveller = ANYONE,
    ) -> "Summary":
        """Answer from what is declared, the regular hours and the limits. Raises OutOfReach."""
        answers = with_hours(details, resolved, traveller)
        return cls(details, answers, instant, answers.answer(instant), change)

    @property
    def is_confirmed_evenly(self) -> bool:
        """Whether the newest evidence of all lanes has the same age."""
        return len({lane.last_confirmed_at for lane in self.answer.lanes}) <= 1

    def settled(self) -> "Summary":
        """Compute everything that `status_out` needs, and return self. Raises OutOfReach."""
        _ = self.period, self.next_change_at, self.due_at, self.opens_at
        return self

    def forget(self) -> None:
        """Keep what was computed so far, and release the history."""
        object.__setattr__(self, "resolved", None)

    def withhold(self, since: datetime) -> "Summary":
        """Return the summary for a board that has been too old to rely on since an instant."""
        answer = withheld(self.answer)
        if answer == self.answer:
            return self
        return replace(self, answer=answer, withheld_since=since)

    @property
    def declared(self) -> ResolvedHistory:
        """The history without regular hours."""
        answers = self.resolved
        return answers.resolved if isinstance(answers, AnswersWithHours) else answers

    @property
    def confirmed_by_observation_at(self) -> datetime | None:
        """When the newest observation that confirms a lane was recorded."""
        observed = self.declared.history.observed
        return max((confirmation.recorded_at for confirmation in observed), default=None)

    @property
    def id(self) -> str:
        return self.details.id

    @property
    def mode(self) -> Mode:
        return Mode(self.details.version.mode)

    @cached_property
    def period(self) -> Period:
        if self.withheld_since is not None:
            return Period(since=self.withheld_since, until=None, expires_at=None)
        return self.resolved.period(self.instant)

    @property
    def since(self) -> datetime | None:
        return self.period.since

    @cached_property
    def next_change_at(self) -> datetime | None:
        if self.withheld_since is not None:
            return None
        return self.resolved.next_change(self.instant)

    @cached_property
    def due_at(self) -> datetime | None:
        """When a body of this next changes; that of a border shows more than a status does."""
        if isinstance(self.resolved, AnswersWithHours):
            return self.resolved.next_difference(self.instant)  # gates open in an outage, too
        if self.withheld_since is not None:
            return None
        return self.resolved.next_difference(self.instant)

    @cached_property
    def opens_at(self) -> datetime | None:
        """When regular hours next open a lane that nothing but they close."""
        if self.withheld_since is not None or not isinstance(self.resolved, AnswersWithHours):
            return None
        return self.resolved.opens_at(self.instant)

    @cached_property
    def last_change_at(self) -> datetime | None:
        """Since when the answer is the same, as known now; None is since ever."""
        return self.withheld_since or self.resolved.last_change(self.instant)


def with_hours(
    details: Details, resolved: ResolvedHistory, traveller: Traveller = ANYONE
) -> ResolvedHistory | AnswersWithHours:
    """Return what answers about a history's lanes, their regular hours and limits included."""
    hours = details.schedules(resolved.history.lanes)
    limit = traveller.exceeded(details.limits)
    if limit is not None:
        hours = replace(hours, limit=limit)
    return AnswersWithHours(resolved, hours) if hours else resolved


def status_out(
    summary: Summary,
    events: Mapping[UUID, EventOut],
    waits: Sequence[WaitOut],
    *,
    at: datetime | None = None,
    known_at: datetime | None = None,
) -> StatusOut:
    """Return the answer as a body, with the given bodies of events."""
    answer = summary.answer
    period = summary.period
    return StatusOut(
        crossing=summary.id,
        status=answer.status,
        last_known=answer.last_known,
        at=at,
        known_at=known_at,
        since=period.since,
        until=period.until,
        expires_at=period.expires_at,
        expected_until=answer.expected_until,
        overdue=answer.overdue,
        next_change_at=summary.next_change_at,
        opens_at=summary.opens_at,
        last_confirmed_at=answer.last_confirmed_at,
        stale=answer.stale,
        sides=dict(answer.sides),
        lanes=[lane_out(lane) for lane in answer.lanes],
        waits=list(waits),
        decided_by=[events[event.id] for event in answer.decided_by],
        also_said=[events[event.id] for event in answer.also_said],
        retired_at=utc(summary.details.version.retired_at),
        replaced_by=summary.details.version.replaced_by,
        change=summary.change,
    )


def waits_out(
    summary: Summary, waits: Waits = NO_WAITS, instant: datetime | None = None
) -> list[WaitOut]:
    """Return the waits that are shown with the answer, at its instant or a later one."""
    lanes = {lane.lane: lane for lane in summary.answer.lanes}
    return waits.out(instant or summary.instant, lanes)


def valid(summaries: Iterable[tuple[Summary, datetime | None]]) -> Validity:
    """Return the validity of an answer that contains all of these summaries."""
    validity = ALWAYS_VALID
    for summary, recorded_at in summaries:
        validity = validity.also(Validity(recorded_at, None))
        validity = validity.also(Validity(summary.confirmed_by_observation_at, None))
        validity = validity.also(Validity(summary.last_change_at, summary.due_at))
    return validity


def lane_out(lane: LaneAnswer | LaneState) -> LaneOut:
    return LaneOut(
        traffic=lane.lane.traffic,
        to=lane.lane.to,
        status=lane.status,
        last_known=lane.last_known,
        stale=lane.stale,
        overdue=lane.overdue,
        decided_by=lane.decided_by.id if lane.decided_by else None,
        reason=lane.reason,
        exceptions=[
            Exemption(code=exception.code, text=exception.text) for exception in lane.exceptions
        ],
    )
