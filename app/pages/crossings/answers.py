"""The content of a page about a crossing, from the board or else from the database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from heapq import nsmallest
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.board.board import Board
from app.board.views import View
from app.changes.read_sessions import ReadSessions
from app.changes.service import Snapshot, take_snapshot
from app.crossings.answers import Alternative
from app.crossings.candidates import Rank, distance_rank
from app.crossings.plans import Plan, Scopes, plans_of, scopes_of
from app.crossings.summaries import alternative
from app.errors import CrossingNotFound
from app.http.caching import Validity
from app.http.parameters import AsOf
from app.notices.reading import NoticeFilter, last_noticed, notices_in_force
from app.notices.schemas import NoticeOut
from app.observations.reading import (
    ObservationFilter,
    summarise_observations,
    waits_of,
)
from app.observations.waits import NO_WAITS
from app.pages.lanes.plans import plans_of_view
from app.pages.lanes.vehicle import Vehicle
from app.pages.statistics.charts import LaneChart, charts_of, day_start
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
from app.status.rule.travellers import Traveller
from app.status.rule.upcoming import upcoming
from app.status.schemas import EventOut, LaneOut, StatusOut
from app.status.summaries import Summary, status_out, waits_out
from app.vocabulary import LaneReason, SourceKind, Status, Traffic

ANY = Vehicle()

_MAX_EVENTS = 100
_MAX_NOTICES = 20
_MAX_ALTERNATIVES = 3
"""Alternatives for each category of traffic."""


@dataclass(frozen=True, slots=True)
class CrossingAnswer:
    """A crossing with its status, and how long that is valid."""

    details: CrossingRecord
    status: StatusOut
    """The status for the vehicle."""
    whole_status: StatusOut
    """The status for all traffic of the crossing, for the same traveller."""
    vehicle: Vehicle
    """The requested vehicle, or any vehicle of the traveller if the crossing has no such lane."""
    instant: datetime
    """The instant that the answer is about."""
    validity: Validity
    is_confirmed_evenly: bool
    """Whether all lanes of the vehicle were last confirmed at the same time."""
    plans: Sequence[Plan] = ()
    """Upcoming statuses for the vehicle; empty unless the answer is about the present."""
    all_plans: Sequence[Plan] = ()
    successor: Details | None = None
    """The crossing in use that has replaced a retired one."""

    @property
    def clocks(self) -> Clocks:
        """The clocks of both sides, in the order of their names."""
        return self.details.clocks

    def lanes_without_hours(self, side: str) -> Scopes:
        """Return the lanes for which the hours of a side are unknown."""
        return scopes_of(self.details.lanes_without_hours(side))

    @property
    def lane_groups(self) -> list["AnswerGroup"]:
        """The lanes, grouped by equal status."""
        events = {event.id: event for event in self.status.decided_by}
        groups: dict[tuple[object, ...], list[LaneOut]] = {}
        for lane in self.status.lanes:
            key = (
                lane.status,
                lane.last_known,
                lane.stale,
                lane.overdue,
                lane.decided_by,
                lane.reason,
            )
            groups.setdefault(key, []).append(lane)
        return [
            AnswerGroup(lanes, events.get(lanes[0].decided_by) if lanes[0].decided_by else None)
            for lanes in groups.values()
        ]


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """Lanes with the same status, and the event that decides them all."""

    lanes: Sequence[LaneOut]
    event: EventOut | None

    @property
    def status(self) -> Status:
        return self.lanes[0].status

    @property
    def last_known(self) -> Status | None:
        return self.lanes[0].last_known

    @property
    def reason(self) -> LaneReason | None:
        return self.lanes[0].reason

    @property
    def is_outside_hours(self) -> bool:
        return self.reason is LaneReason.HOURS

    @property
    def is_for_traveller(self) -> bool:
        """Whether the status is another one for the traveller than for others."""
        return self.reason not in {None, LaneReason.HOURS}

    @property
    def scopes(self) -> Scopes:
        return scopes_of(self.lanes)


@dataclass(frozen=True, slots=True)
class PageData:
    """What only the database has: the timeline, the log, notices in force, and all sources."""

    timeline: Sequence[TimelinePeriod]
    events: Sequence[EventOut]
    """Declarations and confirmations; those that start last come first."""
    is_cut: bool
    """Whether the log has older events, none of which decides."""
    notices: Sequence[NoticeOut]
    sources: Mapping[UUID, SourceOut]
    charts: Sequence[LaneChart] = ()
    """Waits of the last day and of the usual week; empty unless the page is about the present."""

    def official_pages(self, sides: Iterable[str]) -> list[SourceOut]:
        """Return of each side the newest official page that facts on the page were taken from."""
        official = [
            source for source in self.sources.values() if source.kind is SourceKind.OFFICIAL
        ]
        newest = sorted(official, key=lambda source: str(source.published_at or ""), reverse=True)
        pages = (
            next((source for source in newest if _is_site_of(side, source.url)), None)
            for side in sides
        )
        return [page for page in pages if page is not None]

    def expires_at(self, group: AnswerGroup, at: datetime) -> datetime | None:
        """Return when a group that is open or restricted at ``at`` expires.

        None if the declared status ends before that.
        """
        lane = group.lanes[0]
        for period in self.timeline:
            if period.start is None or period.start <= at:
                continue
            state = next(
                state
                for state in period.lanes
                if (state.lane.traffic, state.lane.to) == (lane.traffic, lane.to)
            )
            if (state.last_known or state.status) is not lane.status:
                return None
            if state.last_known:
                return period.start
        return None


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Other crossings that some traffic can use, the nearest first."""

    traffic: list[Traffic]
    crossings: Sequence[tuple[Alternative, str | None]]
    """Each with the country entered there, if a direction was chosen."""


