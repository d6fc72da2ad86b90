"""Calendars, read by a parser, and held against RFC 5545 line by line."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from icalendar import Calendar

from tests.api import Api, citation, crossing, fields_of, problem
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
    write,
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
    response = await here.client.get(f"/feeds/crossings/{HERE}.ics")
    assert response.headers["content-language"] == "en"
    assert response.headers["vary"] == "Accept-Language, Accept-Encoding"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "Closures: All crossings"),
        (f"crossing={HERE}&crossing={THERE}", "Closures: Here – Čia, Tam"),
        ("border=LT-BY", "Closures: Belarus – Lithuania"),
        ("country=LT&country=PL", "Closures: Lithuania, Poland"),
        (f"crossing={THERE}&country=PL", "Closures: Tam · Poland"),
        ("country=PL&lang=pl", "Zamknięcia: Polska"),
        ("country=PL&lang=lt", "Uždarymai: Lenkija"),
        ("country=PL&lang=ru", "Закрытия: Польша"),
        ("country=PL&lang=be", "Закрыцці: Польшча"),
        ("country=PL&lang=lv", "Slēgšana: Polija"),
        ("country=PL&lang=uk", "Закриття: Польща"),
    ],
)
async def test_a_calendar_is_called_by_what_it_was_narrowed_to(
    here: Api, query: str, name: str
) -> None:
    """In the language asked for, so that two of them can be told apart."""
    found, _ = await read(here, f"{ALL}?{query}")

    assert found["NAME"] == found["X-WR-CALNAME"] == name


async def test_a_calendar_of_many_places_is_called_by_the_first_and_how_many_more(
    here: Api,
) -> None:
    far = crossing("far", sides=["LV", "RU"], names=[{"lang": "lv", "side": "LV", "name": "Tālu"}])
    await write(here, "/v1/crossings", far)
    places = "&".join(f"country={code}" for code in ("LT", "PL", "LV", "RU", "BY"))

    found, _ = await read(here, f"{ALL}?{places}")

    assert found["NAME"] == "Closures: Lithuania, Poland, Latvia (+2)"


async def test_a_closure_is_told_in_the_language_asked_for_and_its_time_by_the_calendar(
    here: Api,
) -> None:
    effective = {"from": "2026-12-24T18:00:00+02:00", "until": "2026-12-26T18:00:00+02:00"}
    declared = await declare(here, effective=effective, traffic=["truck"], to="BY")

    chosen = await here.client.get(f"{ALL}?lang=lt")
    preferred = await here.client.get(ALL, headers={"Accept-Language": "lt"})

    assert chosen.text == preferred.text
    assert chosen.headers["content-language"] == preferred.headers["content-language"] == "lt"
    event = await only(here, f"{ALL}?lang=lt")
    assert event["SUMMARY"] == "Here – Čia: uždaryta (krovininiai automobiliai, į Baltarusiją)"
    assert "iki: 2026-12-26, 18:00 (Vilnius)" in event["DESCRIPTION"]
    assert event["SUMMARY"].params["LANGUAGE"] == event["DESCRIPTION"].params["LANGUAGE"] == "lt"
    await withdraw(here, declared)
    assert (await only(here))["SUMMARY"] == "Withdrawn: Here – Čia: closed (trucks, to Belarus)"


async def test_a_reason_is_marked_where_it_is_not_in_the_language_asked_for(here: Api) -> None:
    await declare(here, reason={"code": "security", "text": "Drones"})

    assert "drošība: Drones (angļu valodā)" in (await only(here, f"{ALL}?lang=lv"))["DESCRIPTION"]
    assert "security: Drones\n" in (await only(here, f"{ALL}?lang=en"))["DESCRIPTION"]


async def test_a_language_that_there_is_none_of_is_refused(here: Api) -> None:
    refusal = problem(await here.get(ALL, lang="xx"), 422, "invalid")

    assert fields_of(refusal) == ["lang"]


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
    assert event["SUMMARY"] == "Here – Čia: closed (trucks and buses)"
    assert event["LOCATION"] == "Here – Čia"
    assert event["GEO"].to_ical() == "54.5;25.75"
    assert event["CATEGORIES"].cats == ["closed", "security"]
    assert event["URL"] == f"http://crossings.test/crossings/{HERE}"
    recorded = datetime.fromisoformat(declared["recorded_at"]).replace(microsecond=0)
    assert event["CREATED"].dt == event["LAST-MODIFIED"].dt == event["DTSTAMP"].dt == recorded
    assert event["DTSTART"].dt.tzinfo is not None
    description = event["DESCRIPTION"].splitlines()
    source = "A decree, Ministry, line 1 (stated by the source) https://example.org/d?a=1&b=2"
    assert f"Source: {source}" in description
    assert f"Check whether it still applies: http://crossings.test/crossings/{HERE}" in description


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2026-12-27T00:00:00+02:00", date(2026, 12, 27)),
        # The precision is that of the start: an end within a day takes that day in.
        ("2026-12-26T18:00:00+02:00", date(2026, 12, 27)),
        ("2026-12-24T18:00:00+02:00", date(2026, 12, 25)),
        (None, None),
    ],
)
async def test_a_closure_known_to_the_day_is_on_its_local_days(
    here: Api, until: str | None, end: date | None
) -> None:
    """And does not begin on the day before, at 22:00 UTC."""
    effective = {"from": "2026-12-24T00:00:00+02:00", "until": until}
    await declare(here, effective=effective, precision="day")

    event = await only(here)

    assert event["DTSTART"].to_ical() == b"20261224"
    assert event["DTSTART"].params["VALUE"] == "DATE"
    assert (event["DTEND"].dt if "DTEND" in event else None) == end


async def test_an_end_is_never_invented(here: Api) -> None:
    """An expected end reopens nothing, so it is told in words and is no `DTEND`."""
    await declare(here, effective={"from": days(-400)}, expected_until=days(-300))

    event = await only(here)

    assert "DTEND" not in event
    assert "DURATION" not in event
    assert event["SUMMARY"].endswith("until further notice")
    assert "expected end:" in event["DESCRIPTION"]
    assert "an expected end does not reopen it by itself" in event["DESCRIPTION"]


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
    assert f"Reason: {kept}" in (await only(here))["DESCRIPTION"]


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
