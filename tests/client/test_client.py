"""The client against the service, with all that can go wrong between them; in both its kinds."""

import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypedDict, TypeVar, assert_type

import anyio
import pytest

from crossing_status.client import (
    EXPORTS,
    AsyncClient,
    Change,
    ChangesDropped,
    Client,
    Conflict,
    CrossingStatus,
    CrossingStatusError,
    Decision,
    Invalid,
    ListedCrossing,
    NewCitation,
    NewConfirmation,
    NewDecision,
    NewObservation,
    NewObservations,
    NewReason,
    NewRetraction,
    NewSource,
    NewWait,
    NotFound,
    RateLimited,
    Retries,
    Traveller,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from crossing_status.vocabulary import (
    DeclaredStatus,
    ObservationMethod,
    ReasonCode,
    Status,
    Traffic,
    WaitState,
)
from tests import clients
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS
from tests.client.proxies import PREFIX, Cut, Drop, Proxy, Refuse
from tests.marks import full
from tests.servers import Service, free_port

Value = TypeVar("Value")
Either = type[Client] | type[AsyncClient]


class Lane(TypedDict):
    traffic: Traffic
    to: str


class Range(TypedDict):
    from_: datetime
    until: datetime


QUICK = Retries(attempts=3, first_delay=0.01)
BUSY = Refuse(503, {"Content-Type": "application/problem+json"}, '{"type": "/problems/overloaded"}')
TOLD_BY_A_TEST = [NewCitation(source=NewSource(title="Told by a test"))]


@pytest.fixture(params=[Client, AsyncClient])
def kind(request: pytest.FixtureRequest) -> Either:
    found: Either = request.param
    return found


def connected(kind: Either, url: str, key: str | None = None) -> Client | AsyncClient:
    return kind(url, key=key, retries=QUICK, timeout=60)


async def close(client: Client | AsyncClient) -> None:
    if isinstance(client, AsyncClient):
        await client.close()
    else:
        client.close()


@pytest.fixture
async def client(
    kind: Either, proxy: Proxy, server: Service
) -> AsyncIterator[Client | AsyncClient]:
    """A client that reaches the service through the proxy, with a key of every scope."""
    found = connected(kind, proxy.url, server.key)
    yield found
    await close(found)


async def answer(value: Value | object) -> object:
    """Return the answer of either client."""
    return await value if inspect.isawaitable(value) else value


async def first(count: int, values: object) -> list[object]:
    """Return the first values that either client iterates over, and stop it there."""
    if isinstance(values, Iterator):
        return list(islice(values, count))
    assert isinstance(values, AsyncIterator)
    found = []
    async for value in values:
        found.append(value)
        if len(found) == count:
            break
    return found


def closure(crossing: str = SUMSKAS) -> NewDecision:
    return NewDecision(
        crossings=[crossing],
        sides=["LT"],
        status=DeclaredStatus.CLOSED,
        reason=NewReason(code=ReasonCode.SECURITY, text="A test closes it"),
        citations=TOLD_BY_A_TEST,
    )


# What it is


def test_both_kinds_have_the_same_methods_with_the_same_parameters() -> None:
    def methods_of(kind: Either) -> dict[str, str]:
        return {
            name: str(inspect.signature(method))
            for name, method in vars(kind).items()
            if callable(method)
        }

    methods = methods_of(Client)

    assert methods == methods_of(AsyncClient)
    assert methods["event"] == "(self, /, event: uuid.UUID | str)"
    assert all((method.__doc__ or "") for method in vars(Client).values() if callable(method))


def test_it_loads_nothing_of_the_server() -> None:
    code = (
        "import sys, crossing_status.client\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert not loaded & {"app", "fastapi", "sqlalchemy", "psycopg", "starlette", "typer"}


def test_methods_are_typed(server: Service) -> None:
    with Client(server.url) as client:
        status = client.status(SUMSKAS, traffic="car")
        assert_type(status, CrossingStatus)
        assert_type(client.crossings(q="Šumskas"), Iterator[ListedCrossing])
        assert_type(client.follow(), Iterator[Change])
        assert status.status is Status.CLOSED


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://127.0.0.1", "", "http://"])
def test_an_address_that_is_not_of_http_is_refused_at_once(kind: Either, address: str) -> None:
    with pytest.raises(ValueError, match="is not an http or https address"):
        kind(address)


# Reading


async def test_it_returns_what_the_service_answers(
    client: Client | AsyncClient, server: Service
) -> None:
    question = (
        "traffic=truck&to=BY&citizen_of=LT&weight_kg=40000&empty=true&at=2024-01-01T00:00:00Z"
    )
    raw = clients.get(f"{server.url}/v1/crossings/{SUMSKAS}/status?{question}").json()

    status = await answer(
        client.status(
            SUMSKAS,
            traffic=Traffic.TRUCK,
            to="BY",
            traveller=Traveller(citizen_of=["LT"], weight_kg=40_000, empty=True),
            at=datetime(2024, 1, 1, tzinfo=UTC),
        )
    )

    assert isinstance(status, CrossingStatus)
    assert status.model_dump(mode="json", exclude_unset=True) == raw


async def test_every_read_works(client: Client | AsyncClient) -> None:
    """With every parameter at once, where they go together: the service refuses unknown ones."""
    now = datetime.now(UTC)
    year = Range(from_=datetime(2023, 1, 1, tzinfo=UTC), until=datetime(2024, 1, 1, tzinfo=UTC))
    traveller = Traveller(
        groups=["residents"], citizen_of=["LT", "PL"], empty=True, weight_kg=3_500, height_m=2.5
    )
    lane = Lane(traffic=Traffic.CAR, to="LT")
    decided = (await first(1, client.events(crossing=SUMSKAS, kind="declaration")))[0]

    for value in (
        client.crossing(SUMSKAS, traveller=traveller, at_least_change=1),
        client.border("LT-BY", traveller=traveller, at=now, known_change=60, at_least_change=1),
        client.statistics(SUMSKAS, **lane, **year),
        client.border_statistics("BY-LT", **lane, **year),
        client.event(decided.id),  # type: ignore[attr-defined]
    ):
        assert await answer(value)
    for number, values in enumerate([
        client.crossings(
            q="Medininkai", ids=[MEDININKAI], border="BY-LT", country="LT", mode="road",
            **lane, near=(54.69, 25.28), radius_km=100, bbox=(23, 53, 27, 56), order="evidence",
            retired=True, traveller=traveller, at=now, at_least_change=1,
        ),
        client.crossings(status="closed", known_change=300),
        client.alternatives(SUMSKAS, traffic="car", to="LT", traveller=traveller),
        client.borders(country="LT", at=now),
        client.timeline(SUMSKAS, **lane, start=year["from_"], end=year["until"], hours=True),
        client.timeline(SUMSKAS, known_change=60),
        client.changes(
            after=1, crossings=[SUMSKAS, TVERECIUS], borders=["BY-LT"], countries=["LT"],
            kinds=["decision", "confirmation"], **lane,
        ),
    ]):  # fmt: skip
        assert await first(1, values), number
    assert await first(1, client.observations(SUMSKAS, **lane, **year)) == []


async def test_it_iterates_over_all_pages_and_fetches_each_when_it_is_needed(
    client: Client | AsyncClient, proxy: Proxy, server: Service
) -> None:
    newest = clients.get(f"{server.url}/v1/changes/checkpoint").json()["change"]
    assert newest > 200
    changes = client.changes()
    assert proxy.requests == []

    numbers = [change.change for change in await first(10**6, changes)]  # type: ignore[attr-defined]

    assert numbers == list(range(1, newest + 1))
    periods = await first(10**6, client.timeline(SUMSKAS))
    assert [one.until for one in periods[:-1]] == [one.from_ for one in periods[1:]]  # type: ignore[attr-defined]


async def test_it_works_below_a_path(kind: Either, proxy: Proxy) -> None:
    """And follows the next pages there, wherever the service says that they are."""
    client = connected(kind, proxy.url + PREFIX)

    assert len(await first(300, client.changes())) == 300
    assert len(proxy.requests) == 2
    await close(client)


async def test_an_instant_needs_an_offset(client: Client | AsyncClient, proxy: Proxy) -> None:
    with pytest.raises(ValueError, match="needs an offset"):
        await answer(client.status(SUMSKAS, at=datetime(2024, 1, 1)))  # noqa: DTZ001
    assert proxy.requests == []


async def test_it_says_who_it_is(client: Client | AsyncClient, proxy: Proxy) -> None:
    await answer(client.status(SUMSKAS))

    assert proxy.requests[0].headers["user-agent"].startswith("crossing-status/")


# Errors


async def test_a_problem_is_an_error_of_its_kind(client: Client | AsyncClient) -> None:
    with pytest.raises(NotFound) as missing:
        await answer(client.status("no-such-crossing"))
    with pytest.raises(Invalid) as invalid:
        await answer(client.status(SUMSKAS, to="XX"))

    problem = missing.value
    assert (problem.status, problem.slug) == (404, "crossing-not-found")
    assert problem.title == "Crossing not found"
    assert problem.detail == str(problem)
    assert [(error.where, error.field) for error in invalid.value.errors] == [("query", "to")]


async def test_a_refusal_for_good_is_not_repeated(
    client: Client | AsyncClient, proxy: Proxy
) -> None:
    with pytest.raises(NotFound):
        await answer(client.crossing("no-such-crossing"))

    assert len(proxy.requests) == 1


async def test_without_a_key_nothing_is_written(kind: Either, proxy: Proxy) -> None:
    client = connected(kind, proxy.url)
    with pytest.raises(Unauthorized):
        await answer(client.declare(closure()))
    await close(client)


async def test_nobody_there_is_unreachable(kind: Either) -> None:
    client = connected(kind, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable, match="cannot be reached"):
        await answer(client.status(SUMSKAS))
    with pytest.raises(Unreachable):
        await first(1, client.follow())
    await close(client)


async def test_something_else_at_the_address_is_said(
    client: Client | AsyncClient, proxy: Proxy
) -> None:
    page = Refuse(200, {"Content-Type": "text/html"}, "<h1>It works!</h1>")
    proxy.faults += [page, page, page, Refuse(404, {"Content-Type": "text/html"}, "Nothing")]
    with pytest.raises(UnexpectedAnswer):
        await answer(client.status(SUMSKAS))
    with pytest.raises(UnexpectedAnswer):
        await first(1, client.crossings())
    with pytest.raises(UnexpectedAnswer):
        await first(1, client.follow())
    with pytest.raises(NotFound, match="404 Not Found"):
        await answer(client.status(SUMSKAS))


# Trying again


async def test_a_read_is_tried_again(client: Client | AsyncClient, proxy: Proxy) -> None:
    proxy.faults += [BUSY, Drop()]

    status = await answer(client.status(SUMSKAS))

    assert isinstance(status, CrossingStatus)
    assert len(proxy.requests) == 3


async def test_it_gives_up_after_its_attempts(client: Client | AsyncClient, proxy: Proxy) -> None:
    proxy.faults += [BUSY] * 9
    with pytest.raises(Unavailable) as refused:
        await answer(client.status(SUMSKAS))

    assert (refused.value.status, refused.value.slug) == (503, "overloaded")
    assert len(proxy.requests) == QUICK.attempts


async def test_it_does_not_wait_for_longer_than_it_may(
    client: Client | AsyncClient, proxy: Proxy
) -> None:
    proxy.faults += [Refuse(429, {"Retry-After": "3600"})]
    with pytest.raises(RateLimited) as refused:
        await answer(client.status(SUMSKAS))

    assert refused.value.retry_after == 3600
    assert len(proxy.requests) == 1


async def test_a_write_whose_answer_is_lost_is_done_once(
    client: Client | AsyncClient, proxy: Proxy
) -> None:
    """It is repeated with the same key, and gets the first answer."""
    proxy.faults += [Drop(), BUSY]

    decision = await answer(client.declare(closure(TVERECIUS)))

    assert isinstance(decision, Decision)
    keys = {request.headers["idempotency-key"] for request in proxy.requests}
    assert (len(proxy.requests), len(keys)) == (3, 1)
    found = await first(9, client.changes(after=decision.change - 1, crossings=[TVERECIUS]))
    assert [one.change for one in found] == [decision.change]  # type: ignore[attr-defined]


async def test_a_write_that_was_given_up_can_be_repeated_by_its_key(
    client: Client | AsyncClient, proxy: Proxy
) -> None:
    proxy.faults += [Drop()] * QUICK.attempts
    with pytest.raises(Unreachable) as lost:
        await answer(client.declare(closure(TVERECIUS)))

    decision = await answer(
        client.declare(closure(TVERECIUS), idempotency_key=lost.value.idempotency_key)
    )

    assert isinstance(decision, Decision)
    found = await first(9, client.changes(after=decision.change - 1, crossings=[TVERECIUS]))
    assert len(found) == 1


# Writing


async def test_what_is_declared_is_previewed_confirmed_and_withdrawn(
    client: Client | AsyncClient,
) -> None:
    retraction = NewRetraction(reason=NewReason(code=ReasonCode.OTHER, text="A test is over"))
    confirmation = NewConfirmation(sides=["LT"], citations=TOLD_BY_A_TEST)
    preview = await answer(client.preview_declaration(closure()))
    decision = await answer(client.declare(closure()))
    assert isinstance(decision, Decision)
    event = decision.events[0].id
    status = await answer(client.status(SUMSKAS, at_least_change=decision.change))
    assert isinstance(status, CrossingStatus)
    assert event in {found.id for found in status.decided_by}

    assert preview.events[0].id is None  # type: ignore[attr-defined]
    assert await answer(client.preview_confirmation(SUMSKAS, confirmation))
    assert await answer(client.confirm(SUMSKAS, confirmation))
    assert await answer(client.preview_retraction(event, retraction))
    assert await answer(client.retract(event, retraction))
    with pytest.raises(Conflict):
        await answer(client.retract(event, retraction))


async def test_observations_are_recorded(client: Client | AsyncClient) -> None:
    seen = NewObservation(
        crossing=MEDININKAI,
        traffic=Traffic.CAR,
        to="LT",
        observed_at=datetime.now(UTC),
        wait=NewWait(state=WaitState.KNOWN, minutes=35),
        method=ObservationMethod.REPORTED,
    )
    batch = NewObservations(source=NewSource(title="Seen by a test"), observations=[seen])

    preview = await answer(client.preview_observations(batch))
    recorded = await answer(client.record_observations(batch))

    assert preview.recorded == recorded.recorded == 1  # type: ignore[attr-defined]
    (found, *_) = await first(1, client.observations(MEDININKAI, traffic="car"))
    assert found.wait.minutes == 35  # type: ignore[attr-defined]


# Following


async def test_a_stream_that_is_cut_goes_on_without_loss(
    client: Client | AsyncClient, proxy: Proxy
) -> None:
    """In the middle of a change, at its beginning, and with refusals before the next try."""
    proxy.faults += [Cut(b"id: 5\nev"), BUSY, Drop(), Cut(b"id: 42\nevent: "), BUSY]

    with anyio.fail_after(600):
        found = await first(100, client.follow(after=0))

    assert [change.change for change in found] == list(range(1, 101))  # type: ignore[attr-defined]
    resumed = [request.headers.get("last-event-id") for request in proxy.requests]
    assert resumed[0] is None
    assert resumed[1] == resumed[2] == "4"


async def test_changes_that_have_become_void_are_said(
    client: Client | AsyncClient, proxy: Proxy
) -> None:
    stream = 'retry: 1\nid: 7\n\nid: 5\nevent: dropped\ndata: {"after":5}\n\n'
    proxy.faults += [Refuse(200, {"Content-Type": "text/event-stream"}, stream)]
    with pytest.raises(ChangesDropped) as dropped:
        await first(1, client.follow(after=7))

    assert dropped.value.after == 5


async def test_a_stream_that_never_begins_is_given_up(
    client: Client | AsyncClient, proxy: Proxy
) -> None:
    proxy.faults += [Refuse(200, {"Content-Type": "text/event-stream"})] * QUICK.attempts
    with pytest.raises(Unreachable):
        await first(1, client.follow())


async def test_a_stream_that_is_refused_for_good_ends(client: Client | AsyncClient) -> None:
    with pytest.raises(Invalid):
        await first(1, client.follow(crossings=["no-such-crossing"]))


# Exports


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_an_export_that_breaks_off_is_downloaded_again(
    client: Client | AsyncClient, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.faults += [Cut(2_000), BUSY]
    sizes: list[int] = []
    file = tmp_path / "events.ndjson"

    change = await answer(client.download("events.ndjson", file, progress=sizes.append))

    lines = file.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])["change"] <= change
    assert sizes.count(0) == 2
    assert sizes[-1] == file.stat().st_size
    assert files_in(tmp_path) == [file]


async def test_an_export_that_fails_leaves_what_was_there(
    client: Client | AsyncClient, proxy: Proxy, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_text("as before", encoding="utf-8")
    proxy.faults += [Cut(2_000)] * QUICK.attempts
    with pytest.raises(CrossingStatusError):
        await answer(client.download("events.csv", file))

    assert file.read_text(encoding="utf-8") == "as before"
    assert files_in(tmp_path) == [file]


@full
async def test_every_export_can_be_downloaded(client: Client | AsyncClient, tmp_path: Path) -> None:
    for export in EXPORTS:
        await answer(client.download(export, tmp_path / export, crossings=[SUMSKAS]))
        assert SUMSKAS in (tmp_path / export).read_text(encoding="utf-8")
