"""Regular hours on the board: it switches when they do, without a write."""

import json
from datetime import UTC, datetime, timedelta

from app.board.views import Moment
from tests.api import MEDININKAI
from tests.board.conftest import Sides
from tests.status.test_hours_api import HERE, NIGHTLY, opened, set_hours


async def test_the_board_switches_when_the_hours_do(sides: Sides) -> None:
    """Without a write: at each instant it answers what the routes do."""
    await opened(sides.front)
    await set_hours(sides.front, {**NIGHTLY, "traffic": None})
    entry = sides.board.entry(MEDININKAI)
    assert entry is not None
    now = datetime.now(UTC)
    statuses = set()
    for hours in range(50):
        at = now + timedelta(hours=hours)
        view = entry.view(Moment(at))
        assert view is not None
        asked = await sides.front.get(f"{HERE}/status", at=at.isoformat())
        for name in ("status", "lanes", "opens_at", "since", "until", "next_change_at"):
            board = json.loads(view.status_json)
            assert board[name] == asked.json()[name]
        statuses.add(view.summary.answer.status)
    assert len(statuses) > 1


async def test_an_answer_is_fresh_until_the_gate_opens_or_closes(sides: Sides) -> None:
    await opened(sides.front)
    await set_hours(sides.front, {**NIGHTLY, "traffic": None})
    entry = sides.board.entry(MEDININKAI)
    assert entry is not None
    now = datetime.now(UTC)

    view = entry.view(Moment(now))
    assert view is not None
    due = view.validity.due
    assert due is not None
    assert now < due <= now + timedelta(hours=16)
    assert view.is_valid(Moment(due - timedelta(seconds=1)))
    assert not view.is_valid(Moment(due))
    assert entry.view(Moment(due - timedelta(seconds=1))) is view


async def test_a_gate_that_closed_opens_during_an_outage_too(sides: Sides) -> None:
    """Not to open, which nobody vouches for by then, but to unknown."""
    await opened(sides.front)
    await set_hours(sides.front, {**NIGHTLY, "traffic": None})
    entry = sides.board.entry(MEDININKAI)
    assert entry is not None
    night = datetime.now(UTC).replace(hour=23, minute=30) + timedelta(days=1)

    closed = entry.view(Moment(night, withheld_since=night))
    assert closed is not None
    assert closed.summary.answer.status == "closed"
    morning = entry.view(Moment(night + timedelta(hours=9), withheld_since=night))
    assert morning is not None
    assert morning.summary.answer.status == "unknown"
