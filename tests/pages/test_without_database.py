"""While the database is away pages tell the present from memory, and what they cannot tell."""

import httpx2
from psycopg import sql

from tests.api import SUMSKAS
from tests.conftest import Database, _superuser, started
from tests.waiting import PATIENCE

PAGE = {"Accept": "text/html", "Accept-Language": "en"}


def shut(database: Database) -> None:
    """Let nobody in any more, and send away who is there."""
    name = sql.Identifier(database.name)
    with _superuser(database.server) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [database.name],
        )


async def text(client: httpx2.AsyncClient, path: str) -> tuple[int, str]:
    answer = await client.get(path, headers=PAGE)
    assert answer.headers["content-type"].startswith("text/html"), answer.text
    return answer.status_code, answer.text


async def test_the_present_holds_and_the_rest_is_told_to_be_missing(seeded: Database) -> None:
    async with started(seeded.url) as (service, client):
        assert await service.board.reached(0, within=PATIENCE)
        before, whole = await text(client, f"/crossings/{SUMSKAS}")
        shut(seeded)
        after, crossing = await text(client, f"/crossings/{SUMSKAS}?lang=en")
        there, border = await text(client, "/borders/BY-LT?lang=en")

    assert (before, after, there) == (200, 200, 200)
    assert "History is unavailable right now" not in whole
    assert '<section class="answer answer-closed"' in crossing
    assert "History is unavailable right now because our database is unavailable." in crossing
    assert f'href="/crossings/{SUMSKAS}?lang=en"' in border
    assert "This is unavailable right now because our database is unavailable." in border


async def test_the_past_cannot_be_told_and_the_page_says_so(seeded: Database) -> None:
    async with started(seeded.url) as (service, client):
        assert await service.board.reached(0, within=PATIENCE)
        shut(seeded)
        status, page = await text(client, f"/crossings/{SUMSKAS}?at=2023-09-01T00:00:00Z")

    assert status == 503
    assert "<h1>We cannot answer this right now</h1>" in page


async def test_old_knowledge_is_told_to_be_old(seeded: Database) -> None:
    async with started(seeded.url) as (service, client):
        assert await service.board.reached(0, within=PATIENCE)
        shut(seeded)
        service.board.as_of -= 3600
        _, page = await text(client, f"/crossings/{SUMSKAS}")

    assert "We have had no contact with our database since then." in page
