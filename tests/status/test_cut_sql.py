"""The statement that cuts a log, held against the whole log: any history, instant and knowledge."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from operator import attrgetter
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.driver import fetch
from app.embedded.server import Server
from app.status.histories import _EVENTS, _cut, _EventRow, _joined
from app.status.models import EventSeries, StatusEvent
from app.status.rule.force import said_order
from app.status.rule.history import (
    ALWAYS,
    Answer,
    Confirmation,
    Declaration,
    Event,
    EventRetraction,
    History,
    OutOfReach,
)
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Certainty, EventKind, Traffic
from tests.conftest import EMPTY, Database, clone
from tests.status.histories import (
    CAR_TO_LT,
    DAY,
    TRUCK_TO_LT,
    around,
    closed,
    confirmation,
    crossing,
    crowded,
    day,
    histories,
    opened,
    restricted,
)

CROSSING = "here"
REACHES = st.sampled_from([0, 1, 2, 8, None])


@pytest.fixture(scope="module")
async def session(postgres: Server) -> AsyncIterator[AsyncSession]:
    """A session in which the log is a table of its own, with nothing to guard it."""
    with clone(postgres, EMPTY) as database:
        async with Database.session(database) as found:
            for table in ("status_event", "event_series", "citation"):
                await found.execute(
                    text(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING INDEXES)")
                )
            yield found


@example(
    history=crossing(
        closed(day(1)),
        confirmation(day(5), traffic=Traffic.TRUCK),
        confirmation(day(7), traffic=Traffic.CAR),
        lanes=[CAR_TO_LT, TRUCK_TO_LT],
    ),
    at=day(10),
    reach=(0, None),
    later=0,
).via("what is heard of one traffic is no news of another")
@example(
    history=crossing(
        opened(day(1)),
        closed(day(3), day(4)),
        restricted(day(5), day(6), certainty=Certainty.UNCONFIRMED),
    ),
    at=day(10),
    reach=(0, None),
    later=0,
).via("a rumour is no evidence")
@settings(
    max_examples=settings().max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=histories() | crowded(),
    at=st.integers(-2, 40).map(lambda number: day(1) + number * DAY / 2),
    reach=st.tuples(REACHES, REACHES),
    later=st.sampled_from([0, 0, 1, 2]),
)
async def test_a_cut_log_answers_as_the_whole_log_does(
    session: AsyncSession,
    history: History,
    at: datetime,
    reach: tuple[int | None, int | None],
    later: int,
) -> None:
    """Whatever was said, corrected, retracted, confirmed, and however short the cut.

    What was recorded ``later`` than the change that is asked about, so many events, is not in it.
    """
    events = await record(session, history)
    known = max(0, len(events) - later)

    cut = await cut_log(session, history, at, reach, known)

    whole = replace(history, events=tuple(events[:known]))
    if reach == (None, None):
        assert (cut.known_from, cut.known_until) == (ALWAYS, whole.known_until)
    assert_answers_alike(cut, whole, at)


@settings(
    max_examples=settings().max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=histories(),
    at=st.integers(-2, 20).map(lambda number: day(number / 2)),
    which=st.integers(0, 20),
)
async def test_a_cut_log_tells_also_what_would_be_without_an_event(
    session: AsyncSession, history: History, at: datetime, which: int
) -> None:
    """What it had lifted, and what it was newer evidence than, is there again."""
    events = await record(session, history)
    undone = {e.supersedes for e in events if isinstance(e, Declaration)} | {
        e.retracts for e in events if isinstance(e, EventRetraction)
    }
    standing = [e for e in events if not isinstance(e, EventRetraction) and e.id not in undone]
    if not standing:
        return
    target = standing[which % len(standing)]
    last = max(event.recorded_at for event in events)
    withdrawal = EventRetraction(id=target.id, recorded_at=max(at, last) + DAY, retracts=target.id)

    cut = await cut_log(session, history, at, (1, None), len(events), without=target)

    assert_answers_alike(cut, replace(history, events=tuple(events)), at)
    assert_answers_alike(
        replace(cut, events=(*cut.events, withdrawal)),
        replace(history, events=(*events, withdrawal)),
        at,
    )


async def record(session: AsyncSession, history: History) -> list[Event]:
    """Write the events as the log would, in the order in which they were recorded."""
    events = sorted(history.events, key=attrgetter("recorded_at"))
    await session.execute(text("TRUNCATE status_event, event_series"))
    declared = [event for event in events if isinstance(event, Declaration)]
    said = said_order(declared)
    series: dict[tuple[object, ...], UUID] = {}
    rows = []
    for number, event in enumerate(events, 1):
        row = row_of(event, number)
        if isinstance(event, Declaration):
            row |= {"said_at": said[event.id][0], "said_as": UUID(int=said[event.id][2])}
        if not isinstance(event, EventRetraction):
            row["series_id"] = series.setdefault(series_of(event), UUID(int=len(series)))
        rows.append(row)
    names = ("crossing_id", "sides", "traffic", "to", "certainty", "timing")
    if series:
        await session.execute(
            insert(EventSeries),
            [
                {"id": number, **dict(zip(names, (CROSSING, *map(listed, key)), strict=True))}
                for key, number in series.items()
            ],
        )
        await session.execute(insert(StatusEvent), rows)
    return events


async def cut_log(
    session: AsyncSession,
    history: History,
    at: datetime,
    reach: tuple[int | None, int | None],
    known: int,
    *,
    without: Declaration | Confirmation | None = None,
) -> History:
    before, after = reach
    asked: dict[str, object] = {
        "crossings": [CROSSING],
        "at": at,
        "known": known,
        "without": [],
    }
    cut_at = partial(_cut, session, before=before, after=after)
    cuts = await cut_at(asked)
    if without is not None:
        withdrawn = [without.id]
        cuts = _joined(await cut_at(asked | {"without": withdrawn}), cuts, withdrawn)
    if CROSSING not in cuts:
        return replace(history, events=())
    cut = cuts[CROSSING]
    rows = await fetch(session, _EventRow, _EVENTS, {"ids": list(cut.events)})
    return replace(
        history,
        events=tuple(row.event() for row in rows),
        known_from=cut.known_from,
        known_until=cut.known_until,
    )


def assert_answers_alike(cut: History, whole: History, at: datetime) -> None:
    """Compare the answer at ``at``, its period and its next change; beside it, the statuses."""
    short, full = ResolvedHistory(cut), ResolvedHistory(whole)
    assert short.answer(at) == full.answer(at)
    for question in ("period", "next_change", "last_change"):
        try:
            found = getattr(short, question)(at)
        except OutOfReach:
            assert cut.known_from > ALWAYS or cut.known_until < whole.known_until
        else:
            assert found == getattr(full, question)(at), question
    starts = [one.start for one in full.timeline() if one.start is not None]
    for beside in around([at, *starts, *(start + whole.confirm_within for start in starts)]):
        if cut.known_from <= beside <= cut.known_until:
            assert statuses(short.answer(beside)) == statuses(full.answer(beside)), beside


def statuses(answer: Answer) -> Answer:
    """Leave out when it was last heard of, which a cut log tells of one instant alone."""
    lanes = tuple(replace(lane, last_confirmed_at=None) for lane in answer.lanes)
    return replace(answer, lanes=lanes, last_confirmed_at=None)


def series_of(event: Declaration | Confirmation) -> tuple[object, ...]:
    scope = event.scope
    spoken = "" if isinstance(event, Confirmation) else event.certainty.value
    timing = "current"
    if isinstance(event, Confirmation) or (event.end and event.end <= event.recorded_at):
        timing = "past"
    elif event.start > event.recorded_at:
        timing = "planned"
    return event.sides, scope.traffic or frozenset(), scope.to or "", spoken, timing


def listed(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def row_of(event: Event, number: int) -> dict[str, object]:
    """Return an event as its row; what the rule does not look at is the same for all."""
    row: dict[str, object] = dict.fromkeys(StatusEvent.__table__.columns.keys())
    row |= {
        "id": event.id,
        "change": number,
        "recorded_at": event.recorded_at,
        "recorded_by": "test",
        "crossing_id": CROSSING,
        "decision": event.id,
        "sides": [],
        "exceptions": [],
    }
    match event:
        case EventRetraction():
            return row | {"kind": EventKind.RETRACTION.value, "retracts": event.retracts}
        case Confirmation():
            row |= {"kind": EventKind.CONFIRMATION.value, "confirmed_at": event.confirmed_at}
        case Declaration():
            row |= {
                "kind": EventKind.DECLARATION.value,
                "status": event.status.value,
                "effective": Range(event.start, event.end),
                "expected_until": event.expected_until,
                "certainty": event.certainty.value,
                "announced_at": event.announced_at,
                "supersedes": event.supersedes,
            }
    scope = event.scope
    return row | {
        "sides": sorted(event.sides),
        "traffic": None if scope.traffic is None else sorted(scope.traffic),
        "to": scope.to,
    }
