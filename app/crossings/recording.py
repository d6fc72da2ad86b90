"""Record crossings: add one, replace its details, retire it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.service import LogSlot, Snapshot, append_change, reserve_slot
from app.crossings.reading import load_detail
from app.database.sessions import append
from app.errors import CrossingExists, invalid, raising
from app.observations.reading import latest_waits
from app.places.details import (
    Details,
    details_of,
    details_of_one,
    details_out,
    details_record,
    require_in_use,
)
from app.places.models import Border, Country, Crossing, CrossingVersion
from app.places.schemas import (
    NAMES_OF_SIDES,
    CrossingIn,
    CrossingPatch,
    check_contacts,
    check_hours,
    check_location,
    check_traffic,
)
from app.sources.service import cite, require_sources
from app.status.consequences import Consequences, consequences
from app.status.due import announce, answers_record, subjects_of
from app.status.histories import CrossingHistory, compact, load_histories
from app.status.rule.history import History, OutOfReach
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import ChangeKind


async def add_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing: CrossingIn
) -> WriteResult:
    """Add a crossing, and its border and countries if they are new. Raises CrossingExists."""
    reporter.require_sides(crossing.sides)
    slot = await reserve_slot(session)
    return await _record(session, reporter, slot, crossing, _Retirement(), new=True)


async def revise_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing: CrossingIn
) -> WriteResult:
    """Replace all details of a crossing by a new version, except whether it is retired."""
    reporter.require_sides(crossing.sides)
    slot = await _reserve_slot(session, [crossing.id])
    current = await details_of_one(session, crossing.id, known_change=slot.number)
    return await _record(session, reporter, slot, crossing, _Retirement.of(current), new=False)


async def patch_crossing(
    session: AsyncSession, reporter: Reporter, *, crossing_id: str, patch: CrossingPatch
) -> WriteResult:
    """Replace some details of a crossing by a new version.

    Raises CrossingNotFound, and CrossingRetired for a successor that is retired itself.
    """
    slot = await _reserve_slot(session, [crossing_id])
    current = await details_of_one(session, crossing_id, known_change=slot.number)
    reporter.require_sides(current.sides)
    if any(name.side not in current.sides for name in patch.names or ()):
        raise invalid("names", NAMES_OF_SIDES)
    recorded = dict(details_out(current, [])) | {"citations": patch.citations}
    changed = {name: getattr(patch, name) for name in patch.model_fields_set}
    # The unchanged fields were validated when they were recorded.
    crossing = CrossingIn.model_construct(**recorded | changed)
    _check_together(crossing, changed)
    retirement = await _retirement(session, current, patch, slot)
    return await _record(session, reporter, slot, crossing, retirement, new=False)


@dataclass(frozen=True, slots=True)
class _Retirement:
    """When a crossing was retired, and its successor; both None while it is in use."""

    at: datetime | None = None
    replaced_by: str | None = None

    @classmethod
    def of(cls, details: Details) -> "_Retirement":
        return cls(details.version.retired_at, details.version.replaced_by)


async def _retirement(
    session: AsyncSession, current: Details, patch: CrossingPatch, slot: LogSlot
) -> _Retirement:
    """Return the retirement of a crossing after a patch.

    Raises Invalid, and CrossingRetired for a successor that is retired itself.
    """
    previous, changed = _Retirement.of(current), patch.model_fields_set
    at = patch.retired_at if "retired_at" in changed else previous.at
    if at is None:
        if patch.replaced_by is not None:
            raise invalid("replaced_by", "requires retired_at")
        return _Retirement()
    if at > slot.recorded_at:
        raise invalid("retired_at", "lies in the future")
    if "replaced_by" not in changed:
        return _Retirement(at, previous.replaced_by)
    if patch.replaced_by is not None:
        await _require_successor(session, current.id, patch.replaced_by, slot)
    return _Retirement(at, patch.replaced_by)


async def _require_successor(
    session: AsyncSession, crossing_id: str, successor: str, slot: LogSlot
) -> None:
    """Raise Invalid or CrossingRetired for a successor that cannot replace the crossing."""
    if successor == crossing_id:
        raise invalid("replaced_by", "must be another crossing")
    successors = await details_of(session, [successor], known_change=slot.number)
    if not successors:
        raise invalid("replaced_by", f"there is no crossing {successor!r}")
    await require_in_use(session, successors.values(), known_change=slot.number)


def _check_together(crossing: CrossingIn, changed: Collection[str]) -> None:
    """Raise Invalid where changed fields contradict unchanged ones."""
    field = "traffic" if "traffic" in changed else "mode"
    try:
        check_traffic(crossing.mode, crossing.traffic)
        if "location" in changed and crossing.location is not None:
            field = "location"
            check_location(crossing.sides, crossing.location)
        if {"hours", "traffic"} & set(changed):
            field = "hours" if "hours" in changed else "traffic"
            check_hours(crossing.sides, crossing.traffic, crossing.hours)
        if "contacts" in changed:
            field = "contacts"
            check_contacts(crossing.sides, crossing.contacts)
    except ValueError as error:
        raise invalid(field, str(error)) from error


async def _reserve_slot(session: AsyncSession, crossing_ids: list[str]) -> LogSlot:
    """Reserve the next slot of the log, after recording what has come due at the crossings."""
    slot = await reserve_slot(session, crossing_ids)
    while slot.something_is_due and await announce(session, slot, crossing_ids):
        slot = await reserve_slot(session, crossing_ids)
    return slot


async def _record(
    session: AsyncSession,
    reporter: Reporter,
    slot: LogSlot,
    crossing: CrossingIn,
    retirement: _Retirement,
    *,
    new: bool,
) -> WriteResult:
    border = Border(first=min(crossing.sides), second=max(crossing.sides))
    border_id = f"{border.first}-{border.second}"
    await require_sources(session, crossing.citations)
    cited = cite(slot, reporter, crossing.citations)
    version = _version(crossing, retirement, slot, reporter)
    citations = cited.linked(crossing_id=crossing.id, version=slot.number)
    details = Details(crossing.id, border_id, border.sides, version, known=True)
    effects = await _consequences(session, details, slot)
    await append_change(
        session,
        slot,
        kind=ChangeKind.CROSSING,
        subjects={**subjects_of([details]), "sources": cited.source_ids()},
        payload={
            "crossings": [details_record(details, citations)],
            "sources": cited.source_records(),
            **answers_record([effects.answers]),
        },
        recorded_by=reporter.name,
    )
    await append(session, *cited.new_sources)
    if new:
        await _insert_crossing(session, crossing.id, border)
    await append(session, version)
    await append(session, *citations)
    await compact(session, {crossing.id: (effects.due_at, effects.left)}, change=slot.number)
    waits = await latest_waits(session, [crossing.id])
    body, _ = await load_detail(
        session, crossing.id, Snapshot(slot.number, slot.recorded_at), waits
    )
    return WriteResult(body, f"/v1/crossings/{crossing.id}", slot.number, cited.new_ids)


async def _consequences(session: AsyncSession, details: Details, slot: LogSlot) -> Consequences:
    """Return what the new details change. They apply to all of the past, too."""
    now = slot.recorded_at

    def compare(history: CrossingHistory) -> Consequences:
        if history.history.held is not None:
            raise OutOfReach
        revised = replace(
            history.history, lanes=details.lanes, confirm_within=details.confirm_within
        )
        return consequences(details.id, history.resolved, ResolvedHistory(revised), now)

    compared = await load_histories(session, [details.id], Snapshot(slot.number - 1, now), compare)
    if details.id in compared:
        return compared[details.id]
    empty = History(sides=details.sides, lanes=details.lanes, confirm_within=details.confirm_within)
    return consequences(details.id, None, ResolvedHistory(empty), now)


async def _insert_crossing(session: AsyncSession, crossing_id: str, border: Border) -> None:
    """Insert a crossing, and its border and countries if they are new."""
    for code in border.sides:
        await session.execute(insert(Country).values(code=code).on_conflict_do_nothing())
    await session.execute(
        insert(Border).values(first=border.first, second=border.second).on_conflict_do_nothing()
    )
    taken = f"There is already a crossing {crossing_id!r}."
    border_id = "-".join(border.sides)
    with raising({"pk_crossing": (CrossingExists, taken)}):
        await append(session, Crossing(id=crossing_id, border_id=border_id))


def _version(
    crossing: CrossingIn, retirement: _Retirement, slot: LogSlot, reporter: Reporter
) -> CrossingVersion:
    location = crossing.location
    return CrossingVersion(
        crossing_id=crossing.id,
        change=slot.number,
        recorded_at=slot.recorded_at,
        recorded_by=reporter.name,
        mode=crossing.mode.value,
        traffic=[traffic.value for traffic in crossing.traffic],
        names=[name.model_dump(mode="json") for name in crossing.names],
        aliases=crossing.aliases,
        lat=location and location.lat,
        lon=location and location.lon,
        precision_km=location and location.precision_km,
        confirm_within_days=crossing.confirm_within_days,
        confirm_within_hours=crossing.confirm_within_hours,
        retired_at=retirement.at,
        replaced_by=retirement.replaced_by,
        hours=[hours.model_dump(mode="json") for hours in crossing.hours],
        max_weight_kg=crossing.max_weight_kg,
        max_height_m=crossing.max_height_m,
        contacts=[contact.model_dump(mode="json") for contact in crossing.contacts],
    )
