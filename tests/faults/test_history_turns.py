"""Whoever reads history waits for a turn, and is refused soon; the present and writers go on."""

from contextlib import AsyncExitStack

import pytest

from app.changes import read_sessions
from app.database.pools import Shares
from app.database.turns import Turns
from app.errors import HistoryOverloaded
from tests.api import SUMSKAS, Api, decision, problem
from tests.conftest import Database, started
from tests.marks import full
from tests.waiting import PATIENCE

PAST = "at=2023-09-01T00:00:00Z"
HISTORY = (
    f"/v1/crossings/{SUMSKAS}/timeline",
    f"/v1/crossings/{SUMSKAS}/statistics",
    "/v1/borders/BY-LT/statistics",
    f"/v1/crossings/{SUMSKAS}/status?{PAST}",
    f"/v1/crossings?{PAST}",
    f"/feeds/crossings/{SUMSKAS}.atom",
)
EXPORTS = (
    "/feeds/events.csv",
    "/feeds/events.xlsx",
    "/feeds/timelines.ndjson",
    "/feeds/statistics.csv",
    "/feeds/closures.ics",
)
PRESENT = (
    f"/v1/crossings/{SUMSKAS}/status",
    "/v1/crossings?status=closed",
    "/v1/events?limit=1",
    f"/crossings/{SUMSKAS}",
    "/",
)


@pytest.mark.parametrize("connections", [3, 4, 5, 10, 20, 100])
def test_each_has_connections_of_its_own_and_together_they_are_as_many_as_are_set(
    connections: int,
) -> None:
    shares = Shares.of(connections)
    assert min(shares.readers, shares.history, shares.writers) >= 1
    assert shares.readers + shares.history + shares.writers == connections
    assert 1 <= shares.writers_at_once <= shares.writers


async def test_who_would_wait_beyond_the_limit_is_refused_at_once() -> None:
    turns = Turns(HistoryOverloaded, "are waiting.", limit=0, deadline=PATIENCE, at_once=1)
    async with turns.turn():
        with pytest.raises(HistoryOverloaded) as refused:
            async with turns.turn():
                pass
    assert int(refused.value.headers["Retry-After"]) >= 1
    async with turns.turn():
        assert turns.refused == 1


@full
async def test_a_crowd_that_reads_history_leaves_the_present_and_writers_alone(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_sessions, "WAIT_SECONDS", 0.05)
    async with started(seeded.url) as (service, client), AsyncExitStack() as crowd:
        assert await service.board.reached(0, within=PATIENCE)
        api = Api(client, await seeded.new_key())
        state = service.application.state
        for turns in (state.history_turns.questions, state.history_turns.exports):
            for _ in range(state.pools.shares.history):
                await crowd.enter_async_context(turns.turn())

        for path in (*HISTORY, *EXPORTS):
            refused = problem(await client.get(path), 503, "history-overloaded")
            assert refused["detail"]
        for path in PRESENT:
            assert (await client.get(path)).status_code == 200, path
        assert (await api.post("/v1/events", decision())).status_code == 201

        await crowd.aclose()
        for path in (*HISTORY, *EXPORTS):
            assert (await client.get(path)).status_code == 200, path
