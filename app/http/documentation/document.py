"""The OpenAPI document as a structure: its operations, components and schemas."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

Json = dict[str, JsonValue]
SCHEMAS = "#/components/schemas/"
_EXAMPLES = {"example", "examples"}
_LITERAL = {*_EXAMPLES, "default", "enum", "const"}
"""Keywords of a schema whose content is a value, not a schema."""
_MAPS = {"properties", "patternProperties", "$defs"}
"""Keywords of a schema that map arbitrary names to schemas."""
_METHODS = {"get", "post", "put", "patch", "delete"}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the document, which may be changed in place."""

    path: str
    method: str
    spec: Json

    @property
    def responses(self) -> dict[str, Json]:
        return {
            status: objects(response)
            for status, response in objects(self.spec["responses"]).items()
        }

    @property
    def parameters(self) -> list[Json]:
        parameters = self.spec.get("parameters", [])
        assert isinstance(parameters, list)
        return [objects(parameter) for parameter in parameters]

    @property
    def tag(self) -> str:
        tags = self.spec["tags"]
        assert isinstance(tags, list)
        return str(tags[0])


def objects(value: JsonValue) -> Json:
    """Return the value, which must be an object."""
    assert isinstance(value, dict)
    return value


def operations(document: Json) -> Iterator[Operation]:
    """Yield every operation, those of webhooks last."""
    for section in ("paths", "webhooks"):
        for path, methods in objects(document.get(section, {})).items():
            for method, spec in objects(methods).items():
                if method in _METHODS:
                    yield Operation(path, method, objects(spec))


def component(document: Json, kind: str) -> Json:
    return objects(objects(document["components"]).setdefault(kind, {}))


def canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


def each_schema(document: Json, change: Callable[[Json], None]) -> None:
    """Change every schema in place, the inner ones first."""
    for schema in objects(objects(document["components"])["schemas"]).values():
        _walk(objects(schema), change)
    for section in ("paths", "webhooks"):
        _find(document.get(section, {}), change)


def _find(value: JsonValue, change: Callable[[Json], None]) -> None:
    """Find the schemas in a part of the document that is not one itself."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in {"schema", "itemSchema"}:
                _walk(objects(part), change)
            elif key not in _EXAMPLES:
                _find(part, change)
    elif isinstance(value, list):
        for part in value:
            _find(part, change)


def _walk(schema: Json, change: Callable[[Json], None]) -> None:
    for key, part in schema.items():
        if key in _LITERAL:
            continue
        if key in _MAPS:
            part = [*objects(part).values()]  # noqa: PLW2901
        for inner in part if isinstance(part, list) else [part]:
            if isinstance(inner, dict):
                _walk(inner, change)
    change(schema)
