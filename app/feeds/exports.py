"""Write status events and timelines as NDJSON and as CSV (RFC 4180), page by page.

Every page is read as known at one change, in a transaction of its own: the log only grows, in
the order of its changes, so that all pages tell one state of it. What takes long is done in a
thread: others whom this process answers wait for a page to be read, not to be written.
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

from app.feeds.revisions import CHAINS_PER_READ, FIRST_STEP, Opened, PlaceFilter, Step
from app.http.bodies import Body, CrossingId
from app.places.models import Crossing
from app.status.histories import CrossingHistory, whole_history
from app.status.log import events_out
from app.status.models import StatusEvent
from app.status.reading import whole_timeline
from app.status.schemas import EventOut, TimelinePeriodOut
from app.vocabulary import Precision

CSV, NDJSON = "text/csv", "application/x-ndjson"
_LEADS = tuple("=+-@\t\r＝＋－＠")
"""A spreadsheet takes a cell that begins so for a formula."""

EVENT_COLUMNS = (
    "id", "kind", "crossing", "decision", "change", "sides", "status", "effective_from",
    "effective_until", "expected_until", "traffic", "to", "reason_code", "reason_text",
    "exceptions", "certainty", "precision", "time_zone", "local_from", "local_until",
    "announced_at", "confirmed_at", "recorded_at", "recorded_by", "supersedes", "retracts",
    "superseded_by", "retracted_by", "incident", "citations",
)  # fmt: skip
TIMELINE_COLUMNS = (
    "crossing", "from", "until", "status", "last_known", "stale", "overdue", "decided_by", "lanes",
)  # fmt: skip


class TimelineLine(TimelinePeriodOut):
    """A period of a crossing's timeline."""

    crossing: CrossingId = Field(description="The crossing of the timeline.")


async def events(
    opened: Opened, places: PlaceFilter, known_change: int
) -> AsyncIterator[list[EventOut]]:
    """Yield all status events of these places as known, the oldest first, in pages."""
    after: Step | None = FIRST_STEP
    while after is not None:
        async with opened() as session:
            rows = (
                select(StatusEvent)
                .where(
                    StatusEvent.change <= known_change,
                    tuple_(StatusEvent.change, StatusEvent.id) > after,
                    *places.hold(StatusEvent.crossing_id),
                )
                .order_by(StatusEvent.change, StatusEvent.id)
                .limit(CHAINS_PER_READ)
            )
            page = (await session.scalars(rows)).all()
            found = await events_out(session, page, known_change=known_change)
        if found:
            yield found
        after = (found[-1].change, found[-1].id) if len(found) == CHAINS_PER_READ else None


async def timelines(
    opened: Opened, places: PlaceFilter, known_change: int
) -> AsyncIterator[list[TimelineLine]]:
    """Yield the timelines of these places as known, by crossing, one at a time."""
    name: str | None = ""
    while name is not None:
        async with opened() as session:
            following = select(Crossing.id).where(
                Crossing.id > name, *places.listed(Crossing.id, known_change)
            )
            name = await session.scalar(following.order_by(Crossing.id).limit(1))
            history = None
            if name is not None:
                history = await whole_history(session, name, known_change=known_change)
        # A crossing that is added later is in no answer, either.
        if history is not None and history.details.known:
            yield await to_thread(_timeline, history)


def _timeline(history: CrossingHistory) -> list[TimelineLine]:
    name = history.details.id
    return [TimelineLine(crossing=name, **dict(period)) for period in whole_timeline(history)]


async def ndjson(pages: AsyncIterator[Sequence[Body]]) -> AsyncIterator[bytes]:
    """Yield a line for each item: its JSON, as the API gives it."""
    async for page in pages:
        yield await to_thread(_lines, page)


async def table(
    pages: AsyncIterator[Sequence[Body]], columns: Sequence[str]
) -> AsyncIterator[bytes]:
    """Yield CSV in UTF-8 with a header, a row for each item."""
    yield _rows([columns])
    async for page in pages:
        yield await to_thread(_rows, (_row(one, columns) for one in page))


def _lines(page: Iterable[Body]) -> bytes:
    return b"".join(one.model_dump_json(by_alias=True).encode() + b"\n" for one in page)


def _row(item: Body, columns: Sequence[str]) -> list[str]:
    cells = dict(_flat(item.model_dump(mode="json", by_alias=True)))
    if isinstance(item, EventOut) and item.effective is not None:
        cells["local_from"] = _local(item.effective.from_, item)
        cells["local_until"] = _local(item.effective.until, item)
    return [cells.get(column, "") for column in columns]


def _local(at: datetime | None, event: EventOut) -> str:
    """Return an instant by the clock of the event's side, as exactly as its start is known."""
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


def _flat(fields: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """Yield fields as cells; what is within one comes under both their names."""
    for name, value in fields.items():
        if isinstance(value, dict):
            for within, cell in _flat(value):
                yield f"{name}_{within}", cell
        else:
            yield name, _harmless(_cell(value))


def _cell(value: JsonValue) -> str:
    """Return text as it is, words with spaces between, and all else as JSON; null is empty."""
    match value:
        case None | []:
            return ""
        case str():
            return value
        case [str(), *_]:
            return " ".join(map(str, value))
        case _:
            return to_json(value).decode()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_LEADS) else cell


def _rows(rows: Iterable[Sequence[str]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
