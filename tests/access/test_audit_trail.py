"""Who tried to write what, when, from where, and what came of it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.errors import RestrictViolation

from app.access.attempts import MOST_WAITING, AuditTrail, forget_attempts
from app.database.connections import Connector
from app.database.monitor import DatabaseMonitor
from app.database.sessions import create_engine, create_sessions
from app.http.requests import RequestKind, RequestOutcome
from tests.api import SUMSKAS, decision
from tests.commands import environment, run
from tests.conftest import Database
from tests.marks import full
from tests.waiting import PATIENCE, until

Row = dict[str, Any]


def attempts(database: Database) -> list[Row]:
    with database.connect() as connection:
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
        return cursor.execute("SELECT * FROM write_attempt ORDER BY id").fetchall()


async def test_every_attempt_to_write_is_kept_with_who_and_what_came_of_it(
    seeded: Database,
) -> None:
    async with seeded.api() as api:
        written = await api.post("/v1/events", decision())
        refused = await api.post("/v1/events", decision(status="ajar"))
        unknown = await api.post("/v1/events", decision(), key="cxs_unknown")
        elsewhere = await api.client.delete("/v1/nothing%00here")
        await api.get(f"/v1/crossings/{SUMSKAS}")
        await until(lambda: len(attempts(seeded)) == 4)

    found = attempts(seeded)
    assert [one["status"] for one in found] == [201, 422, 401, 404]
    assert [one["request_id"] for one in found] == [
        one.headers["x-request-id"] for one in (written, refused, unknown, elsewhere)
    ]
    assert [one["path"] for one in found] == ["/v1/events"] * 3 + ["/v1/nothing%00here"]
    assert [one["change"] for one in found] == [written.json()["change"], None, None, None]
    assert found[0]["key_id"] in api.key
    assert found[2]["key_id"] is None
    assert str(found[0]["client"]) == "127.0.0.1"
    assert datetime.now(UTC) - found[0]["at"] < timedelta(minutes=10)


async def test_a_service_that_stops_writes_down_what_waits(seeded: Database) -> None:
    async with seeded.api() as api:
        for _ in range(3):
            await api.post("/v1/events", {})

    assert len(attempts(seeded)) == 3


async def test_an_attempt_is_not_rewritten_and_is_forgotten_only_when_old(
    seeded: Database,
) -> None:
    insert = """
        INSERT INTO write_attempt (at, request_id, method, path, status, seconds)
        VALUES (now() - %s * interval '1 day', 'r', 'POST', '/', 201, 0)
    """
    with seeded.connect() as connection:
        for days in (0, 29, 31, 400):
            connection.execute(insert, [days])
    for statement in ("UPDATE write_attempt SET status = 500", "DELETE FROM write_attempt"):
        with seeded.connect() as connection, pytest.raises(RestrictViolation):
            connection.execute(statement)
    async with seeded.session() as session:
        await forget_attempts(session, keep_days=365)
    assert len(attempts(seeded)) == 3
    async with seeded.session() as session:
        await forget_attempts(session, keep_days=30)
    assert len(attempts(seeded)) == 2


async def test_while_the_database_is_away_attempts_wait_and_only_the_oldest_are_lost(
    seeded: Database,
) -> None:
    engine = create_engine(Connector(seeded.url))
    monitor = DatabaseMonitor(5)
    trail = AuditTrail(create_sessions(engine), monitor)
    monitor.is_lost = True
    for number in range(MOST_WAITING + 3):
        trail.note(outcome(str(number)))
    with pytest.raises(TimeoutError):
        await trail.flush()
    monitor.is_lost = False

    await trail.flush()
    await engine.dispose()

    assert trail.lost == 3
    found = attempts(seeded)
    assert [one["request_id"] for one in found] == [str(n) for n in range(3, MOST_WAITING + 3)]


async def test_attempts_that_come_while_others_are_written_are_written_too(
    seeded: Database,
) -> None:
    """Also where the oldest have to go for them."""
    engine = create_engine(Connector(seeded.url))
    trail = AuditTrail(create_sessions(engine), DatabaseMonitor(PATIENCE))
    for number in range(2):
        trail.note(outcome(f"early {number}"))
    with seeded.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE write_attempt IN EXCLUSIVE MODE")
        flushing = asyncio.create_task(trail.flush())
        await until(lambda: waiting_for_locks(seeded))
        for number in range(MOST_WAITING + 1):
            trail.note(outcome(f"late {number}"))
    await flushing
    await engine.dispose()

    found = [one["request_id"] for one in attempts(seeded)]
    late = [f"late {number}" for number in range(1, MOST_WAITING + 1)]
    assert found == ["early 0", "early 1", *late]
    assert trail.lost == 1


def waiting_for_locks(database: Database) -> bool:
    with database.connect() as connection:
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        return bool(connection.execute(waiting).fetchone() == (True,))


@pytest.mark.parametrize("client", [None, "", "testclient", "/run/socket"])
async def test_a_client_without_an_address_is_none(seeded: Database, client: str | None) -> None:
    engine = create_engine(Connector(seeded.url))
    trail = AuditTrail(create_sessions(engine), DatabaseMonitor(5))
    trail.note(outcome("r")._replace(client=client))
    await trail.flush()
    await engine.dispose()

    assert [one["client"] for one in attempts(seeded)] == [None]


def outcome(request_id: str) -> RequestOutcome:
    kind = RequestKind("POST", "/v1/events", 401)
    return RequestOutcome(1e9, request_id, kind, "/v1/events", "192.0.2.1", None, None, 0.001)


@full
async def test_the_command_prints_one_object_a_line(seeded: Database) -> None:
    async with seeded.api() as api:
        body = (await api.post("/v1/events", decision())).json()
        await api.post("/v1/events", {}, key="cxs_unknown")
    env = environment(seeded)
    every = run("crossings", "audit", env=env)
    own = run("crossings", "audit", "--key", attempts(seeded)[0]["key_id"], env=env)
    later = run("crossings", "audit", "--since", "2999-01-01", env=env)

    first, second = map(json.loads, every.told.splitlines())
    assert (first["key_name"], first["status"], first["change"]) == (
        "reporter",
        201,
        body["change"],
    )
    assert (second["key"], second["status"], second["client"]) == (None, 401, "127.0.0.1")
    assert own.told.splitlines() == every.told.splitlines()[:1]
    assert later.told == ""
