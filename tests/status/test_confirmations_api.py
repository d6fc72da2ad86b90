"""Confirming many at once over HTTP: one change, all of its rows or none."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations, islice, product
from typing import Any

import httpx2
import pytest

from app.embedded.server import SUPERUSER
from app.vocabulary import KeyScope
from tests.api import (
    MEDININKAI,
    SUMSKAS,
    TVERECIUS,
    Api,
    citation,
    crossing,
    decision,
    fields_of,
    problem,
)
from tests.conftest import Database
from tests.marks import full

Body = dict[str, Any]

CONFIRMATIONS = "/v1/confirmations"
HERE, THERE, ELSEWHERE = "new-crossing", "other-crossing", "third-crossing"
LANES = [{"traffic": "car", "to": "BY"}, {"traffic": "car", "to": "LT"}]
NOBODY = "00000000-0000-0000-0000-000000000000"
REASON = {"reason": {"code": "other"}}
KEY = "round-1"
NOW = datetime.now(UTC).replace(microsecond=0)
EXPIRY = timedelta(days=30)


def days(number: float) -> str:
    """Return the instant so many days from now, as bodies write it."""
    return wire(NOW + timedelta(days=number))


def wire(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def later(instant: str) -> str:
    """Return when what was supported at ``instant`` expires."""
    return wire(datetime.fromisoformat(instant) + EXPIRY)


def row(crossing_id: str = SUMSKAS, **fields: object) -> Body:
    return {"crossing": crossing_id, "sides": ["LT"], **fields}


def batch(*rows: Body, **fields: object) -> Body:
    """Return a body of `POST /v1/confirmations` with a shared citation, changed by ``fields``."""
    return {"confirmations": list(rows), "citations": [citation()], **fields}


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with three crossings of car lanes, and nothing said about them."""
    async with database.api() as api:
        for name in (HERE, THERE, ELSEWHERE):
            await write(api, "/v1/crossings", crossing(name))
        yield api


async def write(api: Api, path: str, body: Mapping[str, object]) -> Body:
    response = await api.post(path, body)
    assert response.status_code == 201, response.text
    told: Body = response.json()
    return told


async def items(api: Api, path: str, **parameters: str | int) -> list[Body]:
    response = await api.get(path, **parameters)
    assert response.status_code == 200, response.text
    found: list[Body] = response.json()["items"]
    return found


async def newest_change(api: Api) -> int:
    return int((await api.get("/v1/crossings")).headers["change-number"])


async def change(api: Api, number: int) -> Body:
    (found,) = await items(api, "/v1/changes", after=number - 1, limit=1)
    return found


async def everything(api: Api) -> list[bytes]:
    """Return all that a write could have left a trace in."""
    paths = ("/v1/events", "/v1/sources", "/v1/crossings", "/v1/changes")
    answers = [await api.get(path, limit=200) for path in paths]
    assert {one.status_code for one in answers} == {200}
    return [one.content for one in answers]


# What it records


async def test_many_confirmations_are_one_change_with_one_decision(here: Api) -> None:
    response = await here.post(
        CONFIRMATIONS,
        batch(
            row(THERE, sides=["LT", "BY"], confirmed_at="2026-01-01T00:00:00+02:00"),
            row(HERE, traffic=["car"], to="LT"),
        ),
    )
    told = response.json()
    (source,) = await items(here, "/v1/sources", limit=1)
    first, second = told["events"]
    common = {
        "kind": "confirmation",
        "decision": told["decision"],
        "change": 4,
        "status": None,
        "effective": None,
        "expected_until": None,
        "reason": None,
        "exceptions": [],
        "max_weight_kg": None,
        "max_height_m": None,
        "certainty": None,
        "precision": None,
        "announced_at": None,
        "recorded_at": first["recorded_at"],
        "recorded_by": "reporter",
        "supersedes": None,
        "retracts": None,
        "superseded_by": None,
        "retracted_by": None,
        "incident": None,
        "citations": [{"source": source["id"], "locator": "line 1", "basis": "stated"}],
    }

    assert response.status_code == 201, response.text
    assert response.headers["change-number"] == "4"
    assert response.headers["location"] == f"/v1/events?decision={told['decision']}"
    assert told == {
        "decision": told["decision"],
        "change": 4,
        "events": [
            {
                **common,
                "id": first["id"],
                "crossing": THERE,
                "sides": ["BY", "LT"],
                "time_zone": "Europe/Minsk",
                "traffic": None,
                "to": None,
                "confirmed_at": "2025-12-31T22:00:00Z",
            },
            {
                **common,
                "id": second["id"],
                "crossing": HERE,
                "sides": ["LT"],
                "time_zone": "Europe/Vilnius",
                "traffic": ["car"],
                "to": "LT",
                "confirmed_at": first["recorded_at"],
            },
        ],
        "effect": [],
        "undo": [f"/v1/events/{one['id']}/retraction" for one in told["events"]],
    }
    assert await newest_change(here) == 4
    assert by_id(await items(here, response.headers["location"])) == by_id(told["events"])


