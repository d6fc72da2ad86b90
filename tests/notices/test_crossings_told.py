"""What a crossing is told of notices: its last change, and past answers as they were."""

from tests.api import Api, crossing, problem
from tests.notices.conftest import (
    AWAY,
    CHANGES,
    HERE,
    NOTICES,
    THERE,
    days,
    ids,
    items,
    one,
    recorded,
    retract,
    say,
    tell,
    write,
    write_everything,
)


async def changes_of(api: Api) -> dict[str, int]:
    """Return the change that each crossing's status answer names."""
    found = {}
    for name in (HERE, THERE, AWAY):
        found[name] = int(str((await api.status(name))["change"]))
    return found


async def test_a_notice_that_names_a_crossing_is_its_last_change_and_so_is_its_withdrawal(
    here: Api,
) -> None:
    assert await changes_of(here) == {HERE: 1, THERE: 2, AWAY: 3}
    told = await say(here, subjects={"crossings": [HERE, AWAY]})
    assert await changes_of(here) == {HERE: 4, THERE: 2, AWAY: 4}
    await say(here, subjects={"crossings": [AWAY]})
    assert await changes_of(here) == {HERE: 4, THERE: 2, AWAY: 5}
    await retract(here, told)
    assert await changes_of(here) == {HERE: 6, THERE: 2, AWAY: 6}


async def test_a_correction_is_the_last_change_of_what_it_no_longer_names_too(here: Api) -> None:
    told = await say(here, subjects={"crossings": [HERE]})
    await say(here, subjects={"crossings": [THERE]}, supersedes=told["id"])
    assert await changes_of(here) == {HERE: 5, THERE: 5, AWAY: 3}


async def test_a_notice_about_another_place_and_an_incident_are_no_change_of_a_crossing(
    here: Api,
) -> None:
    await say(here, subjects={"borders": ["BY-LT"]})
    told = await say(here, subjects={"countries": ["BY", "LT"]})
    await retract(here, told)
    story = await tell(here)
    await say(here, subjects={"borders": ["BY-PL"]}, incident=story["id"])
    assert await changes_of(here) == {HERE: 1, THERE: 2, AWAY: 3}


async def test_the_change_of_a_crossing_is_the_last_whose_subjects_have_it(here: Api) -> None:
    told = await write_everything(here)
    await retract(here, await say(here, subjects={"crossings": [THERE, HERE]}))
    await write(here, "/v1/crossings", crossing("third-crossing"))
    named: dict[str, int] = {}
    for change in await items(here, CHANGES):
        named |= dict.fromkeys(change["subjects"].get("crossings", []), change["change"])

    assert len(await items(here, CHANGES)) == told["gone"]["retraction"]["change"] + 3
    del named["third-crossing"]
    assert await changes_of(here) == named


async def test_answers_given_before_are_given_again_to_the_byte(here: Api) -> None:
    """Whatever was said, corrected or withdrawn since."""
    told = await say(here, effective={"from": days(-2)})
    await here.declare(crossings=[HERE])
    known = told["change"] + 1
    questions = [
        (f"/v1/crossings/{HERE}/status", {"at": days(-1)}),
        (f"/v1/crossings/{THERE}/status", {"at": days(-1)}),
        (f"/v1/crossings/{HERE}/timeline", {}),
        ("/v1/borders/BY-LT", {"at": days(-1)}),
    ]
    before = [(await here.get(path, **asked)).json() for path, asked in questions]
    pinned = [
        (await here.get(path, known_change=known, **asked)).content for path, asked in questions
    ]
    story = await tell(here)
    denial = await say(here, contradicts=ids([told]), incident=story["id"])
    await say(here, subjects={"crossings": [THERE]})
    await say(here, supersedes=told["id"], effective={"from": days(-2)})
    await retract(here, denial)
    after = [
        (await here.get(path, known_change=known, **asked)).content for path, asked in questions
    ]

    assert after == pinned
    assert [each["change"] for each in before[:2]] == [5, 2]
    assert before[3]["notices"] == [recorded(told)]
    assert (await one(here, NOTICES, told))["superseded_by"] is not None


async def test_a_withdrawn_notice_still_counts_for_what_was_known_before(here: Api) -> None:
    told = await say(here)
    await retract(here, told)
    known = [
        (await here.status(HERE, known_change=number, at=days(0)))["change"] for number in (3, 4, 5)
    ]
    assert known == [1, 4, 5]
    response = await here.get(f"/v1/crossings/{HERE}/status", known_change=6)
    problem(response, 422, "invalid")
