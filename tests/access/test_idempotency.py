"""A retry never doubles: the same key and body give the same answer, once written."""

import asyncio
import json

import pytest

from app.vocabulary import KeyScope
from tests.api import MEDININKAI, SUMSKAS, Api, citation, crossing, decision, problem
from tests.conftest import Database

CONFIRMATION = {"sides": ["LT"], "citations": [citation()]}
POSTS: list[tuple[str, dict[str, object]]] = [
    ("/v1/events", decision()),
    (f"/v1/crossings/{SUMSKAS}/confirmations", CONFIRMATION),
    ("/v1/crossings", crossing()),
    ("/v1/sources", {"title": "Told twice"}),
    ("retraction", {"reason": {"code": "other"}}),
]


async def newest(api: Api) -> int:
    return int((await api.get("/v1/crossings")).headers["Change-Number"])


async def address(api: Api, path: str) -> str:
    """Return where to post: a retraction needs an event of its own first."""
    if path != "retraction":
        return path
    undo = (await api.declare())["undo"]
    assert isinstance(undo, list)
    return str(undo[0])


@pytest.mark.parametrize(("path", "body"), POSTS)
async def test_a_retry_gets_the_first_answer_again(
    api: Api, path: str, body: dict[str, object]
) -> None:
    path = await address(api, path)
    first = await api.post(path, body, idempotency_key="once")
    after = await newest(api)
    again = await api.post(path, body, idempotency_key="once")

    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    for header in ("Location", "Change-Number", "Content-Type"):
        assert again.headers[header] == first.headers[header]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await newest(api) == after == int(first.headers["Change-Number"])


async def test_the_answer_outlives_a_restart(seeded: Database) -> None:
    async with seeded.api() as before:
        key = before.key
        first = await before.post("/v1/events", decision(), idempotency_key="once")
    async with seeded.api() as after:
        again = await after.post("/v1/events", decision(), key=key, idempotency_key="once")

    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_the_same_key_with_another_body_is_a_conflict(api: Api) -> None:
    await api.post("/v1/events", decision(), idempotency_key="once")
    other = await api.post("/v1/events", decision(status="open"), idempotency_key="once")

    problem(other, 409, "idempotency-key-reused")


async def test_the_same_key_at_another_address_is_a_conflict(api: Api) -> None:
    for name, first in ((SUMSKAS, True), (MEDININKAI, False)):
        path = f"/v1/crossings/{name}/confirmations"
        response = await api.post(path, CONFIRMATION, idempotency_key="once")
        if first:
            assert response.status_code == 201
        else:
            problem(response, 409, "idempotency-key-reused")


async def test_another_reporters_key_is_another_key(seeded: Database) -> None:
    """Nobody can read, or block, what another wrote."""
    async with seeded.api() as api:
        mine = await api.post("/v1/events", decision(), idempotency_key="once")
        other = await seeded.new_key(KeyScope.EVENTS, name="other")
        theirs = await api.post("/v1/events", decision(), key=other, idempotency_key="once")

    assert theirs.status_code == 201
    assert theirs.json()["change"] == mine.json()["change"] + 1
    assert "Idempotent-Replayed" not in theirs.headers


async def test_quoted_and_bare_are_the_same_key(api: Api) -> None:
    """The IETF draft quotes it, most clients do not."""
    first = await api.post("/v1/events", decision(), idempotency_key="once")
    again = await api.post("/v1/events", decision(), idempotency_key='"once"')

    assert again.content == first.content


async def test_order_and_spacing_of_the_body_do_not_make_another_request(api: Api) -> None:
    first = await api.post("/v1/events", decision(), idempotency_key="once")
    again = await api.client.post(
        "/v1/events",
        content=json.dumps(dict(reversed(decision().items())), indent=3),
        headers={
            "Authorization": f"Bearer {api.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": "once",
        },
    )

    assert again.content == first.content


async def test_a_refused_request_leaves_the_key_free(api: Api) -> None:
    """Only what succeeded is kept: mend the body and send it again."""
    wrong = decision(sides=["PL"])
    for _ in range(2):
        response = await api.post("/v1/events", wrong, idempotency_key="once")
        problem(response, 422, "invalid")
        assert "Idempotent-Replayed" not in response.headers
    right = await api.post("/v1/events", decision(), idempotency_key="once")

    assert right.status_code == 201


async def test_a_preview_ignores_the_key(api: Api) -> None:
    previewed = await api.post(
        "/v1/events", decision(status="open"), idempotency_key="once", validate_only="true"
    )
    real = await api.post("/v1/events", decision(), idempotency_key="once")
    again = await api.post(
        "/v1/events", decision(status="open"), idempotency_key="once", validate_only="true"
    )

    assert (previewed.status_code, real.status_code, again.status_code) == (200, 201, 200)


async def test_twenty_at_once_make_one_write(api: Api) -> None:
    before = await newest(api)
    answers = await asyncio.gather(
        *(api.post("/v1/events", decision(), idempotency_key="once") for _ in range(20))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    assert await newest(api) == before + 1


@pytest.mark.parametrize("key", ["", " ", '""', "x" * 256, "two words", "kľúč"])
async def test_a_key_that_is_none_is_refused(seeded_api: Api, key: str) -> None:
    response = await seeded_api.client.post(
        "/v1/events",
        json=decision(),
        headers=[
            (b"Authorization", f"Bearer {seeded_api.key}".encode()),
            (b"Idempotency-Key", key.encode()),
        ],
    )

    problem(response, 422, "invalid")
