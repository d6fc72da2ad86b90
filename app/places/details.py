"""The details of crossings as known at a change, without their statuses."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from pydantic import JsonValue
from sqlalchemy import BigInteger, Select, Text, any_, bindparam, exists, select
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.caches import shared
from app.changes.service import wire_instant
from app.errors import BorderNotFound, CrossingNotFound, CrossingRetired, LaneNotFound
from app.http.bodies import STORED, utc
from app.places.geography import Point
from app.places.models import Border, Crossing, CrossingVersion
from app.places.schemas import Contact, CrossingRecord, HoursOfSide, Location, Name
from app.sources.models import Citation
from app.sources.service import citation_out
from app.status.rule.history import NO_LIMITS, Lane, Limits
from app.status.rule.hours import NO_HOURS, Hours
from app.vocabulary import Mode, Traffic

ASKED = any_(bindparam("crossings", type_=ARRAY(Text)))
"""Any of the ids in the parameter ``crossings`` of a statement."""

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
    """The version of a crossing as known; before the first one, that one with ``known`` False."""

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
        """Return its lanes for that traffic and into that country; None is any."""
        return [
            lane for lane in self.lanes if traffic in {None, lane.traffic} and to in {None, lane.to}
        ]

    @property
    def names(self) -> list[Name]:
        return [Name.model_validate(name, context=STORED) for name in self.version.names]

    @property
    def hours(self) -> list[HoursOfSide]:
        """Its regular hours; none before they were known."""
        return [HoursOfSide.model_validate(hours, context=STORED) for hours in self.version.hours]

    @property
    def contacts(self) -> list[Contact]:
        """Whom to ask; nobody before that was known."""
        return [
            Contact.model_validate(contact, context=STORED) for contact in self.version.contacts
        ]

    @property
    def limits(self) -> Limits:
        """The limits for vehicles; none before they were known."""
        if not self.known:
            return NO_LIMITS
        return Limits(self.version.max_weight_kg, self.version.max_height_m)

    def schedules(self, lanes: Iterable[Lane]) -> Hours:
        """Return the regular hours of these lanes, of both sides; none before it is known."""
        if not self.known or not self.version.hours:
            return NO_HOURS
        hours = self.hours
        schedules_by_lane = {
            lane: tuple(entry.schedule for entry in hours if entry.covers(lane.traffic, lane.to))
            for lane in lanes
        }
        return Hours(
            {lane: schedules for lane, schedules in schedules_by_lane.items() if schedules}
        )

    @property
    def point(self) -> Point | None:
        if self.version.lat is None or self.version.lon is None:
            return None
        return Point(self.version.lat, self.version.lon)

    @property
    def confirm_within(self) -> timedelta:
        version = self.version
        if version.confirm_within_hours is not None:
            return timedelta(hours=version.confirm_within_hours)
        return timedelta(days=version.confirm_within_days)

    def is_retired(self, at: datetime | None = None) -> bool:
        """Return whether it is retired as known, or was by the instant ``at``."""
        retired_at = self.version.retired_at
        return retired_at is not None and (at is None or retired_at <= at)


@shared("lanes", most=1_000, entry_bytes=1_500)
def _lanes_of(traffic: tuple[str, ...], sides: tuple[str, str]) -> tuple[Lane, ...]:
    """Return the lanes in their order; crossings with the same ones share the tuple."""
    return tuple(
        Lane(category, to) for category in Traffic if category.value in traffic for to in sides
    )


async def details_of(
    session: AsyncSession, crossing_ids: Sequence[str], *, known_change: int
) -> dict[str, Details]:
    """Return the details of those crossings that exist, as known at ``known_change``."""
    parameters = {"crossings": list(crossing_ids), "known_change": known_change}
    places = dict((await session.execute(_DETAILS, parameters)).all())
    versions = {row.crossing_id: row for row in await session.scalars(_NEWEST_VERSIONS, parameters)}
    unknown = list(places.keys() - versions.keys())
    first = await session.scalars(_FIRST, {"crossings": unknown}) if unknown else ()
    to_come = {row.crossing_id: row for row in first}
    return {
        name: Details(name, border.id, border.sides, (versions | to_come)[name], name in versions)
        for name, border in places.items()
    }


async def details_of_one(session: AsyncSession, crossing_id: str, *, known_change: int) -> Details:
    """Return the details of one crossing. Raises CrossingNotFound."""
    details = await details_of(session, [crossing_id], known_change=known_change)
    if crossing_id not in details:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    return details[crossing_id]


def successor_of(retired: Details, find: Callable[[str], Details | None]) -> Details | None:
    """Return the crossing that replaced a retired one, or the last one of several replacements.

    None if there is none. A retired crossing cannot become a successor, so there is no cycle.
    """
    successor: Details | None = None
    following = retired.version.replaced_by
    while following is not None and (successor := find(following)) is not None:
        following = successor.version.replaced_by
    return successor


async def successors_of(
    session: AsyncSession, retired: Iterable[Details], *, known_change: int
) -> dict[str, Details]:
    """Return the successor, as known, of each of these crossings that has one."""
    retired = list(retired)
    known = {crossing.id: crossing for crossing in retired}
    while named := {crossing.version.replaced_by for crossing in known.values()} - {None, *known}:
        names = [name for name in named if name is not None]
        known |= await details_of(session, names, known_change=known_change)
    successors = {crossing.id: successor_of(crossing, known.get) for crossing in retired}
    return {name: crossing for name, crossing in successors.items() if crossing is not None}


async def require_in_use(
    session: AsyncSession, crossings: Iterable[Details], *, known_change: int
) -> None:
    """Raise CrossingRetired where any of the crossings is retired, as known."""
    retired = sorted(
        (crossing for crossing in crossings if crossing.is_retired()), key=attrgetter("id")
    )
    if not retired:
        return
    successors = await successors_of(session, retired, known_change=known_change)
    retirements = [_retirement(crossing, successors.get(crossing.id)) for crossing in retired]
    names = ", ".join(
        f"{name} (since {since}{f', replaced by {successor}' if successor else ''})"
        for name, since, successor in retirements
    )
    raise CrossingRetired(
        f"Nothing more can be recorded about a retired crossing: {names}.",
        retired=[
            {"crossing": name, "retired_at": since, "successor": successor}
            for name, since, successor in retirements
        ],
    )


def _retirement(retired: Details, successor: Details | None) -> tuple[str, str, str | None]:
    retired_at = retired.version.retired_at
    assert retired_at is not None  # it is retired
    return retired.id, wire_instant(retired_at), None if successor is None else successor.id


def retired_crossings(known_change: int | None = None) -> Select[str]:
    """Return the ids of the crossings that are retired, as known at a change or now."""
    version, later = CrossingVersion, aliased(CrossingVersion)
    following = [later.crossing_id == version.crossing_id, later.change > version.change]
    rows = select(version.crossing_id).where(version.retired_at.is_not(None))
    if known_change is not None:
        rows = rows.where(version.change <= known_change)
        following.append(later.change <= known_change)
    return rows.where(~exists().where(*following))


def require_lanes(details: Details, traffic: Traffic | None, to: str | None) -> list[Lane]:
    """Return a crossing's lanes of that traffic into that country. Raises LaneNotFound."""
    matching = details.lanes_for(traffic, to)
    if not matching:
        lanes = details.lanes
        listed = ", ".join(f"{lane.traffic.value} to {lane.to}" for lane in lanes)
        raise LaneNotFound(
            f"{details.id} has these lanes: {listed}.",
            lanes=[{"traffic": lane.traffic.value, "to": lane.to} for lane in lanes],
        )
    return matching


