"""An allowance is the same in memory, in PostgreSQL and in Redis, and never a way to be down."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.connections import Connector
from app.database.sessions import Sessions, create_engine, create_sessions
from app.limits import stores
from app.limits.stores import (
    DatabaseAllowances,
    MemoryAllowances,
    PatientStore,
    Rate,
    RedisAllowances,
    Store,
    Taken,
    forget_allowances,
)
from tests.conftest import Database
from tests.limits.conftest import NEVER, slow
from tests.waiting import until

pytestmark = pytest.mark.anyio

Open = Callable[[], Store]


@pytest.fixture(params=["memory", "postgresql", "redis"])
async def open_store(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Open]:
    """What opens the store as one more process would; in memory it is always the same."""
    engines: list[AsyncEngine] = []
    opened: list[Store] = []
    memory = MemoryAllowances()

    def open_one() -> Store:
        if request.param == "memory":
            return memory
        if request.param == "redis":
            store: Store = RedisAllowances(request.getfixturevalue("redis_url"))
        else:
            store = DatabaseAllowances(sessions_of(database, engines))
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()
    for engine in engines:
        await engine.dispose()


def sessions_of(database: Database, engines: list[AsyncEngine]) -> Sessions:
    engine = create_engine(Connector(database.url), pool_size=1)
    engines.append(engine)
    return create_sessions(engine.execution_options(isolation_level="AUTOCOMMIT"))


async def taken(store: Store, name: str, rate: Rate, times: int) -> list[Taken]:
    return [await store.take(name, rate) for _ in range(times)]


async def test_what_is_allowed_at_once_is_allowed_and_one_more_is_not(open_store: Open) -> None:
    results = await taken(open_store(), "bound", slow(3), 4)

    assert [one.is_refused for one in results] == [False, False, False, True]
    assert [one.remaining for one in results] == [2, 1, 0, 0]


async def test_a_refusal_uses_nothing_up(open_store: Open) -> None:
    store = open_store()
    *_, last = await taken(store, "refused", slow(2), 2)
    *_, refused = await taken(store, "refused", slow(2), 20)

    assert refused.whole_after <= last.whole_after


async def test_it_says_when_there_will_be_more(open_store: Open) -> None:
    first, second, third = await taken(open_store(), "wait", slow(2), 3)

    assert first.next_after(slow(2)) == 0  # there is one left
    assert NEVER / 2 < second.next_after(slow(2)) <= NEVER
    assert NEVER / 2 < third.next_after(slow(2)) <= NEVER


async def test_each_has_an_allowance_of_its_own(open_store: Open) -> None:
    store = open_store()
    await taken(store, "one", slow(1), 2)

    assert not (await store.take("another", slow(1))).is_refused


async def test_processes_share_an_allowance(open_store: Open) -> None:
    one, other = open_store(), open_store()
    await taken(one, "shared", slow(4), 2)
    results = await taken(other, "shared", slow(4), 3)

    assert [result.is_refused for result in results] == [False, False, True]


async def test_those_who_come_at_once_are_counted_one_by_one(open_store: Open) -> None:
    open_stores = [open_store() for _ in range(4)]
    results = await asyncio.gather(
        *(store.take("at once", slow(10)) for store in open_stores for _ in range(8))
    )

    assert sum(not one.is_refused for one in results) == 10


async def test_what_is_given_back_can_be_taken_again(open_store: Open) -> None:
    store = open_store()
    await taken(store, "back", slow(3), 3)
    await store.take("back", slow(3), -1)
    results = await taken(store, "back", slow(3), 2)

    assert [one.is_refused for one in results] == [False, True]


async def test_a_rate_gives_back_with_time(open_store: Open) -> None:
    store, rate = open_store(), Rate(20, 1, 1)
    await store.take("again", rate)

    async def is_allowed() -> bool:
        return not (await store.take("again", rate)).is_refused

    await until(is_allowed)


async def test_allowances_that_are_whole_again_are_deleted(database: Database) -> None:
    engines: list[AsyncEngine] = []
    store = DatabaseAllowances(sessions_of(database, engines))
    await store.take("used", slow(1))
    await store.take("whole", Rate(1_000_000, 1, 1))
    async with database.session() as session:
        await forget_allowances(session)

    with database.connect() as connection:
        assert connection.execute("SELECT name FROM allowance").fetchall() == [("used",)]
    await engines[0].dispose()


@given(burst=st.integers(1, 50), requests=st.integers(1, 100))
async def test_memory_allows_exactly_the_burst(burst: int, requests: int) -> None:
    results = await taken(MemoryAllowances(), "any", slow(burst), requests)

    assert sum(not one.is_refused for one in results) == min(burst, requests)


async def test_memory_is_bounded_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MOST_IN_MEMORY", 10)
    store = MemoryAllowances()
    for number in range(100):
        await store.take(f"client {number}", slow(1))

    usage = store.usage()
    assert usage.entries == 10
    assert usage.bytes == usage.bound


@pytest.mark.parametrize("answer", ["refuses", "hangs"])
@pytest.mark.parametrize("kind", ["postgresql", "redis"])
async def test_nobody_is_refused_while_the_store_is_away(
    kind: str, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not asked again and again, either."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if answer == "refuses":
            listener.close()
        engine = create_engine(Connector(f"postgresql://nobody@127.0.0.1:{port}/nowhere"))
        store: Store = (
            RedisAllowances(f"redis://127.0.0.1:{port}/0")
            if kind == "redis"
            else DatabaseAllowances(create_sessions(engine))
        )
        patient = PatientStore(store)
        results = [await patient.take("anyone", slow(1)) for _ in range(20)]
        await patient.close()
        await engine.dispose()

    assert results == [None] * 20
    assert [one.levelname for one in caplog.records] == ["WARNING"]
