"""What the tests of notices and incidents stand on: three crossings, and bodies that work."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.embedded.server import Server
from tests.api import Api, citation, crossing, problem
from tests.conftest import EMPTY, Database, clone

Body = dict[str, Any]

NOTICES, INCIDENTS, EVENTS, CHANGES = "/v1/notices", "/v1/incidents", "/v1/events", "/v1/changes"
HERE, THERE = "new-crossing", "other-crossing"
AWAY = "far-crossing"
"""The one between Belarus and Poland; the others lie between Belarus and Lithuania."""
NOBODY = "00000000-0000-0000-0000-000000000000"
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
async def template(postgres: Server) -> AsyncIterator[str]:
    """A database with three crossings."""
    with clone(postgres, EMPTY) as found:
        async with found.api(reporter="builder") as api:
            polish = [{"lang": "pl", "side": "PL", "name": "Daleka"}]
            for body in (
                crossing(HERE),
                crossing(THERE),
                crossing(AWAY, sides=["BY", "PL"], names=polish),
            ):
                await write(api, "/v1/crossings", body)
        yield found.name


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with three crossings, changes 1 to 3, and nothing said about them."""
    async with database.api() as api:
        yield api


def days(number: float) -> str:
    """Return the instant so many days from now, as bodies write it."""
    return (NOW + timedelta(days=number)).isoformat().replace("+00:00", "Z")


def notice(**fields: object) -> Body:
    """Return a body of `POST /v1/notices` about ``HERE``, changed by ``fields``."""
    return {
        "kind": "security_measure",
        "issuer": {"country": "LT"},
        "subjects": {"crossings": [HERE]},
        "text": {"en": "Patrols are doubled"},
        "citations": [citation()],
        **fields,
    }


def incident(**fields: object) -> Body:
    """Return a body of `POST /v1/incidents`, changed by ``fields``."""
    return {
        "title": {"en": "A story"},
        "summary": {"en": "It begins."},
        "citations": [citation()],
        **fields,
    }


REASON: Body = {"reason": {"code": "other", "text": "Told twice"}}
"""A body of a retraction."""


async def write(api: Api, path: str, body: Mapping[str, object]) -> Body:
    response = await api.post(path, body)
    assert response.status_code == 201, response.text
    told: Body = response.json()
    return told


async def say(api: Api, **fields: object) -> Body:
    """Record a notice and return the answer's body."""
    return await write(api, NOTICES, notice(**fields))


async def tell(api: Api, **fields: object) -> Body:
    """Record an incident and return the answer's body."""
    return await write(api, INCIDENTS, incident(**fields))


async def retract(api: Api, told: Body) -> Body:
    """Withdraw a notice or an incident where its own answer says how."""
    (address,) = told["undo"]
    return await write(api, address, REASON)


async def texts(api: Api, **parameters: str | int) -> list[str]:
    """Return the English texts of the notices in a list, in alphabetical order."""
    return sorted(each["text"]["en"] for each in await items(api, NOTICES, **parameters))


async def one(api: Api, path: str, told: Body | str) -> Body:
    """Return the notice or incident as it is now."""
    wanted = told if isinstance(told, str) else told["id"]
    response = await api.get(f"{path}/{wanted}")
    assert response.status_code == 200, response.text
    found: Body = response.json()
    return found


async def items(api: Api, path: str, **parameters: str | int) -> list[Body]:
    response = await api.get(path, **parameters)
    assert response.status_code == 200, response.text
    found: list[Body] = response.json()["items"]
    return found


async def newest_change(api: Api) -> int:
    return int((await api.get("/v1/crossings")).headers["change-number"])


async def refused(api: Api, path: str, body: Body, status: int, slug: str) -> Body:
    """Check that a write and its preview are refused alike and leave nothing behind."""
    before = await newest_change(api)
    told: Body = problem(await api.post(path, body), status, slug)
    assert problem(await api.post(path, body, validate_only="true"), status, slug) == told
    assert await newest_change(api) == before
    return told


def recorded(told: Body) -> Body:
    """Return what was answered to a write without what only that answer has."""
    return {name: value for name, value in told.items() if name != "undo"}


def ids(found: list[Body]) -> list[str]:
    return [each["id"] for each in found]


async def write_everything(api: Api) -> dict[str, Body]:
    """Write one of each kind of change, from number 4 on, and return the answers by name."""
    source = {"source": (await write(api, "/v1/sources", {"title": "A source"}))["id"]}
    story = await tell(api, citations=[source])
    claim = await say(
        api,
        subjects={"crossings": [HERE]},
        figures=[{"value": 4500, "unit": "persons"}, {"value": 1e-7, "unit": "share"}],
        precision="unknown",
        incident=story["id"],
        citations=[citation(), citation(), source],
    )
    denial = await say(api, subjects={"countries": ["US"]}, contradicts=[claim["id"]])
    correction = await say(api, supersedes=claim["id"], subjects={"borders": ["BY-PL"]})
    body = {**REASON, "citations": [citation(), source]}
    withdrawn = await write(api, denial["undo"][0], body)
    decided = await api.declare(crossings=[HERE, AWAY], sides=["BY"], incident=story["id"])
    retold = await tell(api, supersedes=story["id"], title={"lt": "Istorija", "en": "A story"})
    gone = await retract(api, await tell(api))
    return {
        "story": story,
        "claim": claim,
        "denial": denial,
        "correction": correction,
        "withdrawn": withdrawn,
        "decided": decided,
        "retold": retold,
        "gone": gone,
    }
