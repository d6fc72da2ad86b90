"""The components of the OpenAPI document: what several operations share is defined once.

Client generators make one type of each, with a name that does not depend on the code, and the
document stays small.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from pydantic import JsonValue, TypeAdapter

from app.http.bodies import (
    BorderId,
    CountryCode,
    CrossingId,
    DateOrInstant,
    Instant,
    Line,
    Text,
    Texts,
)

Json = dict[str, JsonValue]

_SCHEMAS = "#/components/schemas/"
_EXAMPLES = {"example", "examples"}
_LITERAL = {*_EXAMPLES, "default", "enum", "const"}
"""Keywords of a schema whose content is a value, not a schema."""
_MAPS = {"properties", "patternProperties", "$defs"}
"""Keywords of a schema that map arbitrary names to schemas."""
_RULES = {"enum", "const", "minLength"}
"""Keywords that belong to a named type, or do not apply to null."""
_NOTES = {"description", "examples"}
_NULL: Json = {"type": "null"}
_TYPES = {
    "BorderId": BorderId,
    "CountryCode": CountryCode,
    "CrossingId": CrossingId,
    "DateOrInstant": DateOrInstant,
    "Instant": Instant,
    "Line": Line,
    "TextByLanguage": Texts,
    "Text": Text,
}
"""Types of many fields, by their names in the document; each before the types it contains."""
_FIELDS = {
    "citations": "NewCitations",
    "next": "NextPage",
    "sides": "DeclaringSides",
    "to": "ScopeDirection",
    "traffic": "ScopeTraffic",
    "undo": "UndoAddresses",
    "waits": "LatestWaits",
}
"""Fields that several schemas have with the same definition, and its name in the document."""
_GROUPS = {
    "CrossingIdentity": {"border", "sides", "mode", "traffic", "names", "replaced_by"},
    "CrossingState": {
        "status", "since", "last_known", "stale", "overdue", "last_confirmed_at", "links",
    },
    "RecordedEntry": {"id", "change", "recorded_at", "citations"},
    "StatementPreview": {"id", "change", "recorded_at", "citations", "retraction", "undo"},
}  # fmt: skip
"""Groups of fields that several answers have, by their name in the document."""
_PREVIEW = "Preview"
_BY_CHANCE = 2
"""Up to this many schemas may have equal fields without sharing the definition."""
_FEW = 4
"""Up to this many fields two schemas may have in common by chance."""
_MOST_NAMED = 3
"""Problems of one answer that are named: with more the name would be too long."""
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


def arrange(document: Json) -> None:
    """Normalise a document in place: rename schemas, and move what is shared to ``components``."""
    for operation in operations(document):
        for parameter in operation.parameters:
            _simplify(parameter)
    _rename_schemas(document)
    _each_schema(document, _drop_title)
    _each_schema(document, _shorten_nullable)
    _share_types(document)
    _share_field_schemas(document)
    _allow_unknown_fields_in_answers(document)
    _share_fields(document)
    _share_groups(document)
    _share_headers(document)
    _share_parameters(document)
    _share_responses(document)
    _share_examples(document)
    _drop_unused(document)


def without_streams(document: Json) -> Json:
    """Return the document in OpenAPI 3.1, which has no schemas for the items of a stream."""
    copy: Json = {**json.loads(json.dumps(document)), "openapi": "3.1.0"}
    for operation in operations(copy):
        for response in operation.responses.values():
            for media in map(objects, objects(response.get("content", {})).values()):
                if "itemSchema" in media:
                    items = objects(media.pop("itemSchema"))
                    media["schema"] = {"type": "string", "description": items["description"]}
    return copy


def _simplify(parameter: Json) -> None:
    """Remove null, which cannot be sent, from a parameter; give a path parameter an example."""
    schema = objects(parameter["schema"])
    kinds = schema.get("anyOf")
    if isinstance(kinds, list) and _NULL in kinds:
        non_null = [kind for kind in kinds if kind != _NULL]
        if len(non_null) == 1:
            del schema["anyOf"]
            parameter["schema"] = schema = {**objects(non_null[0]), **schema}
    # The description need not be repeated in the schema.
    if parameter.get("description") == schema.get("description"):
        schema.pop("description", None)
    if not parameter["required"]:
        del parameter["required"]
    examples = schema.get("examples")
    if parameter["in"] == "path" and isinstance(examples, list):
        parameter["example"] = examples[0]
        del schema["examples"]


def _rename_schemas(document: Json) -> None:
    """Name each schema by its title, which a class has if its own name is not suitable."""
    schemas = _component(document, "schemas")
    titles = {name: str(objects(schema).get("title", name)) for name, schema in schemas.items()}
    if len(set(titles.values())) < len(titles):
        raise ValueError(f"several schemas have the same title: {sorted(titles.values())}")

    def rename(schema: Json) -> None:
        target = schema.get("$ref")
        if isinstance(target, str):
            schema["$ref"] = _SCHEMAS + titles[target.removeprefix(_SCHEMAS)]

    _each_schema(document, rename)
    renamed = {titles[name]: schema for name, schema in schemas.items()}
    schemas.clear()
    schemas.update(sorted(renamed.items()))


def _drop_title(schema: Json) -> None:
    """Remove titles, which only repeat the names."""
    schema.pop("title", None)


def _share_types(document: Json) -> None:
    """Define the types of many fields once."""
    schemas = _component(document, "schemas")
    for name, kind in _TYPES.items():
        type_schema: Json = TypeAdapter(kind).json_schema()
        rules = {key: value for key, value in type_schema.items() if key not in _NOTES}
        refer = partial(_refer, name=name, type_schema=type_schema, rules=rules)
        _each_schema(document, refer)
        schemas[name] = type_schema


def _refer(schema: Json, *, name: str, type_schema: Json, rules: Json) -> None:
    """Replace the definition of a type in a schema by a reference; keep its own description."""
    if rules.items() <= schema.items():
        for key, value in type_schema.items():
            if schema.get(key) == value:
                del schema[key]
        schema["$ref"] = _SCHEMAS + name


def _share_field_schemas(document: Json) -> None:
    """Define once the schema of a field that several schemas have."""
    schemas = _component(document, "schemas")
    every = [
        (objects(objects(schema).get("properties", {})), name)
        for schema in schemas.values()
        for name in _FIELDS.keys() & objects(objects(schema).get("properties", {})).keys()
    ]
    for name, shared in _FIELDS.items():
        uses = Counter(_text(objects(fields[name])) for fields, field in every if field == name)
        text = max((text for text in uses if uses[text] > _BY_CHANCE), key=len, default="")
        for fields, field in every:
            if field == name and _text(objects(fields[name])) == text:
                schemas[shared] = fields[name]
                fields[name] = {"$ref": _SCHEMAS + shared}


def _shorten_nullable(schema: Json) -> None:
    """Shorten the schema of a nullable value that has one plain type."""
    kinds = schema.get("anyOf")
    if isinstance(kinds, list) and len(kinds) == len({"it", "null"}) and kinds[1] == _NULL:
        kind = objects(kinds[0])
        if isinstance(kind.get("type"), str) and not kind.keys() & (schema.keys() | _RULES):
            del schema["anyOf"]
            schema.update({**kind, "type": [kind["type"], "null"]})


def _allow_unknown_fields_in_answers(document: Json) -> None:
    """Forbid unknown fields only in request bodies, and leave their examples to the whole body.

    Answers may get new fields.
    """
    schemas = _component(document, "schemas")
    bodies = [
        operation.spec.get("requestBody", {})
        for operation in operations(document)
        if operation.path in objects(document["paths"])  # what a webhook has, the service sends
    ]
    request_schemas: set[str] = set()
    pending = {name for name in schemas if f'"{_SCHEMAS}{name}"' in json.dumps(bodies)}
    while pending:
        request_schemas |= pending
        text = json.dumps([schemas[name] for name in pending])
        pending = {name for name in schemas if f'"{_SCHEMAS}{name}"' in text} - request_schemas
    for name, schema in schemas.items():
        if name not in request_schemas:
            objects(schema).pop("additionalProperties", None)
        else:
            for field in objects(objects(schema).get("properties", {})).values():
                objects(field).pop("examples", None)


def _share_fields(document: Json) -> None:
    """Define the fields of an answer once if another has all of them, or is a preview of it."""
    schemas = _component(document, "schemas")
    fields = {
        name: objects(objects(schema)["properties"])
        for name, schema in schemas.items()
        if "additionalProperties" not in objects(schema) and "properties" in objects(schema)
    }
    bases = _bases(fields)
    for preview in [name for name in fields if name.endswith(_PREVIEW) and name not in bases]:
        previewed = max(
            (name for name in fields if not name.endswith(_PREVIEW)),
            key=lambda name: len(_common(fields[name], fields[preview])),
        )
        while previewed in bases:
            previewed = bases[previewed]
        common = _common(fields[previewed], fields[preview])
        if len(common) > _FEW:
            content = f"{preview.removesuffix(_PREVIEW)}Content"
            schemas[content] = {"type": "object", **_part(objects(schemas[preview]), common)}
            fields[content] = common
            bases |= {preview: content, previewed: content}
    for name, base in bases.items():
        _extend_by(objects(schemas[name]), base, fields[name].keys() - fields[base].keys())


def _bases(fields: Mapping[str, Json]) -> dict[str, str]:
    """Return, for each schema that has all fields of others, the largest of these."""
    bases: dict[str, str] = {}
    for name, own in fields.items():
        inner = [
            other
            for other, other_fields in fields.items()
            if _FEW < len(other_fields) < len(own) and other_fields.items() <= own.items()
        ]
        if inner:
            bases[name] = max(inner, key=lambda other: len(fields[other]))
    return bases


def _common(first: Json, second: Json) -> Json:
    return {name: field for name, field in first.items() if second.get(name) == field}


def _share_groups(document: Json) -> None:
    """Define once the groups of fields that several answers have."""
    schemas = _component(document, "schemas")
    for group, names in _GROUPS.items():
        holders = {
            name: _own(objects(schema))
            for name, schema in schemas.items()
            if names <= objects(_own(objects(schema)).get("properties", {})).keys()
            and "additionalProperties" not in objects(schema)
        }
        texts = {name: _text(_part(own, names)) for name, own in holders.items()}
        text, uses = Counter(texts.values()).most_common(1)[0] if texts else ("", 0)
        if uses > 1:
            for name, own in holders.items():
                if texts[name] == text:
                    schemas[group] = {"type": "object", **_part(own, names)}
                    fields = objects(own["properties"]).keys()
                    _extend_by(objects(schemas[name]), group, fields - names)


def _own(schema: Json) -> Json:
    """Return the part of a schema with its own fields: the last one if it extends others."""
    parts = schema.get("allOf", [schema])
    assert isinstance(parts, list)
    return objects(parts[-1])


def _extend_by(schema: Json, base: str, own: Collection[str]) -> None:
    """Make a schema extend another one by its own fields."""
    notes = {key: value for key, value in schema.items() if key in _NOTES}
    parts = schema.get("allOf", [schema])
    assert isinstance(parts, list)
    parts = [*parts[:-1], {"$ref": _SCHEMAS + base}]
    if own:
        parts.append(_part(_own(schema), own))
    schema.clear()
    schema.update({"allOf": parts, **notes})


def _part(schema: Json, names: Collection[str]) -> Json:
    """Return a schema of some of the fields of another."""
    fields, required = objects(schema["properties"]), schema["required"]
    assert isinstance(required, list)
    return {
        "properties": {name: field for name, field in fields.items() if name in names},
        "required": [name for name in required if name in names],
    }


def _share_examples(document: Json) -> None:
    """Define once the example of a problem that several answers have."""
    examples = [
        objects(media["examples"])
        for response in _every_response(document)
        for media in map(objects, objects(response.get("content", {})).values())
        if "examples" in media
    ]
    uses = Counter(name for of_answer in examples for name in of_answer)
    shared = _component(document, "examples")
    for of_answer in examples:
        for name, example in of_answer.items():
            if uses[name] > 1:
                assert shared.setdefault(name, example) == example, name
                of_answer[name] = {"$ref": f"#/components/examples/{name}"}


def _every_response(document: Json) -> Iterator[Json]:
    """Yield every answer once, shared or not."""
    yield from map(objects, _component(document, "responses").values())
    for operation in operations(document):
        yield from (response for response in operation.responses.values() if "$ref" not in response)


def _share_headers(document: Json) -> None:
    """Define each header of an answer once."""
    shared = _component(document, "headers")
    for operation in operations(document):
        for response in operation.responses.values():
            headers = objects(response.get("headers", {}))
            for name, header in headers.items():
                assert shared.setdefault(name, header) == header, name
                headers[name] = {"$ref": f"#/components/headers/{name}"}


def _share_parameters(document: Json) -> None:
    """Define each parameter that several operations have once.

    The most common definition gets the plain name; the others are prefixed by their tag.
    """
    every = [
        (operation, parameter)
        for operation in operations(document)
        for parameter in operation.parameters
    ]
    uses = _count(parameter for _, parameter in every)
    shared = _component(document, "parameters")
    named: dict[str, str] = {}
    for operation, parameter in sorted(every, key=lambda pair: -uses[_text(pair[1])]):
        text, name = _text(parameter), str(parameter["name"])
        if name in shared:
            name = f"{operation.tag}.{name}"
        if uses[text] > 1 and text not in named and name not in shared:
            named[text] = name
            shared[name] = parameter
    for operation in operations(document):
        if operation.parameters:
            operation.spec["parameters"] = [
                {"$ref": f"#/components/parameters/{named[_text(parameter)]}"}
                if _text(parameter) in named
                else parameter
                for parameter in operation.parameters
            ]


def _share_responses(document: Json) -> None:
    """Define each answer that several operations have once, named by its content."""
    every = [
        response for operation in operations(document) for response in operation.responses.values()
    ]
    uses = _count(every)
    shared = _component(document, "responses")
    named: dict[str, str] = {}
    for response in every:
        text, name = _text(response), _name_of(response)
        if uses[text] > 1 and text not in named and name is not None and name not in shared:
            named[text] = name
            shared[name] = response
    for operation in operations(document):
        for status, response in operation.responses.items():
            if _text(response) in named:
                name = named[_text(response)]
                objects(operation.spec["responses"])[status] = {
                    "$ref": f"#/components/responses/{name}"
                }


def _name_of(response: Json) -> str | None:
    """Return a name for an answer; None if its content is too much to name."""
    content = objects(response.get("content", {}))
    if len(content) != 1:
        return None
    ((media_type, media),) = content.items()
    problems = [*objects(objects(media).get("examples", {}))]
    if problems:
        return "Or".join(map(_capitalized, problems)) if len(problems) <= _MOST_NAMED else None
    schema = objects(objects(media)["schema"])
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_SCHEMAS)
    return _capitalized(media_type.partition("/")[2].removeprefix("x-").partition("+")[0])


def _capitalized(words: str) -> str:
    return words.title().replace("-", "")


def _drop_unused(document: Json) -> None:
    """Remove schemas that nothing refers to, such as those of the framework's own errors."""
    schemas = _component(document, "schemas")
    while True:
        text = _text(document)
        unused = [name for name in schemas if f'"{_SCHEMAS}{name}"' not in text]
        if not unused:
            break
        for name in unused:
            del schemas[name]
    components = objects(document["components"])
    for kind in [kind for kind, entries in components.items() if not entries]:
        del components[kind]


def _component(document: Json, kind: str) -> Json:
    return objects(objects(document["components"]).setdefault(kind, {}))


def _count(values: Iterable[Json]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[_text(value)] = counts.get(_text(value), 0) + 1
    return counts


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


def _each_schema(document: Json, change: Callable[[Json], None]) -> None:
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
