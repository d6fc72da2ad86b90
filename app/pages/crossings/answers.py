"""What a page about a crossing is made of, and where from: the board, else the database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from heapq import nsmallest
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.board.board import Board
from app.board.views import View
from app.changes.service import Snapshot, take_snapshot
from app.crossings.answers import Alternative
from app.crossings.candidates import Rank, distance_rank
from app.crossings.summaries import alternative
from app.errors import CrossingNotFound
from app.http.caching import Validity
from app.http.parameters import AsOf
from app.notices.reading import NoticeFilter, last_noticed, notices_in_force
from app.notices.schemas import NoticeOut
from app.observations.reading import waits_of
from app.observations.waits import NO_WAITS
from app.pages.lanes.plans import Plan, Scopes, plans_of, plans_of_view, scopes_of
from app.pages.lanes.vehicle import Vehicle
from app.places.details import Details, crossing_details, successor_of, successors_of
from app.places.schemas import CrossingRecord
from app.places.zones import Clocks
from app.sources.schemas import SourceOut
from app.sources.service import sources_of
from app.status.histories import CrossingHistory, whole_history
from app.status.log import newest_events
from app.status.reading import validity_of
from app.status.rule import resolution
from app.status.rule.history import TimelinePeriod
from app.status.rule.upcoming import upcoming
from app.status.schemas import EventOut, LaneOut, StatusOut
from app.status.summaries import Summary, status_out, waits_out
from app.vocabulary import Status, Traffic

ANY = Vehicle()

_EVENTS_SHOWN = 100
_NOTICES_SHOWN = 20
_ALTERNATIVES = 3
"""For each category of traffic."""


@dataclass(frozen=True, slots=True)
class CrossingAnswer:
    """A crossing and its whole status; of the present, how long that is good."""

    details: CrossingRecord
    status: StatusOut
    """For the vehicle."""
    whole: StatusOut
    """For all that may cross here."""
    vehicle: Vehicle
    """Of what was asked about, if the crossing has it."""
    instant: datetime
    """The one asked about."""
    validity: Validity
    is_confirmed_evenly: bool
    """Whether every lane of the vehicle was last confirmed at the same time."""
    plans: Sequence[Plan] = ()
    """What is to come for the vehicle; only of the present."""
    all_plans: Sequence[Plan] = ()
    successor: Details | None = None
    """Of a retired crossing: what replaced it, or has replaced that since."""

    @property
    def clocks(self) -> Clocks:
        """Both sides' clocks, those of the side that is named first coming first."""
        sides = dict.fromkeys(one.side for one in self.details.names)
        return Clocks(list(sides), self.details.near)

    def lanes_without_hours(self, side: str) -> Scopes:
        """Return for whom the hours of a side are not known."""
        return scopes_of(self.details.lanes_without_hours(side))

    @property
    def groups(self) -> list["LaneRows"]:
        """The lanes, those together of which the same is so."""
        events = {event.id: event for event in self.status.decided_by}
        alike: dict[tuple[object, ...], list[LaneOut]] = {}
        for lane in self.status.lanes:
            key = (
                lane.status,
                lane.last_known,
                lane.stale,
                lane.overdue,
                lane.decided_by,
                lane.reason,
            )
            alike.setdefault(key, []).append(lane)
        return [
            LaneRows(lanes, events.get(lanes[0].decided_by) if lanes[0].decided_by else None)
            for lanes in alike.values()
        ]


@dataclass(frozen=True, slots=True)
class LaneRows:
    """Lanes of which the same is so, and the event that decides them all."""

    lanes: Sequence[LaneOut]
    event: EventOut | None

    @property
    def status(self) -> Status:
        return self.lanes[0].status

    @property
    def last_known(self) -> Status | None:
        return self.lanes[0].last_known

    @property
    def is_outside_hours(self) -> bool:
        return self.lanes[0].reason is not None

    @property
    def scopes(self) -> Scopes:
        return scopes_of(self.lanes)


