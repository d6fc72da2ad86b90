"""Feeds of places leave retired crossings out; their own feeds, and the log as a whole, do not."""

import asyncio
from datetime import UTC, datetime

import feedparser
import pytest
from icalendar import Calendar

from app.status.due import announce_due
from tests.api import Api, citation
from tests.conftest import Database
from tests.feeds.conftest import HERE, THERE, declare, declare_there, say, tell
from tests.marks import full

ATOM, ICS = "/feeds/events.atom", "/feeds/closures.ics"
TIMELINES, EVENTS = "/feeds/timelines.ndjson", "/feeds/events.ndjson"


async def retire(api: Api, name: str = HERE) -> None:
    body = {"retired_at": "2024-03-01T00:00:00Z", "citations": [citation()]}
    assert (await api.patch(f"/v1/crossings/{name}", body)).status_code == 200


async def named(api: Api, path: str) -> set[str]:
    """Return which of the two crossings a feed names by their ids."""
    response = await api.client.get(path)
    assert response.status_code == 200, response.text
    return {name for name in (HERE, THERE) if name in response.text}


async def entries(api: Api, path: str) -> list[feedparser.FeedParserDict]:
    """Return all entries of a feed, read page by page."""
    found: list[feedparser.FeedParserDict] = []
    following: str | None = path
    while following:
        page = feedparser.parse((await api.client.get(following)).content)
        found += page.entries
        following = next((one.href for one in page.feed.links if one.rel == "next"), None)
    return found


@pytest.mark.parametrize("path", [ATOM, ICS, TIMELINES, "/feeds/timelines.csv"])
async def test_it_is_left_out_unless_it_is_asked_for(here: Api, path: str) -> None:
    await declare(here)
    await declare_there(here)
    assert await named(here, path) == {HERE, THERE}
    await retire(here)

    assert await named(here, path) == {THERE}
    assert await named(here, f"{path}?retired=false") == {THERE}
    assert await named(here, f"{path}?retired=true") == {HERE, THERE}


@pytest.mark.parametrize("path", ["/feeds/borders/BY-LT.atom", "/feeds/borders/BY-LT.ics"])
async def test_the_feed_of_its_border_leaves_it_out_too(here: Api, path: str) -> None:
    await declare(here)
    await retire(here)

    assert await named(here, path) == set()
    assert await named(here, f"{path}?retired=true") == {HERE}


@pytest.mark.parametrize(
    "path",
    [
        f"/feeds/crossings/{HERE}.atom",
        f"/feeds/crossings/{HERE}.ics",
        f"{ICS}?crossing={HERE}",
        f"{TIMELINES}?crossing={HERE}",
    ],
)
async def test_who_names_it_is_answered(here: Api, path: str) -> None:
    await declare(here)
    before = (await here.client.get(path)).text
    await retire(here)

    assert (await here.client.get(path)).text.splitlines() == before.splitlines()


async def test_a_story_goes_on_telling_of_it(here: Api) -> None:
    story = await tell(here)
    await declare(here, incident=story["id"])
    await retire(here)

    assert await named(here, f"/feeds/incidents/{story['id']}.atom") == {HERE}


@pytest.mark.parametrize("path", [EVENTS, "/feeds/events.csv"])
async def test_the_export_of_the_log_is_whole(here: Api, path: str) -> None:
    await declare(here)
    before = (await here.client.get(path)).text

    await retire(here)

    assert (await here.client.get(path)).text == before
    assert (await here.client.get(f"{path}?retired=true")).status_code == 422


async def test_an_export_as_it_was_known_stays_what_it_was(here: Api) -> None:
    change = (await declare(here))["change"]
    path = f"{TIMELINES}?known_change={change}"
    before = await here.client.get(path)

    await retire(here)

    again = await here.client.get(path)
    assert (again.content, again.headers["etag"]) == (before.content, before.headers["etag"])


@pytest.mark.parametrize("path", [ICS, TIMELINES, ATOM, "/feeds/crossings.geojson"])
async def test_another_etag_tells_that_it_is_gone(here: Api, path: str) -> None:
    await declare_there(here)
    await declare(here)
    before = (await here.get(path)).headers["etag"]

    await retire(here)

    assert (await here.get(path)).headers["etag"] != before


async def test_a_notice_that_names_it_is_still_told(here: Api) -> None:
    notice = await say(here)
    await retire(here)

    (entry,) = await entries(here, ATOM)

    assert notice["id"] in entry.links[0].href


@full
async def test_no_page_ends_the_feed_before_its_time(here: Api, database: Database) -> None:
    """What comes due of a retired crossing alone is a change of the log, and no entry."""
    for name in (THERE, HERE, HERE):
        at = await here.soon(name, side="BY")
        await declare(here, crossings=[name], sides=["BY"], effective={"from": at.isoformat()})
        await asyncio.sleep((at - datetime.now(UTC)).total_seconds() + 0.05)
        async with database.session() as session:
            assert await announce_due(session)
    whole = await entries(here, f"{ATOM}?retired=true&limit=1")
    assert len(whole) == 6
    await retire(here)

    left = await entries(here, f"{ATOM}?limit=1")

    assert [one.id for one in left] == [one.id for one in whole if "Tam" in one.title]
    assert len(left) == 2


async def test_a_calendar_no_longer_shows_its_closures(here: Api) -> None:
    await declare(here)
    await declare_there(here)
    await retire(here)

    calendar = Calendar.from_ical((await here.get(ICS)).content)

    assert [str(one["LOCATION"]) for one in calendar.walk("VEVENT")] == ["Tam"]
