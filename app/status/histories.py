"""Load the part of crossings' logs that matters: for the present or any instant, as known.

There is one loader, with two ways to select events. For the present, each write stores which events
still matter (`CompactedLog`). Where that does not suffice, `cut.sql` selects them within a given
reach. If the rule needs more, it raises OutOfReach, and the loader reads again with a longer reach.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from sys import intern
from typing import NamedTuple, TypeVar, cast
from uuid import UUID

from psycopg.rows import args_row
from psycopg.types.json import Jsonb
from psycopg.types.range import Range
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Snapshot
from app.database.driver import driver, fetch, pipelined
from app.places.details import Details
from app.places.models import CrossingVersion
from app.sources.schemas import CitationOut
from app.status.confirming import CONFIRMING, confirmations
from app.status.log import event_of, event_out
from app.status.models import StatusEvent
from app.status.rule.cut import selections
from app.status.rule.history import (
    ALWAYS,
    NEVER,
    Declaration,
    Event,
    Held,
    History,
    OutOfReach,
)
from app.status.rule.resolution import ResolvedHistory
from app.status.schemas import EventOut
from app.vocabulary import Basis, EventKind

Result = TypeVar("Result")

_CROSSINGS_PER_LOAD = 500
"""Crossings that are loaded at once."""
_REACHES = (4, 32, 256, None)
"""How many declarations of each series are loaded; the next one if they are not enough."""

BEFORE_ALL = datetime(1899, 12, 31, tzinfo=UTC)
"""All instants of the log lie in 1900 or later."""

_CROSSINGS = f"""
    SELECT crossing.id, border.id, first, second, version.change <= %(known)s,
           version.crossing_id, version.change, recorded_at, recorded_by, mode, traffic, names,
           aliases, lat, lon, precision_km, confirm_within_days, retired_at, replaced_by, hours,
           confirm_within_hours, max_weight_kg, max_height_m, contacts, compacted.change,
           known_from, events, held,
           (SELECT change FROM status_event
            WHERE crossing_id = crossing.id AND change <= %(known)s ORDER BY change DESC LIMIT 1),
           {CONFIRMING}
    FROM crossing JOIN border ON border.id = border_id
    CROSS JOIN LATERAL (
        (SELECT * FROM crossing_version
         WHERE crossing_id = crossing.id AND change <= %(known)s ORDER BY change DESC LIMIT 1)
        UNION ALL
        (SELECT * FROM crossing_version
         WHERE crossing_id = crossing.id AND change > %(known)s ORDER BY change LIMIT 1)
        LIMIT 1
    ) version
    LEFT JOIN compacted_log compacted ON compacted.crossing_id = crossing.id
        AND compacted.change <= %(known)s AND known_from <= %(at)s
        AND compacted.change >= version.change
        AND NOT EXISTS (SELECT FROM status_event event
                        WHERE event.crossing_id = crossing.id
                          AND event.change > compacted.change AND event.change <= %(known)s)
    WHERE crossing.id = ANY (%(crossings)s)
