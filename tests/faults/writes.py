"""Writes of every kind, ready to be sent: what they need is there."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx2
import iso3166

from tests.api import (
    MEDININKAI,
    SUMSKAS,
    TVERECIUS,
    Api,
    Json,
    citation,
    crossing,
    decision,
)
from tests.faults.servers import Write

Prepare = Callable[[Api, str], Awaitable[Write]]

COUNTRIES = itertools.cycle(sorted(iso3166.countries_by_alpha2))
"""So that each notice makes a country come into being, too."""


@dataclass(frozen=True)
class Revision(Write):
    """A request that changes what there is, and makes no new address."""


async def send(api: Api, write: Write) -> httpx2.Response:
    method = api.patch if isinstance(write, Revision) else api.post
    return await method(write.path, write.body, idempotency_key=write.key)


def is_done(write: Write, response: httpx2.Response) -> bool:
    """Ask whether it was acknowledged: with its address, where it made one."""
    new = not isinstance(write, Revision)
    return (response.status_code, "location" in response.headers) == (201 if new else 200, new)


def told(response: httpx2.Response) -> tuple[int, str | None, str, bytes]:
    """Return all that a writer was told."""
    headers = response.headers
    return (
        response.status_code,
        headers.get("location"),
        headers["change-number"],
        response.content,
    )


async def two_crossings(_: Api, key: str) -> Write:
    cited = [citation(), citation(source={"title": f"Second source of {key}"})]
    body = decision(crossings=[SUMSKAS, TVERECIUS], citations=cited)
    return Write(key, "/v1/events", body)


async def correction(api: Api, key: str) -> Write:
    wrong = (await api.declare(crossings=[SUMSKAS, TVERECIUS]))["events"]
    assert isinstance(wrong, list)
    supersedes = [one["id"] for one in wrong if isinstance(one, dict)]
    body = decision(crossings=[SUMSKAS, TVERECIUS], status="open", supersedes=supersedes)
    return Write(key, "/v1/events", body)


async def retraction(api: Api, key: str) -> Write:
    undo = (await api.declare())["undo"]
    assert isinstance(undo, list)
    body = {"reason": {"code": "other"}, "citations": [citation()]}
    return Write(key, str(undo[0]), body)


async def confirmation(_: Api, key: str) -> Write:
    path = f"/v1/crossings/{MEDININKAI}/confirmations"
    return Write(key, path, {"sides": ["LT"], "citations": [citation()]})


async def many_confirmations(_: Api, key: str) -> Write:
    rows = [
        {"crossing": MEDININKAI, "sides": ["LT"]},
        {"crossing": MEDININKAI, "sides": ["LT"], "traffic": ["car"]},
        {"crossing": SUMSKAS, "sides": ["LT"], "citations": [citation()]},
    ]
    shared = [citation(source={"title": f"Round of {key}"})]
    return Write(key, "/v1/confirmations", {"confirmations": rows, "citations": shared})


async def new_crossing(_: Api, key: str) -> Write:
    """Make a border come into being, too."""
    sides = ["EE", "LV"]
    names = [{"lang": "lv", "side": "LV", "name": "Valka"}]
    return Write(
        key, "/v1/crossings", crossing(f"valka-{key.replace('_', '-')}", sides=sides, names=names)
    )


async def source(_: Api, key: str) -> Write:
    return Write(key, "/v1/sources", {"title": f"Source {key}"})


def notice(key: str, **fields: object) -> dict[str, object]:
    """Return a body of `POST /v1/notices` about a country that nobody named before."""
    return {
        "kind": "reaction",
        "issuer": {"country": "LT"},
        "subjects": {"countries": [next(COUNTRIES)], "crossings": [SUMSKAS]},
        "text": {"en": f"Notice {key}"},
        "figures": [{"value": 4500, "unit": "persons"}],
        "citations": [citation(), citation(source={"title": f"Second source of {key}"})],
        **fields,
    }


def incident(key: str) -> dict[str, object]:
    text = {"title": {"en": f"Story {key}"}, "summary": {"en": "It begins."}}
    return {**text, "citations": [citation(), citation(locator="line 2")]}


async def done(api: Api, path: str, body: dict[str, object]) -> Json:
    response = await api.post(path, body)
    assert response.status_code == 201, response.text
    found: Json = response.json()
    return found


async def new_notice(api: Api, key: str) -> Write:
    story = await done(api, "/v1/incidents", incident(key))
    denied = await done(api, "/v1/notices", notice(key))
    return Write(key, "/v1/notices", notice(key, incident=story["id"], contradicts=[denied["id"]]))


async def notice_correction(api: Api, key: str) -> Write:
    wrong = await done(api, "/v1/notices", notice(key))
    return Write(key, "/v1/notices", notice(key, supersedes=wrong["id"]))


async def notice_retraction(api: Api, key: str) -> Write:
    wrong = await done(api, "/v1/notices", notice(key))
    body = {"reason": {"code": "other"}, "citations": [citation()]}
    return Write(key, f"/v1/notices/{wrong['id']}/retraction", body)


async def new_incident(_: Api, key: str) -> Write:
    return Write(key, "/v1/incidents", incident(key))


async def revision(_: Api, key: str) -> Write:
    body = {"aliases": [f"Schumsk {key}"], "citations": [citation()]}
    return Revision(key, f"/v1/crossings/{SUMSKAS}", body)


WRITES: list[Prepare] = [
    two_crossings,
    correction,
    retraction,
    confirmation,
    many_confirmations,
    new_crossing,
    source,
    new_notice,
    notice_correction,
    notice_retraction,
    new_incident,
    revision,
]