async def get_border(session: AsyncSession, border_id: str) -> Border:
    """Return the border. Raises BorderNotFound."""
    border = await session.get(Border, border_id)
    if border is None:
        raise BorderNotFound(f"There is no border {border_id}.")
    return border


async def crossing_details(
    session: AsyncSession, details: Iterable[Details]
) -> dict[str, CrossingRecord]:
    """Return the details with their citations, as bodies."""
    details = list(details)
    changes = {crossing.version.change for crossing in details}
    ids = {crossing.id for crossing in details}
    rows = select(Citation).where(Citation.crossing_id.in_(ids), Citation.version.in_(changes))
    cited: defaultdict[tuple[str | None, int | None], list[Citation]] = defaultdict(list)
    for citation in await session.scalars(rows.order_by(Citation.id)):
        cited[citation.crossing_id, citation.version].append(citation)
    return {
        crossing.id: details_out(crossing, cited[crossing.id, crossing.version.change])
        for crossing in details
    }


async def version_records(
    session: AsyncSession, *, first: int, last: int
) -> list[tuple[int, JsonValue]]:
    """Return the versions of changes ``first`` to ``last``, as the hash chain includes them."""
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
                [citation for citation in cited if citation.version == version.change],
            ),
        )
        for version, border in rows
    ]


def details_record(details: Details, citations: Iterable[Citation]) -> JsonValue:
    """Return a crossing's details as the hash chain includes them."""
    record: dict[str, JsonValue] = details_out(details, citations).model_dump(mode="json")
    for name in (
        *("retired_at", "replaced_by", "confirm_within_hours"),
        *("max_weight_kg", "max_height_m"),
    ):
        # Records from before there were these members do not have them.
        if record[name] is None:
            del record[name]
    # Nor do records from before crossings could have hours or contacts.
    for name in ("hours", "contacts"):
        if not record[name]:
            del record[name]
    return record


def details_out(details: Details, citations: Iterable[Citation]) -> CrossingRecord:
    version = details.version
    location = None
    if version.lat is not None and version.lon is not None and version.precision_km is not None:
        location = Location(lat=version.lat, lon=version.lon, precision_km=version.precision_km)
    return CrossingRecord(
        id=details.id,
        border=details.border,
        sides=list(details.sides),
        mode=Mode(version.mode),
        traffic=details.traffic,
        names=details.names,
        aliases=version.aliases,
        location=location,
        confirm_within_days=version.confirm_within_days,
        confirm_within_hours=version.confirm_within_hours,
        retired_at=utc(version.retired_at),
        replaced_by=version.replaced_by,
        hours=details.hours,
        max_weight_kg=version.max_weight_kg,
        max_height_m=version.max_height_m,
        contacts=details.contacts,
        citations=[citation_out(citation) for citation in citations],
        version=version.change,
    )


def newest_versions() -> Select[CrossingVersion]:
    version = CrossingVersion
    return (
        select(version)
        .ext(distinct_on(version.crossing_id))
        .order_by(version.crossing_id, version.change.desc())
    )
