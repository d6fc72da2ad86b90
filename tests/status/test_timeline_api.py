"""A crossing's history and announced future over HTTP."""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.api import MEDININKAI, SUMSKAS, Api, citation, crossing, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

HERE = "new-crossing"
PATH = f"/v1/crossings/{HERE}/timeline"
BOUNDS = [f"2024-{day}T00:00:00Z" for day in ("01-01", "01-10", "01-12", "02-11")]
SHAPE = ["from", "until", "status", "last_known", "stale", "overdue", "decided_by", "lanes"]


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Api]:
    """The application with one crossing, open from day 1, shut from day 10 to day 12."""
    async with database.api() as api:
        response = await api.post("/v1/crossings", crossing(HERE))
        assert response.status_code == 201, response.text
        await declare(api, "open", "2024-01-01T00:00:00Z")
        await declare(api, "closed", "2024-01-10T00:00:00Z", until="2024-01-12T00:00:00Z")
        yield api


async def declare(api: Api, status: str, start: str, **fields: object) -> str:
    effective = {"from": start, "until": fields.pop("until", None)}
    said: dict[str, object] = {"crossings": [HERE], "announced_at": start, **fields}
    told: Body = await api.declare(status=status, effective=effective, **said)
    return str(told["events"][0]["id"])


async def ask(api: Api, path: str = PATH, **parameters: str | int) -> list[Body]:
    response = await api.get(path, **parameters)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["next"] is None
    found: list[Body] = body["items"]
    return found


def short(items: list[Body]) -> list[tuple[str | None, str | None, str, str | None]]:
    return [(one["from"], one["until"], one["status"], one["last_known"]) for one in items]


def periods(
    decided: list[tuple[str, str | None, str | None]], bounds: list[str | None]
) -> list[Body]:
    """Return items of two car lanes that share everything: status, last known, decider."""
    return [
        {
            "from": start,
            "until": end,
            "status": status,
            "last_known": last_known,
            "stale": False,
            "overdue": False,
            "decided_by": [decider] if decider else [],
            "lanes": [
                {
                    "traffic": "car",
                    "to": to,
                    "status": status,
                    "last_known": last_known,
                    "stale": False,
                    "overdue": False,
                    "decided_by": decider,
                    "reason": None,
                }
                for to in ("BY", "LT")
            ],
        }
        for (status, last_known, decider), (start, end) in zip(
            decided, pairwise(bounds), strict=True
        )
    ]


async def test_a_timeline_covers_all_time_as_periods_oldest_first(here: Api) -> None:
    log = (await here.get("/v1/events")).json()["items"]
    closed, opened = log[0]["id"], log[1]["id"]
    response = await here.get(PATH)

    assert response.json() == {
        "items": periods(
            [
                ("unknown", None, None),
                ("open", None, opened),
                ("closed", None, closed),
                ("open", None, opened),
                ("unknown", "open", opened),
            ],
            [None, *BOUNDS, None],
        ),
        "next": None,
    }
    assert [*response.json()["items"][0]] == SHAPE
    assert response.headers["change-number"] == "3"
    assert "link" not in response.headers


async def test_the_timeline_of_a_crossing_of_which_nothing_was_said_is_one_unknown_period(
    here: Api,
) -> None:
    assert await ask(here, known_change=1) == periods([("unknown", None, None)], [None, None])
    assert await ask(here, known_change=0) == periods([("unknown", None, None)], [None, None])


async def test_a_period_grows_stale_and_overdue(here: Api) -> None:
    await declare(here, "closed", "2024-02-01T00:00:00Z", expected_until="2024-02-10T00:00:00Z")
    found = await ask(here, start="2024-02-01T00:00:00Z")
    assert [(one["from"], one["overdue"], one["stale"]) for one in found] == [
        ("2024-02-01T00:00:00Z", False, False),
        ("2024-02-10T00:00:00Z", True, False),
        ("2024-03-02T00:00:00Z", True, True),
    ]


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (
            {"start": "2024-01-11T00:00:00Z", "end": "2024-01-20T00:00:00Z"},
            [
                ("2024-01-11T00:00:00Z", BOUNDS[2], "closed", None),
                (BOUNDS[2], "2024-01-20T00:00:00Z", "open", None),
            ],
        ),
        (
            {"start": BOUNDS[1], "end": BOUNDS[2]},
            [(BOUNDS[1], BOUNDS[2], "closed", None)],
        ),
        (
            {"start": "2025-01-01T00:00:00Z"},
            [("2025-01-01T00:00:00Z", None, "unknown", "open")],
        ),
        (
            {"end": "2023-01-01T02:00:00+02:00"},
            [(None, "2023-01-01T00:00:00Z", "unknown", None)],
        ),
        (
            {"end": "2024-01-01T00:00:00.000001Z"},
            [
                (None, BOUNDS[0], "unknown", None),
                (BOUNDS[0], "2024-01-01T00:00:00.000001Z", "open", None),
            ],
        ),
    ],
)
async def test_start_and_end_clip_the_outer_periods(
    here: Api,
    cut: dict[str, str],
    expected: list[tuple[str | None, str | None, str, str | None]],
) -> None:
    assert short(await ask(here, **cut)) == expected


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"start": "2024-01-02T00:00:00Z", "end": "2024-01-01T00:00:00Z"}, "end"),
        ({"start": "2024-01-01T00:00:00Z", "end": "2024-01-01T02:00:00+02:00"}, "end"),
        ({"end": "2024-01-01"}, "end"),
        ({"at": "2024-01-01T00:00:00Z"}, "at"),
    ],
)
async def test_a_cut_that_makes_no_sense_is_refused_by_name(
    seeded_api: Api, parameters: dict[str, str], field: str
) -> None:
    response = await seeded_api.get(f"/v1/crossings/{SUMSKAS}/timeline", **parameters)
    assert fields_of(problem(response, 422, "invalid")) == [field]