@dataclass(frozen=True, slots=True)
class Record:
    """What the database alone has: the timeline, the log and its sources, notices in force."""

    stretches: Sequence[TimelinePeriod]
    events: Sequence[EventOut]
    """Without retractions, which are about other events; what begins last comes first."""
    is_cut: bool
    """Whether the log has older ones, none of which decides."""
    notices: Sequence[NoticeOut]
    sources: Mapping[UUID, SourceOut]

    def expires_at(self, group: LaneRows, at: datetime) -> datetime | None:
        """Return when a group that is open or restricted at ``at`` will be unknown.

        None if what was declared ends before that.
        """
        lane = group.lanes[0]
        for one in self.stretches:
            if one.start is None or one.start <= at:
                continue
            state = next(
                state
                for state in one.lanes
                if (state.lane.traffic, state.lane.to) == (lane.traffic, lane.to)
            )
            if (state.last_known or state.status) is not lane.status:
                return None
            if state.last_known:
                return one.start
        return None


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Other crossings that some traffic can use, the nearest first, as they are for it."""

    traffic: list[Traffic]
    crossings: Sequence[Alternative]


def present(board: Board, crossing_id: str, asked: Vehicle = ANY) -> CrossingAnswer | None:
    """Return the board's answer, None if it knows no such crossing, or not yet."""
    entry = board.entry(crossing_id) if board.is_loaded else None
    if entry is None:
        return None
    moment = board.moment()
    vehicle = _usable(asked, entry.present.details)
    view = entry.view(moment)
    if view is None:
        return None
    status = status_out(view.summary, view.present.events, view.waits)
    plans = plans_of_view(view)
    answer = CrossingAnswer(
        view.present.record,
        status,
        status,
        ANY,
        view.moment.now,
        view.validity,
        view.summary.is_confirmed_evenly,
        plans,
        plans,
        successor_of(view.present.details, partial(_on_board, board)),
    )
    if not vehicle:
        return answer
    part = entry.view(moment, vehicle.traffic, vehicle.to)
    if part is None:
        return None
    return replace(
        answer,
        status=status_out(part.summary, part.present.events, part.waits),
        vehicle=vehicle,
        instant=part.moment.now,
        validity=view.validity.also(part.validity),
        is_confirmed_evenly=part.summary.is_confirmed_evenly,
        plans=plans_of_view(part),
    )


def _on_board(board: Board, crossing_id: str) -> Details | None:
    entry = board.entry(crossing_id)
    return None if entry is None else entry.present.details


def _usable(vehicle: Vehicle, details: Details) -> Vehicle:
    """Return what is asked about; anything, where the crossing has no such lane."""
    return vehicle if details.lanes_for(vehicle.traffic, vehicle.to) else ANY


async def look_up(
    session: AsyncSession,
    *,
    crossing_id: str,
    at: datetime | None,
    as_of: AsOf,
    asked_for: Vehicle = ANY,
) -> tuple[CrossingAnswer, Record]:
    """Return the answer for an instant, as known, and its record. Raises CrossingNotFound."""
    snapshot = await take_snapshot(session, as_of)
    instant = at or snapshot.now
    history = await whole_history(session, crossing_id, known_change=snapshot.change, at=instant)
    if history is None:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    noticed = (await last_noticed(session, [crossing_id], snapshot.change)).get(crossing_id)
    vehicle = _usable(asked_for, history.details)
    whole_summary = part = Summary.of(history, instant, noticed=noticed)
    if vehicle:
        lanes = history.details.lanes_for(vehicle.traffic, vehicle.to)
        part = Summary.of(history, instant, lanes, noticed=noticed)
    summaries = (part, whole_summary)
    found_waits = await waits_of(session, [crossing_id], at=at, as_of=as_of, snapshot=snapshot)
    waits = found_waits.get(crossing_id, NO_WAITS)
    status, whole = (
        status_out(one, history.events, waits_out(one, waits), at=at, known_at=as_of.known_at)
        for one in summaries
    )
    details = (await crossing_details(session, [history.details]))[crossing_id]
    record = await _record(session, history, whole, details, snapshot, instant)
    validity = await validity_of(session, summaries, found_waits)
    is_present = as_of.is_present(at)
    plans, all_plans = (
        plans_of(upcoming(one.declared, instant), one.details, history.events) if is_present else []
        for one in summaries
    )
    is_even = part.is_confirmed_evenly
    known_change = snapshot.change
    successors = await successors_of(session, [history.details], known_change=known_change)
    successor = successors.get(crossing_id)
    return CrossingAnswer(
        details, status, whole, vehicle, instant, validity, is_even, plans, all_plans, successor
    ), record