def by_id(events: list[Body]) -> dict[str, Body]:
    return {one["id"]: one for one in events}


async def test_the_change_tells_of_every_crossing(here: Api) -> None:
    told = await write(here, CONFIRMATIONS, batch(row(THERE), row(HERE), row(HERE, sides=["BY"])))
    found = await change(here, told["change"])

    assert found["kind"] == "confirmation"
    assert sorted(found["subjects"]["crossings"]) == [HERE, THERE]
    assert found["subjects"]["borders"] == ["BY-LT"]
    assert found["payload"]["decision"] == told["decision"]
    assert [one["id"] for one in found["payload"]["events"]] == [
        one["id"] for one in told["events"]
    ]
    for name in (HERE, THERE):
        assert found in await items(here, "/v1/changes", crossing=name)
    assert found not in await items(here, "/v1/changes", crossing=ELSEWHERE)


async def test_each_crossing_shows_when_it_was_last_confirmed(api: Api) -> None:
    """Both are closed by this side, and nobody had confirmed it for long."""
    before = [await api.status(name) for name in (SUMSKAS, TVERECIUS)]
    rows = [row(SUMSKAS), row(TVERECIUS, confirmed_at=days(-0.5))]
    told = await write(api, CONFIRMATIONS, batch(*rows))
    after = [await api.status(name) for name in (SUMSKAS, TVERECIUS)]

    assert [(one["status"], one["stale"]) for one in before] == [("closed", True)] * 2
    assert [(one["status"], one["stale"]) for one in after] == [("closed", False)] * 2
    assert [one["last_confirmed_at"] for one in after] == [
        told["events"][0]["recorded_at"],
        days(-0.5),
    ]
    assert {one["change"] for one in after} == {told["change"]}


async def test_the_effect_is_told_for_each_crossing(here: Api) -> None:
    """An open is prolonged, a closure stays what it was, and silence stays silence."""
    opened = {"from": days(-10)}
    await here.declare(crossings=[THERE], status="open", effective=opened, announced_at=days(-10))
    await here.declare(crossings=[HERE], status="closed")
    told = await write(here, CONFIRMATIONS, batch(row(HERE), row(THERE), row(ELSEWHERE)))
    recorded_at = told["events"][0]["recorded_at"]

    assert told["effect"] == [
        {
            "crossing": THERE,
            "before": "unknown",
            "after": "open",
            "from": later(days(-10)),
            "until": None,
            "lanes": LANES,
        }
    ]
    assert (await here.status(THERE))["expires_at"] == later(recorded_at)


async def test_one_crossing_may_be_confirmed_for_several_sides_and_scopes(here: Api) -> None:
    rows = [
        row(HERE),
        row(HERE, sides=["BY"]),
        row(HERE, sides=["BY", "LT"]),
        row(HERE, to="LT"),
        row(HERE, to="BY"),
        row(HERE, traffic=["car"]),
        row(HERE, traffic=["car"], to="LT"),
    ]
    told = await write(here, CONFIRMATIONS, batch(*rows))

    scopes = [(one["sides"], one["traffic"], one["to"]) for one in told["events"]]
    assert scopes == [(one["sides"], one.get("traffic"), one.get("to")) for one in rows]
    assert {one["crossing"] for one in told["events"]} == {HERE}
    assert len({one["id"] for one in told["events"]}) == len(rows)
    assert len(await items(here, f"/v1/crossings/{HERE}/events")) == len(rows)
    assert (await change(here, told["change"]))["subjects"]["crossings"] == [HERE]


