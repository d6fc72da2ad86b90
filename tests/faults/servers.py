"""Real servers to do harm to, writers to do it under, and what must hold afterwards."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx2
import psutil
import psycopg
import rfc8785
from pydantic import JsonValue

from app.embedded.server import Server
from app.places.schemas import CrossingRecord
from tests.api import (
    LIMITS,
    MEDININKAI,
    SUMSKAS,
    TVERECIUS,
    Api,
    Json,
    citation,
    crossing,
    decision,
    event_in_log,
    problem,
)

ANSWERED_SECONDS = 20
"""Seconds after which an answer counts as missing, whatever the database does.

Promised are 2, on a machine that has nothing else to do; these are ten times as many. What hangs
with its database would hang for as long as that does.
"""


def postmaster(data_dir: Path) -> psutil.Process:
    """Return the main process of the PostgreSQL that runs in a data directory."""
    return psutil.Process(int(_lock_file(data_dir)[0]))


def database_of(data_dir: Path) -> Server:
    """Return the PostgreSQL that runs in a data directory, for its clients."""
    return Server(Path(_lock_file(data_dir)[4]))


def _lock_file(data_dir: Path) -> list[str]:
    return (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()


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


def assert_told_to_come_back(response: httpx2.Response) -> None:
    """Whether it waited for the log, or for its turn."""
    assert response.status_code == 503, response.text
    problem(response, 503, response.json()["type"].rpartition("/")[2])
    assert response.json()["type"].endswith(("unavailable", "overloaded")), response.text
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
        assert payload["events"] == [
            event_in_log(event) for event in events if isinstance(event, dict)
        ]
    elif "crossings" in payload:
        # The log leaves out what came later than its first crossings, where there is none of it.
        later = ("retired_at", "replaced_by", "confirm_within_hours", "hours", "contacts", *LIMITS)
        absent = {name for name in later if not body[name]}
        of_version = [name for name in body if name in CrossingRecord.model_fields.keys() - absent]
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
