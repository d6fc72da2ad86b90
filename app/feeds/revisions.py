"""Read chains: what was said first, its corrections, and what was said of it last.

A chain is one thing to whoever follows: a correction or a withdrawal renews it. Its place is
that of its last step in the log, so that a reader who knows the place of a page's last item
can go on from there.
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
from app.status.log import events_out
from app.status.models import StatusEvent
from app.status.schemas import EventOut
from app.vocabulary import EventKind

Opened = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens a session of its own for each page of what is read bit by bit."""
Step = tuple[int, UUID]
"""The place of a step: its change and its id."""
CHAINS_PER_READ = 100
"""Chains, or events, read at a time: the others of this process wait for no more than these."""
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

    def listed(
        self, crossing: InstrumentedAttribute[str], known_change: int
    ) -> list[ColumnElement[bool]]:
        """Return the conditions on the id of a crossing that is listed, as known."""
        conditions = self.hold(crossing)
        if not self.has_retired:
            conditions.append(crossing.not_in(retired_crossings(known_change)))
        return conditions

    def hold(self, crossing: InstrumentedAttribute[str]) -> list[ColumnElement[bool]]:
        """Return the conditions on a crossing's id."""
        conditions: list[ColumnElement[bool]] = []
        if self.crossings:
            conditions.append(crossing.in_(self.crossings))
        if self.borders:
            of_border = select(Crossing.id).where(Crossing.border_id.in_(self.borders))
            conditions.append(crossing.in_(of_border))
        if self.countries:
            of_country = (
                select(Crossing.id)
                .join(Border, Border.id == Crossing.border_id)
                .where(or_(Border.first.in_(self.countries), Border.second.in_(self.countries)))
            )
            conditions.append(crossing.in_(of_country))
        return conditions


@dataclass(frozen=True, slots=True)
class RevisionChain:
    """A declaration or a confirmation, from the first word to the last."""

    members: Sequence[StatusEvent]
    """The first, and its corrections in order."""
    newest: EventOut
    retraction: EventOut | None

    @property
    def first(self) -> UUID:
        return self.members[0].id

    @property
    def begun(self) -> datetime:
        return self.members[0].recorded_at

    @property
    def corrections(self) -> int:
        return len(self.members) - 1

    @property
    def last(self) -> EventOut:
        """The last step: a correction, a withdrawal, or the first word itself."""
        return self.retraction or self.newest

    @property
    def step(self) -> Step:
        return self.last.change, self.last.id


@dataclass(frozen=True, slots=True)
class Labels:
    """What tells ids in words: crossings' details as known, and sources."""

    crossings: Mapping[str, Details]
    sources: Mapping[UUID, SourceOut]


def last_steps(places: PlaceFilter, known_change: int) -> Select[int, UUID]:
    """Return the place of the last step of each chain of the crossings listed, as known."""
    correction, retraction = aliased(StatusEvent), aliased(StatusEvent)
    # Two conditions, not one with OR: each is a look in an index of its own.
    return select(StatusEvent.change, StatusEvent.id).where(
        StatusEvent.change <= known_change,
        *places.listed(StatusEvent.crossing_id, known_change),
        ~exists().where(correction.supersedes == StatusEvent.id, correction.change <= known_change),
        ~exists().where(retraction.retracts == StatusEvent.id, retraction.change <= known_change),
    )


async def chains_of(
    session: AsyncSession, last: Sequence[UUID], known_change: int
) -> list[RevisionChain]:
    """Return the chains that end with these steps, in the same order, as known."""
    steps = {
        row.id: row
        for row in await session.scalars(select(StatusEvent).where(StatusEvent.id.in_(last)))
    }
    newest = {event_id: steps[event_id].retracts or event_id for event_id in last}
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
        for event_id in last
    ]


async def all_chains(
    opened: Opened, places: PlaceFilter, known_change: int
) -> AsyncIterator[tuple[list[RevisionChain], Labels]]:
    """Yield every chain of these places, by the place of its last step, bit by bit."""
    after: Step | None = FIRST_STEP
    while after is not None:
        async with opened() as session:
            rows = (
                last_steps(places, known_change)
                .where(tuple_(StatusEvent.change, StatusEvent.id) > after)
                .order_by(StatusEvent.change, StatusEvent.id)
                .limit(CHAINS_PER_READ)
            )
            steps = (await session.execute(rows)).all()
            chains = await chains_of(session, [step.id for step in steps], known_change)
            labels = await labels_of(
                session, [chain.newest.crossing for chain in chains], cited(chains), known_change
            )
        yield chains, labels
        after = chains[-1].step if len(chains) == CHAINS_PER_READ else None


def cited(chains: Iterable[RevisionChain]) -> list[CitationOut]:
    """Return what the chains cite."""
    return [
        citation
        for chain in chains
        for event in (chain.newest, chain.last)
        for citation in event.citations
    ]


async def members_of(
    session: AsyncSession, table: type[EntityT], ids: Iterable[UUID]
) -> dict[UUID, list[EntityT]]:
    """Return each of these with what it corrects, the first word first."""
    older = aliased(table)
    chain = (
        select(table.id.label("last"), table.id.label("id"), table.supersedes)
        .where(table.id.in_(list(ids)))
        .cte("chain", recursive=True)
    )
    # Corrections are few, which the planner cannot know: OFFSET 0 keeps it to the index.
    target = (
        select(older.id, older.supersedes)
        .where(older.id == chain.c.supersedes)
        .offset(literal_column("0"))
        .lateral()
    )
    chain = chain.union_all(
        select(chain.c.last, target.c.id, target.c.supersedes).join(target, true())
    )
    pairs = (await session.execute(select(chain.c.last, chain.c.id))).all()
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
    """Return the words for these crossings and citations."""
    details = await details_of(session, sorted(set(crossings)), known_change=known_change)
    return Labels(details, await sources_of(session, [citation.source for citation in citations]))


@dataclass(frozen=True, slots=True)
class ExportSnapshot:
    """What an export contains: status events and details of some places, as known."""

    known: Snapshot
    change: int
    """The last one that touched any of that; 0 before the first."""
    recorded_at: datetime | None


async def pin(session: AsyncSession, places: PlaceFilter, as_of: AsOf) -> ExportSnapshot:
    """Return what an export is to contain.

    Raises Invalid for knowledge to come, and for places that do not exist.
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
        .where(table.change <= snapshot.change, *places.hold(table.crossing_id))
        .scalar_subquery()
        for table in (StatusEvent, CrossingVersion)
    ]
    change = (await session.scalar(select(func.greatest(*newest)))) or 0
    return ExportSnapshot(snapshot, change, (await recorded_at(session, [change])).get(change))
