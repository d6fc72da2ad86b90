"""What is announced for a crossing on one day, for a vehicle and a traveller."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.board.views import BoardEntry, Moment
from app.pages.lanes.vehicle import Vehicle
from app.places.schemas import CrossingRecord
from app.places.zones import Clocks
from app.status.reading import clipped
from app.status.rule.history import LaneState, OutOfReach, TimelinePeriod
from app.status.rule.hours import AnswersWithHours
from app.status.rule.resolution import ResolvedHistory
from app.status.rule.travellers import for_traveller
from app.status.schemas import EventOut
from app.status.summaries import with_hours
from app.vocabulary import Status

_PASSABLE = frozenset({Status.OPEN, Status.RESTRICTED})


@dataclass(frozen=True, slots=True)
class PartOfDay:
    """A part of a day with one status."""

    start: datetime
    end: datetime
    status: Status
    last_known: Status | None
    lanes: Sequence[LaneState]

    @property
    def is_passable(self) -> bool:
        return self.status in _PASSABLE


@dataclass(frozen=True, slots=True)
class CrossingDay:
    """A crossing on a day: its parts, of which there is at least one."""

    details: CrossingRecord
    parts: Sequence[PartOfDay]
    deciding: Sequence[EventOut]
    """What decides any of it, each once, in the order of the parts."""
    is_retired: bool

    @property
    def id(self) -> str:
        return self.details.id

    @property
    def border(self) -> str:
        return self.details.border

    @property
    def is_passable(self) -> bool:
        """Whether the vehicle can cross at some time of the day."""
        return any(part.is_passable for part in self.parts)

    @property
    def clocks(self) -> Clocks:
        return self.details.clocks

    @property
    def for_traveller(self) -> LaneState | None:
        """A lane that has another status for the traveller than for others, if there is one."""
        lanes = (lane for part in self.parts for lane in part.lanes)
        return next((lane for lane in lanes if lane.reason and not lane.outside_hours), None)


def crossing_day(
    entry: BoardEntry, moment: Moment, vehicle: Vehicle, day: date
) -> CrossingDay | None:
    """Return what is announced for a day by the clock of the crossing's first side.

    Today begins now, and a day that has passed there already is today. None if the crossing has no
    lane for the vehicle. Raises OutOfReach if the answer depends on events that are not loaded.
    """
    present = entry.present
    lanes = present.details.lanes_for(vehicle.traffic, vehicle.to)
    if not lanes:
        return None
    history = replace(present.history.history, lanes=tuple(lanes))
    resolved = ResolvedHistory(for_traveller(history, vehicle.traveller))
    answers = with_hours(present.details, resolved, vehicle.traveller)
    record = present.record
    zone = record.clocks.zones[0]
    start, end = bounds(max(day, moment.now.astimezone(zone).date()), zone)
    start = max(start, moment.now, history.known_from)
    if end > history.known_until:
        raise OutOfReach
    periods = [_of_period(period, moment) for period in _periods(answers, start, end)]
    events = dict.fromkeys(
        lane.decided_by.id for part in periods for lane in part.lanes if lane.decided_by
    )
    return CrossingDay(
        record,
        list(_merged(periods)),
        [present.events[event] for event in events],
        present.details.is_retired(start),
    )


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return when a day begins and ends by a clock."""
    midnight = datetime.combine(day, time(), zone)
    return midnight, datetime.combine(day + timedelta(days=1), time(), zone)


def _periods(
    answers: ResolvedHistory | AnswersWithHours, start: datetime, end: datetime
) -> Iterable[TimelinePeriod]:
    """Return the periods of ``[start, end)``, clipped to it."""
    if isinstance(answers, AnswersWithHours):
        return answers.timeline(start, end)
    return clipped(answers.timeline(start), start, end)


def _of_period(period: TimelinePeriod, moment: Moment) -> PartOfDay:
    """Return a part of the day; nothing counts as passable while the data is too old for that."""
    assert period.start is not None
    assert period.end is not None
    status, last_known = period.status, period.last_known
    if moment.withheld_since is not None and status in _PASSABLE:
        status, last_known = Status.UNKNOWN, status
    return PartOfDay(period.start, period.end, status, last_known, period.lanes)


def _merged(parts: Iterable[PartOfDay]) -> Iterator[PartOfDay]:
    """Join parts that follow each other with the same status."""
    previous: PartOfDay | None = None
    for part in parts:
        if previous is None:
            previous = part
        elif (part.status, part.last_known) == (previous.status, previous.last_known):
            previous = replace(previous, end=part.end, lanes=(*previous.lanes, *part.lanes))
        else:
            yield previous
            previous = part
    if previous is not None:
        yield previous