def _is_site_of(country: str, url: str | None) -> bool:
    """Tell by its domain whether a page is of a country."""
    host = urlsplit(url or "").hostname or ""
    domain = "gov" if country == "US" else country.lower()
    return host.endswith(f".{domain}")


def crossing_from_board(
    board: Board, crossing_id: str, requested: Vehicle = ANY
) -> CrossingAnswer | None:
    """Return a crossing as the board has it; None if it does not have it, or is not loaded."""
    entry = board.entry(crossing_id) if board.is_loaded else None
    if entry is None:
        return None
    moment = board.moment()
    vehicle = _usable_vehicle(requested, entry.present.details)
    view = entry.view(moment, traveller=vehicle.traveller)
    if view is None:
        return None
    status = status_out(view.summary, view.present.events, view.waits)
    plans = plans_of_view(view)
    answer = CrossingAnswer(
        view.present.record,
        status,
        status,
        vehicle,
        view.moment.now,
        view.validity,
        view.summary.is_confirmed_evenly,
        plans,
        plans,
        successor_of(view.present.details, partial(_on_board, board)),
    )
    if not any(vehicle.scope):
        return answer
    vehicle_view = entry.view(moment, vehicle.traffic, vehicle.to, vehicle.traveller)
    if vehicle_view is None:
        return None
    return replace(
        answer,
        status=status_out(vehicle_view.summary, vehicle_view.present.events, vehicle_view.waits),
        instant=vehicle_view.moment.now,
        validity=view.validity.also(vehicle_view.validity),
        is_confirmed_evenly=vehicle_view.summary.is_confirmed_evenly,
        plans=plans_of_view(vehicle_view),
    )


def _on_board(board: Board, crossing_id: str) -> Details | None:
    entry = board.entry(crossing_id)
    return None if entry is None else entry.present.details


def _usable_vehicle(vehicle: Vehicle, details: Details) -> Vehicle:
    """Return the vehicle, or any one if the crossing has no such lane."""
    has_lanes = details.lanes_for(vehicle.traffic, vehicle.to)
    return vehicle if has_lanes else replace(vehicle, traffic=None, to=None)


