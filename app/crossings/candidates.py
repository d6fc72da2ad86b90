"""Which crossings a list asks for, and in which order, before their status is looked at."""

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
from app.vocabulary import Mode, Traffic


@dataclass(frozen=True, slots=True)
class CrossingFilter:
    """What of a crossing's details a list asks for; None and empty ask for all."""

    ids: Sequence[str] = field(default_factory=tuple)
    border: str | None = None
    country: str | None = None
    of_sides: Sequence[str] = field(default_factory=tuple)
    """Of a border with one of these countries."""
    mode: Mode | None = None
    traffic: Traffic | None = None
    any_traffic: Sequence[Traffic] = field(default_factory=tuple)
    """Authorised for at least one of these."""
    to: str | None = None
    near: Point | None = None
    radius_km: float | None = None
    bbox: Box | None = None
    q: str | None = None
    retired: bool = False
    """Those that are retired, too; what ``ids`` names is asked for in any case."""

    @property
    def of_lanes(self) -> bool:
        return self.traffic is not None or bool(self.any_traffic) or self.to is not None

    def lanes_of(self, details: Details) -> list[Lane]:
        """Return those of its lanes that are asked about."""
        lanes = details.lanes_for(self.traffic, self.to)
        return [lane for lane in lanes if not self.any_traffic or lane.traffic in self.any_traffic]

    def takes(self, details: Details) -> bool:
        """Return whether the details are as asked; a crossing without a location is nowhere."""
        return (
            self.mode in {None, details.version.mode}
            and bool(self.lanes_of(details))
            and (self.bbox is None or self._is_within(self.bbox, details.point))
            and (self.near is None or details.point is not None)
        )

    def leaves_out(self, details: Details, at: datetime | None = None) -> bool:
        """Return whether a crossing is not listed since it is retired, or was by ``at``."""
        return not self.retired and not self.ids and details.is_retired(at)

    @staticmethod
    def _is_within(box: Box, point: Point | None) -> bool:
        return point is not None and box.holds(point)

    @property
    def is_plain(self) -> bool:
        """Return whether it asks for every crossing, or for every one of a border."""
        return replace(self, ids=tuple(self.ids), border=None, retired=False) == CrossingFilter()

    @property
    def of_details(self) -> bool:
        return self.of_lanes or any((self.mode, self.near, self.bbox))


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """Where a crossing stands in a list: the lowest figure first, then by id.

    Where the nearest come first, the figure is the distance in kilometres, to a decimal.
    """

    figure: float
    id: str

    @property
    def cursor(self) -> tuple[str, str, str]:
        """The parts of the cursor that begins a page after it, marked as of this list."""
        return "rank", repr(self.figure), self.id


_parts: TypeAdapter[tuple[str, float, str]] = TypeAdapter(
    tuple[Literal["rank"], float, Annotated[str, Field(pattern=SLUG)]]
)


def _rank(parts: object) -> Rank:
    _, figure, crossing_id = _parts.validate_python(parts)
    if math.isnan(figure):
        raise ValueError(figure)
    return Rank(figure, crossing_id)


rank_cursor: TypeAdapter[Rank] = TypeAdapter(
    Annotated[Rank, BeforeValidator(_rank)],
)
"""A rank, marked as of this list."""


async def candidates(
    session: AsyncSession, wanted: CrossingFilter, *, known_change: int
) -> list[Rank]:
    """Return the crossings asked for: the nearest or the best spelt first, else by id.

    Raises Invalid for a radius around nothing.
    """
    if wanted.radius_km is not None and wanted.near is None:
        raise invalid("radius_km", "requires near", where="query")
    names = list(await session.scalars(_ids(wanted)))
    figures: Mapping[str, float] = dict.fromkeys(names, 0.0)
    if wanted.q is not None:
        scores = (await _index(session)).find(wanted.q)
        figures = {name: -scores[name] for name in names if name in scores}
    if wanted.of_details:
        details_by_id = await details_of(session, list(figures), known_change=known_change)
        taken = {name: details for name, details in details_by_id.items() if wanted.takes(details)}
        if wanted.near is not None:
            figures = {
                name: wanted.near.distance_km(details.point)
                for name, details in taken.items()
                if details.point is not None
            }
        figures = {
            name: figures[name]
            for name in taken
            if wanted.radius_km is None or figures[name] <= wanted.radius_km
        }
    return sorted(Rank(figure, name) for name, figure in figures.items())


def _ids(wanted: CrossingFilter) -> Select[str]:
    rows = select(Crossing.id)
    if wanted.ids:
        rows = rows.where(Crossing.id.in_(wanted.ids))
    if wanted.border is not None:
        rows = rows.where(Crossing.border_id == wanted.border)
    if wanted.country is not None:
        rows = rows.join(Border, Border.id == Crossing.border_id).where(
            or_(Border.first == wanted.country, Border.second == wanted.country)
        )
    if wanted.of_sides:
        borders = select(Border.id).where(
            or_(Border.first.in_(wanted.of_sides), Border.second.in_(wanted.of_sides))
        )
        rows = rows.where(Crossing.border_id.in_(borders))
    return rows


Named = Mapping[str, tuple[CrossingVersion, Sequence[str]]]
"""Of each crossing, the details and the two sides."""


class _Spellings:
    """The spellings of all crossings, folded once for each change of any details.

    The hash of that change tells one database from another.
    """

    hash: bytes | None = None
    index = Index.of({})
    being_made: tuple[bytes | None, asyncio.Task[Index]] | None = None


async def _index(session: AsyncSession) -> Index:
    """Return the index of what is recorded now.

    Of thousands of crossings it takes seconds to make: in a thread, so that others are
    answered meanwhile, and by a task that outlives a request that gave up waiting.
    """
    newest = select(func.max(CrossingVersion.change)).scalar_subquery()
    newest_hash = await session.scalar(select(Change.hash).where(Change.number == newest))
    if newest_hash == _Spellings.hash:
        return _Spellings.index
    if not _is_being_made(newest_hash):
        rows = await session.scalars(newest_versions())
        borders = dict((await session.execute(select(Crossing.id, Crossing.border_id))).all())
        named = {row.crossing_id: (row, sides_of(borders[row.crossing_id])) for row in rows}
        if not _is_being_made(newest_hash):  # nobody else began meanwhile
            _Spellings.being_made = newest_hash, asyncio.create_task(_make(newest_hash, named))
    assert _Spellings.being_made is not None
    return await asyncio.shield(_Spellings.being_made[1])


def _is_being_made(wanted: bytes | None) -> bool:
    if _Spellings.being_made is None:
        return False
    made, task = _Spellings.being_made
    failed = task.done() and (task.cancelled() or task.exception() is not None)
    return made == wanted and not failed and task.get_loop() is asyncio.get_running_loop()


async def _make(wanted: bytes | None, named: Named) -> Index:
    index = await asyncio.to_thread(index_of, named)
    _Spellings.hash, _Spellings.index = wanted, index
    return index


def index_of(named: Named) -> Index:
    """Return the index of crossings by everything that they are found by."""
    return Index.of(
        {
            name: [name, *(str(name_of_side["name"]) for name_of_side in row.names), *row.aliases]
            for name, (row, _) in named.items()
        },
        {
            name: Description(frozenset(sides), Mode(row.mode))
            for name, (row, sides) in named.items()
        },
    )
