"""The crossings on the map and in its list: at present from the board, else from the database."""

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from heapq import nsmallest
from uuid import UUID
from weakref import WeakKeyDictionary

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from app.board.board import Board
from app.board.views import BoardEntry, View
from app.changes.service import take_snapshot
from app.crossings.candidates import CrossingFilter, find_candidates, index_of
from app.crossings.plans import Plan, plans_of
from app.http.bodies import sides_of
from app.http.caching import ALWAYS_VALID, Validity
from app.http.parameters import AsOf
from app.languages.languages import Language
from app.languages.words import Words
from app.observations.reading import waits_of
from app.observations.schemas import WaitOut
from app.observations.waits import NO_WAITS
from app.pages.lanes.plans import plans_of_view
from app.pages.rendering import render
from app.places.details import crossing_details
from app.places.schemas import CrossingRecord, Location
from app.places.spelling import Index
from app.places.zones import Clocks
from app.status.histories import CrossingHistory, Events, load_histories
from app.status.rule.travellers import ANYONE, Traveller
from app.status.rule.upcoming import upcoming
from app.status.schemas import EventOut
from app.status.summaries import Summary, waits_out
from app.vocabulary import Precision, Status

_ROWS_PER_READ = 500
_VIEWS_BETWEEN_YIELDS = 50
_MAX_PLANS = 10


@dataclass(frozen=True, slots=True)
class RowData:
    """A crossing's status, and the rest of what its row shows."""

    summary: Summary
    details: CrossingRecord
    events: Mapping[UUID, EventOut]
    waits: Sequence[WaitOut]
    plans: Sequence[Plan] = ()
    """Upcoming statuses; empty unless the row is about the present."""

    @property
    def deciding(self) -> list[EventOut]:
        return [self.events[event.id] for event in self.summary.answer.decided_by]

    @property
    def since_precision(self) -> Precision:
        """How exactly ``since`` is known: the precision of the event that began the status."""
        for event in self.deciding:
            if event.effective and event.precision and event.effective.from_ == self.summary.since:
                return event.precision
        return Precision.MINUTE

    @property
    def end_precision(self) -> Precision | None:
        """How exactly the expected end is known: the precision of the event that announced it."""
        expected = self.summary.answer.expected_until
        return next(
            (event.precision for event in self.deciding if event.expected_until == expected), None
        )


@dataclass(frozen=True, eq=False)
class MapRow:
    """A crossing as shown in one language; costly texts are rendered on first use."""

    data: RowData
    language: Language

    @property
    def id(self) -> str:
        return self.data.details.id

    @property
    def border(self) -> str:
        return self.data.details.border

    @property
    def status(self) -> Status:
        return self.data.summary.answer.status

    @property
    def location(self) -> Location | None:
        return self.data.details.location

    @cached_property
    def name(self) -> str:
        details = self.data.details
        return Words(self.language).crossing_of(details.names, details.mode)

    @cached_property
    def line(self) -> Markup:
        """The text beside name and status: since when, what was last known, on what basis."""
        line = render(self.language, "line.html", row=self.data, clocks=self.clocks)
        return Markup(line.strip())  # noqa: S704  # of a template, which escapes

    def next_line(self, now: datetime) -> Markup:
        """Render the next upcoming status. Not cached, since "tomorrow" becomes "today"."""
        if not self.data.plans:
            return Markup()
        plans, clocks = self.data.plans, self.clocks
        line = render(self.language, "plans.html", plans=plans, clocks=clocks, now=now)
        return Markup(line.strip())  # noqa: S704  # of a template, which escapes

    def wait_lines(self, now: datetime | None) -> Markup:
        """Render the waits with their age, or without ``now`` with their instants. Not cached."""
        if not self.data.waits:
            return Markup()
        waits, clocks = self.data.waits, self.clocks
        lines = render(self.language, "wait_lines.html", waits=waits, clocks=clocks, now=now)
        return Markup(lines.strip())  # noqa: S704  # of a template, which escapes

    @property
    def clocks(self) -> Clocks:
        return self.data.details.clocks

    @property
    def marker(self) -> list[object]:
        """Return the marker: id, name, status, latitude, longitude, their accuracy in km, mode."""
        location = self.location
        coordinates = (
            [None] * 3 if location is None else [location.lat, location.lon, location.precision_km]
        )
        return [self.id, self.name, self.status, *coordinates, self.data.details.mode]


_rows: WeakKeyDictionary[View, dict[str, MapRow]] = WeakKeyDictionary()
"""Rows of the present by language, for as long as the board's views are valid."""


