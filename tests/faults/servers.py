"""Real servers to do harm to, writers to do it under, and what must hold afterwards."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx2
import psutil
import psycopg
import rfc8785
from pydantic import JsonValue

from app.embedded import Server
from app.places.schemas import CrossingDetails
from tests.api import (
    MEDININKAI,
    SUMSKAS,
    TVERECIUS,
    Api,
    Json,
    citation,
    crossing,
    decision,
    problem,
)

START_SECONDS = 60
"""However busy the machine is."""

CALM_SECONDS = 60
"""However long a recovery may take."""

COMMAND = Path(sys.executable).with_name("crossings")


def eventually(holds: Callable[[], object], *, within: float = CALM_SECONDS) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


async def until(holds: Callable[[], object], *, within: float = CALM_SECONDS) -> None:
    """Poll until something holds, and let others work meanwhile."""
    with anyio.fail_after(within):
        while not holds():  # noqa: ASYNC110 -- what is waited for is no event of ours
            await anyio.sleep(0.01)


# Processes


@dataclass(frozen=True)
class Service:
    """A `crossings serve` that was ready."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def family(self) -> list[psutil.Process]:
        """Return its main process, and all that it started, PostgreSQL and workers included."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def kill(self) -> None:
        """End its main process as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    @asynccontextmanager
    async def api(self, key: str) -> AsyncIterator[Api]:
        async with httpx2.AsyncClient(
            base_url=self.url, timeout=CALM_SECONDS, trust_env=False
        ) as client:
            yield Api(client, key)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def service(
    log: Path,
    *options: str,
    port: int | None = None,
    data_dir: Path | None = None,
    database_url: str | None = None,
    drain_seconds: int = 5,
) -> Iterator[Service]:
    """Run `crossings serve` until the block ends; see that it leaves no process behind."""
    port = port or free_port()
    ours = {"CROSSINGS", "DATABASE", "PGHOST", "PGPORT"}
    environment = {k: v for k, v in os.environ.items() if k.partition("_")[0] not in ours}
    environment["CROSSINGS_DRAIN_SECONDS"] = str(drain_seconds)
    if database_url:
        environment["DATABASE_URL"] = database_url
    if data_dir:
        options = ("--data-dir", str(data_dir), *options)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", str(port), *options],
            stdout=output,
            stderr=output,
            env=environment,
        )
    running = Service(process, port, log)
    try:
        _await_ready(running)
        yield running
    finally:
        _stop(running)


def _stop(running: Service) -> None:
    if running.process.poll() is not None:
        return
    family = running.family()
    running.process.terminate()
    try:
        running.process.wait(CALM_SECONDS)
        eventually(lambda: not any(map(is_alive, family)))
    finally:
        for one in filter(is_alive, family):
            one.kill()
        running.process.wait()


