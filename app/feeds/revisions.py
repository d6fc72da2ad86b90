"""Read chains of revisions: a declaration or confirmation, its corrections, its retraction.

To a subscriber of a feed a chain is one item, which a correction or a retraction updates. Its
position is that of its last step in the log, so that pages can be continued from any item.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.changes.service import Snapshot, recorded_at, take_snapshot
from app.http.parameters import AsOf, Kind, require_existing
from app.notices.models import Notice
from app.places.details import Details, details_of, retired_crossings
from app.places.models import Border, Crossing, CrossingVersion
from app.sources.schemas import CitationOut, SourceOut
from app.sources.service import sources_of
from app.status.confirming import newest_confirming
from app.status.log import events_out
from app.status.models import StatusEvent
from app.status.schemas import EventOut
from app.vocabulary import EventKind

SessionFactory = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens a new session, one for each page of an export."""
Step = tuple[int, UUID]
"""The position of a step in the log: its change and its id."""
CHAINS_PER_READ = 100
"""Chains or events in a page, few enough not to block other requests of the process for long."""
FIRST_STEP: Step = (0, UUID(int=0))

EntityT = TypeVar("EntityT", StatusEvent, Notice)


@dataclass(frozen=True, slots=True)
class PlaceFilter:
    """Crossings, and all crossings of borders and of countries; without any, all crossings."""

    crossings: Sequence[str] = field(default_factory=tuple)
    borders: Sequence[str] = field(default_factory=tuple)
    countries: Sequence[str] = field(default_factory=tuple)
    retired: bool = False
    """Include retired crossings; those in ``crossings`` are always included."""

    @property
    def has_retired(self) -> bool:
        return self.retired or bool(self.crossings)

    def listed_conditions(
        self, crossing: InstrumentedAttribute[str], known_change: int
    ) -> list[ColumnElement[bool]]:
        """Return the conditions on a crossing id, by default without retired crossings."""
        conditions = self.conditions(crossing)
        if not self.has_retired:
            conditions.append(crossing.not_in(retired_crossings(known_change)))
        return conditions

    def conditions(self, crossing: InstrumentedAttribute[str]) -> list[ColumnElement[bool]]:
        """Return the conditions on a crossing id."""
        result: list[ColumnElement[bool]] = []
        if self.crossings:
            result.append(crossing.in_(self.crossings))
        if self.borders:
            of_border = select(Crossing.id).where(Crossing.border_id.in_(self.borders))
            result.append(crossing.in_(of_border))
        if self.countries:
            of_country = (
                select(Crossing.id)
                .join(Border, Border.id == Crossing.border_id)
                .where(or_(Border.first.in_(self.countries), Border.second.in_(self.countries)))
            )
            result.append(crossing.in_(of_country))
        return result


@dataclass(frozen=True, slots=True)
class RevisionChain:
    """A declaration or a confirmation with its corrections and its retraction."""

    members: Sequence[StatusEvent]
    """The first version and its corrections, in order."""
    newest: EventOut
    retraction: EventOut | None

    @property
    def first(self) -> UUID:
        return self.members[0].id

    @property
    def first_recorded_at(self) -> datetime:
        return self.members[0].recorded_at

    @property
    def corrections(self) -> int:
        return len(self.members) - 1

    @property
    def last(self) -> EventOut:
        """The last step: the retraction, or else the newest version."""
        return self.retraction or self.newest

    @property
    def step(self) -> Step:
        return self.last.change, self.last.id


@dataclass(frozen=True, slots=True)
class Labels:
    """What texts need instead of ids: details of crossings as known, and sources."""

    crossings: Mapping[str, Details]
    sources: Mapping[UUID, SourceOut]


def last_steps(places: PlaceFilter, known_change: int) -> Select[int, UUID]:
    """Return the position of the last step of each chain of the listed crossings, as known."""
    correction, retraction = aliased(StatusEvent), aliased(StatusEvent)
    # Two conditions instead of one with OR, so that each can use its own index.
    return select(StatusEvent.change, StatusEvent.id).where(
        StatusEvent.change <= known_change,
        *places.listed_conditions(StatusEvent.crossing_id, known_change),
        ~exists().where(correction.supersedes == StatusEvent.id, correction.change <= known_change),
        ~exists().where(retraction.retracts == StatusEvent.id, retraction.change <= known_change),
    )


