"""Exports as tables: their columns, their rows, and how these are written as CSV (RFC 4180).

A row has what an item of the API has, its nested fields side by side, and what a reader of a
table would otherwise have to look up: the name and the border of the crossing, and local times.
Columns are never renamed, removed or reordered: new ones are appended.
"""

import csv
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from zoneinfo import ZoneInfo

from pydantic import JsonValue
from pydantic_core import to_json

from app.changes.service import Snapshot
from app.feeds.exports import events, histories, timeline_of
from app.feeds.revisions import PlaceFilter, SessionFactory
from app.http.bodies import Body
from app.languages.languages import ENGLISH, LANGUAGES
from app.languages.words import Words
from app.places.details import Details, details_of
from app.statistics.schemas import CrossingStatistics
from app.status.histories import CrossingHistory
from app.status.schemas import EventOut
from app.vocabulary import Precision

CSV = "text/csv"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""At the start of a file it tells spreadsheets that the text is UTF-8."""
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")
"""Spreadsheets treat a cell of a CSV that begins with one of these as a formula."""
_ENGLISH = Words(LANGUAGES[ENGLISH])

Cell = str | int | float
Row = Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """The name and the columns of a table."""

    name: str
    columns: tuple[str, ...]


# fmt: off
EVENTS = Table("events", (
    "id", "kind", "crossing", "decision", "change", "sides", "status", "effective_from",
    "effective_until", "expected_until", "traffic", "to", "reason_code", "reason_text",
    "exceptions", "max_weight_kg", "max_height_m", "certainty", "precision", "time_zone",
    "local_from", "local_until", "announced_at", "confirmed_at", "recorded_at", "recorded_by",
    "supersedes", "retracts", "superseded_by", "retracted_by", "incident", "citations",
    "crossing_name", "border", "local_expected_until",
))
TIMELINES = Table("timelines", (
    "crossing", "from", "until", "status", "last_known", "stale", "overdue", "decided_by", "lanes",
    "crossing_name", "border", "local_from", "local_until",
))
STATISTICS = Table("statistics", (
    "crossing", "from", "until", "seconds_open", "seconds_restricted", "seconds_closed",
    "seconds_unknown", "shares_open", "shares_restricted", "shares_closed", "shares_unknown",
    "closures_count", "closures_total", "closures_median", "closures_longest",
    "closures_began_before", "closures_continued_after", "waits", "crossing_name", "border",
))
# fmt: on


async def event_rows(
    open_session: SessionFactory, places: PlaceFilter, snapshot: Snapshot
) -> AsyncIterator[list[Row]]:
    """Yield a row for each status event of the places as known, in pages, the oldest first."""
    async for page in events(open_session, places, snapshot):
        details = await _details(open_session, {event.crossing for event in page}, snapshot)
        yield await to_thread(_event_rows, page, details)


async def timeline_rows(
    open_session: SessionFactory, places: PlaceFilter, snapshot: Snapshot
) -> AsyncIterator[list[Row]]:
    """Yield a row for each period of the places' timelines as known, a page for each crossing."""
    async for history in histories(open_session, places, snapshot):
        yield await to_thread(_timeline_rows, history)


async def statistics_rows(
    pages: AsyncIterator[list[CrossingStatistics]],
    open_session: SessionFactory,
    snapshot: Snapshot,
) -> AsyncIterator[list[Row]]:
    """Yield a row for the statistics of each crossing."""
    async for page in pages:
        details = await _details(open_session, {line.crossing for line in page}, snapshot)
        yield [_row(line, STATISTICS, _labels(details.get(line.crossing))) for line in page]


async def write_csv(
    pages: AsyncIterator[list[Row]], table: Table, *, bom: bool
) -> AsyncIterator[bytes]:
    """Yield CSV in UTF-8, after a byte-order mark with ``bom``: a header, and the rows.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    yield BYTE_ORDER_MARK * bom + _csv_lines([table.columns])
    async for page in pages:
        yield await to_thread(_csv_lines, page)


async def _details(
    open_session: SessionFactory, crossings: set[str], snapshot: Snapshot
) -> dict[str, Details]:
    async with open_session() as session:
        return await details_of(session, sorted(crossings), known_change=snapshot.change)


def _event_rows(page: Iterable[EventOut], details: Mapping[str, Details]) -> list[Row]:
    return [
        _row(event, EVENTS, _labels(details.get(event.crossing)) | _local_times(event))
        for event in page
    ]


def _timeline_rows(history: CrossingHistory) -> list[Row]:
    lines = timeline_of(history)
    deciding = [[history.events[event_id] for event_id in line.decided_by[:1]] for line in lines]
    starts = [
        _local_boundary(line.from_, [*after, *before])
        for line, after, before in zip(lines, deciding, [[], *deciding], strict=False)
    ]
    labels = _labels(history.details)
    return [
        _row(line, TIMELINES, labels | {"local_from": start, "local_until": end})
        for line, start, end in zip(lines, starts, [*starts[1:], ""], strict=True)
    ]


def _local_boundary(at: datetime | None, deciding: Sequence[EventOut]) -> str:
    """Return when one period of a timeline ends and the next begins, by local time.

    It is that of the event whose start or end it is, else of the first of those ``deciding``.
    """
    for event in deciding:
        if event.effective is not None and at in {event.effective.from_, event.effective.until}:
            return _local(at, event.time_zone, event.precision)
    return _local(at, deciding[0].time_zone, None) if deciding else ""


def _labels(details: Details | None) -> dict[str, Cell]:
    """Return what the id of a crossing stands for; nothing where it was not known yet."""
    if details is None:
        return {}
    return {"crossing_name": _ENGLISH.crossing(details.names), "border": details.border}


def _local_times(event: EventOut) -> dict[str, Cell]:
    effective = event.effective
    bounds = {"local_expected_until": event.expected_until}
    if effective is not None:
        bounds |= {"local_from": effective.from_, "local_until": effective.until}
    return {name: _local(bound, event.time_zone, event.precision) for name, bound in bounds.items()}


def _local(at: datetime | None, zone: str, precision: Precision | None) -> str:
    """Return an instant by the clock of a zone, as exactly as the precision says."""
    if at is None:
        return ""
    local = at.astimezone(ZoneInfo(zone))
    match precision:
        case Precision.UNKNOWN:
            return ""
        case Precision.DAY:
            return f"{local:%Y-%m-%d}"
        case Precision.MONTH:
            return f"{local:%Y-%m}"
        case _:
            return local.isoformat(timespec="minutes")


def _row(item: Body, table: Table, labels: Mapping[str, Cell]) -> Row:
    cells = {**dict(_flatten(item.model_dump(mode="json", by_alias=True))), **labels}
    return [cells.get(column, "") for column in table.columns]


def _flatten(fields: Mapping[str, JsonValue]) -> Iterator[tuple[str, Cell]]:
    """Yield fields as cells. The name of a nested field is ``outer_inner``."""
    for name, value in fields.items():
        if isinstance(value, dict):
            for inner, cell in _flatten(value):
                yield f"{name}_{inner}", cell
        else:
            yield name, _cell(value)


def _cell(value: JsonValue) -> Cell:
    """Return text and numbers as they are, lists of strings joined by spaces, the rest as JSON."""
    match value:
        case None | []:
            return ""
        case bool():
            return to_json(value).decode()
        case str() | int() | float():
            return value
        case [str(), *_]:
            return " ".join(map(str, value))
        case _:
            return to_json(value).decode()


def _csv_lines(rows: Iterable[Row]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows([_csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _csv_cell(cell: Cell) -> str:
    if not isinstance(cell, str):
        return to_json(cell).decode()
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
