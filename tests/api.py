"""How tests talk to the service: requests that say what they mean, bodies that work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

import httpx2
from pydantic import JsonValue

Json = dict[str, JsonValue]

SUMSKAS = "sumskas-losa"
TVERECIUS = "tverecius-vidzy"
MEDININKAI = "medininkai-kamienny-loh"


@dataclass(frozen=True)
class Api:
    """A client of the service that holds a key."""

    client: httpx2.AsyncClient
    key: str

    async def get(self, path: str, **parameters: str | int) -> httpx2.Response:
        return await self.client.get(path, params=parameters or None)

    async def post(
        self,
        path: str,
        body: Mapping[str, object],
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        **parameters: str,
    ) -> httpx2.Response:
        headers = self._headers(key, idempotency_key)
        return await self.client.post(path, json=body, headers=headers, params=parameters or None)

    async def patch(
        self,
        path: str,
        body: Mapping[str, object],
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        **parameters: str,
    ) -> httpx2.Response:
        headers = self._headers(key, idempotency_key)
        return await self.client.patch(path, json=body, headers=headers, params=parameters or None)

    def _headers(self, key: str | None, idempotency_key: str | None) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return (
            headers if idempotency_key is None else {**headers, "Idempotency-Key": idempotency_key}
        )

    async def declare(self, **fields: object) -> Json:
        """Record a decision and return the answer's body."""
        response = await self.post("/v1/events", decision(**fields))
        assert response.status_code == 201, response.text
        body: Json = response.json()
        return body

    async def soon(self, *crossings: str, side: str = "LT") -> datetime:
        """Return an instant before which a test has the time to declare some things.

        It is as far off as several declarations for these crossings take here and now.
        """
        began = monotonic()
        preview = decision(crossings=crossings, sides=[side])
        response = await self.post("/v1/events", preview, validate_only="true")
        assert response.status_code == 200, response.text
        return datetime.now(UTC) + timedelta(seconds=max(1.0, 20 * (monotonic() - began)))

    async def status(self, crossing: str = SUMSKAS, **parameters: str | int) -> Json:
        response = await self.get(f"/v1/crossings/{crossing}/status", **parameters)
        assert response.status_code == 200, response.text
        body: Json = response.json()
        return body


def decision(**fields: object) -> dict[str, object]:
    """Return a body of `POST /v1/events` that closes Šumskas now, changed by ``fields``."""
    return {
        "crossings": [SUMSKAS],
        "sides": ["LT"],
        "status": "closed",
        "reason": {"code": "security", "text": "A test closes it"},
        "citations": [citation()],
        **fields,
    }


def crossing(crossing_id: str = "new-crossing", **fields: object) -> dict[str, object]:
    """Return a body of `POST /v1/crossings` with two car lanes, changed by ``fields``."""
    return {
        "id": crossing_id,
        "sides": ["BY", "LT"],
        "mode": "road",
        "traffic": ["car"],
        "names": [{"lang": "lt", "side": "LT", "name": "Nauja"}],
        "citations": [citation()],
        **fields,
    }


def citation(**fields: object) -> dict[str, object]:
    return {
        "source": {"title": "Told by a test", "publisher": "Tests"},
        "locator": "line 1",
        "basis": "stated",
        **fields,
    }


def problem(response: httpx2.Response, status: int, slug: str, *, root: str = "") -> Json:
    """Check that the response is this problem, below ``root``, and return its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    assert body["type"] == f"{root}/problems/{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


LIMITS = ("max_weight_kg", "max_height_m")


def event_in_log(event: Json) -> Json:
    """Return an event as the log has it: without what is derived, and limits that it has not."""
    derived = {"time_zone", "superseded_by", "retracted_by"}
    return {
        name: value
        for name, value in event.items()
        if name not in derived and not (name in LIMITS and value is None)
    }


def fields_of(body: Json) -> Sequence[str]:
    """Return the fields that an `invalid` problem names."""
    return _of_errors(body, "field")


def messages_of(body: Json) -> Sequence[str]:
    """Return what an `invalid` problem says of its fields."""
    return _of_errors(body, "message")


def _of_errors(body: Json, key: str) -> Sequence[str]:
    errors = body["errors"]
    assert isinstance(errors, list)
    return [str(error[key]) for error in errors if isinstance(error, dict)]


def whole(document: Json, node: JsonValue) -> JsonValue:
    """Return a part of an OpenAPI document with what it refers to in its place, save schemas'."""
    match node:
        case {"$ref": str(target)} if not target.startswith("#/components/schemas/"):
            return whole(document, referred(document, target))
        case dict():
            return {name: whole(document, part) for name, part in node.items()}
        case list():
            return [whole(document, part) for part in node]
        case _:
            return node


def referred(document: Json, target: str) -> JsonValue:
    """Return what a reference within an OpenAPI document leads to."""
    found: JsonValue = document
    for name in target.removeprefix("#/").split("/"):
        assert isinstance(found, dict)
        found = found[name]
    return found