async def look_up_record(
    session: AsyncSession, *, crossing_id: str, answer: CrossingAnswer
) -> Record:
    """Return the record beside an answer that is known already."""
    snapshot = await take_snapshot(session, AsOf())
    history = await whole_history(session, crossing_id, known_change=snapshot.change)
    if history is None:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    return await _record(session, history, answer.whole, answer.details, snapshot, answer.instant)


async def _record(
    session: AsyncSession,
    history: CrossingHistory,
    status: StatusOut,
    details: CrossingRecord,
    snapshot: Snapshot,
    instant: datetime,
) -> Record:
    newest = await newest_events(
        session, crossing_id=details.id, known_change=snapshot.change, limit=_EVENTS_SHOWN + 1
    )
    # What decides is shown however old it is.
    shown = {
        event.id: event
        for event in (*newest[:_EVENTS_SHOWN], *status.decided_by, *status.also_said)
    }
    notices = await notices_in_force(
        session,
        about=NoticeFilter(crossing=details.id),
        at=instant,
        snapshot=snapshot,
        limit=_NOTICES_SHOWN,
    )
    cited = [one.source for event in shown.values() for one in event.citations]
    cited += [one.source for notice in notices for one in notice.citations]
    cited += [one.source for one in details.citations]
    return Record(
        stretches=list(history.resolved.timeline()),
        events=sorted(shown.values(), key=_begins, reverse=True),
        is_cut=len(newest) > _EVENTS_SHOWN,
        notices=notices,
        sources=await sources_of(session, cited),
    )


def alternatives(board: Board, crossing_id: str) -> list[Alternatives]:
    """Return, for each traffic of a crossing, the nearest others that are not closed for it.

    Of either country, known ones first. Traffic with the same others of the same statuses is
    together.
    """
    entry = board.entry(crossing_id)
    if entry is None:
        return []
    here, moment = entry.present.details, board.moment()
    others = [
        view
        for view in board.views_of_countries(here.sides, moment)
        if view.summary.id != here.id and not view.is_retired
    ]
    by_status: dict[tuple[object, ...], Alternatives] = {}
    for traffic in here.traffic:
        near = nsmallest(_ALTERNATIVES, _ranked(here, others, traffic))
        views = [
            view
            for rank in near
            if (other := board.entry(rank.id)) and (view := other.view(moment, traffic))
        ]
        alike = tuple((one.summary.id, one.summary.answer.status) for one in views)
        if alike in by_status:
            by_status[alike].traffic.append(traffic)
        elif views:
            items = [alternative(here, one.summary, one.present.record, one.waits) for one in views]
            by_status[alike] = Alternatives([traffic], items)
    return list(by_status.values())


def _ranked(here: Details, others: Iterable[View], traffic: Traffic) -> Iterator[Rank]:
    """Yield the rank of each of the others that is not closed for the traffic."""
    for view in others:
        lanes = [lane for lane in view.summary.answer.lanes if lane.lane.traffic is traffic]
        if any(lane.status is not Status.CLOSED for lane in lanes):
            status = resolution.summary(lane.status for lane in lanes)
            yield distance_rank(here, view.present.details, status)


def _begins(event: EventOut) -> datetime:
    """Return when what an event says begins, or was checked."""
    begins = event.effective.from_ if event.effective else event.confirmed_at
    return begins or event.recorded_at
