"""Many at once: nothing is lost, doubled, torn or out of order, and nobody waits for ever."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from uuid import UUID

import anyio
import httpx2
import pytest

from app.changes.service import LOG_LOCK
from app.status.rule.history import (
    Confirmation,
    Declaration,
    Event,
    EventRetraction,
    History,
    Lane,
    Scope,
)
from app.vocabulary import Certainty, Status, Traffic
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, Api, Json, decision, problem
from tests.conftest import Database
from tests.faults.servers import (
    ANSWERED_SECONDS,
    WAITING,
    Author,
    all_changes,
    assert_chained,
    assert_told_to_come_back,
    post,
    told,
)
from tests.marks import full, in_full
from tests.servers import service
from tests.status.rule import resolve
from tests.waiting import until


async def at_once(*requests: Awaitable[httpx2.Response]) -> list[httpx2.Response]:
    """Make requests together and return their answers in the order of the requests."""
    answers: list[httpx2.Response | None] = [None] * len(requests)

    async def ask(place: int, request: Awaitable[httpx2.Response]) -> None:
        answers[place] = await request

    async with anyio.create_task_group() as group:
        for place, request in enumerate(requests):
            group.start_soon(ask, place, request)
    return [answer for answer in answers if answer is not None]


@asynccontextmanager
async def two_servers(database: Database, folder: Path) -> AsyncIterator[list[Api]]:
    """Give two processes that serve one database."""
    key = await database.new_key()
    async with AsyncExitStack() as stack:
        found = []
        for name in ("one", "other"):
            log = folder / f"{name}.log"
            running = stack.enter_context(service(log, database_url=database.url, worker=False))
            found.append(await stack.enter_async_context(running.api(key)))
        yield found


def statuses(answers: Sequence[httpx2.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


# Writers


async def test_writers_on_one_crossing_are_put_in_one_order(api: Api) -> None:
    """Numbers leave no gap, instants follow them, and the status is what the rule says."""
    before = len(await all_changes(api))
    wishes = zip(
        islice(cycle(["open", "restricted", "closed"]), 20),
        cycle(["LT", "BY"]),
        cycle(["confirmed", "confirmed", "confirmed", "reported", "unconfirmed"]),
        strict=False,
    )
    answers = await at_once(
        *(
            api.post("/v1/events", decision(status=status, sides=[side], certainty=certainty))
            for status, side, certainty in wishes
        )
    )

    assert statuses(answers) == {201: 20}
    told_events = [answer.json()["events"][0] for answer in answers]
    told_events.sort(key=lambda event: int(event["change"]))
    assert [event["change"] for event in told_events] == list(range(before + 1, before + 21))
    instants = [event["recorded_at"] for event in told_events]
    assert instants == sorted(set(instants))
    log = (await api.get(f"/v1/crossings/{SUMSKAS}/events", limit=200)).json()["items"]
    assert log[:20] == told_events[::-1]
    assert {event["recorded_by"] for event in log[20:]} == {"seed"}
    await assert_status_follows_from(api, log)


async def assert_status_follows_from(api: Api, log: list[Json]) -> None:
    """Recompute the answer from the public log and compare."""
    at = datetime.fromisoformat(str(log[0]["recorded_at"])) + timedelta(seconds=1)
    crossing = (await api.get(f"/v1/crossings/{SUMSKAS}")).json()
    history = History(
        sides=("BY", "LT"),
        lanes=tuple(Lane(Traffic(name), to) for name in crossing["traffic"] for to in ("BY", "LT")),
        confirm_within=timedelta(days=crossing["confirm_within_days"]),
        events=tuple(map(event_of, log)),
    )
    expected = resolve(history, at)

    found = await api.status(at=at.isoformat())
    assert found["status"] == expected.status
    assert found["sides"] == dict(expected.sides)
    assert ids(found["decided_by"]) == [str(one.id) for one in expected.decided_by]
    assert ids(found["also_said"]) == [str(one.id) for one in expected.also_said]
    assert found["lanes"] == [
        {
            "traffic": one.lane.traffic,
            "to": one.lane.to,
            "status": one.status,
            "last_known": one.last_known,
            "stale": one.stale,
            "overdue": one.overdue,
            "decided_by": str(one.decided_by.id) if one.decided_by else None,
            "reason": None,
        }
        for one in expected.lanes
    ]


def ids(events: object) -> list[str]:
    assert isinstance(events, list)
    return [str(event["id"]) for event in events]


def event_of(body: Json) -> Event:
    """Read an event of the API as the rule needs it."""
    (event_id, recorded_at) = UUID(str(body["id"])), instant(body["recorded_at"])
    assert recorded_at
    if isinstance(body["retracts"], str):
        return EventRetraction(
            id=event_id, recorded_at=recorded_at, retracts=UUID(body["retracts"])
        )
    sides, traffic, effective = body["sides"], body["traffic"], body["effective"]
    assert isinstance(sides, list)
    assert traffic is None or isinstance(traffic, list)
    scope = Scope(
        None if traffic is None else frozenset(Traffic(str(one)) for one in traffic),
        None if body["to"] is None else str(body["to"]),
    )
    confirmed_at = instant(body["confirmed_at"])
    if confirmed_at:
        return Confirmation(
            id=event_id,
            recorded_at=recorded_at,
            sides=frozenset(map(str, sides)),
            confirmed_at=confirmed_at,
            scope=scope,
        )
    assert isinstance(effective, dict)
    start = instant(effective["from"])
    assert start
    return Declaration(
        id=event_id,
        recorded_at=recorded_at,
        sides=frozenset(map(str, sides)),
        status=Status(str(body["status"])),
        start=start,
        end=instant(effective["until"]),
        expected_until=instant(body["expected_until"]),
        scope=scope,
        certainty=Certainty(str(body["certainty"])),
        announced_at=instant(body["announced_at"]),
        supersedes=UUID(body["supersedes"]) if isinstance(body["supersedes"], str) else None,
    )


def instant(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


async def test_decisions_over_crossings_in_opposite_orders_do_not_deadlock(api: Api) -> None:
    orders = [
        [SUMSKAS, TVERECIUS, MEDININKAI],
        [MEDININKAI, TVERECIUS, SUMSKAS],
        [TVERECIUS, SUMSKAS],
        [SUMSKAS, TVERECIUS],
    ]
    answers = await at_once(
        *(
            api.post("/v1/events", decision(crossings=crossings))
            for crossings in islice(cycle(orders), 20)
        )
    )

    assert statuses(answers) == {201: 20}
    for crossings, answer in zip(cycle(orders), answers, strict=False):
        assert [event["crossing"] for event in answer.json()["events"]] == crossings


# One key


async def test_one_idempotency_key_from_many_clients_is_one_write(api: Api) -> None:
    """All but one of the equal answers are replays."""
    before = await all_changes(api)
    answers = await at_once(
        *(api.post("/v1/events", decision(), idempotency_key="the-same") for _ in range(20))
    )

    assert_one_write(answers)
    assert len(await all_changes(api)) == len(before) + 1


@full
async def test_one_idempotency_key_at_two_servers_is_one_write(
    seeded: Database, tmp_path: Path
) -> None:
    async with two_servers(seeded, tmp_path) as servers:
        before = await all_changes(servers[0])
        answers = await at_once(
            *(
                api.post("/v1/events", decision(), idempotency_key="the-same")
                for api in islice(cycle(servers), 20)
            )
        )
        after = await all_changes(servers[1])

    assert_one_write(answers)
    assert len(after) == len(before) + 1


def assert_one_write(answers: list[httpx2.Response]) -> None:
    assert statuses(answers) == {201: 20}
    assert len({told(answer) for answer in answers}) == 1
    replayed = Counter(answer.headers.get("idempotent-replayed") for answer in answers)
    assert replayed == {None: 1, "true": 19}


# Readers


@pytest.mark.parametrize(("writers", "writes"), [(8, 6), *in_full((16, 12))])
async def test_a_reader_of_changes_misses_none_under_many_writers(
    api: Api, writers: int, writes: int
) -> None:
    await assert_reader_misses_nothing([api], writers=writers, writes=writes)


@full
async def test_a_reader_of_changes_misses_none_though_two_servers_write(
    seeded: Database, tmp_path: Path
) -> None:
    """The reader turns to one server and the other as it pages."""
    async with two_servers(seeded, tmp_path) as servers:
        await assert_reader_misses_nothing(servers, writers=16, writes=6)


async def assert_reader_misses_nothing(servers: list[Api], *, writers: int, writes: int) -> None:
    """Write as many times as said with each writer, and read along all the while."""
    start = len(await all_changes(servers[0]))
    seen: list[Json] = []
    written: list[int] = []

    async def write(author: Author, api: Api) -> None:
        for _ in range(writes):
            response = await post(api, author.next())
            assert response.status_code == 201, response.text
            author.undo += response.json().get("undo", [])
            written.append(int(response.headers["change-number"]))

    async def read() -> None:
        turns = cycle(servers)
        address = f"/v1/changes?after={start}&limit=7"
        while len(seen) < writers * writes:
            # What was acknowledged before the question must not be missing in the answer.
            acknowledged = max(written, default=0)
            response = await next(turns).get(address)
            page = response.json()
            seen.extend(page["items"])
            numbers = [one["change"] for one in seen]
            assert numbers == list(range(start + 1, start + 1 + len(seen)))
            if len(page["items"]) < 7:
                assert start + len(seen) >= acknowledged
            address = page["next"].partition("/v1/")[2].join(["/v1/", ""])

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for number, api in zip(range(writers), cycle(servers), strict=False):
            group.start_soon(write, Author(f"writer-{number}"), api)

    log = await all_changes(servers[0])
    assert_chained(log)
    assert seen == log[start:]
    assert sorted(written) == [one["change"] for one in seen]
    assert {str(one["kind"]) for one in seen} == {
        "decision",
        "retraction",
        "confirmation",
        "crossing",
        "source",
    }


# Two at one event


async def test_of_two_corrections_at_once_one_wins(seeded: Database) -> None:
    """Two reporters mend the same event; the other is told that it came too late."""
    async with seeded.api() as api:
        rival = await seeded.new_key(name="rival")
        for _ in range(5):
            wrong = (await api.declare())["events"]
            mended = decision(status="open", supersedes=ids(wrong))
            answers = await at_once(
                api.post("/v1/events", mended), api.post("/v1/events", mended, key=rival)
            )
            winner = assert_one_wins(answers)
            assert await fate_of(api, ids(wrong)[0]) == (winner["id"], None)


async def test_of_a_correction_and_a_retraction_at_once_one_wins(seeded: Database) -> None:
    async with seeded.api() as api:
        rival = await seeded.new_key(name="rival")
        for _ in range(5):
            (wrong,) = ids((await api.declare())["events"])
            answers = await at_once(
                api.post("/v1/events", decision(status="open", supersedes=[wrong])),
                api.post(
                    f"/v1/events/{wrong}/retraction", {"reason": {"code": "other"}}, key=rival
                ),
            )
            winner = assert_one_wins(answers)
            assert await fate_of(api, wrong) == (
                (winner["id"], None) if winner["kind"] == "declaration" else (None, winner["id"])
            )


def assert_one_wins(answers: list[httpx2.Response]) -> Json:
    """Return the event of the one that did."""
    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert won.status_code == 201
    problem(lost, 409, "superseded")
    event: Json = won.json()["events"][0]
    return event


async def fate_of(api: Api, event_id: str) -> tuple[object, object]:
    event = (await api.get(f"/v1/events/{event_id}")).json()
    return event["superseded_by"], event["retracted_by"]


# A writer that stalls


@full
async def test_a_stalled_writer_holds_nobody_up_for_long(seeded: Database) -> None:
    """Other writers are told to come back, the present is still told, and then all goes on."""
    async with seeded.api() as api:
        before = await all_changes(api)
        author = Author("writer")
        writes = [author.next() for _ in range(6)]
        with seeded.connect() as stalled:
            stalled.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
            with anyio.fail_after(ANSWERED_SECONDS):
                answers = await at_once(
                    *(post(api, write) for write in writes),
                    api.get(f"/v1/crossings/{SUMSKAS}/status", known_at="2024-01-01T00:00:00Z"),
                )
            for answer in answers:
                assert_told_to_come_back(answer)
            assert await all_changes(api) == before
            await api.status()

        again = [await post(api, write) for write in writes]
        assert statuses(again) == {201: 6}
        assert not any("idempotent-replayed" in answer.headers for answer in again)
        assert len(await all_changes(api)) == len(before) + 6


@full
async def test_more_writers_than_connections_behind_a_stalled_one_are_all_answered(
    seeded: Database,
) -> None:
    """Whether they wait for the log or for a connection; and so are readers."""
    async with seeded.api(pool_size=3, write_deadline=1) as api:
        before = await all_changes(api)
        with seeded.connect() as stalled:
            stalled.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
            with anyio.fail_after(ANSWERED_SECONDS):
                writes = await at_once(*(api.post("/v1/events", decision()) for _ in range(12)))
            for answer in writes:
                assert_told_to_come_back(answer)
        assert await all_changes(api) == before


@full
async def test_a_repeated_write_behind_a_stalled_one_is_not_done_twice(seeded: Database) -> None:
    """While the first request hangs, the second one with its key is told to come back."""
    async with seeded.api() as api:
        before = await all_changes(api)
        with seeded.connect() as stalled:
            stalled.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
            with anyio.fail_after(ANSWERED_SECONDS):
                answers = await at_once(
                    *(api.post("/v1/events", decision(), idempotency_key="K") for _ in range(3))
                )
            for answer in answers:
                assert answer.status_code in {409, 503}
                slug = {409: "idempotency-key-in-flight", 503: "unavailable"}[answer.status_code]
                problem(answer, answer.status_code, slug)
                assert int(answer.headers["retry-after"]) > 0
        last = await api.post("/v1/events", decision(), idempotency_key="K")
        assert last.status_code == 201
        assert "idempotent-replayed" not in last.headers
        assert len(await all_changes(api)) == len(before) + 1


async def test_a_reader_as_known_at_an_instant_waits_for_writers_in_flight(
    seeded: Database,
) -> None:
    """Or a change recorded before that instant could appear behind its back."""
    async with seeded.api() as api:
        known_at = (await all_changes(api))[-1]["recorded_at"]
        answers: list[httpx2.Response] = []

        async def ask() -> None:
            answers.append(await api.get(f"/v1/crossings/{SUMSKAS}/status", known_at=str(known_at)))

        with seeded.connect() as writer, seeded.connect() as watcher:
            writer.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                await until(lambda: watcher.execute(WAITING).fetchone() == (1,))
                assert answers == []
                writer.execute("SELECT pg_advisory_unlock(%s)", [LOG_LOCK])
        assert statuses(answers) == {200: 1}


@pytest.mark.parametrize("how", ["commit", "rollback"])
async def test_a_writer_waits_its_turn_behind_one_that_has_the_number_already(
    seeded: Database, how: str
) -> None:
    """The next number is the one after it if it commits, and its own if it does not."""
    async with seeded.api() as api:
        newest = len(await all_changes(api))
        answers: list[httpx2.Response] = []

        async def write() -> None:
            answers.append(await api.post("/v1/events", decision()))

        with seeded.connect() as first, seeded.connect() as watcher:
            first.execute("BEGIN")
            first.execute(TAKE_NEXT)
            async with anyio.create_task_group() as group:
                group.start_soon(write)
                await until(lambda: watcher.execute(WAITING).fetchone() == (1,))
                first.execute(how.upper())
        assert statuses(answers) == {201: 1}
        assert answers[0].json()["change"] == newest + (2 if how == "commit" else 1)


# The newest change once more, as the next one.
TAKE_NEXT = """
    INSERT INTO change (number, kind, recorded_at, subjects, payload, hash)
    SELECT number + 1, kind, clock_timestamp(), subjects, payload, hash
    FROM change ORDER BY number DESC LIMIT 1
"""