async def test_a_batch_of_one_row_is_a_batch(here: Api) -> None:
    told = await write(here, CONFIRMATIONS, batch(row(HERE)))
    (event,) = told["events"]
    assert (event["crossing"], event["kind"]) == (HERE, "confirmation")


# Citations


async def test_a_row_has_its_own_citations_or_else_the_shared_ones(here: Api) -> None:
    existing = (await write(here, "/v1/sources", {"title": "Known before"}))["id"]
    own, shared = {"title": "Told at Tverečius"}, {"title": "Round of the shift leaders"}
    told = await write(
        here,
        CONFIRMATIONS,
        batch(
            row(HERE),
            row(THERE, citations=[citation(source=own), {"source": existing}]),
            row(ELSEWHERE),
            citations=[citation(source=shared, locator="row 7"), citation(source=shared)],
        ),
    )
    sources = {one["title"]: one for one in await items(here, "/v1/sources", limit=3)}
    own_id, shared_id = (sources[one["title"]]["id"] for one in (own, shared))
    of_all = [
        {"source": shared_id, "locator": "row 7", "basis": "stated"},
        {"source": shared_id, "locator": "line 1", "basis": "stated"},
    ]
    of_its_own = [
        {"source": own_id, "locator": "line 1", "basis": "stated"},
        {"source": existing, "locator": None, "basis": "stated"},
    ]

    assert [one["citations"] for one in told["events"]] == [of_all, of_its_own, of_all]
    for event in told["events"]:
        assert (await here.get(f"/v1/events/{event['id']}")).json() == event
    subjects = (await change(here, told["change"]))["subjects"]
    assert subjects["sources"] == sorted([existing, own_id, shared_id])


async def test_an_inline_source_is_recorded_once_however_many_rows_cite_it(here: Api) -> None:
    """Whether they share it or each gives it."""
    before = len(await items(here, "/v1/sources"))
    source = {"title": "Round of the shift leaders", "published_at": "2026-11-28"}
    told = await write(
        here,
        CONFIRMATIONS,
        batch(
            row(HERE),
            row(THERE),
            row(ELSEWHERE, citations=[citation(source=source, locator="row 3")]),
            citations=[citation(source=source)],
        ),
    )
    after = await items(here, "/v1/sources")
    assert len(after) == before + 1
    cited = {part["source"] for one in told["events"] for part in one["citations"]}
    assert cited == {after[0]["id"]}
    assert after[0]["change"] == told["change"]
    told_sources = (await change(here, told["change"]))["payload"]["sources"]
    assert [one["id"] for one in told_sources] == [after[0]["id"]]


async def test_nothing_need_be_shared_where_each_row_has_its_own_citations(here: Api) -> None:
    rows = [row(name, citations=[citation(locator=name)]) for name in (HERE, THERE)]
    told = await write(here, CONFIRMATIONS, {"confirmations": rows})
    assert [[part["locator"] for part in one["citations"]] for one in told["events"]] == [
        [HERE],
        [THERE],
    ]


# Taking it back


async def test_a_confirmation_of_a_batch_is_retracted_and_the_others_stand(here: Api) -> None:
    names = (HERE, THERE, ELSEWHERE)
    declared = await here.declare(crossings=names, status="closed")
    told = await write(here, CONFIRMATIONS, batch(*map(row, names)))
    await write(here, told["undo"][1], REASON)

    events: Any = declared["events"]
    before, confirmed_at = events[0]["recorded_at"], told["events"][0]["confirmed_at"]
    for name, expected in zip(names, (confirmed_at, before, confirmed_at), strict=True):
        assert (await here.status(name))["last_confirmed_at"] == expected
    fates = [(await here.get(f"/v1/events/{one['id']}")).json() for one in told["events"]]
    assert [one["retracted_by"] is None for one in fates] == [True, False, True]
    problem(await here.post(told["undo"][1], REASON), 409, "superseded")


async def test_a_batch_is_taken_back_by_all_of_its_undo(here: Api) -> None:
    opened = {"from": days(-10)}
    await here.declare(
        crossings=[HERE, THERE], status="open", effective=opened, announced_at=days(-10)
    )
    before = {name: await here.status(name) for name in (HERE, THERE)}
    told = await write(here, CONFIRMATIONS, batch(row(HERE), row(THERE)))
    assert all([await here.status(name) != before[name] for name in before])
    for address in told["undo"]:
        await write(here, address, REASON)

    for name, status in before.items():
        after = await here.status(name)
        assert after == {**status, "change": after["change"]}


