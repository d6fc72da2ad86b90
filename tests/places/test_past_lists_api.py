"""Lists of crossings and borders at an instant, and as they were known, over HTTP."""

import pytest

from tests.api import SUMSKAS, Api, Json, crossing, fields_of, problem

CROSSINGS = "/v1/crossings"
BORDERS = "/v1/borders"
SPRING, AUTUMN = "2023-05-01T00:00:00Z", "2023-09-01T00:00:00Z"
IMMUTABLE = "public, max-age=3600"


async def listed(api: Api, path: str, **parameters: str | int) -> list[Json]:
    response = await api.get(path, **parameters)
    assert response.status_code == 200, response.text
    items: list[Json] = response.json()["items"]
    return items


@pytest.mark.parametrize("at", [SPRING, AUTUMN])
async def test_crossings_are_listed_as_they_were(seeded_api: Api, at: str) -> None:
    """As each answers for itself."""
    found = await listed(seeded_api, CROSSINGS, border="BY-LT", at=at)

    assert len(found) == 7
    for one in found:
        answer = await seeded_api.status(str(one["id"]), at=at)
        assert [one["status"], one["since"]] == [answer["status"], answer["since"]]


async def test_what_was_closed_then_is_found_by_it(seeded_api: Api) -> None:
    before = await listed(seeded_api, CROSSINGS, status="closed", at=SPRING)
    after = await listed(seeded_api, CROSSINGS, status="closed", at=AUTUMN)

    assert SUMSKAS not in [one["id"] for one in before]
    assert SUMSKAS in [one["id"] for one in after]


async def test_borders_count_what_was(seeded_api: Api) -> None:
    """As each counts for itself."""
    found = await listed(seeded_api, BORDERS, at=AUTUMN)

    for one in found:
        alone = (await seeded_api.get(f"{BORDERS}/{one['id']}", at=AUTUMN)).json()
        assert one["counts"] == alone["counts"]
    assert [one["id"] for one in found] == ["BY-LT", "BY-LV", "BY-PL"]


@pytest.mark.parametrize("path", [CROSSINGS, BORDERS])
async def test_a_list_as_it_was_known_stays_what_it_was(api: Api, path: str) -> None:
    """Though crossings and borders were added since, and what was declared of the past."""
    before = await api.get(path, at=AUTUMN)
    number = int(before.headers["change-number"])
    await api.post(CROSSINGS, crossing("added-later"))
    await api.post(
        CROSSINGS,
        crossing(
            "added-elsewhere",
            sides=["AT", "CZ"],
            names=[{"lang": "cs", "side": "CZ", "name": "Elsewhere"}],
        ),
    )
    await api.declare(effective={"from": "2023-08-01T00:00:00Z"}, status="closed")

    again = await api.get(path, at=AUTUMN, known_change=number)
    now = await api.get(path, at=AUTUMN)

    assert again.content == before.content
    assert again.headers["cache-control"] == IMMUTABLE
    assert now.content != before.content
    assert now.headers["cache-control"] != IMMUTABLE


async def test_names_may_be_spelt_anew_so_that_what_is_found_by_them_is_not_for_good(
    seeded_api: Api,
) -> None:
    found = await seeded_api.get(CROSSINGS, at=AUTUMN, known_change=100, q="Šumskas")

    assert found.headers["cache-control"] != IMMUTABLE


@pytest.mark.parametrize("path", [CROSSINGS, BORDERS])
async def test_every_page_of_a_past_list_is_told_from_the_same_knowledge(
    api: Api, path: str
) -> None:
    whole = await listed(api, path, at=AUTUMN)
    first = (await api.get(path, at=AUTUMN, limit=2)).json()
    await api.post(CROSSINGS, crossing("zz-added-later"))
    items = first["items"]
    while first["next"]:
        first = (await api.client.get(first["next"])).json()
        items += first["items"]

    assert items == whole


@pytest.mark.parametrize("path", [CROSSINGS, BORDERS])
@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"at": "2024-01-01"}, "at"),
        ({"known_at": "2190-01-01T00:00:00Z"}, "known_at"),
        ({"known_change": "1", "known_at": "2024-01-01T00:00:00Z"}, "known_change"),
    ],
)
async def test_an_instant_that_makes_no_sense_is_refused_by_name(
    seeded_api: Api, path: str, parameters: dict[str, str], field: str
) -> None:
    body = problem(await seeded_api.get(path, **parameters), 422, "invalid")

    assert fields_of(body) == [field]