"""  # noqa: S608  # of this package
_UNDONE = """(
    event.id = ANY (%(without)s)
    OR ((SELECT later.change FROM status_event later WHERE later.supersedes = event.id)
        <= %(known)s) IS TRUE
    OR ((SELECT later.change FROM status_event later WHERE later.retracts = event.id)
        <= %(known)s) IS TRUE
)"""
# Not EXISTS, which the planner may turn into a scan of the whole log.
_FAR = "timestamptz '2250-01-01 00:00:00+00'"
_CUT = Path(__file__).with_name("cut.sql").read_text(encoding="utf-8")
_BOUND = """(
    SELECT lower(effective) FROM status_event event
    WHERE event.series_id = series.id AND kind = 'declaration'
      AND lower(effective) {side} %(at)s AND change <= %(known)s
    ORDER BY lower(effective) <-> %(at)s OFFSET {reach} LIMIT 1
)"""
_EVENTS = """
    SELECT event.id, event.recorded_at, event.kind, event.crossing_id, event.sides, event.status,
           lower(event.effective), upper(event.effective), event.expected_until, event.traffic,
           event."to", event.certainty, event.announced_at, event.confirmed_at, event.supersedes,
           event.retracts, event.said_at, event.said_as, root.recorded_at,
           NULLIF(event.exceptions, '[]'), event.max_weight_kg, event.max_height_m,
           json_build_array(
               event.change, event.recorded_by, event.decision, event.sides, event.traffic,
               event.reason_code, event.reason_text, event.exceptions, event.max_weight_kg,
               event.max_height_m, event.precision, event.incident_id,
               (SELECT json_agg(json_build_array(source_id, locator, basis) ORDER BY citation.id)
                FROM citation WHERE event_id = event.id)
           )::text
    FROM status_event event LEFT JOIN status_event root ON root.id = event.said_as
    WHERE event.id = ANY (%(ids)s)
"""
_COMPACT = """
    INSERT INTO compacted_log (crossing_id, due_at, change, known_from, events, held)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (crossing_id) DO UPDATE
    SET (due_at, change, known_from, events, held)
        = (excluded.due_at, excluded.change, excluded.known_from, excluded.events, excluded.held)
"""


class _Version(NamedTuple):
    """The columns of a crossing's version, in the order of the table."""

    crossing_id: str
    change: int
    recorded_at: datetime
    recorded_by: str
    mode: str
    traffic: list[str]
    names: list[dict[str, object]]
    aliases: list[str]
    lat: float | None
    lon: float | None
    precision_km: float | None
    confirm_within_days: int
    retired_at: datetime | None
    replaced_by: str | None
    hours: list[dict[str, object]]
    confirm_within_hours: int | None
    max_weight_kg: int | None
    max_height_m: float | None
    contacts: list[dict[str, object]]


class _EventRow(NamedTuple):
    """The fields of an event that the rule needs, and as JSON those that only a body needs."""

    id: UUID
    recorded_at: datetime
    kind: str
    crossing_id: str
    sides: list[str]
    status: str | None
    start: datetime | None
    end: datetime | None
    expected_until: datetime | None
    traffic: list[str] | None
    to: str | None
    certainty: str | None
    announced_at: datetime | None
    confirmed_at: datetime | None
    supersedes: UUID | None
    retracts: UUID | None
    said_at: datetime | None
    said_as: UUID | None
    said_as_recorded_at: datetime | None
    exceptions: list[dict[str, object]] | None
    max_weight_kg: int | None
    max_height_m: float | None
    rest: str

    @property
    def effective(self) -> Range[datetime] | None:
        return None if self.start is None else Range(self.start, self.end)

    def event(self) -> Event:
        """Return the event for the rule, with its order among declarations.

        Equal instants and ids are shared objects, since many events are kept in memory.
        """
        said = None
        if self.said_at is not None and self.said_as is not None and self.said_as_recorded_at:
            said_at = self.announced_at if self.announced_at == self.said_at else self.said_at
            if self.said_as == self.id:
                said = (said_at, self.recorded_at, self.id.int)
            else:
                said = (said_at, self.said_as_recorded_at, self.said_as.int)
        return event_of(cast("StatusEvent", self), said)


class _Rest(NamedTuple):
    """The columns of an event that the rule does not need, or not in their order."""

    change: int
    recorded_by: str
    decision: UUID
    sides: list[str]
    traffic: list[str] | None
    reason_code: str | None
    reason_text: str | None
    exceptions: list[dict[str, object]]
    max_weight_kg: int | None
    max_height_m: float | None
    precision: str | None
    incident_id: UUID | None
    citations: list[tuple[UUID, str | None, Basis]] | None
    """The source, the locator and the basis of each."""


_REST = TypeAdapter(_Rest)