async def crossing_from_database(
    session: AsyncSession,
    *,
    crossing_id: str,
    at: datetime | None,
    as_of: AsOf,
    requested: Vehicle = ANY,
) -> tuple[CrossingAnswer, PageData]:
    """Return a crossing at an instant as the database has it. Raises CrossingNotFound."""
    snapshot = await take_snapshot(session, as_of)
    instant = at or snapshot.now
    history = await whole_history(session, crossing_id, snapshot, at=instant)
    if history is None:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    noticed = (await last_noticed(session, [crossing_id], snapshot.change)).get(crossing_id)
    vehicle = _usable_vehicle(requested, history.details)
    whole_summary = vehicle_summary = Summary.of(
        history, instant, noticed=noticed, traveller=vehicle.traveller
    )
    if any(vehicle.scope):
        lanes = history.details.lanes_for(vehicle.traffic, vehicle.to)
        vehicle_summary = Summary.of(
            history, instant, lanes, noticed=noticed, traveller=vehicle.traveller
        )
    summaries = (vehicle_summary, whole_summary)
    waits_by_crossing = await waits_of(
        session, [crossing_id], at=at, as_of=as_of, snapshot=snapshot
    )
    waits = waits_by_crossing.get(crossing_id, NO_WAITS)
    status, whole_status = (
        status_out(
            summary, history.events, waits_out(summary, waits), at=at, known_at=as_of.known_at
        )
        for summary in summaries
    )
    details = (await crossing_details(session, [history.details]))[crossing_id]
    is_present = as_of.is_present(at)
    charts = await _load_charts(session, crossing_id, vehicle, snapshot.now) if is_present else []
    page_data = await _load_page_data(
        session, history, whole_status, details, snapshot, instant, charts
    )
    validity = await validity_of(session, summaries, waits_by_crossing)
    plans, all_plans = (
        plans_of(upcoming(summary.declared, instant), summary.details, history.events)
        if is_present
        else []
        for summary in summaries
    )
    is_even = vehicle_summary.is_confirmed_evenly
    known_change = snapshot.change
    successors = await successors_of(session, [history.details], known_change=known_change)
    successor = successors.get(crossing_id)
    return CrossingAnswer(
        details,
        status,
        whole_status,
        vehicle,
        instant,
        validity,
        is_even,
        plans,
        all_plans,
        successor,
    ), page_data


async def present_crossing(
    board: Board, read_sessions: ReadSessions, crossing_id: str, requested: Vehicle = ANY
) -> CrossingAnswer:
    """Return a crossing at present, without what only the database has. Raises CrossingNotFound."""
    answer = crossing_from_board(board, crossing_id, requested)
    if answer is None:
        async with read_sessions.for_question(None, AsOf()) as session:
            answer, _ = await crossing_from_database(
                session, crossing_id=crossing_id, at=None, as_of=AsOf(), requested=requested
            )
    return answer


async def load_page_data(
    session: AsyncSession, *, crossing_id: str, answer: CrossingAnswer
) -> PageData:
    """Load what only the database has, for an answer from the board. Raises CrossingNotFound."""
    snapshot = await take_snapshot(session, AsOf())
    history = await whole_history(session, crossing_id, snapshot)
    if history is None:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    charts = await _load_charts(session, crossing_id, answer.vehicle, snapshot.now)
    return await _load_page_data(
        session, history, answer.whole_status, answer.details, snapshot, answer.instant, charts
    )


async def _load_page_data(
    session: AsyncSession,
    history: CrossingHistory,
    status: StatusOut,
    details: CrossingRecord,
    snapshot: Snapshot,
    instant: datetime,
    charts: Sequence[LaneChart],
) -> PageData:
    newest = await newest_events(
        session, crossing_id=details.id, known_change=snapshot.change, limit=_MAX_EVENTS + 1
    )
    # Deciding events are shown however old they are.
    events = {
        event.id: event for event in (*newest[:_MAX_EVENTS], *status.decided_by, *status.also_said)
    }
    notices = await notices_in_force(
        session,
        about=NoticeFilter(crossing=details.id),
        at=instant,
        snapshot=snapshot,
        limit=_MAX_NOTICES,
    )
    citing: list[EventOut | NoticeOut | CrossingRecord] = [*events.values(), *notices, details]
    cited = [citation.source for fact in citing for citation in fact.citations]
    cited += [chart.source for chart in charts]
    return PageData(
        timeline=list(history.resolved.timeline()),
        events=sorted(events.values(), key=_start_of, reverse=True),
        is_cut=len(newest) > _MAX_EVENTS,
        notices=notices,
        sources=await sources_of(session, cited),
        charts=charts,
    )


