"""What the database sees to: append-only, by week, the latest beside it, and old weeks go."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import CheckViolation, ForeignKeyViolation, RestrictViolation
from sqlalchemy.exc import DBAPIError

from app import schema
from app.audit.service import find_faults
from app.embedded.server import OWNER, SERVICE
from app.observations.partitions import drop_partitions, make_partitions
from app.observations.recording import OBSERVATION_LOCK
from tests.api import MEDININKAI, SUMSKAS, Api
from tests.conftest import Database
from tests.database.test_migrations import downgrade
from tests.marks import full
from tests.observations.observing import ago, known, listed, minutes_of, record, row, waits
from tests.subscriptions.conftest import with_worker
from tests.waiting import until

PARTITIONS = """
    SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'observation'::regclass ORDER BY relname
"""


def partitions(database: Database) -> list[str]:
    with database.connect() as connection:
        return [name for (name,) in connection.execute(PARTITIONS).fetchall()]


async def drop(database: Database, days: int) -> int:
    async with database.session() as session:
        return await drop_partitions(session, keep=timedelta(days=days))


# Append-only


@pytest.mark.parametrize("role", [OWNER, SERVICE])
async def test_what_was_observed_cannot_be_rewritten_by_way_of_a_partition_either(
    api: Api, seeded: Database, role: str
) -> None:
    await record(api, row())
    (name, *_) = partitions(seeded)
    partition = sql.SQL("partitions.{}").format(sql.Identifier(name))
    statements = ("UPDATE {} SET minutes = 1", "DELETE FROM {}", "TRUNCATE {}")
    refusals = RestrictViolation if role == OWNER else psycopg.errors.InsufficientPrivilege
    with seeded.connect(role) as connection:
        for statement in statements:
            with pytest.raises(refusals):
                connection.execute(sql.SQL(statement).format(partition))
        for statement in statements:
            with pytest.raises((RestrictViolation, psycopg.errors.InsufficientPrivilege)):
                connection.execute(sql.SQL(statement).format(sql.Identifier("observation")))
    assert minutes_of(await listed(api)) == [35]


async def test_the_service_can_neither_make_nor_alter_what_is_told_as_the_latest(
    api: Api, seeded: Database
) -> None:
    await record(api, row())
    with seeded.connect(SERVICE) as connection:
        for statement in (
            "UPDATE latest_observation SET minutes = 1",
            "DELETE FROM latest_observation",
            "INSERT INTO latest_observation SELECT * FROM observation",
            "CREATE TABLE partitions.ours ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


INSERT = """
    INSERT INTO observation (series_id, observed_at, recorded_at, recorded_by, shown_until, closed,
                             minutes, vehicles, lanes_open, moving, estimate, method)
    SELECT coalesce(%(series)s, id), coalesce(%(observed_at)s, now()), now(), 'sql', now(),
           %(closed)s, %(minutes)s, %(vehicles)s, %(lanes)s, %(moving)s, false, 'official'
    FROM observation_series LIMIT 1
