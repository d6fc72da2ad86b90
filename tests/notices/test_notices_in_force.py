"""Which notices are in force at an instant: those that stand and hold then, as known now."""

from tests.api import Api
from tests.notices.conftest import NOTICES, Body, days, ids, items, recorded, retract, say, texts


async def test_in_force_is_what_holds_at_the_instant_ends_exclusive(here: Api) -> None:
    periods: dict[str, Body] = {
        "past": {"from": days(-10), "until": days(-5)},
        "present": {"from": days(-10), "until": days(5)},
        "until further notice": {"from": days(-10)},
        "future": {"from": days(5), "until": days(6)},
    }
    for name, period in periods.items():
        await say(here, effective=period, text={"en": name})
    instants = (-10.001, -10, -5.001, -5, 4.999, 5, 5.999, 6)
    found = {at: await texts(here, in_force_at=days(at)) for at in instants}

    assert found == {
        -10.001: [],
        -10: ["past", "present", "until further notice"],
        -5.001: ["past", "present", "until further notice"],
        -5: ["present", "until further notice"],
        4.999: ["present", "until further notice"],
        5: ["future", "until further notice"],
        5.999: ["future", "until further notice"],
        6: ["until further notice"],
    }


async def test_what_has_an_unknown_start_holds_from_the_moment_it_was_said(here: Api) -> None:
    for name, announced_at, until in (
        ("announced", days(-3), None),
        ("announced until", days(-3), days(2)),
        ("only recorded", None, None),
        ("over when it was said", days(-3), days(-4)),
    ):
        await say(
            here,
            text={"en": name},
            precision="unknown",
            announced_at=announced_at,
            effective={"until": until},
        )
    instants = (-4.5, -3.001, -3, -0.001, 1, 2)
    found = {at: await texts(here, in_force_at=days(at)) for at in instants}

    assert found == {
        -4.5: [],
        -3.001: [],
        -3: ["announced", "announced until"],
        -0.001: ["announced", "announced until"],
        1: ["announced", "announced until", "only recorded"],
        2: ["announced", "only recorded"],
    }


async def test_what_was_corrected_or_withdrawn_is_not_in_force(here: Api) -> None:
    """Not even at instants before that: the list is as known now."""
    period = {"from": days(-10)}
    corrected = await say(here, effective=period)
    correction = await say(here, effective=period, supersedes=corrected["id"])
    await retract(here, await say(here, effective=period))
    standing = await say(here, effective=period)

    for at in (days(-5), days(5)):
        assert ids(await items(here, NOTICES, in_force_at=at)) == ids([standing, correction])


async def test_an_instant_may_have_any_offset(here: Api) -> None:
    told = await say(here, effective={"from": "2023-08-18T00:00:00+03:00"})
    for at, found in (
        ("2023-08-17T23:00:00+02:00", [recorded(told)]),
        ("2023-08-17T20:59:59Z", []),
    ):
        assert await items(here, NOTICES, in_force_at=at) == found
