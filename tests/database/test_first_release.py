"""A database that the first release made goes on: nothing is lost, and nothing is told again."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from app import schema
from app.audit.service import find_faults
from app.embedded.server import SERVICE, Server
from app.seeding.files import Seed, SeedDeclaration
from app.seeding.service import load_seeds
from tests.api import Api
from tests.conftest import Database, clone
from tests.database.first_release import NEWEST, leave_first_release
from tests.marks import full
from tests.seeds import SETS, seeds

Rows = list[tuple[Any, ...]]

INSTANTS = (
    "2023-08-15T12:00:00Z",
    "2023-08-17T20:59:59Z",
    "2023-08-17T21:00:00Z",
    "2024-02-29T21:59:59Z",
    "2024-02-29T22:00:00Z",
    "2025-04-20T00:00:00Z",
    "2025-10-23T00:00:00Z",
    "2025-10-30T00:00:00Z",
    "2025-11-25T00:00:00Z",
    "2025-12-31T23:59:59Z",
)
"""Before and after each turn of the story that the first release told."""

LOG = {
    "change": "number, kind, recorded_at, written_in, subjects, payload, hash",
    "source": "id, change, recorded_at, recorded_by, kind, title, publisher, published_at,"
    " retrieved_at, url, file_name, sha256, language, note",
    "crossing_version": "crossing_id, change, recorded_at, recorded_by, mode, traffic, names,"
    " aliases, lat, lon, precision_km, confirm_within_days",
    "status_event": "id, change, recorded_at, recorded_by, kind, crossing_id, decision, sides,"
    ' status, effective, expected_until, traffic, "to", reason_code, reason_text, exceptions,'
    " certainty, precision, announced_at, confirmed_at, supersedes, retracts",
    "seed_record": "id, change, digest",
    "citation": "id, source_id, event_id, crossing_id, version, locator, basis",
}
"""The columns that the tables of the log had then, the one that orders them among them."""


@pytest.fixture
def left(postgres: Server) -> Iterator[Database]:
    """A database as the first release left it."""
    with clone(postgres, "template1") as found:
        leave_first_release(found)
        yield found


@pytest.fixture(scope="module")
def migrated_once(postgres: Server) -> Iterator[Database]:
    """The same at today's schema: to be cloned."""
    with clone(postgres, "template1") as found:
        leave_first_release(found)
        schema.migrate(found.owner_url, service_role=SERVICE)
        yield found


@pytest.fixture
def migrated(migrated_once: Database) -> Iterator[Database]:
    """A database at today's schema, with the first release's rows alone."""
    with clone(migrated_once.server, migrated_once.name) as found:
        yield found


@pytest.fixture(scope="module")
def loaded_once(migrated_once: Database) -> Iterator[Database]:
    """The same with today's seeds: to be cloned."""
    with clone(migrated_once.server, migrated_once.name) as found:
        assert asyncio.run(load(found)) > 0
        yield found


@pytest.fixture
def loaded(loaded_once: Database) -> Iterator[Database]:
    """A database of the first release into which today's seeds were loaded."""
    with clone(loaded_once.server, loaded_once.name) as found:
        yield found


async def load(database: Database) -> int:
    async with database.session() as session:
        return await load_seeds(session, only=SETS)


async def faults(database: Database) -> list[str]:
    async with database.session() as session:
        return [fault async for fault in find_faults(session)]


def found_in(database: Database, query: str, *values: object) -> Rows:
    with database.connect() as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def newest_of(database: Database, column: str) -> dict[str, Any]:
    """Return what the newest loading of each seed left in a column."""
    query = f"SELECT id, {column} FROM seed_record ORDER BY change"  # noqa: S608
    return dict(found_in(database, query))


def log_of(database: Database) -> dict[str, Rows]:
    """Return the rows of the log in the columns that the first release knew."""
    return {
        table: found_in(database, f"SELECT {columns} FROM {table} ORDER BY 1, 2")  # noqa: S608
        for table, columns in LOG.items()
    }


def new_seeds(database: Database) -> list[Seed]:
    """Return the seeds that the database does not hold in their present words."""
    held = newest_of(database, "digest")
    return [seed for seed in seeds() if held.get(seed.name) != seed.digest]


def crossings_of(database: Database) -> list[str]:
    return [name for (name,) in found_in(database, "SELECT id FROM crossing ORDER BY id")]


def test_the_first_release_left_its_log_at_its_own_revision(left: Database) -> None:
    """What the tests below start from: six crossings, each seed one change, no notices."""
    assert found_in(left, "TABLE alembic_version") == [("0001",)]
    assert len(crossings_of(left)) == 6
    assert [number for number, *_ in log_of(left)["change"]] == list(range(1, NEWEST + 1))
    assert len(log_of(left)["seed_record"]) == NEWEST
    assert found_in(left, "SELECT to_regclass('notice')") == [(None,)]


