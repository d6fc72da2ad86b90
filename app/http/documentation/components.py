"""The components of the OpenAPI document: what several operations share is defined once.

This keeps the document small.
"""

import json
from collections import Counter
from collections.abc import Iterator

from app.http.documentation.document import (
    SCHEMAS,
    Json,
    canonical,
    component,
    objects,
    operations,
)
from app.http.documentation.schemas import arrange_schemas

_MOST_NAMED = 3
"""Problems of one answer that are named: with more the name would be too long."""


def arrange(document: Json) -> None:
    """Normalise a document in place: rename schemas, and move what is shared to ``components``."""
    arrange_schemas(document)
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


def _share_examples(document: Json) -> None:
    """Define once the example of a problem that several answers have."""
    examples = [
        objects(media["examples"])
        for response in _every_response(document)
        for media in map(objects, objects(response.get("content", {})).values())
        if "examples" in media
    ]
    uses = Counter(name for of_answer in examples for name in of_answer)
    shared = component(document, "examples")
    for of_answer in examples:
        for name, example in of_answer.items():
            if uses[name] > 1:
                assert shared.setdefault(name, example) == example, name
                of_answer[name] = {"$ref": f"#/components/examples/{name}"}


def _every_response(document: Json) -> Iterator[Json]:
    """Yield every answer once, shared or not."""
    yield from map(objects, component(document, "responses").values())
    for operation in operations(document):
        yield from (response for response in operation.responses.values() if "$ref" not in response)


def _share_headers(document: Json) -> None:
    """Define each header of an answer once."""
    shared = component(document, "headers")
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
    uses = Counter(canonical(parameter) for _, parameter in every)
    shared = component(document, "parameters")
    named: dict[str, str] = {}
    for operation, parameter in sorted(every, key=lambda pair: -uses[canonical(pair[1])]):
        text, name = canonical(parameter), str(parameter["name"])
        if name in shared:
            name = f"{operation.tag}.{name}"
        if uses[text] > 1 and text not in named and name not in shared:
            named[text] = name
            shared[name] = parameter
    for operation in operations(document):
        if operation.parameters:
            operation.spec["parameters"] = [
                {"$ref": f"#/components/parameters/{named[canonical(parameter)]}"}
                if canonical(parameter) in named
                else parameter
                for parameter in operation.parameters
            ]


def _share_responses(document: Json) -> None:
    """Define each answer that several operations have once, named by its content."""
    every = [
        response for operation in operations(document) for response in operation.responses.values()
    ]
    uses = Counter(map(canonical, every))
    shared = component(document, "responses")
    named: dict[str, str] = {}
    for response in every:
        text, name = canonical(response), _name_of(response)
        if uses[text] > 1 and text not in named and name is not None and name not in shared:
            named[text] = name
            shared[name] = response
    for operation in operations(document):
        for status, response in operation.responses.items():
            if canonical(response) in named:
                name = named[canonical(response)]
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
        return str(schema["$ref"]).removeprefix(SCHEMAS)
    subtype = media_type.partition("/")[2].rpartition(".")[2]
    return _capitalized(subtype.removeprefix("x-").partition("+")[0])


def _capitalized(words: str) -> str:
    return words.title().replace("-", "")


def _drop_unused(document: Json) -> None:
    """Remove schemas that nothing refers to, such as those of the framework's own errors."""
    schemas = component(document, "schemas")
    while True:
        text = canonical(document)
        unused = [name for name in schemas if f'"{SCHEMAS}{name}"' not in text]
        if not unused:
            break
        for name in unused:
            del schemas[name]
    components = objects(document["components"])
    for kind in [kind for kind, entries in components.items() if not entries]:
        del components[kind]