async def test_a_confirmation_of_a_batch_cannot_be_corrected(here: Api) -> None:
    told = await write(here, CONFIRMATIONS, batch(row(HERE), row(THERE)))
    body = decision(crossings=[HERE], supersedes=[told["events"][0]["id"]])
    problem(await here.post("/v1/events", body), 409, "not-correctable")


# Faults of the input


def faulty(**fields: object) -> Body:
    """Return a batch whose second row is changed by ``fields``."""
    return batch(row(TVERECIUS), row(**fields))  # type: ignore[arg-type]  # bad on purpose


def without(name: str) -> Body:
    bad = row()
    del bad[name]
    return batch(row(TVERECIUS), bad)


UNSHARED = {"confirmations": [row(SUMSKAS, citations=[citation()]), row(TVERECIUS)]}
UNTITLED = citation(source={"publisher": "Tests"})
FAULTS: list[tuple[str, Body, list[str]]] = [
    ("no rows", {"citations": [citation()]}, ["confirmations"]),
    ("an empty list", batch(), ["confirmations"]),
    ("a list too long", batch(*[row()] * 1_001), ["confirmations"]),
    ("rows that are no list", batch(confirmations=row()), ["confirmations"]),
    ("a row that is none", batch(row(), confirmations=[SUMSKAS]), ["confirmations.0"]),
    ("no crossing", without("crossing"), ["confirmations.1.crossing"]),
    ("an unknown crossing", faulty(crossing="nowhere"), ["confirmations.1.crossing"]),
    ("a crossing that is no slug", faulty(crossing="Šumskas"), ["confirmations.1.crossing"]),
    ("no sides", without("sides"), ["confirmations.1.sides"]),
    ("no side", faulty(sides=[]), ["confirmations.1.sides"]),
    ("a side twice", faulty(sides=["LT", "LT"]), ["confirmations.1.sides"]),
    ("a side that is not its own", faulty(sides=["LT", "PL"]), ["confirmations.1.sides"]),
    ("a side that is no country", faulty(sides=["XX"]), ["confirmations.1.sides.0"]),
    ("no traffic", faulty(traffic=[]), ["confirmations.1.traffic"]),
    ("traffic twice", faulty(traffic=["car", "car"]), ["confirmations.1.traffic"]),
    ("a word that is no traffic", faulty(traffic=["tram"]), ["confirmations.1.traffic.0"]),
    ("traffic of no lane here", faulty(traffic=["car", "train"]), ["confirmations.1.traffic"]),
    ("a direction of another border", faulty(to="PL"), ["confirmations.1.to"]),
    ("a direction that is no country", faulty(to="XX"), ["confirmations.1.to"]),
    ("an instant to come", faulty(confirmed_at=days(1)), ["confirmations.1.confirmed_at"]),
    (
        "an instant without offset",
        faulty(confirmed_at="2024-01-01T00:00:00"),
        ["confirmations.1.confirmed_at"],
    ),
    ("a row twice", batch(row(), row(TVERECIUS), row()), ["confirmations.2"]),
    (
        "a row twice, its sides turned",
        batch(row(sides=["BY", "LT"]), row(sides=["LT", "BY"])),
        ["confirmations.1"],
    ),
    (
        "a row twice, its traffic turned",
        batch(row(traffic=["car", "truck"], to="LT"), row(traffic=["truck", "car"], to="LT")),
        ["confirmations.1"],
    ),
    (
        "a row twice, of other instants and citations",
        batch(row(), row(confirmed_at=days(-1), citations=[citation(locator="line 2")])),
        ["confirmations.1"],
    ),
    ("a row three times", batch(row(), row(), row()), ["confirmations.1", "confirmations.2"]),
    ("a row without citations, none shared", UNSHARED, ["confirmations.1.citations"]),
    (
        "no citations at all",
        batch(row(), row(TVERECIUS), citations=[]),
        ["confirmations.0.citations", "confirmations.1.citations"],
    ),
    (
        "a row with an unknown source",
        faulty(citations=[citation(source=NOBODY)]),
        ["confirmations.1.citations.0.source"],
    ),
    (
        "an unknown source after a known one",
        faulty(citations=[citation(), citation(source=NOBODY)]),
        ["confirmations.1.citations.1.source"],
    ),
    (
        "an unknown shared source",
        batch(row(), row(TVERECIUS), citations=[citation(source=NOBODY)]),
        ["citations.0.source"],
    ),
    (
        "a row with a source without a title",
        faulty(citations=[UNTITLED]),
        ["confirmations.1.citations.0.source.title"],
    ),
    (
        "a shared source without a title",
        batch(row(), citations=[UNTITLED]),
        ["citations.0.source.title"],
    ),
    ("too many citations", faulty(citations=[citation()] * 51), ["confirmations.1.citations"]),
    ("too many shared ones", batch(row(), citations=[citation()] * 51), ["citations"]),
    ("an unknown field of a row", faulty(status="closed"), ["confirmations.1.status"]),
    ("an unknown field", batch(row(), sides=["LT"]), ["sides"]),
    (
        "several faults in several rows",
        batch(row("nowhere"), row(sides=["PL"], to="PL"), row(TVERECIUS), row(traffic=["train"])),
        [
            "confirmations.0.crossing",
            "confirmations.1.sides",
            "confirmations.1.to",
            "confirmations.3.traffic",
        ],
    ),
    (
        "several instants to come",
        batch(row(confirmed_at=days(1)), row(TVERECIUS), row(MEDININKAI, confirmed_at=days(2))),
        ["confirmations.0.confirmed_at", "confirmations.2.confirmed_at"],
    ),
]


