"""Which crossings a list asks for, and in which order, before their status is looked at."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.models import Change
from app.errors import invalid
from app.places.details import Details, details_of, newest_versions
from app.places.finding.geography import Box, Point
from app.places.finding.spelling import Index
from app.places.models import Border, Crossing, CrossingVersion
from app.status.rule.history import Lane
from app.vocabulary import Mode, Traffic


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a crossing's details a list asks for; None and empty ask for all."""

    ids: Sequence[str] = field(default_factory=tuple)
    border: str | None = None
    country: str | None = None
    mode: Mode | None = None
    traffic: Traffic | None = None
    to: str | None = None
    near: Point | None = None
    radius_km: float | None = None
    bbox: Box | None = None
    q: str | None = None

    @property
    def of_lanes(self) -> bool:
        return self.traffic is not None or self.to is not None

    def lanes_of(self, details: Details) -> list[Lane]:
        """Return those of its lanes that are asked about."""
        return [
            lane
            for lane in details.lanes
            if self.traffic in {None, lane.traffic} and self.to in {None, lane.to}
        ]

    def takes(self, details: Details) -> bool:
        """Tell whether the details are as asked; a crossing without a location is nowhere."""
        return (
            self.mode in {None, details.version.mode}
            and bool(self.lanes_of(details))
            and (self.bbox is None or self._is_within(self.bbox, details.point))
            and (self.near is None or self._is_near(details))
        )

    def distance_km(self, details: Details) -> float | None:
        """Return how far it is from the point asked about, in kilometres to a decimal."""
        if self.near is None or details.point is None:
            return None
        return round(self.near.distance_km(details.point), 1)

    @staticmethod
    def _is_within(box: Box, point: Point | None) -> bool:
        return point is not None and box.holds(point)

    def _is_near(self, details: Details) -> bool:
        distance = self.distance_km(details)
        return distance is not None and (self.radius_km is None or distance <= self.radius_km)

    @property
    def _of_details(self) -> bool:
        return self.of_lanes or any((self.mode, self.near, self.bbox))


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """Where a crossing stands in a list: the lowest figure first, then by id."""

    figure: float
    id: str


async def candidates(session: AsyncSession, wanted: Wanted, *, known_change: int) -> list[Rank]:
    """Return the crossings asked for: the nearest or the best spelt first, else by id.

    Raises Invalid for a radius around nothing.
    """
    if wanted.radius_km is not None and wanted.near is None:
        raise invalid("radius_km", "needs near, the point that it is around", where="query")
    names = list(await session.scalars(_ids(wanted)))
    figures: Mapping[str, float] = dict.fromkeys(names, 0.0)
    if wanted.q is not None:
        scores = (await _index(session)).find(wanted.q)
        figures = {name: -scores[name] for name in names if name in scores}
    if wanted._of_details:  # noqa: SLF001  # its own module
        found = await details_of(session, list(figures), known_change=known_change)
        taken = {name: one for name, one in found.items() if wanted.takes(one)}
        figures = {
            name: figures[name] if wanted.near is None else wanted.distance_km(one) or 0.0
            for name, one in taken.items()
        }
    return sorted(Rank(figure, name) for name, figure in figures.items())


def _ids(wanted: Wanted) -> Select[str]:
    rows = select(Crossing.id)
    if wanted.ids:
        rows = rows.where(Crossing.id.in_(wanted.ids))
    if wanted.border is not None:
        rows = rows.where(Crossing.border_id == wanted.border)
    if wanted.country is not None:
        rows = rows.join(Border, Border.id == Crossing.border_id).where(
            or_(Border.first == wanted.country, Border.second == wanted.country)
        )
    return rows


class _Kept:
    """The spellings of all crossings, folded once for each change of any details.

    The hash of that change tells one database from another.
    """

    hash: bytes | None = None
    index = Index.of({})
    being_made = asyncio.Lock()


async def _index(session: AsyncSession) -> Index:
    newest = select(func.max(CrossingVersion.change)).scalar_subquery()
    found = await session.scalar(select(Change.hash).where(Change.number == newest))
    async with _Kept.being_made:
        if found != _Kept.hash:
            rows = await session.scalars(newest_versions())
            spellings = {row.crossing_id: _spellings(row) for row in rows}
            # Of thousands of crossings it takes seconds, in which others are to be answered.
            _Kept.index = await asyncio.to_thread(Index.of, spellings)
            _Kept.hash = found
        return _Kept.index


def _spellings(row: CrossingVersion) -> list[str]:
    return [row.crossing_id, *(str(name["name"]) for name in row.names), *row.aliases]
