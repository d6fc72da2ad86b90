"""The confirmations by observation that are loaded answer as all that are kept would."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from app.changes.service import Snapshot, reserve_slot, take_snapshot
from app.http.parameters import AsOf
from app.status.confirming import ObservedLane, record_confirming
from app.status.histories import CrossingHistory, load_histories, whole_history
from app.status.rule.history import Confirmation, Lane, Scope
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Traffic
from tests.api import MEDININKAI, Api
from tests.conftest import Database
from tests.marks import full
from tests.observations.observing import ago, record, row

CAR = Lane(Traffic.CAR, "LT")
HOURS = (30, 29, 20, 12, 5, 4, 1)
"""Before now, when the lane was seen to work; with gaps of more than six hours between some."""


@pytest.fixture
async def kept(api: Api, seeded: Database) -> list[Confirmation]:
    """Open a lane for six hours at a time, and return the confirmations by observation."""
    await api.declare(
        crossings=[MEDININKAI],
        sides=["LT"],
        status="open",
        effective={"from": ago(hours=40)},
        announced_at=ago(hours=40),
        traffic=["car"],
        to="LT",
    )
    patch = {"confirm_within_hours": 6, "citations": [{"source": {"title": "A test"}}]}
    assert (await api.patch(f"/v1/crossings/{MEDININKAI}", patch)).status_code == 200
    source = UUID((await record(api, row()))["source"])
    for hours in HOURS:
        async with seeded.session() as session:
            at = datetime.fromisoformat(ago(hours=hours))
            slot = await reserve_slot(session)
            await record_confirming(
                session, slot, source=source, lanes=[ObservedLane(MEDININKAI, CAR, at)]
            )
    with seeded.connect() as connection:
        rows = connection.execute(
            "SELECT observed_at, recorded_at FROM confirming_observation ORDER BY 1"
        ).fetchall()
    return [
        Confirmation(
            id=UUID(int=number),
            recorded_at=recorded_at,
            sides=frozenset({"LT"}),
            confirmed_at=observed_at,
            scope=Scope(frozenset({CAR.traffic}), CAR.to),
            is_observed=True,
        )
        for number, (observed_at, recorded_at) in enumerate(rows)
    ]


def with_all(history: CrossingHistory, kept: list[Confirmation]) -> ResolvedHistory:
    """Return a history with every confirmation instead of those that were loaded."""
    events = [event for event in history.history.events if event not in history.history.observed]
    return ResolvedHistory(replace(history.history, events=(*events, *kept)))


@full
async def test_at_any_instant_as_known_at_any(seeded: Database, kept: list[Confirmation]) -> None:
    async with seeded.session() as session:
        newest = await take_snapshot(session, AsOf())
        for number in range(len(kept) + 1):
            known_at = kept[number - 1].recorded_at if number else kept[0].recorded_at
            known_at -= timedelta(0) if number else timedelta(microseconds=1)
            snapshot = newest._replace(known_at=known_at)
            for one in kept:
                for offset in (-1, 1, 5.9 * 3600, 6 * 3600, 6.1 * 3600):
                    at = one.confirmed_at + timedelta(seconds=offset)
                    await assert_alike(seeded, snapshot, at, kept[:number])


async def assert_alike(
    database: Database, snapshot: Snapshot, at: datetime, kept: list[Confirmation]
) -> None:
    def compare(history: CrossingHistory) -> None:
        loaded, expected = history.resolved, with_all(history, kept)
        assert loaded.answer(at) == expected.answer(at)
        assert loaded.next_change(at) == expected.next_change(at)
        assert loaded.next_difference(at) == expected.next_difference(at)
        assert loaded.period(at) == expected.period(at)

    async with database.session() as session:
        compared = await load_histories(session, [MEDININKAI], snapshot, compare, at=at)
    assert compared == {MEDININKAI: None}


async def test_a_timeline_is_that_of_all_of_them(
    seeded: Database, kept: list[Confirmation]
) -> None:
    async with seeded.session() as session:
        snapshot = await take_snapshot(session, AsOf())
        history = await whole_history(session, MEDININKAI, snapshot)

    assert history is not None
    whole = await asyncio.to_thread(lambda: list(with_all(history, kept).timeline()))
    assert list(history.resolved.timeline()) == whole
