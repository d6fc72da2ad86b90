"""How long the resolution rule takes on long histories: `make bench`.

Prints seconds (the median of several runs) and, as the figure to compare between machines, the
ratio to sorting the events' starts in the same run.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.status.rule.history import Declaration, History, Lane, Scope
from app.status.rule.resolution import next_change, resolve, timeline
from app.vocabulary import Certainty, Status, Traffic

RUNS = 5
SIDES = ("BY", "LT")
START = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATUSES = (Status.OPEN, Status.RESTRICTED, Status.CLOSED)


def in_order(event: Declaration, number: int, _: int, __: random.Random) -> Declaration:
    """Each said when it starts: the log of a busy crossing."""
    start = START + number * HOUR
    return replace(event, start=start, recorded_at=start)


def late(event: Declaration, number: int, count: int, _: random.Random) -> Declaration:
    """The oldest recorded last, never said when announced: nothing lifts anything."""
    recorded_at = START + (count + number) * HOUR
    return replace(event, start=START + (count - number) * HOUR, recorded_at=recorded_at)


def mixed(event: Declaration, number: int, count: int, dice: random.Random) -> Declaration:
    """Any order, half of them bounded, a third about one traffic category only."""
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


Shape = Callable[[Declaration, int, int, random.Random], Declaration]


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


def seconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def measure(name: str, long: History, at: datetime) -> None:
    sorting = seconds(lambda: sorted(_starts(long)))
    works: dict[str, Callable[[], object]] = {
        "timeline": lambda: timeline(long),
        "resolve": lambda: resolve(long, at),
        "next_change": lambda: next_change(long, at),
    }
    for what, work in works.items():
        taken = seconds(work)
        print(f"{name:10} {len(long.events):>7} {what:>12} {taken:>9.4f} {taken / sorting:>10.0f}")


def _starts(long: History) -> list[datetime]:
    return [one.start for one in long.events if isinstance(one, Declaration)]


def main() -> None:
    print(f"{'history':10} {'events':>7} {'what':>12} {'seconds':>9} {'x sorting':>10}")
    for shape in (in_order, late, mixed):
        for count in (1_000, 10_000):
            measure(shape.__name__, history(count, shape), START + count / 2 * HOUR)


if __name__ == "__main__":
    main()
