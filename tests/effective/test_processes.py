"""What comes due while nobody runs, and while several do."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.api import Api, crossing
from tests.conftest import Database
from tests.marks import full
from tests.servers import service
from tests.waiting import until

HERE = "new-crossing"
SETTLED_SECONDS = 3
"""After so long a second announcement would have come."""


@full
async def test_what_came_due_while_nobody_ran_is_announced_once_by_whoever_starts(
    database: Database, tmp_path: Path
) -> None:
    """Two services with delivery workers of their own, two workers each, on one database."""
    async with database.api() as api:
        assert (await api.post("/v1/crossings", crossing(HERE))).status_code == 201
        begins = await api.soon(HERE)
        planned = await api.declare(crossings=[HERE], effective={"from": begins.isoformat()})
        number, key = int(str(planned["change"])), api.key
    await asyncio.sleep(max(0.0, (begins - datetime.now(UTC)).total_seconds()) + 0.1)

    with (
        service(tmp_path / "one.log", workers=2, database_url=database.url) as one,
        service(tmp_path / "two.log", workers=2, database_url=database.url) as two,
    ):
        async with one.api(key) as here, two.api(key) as there:
            assert await there.status(HERE) == await here.status(HERE)
            await until(lambda: changes_since(here, number))
            found = await changes_since(here, number)
            await asyncio.sleep(SETTLED_SECONDS)
            assert await changes_since(there, number) == found
    (change,) = found
    assert change["kind"] == "effective"
    assert datetime.fromisoformat(change["payload"]["at"]) == begins


async def changes_since(api: Api, number: int) -> list[dict[str, Any]]:
    response = await api.get("/v1/changes", after=number)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found
