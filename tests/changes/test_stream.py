"""The stream of changes: what a follower reads, from where, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from app.board.middleware import BoardMiddleware
from app.changes.stream import stream as stream_module
from app.changes.stream import wire
from app.embedded.server import SUPERUSER
from tests.api import MEDININKAI, SUMSKAS, Api, Json, fields_of, problem
from tests.conftest import Database, started
from tests.faults.servers import all_changes
from tests.marks import full
from tests.streams import EVENT_STREAM, Event, Reader, parse, reading
from tests.waiting import PATIENCE, until

CHANGES = "/v1/changes"


@dataclass(frozen=True)
class World:
    """A service, a client of it, and its database."""

    service: BoardMiddleware
    api: Api
    database: Database

    async def write(self, count: int = 1) -> int:
        """Record so many sources, and return the number of the last."""
        for _ in range(count):
            response = await self.api.post("/v1/sources", {"title": "Told by a test"})
            assert response.status_code == 201, response.text
        return await self.newest()

    async def newest(self) -> int:
        """Return the number of the newest change, once this service has it."""
        return int((await self.api.get("/v1/crossings?limit=1")).headers["change-number"])


@pytest.fixture(scope="module", autouse=True)
def short_memory() -> None:
    """These tests have all that an application keeps for its followers."""


@pytest.fixture
async def world(seeded: Database) -> AsyncIterator[World]:
    async with started(seeded.url) as (service, client):
        assert await service.board.reached(1, within=PATIENCE)
        api = Api(client, await seeded.new_key())
        assert await service.stream.reached(1, within=PATIENCE)
        yield World(service, api, seeded)


async def read(reader: Reader, number: int) -> None:
    """Wait until the reader has been told up to a change."""
    await until(lambda: number in reader.numbers)


# From where


async def test_it_resumes_after_the_last_id_with_what_the_pages_have(world: World) -> None:
    log = await all_changes(world.api)
    async with reading(world.service, headers={"Last-Event-ID": "7"}) as reader:
        await read(reader, len(log))
        last = await world.write()
        await read(reader, last)

    (written,) = (await world.api.get(CHANGES, after=last - 1)).json()["items"]
    assert reader.changes == [*log[7:], written]


async def test_without_a_place_it_begins_with_what_comes(world: World) -> None:
    newest = await world.newest()
    async with reading(world.service) as reader:
        assert [(one.id, one.name) for one in reader.events] == [(newest, None)]
        await world.write(3)
        await read(reader, newest + 3)

    assert reader.numbers == [newest + 1, newest + 2, newest + 3]


async def test_the_last_id_wins_over_after(world: World) -> None:
    newest = await world.newest()
    header = {"Last-Event-ID": str(newest - 1)}
    async with (
        reading(world.service, f"after={newest - 3}") as by_address,
        reading(world.service, f"after={newest - 3}", header) as by_header,
    ):
        await read(by_address, newest)
        await read(by_header, newest)

    assert by_address.numbers == [newest - 2, newest - 1, newest]
    assert by_header.numbers == [newest]


@full
async def test_what_is_no_longer_kept_in_memory_comes_from_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts of some changes, or of one that is large, without a gap between them."""
    monkeypatch.setattr(wire, "RECENT_CHANGES", 3)
    monkeypatch.setattr(stream_module, "CHANGES_PER_READ", 7)
    monkeypatch.setattr(stream_module, "PAGE_BYTES", 5_000)
    last = await world.write(5)  # the rest is forgotten with the next
    async with reading(world.service, "after=0") as reader:
        await read(reader, last)

    assert reader.numbers == [*range(1, last + 1)]


async def test_it_is_not_to_be_kept_or_held_back_on_its_way(world: World) -> None:
    async with reading(world.service) as reader:
        assert reader.status == 200
        told = {
            "content-type": "text/event-stream",
            "cache-control": "no-store",
            "vary": "Accept",
            "x-accel-buffering": "no",
            "x-request-id": reader.headers["x-request-id"],
        }
        assert told.items() <= reader.headers.items()
        assert reader.text.startswith("retry: ")