async def chains_of(
    session: AsyncSession, last_step_ids: Sequence[UUID], known_change: int
) -> list[RevisionChain]:
    """Return the chains with these last steps, in the same order, as known."""
    steps = {
        row.id: row
        for row in await session.scalars(
            select(StatusEvent).where(StatusEvent.id.in_(last_step_ids))
        )
    }
    newest = {event_id: steps[event_id].retracts or event_id for event_id in last_step_ids}
    members = await members_of(session, StatusEvent, newest.values())
    rows = [members[event_id][-1] for event_id in newest.values()]
    rows += [row for row in steps.values() if row.kind == EventKind.RETRACTION.value]
    events = {
        event.id: event for event in await events_out(session, rows, known_change=known_change)
    }
    return [
        RevisionChain(
            members[newest[event_id]],
            events[newest[event_id]],
            None if newest[event_id] == event_id else events[event_id],
        )
        for event_id in last_step_ids
    ]


async def all_chains(
    open_session: SessionFactory, places: PlaceFilter, known_change: int
) -> AsyncIterator[tuple[list[RevisionChain], Labels]]:
    """Yield all chains of the places in pages, in the order of their last steps."""
    after: Step | None = FIRST_STEP
    while after is not None:
        async with open_session() as session:
            rows = (
                last_steps(places, known_change)
                .where(tuple_(StatusEvent.change, StatusEvent.id) > after)
                .order_by(StatusEvent.change, StatusEvent.id)
                .limit(CHAINS_PER_READ)
            )
            steps = (await session.execute(rows)).all()
            chains = await chains_of(session, [step.id for step in steps], known_change)
            labels = await labels_of(
                session,
                [chain.newest.crossing for chain in chains],
                citations_in(chains),
                known_change,
            )
        yield chains, labels
        after = chains[-1].step if len(chains) == CHAINS_PER_READ else None


def citations_in(chains: Iterable[RevisionChain]) -> list[CitationOut]:
    """Return the citations of the newest versions and of the last steps."""
    return [
        citation
        for chain in chains
        for event in (chain.newest, chain.last)
        for citation in event.citations
    ]


async def members_of(
    session: AsyncSession, table: type[EntityT], ids: Iterable[UUID]
) -> dict[UUID, list[EntityT]]:
    """Return each of these rows with all versions that it corrects, the first version first."""
    earlier = aliased(table)
    versions = (
        select(table.id.label("last"), table.id.label("id"), table.supersedes)
        .where(table.id.in_(list(ids)))
        .cte("chain", recursive=True)
    )
    # Corrections are few, which the planner cannot know. OFFSET 0 makes it use the index.
    target = (
        select(earlier.id, earlier.supersedes)
        .where(earlier.id == versions.c.supersedes)
        .offset(literal_column("0"))
        .lateral()
    )
    versions = versions.union_all(
        select(versions.c.last, target.c.id, target.c.supersedes).join(target, true())
    )
    pairs = (await session.execute(select(versions.c.last, versions.c.id))).all()
    rows = await session.scalars(select(table).where(table.id.in_({pair.id for pair in pairs})))
    rows_by_id = {row.id: row for row in rows}
    members: dict[UUID, list[EntityT]] = {}
    for pair in sorted(pairs, key=lambda pair: rows_by_id[pair.id].change):
        members.setdefault(pair.last, []).append(rows_by_id[pair.id])
    return members


async def labels_of(
    session: AsyncSession,
    crossings: Iterable[str],
    citations: Iterable[CitationOut],
    known_change: int,
) -> Labels:
    """Return the labels of these crossings and citations."""
    details = await details_of(session, sorted(set(crossings)), known_change=known_change)
    return Labels(details, await sources_of(session, [citation.source for citation in citations]))


@dataclass(frozen=True, slots=True)
class ExportSnapshot:
    """The state of the log from which an export is made."""

    snapshot: Snapshot
    change: int
    """The last change of the events and details of the places; 0 before the first."""
    recorded_at: datetime | None
    confirmed_at: datetime | None = None
    """When the newest observation was recorded that confirms anything, as known now."""


async def take_export_snapshot(
    session: AsyncSession, places: PlaceFilter, as_of: AsOf
) -> ExportSnapshot:
    """Return the state of the log from which an export of the places is made.

    Raises Invalid for a state in the future, and for places that do not exist.
    """
    await require_existing(
        session,
        {
            "crossing": (Kind.CROSSING, places.crossings),
            "border": (Kind.BORDER, places.borders),
            "country": (Kind.COUNTRY, places.countries),
        },
    )
    snapshot = await take_snapshot(session, as_of)
    newest = [
        select(func.max(table.change))
        .where(table.change <= snapshot.change, *places.conditions(table.crossing_id))
        .scalar_subquery()
        for table in (StatusEvent, CrossingVersion)
    ]
    change = (await session.scalar(select(func.greatest(*newest)))) or 0
    recorded = (await recorded_at(session, [change])).get(change)
    if not as_of.is_newest:
        return ExportSnapshot(snapshot, change, recorded)
    # All parts of an export are read as of the same instant.
    confirmed_at = await newest_confirming(session)
    pinned = snapshot._replace(known_at=confirmed_at)
    return ExportSnapshot(pinned, change, recorded, confirmed_at)
