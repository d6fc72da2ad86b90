"""The resolution rule a second time, read slowly from its text, to hold the first against.

It shares nothing with ``app.status.rule.resolution`` but the value types. Everything is worked out
again for every question, in the order of the text, and nothing here may become clever.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.status.rule.history import (
    Answer,
    Confirmation,
    Declaration,
    Event,
    EventRetraction,
    History,
    Lane,
    LaneAnswer,
    LaneState,
    TimelinePeriod,
)
from app.vocabulary import Certainty, Status

SEVERITY = [Status.OPEN, Status.RESTRICTED, Status.CLOSED]
CERTAINTY = [Certainty.UNCONFIRMED, Certainty.REPORTED, Certainty.CONFIRMED]

ANY_INSTANT = datetime(2024, 1, 1, tzinfo=UTC)

Evidence = tuple[datetime, datetime]
"""An instant that was spoken of, and when that was recorded."""

Step = tuple[datetime | None, Answer]
"""An answer and the instant from which it holds; None is since ever."""


# What is known, and when it was said


def known(history: History, known_at: datetime | None) -> list[Event]:
    """List the events recorded by then."""
    return [e for e in history.events if known_at is None or e.recorded_at <= known_at]


def standing(history: History, known_at: datetime | None) -> list[Declaration]:
    """List the declarations that nothing recorded by then supersedes or retracts."""
    events = known(history, known_at)
    superseded = [e.supersedes for e in events if isinstance(e, Declaration)]
    retracted = [e.retracts for e in events if isinstance(e, EventRetraction)]
    return [
        e
        for e in events
        if isinstance(e, Declaration) and e.id not in superseded and e.id not in retracted
    ]


def eligible(history: History, lane: Lane, known_at: datetime | None) -> list[Declaration]:
    """Apply rule 1 without the period."""
    return [
        d
        for d in standing(history, known_at)
        if d.certainty != Certainty.UNCONFIRMED and d.scope.covers(lane)
    ]


def confirmations(history: History, lane: Lane, known_at: datetime | None) -> list[Confirmation]:
    """List the confirmations that cover the lane and are not retracted."""
    events = known(history, known_at)
    retracted = [e.retracts for e in events if isinstance(e, EventRetraction)]
    return [
        e
        for e in events
        if isinstance(e, Confirmation) and e.id not in retracted and e.scope.covers(lane)
    ]


def said_at(history: History, declaration: Declaration) -> datetime:
    """Tell when it was said: for a correction that is silent, with what it corrects."""
    if declaration.announced_at is not None:
        return min(declaration.announced_at, declaration.recorded_at)
    for event in history.events:
        if isinstance(event, Declaration) and event.id == declaration.supersedes:
            return said_at(history, event)
    return declaration.recorded_at


def first_entry(history: History, declaration: Declaration) -> Declaration:
    """Return the entry whose said at this one has: a silent correction has that of its target."""
    if declaration.announced_at is None:
        for event in history.events:
            if isinstance(event, Declaration) and event.id == declaration.supersedes:
                return first_entry(history, event)
    return declaration


def said_order(history: History, declaration: Declaration) -> tuple[datetime, datetime, UUID]:
    """Order what was said; what was said at one instant, in the order it was first recorded."""
    first = first_entry(history, declaration)
    return said_at(history, first), first.recorded_at, first.id


def newest_first(history: History, declarations: Iterable[Declaration]) -> list[Declaration]:
    """List each once: the latest start, then the last said, then the last recorded, first."""
    once = {d.id: d for d in declarations}
    return sorted(
        once.values(),
        key=lambda d: (d.start, said_order(history, d)),
        reverse=True,
    )


# Rules 1 to 3


def holds(declaration: Declaration, at: datetime) -> bool:
    """Tell whether the half-open period of the declaration contains the instant."""
    return declaration.start <= at and (declaration.end is None or at < declaration.end)


def candidates(
    history: History, lane: Lane, at: datetime, known_at: datetime | None
) -> list[Declaration]:
    """Apply rule 1."""
    return [d for d in eligible(history, lane, known_at) if holds(d, at)]


def lifts(history: History, later: Declaration, earlier: Declaration) -> bool:
    """Apply rule 2 to two candidates of one side."""
    said_later = said_order(history, later) > said_order(history, earlier)
    starts_no_earlier = later.start >= earlier.start
    no_less_certain = CERTAINTY.index(later.certainty) >= CERTAINTY.index(earlier.certainty)
    return said_later and starts_no_earlier and no_less_certain


def in_force(
    history: History, lane: Lane, side: str, at: datetime, known_at: datetime | None
) -> list[Declaration]:
    """List what that side has said of the lane and has not lifted itself."""
    said = [d for d in candidates(history, lane, at, known_at) if side in d.sides]
    return [d for d in said if not any(lifts(history, other, d) for other in said)]


def most_severe(declarations: Iterable[Declaration]) -> Status:
    """Apply rule 3 for the status."""
    found = [d.status for d in declarations]
    for status in reversed(SEVERITY):
        if status in found:
            return status
    return Status.UNKNOWN


def in_force_of_any_side(
    history: History, lane: Lane, at: datetime, known_at: datetime | None
) -> list[Declaration]:
    """List what is in force for at least one of the sides that said it."""
    return [d for side in history.sides for d in in_force(history, lane, side, at, known_at)]


def deciding(
    history: History, lane: Lane, at: datetime, known_at: datetime | None
) -> Declaration | None:
    """Apply rule 3 for the declaration that is named."""
    found = in_force_of_any_side(history, lane, at, known_at)
    status = most_severe(found)
    equals = newest_first(history, [d for d in found if d.status == status])
    return equals[0] if equals else None


# Rule 4


def evidence(
    history: History, lane: Lane, event: Declaration, known_at: datetime | None
) -> list[Evidence]:
    """List every instant that may support the deciding event."""
    found: list[tuple[datetime | None, Declaration | Confirmation]] = []
    for declaration in eligible(history, lane, known_at):
        found.append((declaration.start, declaration))
        found.append((declaration.end, declaration))
    found.extend((c.confirmed_at, c) for c in confirmations(history, lane, known_at))
    return [
        (x, source.recorded_at)
        for x, source in found
        if x is not None and x >= event.start and source.sides & event.sides
    ]


def supports(x: datetime, r: datetime, at: datetime, confirm_within: timedelta) -> bool:
    """Tell whether an instant spoken of supports another, in either of the two ways."""
    lately = x <= at and at - min(x, r) < confirm_within
    between_two_facts = at < x <= r
    return lately or between_two_facts


def resolve_lane(
    history: History, lane: Lane, at: datetime, known_at: datetime | None
) -> LaneAnswer:
    """Apply rules 1 to 4."""
    event = deciding(history, lane, at, known_at)
    if event is None:
        return LaneAnswer(
            lane=lane,
            status=Status.UNKNOWN,
            last_known=None,
            stale=False,
            overdue=False,
            decided_by=None,
            last_confirmed_at=None,
        )
    pieces = evidence(history, lane, event, known_at)
    supported = any(supports(x, r, at, history.confirm_within) for x, r in pieces)
    expired = not supported and event.status != Status.CLOSED
    return LaneAnswer(
        lane=lane,
        status=Status.UNKNOWN if expired else event.status,
        last_known=event.status if expired else None,
        stale=not supported and event.status == Status.CLOSED,
        overdue=event.expected_until is not None and event.expected_until <= at,
        decided_by=event,
        last_confirmed_at=max(min(x, r) for x, r in pieces if x <= at),
    )


# Rule 5


def summary(statuses: list[Status]) -> Status:
    """Say what the lanes have in common, or what they are worth together."""
    if all(status == statuses[0] for status in statuses):
        return statuses[0]
    if Status.OPEN in statuses or Status.RESTRICTED in statuses:
        return Status.RESTRICTED
    return Status.UNKNOWN


def side_summary(history: History, side: str, at: datetime, known_at: datetime | None) -> Status:
    """Say what one side's own word amounts to, before expiry."""
    return summary(
        [most_severe(in_force(history, lane, side, at, known_at)) for lane in history.lanes]
    )


