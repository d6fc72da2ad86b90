"""The components of the OpenAPI document: whatever several operations share stands there once.

Generators make one type of each, with a name that does not depend on the code, and the document
stays small.
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
"""Of a schema: what is a value, not a schema."""
_MAPS = {"properties", "patternProperties", "$defs"}
"""Of a schema: what holds schemas by names of any kind."""
_RULES = {"enum", "const", "minLength"}
"""What belongs to a type that has a name, or cannot be said of null."""
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
"""What values of many fields are made of, by the names that readers see; each before its parts."""
_FIELDS = {
    "citations": "NewCitations",
    "next": "NextPage",
    "sides": "DeclaringSides",
    "to": "ScopeDirection",
    "traffic": "ScopeTraffic",
    "undo": "UndoAddresses",
    "waits": "LatestWaits",
}
"""Fields that several schemas have in the same words, and what these words are called."""
_GROUPS = {
    "CrossingIdentity": {"border", "sides", "mode", "traffic", "names", "replaced_by"},
    "CrossingState": {
        "status", "since", "last_known", "stale", "overdue", "last_confirmed_at", "links",
    },
    "RecordedEntry": {"id", "change", "recorded_at", "citations"},
    "StatementPreview": {"id", "change", "recorded_at", "citations", "retraction", "undo"},
}  # fmt: skip
"""Fields that several answers have together, and what they are called together."""
_PREVIEW = "Preview"
_BY_CHANCE = 2
"""So many schemas may have a field in the same words."""
_FEW = 4
"""Fields that a schema may have in common with another by chance."""
_MOST_NAMED = 3
"""Problems of one answer: the name of more would be too long."""
_METHODS = {"get", "post", "put", "patch", "delete"}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the document, which may be changed in place."""

    path: str
    method: str
    spec: Json

    @property
    def responses(self) -> dict[str, Json]:
        return {status: objects(found) for status, found in objects(self.spec["responses"]).items()}

    @property
    def parameters(self) -> list[Json]:
        found = self.spec.get("parameters", [])
        assert isinstance(found, list)
        return [objects(one) for one in found]

    @property
    def tag(self) -> str:
        tags = self.spec["tags"]
        assert isinstance(tags, list)
        return str(tags[0])


def objects(value: JsonValue) -> Json:
    """Return what is known to be an object."""
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
    """Put a document in order, in place: names, and what is shared once under ``components``."""
    for operation in operations(document):
        for parameter in operation.parameters:
            _simplify(parameter)
    _rename_schemas(document)
    _each_schema(document, _drop_title)
    _each_schema(document, _shorten_nullable)
    _share_types(document)
    _share_field_schemas(document)
    _tell_sent_from_answered(document)
    _share_fields(document)
    _share_groups(document)
    _share_headers(document)
    _share_parameters(document)
    _share_responses(document)
    _share_examples(document)
    _drop_unused(document)


def without_streams(document: Json) -> Json:
    """Return the document as OpenAPI 3.1 can tell it: the items of a stream only in words."""
    told: Json = {**json.loads(json.dumps(document)), "openapi": "3.1.0"}
    for operation in operations(told):
        for response in operation.responses.values():
            for media in map(objects, objects(response.get("content", {})).values()):
                if "itemSchema" in media:
                    items = objects(media.pop("itemSchema"))
                    media["schema"] = {"type": "string", "description": items["description"]}
    return told


def _simplify(parameter: Json) -> None:
    """Leave null out of a parameter, which cannot be sent, and show what is required filled in."""
    schema = objects(parameter["schema"])
    kinds = schema.get("anyOf")
    if isinstance(kinds, list) and _NULL in kinds:
        rest = [kind for kind in kinds if kind != _NULL]
        if len(rest) == 1:
            del schema["anyOf"]
            parameter["schema"] = schema = {**objects(rest[0]), **schema}
    # What is said of the parameter need not be said of its schema again.
    if parameter.get("description") == schema.get("description"):
        schema.pop("description", None)
    if not parameter["required"]:
        del parameter["required"]
    examples = schema.get("examples")
    if parameter["in"] == "path" and isinstance(examples, list):
        parameter["example"] = examples[0]
        del schema["examples"]


def _rename_schemas(document: Json) -> None:
    """Call each schema by its title, which is given where the name of its class would not do."""
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
    """Leave out titles: they only repeat the names."""
    schema.pop("title", None)


def _share_types(document: Json) -> None:
    """Write once what values of many fields are made of."""
    schemas = _component(document, "schemas")
    for name, kind in _TYPES.items():
        found: Json = TypeAdapter(kind).json_schema()
        rules = {key: value for key, value in found.items() if key not in _NOTES}
        refer = partial(_refer, name=name, found=found, rules=rules)
        _each_schema(document, refer)
        schemas[name] = found


def _refer(schema: Json, *, name: str, found: Json, rules: Json) -> None:
    """Let a schema that follows the rules of a type refer to that, with notes of its own."""
    if rules.items() <= schema.items():
        for key, value in found.items():
            if schema.get(key) == value:
                del schema[key]
        schema["$ref"] = _SCHEMAS + name


