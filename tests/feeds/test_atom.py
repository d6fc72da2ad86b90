"""Atom, read by a parser that is not ours."""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import feedparser
import pytest

from app.feeds import words
from app.status.due import announce_due
from tests.api import Api, citation, fields_of, problem
from tests.conftest import Database
from tests.feeds.conftest import (
    HERE,
    HOSTILE,
    SOURCE,
    THERE,
    WITHDRAWAL,
    correct,
    days,
    declare,
    declare_there,
    say,
    tell,
    withdraw,
    write,
)
from tests.marks import full

ALL = "/feeds/events.atom"


async def read(api: Api, path: str = ALL) -> feedparser.FeedParserDict:
    response = await api.client.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/atom+xml"
    parsed = feedparser.parse(response.content, sanitize_html=False)
    assert not parsed.bozo, parsed
    return parsed


async def titles(api: Api, path: str = ALL) -> list[str]:
    return [entry.title for entry in (await read(api, path)).entries]


def hrefs(one: feedparser.FeedParserDict, rel: str) -> list[str]:
    return [link.href for link in one.links if link.rel == rel]


class Text(HTMLParser):
    """The text of HTML, and the elements it is in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.elements = "", set[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, _: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_an_entry_says_where_what_when_and_who_says_so(here: Api) -> None:
    event = await declare(
        here,
        traffic=["car"],
        to="LT",
        effective={"from": "2023-08-17T21:00:00Z"},
        expected_until="2023-09-01T00:00:00Z",
        precision="day",
        certainty="reported",
        announced_at="2023-08-16T09:00:00Z",
        exceptions=[{"code": "own_citizens"}],
        citations=[citation(source=SOURCE, locator="point 2", basis="inferred")],
    )

    entry = (await read(here)).entries[0]

    # A name is in English, or else in Latin letters.
    assert entry.title == "Here – Čia: closed for cars entering Lithuania from 18 Aug 2023"
    assert entry.id == f"urn:uuid:{event['id']}"
    assert entry.author == "reporter"
    assert entry.updated == event["recorded_at"]
    assert entry.published == event["announced_at"]
    assert {tag.term for tag in entry.tags} == {"closed", "security"}
    assert hrefs(entry, "alternate") == [
        f"http://crossings.test/v1/events/{event['id']}",
        f"http://crossings.test/crossings/{HERE}",
    ]
    assert hrefs(entry, "via") == [SOURCE["url"]]
    html = entry.content[0].value
    assert '<a href="https://example.org/d?a=1&amp;b=2">' in html
    for said in (
        "According to Lithuania. Recorded by reporter.",
        "Status: closed from 18 Aug 2023 (reported).",
        "The start is known to the day.",
        "Expected to last until 1 Sept 2023, 03:00 (Vilnius).",
        "That does not reopen the crossing by itself.",
        "until further notice",
        "Applies to: cars entering Lithuania.",
        "Reason: security: A test closes it",
        "Exception: citizens of the country that decides.",
        "Announced on 16 Aug 2023, 12:00 (Vilnius).",
        "A decree, Ministry, point 2 (inferred)",
    ):
        assert said in Text(html).text


DAYS = {"from": "2026-12-24T00:00:00+02:00", "until": "2026-12-27T00:00:00+02:00"}
"""The 24th to the 26th of December, as local days of Lithuania."""


async def test_a_closure_known_to_the_day_is_told_by_local_dates(here: Api) -> None:
    """And not from 2026-12-23 22:00 UTC. The last day is the one before it ends."""
    await declare(here, effective=DAYS, precision="day")

    entry = (await read(here)).entries[0]

    assert entry.title == "Here – Čia: closed from 24 Dec 2026 to 26 Dec 2026"
    assert "from 24 Dec 2026 to 26 Dec 2026 (confirmed)" in entry.content[0].value
    assert "2026-12-2" not in entry.content[0].value


async def test_of_two_sides_the_one_that_has_midnight_gives_the_date(here: Api) -> None:
    """In winter it is 01:00 in Belarus when a day begins in Lithuania."""
    lithuanian = await declare(here, sides=["BY", "LT"], effective=DAYS, precision="day")
    belarusian = {"from": "2026-12-24T00:00:00+03:00"}
    other = await declare(here, sides=["BY", "LT"], effective=belarusian, precision="day")

    assert lithuanian["time_zone"] == "Europe/Vilnius"
    assert other["time_zone"] == "Europe/Minsk"
    assert all("from 24 Dec 2026" in title for title in await titles(here))


async def test_a_notice_known_to_the_month_is_told_by_the_month_of_its_place(here: Api) -> None:
    """June began in Moscow, though not yet in Kaliningrad, which comes first among the zones."""
    june = {"from": "2023-06-01T00:00:00+03:00", "until": "2023-07-01T00:00:00+03:00"}
    issuer, subjects = {"name": "An author"}, {"countries": ["RU"]}
    await say(here, issuer=issuer, subjects=subjects, effective=june, precision="month")

    text = Text((await read(here)).entries[0].content[0].value).text

    assert "It applies from June 2023." in text
    assert "It applies until June 2023." in text


async def test_what_was_announced_long_ago_was_published_then(here: Api) -> None:
    announced = {"announced_at": "2023-08-16T09:00:00Z"}
    event = await declare(here, **announced)
    notice = await say(here, **announced)

    entries = (await read(here)).entries

    assert [entry.published for entry in entries] == ["2023-08-16T09:00:00Z"] * 2
    assert [entry.updated for entry in entries] == [notice["recorded_at"], event["recorded_at"]]


async def test_a_feed_says_what_it_is_and_where_it_is(here: Api) -> None:
    await declare(here)

    found = await read(here, "/feeds/borders/LT-BY.atom")

    assert found.feed.title == "Belarus – Lithuania border"
    assert found.feed.id == (await read(here, "/feeds/borders/BY-LT.atom")).feed.id
    assert found.feed.id != (await read(here)).feed.id
    assert found.feed.updated == found.entries[0].updated
    assert hrefs(found.feed, "self") == ["http://crossings.test/feeds/borders/LT-BY.atom"]
    assert hrefs(found.feed, "alternate") == ["http://crossings.test/v1/borders/BY-LT"]


async def test_a_correction_renews_the_entry_under_its_id(here: Api) -> None:
    event = await declare(here)
    await declare_there(here)
    first = (await read(here)).entries[1]
    later = await correct(here, event, status="restricted")
    latest = await correct(here, later, status="open")

    found = await read(here)

    assert [entry.title.partition(" from")[0] for entry in found.entries] == [
        "Here – Čia: open",
        "Tam: closed",
    ]
    entry = found.entries[0]
    assert entry.id == first.id == f"urn:uuid:{event['id']}"
    assert entry.published == first.published == event["recorded_at"]
    assert first.updated < entry.updated == latest["recorded_at"]
    assert "corrected" in {tag.term for tag in entry.tags}
    assert "Corrected 2 times" in entry.content[0].value
    assert hrefs(entry, "alternate")[0].endswith(f"/v1/events/{latest['id']}")


async def test_a_withdrawal_renews_the_entry_and_says_so(here: Api) -> None:
    event = await declare(here)
    await declare_there(here)
    retraction = await withdraw(here, event)

    entry = (await read(here)).entries[0]

    assert entry.id == f"urn:uuid:{event['id']}"
    assert entry.title.startswith("Withdrawn: Here – Čia: closed")
    assert entry.updated == retraction["recorded_at"]
    assert "withdrawn" in {tag.term for tag in entry.tags}
    assert "should not have been recorded. Told twice</p>" in entry.content[0].value


async def test_a_confirmation_is_an_entry(here: Api) -> None:
    body = {"sides": ["LT"], "confirmed_at": days(-1), "citations": [citation()]}
    await write(here, f"/v1/crossings/{HERE}/confirmations", body)

    assert (await titles(here))[0].startswith("Here – Čia: confirmed by Lithuania on ")


async def test_a_rumour_is_called_one(here: Api) -> None:
    await declare(here, certainty="unconfirmed")

    assert (await titles(here))[0].endswith("(unconfirmed)")


async def test_notices_are_entries_where_they_concern_and_follow_their_corrections(
    here: Api,
) -> None:
    first = await say(here, text={"en": "Patrols are doubled", "lt": "Patruliai padvigubinti"})
    second = await say(here, text={"en": "Tripled <b>"}, supersedes=first["id"])
    other = await say(here, subjects={"borders": ["BY-PL"]}, text={"pl": "Wzmożone kontrole"})

    assert await titles(here) == [
        "Security measure, Lithuania: Wzmożone kontrole (in Polish)",
        "Security measure, Lithuania: Tripled <b>",
    ]
    entry = (await read(here, f"/feeds/crossings/{HERE}.atom")).entries[0]
    assert entry.id == f"urn:uuid:{first['id']}"
    assert entry.updated == second["recorded_at"]
    assert Text(entry.content[0].value).text.startswith("Tripled <b>According to Lithuania")

    await write(here, f"/v1/notices/{other['id']}/retraction", WITHDRAWAL)

    (entry,) = (await read(here, f"/feeds/crossings/{THERE}.atom")).entries
    assert entry.title.startswith("Withdrawn: ")
    assert entry.id == f"urn:uuid:{other['id']}"
    assert '<p lang="pl">Wzmożone kontrole</p>' in entry.content[0].value


async def test_an_incident_goes_on_with_what_it_was_corrected_to(here: Api) -> None:
    """Also where the correction does not name it, or its followers would never hear of that."""
    incident = (await tell(here))["id"]
    event = await declare(here, incident=incident)
    await declare(here)
    notice = await say(here, incident=incident)
    await correct(here, event, status="open")
    await say(here, supersedes=notice["id"], text={"en": "Patrols are halved"})

    found = await read(here, f"/feeds/incidents/{incident}.atom")

    assert found.feed.title == "A story"
    assert [entry.id for entry in found.entries] == [
        f"urn:uuid:{notice['id']}",
        f"urn:uuid:{event['id']}",
    ]
    assert "halved" in found.entries[0].title
    assert ": open from" in found.entries[1].title


async def test_each_place_has_its_own(here: Api) -> None:
    await declare(here)
    await declare_there(here)

    for path in (f"crossings/{HERE}", "borders/BY-LT"):
        (title,) = await titles(here, f"/feeds/{path}.atom")
        assert title.startswith("Here – Čia")


async def test_what_came_by_time_alone_is_an_entry(here: Api, database: Database) -> None:
    """A planned closure began: each crossing has an entry of its own, always the same one."""
    at = await here.soon(HERE, THERE, side="BY")
    plan = {"from": at.isoformat()}
    await declare(here, crossings=[HERE, THERE], sides=["BY"], traffic=["car"], effective=plan)
    await asyncio.sleep((at - datetime.now(UTC)).total_seconds() + 0.05)
    async with database.session() as session:
        assert await announce_due(session)
    await declare(here)

    newest, began, planned = (await read(here, f"/feeds/crossings/{HERE}.atom")).entries

    assert began.title == f"Here – Čia: unknown from {_minsk(at)} (only some lanes changed)"
    assert {tag.term for tag in began.tags} == {"unknown", "effective"}
    assert "Closed: cars entering Lithuania (was unknown)" in began.content[0].value
    assert began.author == "crossing-status"
    (alternate, page) = hrefs(began, "alternate")
    (change,) = (await here.client.get(alternate)).json()["items"]
    assert (change["kind"], change["recorded_at"]) == ("effective", began.updated)
    assert page == f"http://crossings.test/crossings/{HERE}"
    there, planned_there = (await read(here, "/feeds/borders/BY-PL.atom")).entries
    assert there.title == f"Tam: closed from {_minsk(at)} (was unknown)"
    ids = {one.id for one in (newest, began, planned, there, planned_there)}
    assert len(ids) == 5
    assert set(await _pages(here, f"{ALL}?limit=1")) == ids


def _minsk(at: datetime) -> str:
    """Return an instant by the clock of Belarus, whose checkpoints are named first."""
    return words.instant(at, ZoneInfo("Europe/Minsk"))


async def _pages(api: Api, path: str) -> list[str]:
    """Return the ids of all entries, read page by page."""
    found: list[str] = []
    following: str | None = path
    while following:
        page = await read(api, following)
        found += [entry.id for entry in page.entries]
        following = next(iter(hrefs(page.feed, "next")), None)
    return found


@full
@pytest.mark.parametrize("path", ["events", "borders/BY-LT", "crossings/sumskas-losa"])
async def test_older_pages_are_linked_and_miss_nothing(seeded_api: Api, path: str) -> None:
    """RFC 5005: `next` leads to the older ones, until there are none."""
    whole = await _pages(seeded_api, f"/feeds/{path}.atom?limit=200")
    paged = await _pages(seeded_api, f"/feeds/{path}.atom?limit=7")

    assert len(whole) > 14
    assert len(set(whole)) == len(whole)
    assert paged == whole


async def test_the_log_is_all_there(seeded_api: Api) -> None:
    """Every event and notice of the seeds that begins a chain has its entry."""
    wanted: set[str] = set()
    for name in ("events", "notices"):
        following = f"/v1/{name}?limit=200"
        while following:
            page = (await seeded_api.client.get(following)).json()
            wanted |= {
                f"urn:uuid:{one['id']}"
                for one in page["items"]
                if one["supersedes"] is None and not one.get("retracts")
            }
            following = page["next"]

    assert set(await _pages(seeded_api, f"{ALL}?limit=200")) == wanted


async def test_hostile_text_stays_text(here: Api) -> None:
    await declare(here, reason={"code": "other", "text": HOSTILE})
    await say(here, text={"en": HOSTILE}, issuer={"name": HOSTILE})

    notice, event = (await read(here)).entries

    kept = HOSTILE.replace("\r\n", "\n")
    for lost in "\x0b\x1b\x7f\ufffe":
        kept = kept.replace(lost, "\ufffd")
    for entry in (notice, event):
        content = Text(entry.content[0].value)
        assert kept in content.text
        assert content.elements == {"p", "ul", "li"}
    assert notice.title.startswith(f"Security measure, {kept.partition(chr(10))[0]}")


async def test_the_newest_fifty_come_first(seeded_api: Api) -> None:
    found = await read(seeded_api)

    updated = [entry.updated for entry in found.entries]
    assert len(updated) == 50
    assert updated == sorted(updated, reverse=True)


async def test_what_has_not_changed_is_not_sent_again(here: Api) -> None:
    path = f"/feeds/crossings/{HERE}.atom"
    empty = await here.client.get(path)
    event = await declare(here)
    first = await here.client.get(path)
    tag = {"If-None-Match": first.headers["etag"]}
    again = await here.client.get(path, headers=tag)
    await declare_there(here)
    elsewhere = await here.client.get(path, headers=tag)
    await withdraw(here, event)
    news = await here.client.get(path, headers=tag)

    assert feedparser.parse(empty.content).entries == []
    assert [one.status_code for one in (first, again, elsewhere, news)] == [200, 304, 304, 200]
    assert first.headers["cache-control"].startswith("public, max-age=2")
    recorded = datetime.fromisoformat(event["recorded_at"])
    assert parsedate_to_datetime(first.headers["last-modified"]) == recorded.replace(microsecond=0)
    head = await here.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == news.headers["etag"]


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("crossings/nowhere", "crossing-not-found"),
        ("borders/DE-FR", "border-not-found"),
        ("incidents/00000000-0000-0000-0000-000000000000", "incident-not-found"),
    ],
)
async def test_what_is_not_there_is_a_problem(seeded_api: Api, path: str, slug: str) -> None:
    problem(await seeded_api.get(f"/feeds/{path}.atom"), 404, slug)


@pytest.mark.parametrize(
    ("query", "field"),
    [("colour=red", "colour"), ("limit=0", "limit"), ("cursor=x", "cursor")],
)
async def test_a_parameter_it_does_not_have_is_refused(
    seeded_api: Api, query: str, field: str
) -> None:
    body = problem(await seeded_api.get(f"{ALL}?{query}"), 422, "invalid")

    assert fields_of(body) == [field]
