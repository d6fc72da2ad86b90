"""The crossings that a list may contain, and their order, before their status is known."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, TypeAdapter
from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.models import Change
from app.errors import invalid
from app.http.bodies import sides_of
from app.places.details import Details, details_of, newest_versions
from app.places.geography import Box, Point
from app.places.models import Border, Crossing, CrossingVersion
from app.places.spelling import Description, Index
from app.status.rule.history import Lane
from app.validation import SLUG
from app.vocabulary import Mode, Status, Traffic

_FARTHEST_KM = 100_000
"""Farther than any two points on Earth are apart, in kilometres."""


@dataclass(frozen=True, slots=True)
class CrossingFilter:
    """A filter of crossings by their details. None and empty match all."""

    ids: Sequence[str] = field(default_factory=tuple)
    border: str | None = None
    country: str | None = None
    any_country: Sequence[str] = field(default_factory=tuple)
    """Only crossings on the borders of these countries."""
    mode: Mode | None = None
    traffic: Traffic | None = None
    any_traffic: Sequence[Traffic] = field(default_factory=tuple)
    """Only crossings authorised for at least one of these."""
    to: str | None = None
    near: Point | None = None
    radius_km: float | None = None
    bbox: Box | None = None
    q: str | None = None
    retired: bool = False
    """Whether retired crossings match; those in ``ids`` match in any case."""

    @property
    def filters_lanes(self) -> bool:
        return self.traffic is not None or bool(self.any_traffic) or self.to is not None

    def lanes_of(self, details: Details) -> list[Lane]:
        """Return those lanes of a crossing that match."""
        lanes = details.lanes_for(self.traffic, self.to)
        return [lane for lane in lanes if not self.any_traffic or lane.traffic in self.any_traffic]

    def matches(self, details: Details) -> bool:
        """Return whether details match. A crossing without a location is in no area."""
        return (
            self.mode in {None, details.version.mode}
            and bool(self.lanes_of(details))
            and (self.bbox is None or self._is_within(self.bbox, details.point))
            and (self.near is None or details.point is not None)
        )

    def excludes(self, details: Details, at: datetime | None = None) -> bool:
        """Return whether a crossing is left out because it is retired, at present or by ``at``."""
        return not self.retired and not self.ids and details.is_retired(at)

    @staticmethod
    def _is_within(box: Box, point: Point | None) -> bool:
        return point is not None and box.holds(point)

    @property
    def has_fixed_members(self) -> bool:
        """Return whether only ids or a border are filtered by, which time cannot change."""
        return replace(self, ids=tuple(self.ids), border=None, retired=False) == CrossingFilter()

    @property
    def filters_details(self) -> bool:
        return self.filters_lanes or any((self.mode, self.near, self.bbox))


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """The position of a crossing in a list: by figure, the lowest first, then by id.

    In lists by distance the figure is the distance in kilometres.
    """

    figure: float
    id: str

    @property
    def cursor(self) -> tuple[str, str, str]:
        """The parts of a cursor for the page after this position, marked as one of this list."""
        return "rank", repr(self.figure), self.id


def distance_rank(origin: Details, details: Details, status: Status) -> Rank:
    """Rank crossings by distance: unknown statuses after others, unknown locations last."""
    distance = float(_FARTHEST_KM)
    if origin.point is not None and details.point is not None:
        distance = origin.point.distance_km(details.point)
    return Rank(distance + 2 * _FARTHEST_KM * (status is Status.UNKNOWN), details.id)


_rank_parts: TypeAdapter[tuple[str, float, str]] = TypeAdapter(
    tuple[Literal["rank"], float, Annotated[str, Field(pattern=SLUG)]]
)


def _rank(parts: object) -> Rank:
    _, figure, crossing_id = _rank_parts.validate_python(parts)
    if math.isnan(figure):
        raise ValueError(figure)
    return Rank(figure, crossing_id)


rank_cursor: TypeAdapter[Rank] = TypeAdapter(
    Annotated[Rank, BeforeValidator(_rank)],
)
"""Parses the parts of a cursor of this list."""


async def find_candidates(
    session: AsyncSession, crossing_filter: CrossingFilter, *, known_change: int
) -> list[Rank]:
    """Return the matching crossings, the nearest or the best match of the name first, else by id.

    Raises Invalid for a radius without a centre.
    """
    if crossing_filter.radius_km is not None and crossing_filter.near is None:
        raise invalid("radius_km", "requires near", where="query")
    names = list(await session.scalars(_ids_query(crossing_filter)))
    figures: Mapping[str, float] = dict.fromkeys(names, 0.0)
    if crossing_filter.q is not None:
        scores = (await _current_index(session)).find(crossing_filter.q)
        figures = {name: -scores[name] for name in names if name in scores}
    if crossing_filter.filters_details:
        details_by_id = await details_of(session, list(figures), known_change=known_change)
        matching = {
            name: details
            for name, details in details_by_id.items()
            if crossing_filter.matches(details)
        }
        if crossing_filter.near is not None:
            figures = {
                name: crossing_filter.near.distance_km(details.point)
                for name, details in matching.items()
                if details.point is not None
            }
        figures = {
            name: figures[name]
            for name in matching
            if crossing_filter.radius_km is None or figures[name] <= crossing_filter.radius_km
        }
    return sorted(Rank(figure, name) for name, figure in figures.items())


def _ids_query(crossing_filter: CrossingFilter) -> Select[str]:
    rows = select(Crossing.id)
    if crossing_filter.ids:
        rows = rows.where(Crossing.id.in_(crossing_filter.ids))
    if crossing_filter.border is not None:
        rows = rows.where(Crossing.border_id == crossing_filter.border)
    if crossing_filter.country is not None:
        rows = rows.join(Border, Border.id == Crossing.border_id).where(
            or_(Border.first == crossing_filter.country, Border.second == crossing_filter.country)
        )
    if crossing_filter.any_country:
        borders = select(Border.id).where(
            or_(
                Border.first.in_(crossing_filter.any_country),
                Border.second.in_(crossing_filter.any_country),
            )
        )
        rows = rows.where(Crossing.border_id.in_(borders))
    return rows


NamedCrossings = Mapping[str, tuple[CrossingVersion, Sequence[str]]]
"""The details and the two sides of each crossing."""


class _IndexCache:
    """The index of the names of all crossings, built once for each change of any details.

    The hash of that change is the key, since it differs between databases, too.
    """

    hash: bytes | None = None
    index = Index.of({})
    build: tuple[bytes | None, asyncio.Task[Index]] | None = None


async def _current_index(session: AsyncSession) -> Index:
    """Return the index of the names that are recorded at present.

    Building it takes seconds for thousands of crossings. So it is done in a thread, to keep the
    event loop free, and by a task that continues when the request is cancelled.
    """
    newest = select(func.max(CrossingVersion.change)).scalar_subquery()
    newest_hash = await session.scalar(select(Change.hash).where(Change.number == newest))
    if newest_hash == _IndexCache.hash:
        return _IndexCache.index
    if not _is_building(newest_hash):
        rows = await session.scalars(newest_versions())
        borders = dict((await session.execute(select(Crossing.id, Crossing.border_id))).all())
        crossings = {row.crossing_id: (row, sides_of(borders[row.crossing_id])) for row in rows}
        if not _is_building(newest_hash):  # no other request began meanwhile
            _IndexCache.build = newest_hash, asyncio.create_task(_build(newest_hash, crossings))
    assert _IndexCache.build is not None
    return await asyncio.shield(_IndexCache.build[1])


def _is_building(newest_hash: bytes | None) -> bool:
    if _IndexCache.build is None:
        return False
    built_hash, task = _IndexCache.build
    has_failed = task.done() and (task.cancelled() or task.exception() is not None)
    return (
        built_hash == newest_hash
        and not has_failed
        and task.get_loop() is asyncio.get_running_loop()
    )


async def _build(newest_hash: bytes | None, crossings: NamedCrossings) -> Index:
    index = await asyncio.to_thread(index_of, crossings)
    _IndexCache.hash, _IndexCache.index = newest_hash, index
    return index


def index_of(crossings: NamedCrossings) -> Index:
    """Return the index of crossings by id, names, aliases, sides and mode."""
    return Index.of(
        {
            crossing_id: [
                crossing_id,
                *(str(name_of_side["name"]) for name_of_side in row.names),
                *row.aliases,
            ]
            for crossing_id, (row, _) in crossings.items()
        },
        {
            crossing_id: Description(frozenset(sides), Mode(row.mode))
            for crossing_id, (row, sides) in crossings.items()
        },
    )