# What


@pytest.mark.parametrize(
    "query",
    [
        f"crossing={SUMSKAS}",
        f"crossing={SUMSKAS}&crossing={MEDININKAI}&kind=decision",
        "border=LT-BY&kind=notice&kind=confirmation",
        "country=PL",
        "traffic=truck&to=LT",
        f"crossing={MEDININKAI}&traffic=bus",
        "kind=hours",
    ],
)
async def test_pages_and_the_stream_have_the_same_changes_for_the_same_filter(
    world: World, query: str
) -> None:
    pages: list[Json] = []
    address = f"{CHANGES}?{query}&limit=9"
    while True:
        body = (await world.api.client.get(address)).json()
        pages += body["items"]
        if body["next"].endswith(f"after={await world.newest()}"):
            break
        address = body["next"]
    async with reading(world.service, f"{query}&after=0") as reader:
        await until(lambda: len(reader.numbers) >= len(pages))
        await world.api.declare(crossings=[SUMSKAS, MEDININKAI])
        last = await world.newest()
        body = (await world.api.client.get(f"{CHANGES}?{query}&after={last - 1}")).json()
        await until(lambda: len(reader.numbers) >= len(pages + body["items"]))

    assert reader.changes == pages + body["items"]
    assert bool(pages) == (query != "kind=hours")


async def test_a_page_says_how_far_it_looked_even_if_nothing_matched(world: World) -> None:
    newest = await world.newest()
    response = await world.api.client.get(f"{CHANGES}?kind=hours&crossing={SUMSKAS}&after=3")
    address = f"http://crossings.test{CHANGES}?kind=hours&crossing={SUMSKAS}&after={newest}"

    assert response.json() == {"items": [], "next": address}
    assert response.headers["link"] == f'<{address}>; rel="next"'
    assert response.headers["vary"].startswith("Accept")


async def test_a_filtered_stream_says_how_far_it_is_although_nothing_matched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 1)
    async with reading(world.service, "kind=hours") as reader:
        last = await world.write(2)
        await until(lambda: Event(last, None, {}) in reader.events)
        await until(lambda: reader.text.endswith("\n\n:\n\n"))

    assert reader.changes == []


# Refusals


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("x=1", {}, "x"),
        ("limit=5", {}, "limit"),
        ("after=-1", {}, "after"),
        ("after=1&after=2", {}, "after"),
        ("after=999999", {}, "after"),
        ("kind=nothing", {}, "kind.0"),
        ("crossing=No", {}, "crossing.0"),
        ("envelope=x", {}, "envelope"),
        ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "-1"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "999999"}, "Last-Event-ID"),
    ],
)
async def test_what_makes_no_sense_is_a_problem_and_no_stream(
    world: World, query: str, headers: dict[str, str], field: str
) -> None:
    given = {"Accept": EVENT_STREAM, **headers}
    response = await world.api.client.get(f"{CHANGES}?{query}", headers=given)

    assert fields_of(problem(response, 422, "invalid")) == [field]


