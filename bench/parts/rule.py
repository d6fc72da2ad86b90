"""The resolution rule on long histories, beside sorting as many instants."""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.status.rule.history import Declaration, History, Lane, Scope
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Certainty, Status, Traffic
from bench.findings import Finding, ratio_of
from bench.stage import Stage

SIDES = ("BY", "LT")
START = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATUSES = (Status.OPEN, Status.RESTRICTED, Status.CLOSED)

Shape = Callable[[Declaration, int, int, random.Random], Declaration]


def rule(stage: Stage) -> Iterator[Finding]:
    """Measure a whole timeline, one instant, and the next change; targets there are none."""
    for shape in (in_order, late, mixed):
        for count in (1_000,) if stage.quick else (1_000, 10_000):
            at = START + count / 2 * HOUR
            yield from _measure(stage, shape.__name__, history(count, shape), at)


def _measure(stage: Stage, name: str, long: History, at: datetime) -> Iterator[Finding]:
    starts = [one.start for one in long.events if isinstance(one, Declaration)]
    works: dict[str, Callable[[], object]] = {
        "timeline": lambda: list(ResolvedHistory(long).timeline()),
        "resolve": lambda: ResolvedHistory(long).answer(at),
        "next_change": lambda: ResolvedHistory(long).next_change(at),
    }
    for what, work in works.items():
        pairs = [(_seconds(work), _seconds(lambda: sorted(starts))) for _ in range(stage.rounds)]
        median = statistics.median(taken for taken, _ in pairs)
        yield ratio_of(
            f"{what} of {len(starts):,} events, {name} / sorting them",
            pairs,
            note=f"{median:.4f} s",
        )


def in_order(event: Declaration, number: int, _: int, __: random.Random) -> Declaration:
    """Say each when it starts: the log of a busy crossing."""
    start = START + number * HOUR
    return replace(event, start=start, recorded_at=start)


def late(event: Declaration, number: int, count: int, _: random.Random) -> Declaration:
    """Record the oldest last, never said when announced: nothing lifts anything."""
    recorded_at = START + (count + number) * HOUR
    return replace(event, start=START + (count - number) * HOUR, recorded_at=recorded_at)


def mixed(event: Declaration, number: int, count: int, dice: random.Random) -> Declaration:
    """Take any order, half of them bounded, a third about one traffic category only."""
    start = START + dice.random() * count * HOUR
    bounded, scoped = dice.random() < 1 / 2, dice.random() < 1 / 3
    return replace(
        event,
        start=start,
        end=start + (1 + dice.random() * 100) * HOUR if bounded else None,
        recorded_at=START + (count + number) * HOUR,
        announced_at=START + dice.random() * count * HOUR,
        scope=Scope(frozenset({dice.choice(list(Traffic))})) if scoped else Scope(),
        certainty=dice.choice([Certainty.CONFIRMED, Certainty.REPORTED]),
    )


def history(count: int, shape: Shape) -> History:
    dice = random.Random(count)  # noqa: S311 -- a benchmark wants the same numbers each time
    return History(
        sides=SIDES,
        lanes=tuple(Lane(traffic, to) for traffic in Traffic for to in SIDES),
        confirm_within=timedelta(days=30),
        events=tuple(shape(_any(number, dice), number, count, dice) for number in range(count)),
    )


def _any(number: int, dice: random.Random) -> Declaration:
    return Declaration(
        id=UUID(int=number + 1),
        recorded_at=START,
        start=START,
        sides=frozenset({dice.choice(SIDES)}),
        status=dice.choice(STATUSES),
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
