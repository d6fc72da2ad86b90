"""Routes whose bodies are read as strict JSON."""

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import JsonValue


class RepeatedMember(json.JSONDecodeError):
    """An object of a body has two members of one name."""

    def __init__(self, name: str) -> None:
        super().__init__("An object has two members of one name", "", 0)
        self.name = name


def _refuse_repeats(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise RepeatedMember(name)
    return found


class StrictRequest(Request):
    """Reads JSON as I-JSON (RFC 7493) is: in UTF-8, and no name twice.

    The framework would guess the encoding and let the last of two names win in silence.
    """

    # Any: what the framework's own method returns.
    async def json(self) -> Any:  # noqa: ANN401
        if not hasattr(self, "_strict"):
            self._strict: JsonValue = json.loads(
                (await self.body()).decode("utf-8"),
                object_pairs_hook=_refuse_repeats,
            )
        return self._strict


class StrictRoute(APIRoute):
    """A route of a `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


def feature_router(*, prefix: str, tag: str) -> APIRouter:
    """Return the router of a feature."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=StrictRoute)