async def test_traffic_and_direction_make_it_the_lanes_timeline(here: Api) -> None:
    await declare(here, "closed", "2024-01-20T00:00:00Z", to="BY")
    entering = await ask(here, traffic="car", to="LT")

    assert {lane["to"] for one in entering for lane in one["lanes"]} == {"LT"}
    assert [one["from"] for one in entering] == [None, *BOUNDS]
    assert [one["status"] for one in await ask(here)][4:] == [
        "restricted",
        "unknown",
        "unknown",
    ]
    leaving = await ask(here, to="BY")
    assert [one["status"] for one in leaving][4:] == ["closed", "closed"]


async def test_a_timeline_is_told_from_what_was_known_at_a_change_or_an_instant(
    here: Api,
) -> None:
    now = await here.get(PATH)
    known_at = (await here.get("/v1/events")).json()["items"][0]["recorded_at"]
    await declare(here, "closed", "2023-06-01T00:00:00Z")

    assert short(await ask(here))[1] == ("2023-06-01T00:00:00Z", BOUNDS[0], "closed", None)
    by_change = await here.get(PATH, known_change=3)
    by_instant = await here.get(PATH, known_at=known_at)
    assert by_change.content == by_instant.content == now.content
    assert by_change.headers["change-number"] == by_instant.headers["change-number"] == "3"


async def test_the_timeline_agrees_with_the_answer_at_each_of_its_bounds(
    seeded_api: Api,
) -> None:
    for name in (SUMSKAS, MEDININKAI):
        for one in await ask(seeded_api, f"/v1/crossings/{name}/timeline", limit=200):
            if one["from"] is None:
                continue
            answer = await seeded_api.status(name, at=one["from"])
            same = {field: answer[field] for field in SHAPE[2:6]}
            assert same == {field: one[field] for field in SHAPE[2:6]}
            assert answer["lanes"] == one["lanes"]
            deciders: Any = answer["decided_by"]
            assert [event["id"] for event in deciders] == one["decided_by"]


async def pages(api: Api, between: bool = False, **parameters: str | int) -> list[Body]:
    """Walk the pages of one period each; where wanted, write something before each next one."""
    found: list[Body] = []
    numbers = set()
    response = await api.get(PATH, limit=1, **parameters)
    while True:
        body = response.json()
        assert len(body["items"]) == 1
        found += body["items"]
        numbers.add(response.headers["change-number"])
        address = body["next"]
        assert response.headers.get("link") == (address and f'<{address}>; rel="next"')
        if address is None:
            assert len(numbers) == 1
            return found
        if between:
            day = f"2024-01-{len(found) * 2:02}T00:00:00Z"
            await declare(api, "restricted", day, until=day.replace("T00", "T12"))
        response = await api.client.get(address)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"start": "2024-01-05T00:00:00Z"}, {"end": "2024-01-20T00:00:00Z"}, {"to": "LT"}],
)
async def test_pages_are_gapless_and_told_from_one_knowledge_whatever_is_written_meanwhile(
    here: Api, parameters: dict[str, str]
) -> None:
    whole = await ask(here, **parameters)
    paged = await pages(here, between=True, **parameters)

    assert paged == whole
    assert all(one["until"] == following["from"] for one, following in pairwise(paged))
    assert len(await ask(here)) > len(await ask(here, known_change=3))


async def test_pages_of_what_was_known_at_an_instant_stay_with_that_instant(here: Api) -> None:
    known_at = (await here.get("/v1/events")).json()["items"][0]["recorded_at"]
    whole = await ask(here, known_at=known_at)
    await declare(here, "closed", "2024-01-20T00:00:00Z")
    assert await pages(here, between=True, known_at=known_at) == whole


async def test_history_comes_in_the_order_it_was_recorded_in_and_shows_in_order_of_time(
    here: Api,
) -> None:
    """What is learned late about the past changes only the past."""
    now = await here.status(HERE)
    await declare(here, "closed", "2023-06-01T00:00:00Z", until="2023-07-01T00:00:00Z")
    found = await ask(here)
    bounds = [datetime.fromisoformat(one["from"]) for one in found[1:]]
    assert bounds == sorted(bounds)
    after = await here.status(HERE)
    assert after == {**now, "change": after["change"]}


async def test_a_confirmation_leaves_its_mark_on_the_timeline(here: Api) -> None:
    body = {
        "sides": ["LT"],
        "confirmed_at": "2024-02-01T00:00:00Z",
        "citations": [citation()],
    }
    response = await here.post(f"/v1/crossings/{HERE}/confirmations", body)
    assert response.status_code == 201
    assert short(await ask(here))[-1] == ("2024-03-02T00:00:00Z", None, "unknown", "open")
