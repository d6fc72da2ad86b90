"""More writers than can be served: they wait in order, or are refused before they write."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import SimpleNamespace

import anyio
import httpx2
import pytest
from fastapi.routing import APIRoute

from app.changes.service import LOG_LOCK
from app.database import turns
from app.database.sessions import _request_session, _write_session
from app.database.write_queue import WRITERS_AT_ONCE, WriteQueue
from app.errors import Overloaded
from app.http.routing import _calls
from app.main import FEATURES
from tests.api import SUMSKAS, TVERECIUS, Api, Json, decision, problem
from tests.conftest import Database
from tests.faults.servers import WAITING, all_changes, assert_chained
from tests.marks import full
from tests.waiting import until

LONG = 60.0
"""Seconds that nobody waits for."""


# The queue


@dataclass
class Writers:
    """Writers of one queue, each of which ends its turn when it is told to."""

    queue: WriteQueue
    entered: list[str] = field(default_factory=list)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    ends: dict[str, asyncio.Future[None]] = field(default_factory=dict)

    async def come(self, *names: str) -> None:
        """Let them come one after the other; each goes as far as it can."""
        for name in names:
            self.ends[name] = asyncio.get_running_loop().create_future()
            self.tasks[name] = asyncio.create_task(self._write(name))
            await anyio.wait_all_tasks_blocked()

    async def _write(self, name: str) -> None:
        async with self.queue.turn():
            self.entered.append(name)
            await self.ends[name]

    async def end(self, *names: str) -> None:
        for name in names:
            self.ends[name].set_result(None)
            await self.tasks[name]
        await anyio.wait_all_tasks_blocked()

    async def refusal(self, name: str) -> Overloaded:
        """Return what a writer was told that did not get its turn."""
        with pytest.raises(Overloaded) as told:
            await self.tasks[name]
        assert name not in self.entered
        assert int(told.value.headers["Retry-After"]) >= 1
        return told.value


def numbered(name: str, count: int) -> list[str]:
    return [f"{name}-{number}" for number in range(count)]


FIRST = numbered("first", WRITERS_AT_ONCE)
"""As many writers as may be under way."""


async def fully_taken(*, limit: int = 500, deadline: float = LONG) -> Writers:
    """Return a queue in which nobody waits yet, and the next one would have to."""
    writers = Writers(WriteQueue(limit=limit, deadline=deadline))
    await writers.come(*FIRST)
    assert writers.entered == FIRST
    return writers


async def test_a_few_write_at_once_and_the_next_one_waits_until_one_of_them_ends() -> None:
    writers = await fully_taken()
    await writers.come("next")
    assert writers.entered == FIRST
    await writers.end(FIRST[2])
    assert writers.entered == [*FIRST, "next"]
    await writers.end(*FIRST[:2], *FIRST[3:], "next")


async def test_who_comes_first_is_served_first() -> None:
    writers = await fully_taken()
    waiting = numbered("waiting", 20)
    await writers.come(*waiting)
    for place, name in enumerate([*FIRST, *waiting]):
        await writers.end(name)
        assert writers.entered == [*FIRST, *waiting][: place + 1 + WRITERS_AT_ONCE]


async def test_nobody_overtakes_the_one_whose_turn_has_just_come() -> None:
    """Not even who comes before that one could take it."""
    writers = await fully_taken()
    await writers.come("waiting")
    writers.ends[FIRST[0]].set_result(None)
    # It begins before the one that waits has been woken.
    await writers.come("late")
    assert writers.entered == [*FIRST, "waiting"]
    await writers.end("waiting")
    assert writers.entered == [*FIRST, "waiting", "late"]
    await writers.end(*FIRST[1:], "late")


async def test_no_more_wait_than_may() -> None:
    """Who comes to a full queue is refused at once; when one is served, another may wait."""
    writers = await fully_taken(limit=2)
    await writers.come("one", "other", "too-many")
    assert writers.tasks["too-many"].done()
    told = await writers.refusal("too-many")
    assert (told.status, told.slug) == (503, "overloaded")
    assert "Nothing was written" in told.detail

    await writers.end(FIRST[0])
    await writers.come("another")
    assert not writers.tasks["another"].done()
    await writers.end(*FIRST[1:], "one", "other", "another")
    assert writers.entered == [*FIRST, "one", "other", "another"]


async def test_who_has_waited_until_the_deadline_is_refused() -> None:
    writers = await fully_taken(deadline=0.05)
    came = asyncio.get_running_loop().time()
    await writers.come("waiting")
    told = await writers.refusal("waiting")
    assert asyncio.get_running_loop().time() - came >= 0.05
    assert told.slug == "overloaded"


async def test_who_was_refused_at_the_deadline_has_left_the_queue() -> None:
    """Its turn is nobody's loss, nor is its place."""
    writers = await fully_taken(limit=1, deadline=0.05)
    await writers.come("refused")
    await writers.refusal("refused")
    await writers.end(*FIRST)
    second = numbered("second", WRITERS_AT_ONCE)
    await writers.come(*second)
    assert writers.entered == [*FIRST, *second]
    await writers.come("waiting")
    await writers.end(second[0])
    assert writers.entered[-1] == "waiting"
    await writers.end(*second[1:], "waiting")


