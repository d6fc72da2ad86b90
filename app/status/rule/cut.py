"""Cut a history to what can still matter from an instant on. Pure.

Why nothing that matters is left out is argued in ``app/status/cut.sql``, which does the same in
the database for any instant and any knowledge; both are held against the whole log by tests.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from app.status.rule.force import Said
from app.status.rule.history import (
    ALWAYS,
    NEVER,
    Confirmation,
    Event,
    EventRetraction,
    Held,
    History,
    Lane,
    Scope,
)
from app.status.rule.lanes import LaneGroup
from app.status.rule.resolution import ResolvedHistory


def cut(resolved: ResolvedHistory, since: datetime) -> History:
    """Return the history with what can matter from ``since`` on; it must reach as far forward."""
    history = resolved.history
    kept = {one.event.id for one in _that_may_decide(resolved, since)}
    kept |= _evidence(resolved, since)
    events: list[Event] = [
        replace(one.event, said=one.said) for one in resolved.standing if one.event.id in kept
    ]
    events += [one for one in resolved.confirmations if one.id in kept]
    return replace(history, events=tuple(events), known_from=since, held=held_at(resolved, since))


def held_at(resolved: ResolvedHistory, at: datetime) -> Held:
    """Return since when the summary statuses at ``at`` have held, of all that may be asked about.

    Raises OutOfReach if that is not known of all lanes together.
    """
    since = resolved.period(at).since
    held = resolved.history.held
    if len(resolved.groups) == 1 and (held is None or not (held.others or held.unknown)):
        return Held(since)
    asked = set(selections(resolved.history.lanes).values())
    found = dict(resolved.since_of(asked, at))
    others = {lanes: start for lanes, start in found.items() if start != since}
    return Held(since, others, tuple(asked - found.keys()))


def selections(lanes: Iterable[Lane]) -> dict[str, frozenset[Lane]]:
    """Return by name what else than all lanes a question may be about.

    That is: the lanes of one traffic, those into one country, and each lane.
    """
    lanes = list(lanes)
    found: dict[str, frozenset[Lane]] = {}
    for traffic in (None, *dict.fromkeys(lane.traffic for lane in lanes)):
        for to in (None, *dict.fromkeys(lane.to for lane in lanes)):
            chosen = frozenset(
                lane for lane in lanes if traffic in {None, lane.traffic} and to in {None, lane.to}
            )
            if chosen and len(chosen) < len(lanes):
                found[f"{traffic.value if traffic else ''} {to or ''}".strip()] = chosen
    return found


def reaches_back(resolved: ResolvedHistory, event: Event) -> bool:
    """Return whether ``event``, recorded now, may alter a status before the history's beginning.

    New evidence fills every gap before it in which an open had run out. There is none before the
    newest evidence of the same side, nor for ``confirm_within`` after it, unless something was
    planned to begin or end since.
    """
    begin = resolved.history.known_from
    if begin == ALWAYS:
        return False
    if isinstance(event, EventRetraction):
        return True
    if isinstance(event, Confirmation):
        instants = [event.confirmed_at]
    elif event.supersedes or event.start < begin:
        return True
    else:
        instants = [event.start, event.end or NEVER]
    if all(instant > event.recorded_at for instant in instants):
        return False
    return any(
        _has_gap(group, frozenset({side}), begin)
        for group in resolved.groups
        if any(event.scope.covers(lane) for lane in group.lanes)
        for side in event.sides
    )


def _has_gap(group: LaneGroup, sides: frozenset[str], begin: datetime) -> bool:
    evidence = group.evidence(sides)
    newest = evidence.past[-1] if evidence.past else None
    if newest is None:
        return True
    return newest < begin and (
        newest + group.confirm_within <= begin
        or any(newest < instant <= begin for instant, _ in evidence.plans)
    )


def _that_may_decide(resolved: ResolvedHistory, since: datetime) -> Iterator[Said]:
    """Yield what has not ended and is not lifted for good, in each series."""
    endless: defaultdict[tuple[frozenset[str], Scope, int], list[Said]] = defaultdict(list)
    for one in resolved.standing:
        if one.event.start > since or since < one.end < NEVER or not one.firmness:
            if one.end > since:
                yield one
        elif one.end == NEVER:
            endless[one.event.sides, one.event.scope, one.firmness].append(one)
    for series in endless.values():
        latest = ALWAYS
        for one in sorted(series, key=lambda one: one.said, reverse=True):
            if one.event.start > latest:
                latest = one.event.start
                yield one


def _evidence(resolved: ResolvedHistory, since: datetime) -> set[UUID]:
    """Return what is the last word of a series by ``since``, or was planned for later than that."""
    heard: defaultdict[tuple[frozenset[str], Scope], list[tuple[datetime, datetime, UUID]]] = (
        defaultdict(list)
    )
    for confirmed in resolved.confirmations:
        instant = confirmed.confirmed_at
        heard[confirmed.sides, confirmed.scope].append((instant, instant, confirmed.id))
    for one in resolved.standing:
        if one.firmness:
            event = one.event
            for instant in (event.start, one.end):
                if instant <= since:
                    worth = min(instant, event.recorded_at)
                    heard[event.sides, event.scope].append((instant, worth, event.id))
    kept: set[UUID] = set()
    for series in heard.values():
        best = ALWAYS
        for _, worth, event_id in sorted(series, key=lambda one: one[:2], reverse=True):
            if worth > best:
                best = worth
                kept.add(event_id)
    return kept
