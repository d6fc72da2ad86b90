"""The page about the service: how the imports went."""

from datetime import UTC, datetime, timedelta

from app.languages.languages import LANGUAGES
from tests.importers.conftest import Imports
from tests.importers.samples import echerha, queue


async def page(imports: Imports, lang: str = "en") -> str:
    async with imports.database.api() as api:
        response = await api.client.get("/status", params={"lang": lang})
    assert response.status_code == 200
    return response.text


async def test_it_tells_of_each_feed_when_it_was_read_and_what_was_refused(
    imports: Imports,
) -> None:
    at = datetime.now(UTC) - timedelta(minutes=10)
    payload = echerha(queue(tooltip="<b>3,5 т</b>"), queue(1, "Тут – Там (для вантажівок)"))
    outcome = await imports.take(payload, "ua-echerha", at=at)
    await imports.runner("ua-echerha").note([outcome], at=at)

    text = await page(imports)

    for part in (
        "eCherha",
        "Last success",
        "10 minutes ago",
        "1 × may say something of the status, which this feed may not",
        "Тут – Там (queue 1): not among our crossings",
        "Not imported here: ",
    ):
        assert part in text


async def test_it_tells_why_the_last_attempt_failed(imports: Imports) -> None:
    await imports.runner().note([await imports.take(b"")])

    text = await page(imports)

    assert "Problem at the last attempt" in text
    assert "The payload is empty." in text


async def test_it_does_so_in_every_language(imports: Imports) -> None:
    await imports.runner().note([await imports.take(b"")])

    for code in LANGUAGES.keys() - {"en"}:
        assert "Problem at the last attempt" not in await page(imports, code)
