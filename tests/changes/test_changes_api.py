"""The change log over HTTP: gapless, in order, chained, complete."""

import hashlib
from collections.abc import AsyncIterator

import pytest
import rfc8785
from pydantic import JsonValue

from tests.api import MEDININKAI, SUMSKAS, Api, Json, citation, crossing, decision

CONFIRMATION = {"sides": ["LT"], "citations": [citation()]}
RETRACTION = {"reason": {"code": "other", "text": "A test takes it back"}}


async def pages(api: Api, after: int = 0, limit: int = 40) -> AsyncIterator[Json]:
    """Yield every change by following `next` until a page is empty."""
    page = (await api.get("/v1/changes", after=after, limit=limit)).json()
    while page["items"]:
        assert len(page["items"]) <= limit
        for item in page["items"]:
            yield item
        page = (await api.client.get(page["next"])).json()


async def newest(api: Api) -> int:
    return int((await api.get("/v1/crossings")).headers["Change-Number"])


async def test_paging_by_number_meets_every_change_once_and_in_order(seeded_api: Api) -> None:
    found = [item async for item in pages(seeded_api)]

    assert [item["change"] for item in found] == list(range(1, len(found) + 1))
    assert sorted(str(item["recorded_at"]) for item in found) == [
        item["recorded_at"] for item in found
    ]


async def test_the_log_goes_on_after_its_last_page(seeded_api: Api) -> None:
    """`next` is an address even when there is nothing more: ask it again later."""
    last = await newest(seeded_api)
    page = (await seeded_api.get("/v1/changes", after=last)).json()

    assert page["items"] == []
    assert page["next"].endswith(f"/v1/changes?after={last}")


async def test_a_limit_over_two_hundred_is_lowered(seeded_api: Api) -> None:
    page = await seeded_api.get("/v1/changes", limit=100_000)

    assert page.status_code == 200
    assert len(page.json()["items"]) <= 200


async def test_the_chain_recomputes_from_the_items_alone(seeded_api: Api) -> None:
    """SHA-256 of the hash before, zeros first, and the RFC 8785 JSON of the other fields."""
    previous = bytes(32)
    async for item in pages(seeded_api):
        told = {name: value for name, value in item.items() if name != "hash"}
        previous = hashlib.sha256(previous + rfc8785.dumps(told)).digest()
        assert previous.hex() == item["hash"]


async def test_every_write_of_any_kind_is_exactly_one_change(api: Api) -> None:
    before = await newest(api)

    declared = await api.declare()
    await api.post(f"/v1/crossings/{SUMSKAS}/confirmations", CONFIRMATION)
    await api.post("/v1/crossings", crossing())
    await api.post("/v1/sources", {"title": "A source alone"})
    undo = declared["undo"]
    assert isinstance(undo, list)
    await api.post(str(undo[0]), RETRACTION)

    found = [item async for item in pages(api, after=before)]
    assert [item["kind"] for item in found] == [
        "decision",
        "confirmation",
        "crossing",
        "source",
        "retraction",
    ]
    assert [item["change"] for item in found] == [before + n for n in range(1, 6)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/events", decision(sides=["PL"])),
        ("/v1/events", decision(crossings=["nowhere"])),
        ("/v1/crossings", crossing(SUMSKAS)),
        (f"/v1/crossings/{SUMSKAS}/confirmations", {**CONFIRMATION, "traffic": ["train"]}),
        ("/v1/events/00000000-0000-0000-0000-000000000000/retraction", RETRACTION),
    ],
)
async def test_what_is_refused_leaves_no_number_behind(
    api: Api, path: str, body: dict[str, object]
) -> None:
    before = await newest(api)

    refused = await api.post(path, body)
    declared = await api.declare()

    assert refused.status_code in {404, 409, 422}
    assert declared["change"] == before + 1


async def test_a_payload_has_the_whole_event_as_the_log_shows_it(api: Api) -> None:
    """Except what is only known later: what superseded or retracted it."""
    declared = await api.declare(crossings=[SUMSKAS, MEDININKAI])
    item = await change(api, declared["change"])

    payload = item["payload"]
    assert isinstance(payload, dict)
    assert payload["recorded_by"] == "reporter"
    assert payload["decision"] == declared["decision"]
    assert payload["events"] == [without_later(event) for event in as_list(declared["events"])]
    assert [source["title"] for source in as_dicts(payload["sources"])] == ["Told by a test"]


async def test_subjects_name_all_that_a_change_is_about(api: Api) -> None:
    declared = await api.declare(crossings=[SUMSKAS, MEDININKAI])
    item = await change(api, declared["change"])
    event = as_dicts(declared["events"])[0]
    cited = as_dicts(event["citations"])[0]

    assert item["subjects"] == {
        "crossings": [SUMSKAS, MEDININKAI],
        "borders": ["BY-LT"],
        "countries": ["BY", "LT"],
        "sources": [cited["source"]],
    }


async def test_a_new_crossing_is_told_with_its_details(api: Api) -> None:
    added = (await api.post("/v1/crossings", crossing("tiny-point"))).json()
    item = await change(api, added["version"])

    payload = item["payload"]
    assert isinstance(payload, dict)
    details = as_dicts(payload["crossings"])[0]
    assert details == {name: added[name] for name in details}
    assert details["id"] == "tiny-point"


async def change(api: Api, number: JsonValue) -> Json:
    assert isinstance(number, int)
    page = (await api.get("/v1/changes", after=number - 1, limit=1)).json()
    item: Json = page["items"][0]
    assert item["change"] == number
    return item


def without_later(event: JsonValue) -> Json:
    assert isinstance(event, dict)
    later = {"superseded_by", "retracted_by"}
    return {name: value for name, value in event.items() if name not in later}


def as_list(value: JsonValue) -> list[JsonValue]:
    assert isinstance(value, list)
    return value


def as_dicts(value: JsonValue) -> list[Json]:
    return [one for one in as_list(value) if isinstance(one, dict)]
