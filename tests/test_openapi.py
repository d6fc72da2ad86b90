"""The documentation: valid, complete, and true of the service that serves it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import JsonValue

from app import main
from app.changes.read_sessions import ReadSessions
from app.http.problems import catalogue
from tests.api import Api, Json, referred, whole
from tests.conftest import Database, started
from tests.marks import full

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
        Operation(method, path, _dict(whole(document, spec)))
        for path, methods in document["paths"].items()
        for method, spec in methods.items()
    ]
    for operation in found:
        for parameter in _dicts(operation.spec.get("parameters")):
            schema = _dict(parameter["schema"])
            if "$ref" in schema:
                parameter["schema"] = {**_dict(referred(document, str(schema["$ref"]))), **schema}
    return document, found


@pytest.mark.parametrize("address", ["/openapi.json", "/openapi-3.2.json"])
async def test_the_document_is_valid(seeded_api: Api, address: str) -> None:
    validate((await seeded_api.get(address)).json())


async def test_the_document_is_small_enough_to_load_at_once(seeded_api: Api) -> None:
    assert len((await seeded_api.get("/openapi.json")).content) <= 160_000


async def test_every_schema_has_a_name_that_a_reader_likes(seeded_api: Api) -> None:
    document, _ = await operations(seeded_api)
    names = _dict(_dict(document["components"])["schemas"]).keys()

    for name in names:
        assert re.fullmatch(r"([A-Z][a-z]+)+", name), name
        assert not name.endswith(("In", "Out", "Listed", "Alone")), name
    assert names >= {
        "CrossingDetail",
        "CrossingSummary",
        "IncidentDetail",
        "NewDecision",
        "Notice",
        "PageOfCountries",
        "PageOfNotices",
        "SourceDetail",
        "TimelinePeriod",
    }


async def test_what_operations_share_stands_once(seeded_api: Api) -> None:
    document = (await seeded_api.get("/openapi.json")).json()
    inline = [
        part
        for methods in document["paths"].values()
        for spec in methods.values()
        for part in [*spec.get("parameters", []), *spec["responses"].values()]
        if "$ref" not in part
    ]
    text = json.dumps(document)

    problems = [part for part in inline if "application/problem+json" in str(part)]
    parameters = [part for part in inline if "in" in part]
    for parts in (problems, parameters):
        assert all(parts.count(part) == 1 for part in parts)
    assert text.count('"AD", "AE", "AF"') == 1
    assert text.count('"detail": "No crossing has this id."') == 1


async def test_every_example_of_a_schema_matches_it(seeded_api: Api) -> None:
    document, _ = await operations(seeded_api)
    schemas = _dict(_dict(document["components"])["schemas"])
    tried = 0

    for name, schema in schemas.items():
        for part in _schemas_within(schema):
            for example in _list(part.get("examples")):
                validator = Draft202012Validator({**part, "components": document["components"]})
                faults = [fault.message for fault in validator.iter_errors(example)]
                assert not faults, (name, example)
                tried += 1
    assert tried > 30


async def test_answers_may_get_new_fields_and_bodies_may_not(seeded_api: Api) -> None:
    document, found = await operations(seeded_api)
    schemas = _dict(_dict(document["components"])["schemas"])

    assert _dict(schemas["NewDecision"])["additionalProperties"] is False
    assert "additionalProperties" not in _dict(schemas["StatusEvent"])
    for operation in found:
        if operation.has_body:
            content = _dict(_dict(operation.spec["requestBody"])["content"])
            body = _dict(_dict(content["application/json"])["schema"])
            schema = _dict(referred(document, str(body["$ref"])))
            assert schema["additionalProperties"] is False, operation


async def test_every_operation_with_json_tells_of_what_schema(seeded_api: Api) -> None:
    """A success without a body, such as a 304, would make a generated answer untyped."""
    _, found = await operations(seeded_api)

    for operation in found:
        for status, response in _dict(operation.spec["responses"]).items():
            content = _dict(_dict(response).get("content", {}))
            if operation.method != "delete":
                assert content, (operation, status)
            for media_type, media in content.items():
                if "json" in media_type and media_type != "application/x-ndjson":
                    schema = _dict(_dict(media)["schema"])
                    assert "$ref" in schema or "anyOf" in schema, (operation, status)


async def test_reads_fill_in_what_is_required_and_nothing_else(seeded_api: Api) -> None:
    _, found = await operations(seeded_api)

    for operation in found:
        for parameter in _dicts(operation.spec.get("parameters")):
            name = parameter["name"]
            if parameter["in"] == "path" and name not in {"subscription_id", "delivery_id"}:
                assert parameter["example"], operation
            else:
                assert not parameter.keys() & {"example", "examples"}, (operation, name)


async def test_a_worker_builds_the_document_before_it_is_asked_for_it(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "DESCRIBE_SECONDS", 0)
    main._documents.cache_clear()

    async with started(seeded.url) as (service, _):
        await main._describe_early(service.application, service.board)

    assert main._documents.cache_info().currsize == 1


async def test_every_operation_is_described_and_has_its_problems(seeded_api: Api) -> None:
    _, found = await operations(seeded_api)

    for operation in found:
        responses = operation.spec["responses"]
        assert isinstance(responses, dict)
        assert operation.spec["summary"], operation
        assert operation.spec["description"], operation
        assert {"422", "default"} <= responses.keys(), operation
        if operation.method in WRITES and operation.has_body:
            assert "200" in responses, operation
        if "{" in operation.path:
            assert "404" in responses, operation


async def test_what_may_wait_for_history_tells_that_it_may_be_refused(seeded_api: Api) -> None:
    document, found = await operations(seeded_api)
    told = {
        operation.spec["operationId"]
        for operation in found
        if "history-overloaded" in json.dumps(_dict(operation.spec["responses"]).get("503"))
    }
    may_wait = {
        route.name
        for feature in main.FEATURES
        for route in feature.routes
        if isinstance(route, APIRoute) and ReadSessions in _calls(route.dependant)
    }

    assert told == may_wait - {"get_crossings_geojson"}  # the present alone
    responses = _dict(_dict(document["components"])["responses"])
    assert "Retry-After" in _dict(_dict(responses["HistoryOverloaded"])["headers"])


def _calls(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)


OF_PAGES = {"not-found", "method-not-allowed", "alert-not-found", "alerts-full", "cross-site"}
"""Problems of no operation in the document."""


async def test_every_problem_is_documented_once(seeded_api: Api) -> None:
    """What any operation may answer stands in the answer that all of them refer to."""
    document = (await seeded_api.get("/openapi.json")).json()
    defaults = [
        spec["responses"]["default"]
        for methods in document["paths"].values()
        for spec in methods.values()
    ]
    anywhere = document["components"]["responses"]["Problem"]["description"]
    text = json.dumps(document)

    assert all(found == {"$ref": "#/components/responses/Problem"} for found in defaults)
    for slug, found in catalogue().items():
        if slug not in OF_PAGES:
            if f"`{slug}`" in anywhere:
                assert f"({found.status})" in anywhere
            else:
                assert text.count(f'"type": "/problems/{slug}"') == 1


@full
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
                if name == "from":  # some ranges may not be longer than months
                    parameters["until"] = _day_after(value)
                headers = {"Authorization": f"Bearer {api.key}"}
                response = await api.client.get(url, params=parameters, headers=headers)
                assert response.status_code == 200, (url, name, response.text)


def _day_after(instant: str) -> str:
    return (datetime.fromisoformat(instant) + timedelta(days=1)).isoformat()


async def _made(api: Api) -> dict[str, str]:
    """Return the ids of what nobody seeds: they are private."""
    wanted = {"url": "https://example.com/crossings"}
    subscription = (await api.post("/v1/subscriptions", wanted)).json()["id"]
    ping = await api.post(f"/v1/subscriptions/{subscription}/ping", {})
    return {"subscription_id": subscription, "delivery_id": ping.json()["id"]}


async def test_it_tells_of_the_stream_in_words_and_to_newer_tools_by_schema(api: Api) -> None:
    told = {}
    for address in ("/openapi.json", "/openapi-3.2.json"):
        document = (await api.get(address)).json()
        success = document["paths"]["/v1/changes"]["get"]["responses"]["200"]
        assert success["content"].keys() == {"application/json", "text/event-stream"}
        told[document["openapi"]] = success["content"]["text/event-stream"]

    assert told.keys() == {"3.1.0", "3.2.0"}
    assert told["3.1.0"]["schema"]["type"] == "string"
    assert "`id` its number" in told["3.1.0"]["schema"]["description"]
    assert "schema" not in told["3.2.0"]
    assert told["3.2.0"]["itemSchema"]["properties"].keys() == {"id", "event", "retry", "data"}


async def test_it_tells_what_subscribers_are_sent(seeded_api: Api) -> None:
    document, _ = await operations(seeded_api)
    hook = _dict(_dict(_dict(document["webhooks"])["change"])["post"])
    sent = _dict(_dict(hook["requestBody"])["content"])

    assert sent == {
        "application/cloudevents+json": {"schema": {"$ref": "#/components/schemas/CloudEvent"}}
    }


async def test_the_documentation_page_needs_nothing_from_elsewhere(seeded_api: Api) -> None:
    page = await seeded_api.get("/docs")

    assert page.status_code == 200
    assert "://" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for asset in (
        "docs.css",
        "favicon-32x32.png",
        "start.js",
        "swagger-ui-bundle.js",
        "swagger-ui.css",
    ):
        assert f'="docs/{asset}"' in page.text
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
    if "example" in parameter:
        return [parameter["example"]]
    return _list(_dict(parameter["schema"]).get("examples"))


def _schemas_within(schema: JsonValue) -> Iterator[Json]:
    if isinstance(schema, dict):
        yield schema
        for name, part in schema.items():
            if name not in {"examples", "default"}:
                yield from _schemas_within(part)
    for part in _list(schema):
        yield from _schemas_within(part)


def _dicts(value: JsonValue | None) -> list[Json]:
    return [_dict(one) for one in _list(value)]


def _dict(value: JsonValue) -> Json:
    assert isinstance(value, dict)
    return value


def _list(value: JsonValue | None) -> list[JsonValue]:
    return value if isinstance(value, list) else []