async def rows_from_board(
    board: Board,
    crossing_filter: CrossingFilter,
    status: Status | None,
    language: Language,
    traveller: Traveller = ANYONE,
) -> tuple[list[MapRow], Validity] | None:
    """Return the present rows by border; when a name is searched for, the best match first.

    The validity takes into account the crossings whose status is filtered out. None if one of the
    answers depends on events that are not loaded.
    """
    moment = board.moment()
    scores = (
        None
        if crossing_filter.q is None
        else (await _spelling_index(board)).find(crossing_filter.q)
    )
    validity = ALWAYS_VALID
    views: list[View] = []
    for number, entry in enumerate(_entries_by_place(board, crossing_filter)):
        # The first views of thousands of crossings take seconds: let other tasks run in between.
        if number % _VIEWS_BETWEEN_YIELDS == 0:
            await asyncio.sleep(0)
        details = entry.present.details
        if scores is not None and details.id not in scores:
            continue
        if not crossing_filter.lanes_of(details):
            continue
        view = entry.view(moment, crossing_filter.traffic, crossing_filter.to, traveller)
        if view is None:
            return None
        validity = validity.also(view.validity)
        if crossing_filter.excludes(details):
            continue
        if status in {None, view.summary.answer.status}:
            views.append(view)
    if scores is not None:
        views.sort(key=lambda view: -scores[view.summary.id])
    return [_row_of(view, language) for view in views], validity


async def rows_from_database(
    session: AsyncSession,
    crossing_filter: CrossingFilter,
    status: Status | None,
    language: Language,
    *,
    at: datetime | None,
    as_of: AsOf,
    traveller: Traveller = ANYONE,
) -> list[MapRow]:
    """Return the rows of an instant as known, in the same order as those of the present."""
    snapshot = await take_snapshot(session, as_of)
    ranks = await find_candidates(session, crossing_filter, known_change=snapshot.change)
    rows: list[MapRow] = []
    is_present = as_of.is_present(at)

    def summarize(history: CrossingHistory) -> tuple[Summary, Events, Sequence[Plan]]:
        lanes = crossing_filter.lanes_of(history.details)
        summary = Summary.of(history, at or snapshot.now, lanes, traveller=traveller).settled()
        changes = upcoming(summary.declared, snapshot.now) if is_present else ()
        return summary, history.events, plans_of(changes, history.details, history.events)

    for start in range(0, len(ranks), _ROWS_PER_READ):
        ids = [rank.id for rank in ranks[start : start + _ROWS_PER_READ]]
        results = await load_histories(session, ids, snapshot, summarize, at=at)
        summaries = [
            (summary, events, plans)
            for summary, events, plans in results.values()
            if summary.details.known
            and not crossing_filter.excludes(summary.details, at)
            and status in {None, summary.answer.status}
        ]
        details = await crossing_details(session, [summary.details for summary, *_ in summaries])
        waits = await waits_of(session, list(details), at=at, as_of=as_of, snapshot=snapshot)
        for summary, events, plans in summaries:
            row_waits = waits_out(summary, waits.get(summary.id, NO_WAITS))
            row = RowData(summary, details[summary.id], events, row_waits, plans)
            rows.append(MapRow(row, language))
    return rows if crossing_filter.q else sorted(rows, key=lambda row: (row.border, row.id))


def by_border(rows: Iterable[MapRow]) -> dict[str, list[MapRow]]:
    rows_by_border: dict[str, list[MapRow]] = {}
    for row in rows:
        rows_by_border.setdefault(row.border, []).append(row)
    return rows_by_border


def next_plans(rows: Iterable[MapRow]) -> list[tuple[Plan, MapRow]]:
    """Return the next few upcoming statuses of the crossings shown, the earliest first."""
    plans = ((plan, row) for row in rows for plan in row.data.plans)
    return nsmallest(_MAX_PLANS, plans, key=lambda pair: pair[0].start)


def newest_information(rows: Iterable[MapRow]) -> datetime | None:
    """Return the instant of the newest evidence or observation of the crossings; None if none."""
    instants = (
        instant
        for row in rows
        for instant in (
            *(lane.last_confirmed_at for lane in row.data.summary.answer.lanes),
            *(wait.observed_at for wait in row.data.waits),
        )
        if instant is not None
    )
    return max(instants, default=None)


def _row_of(view: View, language: Language) -> MapRow:
    rows = _rows.setdefault(view, {})
    if language.code not in rows:
        present = view.present
        data = RowData(
            view.summary, present.record, present.events, view.waits, plans_of_view(view)
        )
        rows[language.code] = MapRow(data, language)
    return rows[language.code]


def _entries_by_place(board: Board, crossing_filter: CrossingFilter) -> list[BoardEntry]:
    """Return the board's entries that match the filter by border, country and id."""
    borders = board.borders(after=None, limit=sys.maxsize)
    return [
        entry
        for border in borders
        if crossing_filter.border in {None, border}
        and crossing_filter.country in {None, *sides_of(border)}
        for entry in board.entries(border)
        if not crossing_filter.ids or entry.present.details.id in crossing_filter.ids
    ]


_spellings: WeakKeyDictionary[Board, tuple[int, Index]] = WeakKeyDictionary()
"""The index of the names on a board, with the newest change of details that it reflects."""


async def _spelling_index(board: Board) -> Index:
    details = [entry.present.details for entry in board.entries()]
    newest = max((crossing.version.change for crossing in details), default=-1)
    change, index = _spellings.get(board, (None, None))
    if index is None or change != newest:
        crossings_by_id = {crossing.id: (crossing.version, crossing.sides) for crossing in details}
        # For thousands of crossings this takes seconds.
        index = await asyncio.to_thread(index_of, crossings_by_id)
        _spellings[board] = newest, index
    return index