def _share_field_schemas(document: Json) -> None:
    """Write once the schema of a field that several schemas have."""
    schemas = _component(document, "schemas")
    every = [
        (objects(objects(schema).get("properties", {})), name)
        for schema in schemas.values()
        for name in _FIELDS.keys() & objects(objects(schema).get("properties", {})).keys()
    ]
    for name, shared in _FIELDS.items():
        uses = Counter(_text(objects(fields[name])) for fields, found in every if found == name)
        text = max((text for text in uses if uses[text] > _BY_CHANCE), key=len, default="")
        for fields, found in every:
            if found == name and _text(objects(fields[name])) == text:
                schemas[shared] = fields[name]
                fields[name] = {"$ref": _SCHEMAS + shared}


def _shorten_nullable(schema: Json) -> None:
    """Write what may be null the short way, where it is of one plain type."""
    kinds = schema.get("anyOf")
    if isinstance(kinds, list) and len(kinds) == len({"it", "null"}) and kinds[1] == _NULL:
        kind = objects(kinds[0])
        if isinstance(kind.get("type"), str) and not kind.keys() & (schema.keys() | _RULES):
            del schema["anyOf"]
            schema.update({**kind, "type": [kind["type"], "null"]})


def _tell_sent_from_answered(document: Json) -> None:
    """Refuse unknown fields only in what is sent, which has an example as a whole.

    Answers may get new fields.
    """
    schemas = _component(document, "schemas")
    bodies = [
        operation.spec.get("requestBody", {})
        for operation in operations(document)
        if operation.path in objects(document["paths"])  # what a webhook has, the service sends
    ]
    sent: set[str] = set()
    found = {name for name in schemas if f'"{_SCHEMAS}{name}"' in json.dumps(bodies)}
    while found:
        sent |= found
        told = json.dumps([schemas[name] for name in found])
        found = {name for name in schemas if f'"{_SCHEMAS}{name}"' in told} - sent
    for name, schema in schemas.items():
        if name not in sent:
            objects(schema).pop("additionalProperties", None)
        else:
            for field in objects(objects(schema).get("properties", {})).values():
                objects(field).pop("examples", None)


def _share_fields(document: Json) -> None:
    """Write the fields of an answer once, where another has them all, or is a preview of it."""
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
    """Return for each schema that has all of others' fields which of them has the most."""
    found: dict[str, str] = {}
    for name, own in fields.items():
        inner = [
            other
            for other, held in fields.items()
            if _FEW < len(held) < len(own) and held.items() <= own.items()
        ]
        if inner:
            found[name] = max(inner, key=lambda other: len(fields[other]))
    return found


def _common(one: Json, other: Json) -> Json:
    return {name: field for name, field in one.items() if other.get(name) == field}


def _share_groups(document: Json) -> None:
    """Write once the fields that several answers have together."""
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
    """Return the part of a schema that has its own fields: the last, if it extends others."""
    parts = schema.get("allOf", [schema])
    assert isinstance(parts, list)
    return objects(parts[-1])


def _extend_by(schema: Json, base: str, own: Collection[str]) -> None:
    """Let a schema have the fields of another besides its own."""
    notes = {key: value for key, value in schema.items() if key in _NOTES}
    parts = schema.get("allOf", [schema])
    assert isinstance(parts, list)
    parts = [*parts[:-1], {"$ref": _SCHEMAS + base}]
    if own:
        parts.append(_part(_own(schema), own))
    schema.clear()
    schema.update({"allOf": parts, **notes})


def _part(schema: Json, names: Collection[str]) -> Json:
    """Return some fields of a schema as one of their own."""
    fields, required = objects(schema["properties"]), schema["required"]
    assert isinstance(required, list)
    return {
        "properties": {name: field for name, field in fields.items() if name in names},
        "required": [name for name in required if name in names],
    }


def _share_examples(document: Json) -> None:
    """Write once the example of a problem that several answers have."""
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
        yield from (found for found in operation.responses.values() if "$ref" not in found)


def _share_headers(document: Json) -> None:
    """Write each header of an answer once."""
    shared = _component(document, "headers")
    for operation in operations(document):
        for response in operation.responses.values():
            headers = objects(response.get("headers", {}))
            for name, header in headers.items():
                assert shared.setdefault(name, header) == header, name
                headers[name] = {"$ref": f"#/components/headers/{name}"}


def _share_parameters(document: Json) -> None:
    """Write each parameter that several operations have once.

    The meaning that is most common takes the bare name; the others follow their tag, with a dot.
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
    """Write each answer that several operations have once, named after what it holds."""
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
    """Return a name for an answer; None where it holds too much to name."""
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
    """Leave out schemas that nothing refers to, and what the framework has for its own errors."""
    schemas = _component(document, "schemas")
    while True:
        told = _text(document)
        unused = [name for name in schemas if f'"{_SCHEMAS}{name}"' not in told]
        if not unused:
            break
        for name in unused:
            del schemas[name]
    components = objects(document["components"])
    for kind in [kind for kind, found in components.items() if not found]:
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
    """Look for the schemas in what is none itself."""
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
