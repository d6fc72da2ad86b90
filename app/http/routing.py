"""Routes that check the headers first, and read bodies as strict JSON within limits."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from operator import attrgetter
from typing import Any, Protocol, runtime_checkable

from fastapi import APIRouter, Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import JsonValue
from starlette.requests import ClientDisconnect

from app.errors import Malformed, TooLarge, invalid
from app.http.parameters import refuse_unknown

SMALL_BODY = 64 * 2**10
"""Bytes that a body of most operations may have."""
LONG_BODY = 256 * 2**10
"""For a decision about a thousand crossings, or a text in every language."""
WHOLE_BODY = 2**31
"""For batches: as much as the setting of the service allows."""
MAX_PARTS = 100_000
"""Commas and opening brackets of a body: they, not its bytes, decide what parsing costs."""
MAX_MEMBERS = 200
"""Members of one object: several times those that any operation has."""

_AT_ONCE_BYTES = 16 * 2**10
"""A longer body is parsed in a thread, so that other requests go on meanwhile."""


@runtime_checkable
class Gate(Protocol):
    """A dependency that checks the headers of a request before any of its body is read."""

    body_bytes: int
    """How long a body may be."""

    async def admit(self, request: Request) -> None:
        """Raise a problem unless the request is allowed."""


class TooManyMembers(ValueError):
    """An object of a body has more members than any of an operation."""


class RepeatedMember(ValueError):
    """An object of a body has two members of one name."""

    def __init__(self, name: str) -> None:
        super().__init__("An object has two members of one name")
        self.name = name


def _refuse_repeats(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    if len(pairs) > MAX_MEMBERS:
        raise TooManyMembers
    members = dict(pairs)
    if len(members) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise RepeatedMember(name)
    return members


def parse_json(content: bytes) -> JsonValue:
    """Parse a body as I-JSON (RFC 7493): in UTF-8, and no name twice in an object.

    Raises Malformed, Invalid for a name that is given twice, and TooLarge.
    """
    if sum(content.count(mark) for mark in (b",", b"{", b"[")) > MAX_PARTS:
        raise TooLarge(f"The body may have {MAX_PARTS} members and items at most.")
    try:
        parsed: JsonValue = json.loads(content.decode("utf-8"), object_pairs_hook=_refuse_repeats)
    except TooManyMembers as error:
        raise invalid("body", f"has an object of more than {MAX_MEMBERS} members") from error
    except RepeatedMember as error:
        raise invalid(error.name, "must be given once") from error
    except (ValueError, RecursionError) as error:
        raise Malformed("The body cannot be read as JSON.") from error
    return parsed


class StrictRequest(Request):
    """A request whose body is read before the framework reads it, which guesses the encoding."""

    async def load(self, limit: int) -> None:
        """Read the body. Raises TooLarge as soon as it has more bytes than the limit."""
        declared = self.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        content = bytearray()
        try:
            async for chunk in self.stream():
                content += chunk
                if len(content) > limit:
                    raise _too_large(limit)
        except ClientDisconnect as error:
            raise Malformed("The connection was closed before the body was complete.") from error
        self._body = bytes(content)
        if len(content) > _AT_ONCE_BYTES:
            self._json = await asyncio.to_thread(parse_json, self._body)
        elif content:
            self._json = parse_json(self._body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body may have {limit} bytes at most.")


class StrictRoute(APIRoute):
    """A route of a `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        gates = [call for call in _calls(self.dependant) if isinstance(call, Gate)]
        takes_body = self.body_field is not None
        body_bytes = max((gate.body_bytes for gate in gates), default=SMALL_BODY)

        async def strict(request: Request) -> Response:
            for gate in gates:
                await gate.admit(request)
            loaded = StrictRequest(request.scope, request.receive)
            if takes_body:
                await loaded.load(min(body_bytes, request.app.state.max_body_bytes))
            return await handle(loaded)

        return strict


def _calls(dependant: Dependant) -> Iterator[object]:
    """Yield the dependencies of an operation, and theirs in turn."""
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)


def feature_router(*, prefix: str, tag: str) -> APIRouter:
    """Return a router whose operations refuse parameters that they do not have."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=StrictRoute,
        dependencies=[Depends(refuse_unknown)],
        generate_unique_id_function=attrgetter("name"),
    )


def hidden_router(*, prefix: str = "", route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """Return a router that the OpenAPI document leaves out.

    Links to pages get parameters from others on their way: those are not refused.
    """
    return APIRouter(prefix=prefix, route_class=route_class, include_in_schema=False)