class _CrossingRow(NamedTuple):
    id: str
    border: str
    first: str
    second: str
    known: bool
    crossing_id: str
    change: int
    recorded_at: datetime
    recorded_by: str
    mode: str
    traffic: list[str]
    names: list[dict[str, object]]
    aliases: list[str]
    lat: float | None
    lon: float | None
    precision_km: float | None
    confirm_within_days: int
    retired_at: datetime | None
    replaced_by: str | None
    hours: list[dict[str, object]]
    confirm_within_hours: int | None
    max_weight_kg: int | None
    max_height_m: float | None
    contacts: list[dict[str, object]]
    compacted: int | None
    known_from: datetime | None
    events: list[UUID] | None
    held: dict[str, object] | None
    last_event: int | None
    confirming: str | None

    def details(self) -> Details:
        version = _Version(*self[5:24])
        # Thousands of crossings share these strings.
        version = version._replace(
            crossing_id=self.id,
            recorded_by=intern(self.recorded_by),
            mode=intern(self.mode),
            traffic=[intern(category) for category in self.traffic],
        )
        sides = (intern(self.first), intern(self.second))
        return Details(
            self.id, intern(self.border), sides, cast("CrossingVersion", version), known=self.known
        )


class _CutRow(NamedTuple):
    crossing_id: str
    lo: datetime | None
    hi: datetime | None
    events: list[UUID]


class Events(Mapping[UUID, EventOut]):
    """Declarations of a crossing by id, each converted to a body on first access."""

    __slots__ = ("_details", "_events")

    def __init__(self, details: Details, events: Mapping[UUID, tuple[Declaration, str]]) -> None:
        self._details = details
        self._events = events

    def __getitem__(self, event_id: UUID) -> EventOut:
        event, rest_json = self._events[event_id]
        fields = _REST.validate_json(rest_json)
        columns = fields._asdict()
        citations = [
            CitationOut(source=source, locator=locator, basis=basis)
            for source, locator, basis in columns.pop("citations") or ()
        ]
        row = StatusEvent(
            id=event.id,
            crossing_id=self._details.id,
            recorded_at=event.recorded_at,
            kind=EventKind.DECLARATION.value,
            status=event.status.value,
            effective=Range(event.start, event.end),
            expected_until=event.expected_until,
            to=event.scope.to,
            certainty=event.certainty.value,
            announced_at=event.announced_at,
            supersedes=event.supersedes,
            **columns,
        )
        return event_out(row, citations, near=self._details.point)

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)


@dataclass(frozen=True, eq=False)
class CrossingHistory:
    """The details of a crossing and the part of its log that matters to a question, as known."""

    details: Details
    history: History
    events: Events
    last_event: int | None
    """The change of its newest event, even if that one does not matter."""
    is_compacted: bool

    @cached_property
    def resolved(self) -> ResolvedHistory:
        return ResolvedHistory(self.history)

    def last_change(self, noticed: int | None) -> int | None:
        """Return the last change that touches the crossing; None before its first."""
        version = self.details.version.change if self.details.known else None
        changes = [change for change in (self.last_event, version, noticed) if change is not None]
        return max(changes, default=None)


async def load_histories(
    session: AsyncSession,
    crossing_ids: Sequence[str],
    snapshot: Snapshot,
    use: Callable[[CrossingHistory], Result],
    *,
    at: datetime | None = None,
    without: Sequence[UUID] = (),
) -> dict[str, Result]:
    """Return the result of ``use`` for the history of each crossing that exists.

    A history reaches as far back and forward of ``at`` as ``use`` needs; without ``at``, which is
    now, forward without end. With ``without``, it also suffices to resolve without these events.
    """
    results: dict[str, Result] = {}
    for start in range(0, len(crossing_ids), _CROSSINGS_PER_LOAD):
        batch = crossing_ids[start : start + _CROSSINGS_PER_LOAD]
        results |= await _load(session, batch, snapshot, use, at, without)
    return {name: results[name] for name in crossing_ids if name in results}