@pytest.mark.parametrize(
    ("body", "fields"), [pytest.param(body, fields, id=name) for name, body, fields in FAULTS]
)
async def test_a_fault_is_named_by_its_row_and_field_and_nothing_is_written(
    seeded_api: Api, body: Body, fields: list[str]
) -> None:
    """Asked with `validate_only` the answer is the same."""
    before = await newest_change(seeded_api)
    response = await seeded_api.post(CONFIRMATIONS, body)
    preview = await seeded_api.post(CONFIRMATIONS, body, validate_only="true")

    told = problem(response, 422, "invalid")
    assert sorted(fields_of(told)) == fields
    assert (preview.status_code, preview.json()) == (422, told)
    assert await newest_change(seeded_api) == before


@pytest.mark.parametrize(
    "bad",
    [
        row("nowhere"),
        row(SUMSKAS, traffic=["train"]),
        row(SUMSKAS, confirmed_at=days(1)),
        row(SUMSKAS, citations=[citation(source=NOBODY)]),
        row(TVERECIUS),
    ],
)
async def test_one_bad_row_keeps_all_the_others_from_being_written(
    seeded_api: Api, bad: Body
) -> None:
    before = await everything(seeded_api)
    shared = [citation(source={"title": "Must not stay"})]
    body = batch(row(TVERECIUS), row(MEDININKAI), bad, citations=shared)
    problem(await seeded_api.post(CONFIRMATIONS, body), 422, "invalid")
    assert await everything(seeded_api) == before


# Who may


async def test_a_key_confirms_only_rows_of_its_sides(api: Api, seeded: Database) -> None:
    """One row that it may not confirm keeps all of them from being written."""
    lithuanian = await seeded.new_key(KeyScope.EVENTS, sides=["LT"], name="border guard")
    ours = batch(row(SUMSKAS), row(TVERECIUS))
    before = await everything(api)
    for theirs in (["BY"], ["BY", "LT"]):
        body = batch(row(SUMSKAS), row(TVERECIUS, sides=theirs))
        for parameters in ({}, {"validate_only": "true"}):
            refused = await api.post(CONFIRMATIONS, body, key=lithuanian, **parameters)
            problem(refused, 403, "forbidden")
    assert await everything(api) == before

    done = await api.post(CONFIRMATIONS, ours, key=lithuanian)
    assert done.status_code == 201, done.text
    assert {one["recorded_by"] for one in done.json()["events"]} == {"border guard"}


