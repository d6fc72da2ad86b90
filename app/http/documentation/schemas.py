"""The schemas of the OpenAPI document: stable names, and definitions that are shared."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial

from pydantic import TypeAdapter

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
from app.http.documentation.document import (
    SCHEMAS,
    Json,
    canonical,
    component,
    each_schema,
    objects,
    operations,
)

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
        "opens_at", "waits",
    },
    "ObservedFigures": {
        "traffic", "to", "queue", "wait", "vehicles", "lanes_open", "moving", "paused", "estimate",
        "method", "source", "source_name", "observed_at", "shown_until", "supports",
    },
    "RecordedEntry": {"id", "change", "recorded_at", "citations"},
    "StatementRecord": {"announced_at", "incident", "recorded_by", "superseded_by", "supersedes"},
    "StatusFigures": {"seconds", "shares", "closures"},
    "StatementPreview": {"id", "change", "recorded_at", "citations", "retraction", "undo"},
}  # fmt: skip
"""Groups of fields that several answers have, by their name in the document."""
_PREVIEW = "Preview"
_BY_CHANCE = 2
"""Up to this many schemas may have equal fields without sharing the definition."""
_FEW = 4
"""Up to this many fields two schemas may have in common by chance."""


def arrange_schemas(document: Json) -> None:
    """Rename the schemas of a document in place, simplify them, and share what they have in common.

    Client generators make one type of each schema, with a name that does not depend on the code.
    """
    for operation in operations(document):
        for parameter in operation.parameters:
            _simplify(parameter)
    _rename_schemas(document)
    each_schema(document, _drop_title)
    each_schema(document, _shorten_nullable)
    _share_types(document)
    _share_field_schemas(document)
    _allow_unknown_fields_in_answers(document)
    _share_fields(document)
    _share_groups(document)


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
    schemas = component(document, "schemas")
    titles = {name: str(objects(schema).get("title", name)) for name, schema in schemas.items()}
    if len(set(titles.values())) < len(titles):
        raise ValueError(f"several schemas have the same title: {sorted(titles.values())}")

    def rename(schema: Json) -> None:
        target = schema.get("$ref")
        if isinstance(target, str):
            schema["$ref"] = SCHEMAS + titles[target.removeprefix(SCHEMAS)]

    each_schema(document, rename)
    renamed = {titles[name]: schema for name, schema in schemas.items()}
    schemas.clear()
    schemas.update(sorted(renamed.items()))


def _drop_title(schema: Json) -> None:
    """Remove titles, which only repeat the names."""
    schema.pop("title", None)


def _share_types(document: Json) -> None:
    """Define the types of many fields once."""
    schemas = component(document, "schemas")
    for name, kind in _TYPES.items():
        type_schema: Json = TypeAdapter(kind).json_schema()
        rules = {key: value for key, value in type_schema.items() if key not in _NOTES}
        refer = partial(_refer, name=name, type_schema=type_schema, rules=rules)
        each_schema(document, refer)
        schemas[name] = type_schema


def _refer(schema: Json, *, name: str, type_schema: Json, rules: Json) -> None:
    """Replace the definition of a type in a schema by a reference; keep its own description."""
    if rules.items() <= schema.items():
        for key, value in type_schema.items():
            if schema.get(key) == value:
                del schema[key]
        schema["$ref"] = SCHEMAS + name


def _share_field_schemas(document: Json) -> None:
    """Define once the schema of a field that several schemas have."""
    schemas = component(document, "schemas")
    every = [
        (objects(objects(schema).get("properties", {})), name)
        for schema in schemas.values()
        for name in _FIELDS.keys() & objects(objects(schema).get("properties", {})).keys()
    ]
    for name, shared in _FIELDS.items():
        uses = Counter(canonical(objects(fields[name])) for fields, field in every if field == name)
        text = max((text for text in uses if uses[text] > _BY_CHANCE), key=len, default="")
        for fields, field in every:
            if field == name and canonical(objects(fields[name])) == text:
                schemas[shared] = fields[name]
                fields[name] = {"$ref": SCHEMAS + shared}


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
    schemas = component(document, "schemas")
    bodies = [
        operation.spec.get("requestBody", {})
        for operation in operations(document)
        if operation.path in objects(document["paths"])  # what a webhook has, the service sends
    ]
    request_schemas: set[str] = set()
    pending = {name for name in schemas if f'"{SCHEMAS}{name}"' in json.dumps(bodies)}
    while pending:
        request_schemas |= pending
        text = json.dumps([schemas[name] for name in pending])
        pending = {name for name in schemas if f'"{SCHEMAS}{name}"' in text} - request_schemas
    for name, schema in schemas.items():
        if name not in request_schemas:
            objects(schema).pop("additionalProperties", None)
        else:
            for field in objects(objects(schema).get("properties", {})).values():
                objects(field).pop("examples", None)


def _share_fields(document: Json) -> None:
    """Define the fields of an answer once if another has all of them, or is a preview of it."""
    schemas = component(document, "schemas")
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
    schemas = component(document, "schemas")
    for group, names in _GROUPS.items():
        holders = {
            name: _own(objects(schema))
            for name, schema in schemas.items()
            if names <= objects(_own(objects(schema)).get("properties", {})).keys()
            and "additionalProperties" not in objects(schema)
        }
        texts = {name: canonical(_part(own, names)) for name, own in holders.items()}
        text, uses = Counter(texts.values()).most_common(1)[0] if texts else ("", 0)
        if uses > 1:
            for name, own in holders.items():
                if texts[name] == text and name != group:
                    schemas.setdefault(group, {"type": "object", **_part(own, names)})
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
    parts = [*parts[:-1], {"$ref": SCHEMAS + base}]
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
