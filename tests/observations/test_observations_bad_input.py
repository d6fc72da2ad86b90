"""A batch with a bad row is refused whole, and every bad row is named by its index and field."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.errors import FAULTS_TOLD
from tests.api import MEDININKAI, SUMSKAS, Api, fields_of, problem
from tests.conftest import Database
from tests.observations.observing import (
    OBSERVATIONS,
    SOURCE,
    Body,
    ago,
    batch,
    known,
    listed,
    record,
    row,
)

NOBODY = "01999999-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True)
async def nothing_written(seeded_api: Api) -> AsyncIterator[None]:
    """What the test sends leaves nothing behind."""
    before = (await seeded_api.get("/v1/crossings")).headers["change-number"]
    yield
    assert (await seeded_api.get("/v1/crossings")).headers["change-number"] == before
    assert await listed(seeded_api) == []


def without(name: str) -> Body:
    found = row()
    del found[name]
    return found


def figures(**given: object) -> Body:
    return {**without("wait"), **given}


CLOSED = {"state": "closed"}
# Of a row: what is wrong, the row, and the fields that are named.
ROWS: list[tuple[str, Any, list[str]]] = [
    ("no object", "waits", [""]),
    ("null", None, [""]),
    ("no crossing", without("crossing"), [".crossing"]),
    ("an unknown crossing", row("nowhere"), [".crossing"]),
    ("a crossing that is no slug", row("Šumskas"), [".crossing"]),
    ("no traffic", without("traffic"), [".traffic"]),
    ("a word that is no traffic", row(traffic="tram"), [".traffic"]),
    ("traffic that does not cross here", row(traffic="train"), [".traffic"]),
    ("traffic as a list", row(traffic=["car"]), [".traffic"]),
    ("no direction", without("to"), [".to"]),
    ("a direction that is no country", row(to="XX"), [".to"]),
    ("a direction of another border", row(to="PL"), [".to"]),
    ("no method", without("method"), [".method"]),
    ("a word that is no method", row(method="guess"), [".method"]),
    ("no figure", figures(), [""]),
    ("no figure but a pause", figures(paused=True), [""]),
    ("only nulls", figures(wait=None, vehicles=None, lanes_open=None, moving=None), [""]),
    ("a wait that is a number", row(wait=35), [".wait"]),
    ("a wait without a state", row(wait={"minutes": 35}), [".wait"]),
    ("a wait in another state", row(wait={"state": "long"}), [".wait"]),
    ("a known wait without minutes", row(wait={"state": "known"}), [".wait.minutes"]),
    ("a negative wait", row(wait=known(-1)), [".wait.minutes"]),
    ("a wait over 30 days", row(wait=known(43_201)), [".wait.minutes"]),
    ("half a minute", row(wait=known(1.5)), [".wait.minutes"]),
    ("a wait in words", row(wait=known("35")), [".wait.minutes"]),
    ("a wait of a closed lane", row(wait={**CLOSED, "minutes": 35}), [".wait.minutes"]),
    ("open lanes of a closed one", row(wait=CLOSED, lanes_open=1), [".lanes_open"]),
    ("moving traffic of a closed lane", row(wait=CLOSED, moving=True), [".moving"]),
    ("fewer vehicles than none", row(vehicles=-1), [".vehicles"]),
    ("more vehicles than any road holds", row(vehicles=100_001), [".vehicles"]),
    ("vehicles as true", row(vehicles=True), [".vehicles"]),
    ("fewer lanes than none", row(lanes_open=-1), [".lanes_open"]),
    ("too many lanes", row(lanes_open=1_001), [".lanes_open"]),
    ("a number larger than any", row(vehicles=10**400), [".vehicles"]),
    ("moving in words", row(moving="yes"), [".moving"]),
    ("an estimate of null", row(estimate=None), [".estimate"]),
    ("an instant to come", row(observed_at=ago(minutes=-90)), [".observed_at"]),
    ("an instant before what is kept", row(observed_at=ago(days=401)), [".observed_at"]),
    ("an instant without an offset", row(observed_at="2026-11-20T10:00:00"), [".observed_at"]),
    ("an instant as a number", row(observed_at=1_800_000_000), [".observed_at"]),
    ("a queue that says nothing", row(queue={}), [".queue"]),
    ("a queue that says nothing at length", row(queue={"empty": False}), [".queue"]),
    ("a weight class without bounds", row(queue={"weight_kg": {}}), [".queue.weight_kg"]),
    (
        "a weight class turned round",
        row(queue={"weight_kg": {"from": 7500, "to": 3500}}),
        [".queue.weight_kg"],
    ),
    (
        "a negative weight",
        row(queue={"weight_kg": {"from": -1}}),
        [".queue.weight_kg.from"],
    ),
    ("goods in which nothing is to be seen", row(queue={"goods": "\u200b"}), [".queue.goods"]),
    ("goods with a NUL", row(queue={"goods": "a\0"}), [".queue.goods"]),
    ("goods without end", row(queue={"goods": "a" * 301}), [".queue.goods"]),
    ("an unknown field", row(status="open"), [".status"]),
    ("an unknown field of a queue", row(queue={"fast": True}), [".queue.fast"]),
    (
        "several faults",
        row("nowhere", wait=known(-1), method="guess"),
        [".method", ".wait.minutes"],
    ),
    (
        "several faults that only the database can find",
        row(to="PL", traffic="train", observed_at=ago(days=999)),
        [".observed_at", ".to", ".traffic"],
    ),
]


@pytest.mark.parametrize(
    ("bad", "fields"), [pytest.param(bad, fields, id=name) for name, bad, fields in ROWS]
)
async def test_a_bad_row_is_named_by_its_index_and_field(
    seeded_api: Api, bad: object, fields: list[str]
) -> None:
    """Asked with `validate_only` the answer is the same."""
    body = batch(row(), bad, row(SUMSKAS))
    response = await seeded_api.post(OBSERVATIONS, body)
    preview = await seeded_api.post(OBSERVATIONS, body, validate_only="true")

    told = problem(response, 422, "invalid")
    assert sorted(fields_of(told)) == [f"observations.1{field}" for field in fields]
    assert (preview.status_code, preview.json()) == (422, told)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"source": SOURCE}, ["observations"]),
        (batch(), ["observations"]),
        (batch(*[row()] * 1_001), ["observations"]),
        ({"source": SOURCE, "observations": row()}, ["observations"]),
        ({"observations": [row()]}, ["source"]),
        (batch(row(), source=None), ["source"]),
        (batch(row(), source="ours"), ["source"]),
        (batch(row(), source=NOBODY), ["source"]),
        (batch(row(), source={"publisher": "Nobody"}), ["source.title"]),
        (batch(row(), source={"title": " "}), ["source.title"]),
        ({**batch(row()), "method": "official"}, ["method"]),
    ],
)
async def test_a_fault_of_the_batch_is_named(
    seeded_api: Api, body: Body, fields: list[str]
) -> None:
    told = problem(await seeded_api.post(OBSERVATIONS, body), 422, "invalid")
    assert fields_of(told) == fields


async def test_every_bad_row_is_listed_whoever_finds_its_fault(seeded_api: Api) -> None:
    bad = {3: row("nowhere"), 500: row(wait=known(-1)), 999: row(observed_at=ago(days=-1))}
    rows = [bad.get(number, row(observed_at=ago(minutes=number))) for number in range(1_000)]

    told = problem(await seeded_api.post(OBSERVATIONS, batch(*rows)), 422, "invalid")

    assert fields_of(told) == [
        "observations.3.crossing",
        "observations.500.wait.minutes",
        "observations.999.observed_at",
    ]


async def test_of_many_faults_fifty_are_listed_and_the_others_counted(seeded_api: Api) -> None:
    rows = [row("nowhere", wait=known(-1)) if number % 2 else row() for number in range(1_000)]

    told = problem(await seeded_api.post(OBSERVATIONS, batch(*rows)), 422, "invalid")

    assert fields_of(told) == [f"observations.{number}.wait.minutes" for number in range(1, 100, 2)]
    assert told["more_errors"] == 450


async def test_the_faults_of_one_row_are_counted_too(seeded_api: Api) -> None:
    surplus = {f"surplus-{number}": 1 for number in range(90)}

    told = problem(await seeded_api.post(OBSERVATIONS, batch(row() | surplus)), 422, "invalid")

    assert len(fields_of(told)) == FAULTS_TOLD
    assert told["more_errors"] == 40


async def test_a_name_given_twice_in_a_row_is_refused_by_its_name(seeded_api: Api) -> None:
    text = json.dumps(batch(row())).replace('"vehicles"', '"lanes_open"')
    text = text.replace('"method":', '"to": "BY", "method":')
    response = await seeded_api.client.post(
        OBSERVATIONS,
        content=text,
        headers={
            "Authorization": f"Bearer {seeded_api.key}",
            "Content-Type": "application/json",
        },
    )
    assert fields_of(problem(response, 422, "invalid")) == ["to"]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"traffic": "tram"}, "traffic"),
        ({"to": "XX"}, "to"),
        ({"from": "yesterday"}, "from"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"at": "2026-01-01T00:00:00Z"}, "at"),
    ],
)
async def test_a_bad_parameter_of_the_list_is_named(
    seeded_api: Api, parameters: dict[str, str], field: str
) -> None:
    response = await seeded_api.get(f"/v1/crossings/{MEDININKAI}/observations", **parameters)
    assert fields_of(problem(response, 422, "invalid")) == [field]


# These write: each on a database of its own.


async def test_a_clock_that_is_a_little_ahead_is_believed(seeded: Database) -> None:
    async with seeded.api() as api:
        await record(api, row(observed_at=ago(seconds=-50)))

        (wait,) = (await api.get(f"/v1/crossings/{MEDININKAI}")).json()["waits"]
        (found,) = await listed(api)
        assert wait["observed_at"] == found["observed_at"] > found["recorded_at"]


async def test_traffic_that_a_crossing_lost_is_refused_and_its_waits_go(seeded: Database) -> None:
    async with seeded.api() as api:
        await record(api, row(traffic="truck"))
        patch = {"traffic": ["car"], "citations": [{"source": {"title": "A decree"}}]}
        assert (await api.patch(f"/v1/crossings/{MEDININKAI}", patch)).status_code == 200

        refused = await api.post(OBSERVATIONS, batch(row(traffic="truck")))

        assert fields_of(problem(refused, 422, "invalid")) == ["observations.0.traffic"]
        assert (await api.status(MEDININKAI))["waits"] == []
        assert len(await listed(api)) == 1