async def test_it_takes_a_key_that_may_write_events(api: Api, seeded: Database) -> None:
    body = batch(row())
    notices = await seeded.new_key(KeyScope.NOTICES)
    problem(await api.post(CONFIRMATIONS, body, key=notices), 403, "forbidden")
    problem(await api.client.post(CONFIRMATIONS, json=body), 401, "unauthorized")


# Once only, and beforehand


def check_replayed(first: httpx2.Response, again: httpx2.Response) -> None:
    """Check that the second answer is the first one, and says that it is."""
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    for name in ("location", "change-number", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_repeated_batch_gets_the_first_answer_again_and_writes_nothing(api: Api) -> None:
    body = batch(row(SUMSKAS), row(TVERECIUS, citations=[citation(locator="line 2")]))
    first = await api.post(CONFIRMATIONS, body, idempotency_key=KEY)
    after_first = await everything(api)
    check_replayed(first, await api.post(CONFIRMATIONS, body, idempotency_key=KEY))
    assert await everything(api) == after_first


async def test_the_same_key_with_other_rows_is_refused(api: Api) -> None:
    one, other = row(SUMSKAS), row(TVERECIUS)
    first = await api.post(CONFIRMATIONS, batch(one, other), idempotency_key=KEY)
    after_first = await everything(api)
    for body in (
        batch(one),
        batch(other, one),
        batch(one, {**other, "to": "LT"}),
        batch(one, other, citations=[citation(locator="line 2")]),
    ):
        refused = await api.post(CONFIRMATIONS, body, idempotency_key=KEY)
        problem(refused, 409, "idempotency-key-reused")
    assert await everything(api) == after_first
    check_replayed(first, await api.post(CONFIRMATIONS, batch(one, other), idempotency_key=KEY))


async def test_a_refused_batch_leaves_its_key_free_for_the_mended_one(api: Api) -> None:
    bad = await api.post(CONFIRMATIONS, batch(row(), row("nowhere")), idempotency_key=KEY)
    problem(bad, 422, "invalid")
    good = await api.post(CONFIRMATIONS, batch(row(), row(TVERECIUS)), idempotency_key=KEY)
    assert good.status_code == 201
    assert "idempotent-replayed" not in good.headers


async def test_of_equal_batches_at_once_with_one_key_one_is_written(api: Api) -> None:
    before = await newest_change(api)
    body = batch(row(SUMSKAS), row(TVERECIUS), row(MEDININKAI))
    answers = await asyncio.gather(
        *(api.post(CONFIRMATIONS, body, idempotency_key=KEY) for _ in range(10))
    )
    assert {one.status_code for one in answers} == {201}
    assert len({one.content for one in answers}) == 1
    replayed = [one.headers.get("idempotent-replayed") for one in answers]
    assert sorted(replayed, key=str) == [None, *["true"] * 9]
    assert await newest_change(api) == before + 1


async def test_batches_of_the_same_crossings_in_opposite_orders_do_not_deadlock(api: Api) -> None:
    before = await newest_change(api)
    rows = [row(SUMSKAS), row(TVERECIUS), row(MEDININKAI)]
    answers = await asyncio.gather(
        *(api.post(CONFIRMATIONS, batch(*rows[:: 1 - 2 * (turn % 2)])) for turn in range(10))
    )
    assert {one.status_code for one in answers} == {201}
    assert sorted(one.json()["change"] for one in answers) == [
        before + number for number in range(1, 11)
    ]


async def test_validate_only_tells_what_a_batch_would_do_and_writes_nothing(here: Api) -> None:
    opened = {"from": days(-10)}
    await here.declare(crossings=[HERE], status="open", effective=opened, announced_at=days(-10))
    (source,) = await items(here, "/v1/sources", limit=1)
    body = batch(
        row(HERE, confirmed_at=days(-1)),
        row(THERE, confirmed_at=days(-2), citations=[citation(source={"title": "New"})]),
        citations=[citation(source=source["id"])],
    )
    before = await everything(here)
    preview = await here.post(CONFIRMATIONS, body, validate_only="true", idempotency_key=KEY)

    assert preview.status_code == 200, preview.text
    assert "location" not in preview.headers
    assert "change-number" not in preview.headers
    assert await everything(here) == before
    written = await here.post(CONFIRMATIONS, body, idempotency_key=KEY)
    assert "idempotent-replayed" not in written.headers
    assert preview.json() == as_preview(written.json(), known=source["id"])
    assert len(preview.json()["effect"]) == 1


def as_preview(told: Body, *, known: str) -> Body:
    """Return the answer to a write as the preview of it should have been."""
    events = [
        {
            **one,
            "id": None,
            "decision": None,
            "change": None,
            "recorded_at": None,
            "citations": [
                {**part, "source": known if part["source"] == known else None}
                for part in one["citations"]
            ],
        }
        for one in told["events"]
    ]
    return {**told, "decision": None, "change": None, "events": events, "undo": []}


# A thousand


async def test_a_thousand_rows_over_the_seeded_crossings_are_one_change(api: Api) -> None:
    rows = list(islice(distinct_rows(await items(api, "/v1/crossings", limit=200)), 1_000))
    told = await write(api, CONFIRMATIONS, batch(*rows))
    kept = [
        (one["crossing"], one["sides"], one["traffic"], one["to"], one["kind"])
        for one in told["events"]
    ]

    assert kept == [
        (one["crossing"], one["sides"], one["traffic"], one["to"], "confirmation") for one in rows
    ]
    assert len(told["undo"]) == len({one["id"] for one in told["events"]}) == 1_000
    assert {(one["change"], one["decision"]) for one in told["events"]} == {
        (told["change"], told["decision"])
    }
    assert await newest_change(api) == told["change"]
    found = await change(api, told["change"])
    assert sorted(found["subjects"]["crossings"]) == sorted({one["crossing"] for one in rows})


def distinct_rows(crossings: list[Body]) -> list[Body]:
    """Return rows of every crossing: for each of its sides, of its kinds of traffic, each way."""
    return [
        row(one["id"], sides=list(sides), traffic=traffic, to=to)
        for count in (0, 1, 2)
        for one in crossings
        for sides, traffic, to in product(
            [*combinations(one["sides"], 1), one["sides"]],
            [list(some) for some in combinations(one["traffic"], count)] if count else [None],
            [None, *one["sides"]],
        )
    ]


A_THOUSAND = [f"crossing-{number}" for number in range(1_000)]
ADD_CROSSINGS = """
    SET session_replication_role = replica;
    INSERT INTO change (number, kind, recorded_at, written_in, subjects, payload, hash)
    VALUES (1, 'crossing', now(), 0, '{}', '{"recorded_by": "tests"}', sha256('1'));
    INSERT INTO country (code) VALUES ('BY'), ('LT');
    INSERT INTO border (first, second) VALUES ('BY', 'LT');
    INSERT INTO crossing (id, border_id)
    SELECT 'crossing-' || n, 'BY-LT' FROM generate_series(0, 999) n;
    INSERT INTO crossing_version (crossing_id, change, recorded_at, recorded_by, mode, traffic,
                                  names, aliases, confirm_within_days)
    SELECT 'crossing-' || n, 1, change.recorded_at, 'tests', 'road', '{car}',
           '[{"lang": "lt", "side": "LT", "name": "Nauja"}]', '{}', 30
    FROM generate_series(0, 999) n, change;
"""


@full
async def test_a_thousand_crossings_are_decided_and_confirmed_each_as_one_change(
    database: Database,
) -> None:
    with database.connect(SUPERUSER) as connection:
        connection.execute(ADD_CROSSINGS)
    async with database.api() as api:
        declared = await api.declare(crossings=A_THOUSAND)
        confirmed = await write(api, CONFIRMATIONS, batch(*map(row, A_THOUSAND)))
        too_many = await api.post("/v1/events", decision(crossings=[*A_THOUSAND, SUMSKAS]))

        assert fields_of(problem(too_many, 422, "invalid")) == ["crossings"]
        for number, told in ((2, declared), (3, confirmed)):
            events: Any = told["events"]
            assert told["change"] == number
            assert [one["crossing"] for one in events] == A_THOUSAND
            assert {one["decision"] for one in events} == {told["decision"]}
            found = await change(api, number)
            assert sorted(found["subjects"]["crossings"]) == sorted(A_THOUSAND)
        assert len(await items(api, "/v1/changes")) == 3
        status = await api.status(A_THOUSAND[-1], known_change=3)
        assert status["status"] == "closed"
        assert status["last_confirmed_at"] == confirmed["events"][-1]["recorded_at"]
