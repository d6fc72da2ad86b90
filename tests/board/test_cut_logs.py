"""A log that is cut short still gives the same answers from there on, by the statement itself."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from operator import attrgetter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from app.embedded.server import Server
from app.status.log import event_of
from app.status.models import StatusEvent
from app.status.present import _cut
from app.status.rule.history import Confirmation, Declaration, Event, History, Retraction
from app.status.rule.resolution import (
    last_change,
    next_change,
    present_period,
    resolve,
    timeline,
)
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


@pytest.fixture(scope="module")
async def session(postgres: Server) -> AsyncIterator[AsyncSession]:
    """A session in which the log is a table of its own, with nothing to guard it."""
    with clone(postgres, EMPTY) as database:
        async with Database.session(database) as found:
            await found.execute(
                text("CREATE TEMP TABLE status_event (LIKE public.status_event INCLUDING INDEXES)")
            )
            yield found


@example(
    history=crossing(
        closed(day(1)),
        confirmation(day(5), traffic=Traffic.TRUCK),
        confirmation(day(7), traffic=Traffic.CAR),
        lanes=[CAR_TO_LT, TRUCK_TO_LT],
    ),
    since=day(10),
    later=0,
).via("what is heard of one traffic is no news of another")
@example(
    history=crossing(
        opened(day(1)),
        closed(day(3), day(4)),
        restricted(day(5), day(6), certainty=Certainty.UNCONFIRMED),
    ),
    since=day(10),
    later=0,
).via("a rumour is no evidence")
@settings(
    max_examples=settings().max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=histories() | crowded(),
    since=st.integers(-2, 40).map(lambda number: day(1) + number * DAY / 2),
    later=st.sampled_from([0, 0, 1, 2]),
)
async def test_a_log_cut_at_an_instant_answers_the_same_from_then_on(
    session: AsyncSession, history: History, since: datetime, later: int
) -> None:
    """Whatever was said, corrected, retracted, confirmed: only what cannot matter is left out.

    And what was recorded ``later`` than the change that is asked about, so many events.
    """
    await session.execute(text("TRUNCATE status_event"))
    events = in_order(history)
    rows = [row_of(event, number) for number, event in enumerate(events, 1)]
    if rows:
        await session.execute(insert(StatusEvent), rows)
    known = max(0, len(events) - later)

    kept = (await _cut(session, [CROSSING], since, known)).get(CROSSING, [])

    cut = replace(history, events=tuple(event_of(one.row) for one in kept))
    assert_answers_alike(cut, replace(history, events=tuple(events[:known])), since)


def assert_answers_alike(cut: History, whole: History, since: datetime) -> None:
    starts = [one.start for one in timeline(whole) if one.start is not None]
    expiries = [start + whole.confirm_within for start in starts]
    for at in around([since, *starts, *expiries]):
        if at < since:
            continue
        assert resolve(cut, at) == resolve(whole, at)
        assert next_change(cut, at) == next_change(whole, at)
        began, ends = present_period(whole, at)
        assert present_period(cut, at)[1] == ends
        if began is not None and began > since:
            assert present_period(cut, at)[0] == began
            assert last_change(cut, at) == last_change(whole, at)


def in_order(history: History) -> list[Event]:
    return sorted(history.events, key=attrgetter("recorded_at"))


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
        case Retraction():
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
