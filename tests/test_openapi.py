"""The documentation: valid, complete, and true of the service that serves it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from openapi_spec_validator import validate
from pydantic import JsonValue

from tests.api import Api, Json
from tests.conftest import Database

SUCCESS = {"post": "201", "patch": "200"}
"""What a write answers with, by its method."""


@dataclass(frozen=True)
class Operation:
    """An operation of the document, with what it takes."""

    method: str
    path: str
    spec: Json

    @property
    def url(self) -> str:
        url = self.path
        for parameter in _dicts(self.spec.get("parameters")):
            if parameter["in"] == "path":
                url = url.replace(f"{{{parameter['name']}}}", str(_examples(parameter)[0]))
        return url

    def query_examples(self) -> Iterator[tuple[str, str]]:
        for parameter in _dicts(self.spec.get("parameters")):
            if parameter["in"] == "query":
                yield from ((str(parameter["name"]), str(value)) for value in _examples(parameter))


async def operations(api: Api) -> tuple[Json, list[Operation]]:
    document = (await api.get("/openapi.json")).json()
    found = [
        Operation(method, path, spec)
        for path, methods in document["paths"].items()
        for method, spec in methods.items()
    ]
    return document, found


async def test_the_document_is_valid(seeded_api: Api) -> None:
    document, _ = await operations(seeded_api)

    validate(document)


async def test_every_operation_is_described_and_has_its_problems(seeded_api: Api) -> None:
    _, found = await operations(seeded_api)

    for operation in found:
        responses = operation.spec["responses"]
        assert isinstance(responses, dict)
        assert operation.spec["summary"], operation
        assert operation.spec["description"], operation
        assert {"422", "500", "503"} <= responses.keys(), operation
        if operation.method in SUCCESS:
            wanted = {"200", SUCCESS[operation.method], "400", "401", "403", "409", "413", "415"}
            assert wanted <= responses.keys(), operation
        if "{" in operation.path:
            assert "404" in responses, operation


async def test_every_example_works_against_the_seeds(seeded: Database) -> None:
    async with seeded.api() as api:
        document, found = await operations(api)
        for operation in found:
            if operation.method in SUCCESS:
                send = api.post if operation.method == "post" else api.patch
                schema = _body_schema(document, operation)
                for example in _list(schema.get("examples")):
                    assert isinstance(example, dict)
                    response = await send(operation.url, example)
                    success = SUCCESS[operation.method]
                    assert str(response.status_code) == success, (operation.url, response.text)
                assert schema.get("examples"), operation
            else:
                assert (await api.get(operation.url)).status_code == 200, operation.url
                for name, value in operation.query_examples():
                    response = await api.get(operation.url, **{name: value})
                    assert response.status_code == 200, (operation.url, name, response.text)


async def test_it_tells_of_the_stream_and_of_what_subscribers_are_sent(seeded_api: Api) -> None:
    document, found = await operations(seeded_api)
    (changes,) = [one for one in found if one.path == "/v1/changes"]
    content = _dict(_dict(_dict(changes.spec["responses"])["200"])["content"])
    hook = _dict(_dict(_dict(document["webhooks"])["change"])["post"])
    sent = _dict(_dict(hook["requestBody"])["content"])

    assert document["openapi"] == "3.2.0"
    assert content.keys() == {"application/json", "text/event-stream"}
    assert "itemSchema" in _dict(content["text/event-stream"])
    assert sent == {
        "application/cloudevents+json": {"schema": {"$ref": "#/components/schemas/CloudEvent"}}
    }


async def test_the_documentation_page_needs_nothing_from_elsewhere(seeded_api: Api) -> None:
    page = await seeded_api.get("/docs")

    assert page.status_code == 200
    assert "://" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "start.js"):
        assert f"/docs/{asset}" in page.text
        response = await seeded_api.get(f"/docs/{asset}")
        assert response.status_code == 200
        assert response.content


@pytest.mark.parametrize("path", ["/docs/nothing.js", "/docs/..%2Fmain.py", "/problems/nothing"])
async def test_nothing_else_is_served_beside_it(seeded_api: Api, path: str) -> None:
    assert (await seeded_api.get(path)).status_code == 404


def _body_schema(document: Json, operation: Operation) -> Json:
    body = operation.spec["requestBody"]
    assert isinstance(body, dict)
    content = body["content"]
    assert isinstance(content, dict)
    schema = _dict(_dict(content["application/json"])["schema"])
    name = str(schema["$ref"]).rpartition("/")[2]
    return _dict(_dict(_dict(document["components"])["schemas"])[name])


def _examples(parameter: Json) -> list[JsonValue]:
    return _list(parameter.get("examples")) or _list(_dict(parameter["schema"]).get("examples"))


def _dicts(value: JsonValue | None) -> list[Json]:
    return [_dict(one) for one in _list(value)]


def _dict(value: JsonValue) -> Json:
    assert isinstance(value, dict)
    return value


def _list(value: JsonValue | None) -> list[JsonValue]:
    return value if isinstance(value, list) else []
