"""Concurrent clients of two workers: one order of changes explains every answer."""

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode
from uuid import UUID

import anyio
import pytest
from anyio import to_thread

from bench.processes import Answer, ask
from tests.api import Json, citation, crossing, decision
from tests.conftest import Database
from tests.faults.history import (
    ChangesQuery,
    ListQuery,
    Log,
    Operation,
    Request,
    StatusQuery,
    Write,
    violations,
)
from tests.faults.servers import all_changes, assert_chained
from tests.marks import full
from tests.servers import service
from tests.waiting import PATIENCE

OPERATIONS = int(os.environ.get("HISTORY_OPERATIONS", "100000"))
CLIENTS = 8
CROSSINGS = [f"crossing-{number}" for number in range(1, 25)]
WEIGHTS = {"status": 65, "list": 23, "at": 6, "changes": 3, "write": 3}


# The clients


@dataclass
class World:
    """What clients share: the service, the declarations that they know, and the record."""

    port: int
    key: str
    operations: list[Operation] = field(default_factory=list)
    declarations: list[tuple[str, str]] = field(default_factory=list)
    """The id and the crossing of each declaration that was acknowledged and may be undone."""
    bodies: dict[bytes, bytes] = field(default_factory=dict)
    connections: "count[int]" = field(default_factory=count)
    epoch: datetime = field(
        default_factory=lambda: datetime.now(UTC) - timedelta(seconds=monotonic())
    )


class Connection:
    """A connection, which is opened anew, under another number, when it has broken."""

    def __init__(self, world: World) -> None:
        self._connections = world.connections
        self._http = HTTPConnection("127.0.0.1", world.port, timeout=PATIENCE)
        self.number = -1

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> Answer | None:
        """Return the answer; None if the connection broke first."""
        if self._http.sock is None:
            self.number = next(self._connections)
        try:
            return ask(self._http, method, path, headers=headers, body=body)
        except (OSError, HTTPException):
            self.close()
            return None

    def close(self) -> None:
        self._http.close()


