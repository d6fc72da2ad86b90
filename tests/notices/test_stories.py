"""An incident's timeline: what joined it and stands, in the order in which it took effect."""

import base64
from collections.abc import Sequence

import pytest

from tests.api import Api, citation, fields_of, problem
from tests.notices.conftest import (
    AWAY,
    EVENTS,
    HERE,
    INCIDENTS,
    NOTICES,
    REASON,
    THERE,
    Body,
    days,
    ids,
    items,
    one,
    recorded,
    retract,
    say,
    tell,
    write,
)


async def story_of(api: Api, incident: Body) -> list[Body]:
    """Return the items of the whole timeline."""
    timeline = (await one(api, INCIDENTS, incident))["timeline"]
    assert timeline["next"] is None
    found: list[Body] = timeline["items"]
    return found


def happened(found: Sequence[Body]) -> list[str]:
    """Return, shortly, what a story tells: a notice's text, a decision's crossings."""
    return [
        each["notice"]["text"]["en"]
        if each["decision"] is None
        else " ".join(event["crossing"] for event in each["decision"])
        for each in found
    ]


async def decide(api: Api, incident: Body, start: float, **fields: object) -> Body:
    """Declare a status from so many days after now on, as a part of the incident."""
    fields.setdefault("crossings", [HERE])
    return await api.declare(
        effective={"from": days(start)},
        announced_at=days(min(start, -0.01)),
        incident=incident["id"],
        **fields,
    )


async def test_a_story_has_whole_decisions_and_notices_with_their_instants(here: Api) -> None:
    story = await tell(here)
    decided = await decide(here, story, -2, crossings=[HERE, THERE])
    said = await say(here, effective={"from": days(-3), "until": days(1)}, incident=story["id"])

    assert await one(here, INCIDENTS, story) == {
        **recorded(story),
        "timeline": {
            "items": [
                {
                    "at": days(-3),
                    "change": said["change"],
                    "decision": None,
                    "notice": recorded(said),
                },
                {
                    "at": days(-2),
                    "change": decided["change"],
                    "decision": decided["events"],
                    "notice": None,
                },
            ],
            "next": None,
        },
    }


async def test_a_story_is_told_in_the_order_of_effect_not_of_recording(here: Api) -> None:
    story = await tell(here)
    await say(here, effective={"from": days(3)}, text={"en": "to come"}, incident=story["id"])
    await decide(here, story, -1, crossings=[THERE])
    await say(here, effective={"from": days(-9)}, text={"en": "first"}, incident=story["id"])
    await decide(here, story, -5, crossings=[HERE])
    assert happened(await story_of(here, story)) == ["first", HERE, THERE, "to come"]


async def test_at_the_same_instant_what_was_recorded_first_comes_first(here: Api) -> None:
    story, period = await tell(here), {"from": days(-1)}
    await say(here, effective=period, text={"en": "one"}, incident=story["id"])
    await decide(here, story, -1, crossings=[THERE])
    await say(here, effective=period, text={"en": "two"}, incident=story["id"])
    assert happened(await story_of(here, story)) == ["one", THERE, "two"]


async def test_a_notice_of_unknown_start_stands_where_it_was_said(here: Api) -> None:
    story = await tell(here)
    vague = {"precision": "unknown", "incident": story["id"]}
    await say(here, text={"en": "recorded"}, **vague)
    await say(here, text={"en": "announced"}, announced_at=days(-2), **vague)
    for start in (-1, -3):
        await decide(here, story, start)
    found = await story_of(here, story)

    assert happened(found) == [HERE, "announced", HERE, "recorded"]
    assert found[1]["at"] == days(-2)
    assert found[3]["at"] == found[3]["notice"]["recorded_at"]


async def test_only_what_stands_is_told(here: Api) -> None:
    """A correction belongs to the story if it says so itself."""
    story = await tell(here)
    joined: Body = {"incident": story["id"], "effective": {"from": days(-4)}}
    withdrawn = await say(here, text={"en": "withdrawn"}, **joined)
    corrected = await say(here, text={"en": "corrected"}, **joined)
    left = await say(here, text={"en": "left"}, **joined)
    undone = await decide(here, story, -3)
    mended = await decide(here, story, -2)
    await retract(here, withdrawn)
    await say(here, text={"en": "correct"}, supersedes=corrected["id"], **joined)
    await say(here, text={"en": "elsewhere"}, supersedes=left["id"])
    await write(here, undone["undo"][0], REASON)
    (event,) = mended["events"]
    await decide(here, story, -1, supersedes=[event["id"]])
    found = await story_of(here, story)

    assert happened(found) == ["correct", HERE]
    assert found[1]["decision"][0]["supersedes"] == event["id"]


async def test_of_a_decision_undone_in_part_the_rest_is_told(here: Api) -> None:
    story = await tell(here)
    decided = await decide(here, story, -1, crossings=[HERE, THERE])
    first, second = decided["events"]
    await write(here, f"{EVENTS}/{first['id']}/retraction", REASON)
    (found,) = await story_of(here, story)
    assert found["decision"] == [second]


async def test_confirmations_are_no_part_of_a_story(here: Api) -> None:
    story = await tell(here)
    await decide(here, story, -1)
    body = {"sides": ["LT"], "citations": [citation()]}
    await write(here, f"/v1/crossings/{HERE}/confirmations", body)
    assert happened(await story_of(here, story)) == [HERE]


