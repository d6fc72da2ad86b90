"""Histories to ask about: short words for one, and Hypothesis strategies for any."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, pairwise
from uuid import UUID

from hypothesis import strategies as st

from app.status.rule.history import (
    Confirmation,
    Declaration,
    Event,
    EventRetraction,
    History,
    Lane,
    Scope,
)
from app.vocabulary import Certainty, Status, Traffic

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)
SIDES = ("BY", "LT")
BOTH = "BY LT"
CAR_TO_LT = Lane(Traffic.CAR, "LT")
CAR_TO_BY = Lane(Traffic.CAR, "BY")
TRUCK_TO_LT = Lane(Traffic.TRUCK, "LT")
TRUCK_TO_BY = Lane(Traffic.TRUCK, "BY")

_numbers = count(1)


# Words


def day(number: float) -> datetime:
    """Count midnights from the first of January 2024, which is day 1."""
    return datetime(2024, 1, 1, tzinfo=UTC) + (number - 1) * DAY


def declaration(
    status: Status,
    start: datetime,
    end: datetime | None = None,
    *,
    side: str = "LT",
    said: datetime | None = None,
    recorded: datetime | None = None,
    expected: datetime | None = None,
    certainty: Certainty = Certainty.CONFIRMED,
    traffic: Traffic | None = None,
    to: str | None = None,
    supersedes: Declaration | None = None,
) -> Declaration:
    """Record it when it was said, or else at its start; announce it only if both are given."""
    return Declaration(
        id=UUID(int=next(_numbers)),
        recorded_at=recorded or said or start,
        sides=frozenset(side.split()),
        status=status,
        start=start,
        end=end,
        expected_until=expected,
        scope=Scope(None if traffic is None else frozenset({traffic}), to),
        certainty=certainty,
        announced_at=said if recorded else None,
        supersedes=None if supersedes is None else supersedes.id,
    )


opened = partial(declaration, Status.OPEN)
restricted = partial(declaration, Status.RESTRICTED)
closed = partial(declaration, Status.CLOSED)


def confirmation(
    at: datetime,
    *,
    side: str = "LT",
    recorded: datetime | None = None,
    traffic: Traffic | None = None,
    to: str | None = None,
) -> Confirmation:
    """Record it when the source was checked, unless said otherwise."""
    return Confirmation(
        id=UUID(int=next(_numbers)),
        recorded_at=recorded or at,
        sides=frozenset(side.split()),
        confirmed_at=at,
        scope=Scope(None if traffic is None else frozenset({traffic}), to),
    )


def retraction(of: Declaration | Confirmation, *, recorded: datetime) -> EventRetraction:
    return EventRetraction(id=UUID(int=next(_numbers)), recorded_at=recorded, retracts=of.id)


def crossing(
    *events: Event, lanes: Sequence[Lane] = (CAR_TO_LT,), patience: timedelta = 30 * DAY
) -> History:
    """Put one lane under the events, unless said otherwise."""
    return History(sides=SIDES, lanes=tuple(lanes), confirm_within=patience, events=events)


# Strategies


@dataclass(frozen=True)
class Grid:
    """The few instants that histories are made of, so that they coincide and touch often."""

    unit: timedelta
    ticks: int
    patiences: tuple[timedelta, ...]
    neighbours: bool

    def instants(self) -> list[datetime]:
        """List the ticks thrice, and the microseconds beside them once."""
        ticks = [day(1) + i * self.unit for i in range(self.ticks)]
        if not self.neighbours:
            return ticks
        beside = [tick + step for tick in ticks for step in (-MICROSECOND, MICROSECOND)]
        return ticks * 3 + beside


DAYS = Grid(
    unit=DAY,
    ticks=6,
    patiences=(2 * DAY, DAY, 3 * DAY, MICROSECOND, DAY - MICROSECOND, DAY / 3, 1000 * DAY),
    neighbours=True,
)
MICROSECONDS = Grid(
    unit=MICROSECOND,
    ticks=9,
    patiences=(2 * MICROSECOND, MICROSECOND, 3 * MICROSECOND, 5 * MICROSECOND, 20 * MICROSECOND),
    neighbours=False,
)
"""So small that a test can look at every instant there is."""

SIZES = (0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9)
"""How many events: one or two say little, and many mostly drown one another."""


@dataclass
class Log:
    """A log as the database would let it grow, event after event."""

    grid: Grid
    traffic: tuple[Traffic, ...]
    draw: st.DrawFn
    events: list[Event] = field(default_factory=list)

    def grow(self, id_: UUID, recorded_at: datetime) -> None:
        kinds: list[Callable[[UUID, datetime], Event]]
        kinds = [self.declare, self.declare, self.declare, self.confirm]
        if self.declared():
            kinds += [self.echo]
        if self.correctable(recorded_at):
            kinds += [self.correct, self.correct, self.mend]
        if self.standing(recorded_at):
            kinds += [self.retract]
        self.events.append(self.draw(st.sampled_from(kinds))(id_, recorded_at))

    def declared(self) -> list[Declaration]:
        return [e for e in self.events if isinstance(e, Declaration)]

    def standing(self, recorded_at: datetime) -> list[Declaration | Confirmation]:
        """List what was recorded earlier and is neither superseded nor retracted."""
        gone = {e.supersedes for e in self.events if isinstance(e, Declaration)} | {
            e.retracts for e in self.events if isinstance(e, EventRetraction)
        }
        return [
            e
            for e in self.events
            if not isinstance(e, EventRetraction)
            and e.id not in gone
            and e.recorded_at < recorded_at
        ]

    def correctable(self, recorded_at: datetime) -> list[Declaration]:
        return [e for e in self.standing(recorded_at) if isinstance(e, Declaration)]

    def declare(self, id_: UUID, recorded_at: datetime) -> Declaration:
        start = self.instant()
        how_it_ends = self.draw(st.sampled_from(["open", "open", "bounded", "bounded", "expected"]))
        later = [x for x in self.grid.instants() if x > start]
        end = self.draw(st.sampled_from(later)) if later and how_it_ends != "open" else None
        return Declaration(
            id=id_,
            recorded_at=recorded_at,
            sides=self.sides(),
            status=self.draw(st.sampled_from([Status.OPEN, Status.CLOSED, Status.RESTRICTED])),
            start=start,
            end=end if how_it_ends == "bounded" else None,
            expected_until=end if how_it_ends == "expected" else None,
            scope=self.scope(),
            certainty=self.draw(
                st.sampled_from(
                    [
                        *(Certainty.CONFIRMED,) * 4,
                        *(Certainty.REPORTED,) * 2,
                        Certainty.UNCONFIRMED,
                    ]
                )
            ),
            announced_at=self.announced(recorded_at),
        )

    def echo(self, id_: UUID, recorded_at: datetime) -> Declaration:
        """Say something of the same period and at the same time as was said before."""
        like = self.draw(st.sampled_from(self.declared()))
        return replace(
            self.declare(id_, recorded_at),
            start=like.start,
            end=like.end,
            expected_until=like.expected_until,
            announced_at=like.announced_at or like.recorded_at,
        )

    def correct(self, id_: UUID, recorded_at: datetime) -> Declaration:
        """Put something else in the place of an earlier declaration."""
        target = self.draw(st.sampled_from(self.correctable(recorded_at)))
        new = replace(self.declare(id_, recorded_at), supersedes=target.id)
        if target.certainty == Certainty.UNCONFIRMED or new.certainty != Certainty.UNCONFIRMED:
            return new
        return replace(new, certainty=target.certainty)

    def mend(self, id_: UUID, recorded_at: datetime) -> Declaration:
        """Say the same again, to mend what the rule does not read."""
        target = self.draw(st.sampled_from(self.correctable(recorded_at)))
        return replace(
            target, id=id_, recorded_at=recorded_at, announced_at=None, supersedes=target.id
        )

    def confirm(self, id_: UUID, recorded_at: datetime) -> Confirmation:
        return Confirmation(
            id=id_,
            recorded_at=recorded_at,
            sides=self.sides(),
            confirmed_at=self.instant(until=recorded_at),
            scope=self.scope(),
        )

    def retract(self, id_: UUID, recorded_at: datetime) -> EventRetraction:
        target = self.draw(st.sampled_from(self.standing(recorded_at)))
        return EventRetraction(id=id_, recorded_at=recorded_at, retracts=target.id)

    def instant(self, *, until: datetime | None = None) -> datetime:
        instants = [x for x in self.grid.instants() if until is None or x <= until]
        return self.draw(st.sampled_from(instants))

    def announced(self, recorded_at: datetime) -> datetime | None:
        return self.draw(st.sampled_from([None, self.instant(until=recorded_at)]))

    def sides(self) -> frozenset[str]:
        return frozenset(self.draw(st.sampled_from([("LT",), ("BY",), ("BY", "LT")])))

    def scope(self) -> Scope:
        """Cover every lane, or some, or only one."""
        some = st.sets(st.sampled_from(self.traffic), min_size=1).map(frozenset)
        one = st.sampled_from(self.traffic).map(lambda traffic: frozenset({traffic}))
        to = st.sampled_from([None, *SIDES])
        return self.draw(
            st.just(Scope()) | st.builds(Scope, some) | st.builds(Scope, st.none() | one, to)
        )


@st.composite
def histories(draw: st.DrawFn, grid: Grid = DAYS) -> History:
    """Make any history that the database would accept, its events supplied in any order."""
    traffic = draw(
        st.sampled_from(
            [
                (Traffic.CAR,),
                (Traffic.CAR, Traffic.TRUCK),
                (Traffic.PEDESTRIAN, Traffic.CAR, Traffic.TRUCK),
            ]
        )
    )
    size = draw(st.sampled_from(SIZES))
    distinct = draw(st.sampled_from([True, True, True, False]))
    recorded = draw(
        st.lists(st.sampled_from(grid.instants()), min_size=size, max_size=size, unique=distinct)
    )
    numbers = draw(st.permutations(range(1, len(recorded) + 1)))
    log = Log(grid, traffic, draw)
    for number, recorded_at in zip(numbers, sorted(recorded), strict=True):
        log.grow(UUID(int=number), recorded_at)
    return History(
        sides=draw(st.sampled_from([SIDES, SIDES[::-1]])),
        lanes=draw(asked([Lane(kind, to) for kind in traffic for to in SIDES])),
        confirm_within=draw(st.sampled_from(grid.patiences)),
        events=tuple(draw(st.permutations(log.events))),
    )


@st.composite
def crowded(draw: st.DrawFn, grid: Grid = MICROSECONDS) -> History:
    """Say much of one lane, mostly by one side: period within period within period."""
    instants = sorted(set(grid.instants()))
    events: list[Declaration] = []
    for number in range(1, draw(st.integers(3, 9)) + 1):
        start, later = sorted(draw(st.tuples(*[st.integers(0, len(instants) - 1)] * 2)))
        until = instants[later] if later > start else None
        bounded = draw(st.sampled_from([True, True, False]))
        events.append(
            Declaration(
                id=UUID(int=number),
                recorded_at=draw(st.sampled_from(instants)),
                sides=frozenset(draw(st.sampled_from(["LT", "LT", "LT", "BY LT", "BY"])).split()),
                status=draw(st.sampled_from([Status.OPEN, Status.CLOSED, Status.RESTRICTED])),
                start=instants[start],
                end=until if bounded else None,
                expected_until=None if bounded else until,
                certainty=draw(
                    st.sampled_from([Certainty.CONFIRMED, Certainty.CONFIRMED, Certainty.REPORTED])
                ),
            )
        )
    return History(
        sides=SIDES,
        lanes=(CAR_TO_LT,),
        confirm_within=draw(st.sampled_from(grid.patiences)),
        events=tuple(events),
    )


@st.composite
def asked(draw: st.DrawFn, lanes: Sequence[Lane]) -> tuple[Lane, ...]:
    """Ask about all the lanes, those of one traffic or direction, or any others."""
    narrow = draw(st.sampled_from(lanes))
    return draw(
        st.sampled_from(
            [
                (narrow,),
                tuple(lanes),
                tuple(lane for lane in lanes if lane.traffic == narrow.traffic),
                tuple(lane for lane in lanes if lane.to == narrow.to),
                tuple(lanes),
            ]
        )
        | st.lists(st.sampled_from(lanes), min_size=1, unique=True).map(tuple)
    )


@st.composite
def one_more(draw: st.DrawFn, history: History, grid: Grid = DAYS) -> Declaration:
    """Declare something more, recorded after all the rest."""
    log = Log(grid, tuple(Traffic), draw)
    recorded = [event.recorded_at for event in history.events]
    wait = draw(st.sampled_from([MICROSECOND, grid.unit, 20 * grid.unit]))
    return log.declare(UUID(int=99), max(recorded, default=day(1)) + wait)


def knowledge(history: History) -> list[datetime | None]:
    """List all knowledge: everything, and at, just before and halfway between recordings."""
    recorded = sorted({event.recorded_at for event in history.events})
    return [None, *recorded, *(x - MICROSECOND for x in recorded), *halfway(recorded)]


def around(instants: Iterable[datetime]) -> list[datetime]:
    """List each instant, just before it and halfway to the next, one before and one after all."""
    found = sorted(set(instants)) or [day(1)]
    beside = [x - MICROSECOND for x in found]
    ends = [found[0] - DAY, found[-1] + DAY]
    return sorted({*found, *beside, *halfway(found), *ends})


def halfway(instants: Sequence[datetime]) -> list[datetime]:
    return [a + (b - a) / 2 for a, b in pairwise(instants)]