class Client:
    """Asks and records at random, one request after the other, over two connections."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.random = random.Random(number)  # noqa: S311 -- so that a run can be repeated
        self.connections = [Connection(world), Connection(world)]
        self.newest = 0
        """The newest change that it was told of."""
        self.kept: dict[Request, tuple[str, bytes]] = {}
        """The ETag and the body of what it read last."""
        self.tokens = (f"client-{number}-{made}" for made in count(1))

    def run(self, operations: int) -> None:
        for _ in range(operations):
            (kind,) = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))
            where = self.random.choice(CROSSINGS)
            match kind:
                case "status":
                    self.read(StatusQuery(where, self.random.choice([None, None, "LT"])))
                case "list":
                    self.read(ListQuery())
                case "at":
                    self.read(StatusQuery(where, at=self.instant(days=3)))
                case "changes":
                    after = max(0, self.newest - self.random.randrange(20))
                    self.read(ChangesQuery(after, self.random.choice([5, 50])))
                case _:
                    self.write()
        for connection in self.connections:
            connection.close()

    def instant(self, **most: float) -> datetime:
        """Return an instant at most so far from now, of whole seconds."""
        span = timedelta(**most)
        return (datetime.now(UTC) + self.random.uniform(-1, 1) * span).replace(microsecond=0)

    def read(self, request: StatusQuery | ListQuery | ChangesQuery) -> None:
        headers: dict[str, str] = {}
        at_least = self.newest if self.random.random() < 0.5 else 0
        if at_least:
            headers["At-Least-Change"] = str(at_least)
        kept = self.kept.get(request) if self.random.random() < 0.5 else None
        if kept:
            headers["If-None-Match"] = kept[0]
        operation = self.send(request, "GET", path_of(request), headers, at_least=at_least)
        if operation.status == 200 and operation.etag:
            self.kept[request] = (operation.etag, operation.body)

    def write(self) -> None:
        token = next(self.tokens)
        path, body = self.new_write(token)
        headers = {
            "Authorization": f"Bearer {self.world.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": token,
        }
        sent = json.dumps(body).encode()
        operation = self.send(Write(token), "POST", path, headers, sent)
        # Some clients repeat what went unanswered, and some never learn what came of it.
        while operation.status is None and self.random.random() < 0.5:
            operation = self.send(Write(token), "POST", path, headers, sent)
        if operation.status == 201:
            self.world.declarations += [
                (event["id"], event["crossing"])
                for event in json.loads(operation.body)["events"]
                if event["kind"] == "declaration"
            ]

    def new_write(self, token: str) -> tuple[str, dict[str, object]]:
        """Return the path and the body of a declaration, correction, retraction or confirmation."""
        cited = [citation(locator=token)]
        sides = self.random.choice([["LT"], ["BY"], ["BY", "LT"]])
        kind = self.random.choice(["declaration", "correction", "retraction", "confirmation"])
        declarations = self.world.declarations
        if kind in {"correction", "retraction"} and declarations:
            # Where two clients choose the same one, one of them is refused.
            event, where = self.random.choice(declarations[-40:])
            if kind == "retraction":
                reason = {"code": "other", "text": "A mistake"}
                return f"/v1/events/{event}/retraction", {"reason": reason, "citations": cited}
            return "/v1/events", self.declaration([where], sides, cited, supersedes=[event])
        if kind == "confirmation":
            where = self.random.choice(CROSSINGS)
            return f"/v1/crossings/{where}/confirmations", {"sides": sides, "citations": cited}
        where_all = self.random.sample(CROSSINGS, self.random.choice([1, 1, 2]))
        return "/v1/events", self.declaration(where_all, sides, cited)

    def declaration(
        self, crossings: list[str], sides: list[str], citations: object, **more: object
    ) -> dict[str, object]:
        now = datetime.now(UTC)
        periods: list[dict[str, datetime | None]] = [
            {"from": None, "until": None},
            {"from": self.instant(days=3), "until": None},
            # Some of these begin or end while others read.
            {"from": now + timedelta(seconds=3), "until": now + timedelta(seconds=5)},
        ]
        effective = self.random.choice(periods)
        return decision(
            crossings=crossings,
            sides=sides,
            status=self.random.choice(["open", "restricted", "closed"]),
            to=self.random.choice([None, None, "LT"]),
            certainty=self.random.choice(["confirmed", "confirmed", "reported", "unconfirmed"]),
            citations=citations,
            effective={
                name: instant and instant.isoformat() for name, instant in effective.items()
            },
            **more,
        )

    def send(
        self,
        request: Request,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None = None,
        *,
        at_least: int = 0,
    ) -> Operation:
        """Send a request, and record what came of it."""
        connection = self.random.choice(self.connections)
        invoked = monotonic()
        answer = connection.ask(method, path, headers, body)
        operation = Operation(
            connection=connection.number,
            request=request,
            at_least=at_least,
            invoked=invoked,
            answered=monotonic(),
            status=None if answer is None else answer.status,
        )
        if answer is not None:
            kept = self.kept[request][1] if answer.status == 304 else answer.body
            number = answer.header("change-number")
            operation = replace(
                operation,
                change=None if number is None else int(number),
                etag=answer.header("etag"),
                body=self.world.bodies.setdefault(kept, kept),
            )
        self.world.operations.append(operation)
        self.newest = max(self.newest, operation.change or 0)
        return operation


def path_of(query: StatusQuery | ListQuery | ChangesQuery) -> str:
    match query:
        case StatusQuery(crossing=where, to=to, at=at):
            parameters = urlencode(
                {
                    name: value
                    for name, value in (("to", to), ("at", at and at.isoformat()))
                    if value
                }
            )
            return f"/v1/crossings/{where}/status" + (f"?{parameters}" if parameters else "")
        case ListQuery():
            return "/v1/crossings?limit=200"
        case ChangesQuery(after=after, limit=limit):
            return f"/v1/changes?after={after}&limit={limit}"


@full
@pytest.mark.timeout(3600)
async def test_one_order_of_changes_explains_every_answer(
    empty: Database, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Although one of the two workers is killed midway. `HISTORY_OPERATIONS` makes it longer."""
    key = await empty.new_key()
    with service(tmp_path / "log", workers=2, database_url=empty.url, worker=False) as running:
        async with running.api(key) as api:
            for name in CROSSINGS:
                body = crossing(name, traffic=["car", "truck"])
                assert (await api.post("/v1/crossings", body)).status_code == 201
            world = World(running.port, key)
            async with anyio.create_task_group() as group:
                for number in range(CLIENTS):
                    client = Client(world, number)
                    group.start_soon(to_thread.run_sync, client.run, OPERATIONS // CLIENTS)
                with anyio.fail_after(OPERATIONS):
                    while len(world.operations) < OPERATIONS // 2:  # noqa: ASYNC110 -- of threads
                        await anyio.sleep(0.05)
                running.workers()[0].kill()
            log = await all_changes(api)
    assert_chained(log)

    assert violations(world.operations, log, world.epoch) == []

    kinds = Counter(type(operation.request).__name__ for operation in world.operations)
    statuses = Counter(operation.status for operation in world.operations)
    assert statuses.keys() <= {None, 200, 201, 304, 409, 503}
    assert statuses[None] <= 2 * CLIENTS
    assert statuses[503] < OPERATIONS / 100
    assert min(statuses[status] for status in (200, 201, 304, 409)) > 0
    record_property("operations", len(world.operations))
    record_property("writes", kinds["Write"])
    record_property("changes", len(log))
    record_property("violations", 0)


# The checker itself

INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
WHERE = "crossing-1"
RECORD: Json = {
    "change": 1,
    "recorded_at": INSTANT.isoformat(),
    "payload": {
        "crossings": [
            {"id": WHERE, "sides": ["BY", "LT"], "traffic": ["car"], "confirm_within_days": 30}
        ]
    },
}


def change(number: int, token: str, status: str) -> Json:
    """Return the change by which a client declares a status, a second after the one before."""
    at = (INSTANT + timedelta(seconds=number)).isoformat()
    event: Json = {
        "id": str(UUID(int=number)),
        "kind": "declaration",
        "crossing": WHERE,
        "change": number,
        "recorded_at": at,
        "sides": ["LT"],
        "status": status,
        "effective": {"from": at, "until": None},
        "certainty": "confirmed",
        "citations": [{"locator": token}],
        **dict.fromkeys(
            ("expected_until", "traffic", "to", "announced_at", "confirmed_at", "supersedes")
        ),
        "retracts": None,
    }
    return {"change": number, "recorded_at": at, "payload": {"events": [event]}}


LOG = [RECORD, change(2, "first", "closed"), change(3, "second", "open")]


def write(number: int, token: str, *, status: int | None = 201, at: float) -> Operation:
    """Return the write of a change of `LOG`, on a connection of its own."""
    events = LOG[number - 1]["payload"]["events"]  # type: ignore[index, call-overload]
    return Operation(
        connection=number,
        request=Write(token),
        invoked=at,
        answered=at + 0.5,
        status=status,
        change=number if status == 201 else None,
        body=json.dumps({"change": number, "events": events}).encode(),
    )


def read(number: int, *, at: float, of: int | None = None, **fields: object) -> Operation:
    """Return a reading of the status that says it is as of one change, and is as of another."""
    query = StatusQuery(WHERE)
    instant = INSTANT + timedelta(seconds=at)
    (answer,) = Log(LOG).statuses(query, of or number, instant, instant)
    assert answer is not None
    operation = Operation(
        connection=0,
        request=query,
        invoked=at,
        answered=at + 0.5,
        status=200,
        change=number,
        etag=f'"{of or number}"',
        body=answer.model_dump_json().encode(),
    )
    return replace(operation, **fields)  # type: ignore[arg-type]


FIRST, SECOND = write(2, "first", at=2), write(3, "second", at=4)
HISTORY = [FIRST, read(2, at=3), SECOND, read(3, at=5)]


def test_a_history_that_the_log_explains_is_accepted() -> None:
    lost = write(3, "lost", status=None, at=6)
    refused = write(3, "refused", status=409, at=6)
    changes = Operation(
        connection=0,
        request=ChangesQuery(1, 50),
        invoked=6,
        answered=7,
        status=200,
        body=json.dumps({"items": LOG[1:]}).encode(),
    )

    assert violations([*HISTORY, lost, refused, changes], LOG, INSTANT) == []


def test_another_worker_may_be_behind_unless_a_change_is_demanded() -> None:
    behind = read(2, at=6, connection=9)

    assert violations([*HISTORY, behind], LOG, INSTANT) == []
    assert violations([*HISTORY, replace(behind, at_least=3)], LOG, INSTANT) != []


@pytest.mark.parametrize(
    ("operations", "log", "violation"),
    [
        pytest.param(HISTORY, LOG[:2], "second was acknowledged as 3; the log has []", id="lost"),
        pytest.param(
            HISTORY,
            [*LOG, change(4, "first", "closed")],
            "first is in the log 2 times",
            id="doubled",
        ),
        pytest.param(
            HISTORY,
            [RECORD, change(2, "first", "open"), LOG[2]],
            "the answer to first is not what the log has",
            id="altered",
        ),
        pytest.param(
            HISTORY, [*LOG, change(4, "nobody", "open")], "nobody wrote nobody", id="invented"
        ),
        pytest.param(
            [replace(FIRST, status=409, change=None), *HISTORY[1:]],
            LOG,
            "first was refused, but is in the log",
            id="refused but recorded",
        ),
        pytest.param(
            [*HISTORY, read(2, at=6)], LOG, "is answered as of 2, not 3", id="stale on a connection"
        ),
        pytest.param(
            [FIRST, SECOND, read(2, at=6, request=StatusQuery(WHERE, at=INSTANT))],
            LOG,
            "is answered as of 2, not 3",
            id="stale from the database",
        ),
        pytest.param(
            [FIRST, SECOND, read(3, at=6, of=2)],
            LOG,
            "was answered otherwise than the log says as of 3",
            id="stale, but said to be new",
        ),
        pytest.param(
            [
                *HISTORY,
                read(3, at=6, body=read(3, at=6).body.replace(b'"stale":false', b'"stale":true')),
            ],
            LOG,
            "was answered otherwise than the log says",
            id="from no state",
        ),
        pytest.param(
            [replace(FIRST, invoked=6, answered=7), SECOND],
            LOG,
            "first is at 2, before 3, which was known earlier",
            id="reversed",
        ),
        pytest.param(
            [*HISTORY, read(4, at=6, of=3)], LOG, "as of 4: no such change", id="from the future"
        ),
        pytest.param(
            [*HISTORY, read(3, at=6, etag='"2"')], LOG, "has two bodies with the ETag", id="tag"
        ),
        pytest.param(HISTORY, [LOG[0], LOG[2]], "the numbers of the log have gaps", id="gap"),
        pytest.param(
            [
                *HISTORY,
                read(
                    3,
                    at=6,
                    request=ChangesQuery(1, 50),
                    change=None,
                    body=json.dumps({"items": LOG[1:2]}).encode(),
                ),
            ],
            LOG,
            "was answered without changes that were known earlier",
            id="missed change",
        ),
    ],
)
def test_a_damaged_history_is_refused(
    operations: Sequence[Operation], log: Sequence[Json], violation: str
) -> None:
    assert violation in "\n".join(violations(operations, log, INSTANT))