async def whole_history(
    session: AsyncSession, crossing_id: str, snapshot: Snapshot, *, at: datetime = BEFORE_ALL
) -> CrossingHistory | None:
    """Return the part of a crossing's log that matters to its timeline and to the answer ``at``."""
    parameters = {
        "crossings": [crossing_id],
        "known": snapshot.change,
        "known_at": snapshot.known_at or NEVER,
        "at": at,
    }
    rows = await fetch(session, _CrossingRow, _CROSSINGS, parameters)
    cuts = await _cut(session, parameters | {"without": []}, before=None, after=None)
    return (await _histories(session, rows, cuts)).get(crossing_id)


async def _load(
    session: AsyncSession,
    crossing_ids: Sequence[str],
    snapshot: Snapshot,
    use: Callable[[CrossingHistory], Result],
    at: datetime | None,
    without: Sequence[UUID],
) -> dict[str, Result]:
    parameters: dict[str, object] = {
        "crossings": list(crossing_ids),
        "known": snapshot.change,
        "known_at": snapshot.known_at or NEVER,
        "at": at or snapshot.now,
        "without": list(without),
    }
    rows = {row.id: row for row in await fetch(session, _CrossingRow, _CROSSINGS, parameters)}
    crossings = {name: rows[name] for name in crossing_ids if name in rows}
    results: dict[str, Result] = {}
    compacted = {} if without else _compacted(crossings.values())
    for history in (await _histories(session, crossings.values(), compacted)).values():
        with suppress(OutOfReach):
            results[history.details.id] = use(history)
    for reach in _REACHES:
        pending = [crossings[name] for name in crossings if name not in results]
        if not pending:
            break
        parameters |= {"crossings": [row.id for row in pending]}
        after = None if at is None else reach
        cuts = await _cut(session, parameters, before=reach, after=after)
        if without:
            complete = await _cut(session, parameters | {"without": []}, before=reach, after=after)
            cuts = _joined(cuts, complete, without)
        for history in (await _histories(session, pending, cuts)).values():
            with suppress(OutOfReach):
                results[history.details.id] = use(history)
    return results


@dataclass(frozen=True, slots=True)
class _Cut:
    """Which events of a crossing to load, and for which instants they are sufficient."""

    events: Sequence[UUID]
    known_from: datetime
    known_until: datetime
    held: Mapping[str, object] | None = None


def _compacted(rows: Iterable[_CrossingRow]) -> dict[str, _Cut]:
    return {
        row.id: _Cut(row.events, row.known_from, NEVER, row.held)
        for row in rows
        if row.events is not None and row.known_from is not None
    }


@cache
def _cut_statement(before: int | None, after: int | None) -> str:
    """Return `cut.sql` for that many declarations of a series back and forward; None is all.

    The numbers are part of the statement; for parameters the planner would sort all of them.
    """

    def bound(side: str, reach: int | None) -> str:
        return "NULL::timestamptz" if reach is None else _BOUND.format(side=side, reach=reach)

    return _CUT.format(lo=bound("<=", before), hi=bound(">", after), undone=_UNDONE, far=_FAR)


async def _cut(
    session: AsyncSession,
    parameters: Mapping[str, object],
    *,
    before: int | None,
    after: int | None,
) -> dict[str, _Cut]:
    async with driver(session) as connection:
        async with connection.pipeline():
            # The planner assumes that every series is short, and would sort the rows of a long one.
            await connection.execute("SET LOCAL enable_bitmapscan = off")
            cursor = connection.cursor(row_factory=args_row(_CutRow))
            statement = _cut_statement(before, after)
            await cursor.execute(statement.encode(), parameters, prepare=True)
            await connection.execute("SET LOCAL enable_bitmapscan = on")
        rows = await cursor.fetchall()
    return {row.crossing_id: _Cut(row.events, row.lo or ALWAYS, row.hi or NEVER) for row in rows}


