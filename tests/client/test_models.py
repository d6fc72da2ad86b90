"""The client's models are those of the OpenAPI document: members, types and words."""

import inspect
import json
from functools import reduce

import pytest
from pydantic import BaseModel

from app.config import Settings
from app.main import create_service
from crossing_status.client import bodies, models
from crossing_status.client.models import LaneId, ListedCrossing
from crossing_status.vocabulary import Traffic
from tests.api import Json, referred

Shape = frozenset[str] | dict[str, "Shape"]
"""The JSON types of a value, or those of an object's members by their names."""

NAMED = {"BorderId", "CountryCode", "CrossingId", "DateOrInstant", "JsonValue"}
"""Types that the client does not take apart: strings to it, or any JSON."""
WITHOUT_SCHEMA = {
    "Model", "Observed", "Wait", "ListedCrossing",
    "Body", "NewReason", "NewExemption", "NewQueue", "NewWeightClass", "NewWait",
}  # fmt: skip
"""Bases, and parts that the document has by another name: they are compared where they are used."""


def classes_of(module: object) -> list[type[BaseModel]]:
    return [
        found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, BaseModel) and found.__module__ == getattr(module, "__name__", None)
    ]


CLASSES = [*classes_of(models), *classes_of(bodies)]
COMPARED = [model for model in CLASSES if model.__name__ not in WITHOUT_SCHEMA]


@pytest.fixture(scope="module")
def document() -> Json:
    service = create_service(Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    body: Json = json.loads(service.application.state.documents().v3_1)
    return body


def members_of(document: Json, schema: Json) -> tuple[dict[str, Json], set[str]]:
    """Return the members of an object by name, and which are required, with all that it shares."""
    members: dict[str, Json] = dict(schema.get("properties", {}))  # type: ignore[arg-type]
    required = {str(name) for name in schema.get("required", [])}  # type: ignore[union-attr]
    for part in schema.get("allOf", []):  # type: ignore[union-attr]
        more, needed = members_of(document, whole(document, part))  # type: ignore[arg-type]
        members |= more
        required |= needed
    return members, required


def whole(document: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found = referred(document, str(schema["$ref"]))
    assert isinstance(found, dict)
    return found


def shape_of(document: Json, schema: Json) -> Shape:
    """Return what a value may be, for comparison."""
    if str(schema.get("$ref", "")).rpartition("/")[2] in NAMED:
        return frozenset({"any" if "JsonValue" in str(schema["$ref"]) else "string"})
    schema = whole(document, schema)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(alternatives, list):
        return reduce(either, (shape_of(document, part) for part in alternatives))  # type: ignore[arg-type]
    members, _ = members_of(document, schema)
    if members:
        return {name: shape_of(document, member) for name, member in members.items()}
    for container in ("items", "additionalProperties"):
        if isinstance(schema.get(container), dict):
            parts: Shape = {container: shape_of(document, schema[container])}  # type: ignore[arg-type]
            null = frozenset({"null"})
            return either(parts, null) if "null" in str(schema["type"]) else parts
    return simple(schema)


def simple(schema: Json) -> frozenset[str]:
    """Return what a value without parts may be."""
    match schema:
        case {"enum": list(words)}:
            return frozenset(f"word {word}" for word in words)
        case {"const": word}:
            return frozenset({f"word {word}"})
        case {"type": list(types)}:
            return frozenset(one_type(str(kind), schema) for kind in types)
        case {"type": str(kind)}:
            return frozenset({one_type(kind, schema)})
        case _:
            return frozenset({"any"})


def one_type(kind: str, schema: Json) -> str:
    return f"{kind} {schema['format']}" if kind == "string" and "format" in schema else kind


def either(one: Shape, other: Shape) -> Shape:
    """Return the shape of what may be either."""
    if isinstance(one, dict) and isinstance(other, dict):
        null = frozenset({"null"})
        return {name: either(one.get(name, null), other.get(name, null)) for name in one | other}
    if isinstance(one, dict) or isinstance(other, dict):
        union: dict[str, Shape] = {}
        for shape in (one, other):
            union |= shape if isinstance(shape, dict) else {f"or {kind}": shape for kind in shape}
        return union
    kinds = one | other
    # Of words that may be other strings, and of dates that may be other strings.
    is_open = any(kind.startswith("word ") for kind in kinds)
    return frozenset(
        kind
        for kind in kinds
        if not (is_open and kind == "string")
        and not ("string" in kinds and kind.startswith("string "))
    )


def ours(model: type[BaseModel]) -> tuple[Json, Json]:
    """Return the schema of a model, and the document that it refers to."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return schema, {"components": {"schemas": schema.pop("$defs", {})}}


@pytest.mark.parametrize("model", COMPARED, ids=lambda model: model.__name__)
def test_a_model_has_the_members_of_its_schema(document: Json, model: type[BaseModel]) -> None:
    schema = whole(document, {"$ref": f"#/components/schemas/{model.__name__}"})
    own, own_document = ours(model)

    assert shape_of(own_document, own) == shape_of(document, schema)


def test_a_listed_crossing_has_the_members_of_both_that_a_list_may_have(document: Json) -> None:
    page = whole(document, {"$ref": "#/components/schemas/PageOfCrossingSummaries"})
    own, own_document = ours(ListedCrossing)

    listed = shape_of(document, page)
    assert isinstance(listed, dict)
    assert listed["items"] == {"items": shape_of(own_document, own)}


@pytest.mark.parametrize("model", COMPARED, ids=lambda model: model.__name__)
def test_an_answer_needs_only_what_is_always_there_and_a_body_all_that_is_needed(
    document: Json, model: type[BaseModel]
) -> None:
    schema = whole(document, {"$ref": f"#/components/schemas/{model.__name__}"})
    _, required = members_of(document, schema)
    own, own_document = ours(model)
    _, own_required = members_of(own_document, own)

    if issubclass(model, bodies.Body):
        assert own_required == required
    else:
        assert own_required <= required


def test_every_other_class_is_a_base_or_a_part() -> None:
    assert {model.__name__ for model in CLASSES} - {model.__name__ for model in COMPARED} == (
        WITHOUT_SCHEMA
    )


def test_a_newer_service_may_have_more_members_and_more_words() -> None:
    """They are kept, and written as JSON again."""
    lane = {"traffic": "hovercraft", "to": "LT", "pontoon": 3}

    parsed = LaneId.model_validate(lane)

    assert parsed.traffic == "hovercraft"
    assert not isinstance(parsed.traffic, Traffic)
    assert parsed.model_extra == {"pontoon": 3}
    assert parsed.model_dump(mode="json", exclude_unset=True) == lane
