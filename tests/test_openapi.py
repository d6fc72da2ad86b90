"""The documentation: valid, complete, and true of the service that serves it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from openapi_spec_validator import validate
from pydantic import JsonValue

from tests.api import Api, Json
from tests.conftest import Database

WRITES = {"post", "patch"}


@dataclass(frozen=True)
class Operation:
    """An operation of the document, with what it takes."""

    method: str
    path: str
    spec: Json

    @property
    def success(self) -> str:
        """The status of what it did, not of a preview."""
        return max(status for status in _dict(self.spec["responses"]) if status < "300")

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.spec

    def url_with(self, made: Mapping[str, str]) -> str:
        """Return its address, with the ids of what a test made and else those of examples."""
        url = self.path
        for name, value in made.items():
            url = url.replace(f"{{{name}}}", value)
        if "{" not in url:
            return url
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
        if "security" in operation.spec:
            assert {"401", "403"} <= responses.keys(), operation
        if operation.method in WRITES:
            wanted = {"401", "403", "409"}
            if operation.has_body:
                wanted |= {"200", "400", "413", "415"}
            assert wanted <= responses.keys(), operation
        if "{" in operation.path:
            assert "404" in responses, operation


async def test_every_example_works_against_the_seeds(seeded: Database) -> None:
    async with seeded.api() as api:
        document, found = await operations(api)
        made = await _made(api)
        # What ends something comes last.
        for operation in sorted(found, key=lambda one: one.method == "delete"):
            url = operation.url_with(made)
            bodies = _body_examples(document, operation) if operation.has_body else [None]
            for body in bodies:
                response = await api.client.request(
                    operation.method,
                    url,
                    json=body,
                    headers={"Authorization": f"Bearer {api.key}"},
                )
                assert str(response.status_code) == operation.success, (url, response.text)
            for name, value in operation.query_examples() if operation.method == "get" else ():
                parameters = {name: value}
                headers = {"Authorization": f"Bearer {api.key}"}
                response = await api.client.get(url, params=parameters, headers=headers)
                assert response.status_code == 200, (url, name, response.text)


async def _made(api: Api) -> dict[str, str]:
    """Return the ids of what nobody seeds: they are private."""
    wanted = {"url": "https://example.com/crossings"}
    subscription = (await api.post("/v1/subscriptions", wanted)).json()["id"]
    ping = await api.post(f"/v1/subscriptions/{subscription}/ping", {})
    return {"subscription_id": subscription, "delivery_id": ping.json()["id"]}


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


def _body_examples(document: Json, operation: Operation) -> list[JsonValue]:
    body = _dict(operation.spec["requestBody"])
    schema = _dict(_dict(_dict(body["content"])["application/json"])["schema"])
    name = str(schema["$ref"]).rpartition("/")[2]
    examples = _list(_dict(_dict(_dict(document["components"])["schemas"])[name]).get("examples"))
    assert examples, operation
    return examples


def _examples(parameter: Json) -> list[JsonValue]:
    return _list(parameter.get("examples")) or _list(_dict(parameter["schema"]).get("examples"))


def _dicts(value: JsonValue | None) -> list[Json]:
    return [_dict(one) for one in _list(value)]


def _dict(value: JsonValue) -> Json:
    assert isinstance(value, dict)
    return value


def _list(value: JsonValue | None) -> list[JsonValue]:
    return value if isinstance(value, list) else []