"""
SOUND: dict[str, object] = {
    "series": None,
    "observed_at": None,
    "closed": False,
    "minutes": 1,
    "vehicles": None,
    "lanes": None,
    "moving": None,
}


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"minutes": -1}, "minutes_in_range"),
        ({"minutes": 43_201}, "minutes_in_range"),
        ({"vehicles": -1}, "vehicles_in_range"),
        ({"lanes": -1}, "lanes_open_in_range"),
        ({"closed": True}, "closed_has_no_wait"),
        ({"closed": True, "minutes": None, "lanes": 1}, "closed_has_no_wait"),
        ({"closed": True, "minutes": None, "moving": True}, "closed_has_no_wait"),
        ({"observed_at": ago(minutes=-90)}, "observed_before_recorded"),
    ],
)
async def test_the_database_refuses_what_cannot_be(
    api: Api, seeded: Database, fields: dict[str, object], constraint: str
) -> None:
    await record(api, row())
    with seeded.connect(SERVICE) as connection, pytest.raises(CheckViolation) as raised:
        connection.execute(INSERT, SOUND | fields)
    assert raised.value.diag.constraint_name == f"ck_observation_{constraint}"


async def test_the_database_refuses_an_observation_of_nothing(api: Api, seeded: Database) -> None:
    await record(api, row())
    with seeded.connect(SERVICE) as connection, pytest.raises(ForeignKeyViolation):
        connection.execute(INSERT, {**SOUND, "series": 99})


@pytest.mark.parametrize(
    ("traffic", "to", "constraint"),
    [
        ("train", "LT", "ck_observation_series_traffic_authorised"),
        ("car", "PL", "ck_observation_series_to_of_crossing"),
    ],
)
async def test_the_database_refuses_a_lane_that_is_not_there(
    seeded: Database, traffic: str, to: str, constraint: str
) -> None:
    with seeded.connect(SERVICE) as connection, pytest.raises(CheckViolation) as raised:
        connection.execute(
            'INSERT INTO observation_series (crossing_id, traffic, "to", source_id)'
            " SELECT %s, %s, %s, id FROM source LIMIT 1",
            [MEDININKAI, traffic, to],
        )
    assert raised.value.diag.constraint_name == constraint


async def test_the_latest_is_kept_in_whatever_order_observations_come(
    api: Api, seeded: Database
) -> None:
    for hours in (2, 1, 3, 1):
        await record(api, row(observed_at=ago(hours=hours), wait=known(hours)))
    await record(api, *(row(SUMSKAS, observed_at=ago(hours=hours)) for hours in (2, 1, 3)))

    with seeded.connect() as connection:
        (differing,) = connection.execute("""
            SELECT count(*) FROM latest_observation latest
            WHERE (latest.*) IS DISTINCT FROM (
                SELECT (one.*)::observation::text::latest_observation FROM observation one
                WHERE one.series_id = latest.series_id ORDER BY observed_at DESC LIMIT 1)
        """).fetchone() or (None,)
    assert differing == 0
    assert minutes_of(await waits(api)) == [1]


@full
async def test_the_check_finds_a_latest_observation_that_is_another(
    api: Api, seeded: Database
) -> None:
    await record(api, row(observed_at=ago(hours=2)), row(SUMSKAS, observed_at=ago(days=50)))
    await record(api, row(observed_at=ago(hours=1)))
    await drop(seeded, 30)
    assert await faults(seeded) == []
    for statement in (
        "UPDATE latest_observation SET minutes = 1",
        "UPDATE latest_observation SET observed_at = observed_at - interval '1 hour'",
    ):
        with seeded.connect() as connection:
            connection.execute(statement.encode())
        assert await faults(seeded) == [
            f"the latest observations of {MEDININKAI} are not those that were made last"
        ]


# Those that confirm


@pytest.mark.parametrize("role", [OWNER, SERVICE])
async def test_what_confirms_is_kept_for_good_and_in_the_order_of_recording(
    api: Api, seeded: Database, role: str
) -> None:
    await record(api, row())
    insert = """
        INSERT INTO confirming_observation
        SELECT id, now() + %s * interval '1 hour', now() + %s * interval '1 hour'
        FROM observation_series LIMIT 1
    """
    with seeded.connect(role) as connection:
        connection.execute(insert, [-3, -2])
        for observed, recorded in ((-4, 0), (-3.1, 0), (-1, -2), (-2.5, -2.1)):
            with pytest.raises(CheckViolation):
                connection.execute(insert, [observed, recorded])
        with pytest.raises(CheckViolation, match="observed_before_recorded"):
            connection.execute(insert, [1, 0])
        for statement in (
            "UPDATE confirming_observation SET observed_at = now()",
            "DELETE FROM confirming_observation",
            "TRUNCATE confirming_observation",
        ):
            with pytest.raises((RestrictViolation, psycopg.errors.InsufficientPrivilege)):
                connection.execute(statement.encode())


async def faults(database: Database) -> list[str]:
    async with database.session() as session:
        return [one async for one in find_faults(session)]


# By week


async def test_each_week_has_a_partition_from_monday_to_monday_in_utc(
    api: Api, seeded: Database
) -> None:
    """However far back the first observation is, and whatever zone it is told in."""
    sunday, monday = "2026-11-01T23:59:59.999999Z", "2026-11-02T03:00:00+03:00"
    await record(api, row(observed_at=sunday, wait=known(1)))
    await record(api, row(observed_at=monday, wait=known(2)))

    with seeded.connect() as connection:
        found = connection.execute("""
            SELECT tableoid::regclass::text, minutes FROM observation ORDER BY minutes
        """).fetchall()
    assert found == [
        ("partitions.observation_20261026", 1),
        ("partitions.observation_20261102", 2),
    ]


async def test_partitions_are_made_ahead_once_however_often_it_is_seen_to(
    seeded: Database,
) -> None:
    async def see_to_it() -> None:
        async with seeded.session() as session:
            await make_partitions(session)

    await asyncio.gather(*(see_to_it() for _ in range(5)))

    assert len(partitions(seeded)) == 3


async def test_old_weeks_go_with_all_that_is_in_them_and_the_others_stay(
    api: Api, seeded: Database
) -> None:
    await record(api, row(observed_at=ago(days=50), wait=known(50)), row(wait=known(0)))
    await record(api, row(SUMSKAS, observed_at=ago(days=50)))
    before = partitions(seeded)

    dropped = await asyncio.gather(*(drop(seeded, 30) for _ in range(4)))
    # What somebody reads just then is left for the next time.
    while more := await drop(seeded, 30):
        dropped.append(more)

    after = partitions(seeded)
    assert sum(dropped) == len(before) - len(after) > 0
    assert minutes_of(await listed(api)) == [0]
    assert await listed(api, SUMSKAS) == []
    assert minutes_of(await waits(api)) == [0]
    assert await drop(seeded, 30) == 0
    assert (await record(api, row(observed_at=ago(days=50))))["recorded"] == 1


async def test_no_week_that_is_not_over_for_long_can_be_dropped(seeded: Database) -> None:
    with pytest.raises(DBAPIError, match="kept for a week"):
        await drop(seeded, 6)


async def test_a_week_that_is_being_read_is_left_for_the_next_time(
    api: Api, seeded: Database
) -> None:
    await record(api, row(observed_at=ago(days=50)))
    with seeded.connect() as reader:
        with reader.transaction():
            assert len(reader.execute("SELECT FROM observation").fetchall()) == 1
            assert await drop(seeded, 30) == 0
            assert len(await listed(api)) == 1
        assert await drop(seeded, 30) > 0
    assert await listed(api) == []


async def test_a_batch_waits_for_one_under_way(api: Api, seeded: Database) -> None:
    """So instants of recording are in the order of commits."""
    with seeded.connect() as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [OBSERVATION_LOCK])
        batch = asyncio.create_task(record(api, row()))
        await until(lambda: is_waited_for(seeded))
        assert not batch.done()
    assert (await batch)["recorded"] == 1


def is_waited_for(database: Database) -> bool:
    with database.connect() as connection:
        return bool(
            connection.execute(
                "SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
            ).fetchall()
        )


async def test_a_question_as_known_waits_for_a_batch_under_way(api: Api, seeded: Database) -> None:
    """It may have been recorded before that instant, and nothing may come to be known later."""
    known_at = (await record(api, row()))["change"]
    with seeded.connect() as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [OBSERVATION_LOCK])
        asked = asyncio.create_task(waits(api, known_change=known_at))
        await until(lambda: is_waited_for(seeded))
        present = await waits(api)
        assert not asked.done()
    assert await asked == present


async def test_the_delivery_worker_makes_and_drops_partitions(api: Api, seeded: Database) -> None:
    await record(api, row(observed_at=ago(days=50)))
    (oldest, *_, newest) = partitions(seeded)
    async with with_worker(seeded, observations_keep_days=30):
        await until(lambda: oldest not in partitions(seeded) and newest < partitions(seeded)[-1])
    assert await listed(api) == []


async def test_the_tables_go_and_come_again_with_rows_in_them(seeded: Database) -> None:
    async with seeded.api() as api:
        await record(api, row(), row(SUMSKAS, observed_at=ago(days=50)))

    downgrade(seeded, "0011")
    schema.migrate(seeded.owner_url, service_role=SERVICE)

    async with seeded.api() as api:
        assert await listed(api) == []
        assert (await record(api, row()))["recorded"] == 1
        assert minutes_of(await waits(api)) == [35]
