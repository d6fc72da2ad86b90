"""Read status events, timelines and statistics page by page, and write them as NDJSON.

Each page is read in a transaction of its own. All are as known at the same change, so that they
belong to one state of the log. Serialisation takes long and is done in a thread, to keep the
event loop free for other requests. As tables they are written by `tables` and `workbooks`.
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Sequence

from pydantic import Field
from sqlalchemy import select, tuple_

from app.changes.service import Snapshot
from app.feeds.revisions import CHAINS_PER_READ, FIRST_STEP, PlaceFilter, SessionFactory, Step
from app.http.bodies import Body, CrossingId
from app.http.parameters import AsOf
from app.places.models import Crossing
from app.statistics.reading import Range, StatisticsQuery, statistics_of
from app.statistics.schemas import CrossingStatistics
from app.status.histories import CrossingHistory, whole_history
from app.status.log import events_out
from app.status.models import StatusEvent
from app.status.reading import whole_timeline
from app.status.schemas import EventOut, TimelinePeriodOut

NDJSON = "application/x-ndjson"
CROSSINGS_PER_READ = 100
"""Crossings whose statistics are read in one transaction."""


class TimelineLine(TimelinePeriodOut):
    """A period of a crossing's timeline."""

    crossing: CrossingId = Field(description="The crossing of the timeline.")


async def events(
    open_session: SessionFactory, places: PlaceFilter, snapshot: Snapshot
) -> AsyncIterator[list[EventOut]]:
    """Yield all status events of the places as known, in pages, the oldest first."""
    after: Step | None = FIRST_STEP
    while after is not None:
        async with open_session() as session:
            rows = (
                select(StatusEvent)
                .where(
                    StatusEvent.change <= snapshot.change,
                    tuple_(StatusEvent.change, StatusEvent.id) > after,
                    *places.conditions(StatusEvent.crossing_id),
                )
                .order_by(StatusEvent.change, StatusEvent.id)
                .limit(CHAINS_PER_READ)
            )
            page = (await session.scalars(rows)).all()
            bodies = await events_out(session, page, known_change=snapshot.change)
        if bodies:
            yield bodies
        after = (bodies[-1].change, bodies[-1].id) if len(bodies) == CHAINS_PER_READ else None


async def timelines(
    open_session: SessionFactory, places: PlaceFilter, snapshot: Snapshot
) -> AsyncIterator[list[TimelineLine]]:
    """Yield the timelines of the places as known, one for each crossing."""
    async for history in histories(open_session, places, snapshot):
        yield await to_thread(timeline_of, history)


async def histories(
    open_session: SessionFactory, places: PlaceFilter, snapshot: Snapshot
) -> AsyncIterator[CrossingHistory]:
    """Yield the whole history of each of the places as known, by crossing."""
    crossing_id: str | None = ""
    while crossing_id is not None:
        async with open_session() as session:
            next_id = select(Crossing.id).where(
                Crossing.id > crossing_id, *places.listed_conditions(Crossing.id, snapshot.change)
            )
            crossing_id = await session.scalar(next_id.order_by(Crossing.id).limit(1))
            history = None
            if crossing_id is not None:
                history = await whole_history(session, crossing_id, snapshot)
        # Crossings that were added after the known change are left out.
        if history is not None and history.details.known:
            yield history


def timeline_of(history: CrossingHistory) -> list[TimelineLine]:
    """Return all periods of a crossing, the oldest first."""
    crossing_id = history.details.id
    return [
        TimelineLine(crossing=crossing_id, **dict(period)) for period in whole_timeline(history)
    ]


async def statistics(
    open_session: SessionFactory,
    places: PlaceFilter,
    snapshot: Snapshot,
    *,
    query: StatisticsQuery,
    period: Range,
    as_of: AsOf,
) -> AsyncIterator[list[CrossingStatistics]]:
    """Yield the statistics of the places as known, in pages, by crossing."""
    after: str | None = ""
    while after is not None:
        async with open_session() as session:
            ids = (
                await session.scalars(
                    select(Crossing.id)
                    .where(
                        Crossing.id > after,
                        *places.listed_conditions(Crossing.id, snapshot.change),
                    )
                    .order_by(Crossing.id)
                    .limit(CROSSINGS_PER_READ)
                )
            ).all()
            page = await statistics_of(
                session, ids, query=query, period=period, snapshot=snapshot, as_of=as_of
            )
        yield page
        after = ids[-1] if len(ids) == CROSSINGS_PER_READ else None


async def ndjson(pages: AsyncIterator[Sequence[Body]]) -> AsyncIterator[bytes]:
    """Yield a line of JSON for each item."""
    async for page in pages:
        yield await to_thread(_ndjson_lines, page)


def _ndjson_lines(page: Iterable[Body]) -> bytes:
    return b"".join(item.model_dump_json(by_alias=True).encode() + b"\n" for item in page)
