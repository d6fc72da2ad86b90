"""What the tests of feeds stand on: two crossings, bodies that work, and readers of the formats."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.embedded.server import Server
from tests.api import Api, citation, crossing, decision
from tests.conftest import EMPTY, Database, clone

Body = dict[str, Any]

HERE, THERE = "here-hier", "there-dort"
"""The first lies between Belarus and Lithuania, the second between Belarus and Poland."""
NOW = datetime.now(UTC).replace(microsecond=0)
HOSTILE = "<b>&amp;\"'</b> ]]> <!-- \x0b\x1b\x7f \ufffe, x; y\\n\r\nШумскас Žąsų 國境 🛂"
"""What breaks XML, HTML and calendars if it is taken as it is."""
WITHDRAWAL: Body = {"reason": {"code": "other", "text": "Told twice"}}
SOURCE = {"title": "A decree", "publisher": "Ministry", "url": "https://example.org/d?a=1&b=2"}


@pytest.fixture(scope="module")
async def template(postgres: Server) -> AsyncIterator[str]:
    """A database with two crossings."""
    with clone(postgres, EMPTY) as found:
        async with found.api(reporter="builder") as api:
            names = [
                {"lang": "be", "side": "BY", "name": "Тут"},
                {"lang": "lt", "side": "LT", "name": "Čia"},
                {"lang": "en", "side": "BY", "name": "Here"},
            ]
            located = {"lat": 54.5, "lon": 25.75, "precision_km": 2.5}
            traffic = ["car", "bus", "truck"]
            details = crossing(HERE, traffic=traffic, names=names, location=located)
            await write(api, "/v1/crossings", details)
            polish = [{"lang": "pl", "side": "PL", "name": "Tam"}]
            await write(api, "/v1/crossings", crossing(THERE, sides=["BY", "PL"], names=polish))
        yield found.name


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with two crossings, changes 1 and 2, and nothing said about them."""
    async with database.api() as api:
        yield api


async def write(api: Api, path: str, body: Mapping[str, object]) -> Body:
    response = await api.post(path, body)
    assert response.status_code == 201, response.text
    told: Body = response.json()
    return told


async def declare(api: Api, **fields: object) -> Body:
    """Declare something of ``HERE``, closed if nothing else is said; return the event."""
    told = await write(api, "/v1/events", decision(**{"crossings": [HERE], **fields}))
    event: Body = told["events"][0]
    return event


async def declare_there(api: Api) -> Body:
    return await declare(api, crossings=[THERE], sides=["PL"])


async def correct(api: Api, event: Body, **fields: object) -> Body:
    return await declare(api, supersedes=[event["id"]], **fields)


async def withdraw(api: Api, event: Body) -> Body:
    told = await write(api, f"/v1/events/{event['id']}/retraction", WITHDRAWAL)
    retraction: Body = told["events"][0]
    return retraction


async def say(api: Api, **fields: object) -> Body:
    """Record a notice about ``HERE`` and return it."""
    body = {
        "kind": "security_measure",
        "issuer": {"country": "LT"},
        "subjects": {"crossings": [HERE]},
        "text": {"en": "Patrols are doubled"},
        "citations": [citation()],
    }
    return await write(api, "/v1/notices", body | fields)


async def tell(api: Api) -> Body:
    """Record an incident and return it."""
    body = {"title": {"en": "A story"}, "summary": {"en": "It begins."}}
    return await write(api, "/v1/incidents", body | {"citations": [citation()]})


def days(number: float) -> str:
    """Return the instant so many days from now, as bodies write it."""
    return (NOW + timedelta(days=number)).isoformat().replace("+00:00", "Z")