async def test_a_change_that_is_not_in_the_log_is_waited_for_and_then_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may have told of it a moment ago; it may also have been lost."""
    newest = await world.newest()
    header = {"Accept": EVENT_STREAM, "Last-Event-ID": str(newest + 1)}
    monkeypatch.setattr("app.changes.stream.endpoint.CHANGE_WAIT_SECONDS", 0.1)
    response = await world.api.client.get(CHANGES, headers=header)
    assert fields_of(problem(response, 422, "invalid")) == ["Last-Event-ID"]

    monkeypatch.undo()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(world.write())
        async with reading(world.service, headers=header) as reader:
            last = await world.write()
            await read(reader, last)
    assert reader.numbers[0] == newest + 2


async def test_json_is_what_comes_unless_the_stream_is_asked_for(world: World) -> None:
    for accept in ("*/*", "application/json"):
        response = await world.api.client.get(f"{CHANGES}?limit=1", headers={"Accept": accept})
        assert response.headers["content-type"] == "application/json"
    head = await world.api.client.head(CHANGES, headers={"Accept": EVENT_STREAM})
    assert (head.status_code, head.headers["content-type"]) == (200, EVENT_STREAM)
    wrapped = await world.api.get(CHANGES, envelope="cloudevents")
    assert fields_of(problem(wrapped, 422, "invalid")) == ["envelope"]


# Its pace and its end


async def test_who_stops_reading_is_brought_up_when_there_is_room(world: World) -> None:
    newest = await world.newest()
    async with reading(world.service) as slow, reading(world.service) as other:
        slow.room.clear()
        await world.write(5)
        await read(other, newest + 5)
        assert slow.numbers == []
        slow.room.set()
        await read(slow, newest + 5)
        await world.write()
        await read(slow, newest + 6)

    assert slow.numbers == other.numbers == [*range(newest + 1, newest + 7)]


async def test_who_falls_too_far_behind_is_cut_off_and_resumes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept for anybody beyond the recent changes."""
    monkeypatch.setattr(wire, "RECENT_CHANGES", 3)
    newest = await world.newest()
    async with reading(world.service) as slow, reading(world.service) as other:
        slow.room.clear()
        await world.write(8)
        await read(other, newest + 8)
        slow.room.set()
        await until(lambda: slow.has_ended)
    last = slow.numbers[-1] if slow.numbers else newest
    async with reading(world.service, headers={"Last-Event-ID": str(last)}) as again:
        await read(again, newest + 8)

    assert len(slow.numbers) < 8
    assert slow.numbers + again.numbers == [*range(newest + 1, newest + 9)]


async def test_a_stream_lives_for_a_time_and_ends_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "LIFETIME_SECONDS", 1)
    async with reading(world.service) as reader:
        await until(lambda: reader.has_ended)


async def test_a_draining_service_ends_every_stream_and_lets_none_begin(world: World) -> None:
    async with reading(world.service) as one, reading(world.service, "after=0") as two:
        world.service.stream.drain()
        await until(lambda: one.has_ended and two.has_ended)
    async with reading(world.service) as late:
        assert late.status == 503
        assert int(late.headers["retry-after"]) > 0
    assert two.numbers == [*range(1, len(two.numbers) + 1)]


async def test_a_log_that_lost_its_newest_changes_says_so_and_ends_the_streams(
    world: World,
) -> None:
    """A standby that lagged has taken over: the numbers are given again."""
    newest = await world.write()
    async with reading(world.service) as reader:
        await world.write(2)
        await read(reader, newest + 2)
        with world.database.connect(SUPERUSER) as superuser:
            superuser.execute("SET session_replication_role = replica")
            for table, column in (("source", "change"), ("change", "number")):
                superuser.execute(f"DELETE FROM {table} WHERE {column} > {newest}")  # noqa: S608
        await until(lambda: reader.has_ended)
    *_, told = reader.events
    assert told == Event(newest, "dropped", {"after": newest})

    header = {"Last-Event-ID": str(told.id)}
    async with reading(world.service, headers=header) as again:
        await world.write()
        await read(again, newest + 1)
    (written,) = (await world.api.get(CHANGES, after=newest)).json()["items"]
    assert again.changes == [written]


async def test_a_reader_who_left_costs_nothing_more(world: World) -> None:
    async with reading(world.service), reading(world.service, "after=0"):
        assert world.service.stream.count == 2

    assert world.service.stream.count == 0


def test_the_bytes_of_an_event_are_as_the_standard_has_them() -> None:
    text = wire.event(7, "decision", {"text": "a\nb \u2028 ž"})

    assert text == 'id: 7\nevent: decision\ndata: {"text":"a\\nb \u2028 ž"}\n\n'
    assert parse(text) == [Event(7, "decision", {"text": "a\nb \u2028 ž"})]
