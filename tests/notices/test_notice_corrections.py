"""Correcting and withdrawing a notice: nothing is overwritten, and everything only once."""

import pytest

from tests.api import Api, citation, fields_of
from tests.notices.conftest import (
    AWAY,
    NOBODY,
    NOTICES,
    REASON,
    Body,
    days,
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

# Corrections


async def test_a_correction_is_a_notice_of_its_own_and_the_old_one_names_it(here: Api) -> None:
    old = await say(here)
    new = await say(here, text={"en": "Patrols are tripled"}, supersedes=old["id"])

    assert new["id"] != old["id"]
    assert (new["supersedes"], new["superseded_by"], new["undo"]) == (old["id"], None, [])
    assert await one(here, NOTICES, old) == {**recorded(old), "superseded_by": new["id"]}
    assert await one(here, NOTICES, new) == recorded(new)


async def test_a_correction_may_change_anything(here: Api) -> None:
    """What it leaves out takes its default: nothing is taken over from what it corrects."""
    story = await tell(here)
    old = await say(
        here,
        incident=story["id"],
        figures=[{"value": 1, "unit": "person"}],
        announced_at=days(-1),
        certainty="reported",
    )
    body = {
        "kind": "context",
        "issuer": {"country": "PL"},
        "subjects": {"crossings": [AWAY]},
        "text": {"pl": "Inaczej"},
        "supersedes": old["id"],
        "citations": [citation()],
    }
    new = await write(here, NOTICES, body)
    assert {name: new[name] for name in body if name != "citations"} == {
        **{name: value for name, value in body.items() if name != "citations"},
        "issuer": {"country": "PL", "name": None},
        "subjects": {"countries": [], "borders": [], "crossings": [AWAY]},
    }
    assert (new["incident"], new["figures"], new["announced_at"]) == (None, [], None)
    assert new["certainty"] == "confirmed"


async def test_a_correction_can_be_corrected_and_each_names_its_neighbours(here: Api) -> None:
    first = await say(here)
    second = await say(here, supersedes=first["id"])
    third = await say(here, supersedes=second["id"])
    chain = [
        (each["supersedes"], each["superseded_by"])
        for each in [await one(here, NOTICES, told) for told in (first, second, third)]
    ]
    assert chain == [
        (None, second["id"]),
        (first["id"], third["id"]),
        (second["id"], None),
    ]


async def test_a_notice_is_corrected_once(here: Api) -> None:
    old = await say(here)
    await say(here, supersedes=old["id"])
    await refused(here, NOTICES, notice(supersedes=old["id"]), 409, "superseded")


async def test_a_withdrawn_notice_is_not_corrected(here: Api) -> None:
    old = await say(here)
    await retract(here, old)
    await refused(here, NOTICES, notice(supersedes=old["id"]), 409, "superseded")


@pytest.mark.parametrize("certainty", ["confirmed", "reported"])
async def test_an_unconfirmed_notice_corrects_nothing_firmer(here: Api, certainty: str) -> None:
    firm = await say(here, certainty=certainty)
    body = notice(certainty="unconfirmed", supersedes=firm["id"])
    await refused(here, NOTICES, body, 409, "not-correctable")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("unconfirmed", "unconfirmed"),
        ("unconfirmed", "confirmed"),
        ("confirmed", "reported"),
        ("reported", "confirmed"),
    ],
)
async def test_any_other_certainty_may_be_corrected(here: Api, old: str, new: str) -> None:
    first = await say(here, certainty=old)
    second = await say(here, certainty=new, supersedes=first["id"])
    assert (await one(here, NOTICES, first))["superseded_by"] == second["id"]


async def test_a_correction_of_what_is_no_notice_is_refused_by_name(here: Api) -> None:
    story = await tell(here)
    for target in (NOBODY, story["id"]):
        told = await refused(here, NOTICES, notice(supersedes=target), 422, "invalid")
        assert fields_of(told) == ["supersedes"]


# Withdrawals


async def test_a_withdrawn_notice_stays_and_says_why_it_was_withdrawn(here: Api) -> None:
    source = (await write(here, "/v1/sources", {"title": "Known before"}))["id"]
    told = await say(here)
    cited = [{"source": source, "locator": "line 2", "basis": "inferred"}]
    reason = {"code": "technical", "text": "Entered twice"}
    response = await here.post(told["undo"][0], {"reason": reason, "citations": cited})
    answered = response.json()
    retraction = answered["retraction"]

    assert response.status_code == 201
    assert response.headers["location"] == f"{NOTICES}/{told['id']}"
    assert response.headers["change-number"] == str(told["change"] + 1)
    assert answered == {**told, "undo": [], "retraction": retraction}
    assert retraction == {
        "id": retraction["id"],
        "change": told["change"] + 1,
        "recorded_at": retraction["recorded_at"],
        "recorded_by": "reporter",
        "reason": reason,
        "citations": cited,
    }
    assert retraction["recorded_at"] > told["recorded_at"]
    assert await one(here, NOTICES, told) == recorded(answered)
    assert await items(here, NOTICES) == [recorded(answered)]


async def test_a_withdrawal_needs_no_citation(here: Api) -> None:
    told = await say(here)
    answered = await write(here, told["undo"][0], {"reason": {"code": "other"}})
    assert answered["retraction"]["citations"] == []
    assert answered["retraction"]["reason"] == {"code": "other", "text": None}


async def test_a_notice_is_withdrawn_once(here: Api) -> None:
    told = await say(here)
    await retract(here, told)
    await refused(here, told["undo"][0], REASON, 409, "superseded")


async def test_a_corrected_notice_is_not_withdrawn(here: Api) -> None:
    told = await say(here)
    await say(here, supersedes=told["id"])
    await refused(here, told["undo"][0], REASON, 409, "superseded")


async def test_a_notice_that_was_corrected_can_be_withdrawn_with_all_its_versions(
    here: Api,
) -> None:
    old = await say(here)
    new = await say(here, supersedes=old["id"])

    withdrawn = await write(here, f"{NOTICES}/{new['id']}/retraction", REASON)

    assert withdrawn["retraction"]["reason"]["code"] == REASON["reason"]["code"]
    assert await items(here, NOTICES, in_force_at=days(0)) == []
    found = (await here.get(f"{NOTICES}/{old['id']}")).json()
    assert (found["superseded_by"], found["retraction"]) == (new["id"], None)
    await refused(here, old["undo"][0], REASON, 409, "superseded")
    await refused(here, f"{NOTICES}/{new['id']}/retraction", REASON, 409, "superseded")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": {}}, "reason.code"),
        ({"reason": {"code": "whim"}}, "reason.code"),
        ({"reason": {"code": "other", "why": "x"}}, "reason.why"),
        ({"reason": {"code": "other"}, "certainty": "reported"}, "certainty"),
        (
            {"reason": {"code": "other"}, "citations": [citation(source=NOBODY)]},
            "citations.0.source",
        ),
    ],
)
async def test_a_withdrawal_with_a_fault_is_refused_by_the_name_of_the_field(
    here: Api, body: Body, field: str
) -> None:
    for told in (await say(here), await tell(here)):
        assert fields_of(await refused(here, told["undo"][0], body, 422, "invalid")) == [field]