async def test_migrating_leaves_every_row_as_it_was(left: Database) -> None:
    before = log_of(left)

    schema.migrate(left.owner_url, service_role=SERVICE)

    assert log_of(left) == before
    for table in ("notice", "incident", "retraction"):
        assert found_in(left, f"TABLE {table}") == []
    assert found_in(left, "SELECT FROM status_event WHERE incident_id IS NOT NULL") == []
    assert await faults(left) == []


@full
async def test_loading_writes_what_is_new_or_changed_and_nothing_else(migrated: Database) -> None:
    before, wanted = log_of(migrated), [seed.name for seed in new_seeds(migrated)]
    assert 0 < len(wanted) < len(seeds())

    assert await load(migrated) == len(wanted)

    after = log_of(migrated)
    for table, rows in before.items():
        assert set(map(repr, rows)) <= set(map(repr, after[table])), table
    loaded = found_in(migrated, "SELECT id FROM seed_record ORDER BY change OFFSET %s", NEWEST)
    assert [name for (name,) in loaded] == wanted
    # The numbers of citations go on, too.
    assert after["citation"][len(before["citation"])][0] == before["citation"][-1][0] + 1
    # A changed confirmation takes two: the withdrawal of the old one comes first.
    withdrawn = found_in(migrated, "SELECT FROM status_event WHERE kind = 'retraction'")
    assert len(after["change"]) == NEWEST + len(wanted) + len(withdrawn)


@full
def test_a_declaration_whose_seed_changed_is_corrected(
    migrated: Database, loaded: Database
) -> None:
    """Each event of the old decision is superseded by one of the new decision."""
    older = newest_of(migrated, "change")
    changed = [
        seed.name
        for seed in new_seeds(migrated)
        if seed.name in older and isinstance(seed.body, SeedDeclaration)
    ]
    assert changed

    newer = newest_of(loaded, "change")
    for name in changed:
        events = "SELECT crossing_id, {} FROM status_event WHERE change = %s ORDER BY 1"
        old = found_in(loaded, events.format("id"), older[name])
        assert old
        assert found_in(loaded, events.format("supersedes"), newer[name]) == old
        assert newer[name] > NEWEST


@full
def test_a_crossing_whose_seed_got_better_names_has_them(
    migrated: Database, loaded: Database
) -> None:
    """Also in a database of the first release, whose own version of it stays in the log."""
    query = "SELECT names::text FROM crossing_version WHERE crossing_id = %s ORDER BY change"
    (before,) = found_in(migrated, query, "lavoriskes-katlouka")
    versions = found_in(loaded, query, "lavoriskes-katlouka")

    assert versions[0] == before
    assert "Лаварышкі" not in str(before)
    assert "Лаварышкі" in str(versions[-1])
    assert "Kotłówka" in str(versions[-1])


@full
async def test_loading_again_writes_nothing_and_the_audit_finds_nothing(loaded: Database) -> None:
    assert await load(loaded) == 0
    assert await faults(loaded) == []


async def answers(api: Api, crossings: list[str]) -> dict[tuple[str, str | None], bytes]:
    """Return what was known to the first release, in the bytes of today's answers."""
    found: dict[tuple[str, str | None], bytes] = {}
    for crossing in crossings:
        path = f"/v1/crossings/{crossing}"
        asked = [("status", at) for at in INSTANTS]
        for what, at in [*asked, ("timeline", None)]:
            parameters = {} if at is None else {"at": at}
            response = await api.get(f"{path}/{what}", known_change=NEWEST, **parameters)
            assert response.status_code == 200, response.text
            found[crossing, at] = response.content
    return found


@full
async def test_what_the_first_release_knew_is_answered_in_the_same_bytes(
    migrated: Database, loaded: Database
) -> None:
    six = crossings_of(migrated)
    async with migrated.api() as api:
        before = await answers(api, six)
    told = [json.loads(answer) for (_, at), answer in before.items() if at is not None]
    assert {one["status"] for one in told} == {"open", "restricted", "closed", "unknown"}

    async with loaded.api() as api:
        assert await answers(api, six) == before


@full
async def test_today_is_what_a_database_seeded_afresh_has(
    loaded: Database, seeded: Database
) -> None:
    """But for what tells how it got there: ids, changes and the instants of recording."""
    assert crossings_of(loaded) == crossings_of(seeded)
    async with loaded.api() as ours, seeded.api() as theirs:
        for crossing in crossings_of(seeded):
            assert however_told(await ours.status(crossing)) == however_told(
                await theirs.status(crossing)
            )


def however_told(status: dict[str, Any]) -> dict[str, Any]:
    """Return a status without what depends on the history of its database.

    Events are numbered in the order of the answer, so that lanes still name theirs.
    """
    found = json.dumps(status)
    for number, event in enumerate(status["decided_by"] + status["also_said"]):
        found = found.replace(event["id"], f"event {number}")
    told: dict[str, Any] = json.loads(found)
    for event in told["decided_by"] + told["also_said"]:
        for name in ("decision", "change", "recorded_at", "supersedes"):
            del event[name]
    del told["change"]
    return told