def _await_ready(running: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.process.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            ready = httpx2.get(f"{running.url}/health/ready", trust_env=False, timeout=10)
            if ready.status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(running.log.read_text(encoding="utf-8", errors="replace"))


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def postmaster(data_dir: Path) -> psutil.Process:
    """Return the main process of the PostgreSQL that runs in a data directory."""
    return psutil.Process(int(_lock_file(data_dir)[0]))


def database_of(data_dir: Path) -> Server:
    """Return the PostgreSQL that runs in a data directory, for its clients."""
    return Server(Path(_lock_file(data_dir)[4]))


def _lock_file(data_dir: Path) -> list[str]:
    return (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()


def signal_all(processes: list[psutil.Process], how: signal.Signals) -> None:
    for one in processes:
        # Some workers of PostgreSQL come and go.
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(how)


# Writers

_PAIRS = (
    [SUMSKAS, TVERECIUS],
    [TVERECIUS, SUMSKAS],
    [MEDININKAI, "lavoriskes-katlouka"],
    ["raigardas-pryvalka", "salcininkai-bieniakoni"],
    ["lavoriskes-katlouka", MEDININKAI],
)


@dataclass(frozen=True)
class Write:
    """A request that writes, with the idempotency key that makes it safe to repeat."""

    key: str
    path: str
    body: Mapping[str, object]


@dataclass
class Author:
    """Makes up one writer's requests: each kind of write in turn."""

    name: str
    made: int = 0
    undo: list[str] = field(default_factory=list)

    def next(self) -> Write:
        self.made += 1
        key = f"{self.name}-{self.made}"
        inline: dict[str, object] = {"title": f"Source of {key}", "publisher": "Tests"}
        cited = [citation(), citation(source=inline)]
        match self.made % 6:
            case 1 | 4:
                turn = (sum(map(ord, self.name)) + self.made // 3) % len(_PAIRS)
                status = ("open", "restricted", "closed")[self.made // 3 % 3]
                return Write(
                    key,
                    "/v1/events",
                    decision(crossings=_PAIRS[turn], status=status, citations=cited),
                )
            case 2:
                return Write(key, "/v1/sources", inline)
            case 3:
                path = f"/v1/crossings/{MEDININKAI}/confirmations"
                return Write(key, path, {"sides": ["LT"], "citations": cited})
            case 5 if self.undo:
                reason = {"code": "other", "text": f"Mistake {key}"}
                return Write(key, self.undo.pop(), {"reason": reason})
            case _:
                return Write(key, "/v1/crossings", crossing(key.lower(), citations=cited))


@dataclass
class Ledger:
    """What writers asked for and what they were told."""

    asked: dict[str, Write] = field(default_factory=dict)
    answers: dict[str, httpx2.Response] = field(default_factory=dict)
    refused: list[httpx2.Response] = field(default_factory=list)
    cut: list[httpx2.TransportError] = field(default_factory=list)

    def acknowledge(self, write: Write, response: httpx2.Response) -> None:
        assert response.status_code == 201, response.text
        self.answers[write.key] = response

    @property
    def unanswered(self) -> list[Write]:
        return [write for key, write in self.asked.items() if key not in self.answers]


async def write_on(api: Api, author: Author, ledger: Ledger, *, stop: anyio.Event) -> None:
    """Write until told to stop or cut off; repeat what is refused for the time being."""
    while not stop.is_set():
        write = author.next()
        ledger.asked[write.key] = write
        try:
            response = await post(api, write)
            while response.status_code == 503:
                assert_unavailable(response)
                ledger.refused.append(response)
                await anyio.sleep(0.05)
                response = await post(api, write)
        except httpx2.TransportError as error:
            ledger.cut.append(error)
            return
        ledger.acknowledge(write, response)
        author.undo += response.json().get("undo", [])


async def post(api: Api, write: Write) -> httpx2.Response:
    return await api.post(write.path, write.body, idempotency_key=write.key)


def assert_unavailable(response: httpx2.Response) -> None:
    problem(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) > 0


WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
"""
"""Counts those who wait for the lock of the log, or of an idempotency key."""


# What must hold


async def all_changes(api: Api) -> list[Json]:
    """Page through the whole change log."""
    found: list[Json] = []
    address = "/v1/changes?limit=200"
    while items := (page := (await api.get(address)).json())["items"]:
        found += items
        address = page["next"]
    return found


def assert_chained(changes: list[Json]) -> None:
    """Check that numbers leave no gap, instants rise, and every hash is what it says."""
    assert [one["change"] for one in changes] == list(range(1, len(changes) + 1))
    instants = [str(one["recorded_at"]) for one in changes]
    assert instants == sorted(set(instants))
    previous = bytes(32)
    for one in changes:
        record = {name: value for name, value in one.items() if name != "hash"}
        previous = hashlib.sha256(previous + rfc8785.dumps(record)).digest()
        assert one["hash"] == previous.hex()


async def assert_kept(
    api: Api, ledger: Ledger, database: psycopg.Connection, *, others: int = 0
) -> int:
    """Check that all asked for is there once and whole, after repeating what went unanswered.

    ``others`` were written by hands that are not in the ledger. Return how many of the
    unanswered had been written.
    """
    replayed = 0
    for write in ledger.unanswered:
        response = await post(api, write)
        ledger.acknowledge(write, response)
        replayed += "idempotent-replayed" in response.headers
    for key, answer in ledger.answers.items():
        again = await post(api, ledger.asked[key])
        assert again.headers["idempotent-replayed"] == "true"
        assert told(again) == told(answer)
    changes = await all_changes(api)
    assert_chained(changes)
    by_number = {int(str(one["change"])): one["payload"] for one in changes}
    mine = [_check_told(by_number, answer.json()) for answer in ledger.answers.values()]
    assert len(set(mine)) == len(ledger.asked)
    (kept,) = database.execute(_KEPT, [list(ledger.asked)]).fetchone() or ()
    assert kept == len(ledger.asked)
    assert written_by_hand(changes) == len(ledger.asked) + others
    assert database.execute(_HALVES).fetchall() == []
    return replayed


def told(response: httpx2.Response) -> tuple[int, str, str, bytes]:
    """Return all that a writer was told."""
    headers = response.headers
    return (
        response.status_code,
        headers["location"],
        headers["change-number"],
        response.content,
    )


def _check_told(payloads: Mapping[int, JsonValue], body: Json) -> int:
    """Check that the log holds what the answer to a write said; return the change."""
    number = int(str(body["change"] if "change" in body else body["version"]))
    payload = payloads[number]
    assert isinstance(payload, dict)
    if "events" in body:
        events = body["events"]
        assert isinstance(events, list)
        derived = {"superseded_by", "retracted_by"}
        assert payload["events"] == [
            {name: value for name, value in event.items() if name not in derived}
            for event in events
            if isinstance(event, dict)
        ]
    elif "crossings" in payload:
        of_version = [name for name in body if name in CrossingDetails.model_fields]
        assert payload["crossings"] == [{name: body[name] for name in of_version}]
    else:
        assert payload["sources"] == [body]
    return number


def written_by_hand(changes: list[Json]) -> int:
    """Return the number of changes that are not the seeds'."""
    payloads = [one["payload"] for one in changes]
    return sum(isinstance(one, dict) and one["recorded_by"] != "seed" for one in payloads)


_KEPT = "SELECT count(*) FROM kept_answer WHERE idempotency_key = ANY (%s)"

# Changes of which the log's tables hold more or less than the change itself tells.
_HALVES = """
    WITH told AS (
        SELECT number,
               jsonb_path_query_array(payload, '$.sources[*]') AS sources,
               jsonb_path_query_array(payload, '$.events[*]') AS events,
               jsonb_path_query_array(payload, '$.events[*].citations[*]') AS of_events,
               jsonb_path_query_array(payload, '$.crossings[*]') AS crossings,
               jsonb_path_query_array(payload, '$.crossings[*].citations[*]') AS of_crossings
        FROM change
    )
    SELECT number FROM told
    WHERE jsonb_array_length(events)
          <> (SELECT count(*) FROM status_event WHERE change = number)
       OR jsonb_array_length(of_events)
          <> (SELECT count(*) FROM citation JOIN status_event ON event_id = status_event.id
              WHERE change = number)
       OR jsonb_array_length(crossings)
          <> (SELECT count(*) FROM crossing_version WHERE change = number)
       OR jsonb_array_length(of_crossings)
          <> (SELECT count(*) FROM citation WHERE version = number)
       OR jsonb_array_length(sources) <> (SELECT count(*) FROM source WHERE change = number)
"""