def also_said(
    history: History,
    decided_by: list[Declaration],
    at: datetime,
    known_at: datetime | None,
) -> list[Declaration]:
    """List rumours of this instant, and what is in force with another status than its lane."""
    found = []
    for lane in history.lanes:
        for declaration in standing(history, known_at):
            rumour = declaration.certainty == Certainty.UNCONFIRMED
            if rumour and declaration.scope.covers(lane) and holds(declaration, at):
                found.append(declaration)
        said = in_force_of_any_side(history, lane, at, known_at)
        found.extend(d for d in said if d.status != most_severe(said))
    return newest_first(history, [d for d in found if d not in decided_by])


def resolve(history: History, at: datetime, known_at: datetime | None = None) -> Answer:
    """Apply rule 5, over all the others."""
    lanes = [resolve_lane(history, lane, at, known_at) for lane in history.lanes]
    decided_by = newest_first(history, [x.decided_by for x in lanes if x.decided_by is not None])
    status = summary([x.status for x in lanes])
    unexpired = summary([x.last_known or x.status for x in lanes])
    expected = [d.expected_until for d in decided_by if d.expected_until is not None]
    confirmed = [x.last_confirmed_at for x in lanes if x.last_confirmed_at is not None]
    return Answer(
        status=status,
        last_known=(
            unexpired if status == Status.UNKNOWN and unexpired != Status.UNKNOWN else None
        ),
        stale=any(x.stale for x in lanes),
        overdue=any(x.overdue for x in lanes),
        expected_until=min(expected) if expected else None,
        last_confirmed_at=min(confirmed) if confirmed else None,
        sides=tuple((side, side_summary(history, side, at, known_at)) for side in history.sides),
        lanes=tuple(lanes),
        decided_by=tuple(decided_by),
        also_said=tuple(also_said(history, decided_by, at, known_at)),
    )


