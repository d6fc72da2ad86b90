"""An answer does not grow with what was wrong in the question."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.errors import FAULTS_TOLD, FieldError, Invalid
from app.http.routing import MAX_MEMBERS
from app.main import FEATURES
from tests.api import SUMSKAS, Api, Json, citation, decision, fields_of, problem

LARGEST = 32_000
"""Bytes of an answer that says what is wrong, at most."""


async def post(api: Api, path: str, content: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    return await api.client.post(path, content=content, headers=headers)


def told(response: httpx2.Response) -> Json:
    assert len(response.content) <= LARGEST
    return problem(response, 422, "invalid")


# How many faults


@pytest.mark.parametrize("count", [1, FAULTS_TOLD, FAULTS_TOLD + 1, 10_000])
def test_so_many_faults_are_told_and_the_rest_is_counted(count: int) -> None:
    faults = [FieldError("body", f"field-{number}", "is wrong") for number in range(count)]
    found = Invalid(faults)
    listed = found.extensions["errors"]
    assert isinstance(listed, list)
    assert len(listed) == min(count, FAULTS_TOLD)
    rest = count - len(listed)
    assert found.extensions.get("more_errors", 0) == rest
    assert found.detail.endswith(f"and {rest} more" if rest else "is wrong")


@pytest.mark.parametrize("count", [FAULTS_TOLD, FAULTS_TOLD + 1, 3_000])
async def test_unknown_parameters_are_counted_rather_than_all_told(
    seeded_api: Api, count: int
) -> None:
    for path in ("/v1/crossings", "/v1/events", f"/v1/crossings/{SUMSKAS}/timeline"):
        body = told(await seeded_api.client.get(f"{path}?" + "&".join(map(str, range(count)))))
        assert len(fields_of(body)) == min(count, FAULTS_TOLD)
        assert body.get("more_errors", 0) == max(0, count - FAULTS_TOLD)


async def test_what_parameters_there_are_is_told_once(seeded_api: Api) -> None:
    body = told(await seeded_api.client.get("/v1/events?limit=1&limit=2&" + "a&b&c&d&e"))
    assert str(body["detail"]).count("it has: ") == 1
    assert fields_of(body) == ["limit", "a", "b", "c", "d", "e"]


@pytest.mark.parametrize("count", [FAULTS_TOLD, FAULTS_TOLD + 1, 190])
async def test_unknown_members_are_counted_rather_than_all_told(
    seeded_api: Api, count: int
) -> None:
    surplus = {f"surplus-{number}": 1 for number in range(count)}
    body = told(await post(seeded_api, "/v1/events", json.dumps({**decision(), **surplus})))
    assert len(fields_of(body)) == min(count, FAULTS_TOLD)
    assert body.get("more_errors", 0) == max(0, count - FAULTS_TOLD)


@pytest.mark.parametrize("count", [MAX_MEMBERS, MAX_MEMBERS + 1])
async def test_an_object_of_very_many_members_is_not_looked_at(seeded_api: Api, count: int) -> None:
    body = told(
        await post(seeded_api, "/v1/events", json.dumps(dict.fromkeys(map(str, range(count)))))
    )
    assert (fields_of(body) == ["body"]) == (count > MAX_MEMBERS)


async def test_the_faults_of_a_service_are_counted_too(seeded_api: Api) -> None:
    crossings = [f"nowhere-{number}" for number in range(1_000)]
    body = told(await seeded_api.post("/v1/events", decision(crossings=crossings)))
    assert len(fields_of(body)) <= FAULTS_TOLD


# Lengths before items


BAD_LISTS: Mapping[str, Mapping[str, object]] = {
    "/v1/events": {
        "crossings": ["NOT A SLUG"] * 1_001,
        "sides": ["not a country"] * 3,
        "traffic": ["balloon"] * 8,
        "exceptions": [{}] * 21,
        "citations": [{}] * 51,
        "supersedes": ["not a UUID"] * 1_001,
    },
    "/v1/crossings": {"names": [{}] * 101, "aliases": [1] * 101, "traffic": [1] * 8},
    "/v1/confirmations": {"confirmations": [{}] * 1_001, "citations": [{}] * 51},
    "/v1/notices": {
        "contradicts": ["not a UUID"] * 51,
        "figures": [{}] * 51,
    },
    "/v1/observations": {"observations": [{}] * 1_001},
    "/v1/subscriptions": {"filter": {"crossings": ["NOT A SLUG"] * 201}},
}


@pytest.mark.parametrize("path", [*BAD_LISTS])
async def test_the_length_of_a_list_is_told_before_its_items_are_looked_at(
    seeded_api: Api, path: str
) -> None:
    for name, value in BAD_LISTS[path].items():
        body = told(await post(seeded_api, path, json.dumps({name: value})))
        errors: Any = body["errors"]
        mine = [one for one in errors if one["field"].startswith(name)]
        assert len(mine) == 1, (name, mine[:3])
        assert mine[0]["message"].startswith("must have at most"), mine


def lists_of(schema: object) -> Iterator[Mapping[str, object]]:
    """Yield every list and set of a schema of the validator."""
    match schema:
        case dict():
            if schema.get("type") in {"list", "set", "frozenset"}:
                yield schema
            for part in schema.values():
                yield from lists_of(part)
        case list() | tuple():
            for part in schema:
                yield from lists_of(part)
        case _:
            pass


def inputs() -> Iterator[tuple[str, Any]]:
    """Yield what every operation takes, by its name."""
    for feature in FEATURES:
        for route in feature.routes:
            assert isinstance(route, APIRoute)
            for field in [*get_flat_params(route.dependant), route.body_field]:
                if field is not None:
                    yield f"{route.name}.{field.name}", field.field_info.annotation


def test_every_list_that_is_taken_has_a_bound_that_is_checked_first() -> None:
    """The bound is on the list itself, not on what a later step makes of it."""
    unbounded = [
        name
        for name, annotation in inputs()
        for found in lists_of(TypeAdapter(annotation).core_schema)
        if "max_length" not in found
    ]
    # Of parameters the framework keeps the bound beside the type.
    assert [name for name in unbounded if name not in bounded_parameters()] == []


def bounded_parameters() -> set[str]:
    return {
        f"{route.name}.{field.name}"
        for feature in FEATURES
        for route in feature.routes
        if isinstance(route, APIRoute)
        for field in get_flat_params(route.dependant)
        if any(getattr(one, "max_length", None) for one in field.field_info.metadata)
    }


# What is quoted


LONG = "ž" * 5_000


async def test_a_long_name_is_quoted_in_part(seeded_api: Api) -> None:
    body = told(await post(seeded_api, "/v1/events", json.dumps({**decision(), LONG: 1})))
    assert fields_of(body) == [f"{LONG[:199]}…"]
    body = told(await seeded_api.client.get(f"/v1/events?{'x' * 9_000}"))
    assert len(fields_of(body)[0]) == 200


@pytest.mark.parametrize("length", [200, 201, 9_000])
async def test_a_long_address_is_quoted_in_part(seeded_api: Api, length: int) -> None:
    path = "/".ljust(length, "x")
    for method, status in (("GET", 404), ("POST", 404)):
        response = await seeded_api.client.request(method, path)
        assert response.status_code == status
        assert (path in response.json()["detail"]) == (length <= 200)
        assert len(response.content) < 1_000


async def test_a_long_type_of_a_body_is_quoted_in_part(seeded_api: Api) -> None:
    headers = {"Authorization": f"Bearer {seeded_api.key}", "Content-Type": "x" * 9_000}
    response = await seeded_api.client.post("/v1/events", content=b"{}", headers=headers)
    problem(response, 415, "unsupported-media-type")
    assert len(response.content) < 1_000


@pytest.mark.parametrize("path", ["/", "/about", f"/crossings/{SUMSKAS}", "/nothing", "/borders/x"])
async def test_a_page_does_not_repeat_a_long_address(seeded_api: Api, path: str) -> None:
    headers = {"Accept": "text/html"}
    short = await seeded_api.client.get(f"{path}?more={'x' * 900}", headers=headers)
    long = await seeded_api.client.get(f"{path}?more={'x' * 9_000}", headers=headers)
    assert short.text.count("x" * 900) >= 5
    assert "x" * 900 not in long.text
    assert len(long.content) <= len(short.content)


async def test_many_citations_of_many_rows_are_one_small_answer(seeded_api: Api) -> None:
    rows = [{"crossing": SUMSKAS, "sides": ["LT"], "citations": [{}] * 20}] * 1_000
    body = {"confirmations": rows, "citations": [citation()]}
    assert told(await post(seeded_api, "/v1/confirmations", json.dumps(body)))["more_errors"]
