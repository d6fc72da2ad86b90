"""Which declarations of a side are in force: what is lifted, and what decides."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from app.status.rule.history import NEVER, Declaration, SaidOrder
from app.vocabulary import Certainty, Status

SEVERITY: Mapping[Status, int] = {Status.OPEN: 1, Status.RESTRICTED: 2, Status.CLOSED: 3}
FIRMNESS: Mapping[Certainty, int] = {Certainty.REPORTED: 1, Certainty.CONFIRMED: 2}


@dataclass(frozen=True, slots=True, eq=False)
class RankedDeclaration:
    """An eligible declaration with the values by which declarations are ordered."""

    event: Declaration
    said: SaidOrder
    end: datetime
    severity: int
    firmness: int
    prominence: tuple[datetime, SaidOrder]


by_said = attrgetter("said")
by_prominence = attrgetter("prominence")


class InForce:
    """One side's declarations in force for one lane, as instants pass in order.

    In force, the later said starts the earlier (else it would lift the other), so within one
    firmness only the next one said can lift a newcomer. Each step costs a few bisections.
    """

    def __init__(self) -> None:
        self._said: dict[int, list[RankedDeclaration]] = {
            firmness: [] for firmness in FIRMNESS.values()
        }
        self._ranked: dict[int, list[RankedDeclaration]] = {
            severity: [] for severity in sorted(SEVERITY.values(), reverse=True)
        }
        self._shadowed: list[RankedDeclaration] = []

    def enter(self, new: RankedDeclaration) -> None:
        """Put ``new`` in force. Call in the order of start, then of being said."""
        if self._shadowed:
            self._shadowed = [
                old for old in self._shadowed if old.end > new.end or not _lifts(new, old)
            ]
        for firmness, line in self._said.items():
            if firmness <= new.firmness:
                lifted = line[: bisect_left(line, new.said, key=by_said)]
                del line[: len(lifted)]
                for old in lifted:
                    self._unrank(old)
                self._shadowed += [old for old in lifted if old.end > new.end]
        self._raise(new)

    def leave(self, old: RankedDeclaration) -> None:
        """End ``old``, in force or not, and put in force again what only it had lifted."""
        line = self._said[old.firmness]
        place = bisect_left(line, old.said, key=by_said)
        if place == len(line) or line[place] is not old:
            self._shadowed = [other for other in self._shadowed if other is not old]
            return
        del line[place]
        self._unrank(old)
        for other in sorted(self._shadowed, key=by_said, reverse=True):
            if not self._is_lifted(other):
                self._raise(other)
                self._shadowed.remove(other)

    def foremost(self) -> RankedDeclaration | None:
        """Return the most severe, of those the latest to start, then the latest said."""
        for line in self._ranked.values():
            if line:
                return line[-1]
        return None

    def __iter__(self) -> Iterator[RankedDeclaration]:
        for line in self._said.values():
            yield from line

    def _is_lifted(self, old: RankedDeclaration) -> bool:
        for firmness, line in self._said.items():
            if firmness >= old.firmness:
                later = bisect_right(line, old.said, key=by_said)
                if later < len(line) and line[later].event.start >= old.event.start:
                    return True
        return False

    def _raise(self, new: RankedDeclaration) -> None:
        insort(self._said[new.firmness], new, key=by_said)
        insort(self._ranked[new.severity], new, key=by_prominence)

    def _unrank(self, old: RankedDeclaration) -> None:
        line = self._ranked[old.severity]
        del line[bisect_left(line, old.prominence, key=by_prominence)]


def _lifts(later: RankedDeclaration, old: RankedDeclaration) -> bool:
    return (
        later.said > old.said
        and later.event.start >= old.event.start
        and later.firmness >= old.firmness
    )


def decider_of(sides: Iterable[InForce]) -> RankedDeclaration | None:
    """Return the declaration that decides a lane: the most severe in force on either side."""
    candidates = [foremost_of_side for side in sides if (foremost_of_side := side.foremost())]
    return max(candidates, key=attrgetter("severity", "prominence"), default=None)


def not_outlived(candidates: Sequence[RankedDeclaration]) -> list[RankedDeclaration]:
    """Leave out the declarations of one side that one without an end lifts: they never come back.

    They are given and returned in order of prominence. What lifts another is more prominent, so
    that, going from the last to the first, everything that may lift one has been seen.
    """
    remaining: list[RankedDeclaration] = []
    newest: dict[int, SaidOrder] = {}
    for candidate in reversed(candidates):
        later = newest.get(candidate.firmness)
        if later is None or later < candidate.said:
            remaining.append(candidate)
            if candidate.end == NEVER:
                for firmness in FIRMNESS.values():
                    if firmness <= candidate.firmness:
                        newest[firmness] = max(candidate.said, newest.get(firmness, candidate.said))
    return remaining[::-1]


def said_order(declared: Iterable[Declaration]) -> dict[UUID, SaidOrder]:
    """Return the order of the declarations; a correction may keep the order of its target."""
    order: dict[UUID, SaidOrder] = {}
    for declaration in declared:
        if declaration.said:
            order[declaration.id] = declaration.said
        elif declaration.supersedes and not declaration.announced_at:
            order[declaration.id] = order[declaration.supersedes]
        else:
            said_at = min(
                declaration.announced_at or declaration.recorded_at, declaration.recorded_at
            )
            order[declaration.id] = (said_at, declaration.recorded_at, declaration.id.int)
    return order
