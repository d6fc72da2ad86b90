"""What Prometheus reads of imported feeds."""

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families as families

from tests.importers.conftest import Imports
from tests.importers.samples import echerha, queue


async def figures(imports: Imports, feed: str) -> dict[str, float]:
    """Return the figures of a feed by their names."""
    async with imports.database.api() as api:
        response = await api.get("/metrics")
    assert response.status_code == 200, response.text
    return {
        one.name.removeprefix("crossings_feed_"): one.value
        for family in families(response.text)
        for one in family.samples
        if one.labels.get("feed") == feed
    }


async def test_a_feed_tells_its_ages_and_what_was_recorded_and_refused(imports: Imports) -> None:
    at = datetime.now(UTC) - timedelta(minutes=10)
    payload = echerha(queue(tooltip="3,5 т"), queue(1, "Тут – Там (для вантажівок)"))
    outcome = await imports.take(payload, "ua-echerha", at=at)
    await imports.runner("ua-echerha").note([outcome], at=at + timedelta(minutes=5))

    found = await figures(imports, "ua-echerha")

    assert 300 <= found.pop("success_age_seconds") < 600
    assert 600 <= found.pop("age_seconds") < 3600
    assert found == {"failures": 0, "rows": 1, "refused": 1}


async def test_a_feed_that_fails_tells_how_often(imports: Imports) -> None:
    for _ in range(2):
        await imports.runner("ca-cbsa").note([await imports.take(b"", "ca-cbsa")])

    assert (await figures(imports, "ca-cbsa"))["failures"] == 2


async def test_a_feed_that_is_not_imported_tells_nothing(imports: Imports) -> None:
    assert await figures(imports, "by-monitoring") == {}
