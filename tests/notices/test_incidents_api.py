"""An incident over HTTP: recorded, corrected, withdrawn, and found by what joined it."""

from uuid import UUID

from tests.api import Api, citation, decision, fields_of, problem
from tests.notices.conftest import (
    AWAY,
    EVENTS,
    HERE,
    INCIDENTS,
    NOBODY,
    NOTICES,
    REASON,
    THERE,
    Body,
    ids,
    incident,
    items,
    notice,
    one,
    recorded,
    refused,
    retract,
    say,
    tell,
    write,
)

NOTHING_YET: Body = {"timeline": {"items": [], "next": None}}


# Recording


async def test_an_incident_is_told_back_and_found_as_it_was_recorded(here: Api) -> None:
    source = await write(here, "/v1/sources", {"title": "Known before"})
    body = {
        "title": {"en": "Two crossings close", "lt": "Užsidaro du punktai"},
        "summary": {"en": "One closes.\nThen another.", "be-tarask": "Зачыняюць"},
        "supersedes": None,
        "citations": [{"source": source["id"], "locator": "paragraph 1", "basis": "inferred"}],
    }
    response = await here.post(INCIDENTS, body)
    told = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == f"{INCIDENTS}/{told['id']}"
    assert response.headers["change-number"] == "5"
    assert told == {
        **body,
        "id": told["id"],
        "change": 5,
        "recorded_at": told["recorded_at"],
        "recorded_by": "reporter",
        "superseded_by": None,
        "retraction": None,
        "undo": [f"{INCIDENTS}/{told['id']}/retraction"],
    }
    assert UUID(told["id"]).version == 7
    found = await here.get(response.headers["location"])
    assert found.json() == {**recorded(told), **NOTHING_YET}
    assert found.headers["change-number"] == "5"
    assert (await here.get(INCIDENTS)).json() == {"items": [recorded(told)], "next": None}


async def test_a_title_a_summary_and_a_citation_are_enough(here: Api) -> None:
    told = await tell(here, citations=[{"source": {"title": "A bulletin"}}])
    (source,) = await items(here, "/v1/sources", limit=1)
    assert told["supersedes"] is None
    assert told["citations"] == [{"source": source["id"], "locator": None, "basis": "stated"}]


async def test_an_incident_that_nobody_recorded_is_not_found(here: Api) -> None:
    said = await say(here)
    for missing in (NOBODY, said["id"]):
        problem(await here.get(f"{INCIDENTS}/{missing}"), 404, "incident-not-found")
        response = await here.post(f"{INCIDENTS}/{missing}/retraction", REASON)
        problem(response, 404, "incident-not-found")


# Corrections and withdrawals


async def test_a_correction_is_an_incident_of_its_own_and_the_old_one_names_it(here: Api) -> None:
    old = await tell(here)
    new = await tell(here, title={"en": "Another title"}, supersedes=old["id"])

    assert new["id"] != old["id"]
    assert (new["supersedes"], new["superseded_by"], new["undo"]) == (old["id"], None, [])
    assert await items(here, INCIDENTS) == [
        recorded(new),
        {**recorded(old), "superseded_by": new["id"]},
    ]


async def test_an_incident_is_corrected_or_withdrawn_once(here: Api) -> None:
    corrected, withdrawn = await tell(here), await tell(here)
    new = await tell(here, supersedes=corrected["id"])
    await retract(here, withdrawn)
    for gone in (corrected, withdrawn):
        await refused(here, INCIDENTS, incident(supersedes=gone["id"]), 409, "superseded")
        await refused(here, gone["undo"][0], REASON, 409, "superseded")
    again = await tell(here, supersedes=new["id"])
    assert (await one(here, INCIDENTS, new))["superseded_by"] == again["id"]


async def test_an_incident_that_was_corrected_can_be_withdrawn_with_all_its_versions(
    here: Api,
) -> None:
    old = await tell(here)
    new = await tell(here, supersedes=old["id"])

    withdrawn = await write(here, f"{INCIDENTS}/{new['id']}/retraction", REASON)

    assert withdrawn["retraction"]["reason"]["code"] == REASON["reason"]["code"]
    await refused(here, old["undo"][0], REASON, 409, "superseded")
    for version in (old, new):
        body = notice(incident=version["id"])
        assert fields_of(await refused(here, NOTICES, body, 422, "invalid")) == ["incident"]
        body = decision(crossings=[HERE], incident=version["id"])
        assert fields_of(await refused(here, "/v1/events", body, 422, "invalid")) == ["incident"]


async def test_a_withdrawn_incident_stays_and_says_why_it_was_withdrawn(here: Api) -> None:
    source = (await write(here, "/v1/sources", {"title": "Known before"}))["id"]
    told = await tell(here)
    body = {
        "reason": {"code": "technical", "text": "Entered twice"},
        "citations": [{"source": source, "locator": None, "basis": "stated"}],
    }
    response = await here.post(told["undo"][0], body)
    answered = response.json()
    retraction = answered["retraction"]

    assert response.status_code == 201
    assert response.headers["location"] == f"{INCIDENTS}/{told['id']}"
    assert answered == {**told, "undo": [], "retraction": retraction}
    assert retraction == {
        **body,
        "id": retraction["id"],
        "change": told["change"] + 1,
        "recorded_at": retraction["recorded_at"],
        "recorded_by": "reporter",
    }
    assert await one(here, INCIDENTS, told) == {**recorded(answered), **NOTHING_YET}
    assert await items(here, INCIDENTS) == [recorded(answered)]


