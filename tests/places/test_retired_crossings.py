"""A retired crossing: not listed, not written about, and still there with all its history."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx2
import pytest

from app.audit.service import find_faults
from app.embedded.server import Server
from tests.api import Api, Json, citation, crossing, decision, fields_of, problem
from tests.conftest import EMPTY, Database, clone
from tests.marks import full, in_full

Body = dict[str, Any]

OLD, NEW, NEXT = "old-crossing", "new-crossing", "next-crossing"
"""Of one border, each for cars, open, and some kilometres from the others."""
CROSSINGS, BORDERS = "/v1/crossings", "/v1/borders"
GEOJSON = "/feeds/crossings.geojson"
RETIRED_AT = "2024-03-01T00:00:00Z"
BEFORE, AFTER = "2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
CITED: Body = {"citations": [citation()]}


@pytest.fixture(scope="module")
async def template(postgres: Server) -> AsyncIterator[str]:
    """A database with three open crossings."""
    with clone(postgres, EMPTY) as found:
        async with found.api() as api:
            for number, name in enumerate((OLD, NEW, NEXT)):
                place = {"lat": 54.5, "lon": 25.5 + number / 10, "precision_km": 1}
                body = crossing(name, location=place, aliases=[f"Punktas {name}"])
                assert (await api.post(CROSSINGS, body)).status_code == 201
            await api.declare(
                crossings=[OLD, NEW, NEXT],
                status="open",
                effective={"from": "2024-01-01T00:00:00Z"},
            )
        yield found.name


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    async with database.api() as api:
        yield api


async def revise(api: Api, name: str, **fields: object) -> Body:
    response = await api.patch(f"{CROSSINGS}/{name}", {**CITED, **fields})
    assert response.status_code == 200, response.text
    body: Body = response.json()
    return body


async def retire(
    api: Api, name: str = OLD, replaced_by: str | None = None, at: str = RETIRED_AT
) -> Body:
    return await revise(api, name, retired_at=at, replaced_by=replaced_by)


async def bring_back(api: Api, name: str = OLD) -> Body:
    return await revise(api, name, retired_at=None)


async def read(api: Api, path: str, **parameters: str | int) -> Body:
    response = await api.get(path, **parameters)
    assert response.status_code == 200, response.text
    body: Body = response.json()
    return body


async def ids(api: Api, path: str = CROSSINGS, **parameters: str | int) -> list[str]:
    body = await read(api, path, **parameters)
    (listed,) = (body[name] for name in ("items", "features", "crossings") if name in body)
    return [one["id"] for one in listed]


async def newest_change(api: Api) -> int:
    return int((await api.get(CROSSINGS)).headers["change-number"])


# Retiring


async def test_a_crossing_is_retired_by_a_revision(here: Api, database: Database) -> None:
    before = await read(here, f"{CROSSINGS}/{OLD}")

    after = await retire(here, replaced_by=NEW)

    assert (before["retired_at"], before["replaced_by"]) == (None, None)
    assert (after["retired_at"], after["replaced_by"]) == (RETIRED_AT, NEW)
    assert (after["now"]["retired_at"], after["now"]["replaced_by"]) == (RETIRED_AT, NEW)
    assert await read(here, f"{CROSSINGS}/{OLD}") == after
    async with database.session() as session:
        assert [fault async for fault in find_faults(session)] == []


async def test_its_own_addresses_go_on_answering_with_its_history(here: Api) -> None:
    """The rule decides its status, as before: what was recorded about it stays."""
    paths = [f"{CROSSINGS}/{OLD}/{one}" for one in ("status", "timeline", "events", "alternatives")]
    before = {path: await read(here, path) for path in paths}

    version = (await retire(here, replaced_by=NEW))["version"]

    retired = {"retired_at": RETIRED_AT, "replaced_by": NEW, "change": version}
    for path, body in before.items():
        wanted = body | retired if path.endswith("/status") else body
        after = await read(here, path)
        assert after | {"next": None} == wanted | {"next": None}


async def test_the_retirement_is_a_change_of_the_log_that_followers_hear_of(here: Api) -> None:
    change = (await retire(here, replaced_by=NEW))["version"]

    changes = (await read(here, "/v1/changes", after=change - 1, crossing=OLD))["items"]

    assert [(one["change"], one["kind"]) for one in changes] == [(change, "crossing")]
    assert changes[0]["subjects"]["crossings"] == [OLD]
    (told,) = changes[0]["payload"]["crossings"]
    assert (told["retired_at"], told["replaced_by"]) == (RETIRED_AT, NEW)


async def test_the_log_says_nothing_of_it_where_a_crossing_is_in_use(here: Api) -> None:
    """Else the hashes of what was recorded before it could be retired would not stand."""
    await retire(here)
    await bring_back(here)

    changes = (await read(here, "/v1/changes", after=0))["items"]

    told = [one for change in changes for one in change["payload"].get("crossings", [])]
    assert ["retired_at" in one for one in told] == [False, False, False, True, False]
    assert not any("replaced_by" in one for one in told)


async def test_null_brings_it_back_and_forgets_its_successor(here: Api) -> None:
    before = await read(here, f"{CROSSINGS}/{OLD}")
    await retire(here, replaced_by=NEW)

    after = await bring_back(here)

    volatile = {"version", "citations", "now"}
    assert {k: v for k, v in after.items() if k not in volatile} == {
        k: v for k, v in before.items() if k not in volatile
    }
    assert OLD in await ids(here)
    await here.declare(crossings=[OLD])


async def test_null_forgets_the_successor_alone(here: Api) -> None:
    await retire(here, replaced_by=NEW)

    after = await revise(here, OLD, replaced_by=None)

    assert (after["retired_at"], after["replaced_by"]) == (RETIRED_AT, None)


async def test_a_successor_may_be_named_later_and_the_instant_mended(here: Api) -> None:
    await retire(here)

    assert (await revise(here, OLD, replaced_by=NEW))["retired_at"] == RETIRED_AT
    assert (await revise(here, OLD, retired_at=BEFORE))["replaced_by"] == NEW


async def test_other_revisions_leave_it_retired(here: Api) -> None:
    await retire(here, replaced_by=NEW)

    after = await revise(here, OLD, aliases=["Duplicate"])

    assert (after["retired_at"], after["replaced_by"]) == (RETIRED_AT, NEW)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"retired_at": TOMORROW}, "retired_at"),
        ({"retired_at": "2024-03-01"}, "retired_at"),
        ({"retired_at": "2024-03-01T00:00:00"}, "retired_at"),
        ({"retired_at": True}, "retired_at"),
        ({"replaced_by": NEW}, "replaced_by"),
        ({"retired_at": None, "replaced_by": NEW}, "replaced_by"),
        ({"retired_at": RETIRED_AT, "replaced_by": OLD}, "replaced_by"),
        ({"retired_at": RETIRED_AT, "replaced_by": "nowhere"}, "replaced_by"),
        ({"retired_at": RETIRED_AT, "replaced_by": "No Slug"}, "replaced_by"),
        ({"retired_at": RETIRED_AT, "replaced_by": [NEW]}, "replaced_by"),
    ],
)
async def test_a_retirement_with_a_fault_is_refused_by_the_name_of_the_field(
    here: Api, fields: Body, field: str
) -> None:
    before = await newest_change(here)
    for parameters in ({}, {"validate_only": "true"}):
        response = await here.patch(f"{CROSSINGS}/{OLD}", {**CITED, **fields}, **parameters)
        assert fields_of(problem(response, 422, "invalid")) == [field]
    assert await newest_change(here) == before


@pytest.mark.parametrize("field", ["retired_at", "replaced_by"])
async def test_nothing_is_added_as_retired(here: Api, field: str) -> None:
    body = crossing("another", **{field: {"retired_at": RETIRED_AT, "replaced_by": NEW}[field]})

    assert fields_of(problem(await here.post(CROSSINGS, body), 422, "invalid")) == [field]


async def test_a_preview_retires_nothing(here: Api) -> None:
    body = {**CITED, "retired_at": RETIRED_AT, "replaced_by": NEW}

    preview = await here.patch(f"{CROSSINGS}/{OLD}", body, validate_only="true")

    assert (preview.json()["retired_at"], preview.json()["replaced_by"]) == (RETIRED_AT, NEW)
    assert OLD in await ids(here)


# Successors


def successor_in(body: Json) -> object:
    told = body["retired"]
    assert isinstance(told, list)
    (retired,) = told
    assert isinstance(retired, dict)
    return retired["successor"]


async def test_what_is_retired_takes_nobodys_place(here: Api) -> None:
    await retire(here, NEW, replaced_by=NEXT)

    for name in (OLD, NEXT):
        body = {**CITED, "retired_at": RETIRED_AT, "replaced_by": NEW}
        response = await here.patch(f"{CROSSINGS}/{name}", body)
        assert successor_in(problem(response, 409, "crossing-retired")) == NEXT


async def test_where_a_successor_was_replaced_too_readers_are_led_to_what_is_in_use(
    here: Api,
) -> None:
    """The record stays what was recorded; it holds again once that successor is back."""
    await retire(here, OLD, replaced_by=NEW)
    await retire(here, NEW, replaced_by=NEXT)

    assert (await read(here, f"{CROSSINGS}/{OLD}"))["replaced_by"] == NEW
    refused = problem(await here.post("/v1/events", decision(crossings=[OLD])), 409, RETIRED)
    assert successor_in(refused) == NEXT

    await bring_back(here, NEW)
    refused = problem(await here.post("/v1/events", decision(crossings=[OLD])), 409, RETIRED)
    assert successor_in(refused) == NEW


async def test_a_successor_that_nothing_replaced_is_named_although_retired(here: Api) -> None:
    await retire(here, OLD, replaced_by=NEW)
    await retire(here, NEW)

    refused = problem(await here.post("/v1/events", decision(crossings=[OLD])), 409, RETIRED)

    assert successor_in(refused) == NEW


# Writing about it

RETIRED = "crossing-retired"
Write = Callable[[Api, str], Awaitable[httpx2.Response]]


async def confirm_many(api: Api, _: str) -> httpx2.Response:
    rows = [{"crossing": one, "sides": ["LT"]} for one in (NEW, OLD)]
    return await api.post("/v1/confirmations", {"confirmations": rows, **CITED})


async def tell(api: Api, _: str = "", **fields: object) -> httpx2.Response:
    body = {
        "kind": "security_measure",
        "issuer": {"country": "LT"},
        "subjects": {"crossings": [NEW, OLD]},
        "text": {"en": "Patrols are doubled"},
        **CITED,
    }
    return await api.post("/v1/notices", body | fields)


WRITES: dict[str, Write] = {
    "declaring": lambda api, _: api.post("/v1/events", decision(crossings=[OLD])),
    "declaring of many": lambda api, _: api.post("/v1/events", decision(crossings=[NEW, OLD])),
    "declaring of long ago": lambda api, _: api.post(
        "/v1/events", decision(crossings=[OLD], effective={"from": "2020-01-01T00:00:00Z"})
    ),
    "correcting": lambda api, event: api.post(
        "/v1/events", decision(crossings=[OLD], supersedes=[event])
    ),
    "withdrawing": lambda api, event: api.post(
        f"/v1/events/{event}/retraction", {"reason": {"code": "other"}}
    ),
    "confirming": lambda api, _: api.post(
        f"{CROSSINGS}/{OLD}/confirmations", {"sides": ["LT"], **CITED}
    ),
    "confirming many": confirm_many,
    "a notice": tell,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_nothing_more_is_recorded_about_it(here: Api, write: Write) -> None:
    """The answer names it and its successor; what others are part of the write stay as they are."""
    declared = await here.post("/v1/events", decision(crossings=[OLD]))
    change = (await retire(here, replaced_by=NEW))["version"]

    body = problem(await write(here, declared.json()["events"][0]["id"]), 409, RETIRED)

    assert body["detail"] == (
        "Nothing more can be recorded about a retired crossing:"
        f" {OLD} (since {RETIRED_AT}, replaced by {NEW})."
    )
    assert body["retired"] == [{"crossing": OLD, "retired_at": RETIRED_AT, "successor": NEW}]
    assert await newest_change(here) == change


async def test_each_retired_crossing_of_a_write_is_named(here: Api) -> None:
    await retire(here, OLD)
    await retire(here, NEW, at=BEFORE)

    refused = await here.post("/v1/events", decision(crossings=[OLD, NEXT, NEW]))

    told = problem(refused, 409, RETIRED)["retired"]
    assert told == [
        {"crossing": NEW, "retired_at": BEFORE, "successor": None},
        {"crossing": OLD, "retired_at": RETIRED_AT, "successor": None},
    ]


async def test_whoever_writes_meanwhile_comes_before_it_or_is_refused(here: Api) -> None:
    body = {**CITED, "retired_at": RETIRED_AT, "replaced_by": NEW}

    def write(number: int) -> Awaitable[httpx2.Response]:
        return here.post("/v1/events", decision(crossings=[OLD])) if number % 2 else tell(here)

    first = [write(number) for number in range(6)]
    retiring = here.patch(f"{CROSSINGS}/{OLD}", body)
    retired, *written = await asyncio.gather(retiring, *first, *map(write, range(6)))

    assert retired.status_code == 200, retired.text
    for one in written:
        if one.status_code == 201:
            assert one.json()["change"] < retired.json()["version"]
        else:
            problem(one, 409, RETIRED)


async def test_a_preview_of_a_write_about_it_is_refused_too(here: Api) -> None:
    await retire(here)

    refused = await here.post("/v1/events", decision(crossings=[OLD]), validate_only="true")

    problem(refused, 409, RETIRED)


async def test_an_input_that_is_wrong_anyway_is_told_as_that(here: Api) -> None:
    await retire(here)

    refused = await here.post("/v1/events", decision(crossings=[OLD, "nowhere"]))

    assert fields_of(problem(refused, 422, "invalid")) == ["crossings"]


async def test_a_notice_that_named_it_may_be_corrected_and_withdrawn(here: Api) -> None:
    told = (await tell(here)).json()
    await retire(here)

    correction = await tell(here, supersedes=told["id"], text={"en": "They are not"})

    assert correction.status_code == 201
    assert correction.json()["subjects"]["crossings"] == [NEW, OLD]
    withdrawal = f"/v1/notices/{correction.json()['id']}/retraction"
    assert (await here.post(withdrawal, {"reason": {"code": "other"}})).status_code == 201


async def test_a_correction_of_a_notice_does_not_come_to_name_it(here: Api) -> None:
    told = (await tell(here, subjects={"crossings": [NEW]})).json()
    await retire(here)

    problem(await tell(here, supersedes=told["id"]), 409, RETIRED)


async def test_filters_and_subscriptions_may_name_it(here: Api) -> None:
    await retire(here)
    wanted = {"url": "https://example.com/x", "filter": {"crossings": [OLD]}}

    assert (await here.post("/v1/subscriptions", wanted)).status_code == 201
    for path in ("/v1/events", "/v1/notices", "/v1/changes", "/v1/incidents"):
        assert (await here.get(path, crossing=OLD)).status_code == 200


# Lists

LISTS: dict[str, tuple[str, dict[str, str | int]]] = {
    "all": (CROSSINGS, {}),
    "of a border": (CROSSINGS, {"border": "BY-LT"}),
    "of a country": (CROSSINGS, {"country": "LT"}),
    "by mode": (CROSSINGS, {"mode": "road"}),
    "by lane": (CROSSINGS, {"traffic": "car", "to": "LT"}),
    "by status": (CROSSINGS, {"status": "unknown"}),
    "by place": (CROSSINGS, {"near": "54.5,25.5", "radius_km": 100}),
    "in a box": (CROSSINGS, {"bbox": "20,50,30,60"}),
    "by name": (CROSSINGS, {"q": "Punktas"}),
    "by evidence": (CROSSINGS, {"order": "evidence"}),
    "at an instant": (CROSSINGS, {"at": AFTER}),
    "a border": (f"{BORDERS}/BY-LT", {}),
    "a border at an instant": (f"{BORDERS}/BY-LT", {"at": AFTER}),
    "alternatives": (f"{CROSSINGS}/{NEXT}/alternatives", {}),
    "geojson": (GEOJSON, {}),
    "geojson by status": (GEOJSON, {"status": "unknown"}),
}


@full
@pytest.mark.parametrize(("path", "parameters"), LISTS.values(), ids=LISTS.keys())
async def test_lists_leave_it_out_unless_they_are_asked_for_it(
    here: Api, path: str, parameters: dict[str, str | int]
) -> None:
    before = await ids(here, path, **parameters)
    assert OLD in before

    await retire(here)

    assert await ids(here, path, **parameters) == [one for one in before if one != OLD]
    assert await ids(here, path, retired="false", **parameters) == [
        one for one in before if one != OLD
    ]
    assert await ids(here, path, retired="true", **parameters) == before


async def test_where_it_is_listed_it_says_that_it_is_retired(here: Api) -> None:
    await retire(here, replaced_by=NEW)

    listed = (await read(here, CROSSINGS, retired="true"))["items"]
    features = (await read(here, GEOJSON, retired="true"))["features"]

    wanted = {NEW: (None, None), NEXT: (None, None), OLD: (RETIRED_AT, NEW)}
    for found in (listed, [{"id": one["id"], **one["properties"]} for one in features]):
        assert {one["id"]: (one["retired_at"], one["replaced_by"]) for one in found} == wanted


async def test_who_names_it_by_its_id_is_answered(here: Api) -> None:
    """An empty list would look as if nothing were known about it."""
    await retire(here)

    assert await ids(here, id=OLD) == [OLD]


async def test_borders_do_not_count_it(here: Api) -> None:
    (before,) = (await read(here, BORDERS))["items"]

    await retire(here)

    (after,) = (await read(here, BORDERS))["items"]
    alone = await read(here, f"{BORDERS}/BY-LT")
    (whole,) = (await read(here, BORDERS, retired="true"))["items"]
    assert sum(before["counts"].values()) == sum(whole["counts"].values()) == 3
    assert sum(after["counts"].values()) == sum(alone["counts"].values()) == 2
    assert not any(OLD in gap["crossings"] for gap in alone["not_covered"])


async def test_a_border_of_retired_crossings_alone_is_still_there(here: Api) -> None:
    for name in (OLD, NEW, NEXT):
        await retire(here, name)

    (border,) = (await read(here, BORDERS))["items"]

    assert set(border["counts"].values()) == {0}
    assert (await read(here, f"{BORDERS}/BY-LT"))["crossings"] == []
    assert await ids(here, GEOJSON, border="BY-LT") == []


async def test_pages_of_a_list_go_past_it(here: Api) -> None:
    await retire(here, NEW)

    first = await read(here, CROSSINGS, limit=1)
    second = (await here.client.get(first["next"])).json()

    assert [one["id"] for one in (*first["items"], *second["items"])] == [NEXT, OLD]
    assert second["next"] is None


async def test_lists_have_another_etag_and_say_since_when_they_are_so(here: Api) -> None:
    before = await here.get(CROSSINGS)

    await retire(here)

    after = await here.get(CROSSINGS)
    alone = await here.get(f"{CROSSINGS}/{OLD}")
    assert after.headers["etag"] != before.headers["etag"]
    assert after.headers["last-modified"] == alone.headers["last-modified"]


# As it was


async def test_it_is_listed_for_instants_before_it_was_retired(here: Api) -> None:
    """It was there then."""
    await retire(here)

    for path in (CROSSINGS, f"{BORDERS}/BY-LT"):
        assert OLD in await ids(here, path, at=BEFORE)
        assert OLD not in await ids(here, path, at=AFTER)


@pytest.mark.parametrize("path", [CROSSINGS, BORDERS, f"{BORDERS}/BY-LT"])
@pytest.mark.parametrize("at", [BEFORE, AFTER])
async def test_a_list_as_it_was_known_stays_what_it_was(here: Api, path: str, at: str) -> None:
    before = await here.get(path, at=at)
    number = int(before.headers["change-number"])
    await retire(here, replaced_by=NEW)

    again = await here.get(path, at=at, known_change=number)

    assert again.content == before.content


async def test_a_status_as_it_was_known_says_nothing_of_a_later_retirement(here: Api) -> None:
    number = await newest_change(here)
    await retire(here, replaced_by=NEW)

    then = await here.status(OLD, known_change=number)
    now = await here.status(OLD, at=BEFORE)

    assert (then["retired_at"], then["replaced_by"]) == (None, None)
    assert (now["retired_at"], now["replaced_by"]) == (RETIRED_AT, NEW)


@full
@pytest.mark.parametrize("seed", [0, *in_full(1, 2, 3)])
async def test_whatever_is_retired_and_brought_back_each_past_state_stays_as_it_was(
    here: Api, seed: int
) -> None:
    """Lists at any instant, as known at any change, hold what was not retired by then."""
    random = Random(seed)  # noqa: S311  # nothing secret
    start = datetime(2024, 1, 1, tzinfo=UTC)
    retired: dict[str, datetime] = {}
    known = {await newest_change(here): dict(retired)}
    for _ in range(12):
        name = random.choice([OLD, NEW, NEXT])
        if name in retired and random.random() < 0.5:
            change = (await bring_back(here, name))["version"]
            del retired[name]
        else:
            at = start + timedelta(hours=random.randrange(24 * 400))
            in_use = [one for one in (OLD, NEW, NEXT) if one not in {*retired, name}]
            successor = random.choice([None, *in_use])
            change = (await retire(here, name, successor, at.isoformat()))["version"]
            retired[name] = at
        known[change] = dict(retired)
        assert await ids(here) == sorted({OLD, NEW, NEXT} - retired.keys())

    for change, then in known.items():
        for hours in (0, 24 * 500, random.randrange(24 * 400)):
            at = start + timedelta(hours=hours)
            wanted = sorted(
                one for one in (OLD, NEW, NEXT) if not (one in then and then[one] <= at)
            )
            instant = at.isoformat()
            assert await ids(here, at=instant, known_change=change) == wanted
            path = f"{BORDERS}/BY-LT"
            border = await read(here, path, at=instant, known_change=change)
            assert [one["id"] for one in border["crossings"]] == wanted
            assert sum(border["counts"].values()) == len(wanted)
        assert await ids(here, known_change=change) == sorted({OLD, NEW, NEXT} - then.keys())