# All time


def boundaries(history: History) -> list[datetime]:
    """List every instant at which any answer, known at any time, might begin to differ."""
    found = set()
    for event in history.events:
        if isinstance(event, EventRetraction):
            continue
        spoken_of = (
            [event.confirmed_at]
            if isinstance(event, Confirmation)
            else [x for x in (event.start, event.end) if x is not None]
        )
        found.update(spoken_of)
        found.update(min(x, event.recorded_at) + history.confirm_within for x in spoken_of)
        if isinstance(event, Declaration) and event.expected_until is not None:
            found.add(event.expected_until)
    return sorted(found)


def steps(history: History, known_at: datetime | None = None) -> list[Step]:
    """Answer from every boundary on, and before the first."""
    found = boundaries(history)
    before = found[0] - timedelta(days=1) if found else ANY_INSTANT
    return [
        (None, resolve(history, before, known_at)),
        *((instant, resolve(history, instant, known_at)) for instant in found),
    ]


def timeline(history: History, known_at: datetime | None = None) -> tuple[TimelinePeriod, ...]:
    """Keep the steps that a timeline tells apart, each until the next."""
    kept: list[Step] = []
    for step in steps(history, known_at):
        if not kept or shown(step[1]) != shown(kept[-1][1]):
            kept.append(step)
    ends = [start for start, _ in kept[1:]] + [None]
    return tuple(
        TimelinePeriod(
            start=start,
            end=end,
            status=answer.status,
            last_known=answer.last_known,
            stale=answer.stale,
            overdue=answer.overdue,
            decided_by=answer.decided_by,
            lanes=lane_states(answer),
        )
        for (start, answer), end in zip(kept, ends, strict=True)
    )


def lane_states(answer: Answer) -> tuple[LaneState, ...]:
    """Show the lanes of an answer as a timeline does."""
    return tuple(
        LaneState(
            lane=x.lane,
            status=x.status,
            last_known=x.last_known,
            stale=x.stale,
            overdue=x.overdue,
            decided_by=x.decided_by,
        )
        for x in answer.lanes
    )


def shown(answer: Answer | TimelinePeriod) -> tuple[object, ...]:
    """Keep what a timeline tells of an answer."""
    lanes = lane_states(answer) if isinstance(answer, Answer) else answer.lanes
    return (
        answer.status,
        answer.last_known,
        answer.stale,
        answer.overdue,
        answer.decided_by,
        lanes,
    )


def next_change(told: list[Step], now: Answer, at: datetime) -> datetime | None:
    """Find the first step after ``at`` at which the body is not what it is ``now``."""
    for instant, answer in told:
        if instant is not None and instant > at and body(answer) != body(now):
            return instant
    return None


def body(answer: Answer) -> tuple[object, ...]:
    """Keep what the body of a status shows: of the lanes, not when they were confirmed."""
    return (
        shown(answer),
        answer.expected_until,
        answer.last_confirmed_at,
        answer.sides,
        answer.also_said,
    )


def before_expiry(answer: Answer) -> Status:
    """Say what the lanes were declared to be, whether that still holds or not."""
    return summary([x.last_known or x.status for x in answer.lanes])


def present_period(
    told: list[Step], at: datetime
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """Walk from the steps around ``at`` to where the status began, is to end, and would expire."""
    position = max(i for i, (start, _) in enumerate(told) if start is None or start <= at)
    now = told[position][1]
    first = last = position
    while first > 0 and told[first - 1][1].status == now.status:
        first -= 1
    while last + 1 < len(told) and before_expiry(told[last + 1][1]) == before_expiry(now):
        last += 1
    unknown = [start for start, x in told[position : last + 1] if x.status == Status.UNKNOWN]
    expires_at = unknown[0] if unknown and now.status != Status.UNKNOWN else None
    return told[first][0], told[last + 1][0] if last + 1 < len(told) else None, expires_at
