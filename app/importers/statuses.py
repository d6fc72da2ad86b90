"""Say of statuses what a feed's policy allows, from the observations recorded of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.changes.service import Snapshot, reserve_slot, take_snapshot
from app.http.parameters import AsOf
from app.importers.importer import Importer
from app.importers.policy import LaneAction, in_force, step_of
from app.observations.reading import latest_waits
from app.observations.waits import NO_WAITS, Waits
from app.sources.schemas import CitationIn
from app.sources.statements import PeriodIn, Reason
from app.status.confirming import ObservedLane, record_confirming
from app.status.histories import CrossingHistory, load_histories
from app.status.recording import confirm_crossings, record_decision
from app.status.rule.history import Lane
from app.status.schemas import ConfirmationRow, ConfirmationsIn, DecisionIn
from app.vocabulary import Basis, KeyScope, ReasonCode, Status

REASON = "Reported working"

_Plan = Mapping[LaneAction, Sequence[ObservedLane]]


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """How many lanes a feed has said something of."""

    opened: int = 0
    confirmed: int = 0
    """By an entry in the log."""
    kept: int = 0
    """By an observation that is kept."""


async def apply_policy(session: AsyncSession, importer: Importer, *, source: UUID) -> PolicyOutcome:
    """Declare and confirm what the latest observations of a feed's source allow it to.

    Doing so again changes nothing. Where nothing is to be done, no writer has to wait.
    """
    if importer.policy.side is None:
        return PolicyOutcome()
    if not await _plan(session, importer, source, await take_snapshot(session, AsOf())):
        return PolicyOutcome()
    # With the lock of the log held, nobody can declare anything meanwhile.
    slot = await reserve_slot(session)
    snapshot = Snapshot(slot.number - 1, slot.recorded_at)
    plan = await _plan(session, importer, source, snapshot)
    kept, confirmed, opened = (
        plan.get(step, ()) for step in (LaneAction.KEEP, LaneAction.CONFIRM, LaneAction.OPEN)
    )
    if kept:
        await record_confirming(session, slot, source=source, lanes=kept)
    reporter = Reporter(
        key_id=None,
        name=importer.name,
        scopes=frozenset({KeyScope.EVENTS}),
        sides=frozenset({importer.policy.side}),
    )
    citation = CitationIn(source=source, locator=None, basis=Basis.INFERRED)
    if confirmed:
        rows = ConfirmationsIn(
            confirmations=[_confirmation(observed) for observed in confirmed],
            citations=[citation],
        )
        await confirm_crossings(session, reporter, confirmations=rows)
    for decision in _decisions(opened, citation):
        await record_decision(session, reporter, decision=decision)
    return PolicyOutcome(len(opened), len(confirmed), len(kept))


async def _plan(
    session: AsyncSession, importer: Importer, source: UUID, snapshot: Snapshot
) -> _Plan:
    crossings = sorted({place.crossing for place in importer.places.place})
    waits = await latest_waits(session, crossings)

    def steps(history: CrossingHistory) -> list[tuple[LaneAction, ObservedLane]]:
        if history.details.is_retired():
            return []
        of_crossing = waits.get(history.details.id, NO_WAITS)
        return list(_steps(importer, source, history, of_crossing, snapshot.now))

    plan: defaultdict[LaneAction, list[ObservedLane]] = defaultdict(list)
    steps_by_crossing = await load_histories(session, list(waits), snapshot, steps)
    for steps_of_crossing in steps_by_crossing.values():
        for step, observed in steps_of_crossing:
            plan[step].append(observed)
    return plan


def _steps(
    importer: Importer, source: UUID, history: CrossingHistory, waits: Waits, now: datetime
) -> Iterator[tuple[LaneAction, ObservedLane]]:
    for observed in waits.latest:
        lane = observed.lane
        if observed.source != source or not importer.policy.is_working(observed):
            continue
        if lane not in history.history.lanes:
            continue
        declared = in_force(history.resolved, lane, now)
        own = None
        if declared is not None:
            event = history.events[declared.id]
            cited = {citation.source for citation in event.citations}
            if event.recorded_by != importer.name or source not in cited:
                continue  # what somebody else declared
            own = declared
        step = step_of(history.resolved, lane, own=own, observed_at=observed.observed_at, now=now)
        if step is not None:
            yield step, ObservedLane(history.details.id, lane, observed.observed_at)


def _confirmation(observed: ObservedLane) -> ConfirmationRow:
    return ConfirmationRow(
        crossing=observed.crossing,
        sides=[observed.lane.to],
        traffic=[observed.lane.traffic],
        to=observed.lane.to,
        confirmed_at=observed.observed_at,
    )


def _decisions(opened: Sequence[ObservedLane], citation: CitationIn) -> Iterator[DecisionIn]:
    """Yield a decision for each instant and each set of lanes that worked then."""
    lanes: defaultdict[tuple[str, datetime], list[Lane]] = defaultdict(list)
    for observed in opened:
        lanes[observed.crossing, observed.observed_at].append(observed.lane)
    crossings: defaultdict[tuple[datetime, tuple[Lane, ...]], list[str]] = defaultdict(list)
    for (crossing, observed_at), lanes_of_crossing in lanes.items():
        crossings[observed_at, tuple(sorted(lanes_of_crossing))].append(crossing)
    for (observed_at, working), names in sorted(crossings.items()):
        to = working[0].to
        yield DecisionIn(
            crossings=sorted(names),
            sides=[to],
            status=Status.OPEN,
            effective=PeriodIn(from_=observed_at, until=None),
            traffic=[lane.traffic for lane in working],
            to=to,
            reason=Reason(code=ReasonCode.OTHER, text=REASON),
            announced_at=observed_at,
            citations=[citation],
        )