@dataclass
class Clock:
    """What the queue takes the time from."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=found.monotonic))
    return found


async def spend(writers: Writers, clock: Clock, *, seconds: float) -> None:
    """Let many writes take so long that this is what the next ones are expected to take."""
    for _ in range(200):
        async with writers.queue.turn():
            clock.now += seconds


async def test_who_could_not_be_served_in_time_is_refused_at_once(clock: Clock) -> None:
    """Four at once that take 10 seconds: one turn in 2.5 seconds, so that the third is too late."""
    writers = Writers(WriteQueue(limit=500, deadline=6))
    await spend(writers, clock, seconds=10)
    await writers.come(*FIRST, "in-2.5-s", "in-5-s", "in-7.5-s")

    assert writers.entered == FIRST
    assert [name for name, task in writers.tasks.items() if task.done()] == ["in-7.5-s"]
    told = await writers.refusal("in-7.5-s")
    assert told.headers["Retry-After"] == "8"
    await writers.end(*FIRST, "in-2.5-s", "in-5-s")


async def test_nobody_is_refused_while_a_turn_is_free_however_long_writes_take(
    clock: Clock,
) -> None:
    writers = Writers(WriteQueue(limit=500, deadline=6))
    await spend(writers, clock, seconds=1_000)
    await writers.come(*FIRST, "too-late")
    assert writers.entered == FIRST
    await writers.refusal("too-late")
    await writers.end(*FIRST)


async def test_one_slow_write_among_quick_ones_makes_nobody_be_refused(clock: Clock) -> None:
    writers = Writers(WriteQueue(limit=500, deadline=6))
    await spend(writers, clock, seconds=0.01)
    async with writers.queue.turn():
        clock.now += 30
    await writers.come(*FIRST, "next")
    assert not writers.tasks["next"].done()
    await writers.end(*FIRST, "next")


async def test_writers_wait_again_once_writes_are_quick_again(clock: Clock) -> None:
    writers = Writers(WriteQueue(limit=500, deadline=6))
    await spend(writers, clock, seconds=1_000)
    await spend(writers, clock, seconds=0.01)
    waiting = numbered("waiting", 100)
    await writers.come(*FIRST, *waiting)
    assert not any(writers.tasks[name].done() for name in waiting)
    await writers.end(*FIRST, *waiting)


async def test_who_went_away_leaves_no_trace() -> None:
    """Its place is free at once, and its turn is the next one's."""
    writers = await fully_taken(limit=2)
    await writers.come("gone", "waiting")
    writers.tasks["gone"].cancel()
    await anyio.wait_all_tasks_blocked()
    assert writers.tasks["gone"].cancelled()
    await writers.come("next")
    await writers.end(*FIRST[:2])
    assert writers.entered == [*FIRST, "waiting", "next"]
    await writers.end(*FIRST[2:], "waiting", "next")
    await assert_all_turns_are_free(writers)