async def test_what_became_of_a_notice_is_told_in_the_story_too(here: Api) -> None:
    story = await tell(here)
    claim = await say(here, incident=story["id"])
    denial = await say(here, contradicts=[claim["id"]])
    (found,) = await story_of(here, story)
    assert found["notice"] == await one(here, NOTICES, claim)
    assert found["notice"]["contradicted_by"] == [denial["id"]]


async def test_stories_do_not_mix(here: Api) -> None:
    story, other = await tell(here), await tell(here)
    await say(here, text={"en": "one"}, incident=story["id"])
    await say(here, text={"en": "other"}, incident=other["id"])
    await say(here, text={"en": "neither"})
    assert happened(await story_of(here, story)) == ["one"]
    assert happened(await story_of(here, other)) == ["other"]


async def test_a_corrected_incident_and_its_correction_tell_one_story(here: Api) -> None:
    """Whichever of them something joined, and before the correction or after it."""
    old = await tell(here)
    await decide(here, old, -3)
    new = await tell(here, supersedes=old["id"])
    newest = await tell(here, supersedes=new["id"])
    for name, start, joined in (
        ("to the old one", -2, old),
        ("to the newest", -1, newest),
        ("to the one between", -4, new),
    ):
        period = {"from": days(start)}
        await say(here, text={"en": name}, effective=period, incident=joined["id"])
    told = [happened(await story_of(here, each)) for each in (old, new, newest)]
    assert told == [["to the one between", HERE, "to the old one", "to the newest"]] * 3


async def test_the_notices_of_a_corrected_incident_are_those_of_its_correction(here: Api) -> None:
    old = await tell(here)
    before = await say(here, incident=old["id"])
    new = await tell(here, supersedes=old["id"])
    after = await say(here, incident=new["id"])
    await say(here)
    for each in (old, new):
        assert ids(await items(here, NOTICES, incident=each["id"])) == [after["id"], before["id"]]


# Pages


async def test_a_long_story_is_read_in_pages_each_with_the_whole_incident(here: Api) -> None:
    story = await tell(here)
    for number in range(4):
        period = {"from": days(-number // 2)}
        body = {"en": f"Notice {number}"}
        await say(here, text=body, effective=period, incident=story["id"])
    await decide(here, story, -1, crossings=[AWAY], sides=["BY"])
    whole = await story_of(here, story)
    found: list[Body] = []
    sizes: list[int] = []
    address: str | None = f"{INCIDENTS}/{story['id']}?limit=2"
    while address is not None:
        response = await here.client.get(address)
        body = response.json()
        timeline = body.pop("timeline")
        assert body == recorded(story)
        found += timeline["items"]
        sizes.append(len(timeline["items"]))
        address = timeline["next"]
        if address is not None:
            assert address.startswith(f"http://crossings.test{INCIDENTS}/{story['id']}?")
            assert response.headers["link"] == f'<{address}>; rel="next"'
        else:
            assert "link" not in response.headers

    assert sizes == [2, 2, 1]
    assert found == whole
    assert len(happened(whole)) == len(set(happened(whole))) == 5


async def test_a_page_begins_after_the_last_items_place_though_that_item_is_gone(
    here: Api,
) -> None:
    story = await tell(here)
    said = [
        await say(
            here,
            text={"en": str(number)},
            effective={"from": days(number - 5)},
            incident=story["id"],
        )
        for number in range(3)
    ]
    first = (await here.get(f"{INCIDENTS}/{story['id']}", limit=1)).json()["timeline"]
    await retract(here, said[0])
    following = (await here.client.get(first["next"])).json()["timeline"]
    assert (happened(first["items"]), happened(following["items"])) == (["0"], ["1"])


def cursor(*parts: str) -> str:
    return base64.urlsafe_b64encode("\n".join(parts).encode()).decode().rstrip("=")


ID = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cursor", "x"),
        ("cursor", "ž"),
        ("cursor", cursor("1", ID)),
        ("cursor", cursor("2023-08-01T00:00:00", "1", ID)),
        ("cursor", cursor("yesterday", "1", ID)),
        ("cursor", cursor("2023-08-01T00:00:00+00:00", "-1", ID)),
        ("cursor", cursor("2023-08-01T00:00:00+00:00", "1", "x")),
        ("cursor", cursor("0001-01-01T00:00:00+14:00", "1", ID)),
        ("cursor", cursor("2023-08-01T00:00:00+00:00", "1", ID, ID)),
        ("cursor", "c" * 201),
        ("limit", "0"),
        ("known_change", "1"),
    ],
)
async def test_a_page_that_makes_no_sense_is_refused_by_name(
    here: Api, name: str, value: str
) -> None:
    story = await tell(here)
    response = await here.get(f"{INCIDENTS}/{story['id']}", **{name: value})
    assert fields_of(problem(response, 422, "invalid")) == [name]


async def test_a_cursor_of_ours_is_taken(here: Api) -> None:
    """As the ones above are made, but whole."""
    story = await tell(here)
    await say(here, incident=story["id"])
    told = cursor("2023-08-01T00:00:00+00:00", "1", ID)
    found = (await here.get(f"{INCIDENTS}/{story['id']}", cursor=told)).json()["timeline"]
    assert len(found["items"]) == 1
