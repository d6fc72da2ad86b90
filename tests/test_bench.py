"""The benchmark's own sums, and the databases that it makes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import Connection, sql

from app.embedded.server import SUPERUSER
from bench.crowd import WATCHED, WATCHED_EVENTS, Crowd, fill
from bench.findings import Finding, keep, median_of, percentile, ratio_of, unmeasured
from tests.conftest import Database

CROWD = Crowd(crossings=20, events=200)

CHANGE_OF = {
    "change": "number",
    "source": "change",
    "crossing_version": "change",
    "status_event": "change",
    "citation": "coalesce(version, (SELECT change FROM held_status_event WHERE id = event_id))",
}
"""The change that a row belongs to, by table, in the order in which a change writes them."""


@pytest.fixture
def crowded(database: Database) -> Iterator[Connection]:
    """A superuser's connection to a database with a crowd."""
    with database.connect(SUPERUSER) as superuser:
        fill(superuser, CROWD)
        yield superuser


def test_a_ratio_is_the_median_of_its_rounds_and_spreads_between_their_quartiles() -> None:
    found = ratio_of("it", [(1, 2), (9, 10), (6, 10), (7, 10), (16, 20)])

    assert (found.value, found.spread) == (0.7, (0.6, 0.8))
    assert found.rounds[0] == {"subject": 1, "baseline": 2}


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3, 1, 2], 99) == 3
    assert percentile(range(1, 301), 99) == 297
    assert percentile([5], 50) == 5


@pytest.mark.parametrize(
    ("values", "at_least", "at_most", "verdict"),
    [
        ([1, 2, 3], 2, None, "met"),
        ([1, 2, 3], 2.4, None, "missed within the spread"),
        ([1, 2, 3], 2.6, None, "missed"),
        ([1, 2, 3], None, 2, "met"),
        ([1, 2, 3], None, 1.6, "missed within the spread"),
        ([1, 2, 3], None, 1.4, "missed"),
        ([1, 2, 3], None, None, "-"),
    ],
)
def test_the_verdict_tells_a_clear_miss_from_one_that_the_spread_may_explain(
    values: list[float], at_least: float | None, at_most: float | None, verdict: str
) -> None:
    found = median_of("it", values, at_least=at_least, at_most=at_most)

    assert found.verdict == verdict
    assert f"  {verdict}" in found.row()


def test_a_figure_without_rounds_has_no_spread_to_explain_a_miss() -> None:
    assert Finding(name="it", value=11, at_most=10).verdict == "missed"


def test_what_could_not_be_measured_says_why() -> None:
    found = unmeasured("it", "no reason")

    assert found.row().split() == ["it", "-", "-", "-", "not", "measured", "(no", "reason)"]


def test_every_round_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "results" / "today.json"

    keep(path, machine={"cores": 2}, findings=[median_of("it", [1, 2], at_least=1)])

    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["machine"] == {"cores": 2}
    assert told["findings"][0]["rounds"] == [{"value": 1}, {"value": 2}]
    assert told["findings"][0]["verdict"] == "met"


async def test_a_crowd_answers_like_any_other_database(
    crowded: Connection, database: Database
) -> None:
    async with database.api() as api:
        found = await api.get("/v1/crossings", limit=200)
        statuses = [await api.status(one) for one in CROWD.ids()]
        log = await api.get(f"/v1/crossings/{WATCHED}/events", limit=200)

    assert {one["id"] for one in found.json()["items"]} == set(CROWD.ids())
    assert {"restricted", "closed"} <= {one["status"] for one in statuses}
    events = log.json()["items"]
    assert len(events) == WATCHED_EVENTS
    assert {one["kind"] for one in events} == {"declaration", "confirmation", "retraction"}
    assert any(one["superseded_by"] for one in events)
    (count,) = crowded.execute("SELECT count(*) FROM status_event").fetchone() or (None,)
    assert count == CROWD.events


def test_the_database_would_have_taken_every_row_of_a_crowd_by_itself(crowded: Connection) -> None:
    """All triggers and foreign keys look at them, change by change, in one transaction."""
    with crowded.transaction():
        crowded.execute("SET LOCAL session_replication_role = replica")
        for table in CHANGE_OF:
            name = sql.Identifier(table)
            held = sql.Identifier(f"held_{table}")
            crowded.execute(sql.SQL("CREATE TEMP TABLE {} AS TABLE {}").format(held, name))
        crowded.execute("TRUNCATE change CASCADE")
        crowded.execute("SET LOCAL session_replication_role = origin")
        numbers = crowded.execute("SELECT number FROM held_change ORDER BY number").fetchall()
        replays = [_replay(crowded, table) for table in CHANGE_OF]
        for number in numbers:
            for replay in replays:
                crowded.execute(replay, number)
        crowded.execute("SET CONSTRAINTS ALL IMMEDIATE")

    assert len(numbers) == 1 + CROWD.crossings + CROWD.events


def _replay(connection: Connection, table: str) -> sql.Composed:
    """Return the statement that writes the held rows of one change anew."""
    columns = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
        " AND is_generated = 'NEVER' AND is_identity = 'NO'",
        [table],
    ).fetchall()
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE {} = %s").format(
        sql.Identifier(table),
        *[sql.SQL(", ").join(sql.Identifier(name) for (name,) in columns)] * 2,
        sql.Identifier(f"held_{table}"),
        sql.SQL(CHANGE_OF[table]),
    )