async def test_who_goes_away_just_when_its_turn_comes_passes_it_on() -> None:
    writers = await fully_taken()
    await writers.come("gone", "waiting")
    writers.ends[FIRST[0]].set_result(None)
    # It has been given its turn by then, and has not been woken.
    asyncio.get_running_loop().call_soon(writers.tasks["gone"].cancel)
    await anyio.wait_all_tasks_blocked()
    assert writers.tasks["gone"].cancelled()
    assert writers.entered == [*FIRST, "waiting"]
    await writers.end(*FIRST[1:], "waiting")
    await assert_all_turns_are_free(writers)


async def test_a_writer_that_is_cancelled_in_its_turn_gives_it_back() -> None:
    writers = await fully_taken()
    await writers.come("waiting")
    writers.tasks[FIRST[0]].cancel()
    await anyio.wait_all_tasks_blocked()
    assert writers.entered == [*FIRST, "waiting"]
    await writers.end(*FIRST[1:], "waiting")
    await assert_all_turns_are_free(writers)


async def test_a_writer_that_fails_gives_its_turn_back() -> None:
    writers = await fully_taken()
    await writers.come("waiting")
    writers.ends[FIRST[0]].set_exception(RuntimeError("the write fails"))
    with pytest.raises(RuntimeError, match="the write fails"):
        await writers.tasks[FIRST[0]]
    await anyio.wait_all_tasks_blocked()
    assert writers.entered == [*FIRST, "waiting"]
    await writers.end(*FIRST[1:], "waiting")
    await assert_all_turns_are_free(writers)


async def assert_all_turns_are_free(writers: Writers) -> None:
    """Check that as many may enter as ever, and no more."""
    again = numbered("again", WRITERS_AT_ONCE)
    before = len(writers.entered)
    await writers.come(*again, "one-more")
    assert writers.entered[before:] == again
    await writers.end(*again, "one-more")


# The service

WRITERS = 100


def body(number: int) -> dict[str, object]:
    """Return a write that the log tells from all others."""
    crossing = (SUMSKAS, TVERECIUS)[number % 2]
    reason = {"code": "security", "text": f"Writer {number}"}
    return decision(crossings=[crossing], reason=reason)


def send(api: Api, number: int) -> Awaitable[httpx2.Response]:
    return api.post("/v1/events", body(number), idempotency_key=f"writer-{number}")


def asked(api: Api, numbers: Sequence[int]) -> dict[int, asyncio.Task[httpx2.Response]]:
    """Let writers send all at once."""
    return {number: asyncio.ensure_future(send(api, number)) for number in numbers}


async def answered(tasks: dict[int, asyncio.Task[httpx2.Response]]) -> dict[int, httpx2.Response]:
    with anyio.fail_after(LONG):
        return {number: await task for number, task in tasks.items()}


def acknowledged(answers: dict[int, httpx2.Response]) -> list[int]:
    """Return whose writes were; check that all others were refused in the right way."""
    found = []
    for number, answer in answers.items():
        if answer.status_code == 201:
            found.append(number)
        else:
            told = problem(answer, 503, "overloaded")
            assert "Nothing was written" in str(told["detail"])
            assert int(answer.headers["retry-after"]) >= 1
            assert "change-number" not in answer.headers
    return found


async def assert_written(api: Api, before: int, numbers: Sequence[int]) -> None:
    """Check that the log has exactly these writers' writes since ``before``, each once."""
    log = await all_changes(api)
    assert_chained(log)
    assert Counter(map(reason_of, log[before:])) == Counter(f"Writer {one}" for one in numbers)
    events = (await api.get("/v1/events", limit=200)).json()["items"]
    ours = [one["reason"]["text"] for one in events if one["recorded_by"] == "reporter"]
    assert sorted(ours) == sorted(f"Writer {one}" for one in numbers)


def reason_of(change: Json) -> str:
    payload = change["payload"]
    assert isinstance(payload, dict)
    events = payload["events"]
    assert isinstance(events, list)
    (event,) = events
    assert isinstance(event, dict)
    assert isinstance(event["reason"], dict)
    return str(event["reason"]["text"])


async def test_a_hundred_writers_at_once_are_all_served_if_they_may_wait(
    seeded: Database,
) -> None:
    async with seeded.api(write_deadline=LONG) as api:
        before = len(await all_changes(api))
        answers = await answered(asked(api, range(WRITERS)))
        assert acknowledged(answers) == list(range(WRITERS))
        numbers = sorted(int(one.headers["change-number"]) for one in answers.values())
        assert numbers == list(range(before + 1, before + 1 + WRITERS))
        await assert_written(api, before, range(WRITERS))


