"""Calendars, read by a parser, and held against RFC 5545 line by line."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar

from tests.api import Api, citation, problem
from tests.feeds.conftest import (
    HERE,
    HOSTILE,
    NOW,
    SOURCE,
    THERE,
    Body,
    correct,
    days,
    declare,
    declare_there,
    say,
    withdraw,
)

ALL = "/feeds/closures.ics"
_LINE = re.compile(r"[A-Z0-9-]+(;[A-Z0-9-]+=[^:;,\"]+)*:[^\x00-\x08\x0a-\x1f\x7f]*")


async def read(api: Api, path: str = ALL) -> tuple[Body, list[Body]]:
    """Return the properties of the calendar and of its events, once all is as RFC 5545 has it."""
    response = await api.client.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/calendar; charset=utf-8"
    *lines, last = response.content.split(b"\r\n")
    assert last == b""
    assert all(len(line) <= 75 for line in lines)
    for line in response.text.replace("\r\n ", "").splitlines():
        assert _LINE.fullmatch(line), line
    found = Calendar.from_ical(response.content)
    assert isinstance(found, Calendar)
    assert not any(part.errors for part in found.walk())
    events: list[Body] = [dict(event) for event in found.events]
    for event in events:
        assert {"UID", "DTSTAMP", "DTSTART", "SUMMARY", "LAST-MODIFIED"} <= event.keys()
        if "DTEND" in event:
            assert event["DTEND"].dt > event["DTSTART"].dt
    assert len({event["UID"] for event in events}) == len(events)
    return dict(found), events


async def only(api: Api, path: str = ALL) -> Body:
    _, (event,) = await read(api, path)
    return event


async def test_a_calendar_says_what_it_is_and_when_to_come_again(here: Api) -> None:
    found, _ = await read(here, f"/feeds/crossings/{HERE}.ics")

    assert found["VERSION"] == "2.0"
    assert found["PRODID"] == "-//Crossing Status//Closures//EN"
    assert found["METHOD"] == "PUBLISH"
    assert found["NAME"] == found["X-WR-CALNAME"] == "Closures: Here – Čia"
    assert found["REFRESH-INTERVAL"].dt == timedelta(minutes=15)


async def test_a_planned_closure_is_an_event(here: Api) -> None:
    declared = await declare(
        here,
        effective={"from": days(1), "until": days(2)},
        traffic=["truck", "bus"],
        citations=[citation(source=SOURCE)],
    )

    event = await only(here)

    assert event["UID"] == declared["id"]
    assert event["DTSTART"].dt == NOW + timedelta(days=1)
    assert event["DTEND"].dt == NOW + timedelta(days=2)
    assert event["SEQUENCE"] == 0
    assert event["STATUS"] == "CONFIRMED"
    assert event["TRANSP"] == "TRANSPARENT"
    assert event["SUMMARY"].startswith("Here – Čia: closed for trucks, buses from ")
    assert event["LOCATION"] == "Here – Čia"
    assert event["GEO"].to_ical() == "54.5;25.75"
    assert event["CATEGORIES"].cats == ["closed", "security"]
    assert event["URL"] == f"http://crossings.test/crossings/{HERE}"
    recorded = datetime.fromisoformat(declared["recorded_at"]).replace(microsecond=0)
    assert event["CREATED"].dt == event["LAST-MODIFIED"].dt == event["DTSTAMP"].dt == recorded
    assert event["DTSTART"].dt.tzinfo is not None
    description = event["DESCRIPTION"].splitlines()
    assert (
        "Source: A decree, Ministry, line 1 (stated) https://example.org/d?a=1&b=2" in description
    )
    assert f"Check whether it still applies: http://crossings.test/crossings/{HERE}" in description


async def test_an_end_is_never_invented(here: Api) -> None:
    """An expected end reopens nothing, so it is told in words and is no `DTEND`."""
    await declare(here, effective={"from": days(-400)}, expected_until=days(-300))

    event = await only(here)

    assert "DTEND" not in event
    assert "DURATION" not in event
    assert event["SUMMARY"].endswith("until further notice")
    assert "Expected to end" in event["DESCRIPTION"]
    assert "that does not by itself reopen anything" in event["DESCRIPTION"]


async def test_a_correction_keeps_the_uid_and_counts_on(here: Api) -> None:
    first = await declare(here, effective={"from": days(1), "until": days(2)})
    second = await correct(here, first, effective={"from": days(1), "until": days(3)})
    third = await correct(here, second, effective={"from": days(1), "until": days(4)})

    event = await only(here)

    assert event["UID"] == first["id"]
    assert event["SEQUENCE"] == 2
    assert event["DTEND"].dt == NOW + timedelta(days=4)
    latest = datetime.fromisoformat(third["recorded_at"]).replace(microsecond=0)
    assert event["LAST-MODIFIED"].dt == latest
    assert event["CREATED"].dt <= latest


async def test_the_withdrawal_of_a_correction_cancels_what_it_corrected(here: Api) -> None:
    first = await declare(here, effective={"from": days(1), "until": days(2)})
    second = await correct(here, first, effective={"from": days(1), "until": days(3)})
    await withdraw(here, second)

    event = await only(here)

    assert (event["UID"], event["STATUS"]) == (first["id"], "CANCELLED")
    assert event["SEQUENCE"] == 2


async def test_a_withdrawal_cancels(here: Api) -> None:
    declared = await declare(here)
    await withdraw(here, declared)

    event = await only(here)

    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == (declared["id"], 1, "CANCELLED")


async def test_what_turned_out_to_be_open_is_cancelled(here: Api) -> None:
    """Were it only left out, a calendar that has it would keep it."""
    declared = await declare(here)
    await correct(here, declared, status="open")

    event = await only(here)

    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == (declared["id"], 1, "CANCELLED")


async def test_only_closures_and_restrictions_are_in_it(here: Api) -> None:
    await declare(here, status="open")
    await declare(here, status="restricted", certainty="unconfirmed")
    await say(here)

    event = await only(here)

    assert event["CATEGORIES"].cats[0] == "restricted"
    assert event["STATUS"] == "TENTATIVE"


async def test_a_closure_shorter_than_a_second_has_no_end_before_its_start(here: Api) -> None:
    await declare(
        here,
        effective={"from": "2026-01-01T00:00:00.100000Z", "until": "2026-01-01T00:00:00.200000Z"},
    )

    assert (await only(here))["DTSTART"].dt == datetime(2026, 1, 1, tzinfo=UTC)


async def test_hostile_text_stays_text(here: Api) -> None:
    await declare(here, reason={"code": "other", "text": HOSTILE})

    kept = HOSTILE.replace("\r\n", "\n")
    for lost in "\x0b\x1b\x7f\ufffe":
        kept = kept.replace(lost, "\ufffd")
    assert f"Reason: other: {kept}" in (await only(here))["DESCRIPTION"]


@pytest.mark.parametrize(
    "query",
    [
        f"crossing={HERE}",
        "border=LT-BY",
        "country=LT",
        f"crossing={THERE}&crossing={HERE}&country=LT",
    ],
)
async def test_it_is_narrowed_to_places(here: Api, query: str) -> None:
    declared = await declare(here)
    await declare_there(here)

    assert len((await read(here))[1]) == 2
    assert (await only(here, f"{ALL}?{query}"))["UID"] == declared["id"]
    assert (await only(here, "/feeds/borders/BY-LT.ics"))["UID"] == declared["id"]
    assert (await only(here, f"/feeds/crossings/{HERE}.ics"))["UID"] == declared["id"]


async def test_every_closure_of_the_seeds_is_in_it(seeded_api: Api) -> None:
    _, found = await read(seeded_api)

    chains = set()
    following = "/v1/events?limit=200&kind=declaration"
    while following:
        page = (await seeded_api.client.get(following)).json()
        chains |= {
            one["id"]
            for one in page["items"]
            if one["status"] != "open" and one["supersedes"] is None
        }
        following = page["next"]
    assert len(chains) > 20
    assert {event["UID"] for event in found} == chains


async def test_what_has_not_changed_is_not_sent_again(here: Api) -> None:
    path = f"/feeds/crossings/{HERE}.ics"
    await declare(here)
    first = await here.client.get(path)
    tag = {"If-None-Match": first.headers["etag"]}
    again = await here.client.get(path, headers=tag)
    await declare_there(here)
    elsewhere = await here.client.get(path, headers=tag)
    await declare(here)
    news = await here.client.get(path, headers=tag)

    assert [one.status_code for one in (first, again, elsewhere, news)] == [200, 304, 304, 200]
    assert again.content == b""
    head = await here.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == news.headers["etag"]


async def test_what_is_not_there_is_a_problem(seeded_api: Api) -> None:
    problem(await seeded_api.get("/feeds/crossings/nowhere.ics"), 404, "crossing-not-found")
    problem(await seeded_api.get("/feeds/borders/DE-FR.ics"), 404, "border-not-found")
    problem(await seeded_api.get(ALL, crossing="No Slug"), 422, "invalid")
