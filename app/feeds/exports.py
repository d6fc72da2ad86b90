"""Write status events and timelines as NDJSON and as CSV (RFC 4180), page by page.

Each page is read in a transaction of its own. All are as known at the same change, so that they
belong to one state of the log. Serialisation takes long and is done in a thread, to keep the
event loop free for other requests.
"""

import csv
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from io import StringIO
from zoneinfo import ZoneInfo

from pydantic import Field, JsonValue
from pydantic_core import to_json
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
from app.vocabulary import Precision

CSV, NDJSON = "text/csv", "application/x-ndjson"
CROSSINGS_PER_READ = 100
"""Crossings whose statistics are read in one transaction."""
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")
"""Spreadsheets treat a cell that begins with one of these as a formula."""

EVENT_COLUMNS = (
    "id", "kind", "crossing", "decision", "change", "sides", "status", "effective_from",
    "effective_until", "expected_until", "traffic", "to", "reason_code", "reason_text",
    "exceptions", "max_weight_kg", "max_height_m", "certainty", "precision", "time_zone",
    "local_from", "local_until", "announced_at", "confirmed_at", "recorded_at", "recorded_by",
    "supersedes", "retracts", "superseded_by", "retracted_by", "incident", "citations",
)  # fmt: skip
TIMELINE_COLUMNS = (
    "crossing", "from", "until", "status", "last_known", "stale", "overdue", "decided_by", "lanes",
)  # fmt: skip
STATISTICS_COLUMNS = (
    "crossing", "from", "until", "seconds_open", "seconds_restricted", "seconds_closed",
    "seconds_unknown", "shares_open", "shares_restricted", "shares_closed", "shares_unknown",
    "closures_count", "closures_total", "closures_median", "closures_longest",
    "closures_began_before", "closures_continued_after", "waits",
)  # fmt: skip


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
            yield await to_thread(_timeline, history)


def _timeline(history: CrossingHistory) -> list[TimelineLine]:
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


async def csv_rows(
    pages: AsyncIterator[Sequence[Body]], columns: Sequence[str]
) -> AsyncIterator[bytes]:
    """Yield CSV in UTF-8: a header, and a row for each item."""
    yield _csv_lines([columns])
    async for page in pages:
        yield await to_thread(_csv_lines, (_cells(item, columns) for item in page))


def _ndjson_lines(page: Iterable[Body]) -> bytes:
    return b"".join(item.model_dump_json(by_alias=True).encode() + b"\n" for item in page)


def _cells(item: Body, columns: Sequence[str]) -> list[str]:
    cells = dict(_flatten(item.model_dump(mode="json", by_alias=True)))
    if isinstance(item, EventOut) and item.effective is not None:
        cells["local_from"] = _local(item.effective.from_, item)
        cells["local_until"] = _local(item.effective.until, item)
    return [cells.get(column, "") for column in columns]


def _local(at: datetime | None, event: EventOut) -> str:
    """Return an instant in the time zone of the event, as exactly as its precision says."""
    if at is None or event.precision is Precision.UNKNOWN:
        return ""
    local = at.astimezone(ZoneInfo(event.time_zone))
    match event.precision:
        case Precision.DAY:
            return f"{local:%Y-%m-%d}"
        case Precision.MONTH:
            return f"{local:%Y-%m}"
        case _:
            return local.isoformat(timespec="minutes")


def _flatten(fields: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """Yield fields as cells. The name of a nested field is ``outer_inner``."""
    for name, value in fields.items():
        if isinstance(value, dict):
            for inner, cell in _flatten(value):
                yield f"{name}_{inner}", cell
        else:
            yield name, _escape_formula(_cell(value))


def _cell(value: JsonValue) -> str:
    """Return a value as text: lists of strings joined by spaces, other structures as JSON."""
    match value:
        case None | []:
            return ""
        case str():
            return value
        case [str(), *_]:
            return " ".join(map(str, value))
        case _:
            return to_json(value).decode()


def _escape_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
