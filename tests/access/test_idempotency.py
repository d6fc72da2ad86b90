"""A write that is repeated with its Idempotency-Key is done once and answered the same."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from app.embedded.server import SUPERUSER
from tests.api import SUMSKAS, Api, citation, crossing, decision, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

EVENTS = "/v1/events"
KEY = "5f1a9c1e"


async def newest_change(api: Api) -> int:
    return int((await api.get("/v1/crossings")).headers["change-number"])


async def write_of(api: Api, kind: str) -> tuple[str, Body]:
    """Return the path and body of a write of this kind; what it needs is written already."""
    confirmation = {"sides": ["LT"], "citations": [citation()]}
    match kind:
        case "decision":
            return EVENTS, decision()
        case "retraction":
            told: Body = await api.declare()
            event = told["events"][0]["id"]
            return f"{EVENTS}/{event}/retraction", {"reason": {"code": "other"}}
        case "confirmation":
            return f"/v1/crossings/{SUMSKAS}/confirmations", confirmation
        case "crossing":
            return "/v1/crossings", crossing()
        case _:
            return "/v1/sources", {"title": "A source"}


KINDS = ["decision", "retraction", "confirmation", "crossing", "source"]


def check_replayed(first: httpx2.Response, again: httpx2.Response) -> None:
    """Check that the second answer is the first one, and says that it is."""
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    for name in ("location", "change-number", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_repeated_write_gets_the_first_answer_again_and_writes_nothing(
    api: Api, kind: str
) -> None:
    path, body = await write_of(api, kind)
    first = await api.post(path, body, idempotency_key=KEY)
    after_first = await newest_change(api)
    again = await api.post(path, body, idempotency_key=KEY)
    check_replayed(first, again)
    assert await newest_change(api) == after_first == int(first.headers["change-number"])


async def test_an_answer_is_kept_as_it_was_whatever_happened_since(api: Api) -> None:
    first = await api.post(EVENTS, decision(), idempotency_key=KEY)
    undo = first.json()["undo"][0]
    assert (await api.post(undo, {"reason": {"code": "other"}})).status_code == 201
    check_replayed(first, await api.post(EVENTS, decision(), idempotency_key=KEY))


async def test_an_answer_is_kept_across_a_restart_of_the_service(seeded: Database) -> None:
    key = await seeded.new_key()
    async with seeded.api() as api:
        first = await api.post(EVENTS, decision(), key=key, idempotency_key=KEY)
    async with seeded.api() as api:
        again = await api.post(EVENTS, decision(), key=key, idempotency_key=KEY)
        check_replayed(first, again)


async def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    first = await api.post(EVENTS, decision(), idempotency_key=KEY)
    before = await newest_change(api)
    for other in (
        decision(status="open"),
        decision(to="LT"),
        decision(citations=[citation(locator="line 2")]),
        decision(reason={"code": "security", "text": "A test closes it."}),
        decision(announced_at="2023-01-01T00:00:00Z"),
    ):
        refused = await api.post(EVENTS, other, idempotency_key=KEY)
        problem(refused, 409, "idempotency-key-reused")
    assert await newest_change(api) == before
    check_replayed(first, await api.post(EVENTS, decision(), idempotency_key=KEY))


async def test_the_same_key_at_another_address_is_refused(api: Api) -> None:
    """Even where the body is the same: a retraction of another event."""
    one: Body = await api.declare()
    other: Body = await api.declare()
    body = {"reason": {"code": "other"}}
    await api.post(one["undo"][0], body, idempotency_key=KEY)
    refused = await api.post(other["undo"][0], body, idempotency_key=KEY)
    problem(refused, 409, "idempotency-key-reused")
    refused = await api.post("/v1/sources", {"title": "x"}, idempotency_key=KEY)
    problem(refused, 409, "idempotency-key-reused")
    event = (await api.get(f"{EVENTS}/{other['events'][0]['id']}")).json()
    assert event["retracted_by"] is None


async def test_another_key_is_another_write(api: Api) -> None:
    first = await api.post(EVENTS, decision(), idempotency_key="one")
    second = await api.post(EVENTS, decision(), idempotency_key="other")
    assert second.status_code == 201
    assert "idempotent-replayed" not in second.headers
    assert second.json()["decision"] != first.json()["decision"]


async def test_without_a_key_every_write_is_its_own(api: Api) -> None:
    first = await api.post(EVENTS, decision())
    second = await api.post(EVENTS, decision())
    assert second.json()["change"] == first.json()["change"] + 1


@pytest.mark.parametrize(
    ("one", "other"),
    [(KEY, f'"{KEY}"'), (f'"{KEY}"', KEY), ("a/b+c=", '"a/b+c="'), ("k" * 253, f'"{"k" * 253}"')],
)
async def test_a_quoted_and_a_bare_key_are_the_same(api: Api, one: str, other: str) -> None:
    first = await api.post(EVENTS, decision(), idempotency_key=one)
    check_replayed(first, await api.post(EVENTS, decision(), idempotency_key=other))


async def test_keys_differ_in_case_and_every_character(api: Api) -> None:
    numbers = set()
    for key in ("key", "KEY", "Key", "key.", '"key "', '" key"'):
        response = await api.post("/v1/sources", {"title": "x"}, idempotency_key=key)
        assert "idempotent-replayed" not in response.headers
        numbers.add(response.json()["change"])
    assert len(numbers) == 6


async def test_an_idempotency_key_belongs_to_the_api_key_that_used_it(
    api: Api, seeded: Database
) -> None:
    """Nobody is answered with what another wrote, nor refused for it."""
    other = await seeded.new_key(name="another reporter")
    first = await api.post(EVENTS, decision(), idempotency_key=KEY)
    same = await api.post(EVENTS, decision(), key=other, idempotency_key=KEY)
    assert same.status_code == 201
    assert "idempotent-replayed" not in same.headers
    assert same.json()["events"][0]["recorded_by"] == "another reporter"
    assert same.json()["decision"] != first.json()["decision"]
    third = await seeded.new_key(name="a third")
    different = await api.post(EVENTS, decision(status="open"), key=third, idempotency_key=KEY)
    assert different.status_code == 201


async def test_a_key_that_is_not_valid_is_not_answered_from_what_is_kept(api: Api) -> None:
    await api.post(EVENTS, decision(), idempotency_key=KEY)
    stranger = await api.post(EVENTS, decision(), key="cxs_nobody", idempotency_key=KEY)
    problem(stranger, 401, "unauthorized")


async def test_a_refusal_is_not_kept(api: Api) -> None:
    """The corrected request may use the same key."""
    conflict: Body = await api.declare()
    old = conflict["events"][0]["id"]
    await api.declare(supersedes=[old])
    for bad, status in (
        (decision(status="shut"), 422),
        (decision(crossings=["nowhere"]), 422),
        (decision(announced_at="2190-01-01T00:00:00Z"), 422),
        (decision(supersedes=[old]), 409),
    ):
        for _ in range(2):
            refused = await api.post(EVENTS, bad, idempotency_key=KEY)
            assert refused.status_code == status
            assert "idempotent-replayed" not in refused.headers
    good = await api.post(EVENTS, decision(), idempotency_key=KEY)
    assert good.status_code == 201
    check_replayed(good, await api.post(EVENTS, decision(), idempotency_key=KEY))


@pytest.mark.parametrize("kind", KINDS)
async def test_twenty_at_once_make_one_write_and_are_given_the_same_bytes(
    api: Api, kind: str
) -> None:
    path, body = await write_of(api, kind)
    before = await newest_change(api)
    answers = await asyncio.gather(*(api.post(path, body, idempotency_key=KEY) for _ in range(20)))
    assert {one.status_code for one in answers} == {201}
    assert len({one.content for one in answers}) == 1
    assert len({one.headers["location"] for one in answers}) == 1
    replayed = [one.headers.get("idempotent-replayed") for one in answers]
    assert sorted(replayed, key=str) == [None, *["true"] * 19]
    assert await newest_change(api) == before + 1


async def test_of_many_bodies_at_once_with_one_key_one_wins_and_the_rest_are_refused(
    api: Api,
) -> None:
    before = await newest_change(api)
    answers = await asyncio.gather(
        *(
            api.post("/v1/sources", {"title": f"Source {number}"}, idempotency_key=KEY)
            for number in range(10)
        )
    )
    assert sorted(one.status_code for one in answers) == [201] + [409] * 9
    assert await newest_change(api) == before + 1


def make_commits_fail(seeded: Database) -> None:
    """Let every commit of a kept answer fail, as it would on a full disk."""
    with seeded.connect(SUPERUSER) as connection:
        connection.execute("""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the commit fails' USING ERRCODE = 'disk_full'; END $$
        """)
        connection.execute("""
            CREATE CONSTRAINT TRIGGER failing AFTER INSERT ON kept_answer
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()
        """)


async def test_a_first_request_that_was_rolled_back_leaves_the_key_free(
    api: Api, seeded: Database
) -> None:
    """Answer and write last together or not at all: the failed commit is no success."""
    make_commits_fail(seeded)
    before = await newest_change(api)
    failed = await api.post(EVENTS, decision(), idempotency_key=KEY)
    assert failed.status_code in {500, 503}
    assert await newest_change(api) == before
    with seeded.connect(SUPERUSER) as connection:
        connection.execute("DROP TRIGGER failing ON kept_answer")
    other_body = decision(status="open")
    retried = await api.post(EVENTS, other_body, idempotency_key=KEY)
    assert retried.status_code == 201
    assert "idempotent-replayed" not in retried.headers
    assert await newest_change(api) == before + 1


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b" ",
        b'""',
        b"k" * 256,
        b'"' + b"k" * 256 + b'"',
        "ž".encode(),
        b"caf\xe9",
        b'"caf\xe9"',
        b"two words",
        b"tab\tbed",
        b'"tab\tbed"',
    ],
)
async def test_a_bad_key_is_refused_by_name(seeded_api: Api, key: bytes) -> None:
    headers: Mapping[bytes, bytes] = {
        b"Authorization": f"Bearer {seeded_api.key}".encode(),
        b"Idempotency-Key": key,
    }
    before = await newest_change(seeded_api)
    response = await seeded_api.client.post(EVENTS, json=decision(), headers=headers)
    told = problem(response, 422, "invalid")
    (named,) = fields_of(told)
    assert named.lower() == "idempotency-key"
    assert await newest_change(seeded_api) == before


@pytest.mark.parametrize(
    "key", ["k", "k" * 255, '"' + "k" * 253 + '"', "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"]
)
async def test_a_key_may_be_any_255_printable_characters(api: Api, key: str) -> None:
    first = await api.post("/v1/sources", {"title": "x"}, idempotency_key=key)
    check_replayed(first, await api.post("/v1/sources", {"title": "x"}, idempotency_key=key))


async def test_a_body_that_differs_only_in_how_it_is_written_is_the_same_request(
    api: Api,
) -> None:
    body = decision(
        effective={"from": "2023-08-18T00:00:00+03:00", "until": None},
        reason={"code": "security", "text": "Uždaryta"},
    )
    turned = dict(reversed(body.items()))
    instant = {"from": "2023-08-17T21:00:00.000Z"}
    texts = [
        json.dumps(body),
        json.dumps(body, indent=4, ensure_ascii=False),
        json.dumps(turned, separators=(",", ":")),
        json.dumps({**turned, "effective": instant}),
        json.dumps({**body, "to": None, "certainty": "confirmed", "supersedes": []}),
    ]
    answers = [
        await api.client.post(
            EVENTS,
            content=text.encode(),
            headers={
                "Authorization": f"Bearer {api.key}",
                "Idempotency-Key": KEY,
                "Content-Type": "application/json",
            },
        )
        for text in texts
    ]
    for again in answers[1:]:
        check_replayed(answers[0], again)
