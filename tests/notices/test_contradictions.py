"""Notices that say otherwise than others: both stand, and each names the other."""

import pytest

from tests.api import Api, fields_of, problem
from tests.notices.conftest import (
    NOBODY,
    NOTICES,
    Body,
    days,
    ids,
    items,
    notice,
    one,
    recorded,
    retract,
    say,
)


async def against(api: Api, told: Body) -> list[str]:
    """Return the ids of what contradicts a notice, as the notice and the list both tell."""
    found = await one(api, NOTICES, told)
    (listed,) = [each for each in await items(api, NOTICES) if each["id"] == told["id"]]
    assert listed == found
    contradicted_by: list[str] = found["contradicted_by"]
    return contradicted_by


async def test_a_contradiction_is_told_of_both_and_both_stand(here: Api) -> None:
    claim = await say(here)
    denial = await say(here, contradicts=[claim["id"]], issuer={"country": "BY"})

    assert await one(here, NOTICES, claim) == {
        **recorded(claim),
        "contradicted_by": [denial["id"]],
    }
    assert await one(here, NOTICES, denial) == {
        **recorded(denial),
        "contradicts": [claim["id"]],
        "contradicted_by": [],
    }
    in_force = await items(here, NOTICES, in_force_at=days(1))
    assert ids(in_force) == ids([denial, claim])


async def test_a_notice_may_contradict_many_and_many_may_contradict_it(here: Api) -> None:
    one_, other = await say(here), await say(here)
    first = await say(here, contradicts=ids([other, one_]))
    second = await say(here, contradicts=ids([one_]))

    assert first["contradicts"] == ids([other, one_])
    assert await against(here, one_) == ids([first, second])
    assert await against(here, other) == ids([first])


async def test_a_contradiction_may_be_contradicted(here: Api) -> None:
    claim = await say(here)
    denial = await say(here, contradicts=ids([claim]))
    reply = await say(here, contradicts=ids([denial]))
    found = [await against(here, each) for each in (claim, denial, reply)]
    assert found == [ids([denial]), ids([reply]), []]


async def test_what_corrects_a_contradicted_notice_is_contradicted_as_well(here: Api) -> None:
    """Whoever denied the old word is not known to agree with the new one."""
    claim = await say(here)
    denial = await say(here, contradicts=ids([claim]))
    corrected = await say(here, supersedes=claim["id"])
    again = await say(here, supersedes=corrected["id"])
    later = await say(here, contradicts=ids([again]))

    assert await against(here, claim) == ids([denial])
    assert await against(here, corrected) == ids([denial])
    assert await against(here, again) == ids([denial, later])


async def test_the_answer_to_a_correction_tells_what_contradicts_it_already(here: Api) -> None:
    claim = await say(here)
    denial = await say(here, contradicts=ids([claim]))
    corrected = await say(here, supersedes=claim["id"])
    assert corrected["contradicted_by"] == ids([denial])
    assert await one(here, NOTICES, corrected) == recorded(corrected)


async def test_a_notice_that_contradicts_old_and_new_is_named_once(here: Api) -> None:
    claim = await say(here)
    corrected = await say(here, supersedes=claim["id"])
    denial = await say(here, contradicts=ids([claim, corrected]))
    assert await against(here, corrected) == ids([denial])


async def test_a_corrected_contradiction_counts_only_as_it_was_corrected(here: Api) -> None:
    claim, other = await say(here), await say(here)
    denial = await say(here, contradicts=ids([claim]))
    repeated = await say(here, contradicts=ids([claim]), supersedes=denial["id"])
    assert await against(here, claim) == ids([repeated])

    moved = await say(here, contradicts=ids([other]), supersedes=repeated["id"])
    assert await against(here, claim) == []
    assert await against(here, other) == ids([moved])
    assert (await one(here, NOTICES, denial))["contradicts"] == ids([claim])


async def test_a_withdrawn_contradiction_no_longer_counts(here: Api) -> None:
    claim = await say(here)
    denial = await say(here, contradicts=ids([claim]))
    await retract(here, denial)

    assert await against(here, claim) == []
    assert (await one(here, NOTICES, denial))["contradicts"] == ids([claim])


async def test_what_was_withdrawn_may_still_be_contradicted(here: Api) -> None:
    """And what contradicted it before goes on saying so."""
    claim = await say(here)
    before = await say(here, contradicts=ids([claim]))
    await retract(here, claim)
    after = await say(here, contradicts=ids([claim]))
    assert await against(here, claim) == ids([before, after])
    assert (await one(here, NOTICES, before))["contradicts"] == ids([claim])


async def test_a_correction_does_not_count_as_contradicting_itself(here: Api) -> None:
    """It may deny what it corrects; that is no other notice's word against its own."""
    claim = await say(here)
    reversal = await say(here, supersedes=claim["id"], contradicts=ids([claim]))
    assert await against(here, reversal) == []


async def test_what_is_contradicted_must_be_there(here: Api) -> None:
    claim = await say(here)
    for contradicted in ([NOBODY], [claim["id"], NOBODY]):
        told = problem(await here.post(NOTICES, notice(contradicts=contradicted)), 422, "invalid")
        assert told["errors"] == [
            {
                "in": "body",
                "field": "contradicts",
                "message": f"there is no notice {NOBODY}",
            }
        ]


async def test_what_is_contradicted_is_named_once(here: Api) -> None:
    claim = await say(here)
    response = await here.post(NOTICES, notice(contradicts=ids([claim, claim])))
    assert fields_of(problem(response, 422, "invalid")) == ["contradicts"]


@pytest.mark.parametrize("told", ["instant", "known_change"])
async def test_a_border_tells_the_contradictions_known_then(here: Api, told: str) -> None:
    """An answer given before is given again to the byte, whatever was said since."""
    claim = await say(here, effective={"from": days(-2)})
    denial = await say(here, effective={"from": days(-2)}, contradicts=ids([claim]))
    asked: dict[str, str | int] = {"at": days(-1)}
    if told == "instant":
        asked["known_at"] = denial["recorded_at"]
    else:
        asked["known_change"] = denial["change"]
    before = await here.get("/v1/borders/BY-LT", **asked)
    await retract(here, denial)
    await say(here, effective={"from": days(-2)}, supersedes=claim["id"])

    assert [each["contradicted_by"] for each in before.json()["notices"]] == [
        [],
        [denial["id"]],
    ]
    assert (await here.get("/v1/borders/BY-LT", **asked)).content == before.content
    now = (await here.get("/v1/borders/BY-LT", at=days(-1))).json()["notices"]
    assert [each["supersedes"] for each in now] == [claim["id"]]
