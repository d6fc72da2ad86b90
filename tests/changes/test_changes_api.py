"""The change log over HTTP: every write one change, numbered, whole, and chained."""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import rfc8785

from app.seeding.service import SEEDER
from app.sources.schemas import SourceIn
from app.sources.service import record_source
from tests.api import SUMSKAS, Api, citation, crossing, decision, event_in_log, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

CHANGES = "/v1/changes"
HERE, THERE = "new-crossing", "other-crossing"


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with two crossings."""
    async with database.api() as api:
        for name in (HERE, THERE):
            response = await api.post("/v1/crossings", crossing(name))
            assert response.status_code == 201, response.text
        yield api


async def page(api: Api, **parameters: int) -> list[Body]:
    response = await api.get(CHANGES, **parameters)
    assert response.status_code == 200, response.text
    found: list[Body] = response.json()["items"]
    return found


async def newest(api: Api) -> Body:
    number = int((await api.get("/v1/crossings")).headers["change-number"])
    (found,) = await page(api, after=number - 1)
    return found


async def whole(api: Api) -> list[Body]:
    found: list[Body] = []
    while items := await page(api, after=len(found), limit=200):
        found += items
    return found


async def write_every_kind(api: Api) -> list[Body]:
    """Write one of each kind of change and return the answers."""
    source = (await api.post("/v1/sources", {"title": "A source"})).json()
    decided: Body = await api.declare(
        crossings=[HERE, THERE], citations=[citation(), {"source": source["id"]}]
    )
    first, second = (one["id"] for one in decided["events"])
    corrected: Body = await api.declare(crossings=[HERE], supersedes=[first])
    reason = {"reason": {"code": "technical", "text": "Twice"}, "citations": [citation()]}
    retracted = (await api.post(f"/v1/events/{second}/retraction", reason)).json()
    confirmation = {"sides": ["LT"], "citations": [{"source": source["id"]}]}
    confirmed = await api.post(f"/v1/crossings/{HERE}/confirmations", confirmation)
    added = await api.post("/v1/crossings", crossing("third-crossing", citations=[citation()]))
    return [source, decided, corrected, retracted, confirmed.json(), added.json()]


# Pages


async def test_changes_are_paged_in_order_and_there_is_always_a_next(seeded_api: Api) -> None:
    found: list[Body] = []
    address = f"{CHANGES}?limit=17"
    while True:
        response = await seeded_api.client.get(address)
        body = response.json()
        assert [*body] == ["items", "next"]
        assert response.headers["link"] == f'<{body["next"]}>; rel="next"'
        assert body["next"].startswith("http://crossings.test/v1/changes?")
        address = body["next"]
        if not body["items"]:
            break
        found += body["items"]
    again = (await seeded_api.client.get(address)).json()

    assert again == {"items": [], "next": address}
    assert [one["change"] for one in found] == list(range(1, len(found) + 1))
    assert found == await whole(seeded_api)
    assert {tuple(one) for one in found} == {
        ("change", "kind", "recorded_at", "subjects", "payload", "hash")
    }
    instants = [one["recorded_at"] for one in found]
    assert len(set(instants)) == len(instants)


async def test_the_next_page_of_an_empty_one_has_what_was_written_since(here: Api) -> None:
    body = (await here.get(CHANGES, after=2)).json()
    assert body["items"] == []
    await here.declare(crossings=[HERE])
    following = (await here.client.get(body["next"])).json()
    assert [one["change"] for one in following["items"]] == [3]


@pytest.mark.parametrize(
    ("after", "limit", "first", "count"), [(0, 1, 1, 1), (0, 50, 1, 50), (7, 3, 8, 3)]
)
async def test_after_and_limit_say_where_a_page_starts_and_how_long_it_is(
    seeded_api: Api, after: int, limit: int, first: int, count: int
) -> None:
    numbers = [one["change"] for one in await page(seeded_api, after=after, limit=limit)]
    assert numbers == list(range(first, first + count))


async def test_a_page_has_fifty_changes_unless_asked_for_others_and_200_at_most(
    database: Database,
) -> None:
    async with database.session() as session:
        for number in range(202):
            source = SourceIn(title=f"Source {number}")
            await record_source(session, SEEDER, source=source)
    async with database.api() as api:
        assert len(await page(api)) == 50
        for limit in (200, 201, 10**6, 10**12):
            assert len(await page(api, limit=limit)) == 200
        assert [one["change"] for one in await page(api, after=200, limit=201)] == [201, 202]


async def test_after_the_newest_change_a_page_is_empty(seeded_api: Api) -> None:
    newest = int((await seeded_api.get("/v1/crossings")).headers["change-number"])
    assert await page(seeded_api, after=newest) == []


@pytest.mark.parametrize("wanted", [{}, {"kind": "decision"}])
async def test_beyond_the_newest_change_a_page_is_refused_and_never_empty(
    seeded_api: Api, wanted: dict[str, str]
) -> None:
    """Else a reader who remembers a number from before a restore misses all that follows."""
    newest = int((await seeded_api.get("/v1/crossings")).headers["change-number"])
    for after in (newest + 1, 10**9):
        response = await seeded_api.get(CHANGES, after=after, **wanted)
        body = problem(response, 422, "invalid")
        assert fields_of(body) == ["after"]
        assert str(newest) in str(body["detail"])


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"after": "-1"}, "after"),
        ({"after": "x"}, "after"),
        ({"after": "1.5"}, "after"),
        ({"after": str(2**63)}, "after"),
        ({"limit": "0"}, "limit"),
        ({"limit": "-5"}, "limit"),
        ({"cursor": "x"}, "cursor"),
    ],
)
async def test_a_page_that_makes_no_sense_is_refused_by_name(
    seeded_api: Api, parameters: dict[str, str], field: str
) -> None:
    response = await seeded_api.get(CHANGES, **parameters)
    assert fields_of(problem(response, 422, "invalid")) == [field]


# The chain


async def check_chain(api: Api) -> int:
    """Recompute every hash from what the pages say, and nothing else; return how many."""
    previous = bytes(32)
    items = await whole(api)
    for item in items:
        record = {name: value for name, value in item.items() if name != "hash"}
        previous = hashlib.sha256(previous + rfc8785.dumps(record)).digest()
        assert item["hash"] == previous.hex(), item["change"]
    return len(items)


async def test_anyone_can_recompute_the_chain_of_the_seeds(seeded_api: Api) -> None:
    assert await check_chain(seeded_api) > 100


async def test_anyone_can_recompute_the_chain_over_every_kind_of_change(here: Api) -> None:
    await write_every_kind(here)
    assert await check_chain(here) == 8


@pytest.mark.parametrize(
    "location",
    [
        {"lat": -0.0, "lon": 0, "precision_km": 100},
        {"lat": 1e-7, "lon": 1.5e-300, "precision_km": 5e-324},
        {"lat": 54.123456789012345, "lon": 179.99999999999997, "precision_km": 0.1},
        {"lat": 89.99999999999999, "lon": -180.0, "precision_km": 1e-6},
    ],
)
async def test_the_chain_holds_over_numbers_that_are_written_in_many_ways(
    here: Api, location: Body
) -> None:
    # Of two countries whose extent is not known here.
    between = {"sides": ["AD", "FR"], "names": [{"lang": "fr", "side": "FR", "name": "Ici"}]}
    third = crossing("third-crossing", location=location, **between)
    response = await here.post("/v1/crossings", third)
    assert response.status_code == 201, response.text
    assert response.json()["location"] == location
    assert await check_chain(here) == 3


@pytest.mark.parametrize(
    "text",
    [
        '"quoted" \\ / \b\f\n\r\t',
        "\x01\x1f\x7f\x80\u2028\u2029.\ufeff",
        "\U0001f6c2 \U0010ffff \ue000 \uffff",
        "e\u0301 \u00e9 \u1e9b\u0323",
        None,
        "<script>&amp;%00",
    ],
)
async def test_the_chain_holds_over_texts_of_every_kind(here: Api, text: str | None) -> None:
    """Texts come back as they were given, to the character."""
    told: Body = await here.declare(
        crossings=[HERE],
        reason={"code": "other", "text": text},
        exceptions=[{"code": "other", "text": text}],
    )
    assert told["events"][0]["reason"]["text"] == text
    assert (await newest(here))["payload"]["events"][0]["reason"]["text"] == text
    assert await check_chain(here) == 3


async def test_a_change_stays_as_it_was_whatever_becomes_of_its_events(here: Api) -> None:
    told: Body = await here.declare(crossings=[HERE])
    before = await newest(here)
    await here.declare(crossings=[HERE], supersedes=[told["events"][0]["id"]])
    (after,) = await page(here, after=2, limit=1)
    assert after == before


# What a change tells


async def test_every_write_of_any_kind_is_exactly_one_change(here: Api) -> None:
    answers = await write_every_kind(here)
    items = (await whole(here))[2:]
    assert [(one["change"], one["kind"]) for one in items] == [
        (3, "source"),
        (4, "decision"),
        (5, "decision"),
        (6, "retraction"),
        (7, "confirmation"),
        (8, "crossing"),
    ]
    numbers = [one.get("change", one.get("version")) for one in answers]
    assert numbers == [3, 4, 5, 6, 7, 8]


async def test_the_payload_of_a_decision_is_its_events_as_the_log_has_them(here: Api) -> None:
    _, decided, corrected, retracted, confirmed, _ = await write_every_kind(here)
    items = {one["change"]: one for one in await whole(here)}
    for told in (decided, corrected, retracted, confirmed):
        payload = items[told["change"]]["payload"]
        assert sorted(payload) == ["answers", "decision", "events", "recorded_by", "sources"]
        assert payload["decision"] == told["decision"]
        assert payload["recorded_by"] == "reporter"
        assert payload["events"] == [event_in_log(one) for one in told["events"]]
        for one in payload["events"]:
            assert one == event_in_log((await here.get(f"/v1/events/{one['id']}")).json())
            assert one["recorded_at"] == items[told["change"]]["recorded_at"]


async def test_the_payload_tells_the_sources_that_came_with_the_change(here: Api) -> None:
    source, decided, _, retracted, confirmed, added = await write_every_kind(here)
    items = {one["change"]: one for one in await whole(here)}
    assert items[3]["payload"] == {"sources": [source], "recorded_by": "reporter"}
    for number, count in (
        (decided["change"], 1),
        (retracted["change"], 1),
        (confirmed["change"], 0),
        (added["version"], 1),
    ):
        sources = items[number]["payload"]["sources"]
        assert len(sources) == count
        for one in sources:
            found = (await here.get(f"/v1/sources/{one['id']}")).json()
            assert found.items() >= one.items()
            assert one["change"] == number


async def test_the_payload_of_a_crossing_is_its_details_with_their_citations(here: Api) -> None:
    location = {"lat": 54.5, "lon": 25.5, "precision_km": 2.5}
    body = crossing("third-crossing", location=location, aliases=["One", "Two"])
    told = (await here.post("/v1/crossings", body)).json()
    change = await newest(here)
    (details,) = change["payload"]["crossings"]

    assert sorted(change["payload"]) == ["answers", "crossings", "recorded_by", "sources"]
    assert details.keys() >= {*body, "confirm_within_days"}
    assert details == {name: told[name] for name in details}


async def test_the_subjects_of_a_change_are_all_that_it_touches(here: Api) -> None:
    """What is cited is touched too, be it new or not."""
    source, decided, corrected, retracted, _, added = await write_every_kind(here)
    subjects = {one["change"]: one["subjects"] for one in await whole(here)}
    place = {"borders": ["BY-LT"], "countries": ["BY", "LT"]}

    def cited(told: Body) -> list[str]:
        owner = told["events"][0] if "events" in told else told
        return sorted({one["source"] for one in owner["citations"]})

    assert subjects[3] == {"sources": [source["id"]]}
    assert subjects[4] == {**place, "crossings": [HERE, THERE], "sources": cited(decided)}
    assert subjects[5] == {**place, "crossings": [HERE], "sources": cited(corrected)}
    assert subjects[6] == {**place, "crossings": [THERE], "sources": cited(retracted)}
    assert subjects[7] == {**place, "crossings": [HERE], "sources": [source["id"]]}
    assert subjects[8] == {**place, "crossings": ["third-crossing"], "sources": cited(added)}


async def test_a_decision_across_borders_names_them_all(here: Api) -> None:
    other = crossing(
        "to-latvia", sides=["LT", "LV"], names=[{"lang": "lt", "side": "LT", "name": "X"}]
    )
    assert (await here.post("/v1/crossings", other)).status_code == 201
    await here.declare(crossings=["to-latvia", HERE])
    subjects = (await newest(here))["subjects"]
    assert subjects["borders"] == ["BY-LT", "LT-LV"]
    assert subjects["countries"] == ["BY", "LT", "LV"]
    assert subjects["crossings"] == ["to-latvia", HERE]


async def test_a_write_that_fails_leaves_no_number_behind(here: Api) -> None:
    told: Body = await here.declare(crossings=[HERE])
    old = told["events"][0]["id"]
    await here.declare(crossings=[HERE], supersedes=[old])
    reason = {"reason": {"code": "other"}}
    for path, body, status in (
        ("/v1/events", decision(crossings=["nowhere"]), 422),
        ("/v1/events", decision(crossings=[HERE], supersedes=[old]), 409),
        (f"/v1/events/{old}/retraction", reason, 409),
        ("/v1/events/00000000-0000-0000-0000-000000000000/retraction", reason, 404),
        ("/v1/crossings", crossing(HERE), 409),
        ("/v1/sources", {"title": ""}, 422),
        (
            f"/v1/crossings/{HERE}/confirmations",
            {"sides": ["LT"], "confirmed_at": "2190-01-01T00:00:00Z", "citations": [citation()]},
            422,
        ),
    ):
        assert (await here.post(path, body)).status_code == status
    for validate_only in ("/v1/sources", "/v1/events", "/v1/crossings"):
        bodies: dict[str, Body] = {
            "/v1/sources": {"title": "x"},
            "/v1/events": decision(crossings=[HERE]),
            "/v1/crossings": crossing("third-crossing"),
        }
        response = await here.post(validate_only, bodies[validate_only], validate_only="true")
        assert response.status_code == 200
    await here.declare(crossings=[THERE])

    assert [one["change"] for one in await whole(here)] == [1, 2, 3, 4, 5]
    assert await check_chain(here) == 5


async def test_the_change_that_a_writer_is_told_is_the_one_in_the_log(api: Api) -> None:
    told: Body = await api.declare(crossings=[SUMSKAS])
    change = await newest(api)
    assert change["change"] == told["change"]
    assert json.dumps(told["decision"]) in json.dumps(change["payload"])
    assert change["recorded_at"] == told["events"][0]["recorded_at"]
