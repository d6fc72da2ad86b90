"""`GET /v1/feeds`: how the imports went."""

from datetime import UTC, datetime, timedelta

from app.importers.importer import importers
from tests.api import Json
from tests.importers.conftest import Imports
from tests.importers.samples import echerha, queue


async def feeds(imports: Imports, **parameters: str | int) -> list[Json]:
    async with imports.database.api() as api:
        response = await api.get("/v1/feeds", **parameters)
    assert response.status_code == 200, response.text
    items: list[Json] = response.json()["items"]
    return items


async def test_every_feed_is_listed_whether_or_not_it_is_imported(imports: Imports) -> None:
    found = await feeds(imports)

    assert [one["name"] for one in found] == sorted(importers())
    (one,) = [one for one in found if one["name"] == "us-cbp"]
    assert one == {
        "name": "us-cbp",
        "title": "Border wait times",
        "publisher": "US Customs and Border Protection",
        "url": "https://bwt.cbp.gov/api/bwtnew",
        "source": None,
        "status_policy": "open",
        "interval_seconds": 600,
        "last_attempt_at": None,
        "last_success_at": None,
        "last_change_at": None,
        "next_attempt_at": None,
        "failures": 0,
        "error": None,
        "observed_at": None,
        "age": None,
        "rows": 0,
        "refused_count": 0,
        "refused": [],
        "unknown_places": [],
    }


async def test_a_feed_tells_what_was_read_and_what_was_refused_and_why(imports: Imports) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    payload = echerha(queue(tooltip="3,5 т"), queue(1, "Тут – Там (для вантажівок)"))
    outcome = await imports.take(payload, "ua-echerha", at=at)
    await imports.runner("ua-echerha").note([outcome], at=at)

    (found,) = [one for one in await feeds(imports) if one["name"] == "ua-echerha"]

    told = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    assert (found["last_attempt_at"], found["last_success_at"]) == (told, told)
    assert (found["last_change_at"], found["observed_at"]) == (told, told)
    assert isinstance(found["age"], int)
    assert 600 <= found["age"] < 3600
    assert (found["rows"], found["refused_count"]) == (1, 1)
    assert found["refused"] == [
        {
            "place": "Шегині – Медика",
            "what": "note of queue 8",
            "value": "3,5 т",
            "reason": "may say something of the status, which this feed may not",
        }
    ]
    assert found["unknown_places"] == [{"key": "Тут – Там", "name": "queue 1", "reason": None}]
    async with imports.database.api() as api:
        assert (await api.get(f"/v1/sources/{found['source']}")).status_code == 200


async def test_what_went_wrong_is_told(imports: Imports) -> None:
    outcome = await imports.take(b"")
    await imports.runner().note([outcome])

    (found,) = [one for one in await feeds(imports) if one["name"] == "us-cbp"]

    assert (found["error"], found["failures"]) == ("The payload is empty.", 1)
    assert found["last_success_at"] is None


async def test_feeds_are_paged_by_name(imports: Imports) -> None:
    async with imports.database.api() as api:
        names: list[str] = []
        response = await api.get("/v1/feeds", limit=1)
        while True:
            names += [one["name"] for one in response.json()["items"]]
            if response.json()["next"] is None:
                break
            response = await api.client.get(response.json()["next"])

    assert names == sorted(importers())
