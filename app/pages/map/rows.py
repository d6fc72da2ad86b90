"""Which crossings the map and its list show: the present from the board, the past as recorded."""

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
from app.crossings.candidates import CrossingFilter, candidates, index_of
from app.http.bodies import sides_of
from app.http.caching import ALWAYS_VALID, Validity
from app.http.parameters import AsOf
from app.languages.languages import Language
from app.languages.words import Words
from app.observations.reading import waits_of
from app.observations.schemas import WaitOut
from app.observations.waits import NO_WAITS
from app.pages.lanes.plans import Plan, plans_of_view
from app.pages.rendering import render
from app.places.details import crossing_details
from app.places.schemas import CrossingRecord, Location
from app.places.spelling import Index
from app.places.zones import Clocks
from app.status.histories import CrossingHistory, Events, load_histories
from app.status.schemas import EventOut
from app.status.summaries import Summary, waits_out
from app.vocabulary import Precision, Status

_ROWS_PER_READ = 500
_BREATH = 50
_COMING = 10


@dataclass(frozen=True, slots=True)
class RowData:
    """A crossing's answer, and what it takes to show it."""

    summary: Summary
    details: CrossingRecord
    events: Mapping[UUID, EventOut]
    waits: Sequence[WaitOut]
    plans: Sequence[Plan] = ()
    """What is to come; only of the present."""

    @property
    def deciding(self) -> list[EventOut]:
        return [self.events[event.id] for event in self.summary.answer.decided_by]

    @property
    def since_precision(self) -> Precision:
        """How exactly it is known since when the status holds: as the event says that began it."""
        for event in self.deciding:
            if event.effective and event.precision and event.effective.from_ == self.summary.since:
                return event.precision
        return Precision.MINUTE

    @property
    def end_precision(self) -> Precision | None:
        """How exactly the expected end is known: as the event says that announced it."""
        expected = self.summary.answer.expected_until
        return next(
            (one.precision for one in self.deciding if one.expected_until == expected), None
        )


@dataclass(frozen=True, eq=False)
class MapRow:
    """A crossing as it is shown in a language; what is costly is computed on first use."""

    shown: RowData
    language: Language

    @property
    def id(self) -> str:
        return self.shown.details.id

    @property
    def border(self) -> str:
        return self.shown.details.border

    @property
    def status(self) -> Status:
        return self.shown.summary.answer.status

    @property
    def location(self) -> Location | None:
        return self.shown.details.location

    @cached_property
    def name(self) -> str:
        details = self.shown.details
        return Words(self.language).crossing_of(details.names, details.mode)

    @cached_property
    def line(self) -> Markup:
        """What there is to say besides: since when, what was last known, on what basis."""
        line = render(self.language, "line.html", shown=self.shown, clocks=self.clocks)
        return Markup(line.strip())  # noqa: S704  # of a template, which escapes

    def next_line(self, now: datetime) -> Markup:
        """Tell what comes next, if anything does; not kept, for tomorrow is soon today."""
        if not self.shown.plans:
            return Markup()
        plans, clocks = self.shown.plans, self.clocks
        line = render(self.language, "plans.html", plans=plans, clocks=clocks, now=now)
        return Markup(line.strip())  # noqa: S704  # of a template, which escapes

    def wait_lines(self, now: datetime | None) -> Markup:
        """Tell its waits with their age, or without ``now`` with their instants; not kept."""
        if not self.shown.waits:
            return Markup()
        waits, clocks = self.shown.waits, self.clocks
        lines = render(self.language, "wait_lines.html", waits=waits, clocks=clocks, now=now)
        return Markup(lines.strip())  # noqa: S704  # of a template, which escapes

    @property
    def clocks(self) -> Clocks:
        sides = dict.fromkeys(name.side for name in self.shown.details.names)
        return Clocks(list(sides), self.shown.details.near)

    @property
    def mark(self) -> list[object]:
        """Return what the map needs: id, name, status, place, and how far that may be off."""
        place = self.location
        where = [None] * 3 if place is None else [place.lat, place.lon, place.precision_km]
        return [self.id, self.name, self.status, *where]


_rows: WeakKeyDictionary[View, dict[str, MapRow]] = WeakKeyDictionary()
"""Rows of the present, for as long as the board's views hold."""