def _joined(
    cuts: Mapping[str, _Cut], others: Mapping[str, _Cut], withdrawn: Sequence[UUID]
) -> dict[str, _Cut]:
    """Return the unions of cuts, sufficient for the instants that both are sufficient for."""
    return {
        name: _Cut(
            list({*cut.events, *others[name].events, *withdrawn}),
            max(cut.known_from, others[name].known_from),
            min(cut.known_until, others[name].known_until),
        )
        for name, cut in cuts.items()
    }


async def _histories(
    session: AsyncSession,
    crossings: Iterable[_CrossingRow],
    cuts: Mapping[str, _Cut],
) -> dict[str, CrossingHistory]:
    """Return the histories of the crossings that have a cut, or no events yet."""
    ids = [event_id for cut in cuts.values() for event_id in cut.events]
    rows: defaultdict[str, list[_EventRow]] = defaultdict(list)
    if ids:
        for row in await fetch(session, _EventRow, _EVENTS, {"ids": ids}):
            rows[row.crossing_id].append(row)
    histories: dict[str, CrossingHistory] = {}
    for crossing in crossings:
        cut = cuts.get(crossing.id)
        if cut is None and crossing.last_event is not None:
            continue
        details = crossing.details()
        known_from = cut.known_from if cut else ALWAYS
        events = [(row.event(), row.rest) for row in rows[crossing.id]]
        history = History(
            sides=details.sides,
            lanes=details.lanes,
            confirm_within=details.confirm_within,
            events=(*(event for event, _ in events), *confirmations(crossing.confirming)),
            known_from=known_from,
            known_until=cut.known_until if cut else NEVER,
            held=_held_of(cut.held, details) if cut and cut.held else None,
        )
        histories[crossing.id] = CrossingHistory(
            details,
            history,
            Events(details, _that_may_be_shown(events, known_from)),
            crossing.last_event,
            is_compacted=cut is None or cut.held is not None,
        )
    return histories


def _that_may_be_shown(
    events: Iterable[tuple[Event, str]], at: datetime
) -> dict[UUID, tuple[Declaration, str]]:
    """Return the events that an answer for ``at`` or later may show."""
    return {
        event.id: (event, rest)
        for event, rest in events
        if isinstance(event, Declaration) and (event.end is None or event.end > at)
    }


async def compact(
    session: AsyncSession,
    logs: Mapping[str, tuple[datetime | None, History]],
    *,
    change: int,
) -> None:
    """Store which events of each crossing still matter, as known at ``change``, and what is due."""
    rows = [
        (
            name,
            due_at,
            change,
            history.known_from,
            [event.id for event in history.recorded],
            Jsonb(_held_out(history)),
        )
        for name, (due_at, history) in logs.items()
    ]
    async with pipelined(session) as connection, connection.cursor() as cursor:
        await cursor.executemany(_COMPACT, rows)


def _held_out(history: History) -> dict[str, object]:
    held = history.held
    assert held is not None  # a history that was cut has it
    names = {lanes: name for name, lanes in selections(history.lanes).items()}
    return {
        "since": _instant_out(held.since),
        "others": {names[lanes]: _instant_out(since) for lanes, since in held.others.items()},
        "unknown": [names[lanes] for lanes in held.unknown],
    }


def _held_of(stored: Mapping[str, object], details: Details) -> Held:
    held = _HELD.validate_python(stored)
    if not held.others and not held.unknown:
        return Held(held.since)
    lanes = selections(details.lanes)
    return Held(
        held.since,
        {lanes[name]: since for name, since in held.others.items()},
        tuple(lanes[name] for name in held.unknown),
    )


class _StoredHeld(NamedTuple):
    since: datetime | None
    others: dict[str, datetime | None]
    unknown: list[str]


_HELD = TypeAdapter(_StoredHeld)


def _instant_out(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
