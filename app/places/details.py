"""Read crossings' details as known at a change. Knows nothing of statuses."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from pydantic import JsonValue
from sqlalchemy import BigInteger, Select, Text, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import BorderNotFound, CrossingNotFound
from app.http.bodies import STORED
from app.places.geography import Point
from app.places.models import Border, Crossing, CrossingVersion
from app.places.schemas import CrossingRecord, Location, Name
from app.sources.models import Citation
from app.sources.service import citation_out
from app.status.rule.history import Lane
from app.vocabulary import Mode, Traffic

ASKED = any_(bindparam("crossings", type_=ARRAY(Text)))
"""Any of the ids that a statement is given as ``crossings``."""

_DETAILS = (
    select(Crossing.id, Border)
    .join(Border, Border.id == Crossing.border_id)
    .where(Crossing.id == ASKED)
)
_ONE_EACH = (
    select(CrossingVersion)
    .ext(distinct_on(CrossingVersion.crossing_id))
    .where(CrossingVersion.crossing_id == ASKED)
)
_NEWEST_VERSIONS = _ONE_EACH.where(
    CrossingVersion.change <= bindparam("known_change", type_=BigInteger)
).order_by(CrossingVersion.crossing_id, CrossingVersion.change.desc())
_FIRST = _ONE_EACH.order_by(CrossingVersion.crossing_id, CrossingVersion.change)


@dataclass(frozen=True, slots=True)
class Details:
    """A crossing's version as known; before its first one, that first one, ``known`` False."""

    id: str
    border: str
    sides: tuple[str, str]
    version: CrossingVersion
    known: bool

    @property
    def traffic(self) -> list[Traffic]:
        return [traffic for traffic in Traffic if traffic.value in self.version.traffic]

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return _lanes_of(tuple(self.version.traffic), self.sides)

    def lanes_for(self, traffic: Traffic | None, to: str | None) -> list[Lane]:
        """Return its lanes of that traffic and into that country; None asks for all."""
        return [
            lane for lane in self.lanes if traffic in {None, lane.traffic} and to in {None, lane.to}
        ]

    @property
    def point(self) -> Point | None:
        if self.version.lat is None or self.version.lon is None:
            return None
        return Point(self.version.lat, self.version.lon)

    @property
    def confirm_within(self) -> timedelta:
        return timedelta(days=self.version.confirm_within_days)


@lru_cache(maxsize=10_000)
def _lanes_of(traffic: tuple[str, ...], sides: tuple[str, str]) -> tuple[Lane, ...]:
    """Return the lanes in their order; crossings alike share them."""
    return tuple(Lane(one, to) for one in Traffic if one.value in traffic for to in sides)


async def details_of(
    session: AsyncSession, crossing_ids: Sequence[str], *, known_change: int
) -> dict[str, Details]:
    """Return the details of those crossings that exist, as known at ``known_change``."""
    asked = {"crossings": list(crossing_ids), "known_change": known_change}
    places = dict((await session.execute(_DETAILS, asked)).all())
    known = {row.crossing_id: row for row in await session.scalars(_NEWEST_VERSIONS, asked)}
    unknown = list(places.keys() - known.keys())
    first = await session.scalars(_FIRST, {"crossings": unknown}) if unknown else ()
    to_come = {row.crossing_id: row for row in first}
    return {
        name: Details(name, border.id, border.sides, (known | to_come)[name], name in known)
        for name, border in places.items()
    }


async def details_of_one(session: AsyncSession, crossing_id: str, *, known_change: int) -> Details:
    """Return the details of one crossing. Raises CrossingNotFound."""
    found = await details_of(session, [crossing_id], known_change=known_change)
    if crossing_id not in found:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    return found[crossing_id]


async def get_border(session: AsyncSession, border_id: str) -> Border:
    """Return the border. Raises BorderNotFound."""
    border = await session.get(Border, border_id)
    if border is None:
        raise BorderNotFound(f"There is no border {border_id}.")
    return border


async def crossing_details(
    session: AsyncSession, found: Iterable[Details]
) -> dict[str, CrossingRecord]:
    """Return the details with their citations, as a body shows them."""
    found = list(found)
    changes = {one.version.change for one in found}
    ids = {one.id for one in found}
    rows = select(Citation).where(Citation.crossing_id.in_(ids), Citation.version.in_(changes))
    cited: defaultdict[tuple[str | None, int | None], list[Citation]] = defaultdict(list)
    for citation in await session.scalars(rows.order_by(Citation.id)):
        cited[citation.crossing_id, citation.version].append(citation)
    return {one.id: details_out(one, cited[one.id, one.version.change]) for one in found}


async def version_records(
    session: AsyncSession, *, first: int, last: int
) -> list[tuple[int, JsonValue]]:
    """Return the versions that changes ``first`` to ``last`` brought, as the chain keeps them."""
    rows = await session.execute(
        select(CrossingVersion, Border)
        .join(Crossing, Crossing.id == CrossingVersion.crossing_id)
        .join(Border, Border.id == Crossing.border_id)
        .where(CrossingVersion.change.between(first, last))
    )
    citations = select(Citation).where(Citation.version.between(first, last))
    cited = list(await session.scalars(citations.order_by(Citation.id)))
    return [
        (
            version.change,
            details_record(
                Details(version.crossing_id, border.id, border.sides, version, known=True),
                [one for one in cited if one.version == version.change],
            ),
        )
        for version, border in rows
    ]


def details_record(one: Details, citations: Iterable[Citation]) -> JsonValue:
    """Return a crossing's details as the chain keeps them."""
    told: JsonValue = details_out(one, citations).model_dump(mode="json")
    return told


def details_out(one: Details, citations: Iterable[Citation]) -> CrossingRecord:
    version = one.version
    location = None
    if version.lat is not None and version.lon is not None and version.precision_km is not None:
        location = Location(lat=version.lat, lon=version.lon, precision_km=version.precision_km)
    return CrossingRecord(
        id=one.id,
        border=one.border,
        sides=list(one.sides),
        mode=Mode(version.mode),
        traffic=one.traffic,
        names=[Name.model_validate(name, context=STORED) for name in version.names],
        aliases=version.aliases,
        location=location,
        confirm_within_days=version.confirm_within_days,
        citations=[citation_out(citation) for citation in citations],
        version=version.change,
    )


def newest_versions() -> Select[CrossingVersion]:
    """Return the newest version of every crossing."""
    version = CrossingVersion
    return (
        select(version)
        .ext(distinct_on(version.crossing_id))
        .order_by(version.crossing_id, version.change.desc())
    )