async def _load_charts(
    session: AsyncSession, crossing_id: str, vehicle: Vehicle, now: datetime
) -> list[LaneChart]:
    """Return the waits of the lanes of a vehicle, in the last day and in the usual week."""
    of_lanes = ObservationFilter(
        crossing=crossing_id, traffic=vehicle.traffic, to=vehicle.to, until=now.astimezone(UTC)
    )
    weeks = await summarise_observations(session, observation_filter=of_lanes)
    if not weeks.series:
        return []
    of_day = replace(of_lanes, from_=day_start(now))
    day = await summarise_observations(session, observation_filter=of_day)
    return charts_of(day, weeks, now)


def nearest_alternatives(
    board: Board, crossing_id: str, vehicle: Vehicle = ANY
) -> list[Alternatives]:
    """Return the nearest other crossings that are not closed for a vehicle, or for each traffic.

    They are on borders of either country, with unknown statuses last. Traffic with the same
    alternatives in the same statuses is grouped.
    """
    entry = board.entry(crossing_id)
    if entry is None:
        return []
    origin, moment = entry.present.details, board.moment()
    others = [
        view
        for view in board.views_of_countries(origin.sides, moment)
        if view.summary.id != origin.id and not view.is_retired
    ]
    if not vehicle.traveller.is_anyone:
        others = list(_for_traveller(board, others, vehicle.traveller))
    by_status: dict[tuple[object, ...], Alternatives] = {}
    for traffic in origin.traffic if vehicle.traffic is None else [vehicle.traffic]:
        ranks = _ranked(origin, others, traffic, vehicle.to)
        choices = []
        for rank in nsmallest(_MAX_ALTERNATIVES, ranks):
            other = board.entry(rank.id)
            to = _way(origin, other.present.details, vehicle.to) if other else None
            view = other.view(moment, traffic, to, vehicle.traveller) if other else None
            if view is not None:
                choices.append((view, to))
        statuses = tuple((view.summary.id, view.summary.answer.status) for view, _ in choices)
        if statuses in by_status:
            by_status[statuses].traffic.append(traffic)
        elif choices:
            items = [
                (alternative(origin, view.summary, view.present.record, view.waits), to)
                for view, to in choices
            ]
            by_status[statuses] = Alternatives([traffic], items)
    return list(by_status.values())


def _for_traveller(board: Board, views: Iterable[View], traveller: Traveller) -> Iterator[View]:
    """Yield the views as they are for a traveller, without those that the board cannot answer."""
    for view in views:
        entry = board.entry(view.summary.id)
        own_view = entry.view(board.moment(), traveller=traveller) if entry else None
        if own_view is not None:
            yield own_view


def _ranked(
    origin: Details, others: Iterable[View], traffic: Traffic, to: str | None
) -> Iterator[Rank]:
    """Yield the ranks of the others that are not closed for the traffic and the direction."""
    for view in others:
        details = view.present.details
        way = _way(origin, details, to)
        lanes = [
            lane
            for lane in view.summary.answer.lanes
            if lane.lane.traffic is traffic and way in {None, lane.lane.to}
        ]
        if any(lane.status is not Status.CLOSED for lane in lanes):
            status = resolution.summary(lane.status for lane in lanes)
            yield distance_rank(origin, details, status)


def _way(origin: Details, details: Details, to: str | None) -> str | None:
    """Return which country somebody enters elsewhere who would enter ``to`` here.

    That is the same, or else they leave the same country there.
    """
    if to is None or to in details.sides:
        return to
    left = next(side for side in origin.sides if side != to)
    return next((side for side in details.sides if side != left), None)


def _start_of(event: EventOut) -> datetime:
    """Return when a declaration starts, or when a confirmation was checked."""
    start = event.effective.from_ if event.effective else event.confirmed_at
    return start or event.recorded_at