async def present(
    board: Board, wanted: CrossingFilter, status: Status | None, language: Language
) -> tuple[list[MapRow], Validity]:
    """Return crossings as they are by the board, by border; the best match first with a name.

    The validity is of all that may come to be among them.
    """
    moment = board.moment()
    scores = None if wanted.q is None else (await _spelt(board)).find(wanted.q)
    validity = ALWAYS_VALID
    views: list[View] = []
    for number, entry in enumerate(_entries(board, wanted)):
        # Answers of thousands that were never asked for take seconds: others come in between.
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        view = entry.view(moment, wanted.traffic, wanted.to)
        if view is None or (scores is not None and view.summary.id not in scores):
            continue
        validity = validity.also(view.validity)
        if wanted.leaves_out(view.present.details):
            continue
        if status in {None, view.summary.answer.status}:
            views.append(view)
    if scores is not None:
        views.sort(key=lambda view: -scores[view.summary.id])
    return [_row_of(view, language) for view in views], validity


async def past(
    session: AsyncSession,
    wanted: CrossingFilter,
    status: Status | None,
    language: Language,
    *,
    at: datetime | None,
    as_of: AsOf,
) -> list[MapRow]:
    """Return crossings as they were, as known; in the order of the present."""
    snapshot = await take_snapshot(session, as_of)
    ranks = await candidates(session, wanted, known_change=snapshot.change)
    rows: list[MapRow] = []

    def answer(history: CrossingHistory) -> tuple[Summary, Events]:
        lanes = wanted.lanes_of(history.details)
        summary = Summary.of(history, at or snapshot.now, lanes).settled()
        return summary, history.events

    for start in range(0, len(ranks), _ROWS_PER_READ):
        ids = [rank.id for rank in ranks[start : start + _ROWS_PER_READ]]
        answers = await load_histories(session, ids, snapshot, answer, at=at)
        answered = [
            (summary, events)
            for summary, events in answers.values()
            if summary.details.known
            and not wanted.leaves_out(summary.details, at)
            and status in {None, summary.answer.status}
        ]
        details = await crossing_details(session, [summary.details for summary, _ in answered])
        waits = await waits_of(session, list(details), at=at, as_of=as_of, snapshot=snapshot)
        for summary, events in answered:
            shown = waits_out(summary, waits.get(summary.id, NO_WAITS))
            row = RowData(summary, details[summary.id], events, shown)
            rows.append(MapRow(row, language))
    return rows if wanted.q else sorted(rows, key=lambda row: (row.border, row.id))


def by_border(rows: Iterable[MapRow]) -> dict[str, list[MapRow]]:
    rows_by_border: dict[str, list[MapRow]] = {}
    for row in rows:
        rows_by_border.setdefault(row.border, []).append(row)
    return rows_by_border


def coming(rows: Iterable[MapRow]) -> list[tuple[Plan, MapRow]]:
    """Return what is to come of the crossings shown, the next few, the earliest first."""
    plans = ((plan, row) for row in rows for plan in row.shown.plans)
    return nsmallest(_COMING, plans, key=lambda pair: pair[0].start)


def _row_of(view: View, language: Language) -> MapRow:
    rows = _rows.setdefault(view, {})
    if language.code not in rows:
        present = view.present
        shown = RowData(
            view.summary, present.record, present.events, view.waits, plans_of_view(view)
        )
        rows[language.code] = MapRow(shown, language)
    return rows[language.code]


def _entries(board: Board, wanted: CrossingFilter) -> list[BoardEntry]:
    """Return what the board has of the crossings asked for, as far as their place decides it."""
    borders = board.borders(after=None, limit=sys.maxsize)
    return [
        entry
        for border in borders
        if wanted.border in {None, border} and wanted.country in {None, *sides_of(border)}
        for entry in board.entries(border)
        if not wanted.ids or entry.present.details.id in wanted.ids
    ]


_spellings: WeakKeyDictionary[Board, tuple[int, Index]] = WeakKeyDictionary()
"""Of the crossings on a board, folded once for each change of any details."""


async def _spelt(board: Board) -> Index:
    details = [entry.present.details for entry in board.entries()]
    newest = max((one.version.change for one in details), default=-1)
    change, index = _spellings.get(board, (None, None))
    if index is None or change != newest:
        named = {one.id: (one.version, one.sides) for one in details}
        # Of thousands, it takes seconds.
        index = await asyncio.to_thread(index_of, named)
        _spellings[board] = newest, index
    return index