async def test_what_had_joined_a_withdrawn_incident_stays(here: Api) -> None:
    story = await tell(here)
    said = await say(here, incident=story["id"])
    decided: Body = await here.declare(crossings=[HERE], incident=story["id"])
    await retract(here, story)

    found = await one(here, INCIDENTS, story)
    assert [each["notice"] and each["notice"]["id"] for each in found["timeline"]["items"]] == [
        said["id"],
        None,
    ]
    assert await one(here, NOTICES, said) == recorded(said)
    (event,) = decided["events"]
    assert await one(here, EVENTS, event) == event
    assert (await here.status(HERE))["status"] == "closed"


# Joining


async def test_a_decision_joins_an_incident_by_naming_it(here: Api) -> None:
    story = await tell(here)
    told: Body = await here.declare(crossings=[HERE, THERE], incident=story["id"])
    assert [each["incident"] for each in told["events"]] == [story["id"]] * 2
    for event in told["events"]:
        assert await one(here, EVENTS, event) == event
    status = await here.status(HERE)
    assert status["decided_by"] == [each for each in told["events"] if each["crossing"] == HERE]
    (change,) = await items(here, "/v1/changes", after=told["change"] - 1)
    assert change["subjects"]["incidents"] == [story["id"]]
    assert [each["incident"] for each in change["payload"]["events"]] == [story["id"]] * 2


async def test_confirmations_and_withdrawals_of_events_belong_to_no_incident(here: Api) -> None:
    story = await tell(here)
    told: Body = await here.declare(crossings=[HERE], incident=story["id"])
    confirmation = {"sides": ["LT"], "citations": [citation()]}
    for path, body in (
        (f"/v1/crossings/{HERE}/confirmations", confirmation),
        (told["undo"][0], REASON),
    ):
        (event,) = (await write(here, path, body))["events"]
        assert event["incident"] is None


async def test_nothing_joins_what_is_no_incident_or_was_withdrawn(here: Api) -> None:
    withdrawn, said = await tell(here), await say(here)
    await retract(here, withdrawn)
    for target in (NOBODY, withdrawn["id"], said["id"]):
        for path, body in (
            (NOTICES, notice(incident=target)),
            (EVENTS, decision(crossings=[HERE], incident=target)),
        ):
            told = await refused(here, path, body, 422, "invalid")
            assert fields_of(told) == ["incident"]


# Lists


async def test_incidents_come_newest_first_in_pages(here: Api) -> None:
    told = [await tell(here, title={"en": f"Story {number}"}) for number in range(5)]
    found: list[list[str]] = []
    address: str | None = f"{INCIDENTS}?limit=2"
    while address is not None:
        response = await here.client.get(address)
        body = response.json()
        found.append(ids(body["items"]))
        # What is told meanwhile shifts nothing.
        await tell(here)
        address = body["next"]
        if address is not None:
            assert address.startswith("http://crossings.test/v1/incidents?")
            assert response.headers["link"] == f'<{address}>; rel="next"'

    first, second, third, fourth, fifth = ids(told)
    assert found == [[fifth, fourth], [third, second], [first]]


async def test_an_incident_concerns_the_places_of_what_joined_it(here: Api) -> None:
    """A decision's crossings, their border and its countries; a notice's as in its own list."""
    await tell(here)
    decided, said = await tell(here), await tell(here)
    await here.declare(crossings=[HERE], incident=decided["id"])
    await say(here, subjects={"borders": ["BY-PL"]}, incident=said["id"])
    names = {decided["id"]: "decided", said["id"]: "said"}

    async def about(**asked: str) -> list[str]:
        return sorted(names[each] for each in ids(await items(here, INCIDENTS, **asked)))

    assert [await about(crossing=name) for name in (HERE, THERE, AWAY)] == [
        ["decided"],
        [],
        ["said"],
    ]
    assert [await about(border=name) for name in ("BY-LT", "LT-BY", "BY-PL")] == [
        ["decided"],
        ["decided"],
        ["said"],
    ]
    assert [await about(country=name) for name in ("BY", "LT", "PL")] == [
        ["decided", "said"],
        ["decided"],
        ["said"],
    ]
    assert await about(country="LT", border="BY-LT", crossing=HERE) == ["decided"]
    assert await about(country="PL", crossing=HERE) == []


async def test_a_corrected_incident_concerns_what_joined_it_before_and_after(here: Api) -> None:
    old = await tell(here)
    await here.declare(crossings=[HERE], incident=old["id"])
    new = await tell(here, supersedes=old["id"])
    await say(here, subjects={"crossings": [AWAY]}, incident=new["id"])
    for place in (HERE, AWAY):
        assert ids(await items(here, INCIDENTS, crossing=place)) == ids([new, old])


async def test_incidents_may_be_those_that_cite_a_source(here: Api) -> None:
    """By themselves: what a notice or a withdrawal in it cites does not count."""
    source = (await write(here, "/v1/sources", {"title": "A source"}))["id"]
    cited = [{"source": source}]
    told, other = await tell(here, citations=[*cited, citation(), *cited]), await tell(here)
    await say(here, incident=other["id"], citations=cited)
    await write(here, other["undo"][0], {**REASON, "citations": cited})

    assert ids(await items(here, INCIDENTS, source=source)) == [told["id"]]
    assert await items(here, INCIDENTS, source=source, country="LT") == []


async def test_a_list_of_incidents_that_makes_no_sense_is_refused_by_name(here: Api) -> None:
    for field, value in (
        ("country", "XX"),
        ("border", "BYLT"),
        ("crossing", "Šumskas"),
        ("source", "x"),
        ("cursor", "x"),
        ("limit", "0"),
        ("kind", "context"),
        ("in_force_at", "2023-09-01T00:00:00Z"),
    ):
        response = await here.get(INCIDENTS, **{field: value})
        assert fields_of(problem(response, 422, "invalid")) == [field]
