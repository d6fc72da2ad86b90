"""Cut a history to what can still matter from an instant on. Pure.

Why nothing that matters is left out is argued in ``app/status/cut.sql``, which does the same in
the database for any instant and any knowledge; both are held against the whole log by tests.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from app.status.rule.force import RankedDeclaration
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
    """Return the part of a history that matters from ``since`` on; it must reach as far forward."""
    history = resolved.history
    ids = {ranked.event.id for ranked in _that_may_decide(resolved, since)}
    ids |= _evidence(resolved, since)
    events: list[Event] = [
        replace(ranked.event, said=ranked.said)
        for ranked in resolved.active
        if ranked.event.id in ids
    ]
    events += [confirmation for confirmation in resolved.confirmations if confirmation.id in ids]
    return replace(history, events=tuple(events), known_from=since, held=held_at(resolved, since))


def held_at(resolved: ResolvedHistory, at: datetime) -> Held:
    """Return since when the summary statuses at ``at`` have held, of all lanes and each selection.

    Raises OutOfReach if that is not known of all lanes together.
    """
    since = resolved.period(at).since
    held = resolved.history.held
    if len(resolved.groups) == 1 and (held is None or not (held.others or held.unknown)):
        return Held(since)
    asked_selections = set(selections(resolved.history.lanes).values())
    starts = dict(resolved.since_of(asked_selections, at))
    others = {lanes: start for lanes, start in starts.items() if start != since}
    return Held(since, others, tuple(asked_selections - starts.keys()))


def selections(lanes: Iterable[Lane]) -> dict[str, frozenset[Lane]]:
    """Return the selections of lanes, other than all of them, by name.

    These are the lanes of one traffic, those into one country, and each lane.
    """
    lanes = list(lanes)
    by_name: dict[str, frozenset[Lane]] = {}
    for traffic in (None, *dict.fromkeys(lane.traffic for lane in lanes)):
        for to in (None, *dict.fromkeys(lane.to for lane in lanes)):
            chosen = frozenset(
                lane for lane in lanes if traffic in {None, lane.traffic} and to in {None, lane.to}
            )
            if chosen and len(chosen) < len(lanes):
                by_name[f"{traffic.value if traffic else ''} {to or ''}".strip()] = chosen
    return by_name


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
    elif event.supersedes or event.start <= begin:
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


def has_gap(resolved: ResolvedHistory, lane: Lane, side: str, at: datetime) -> bool:
    """Return whether new evidence of ``side`` may alter a status of ``lane`` by ``at``."""
    group = next(group for group in resolved.groups if lane in group.lanes)
    return _has_gap(group, frozenset({side}), at)


def _has_gap(group: LaneGroup, sides: frozenset[str], begin: datetime) -> bool:
    evidence = group.evidence(sides)
    newest = evidence.past[-1] if evidence.past else None
    if newest is None:
        return True
    return newest < begin and (
        newest + group.confirm_within <= begin
        or any(newest < instant <= begin for instant, _ in evidence.plans)
    )


def _that_may_decide(resolved: ResolvedHistory, since: datetime) -> Iterator[RankedDeclaration]:
    """Yield the declarations that have not ended and are not lifted for good."""
    endless: defaultdict[tuple[frozenset[str], Scope, int], list[RankedDeclaration]] = defaultdict(
        list
    )
    for ranked in resolved.active:
        if ranked.event.start > since or since < ranked.end < NEVER or not ranked.firmness:
            if ranked.end > since:
                yield ranked
        elif ranked.end == NEVER:
            endless[ranked.event.sides, ranked.event.scope, ranked.firmness].append(ranked)
    for series in endless.values():
        latest = ALWAYS
        for ranked in sorted(series, key=lambda ranked: ranked.said, reverse=True):
            if ranked.event.start > latest:
                latest = ranked.event.start
                yield ranked


def _evidence(resolved: ResolvedHistory, since: datetime) -> set[UUID]:
    """Return the newest evidence of each series by ``since``, and every confirmation after it."""
    evidence: defaultdict[tuple[frozenset[str], Scope], list[tuple[datetime, datetime, UUID]]] = (
        defaultdict(list)
    )
    ids: set[UUID] = set()
    for confirmed in resolved.confirmations:
        instant = confirmed.confirmed_at
        if instant > since:
            ids.add(confirmed.id)
        else:
            evidence[confirmed.sides, confirmed.scope].append((instant, instant, confirmed.id))
    for ranked in resolved.active:
        if ranked.firmness:
            event = ranked.event
            for instant in (event.start, ranked.end):
                if instant <= since:
                    worth = min(instant, event.recorded_at)
                    evidence[event.sides, event.scope].append((instant, worth, event.id))
    for series in evidence.values():
        best = ALWAYS
        for _, worth, event_id in sorted(series, key=lambda item: item[:2], reverse=True):
            if worth > best:
                best = worth
                ids.add(event_id)
    return ids
