"""A service whose database is read-only says so before a reporter finds out."""

import pytest
from psycopg import sql

from app.embedded.server import SUPERUSER
from tests.conftest import Database, started


def refuse_writes(database: Database, *, really: bool) -> None:
    """Let the database take no writes from new connections, or take them again."""
    setting = "ALTER DATABASE {} SET default_transaction_read_only = " + ("on" if really else "off")
    with database.connect(SUPERUSER) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(sql.SQL(setting).format(sql.Identifier(database.name)))


async def test_it_is_degraded_and_says_why_until_the_database_takes_writes_again(
    seeded: Database, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_writes(seeded, really=True)
    async with started(seeded.url) as (service, client):
        assert await service.board.reached(0, within=60)
        writability = service.application.state.writability
        await writability.probe()
        await writability.probe()
        degraded = (await client.get("/health/ready")).json()
        page = (await client.get("/status?lang=en")).text
        metrics = (await client.get("/metrics")).text
        refuse_writes(seeded, really=False)
        await service.application.state.pools.writers.dispose()
        await writability.probe()
        ready = (await client.get("/health/ready")).json()

    assert (degraded["status"], degraded["reason"]) == (
        "degraded",
        "The database does not accept writes: it is read-only.",
    )
    assert "The database is read-only at the moment." in page
    assert "crossings_database_refuses_writes 1.0" in metrics
    assert (ready["status"], ready["reason"]) == ("ready", None)
    said = [one.message for one in caplog.records if "writes" in one.message]
    assert len(said) == 2
    assert said[0].startswith(
        "The database does not accept writes; they are answered 503 until it does:"
    )
    assert said[1] == "The database accepts writes again."