@full
async def test_of_a_hundred_writers_at_a_short_queue_each_is_served_or_refused(
    seeded: Database,
) -> None:
    """The log has what was acknowledged, and nothing else."""
    async with seeded.api(write_queue=5, write_deadline=LONG) as api:
        before = len(await all_changes(api))
        done = acknowledged(await answered(asked(api, range(WRITERS))))
        assert WRITERS_AT_ONCE + 5 <= len(done) < WRITERS
        await assert_written(api, before, done)


@full
async def test_who_was_refused_may_repeat_the_write_with_its_key(seeded: Database) -> None:
    """Those under way and five more are served, all others refused before they write."""
    async with seeded.api(write_queue=5, write_deadline=LONG) as api:
        before = len(await all_changes(api))
        tasks = asked(api, range(WRITERS))
        await while_the_log_is_held(seeded, tasks, left=WRITERS_AT_ONCE + 5)
        first = await answered(tasks)
        done = acknowledged(first)
        assert len(done) == WRITERS_AT_ONCE + 5
        await assert_written(api, before, done)

        refused = sorted(first.keys() - set(done))
        for start in range(0, len(refused), WRITERS_AT_ONCE + 5):
            again = await answered(asked(api, refused[start : start + WRITERS_AT_ONCE + 5]))
            assert len(acknowledged(again)) == len(again)
            assert not any("idempotent-replayed" in one.headers for one in again.values())
        await assert_written(api, before, range(WRITERS))

        for number in done:
            replayed = await send(api, number)
            assert replayed.headers["idempotent-replayed"] == "true"
            assert replayed.content == first[number].content
        assert len(await all_changes(api)) == before + WRITERS


async def test_who_has_waited_for_too_long_is_refused_and_nothing_is_written(
    seeded: Database,
) -> None:
    async with seeded.api(write_deadline=0.2) as api:
        before = len(await all_changes(api))
        tasks = asked(api, range(20))
        await while_the_log_is_held(seeded, tasks, left=WRITERS_AT_ONCE)
        done = acknowledged(await answered(tasks))
        assert len(done) == WRITERS_AT_ONCE
        await assert_written(api, before, done)


@full
async def test_writers_that_wait_take_no_connections_from_readers(seeded: Database) -> None:
    async with seeded.api(write_deadline=LONG) as api:
        before = len(await all_changes(api))
        tasks = asked(api, range(50))

        async def read() -> None:
            response = await api.get("/v1/events", limit=1)
            assert response.status_code == 200, response.text
            assert not any(task.done() for task in tasks.values())

        await while_the_log_is_held(seeded, tasks, left=50, then=read)
        assert acknowledged(await answered(tasks)) == list(range(50))
        await assert_written(api, before, range(50))


def test_every_operation_that_writes_waits_in_the_queue_of_writers() -> None:
    """With a body or without: those who read have their connections for themselves."""
    sessions = {
        (method, route.path): {_request_session, _write_session} & set(_calls(route.dependant))
        for feature in FEATURES
        for route in feature.routes
        if isinstance(route, APIRoute)
        for method in (route.methods or set()) - {"GET", "HEAD"}
    }

    assert {"DELETE", "PATCH", "POST"} <= {method for method, _ in sessions}
    assert [found for found in sessions.items() if found[1] != {_write_session}] == []


async def while_the_log_is_held(
    seeded: Database,
    tasks: dict[int, asyncio.Task[httpx2.Response]],
    *,
    left: int,
    then: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Keep the log until no more than ``left`` are to be answered and the first writers wait.

    Give it free once ``then`` is done.
    """
    async with AsyncExitStack() as stack:
        holder = stack.enter_context(seeded.connect())
        watcher = stack.enter_context(seeded.connect())
        holder.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
        await until(lambda: watcher.execute(WAITING).fetchone() == (WRITERS_AT_ONCE,))
        await until(lambda: sum(not task.done() for task in tasks.values()) == left)
        if then is not None:
            await then()
