"""API keys: what they look like, what is kept of them, and whom they let do what."""

import hashlib
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import Key, new_key, parse_key
from app.access.service import authenticate, create_key, list_keys, revoke_key
from app.errors import Unauthorized
from app.vocabulary import KeyScope
from tests.api import SUMSKAS, Api, Json, citation, crossing, decision, problem
from tests.conftest import Database

ALPHANUMERIC = string.ascii_letters + string.digits

keys = st.builds(
    Key,
    st.text(ALPHANUMERIC, min_size=8, max_size=8),
    st.text(ALPHANUMERIC, min_size=43, max_size=43),
)


# What a key looks like


def test_a_new_key_is_prefix_id_secret_and_checksum() -> None:
    prefix, key_id, rest = str(new_key()).split("_")

    assert (prefix, len(key_id), len(rest)) == ("cxs", 8, 43 + 6)
    assert (key_id + rest).isalnum()
    assert (key_id + rest).isascii()


def test_new_keys_differ() -> None:
    made = [new_key() for _ in range(100)]

    assert len({key.id for key in made}) == len({key.secret for key in made}) == len(made)


@given(key=keys)
def test_a_key_reads_back_as_itself(key: Key) -> None:
    assert parse_key(str(key)) == key


@given(key=keys, data=st.data())
async def test_a_key_with_any_character_changed_is_refused_before_the_database_is_asked(
    key: Key, data: st.DataObject
) -> None:
    token = str(key)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda char: char != token[place]))
    await assert_refused_unasked(token[:place] + other + token[place + 1 :])


@given(key=keys, data=st.data())
async def test_a_key_with_a_character_lost_or_added_is_refused_before_the_database_is_asked(
    key: Key, data: st.DataObject
) -> None:
    token = str(key)
    place = data.draw(st.integers(0, len(token) - 1))
    await assert_refused_unasked(token[:place] + token[place + 1 :])
    await assert_refused_unasked(token[:place] + data.draw(st.characters()) + token[place:])


@given(token=st.text())
async def test_what_is_no_key_is_refused_before_the_database_is_asked(token: str) -> None:
    await assert_refused_unasked(token)


async def assert_refused_unasked(token: str | None) -> None:
    """Check the refusal with a session that has no database to ask."""
    async with AsyncSession() as session:
        with pytest.raises(Unauthorized):
            await authenticate(session, token)


# What is kept of it


async def test_only_the_hash_of_the_secret_is_stored(database: Database) -> None:
    token = await database.new_key(KeyScope.EVENTS, sides=["LT"], name="border guard")
    key = parse_key(token)
    assert key is not None

    with database.connect() as connection:
        rows = connection.execute("SELECT row_to_json(api_key)::text FROM api_key").fetchall()
        ((stored,),) = connection.execute("SELECT secret_hash FROM api_key").fetchall()

    ((row,),) = rows
    assert stored == hashlib.sha256(key.secret.encode()).digest()
    assert key.secret not in row
    assert key.secret.encode().hex() not in row


async def test_a_key_is_listed_with_what_it_may_do(database: Database) -> None:
    end = datetime(2199, 1, 1, tzinfo=UTC)
    async with database.session() as session:
        first = await create_key(session, name="all", scopes=list(KeyScope))
        second = await create_key(
            session,
            name="one side",
            scopes=[KeyScope.EVENTS, KeyScope.EVENTS],
            sides=["LT", "BY", "LT"],
            expires_at=end,
        )
    async with database.session() as session:
        assert await revoke_key(session, key_id=first.id)

    async with database.session() as session:
        found = {key.id: (key, revoked_at) for key, revoked_at in await list_keys(session)}

    assert found.keys() == {first.id, second.id}
    key, revoked_at = found[first.id]
    assert (key.name, key.sides, key.expires_at) == ("all", None, None)
    assert set(key.scopes) == {scope.value for scope in KeyScope}
    assert revoked_at is not None
    key, revoked_at = found[second.id]
    assert (key.name, key.scopes, key.sides) == ("one side", ["events:write"], ["BY", "LT"])
    assert (key.expires_at, revoked_at) == (end, None)


async def test_a_key_is_revoked_once(database: Database) -> None:
    token = await database.new_key()
    key = parse_key(token)
    assert key is not None

    async with database.session() as session:
        assert await revoke_key(session, key_id=key.id)
    async with database.session() as session:
        assert not await revoke_key(session, key_id=key.id)
        assert not await revoke_key(session, key_id="nowhere0")


# Who is let in


async def write(api: Api, headers: Mapping[str, str]) -> tuple[int, Json, str | None]:
    """Ask for a write and return the status, the body, and how to authenticate."""
    response = await api.client.post("/v1/events", json=decision(), headers=headers)
    return response.status_code, response.json(), response.headers.get("www-authenticate")


async def test_whoever_has_no_valid_key_gets_the_same_401_and_writes_nothing(
    seeded: Database, api: Api
) -> None:
    """Nobody learns what was wrong: unknown, misspelt, expired, revoked or a wrong secret."""
    valid = parse_key(api.key)
    assert valid is not None
    revoked, expired = parse_key(await seeded.new_key()), new_key()
    assert revoked is not None
    async with seeded.session() as session:
        await revoke_key(session, key_id=revoked.id)
    with seeded.connect() as connection:
        connection.execute(
            "INSERT INTO api_key (id, name, secret_hash, scopes, created_at, expires_at)"
            " VALUES (%s, 'expired', %s, '{events:write}', '2024-01-01Z', '2024-02-01Z')",
            [expired.id, expired.secret_hash],
        )
    headers = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Basic {valid}"},
        {"Authorization": str(valid)},
        *(
            {"Authorization": f"Bearer {token}"}
            for token in (
                new_key(),
                Key(valid.id, new_key().secret),
                Key(new_key().id, valid.secret),
                str(valid)[:-1] + ("0" if str(valid)[-1] != "0" else "1"),
                revoked,
                expired,
            )
        ),
    ]
    before = await newest_change(api)

    answers = [await write(api, one) for one in headers]

    assert answers == [
        (
            401,
            {
                "type": "/problems/unauthorized",
                "title": "A valid API key is needed",
                "status": 401,
                "detail": "Send a valid key: Authorization: Bearer KEY.",
            },
            "Bearer",
        )
    ] * len(headers)
    assert await newest_change(api) == before
    assert (await write(api, {"Authorization": f"bearer {valid}"}))[0] == 201


async def test_a_key_ends_with_the_request_after_its_revocation(seeded: Database, api: Api) -> None:
    await api.declare()
    key = parse_key(api.key)
    assert key is not None

    async with seeded.session() as session:
        await revoke_key(session, key_id=key.id)

    problem(await api.post("/v1/events", decision()), 401, "unauthorized")


async def test_public_reads_take_no_notice_of_a_key(api: Api) -> None:
    response = await api.client.get("/v1/crossings", headers={"Authorization": "Bearer nonsense"})

    assert response.status_code == 200


# Scopes


@pytest.mark.parametrize("scope", list(KeyScope))
async def test_a_key_writes_what_its_scopes_name_and_nothing_else(
    seeded: Database, api: Api, scope: KeyScope
) -> None:
    """A scope is never implied by another: an administrator's key declares nothing."""
    event = event_id(await api.declare())
    confirmation = {"sides": ["LT"], "citations": [citation()]}
    writes: list[tuple[KeyScope, str, Mapping[str, object]]] = [
        (KeyScope.EVENTS, "/v1/events", decision()),
        (KeyScope.EVENTS, f"/v1/events/{event}/retraction", {"reason": {"code": "other"}}),
        (KeyScope.EVENTS, f"/v1/crossings/{SUMSKAS}/confirmations", confirmation),
        (KeyScope.EVENTS, "/v1/sources", {"title": "A source"}),
        (KeyScope.ADMIN, "/v1/crossings", crossing()),
    ]
    key = await seeded.new_key(scope, name="some reporter")

    for needed, path, body in writes:
        before = await newest_change(api)
        response = await api.post(path, body, key=key)
        if needed is scope:
            assert response.status_code == 201, response.text
        else:
            told = problem(response, 403, "forbidden")
            assert told["detail"] == f"The key 'some reporter' lacks the scope {needed.value}."
            assert await newest_change(api) == before


async def test_a_key_is_checked_before_the_body_is_read(seeded: Database, api: Api) -> None:
    """Whoever may not write learns nothing about how to."""
    key = await seeded.new_key(KeyScope.NOTICES)

    problem(await api.post("/v1/events", {"nonsense": 1}, key=key), 403, "forbidden")
    problem(await api.post("/v1/events", {"nonsense": 1}, key=str(new_key())), 401, "unauthorized")


# Sides


@pytest.fixture
async def lithuanian(seeded: Database) -> str:
    """A key that may speak for Lithuania alone."""
    return await seeded.new_key(KeyScope.EVENTS, KeyScope.ADMIN, sides=["LT"], name="VSAT")


@pytest.mark.parametrize("sides", [["BY"], ["BY", "LT"]])
async def test_a_key_declares_only_for_its_sides(
    api: Api, lithuanian: str, sides: list[str]
) -> None:
    await assert_barred(api, lithuanian, "/v1/events", decision(sides=sides))

    response = await api.post("/v1/events", decision(), key=lithuanian)
    assert response.status_code == 201


async def test_a_key_supersedes_only_what_its_sides_said(api: Api, lithuanian: str) -> None:
    for sides in (["BY"], ["BY", "LT"]):
        theirs = event_id(await api.declare(sides=sides))
        await assert_barred(api, lithuanian, "/v1/events", decision(supersedes=[theirs]))

    ours = event_id(await api.declare(sides=["LT"]))
    response = await api.post("/v1/events", decision(supersedes=[ours]), key=lithuanian)
    assert response.status_code == 201


async def test_a_key_retracts_only_what_its_sides_said(api: Api, lithuanian: str) -> None:
    reason = {"reason": {"code": "other"}}
    for sides in (["BY"], ["BY", "LT"]):
        theirs = event_id(await api.declare(sides=sides))
        await assert_barred(api, lithuanian, f"/v1/events/{theirs}/retraction", reason)

    ours = event_id(await api.declare(sides=["LT"]))
    response = await api.post(f"/v1/events/{ours}/retraction", reason, key=lithuanian)
    assert response.status_code == 201


async def test_a_key_confirms_only_for_its_sides(api: Api, lithuanian: str) -> None:
    path = f"/v1/crossings/{SUMSKAS}/confirmations"
    for sides in (["BY"], ["BY", "LT"]):
        body = {"sides": sides, "citations": [citation()]}
        await assert_barred(api, lithuanian, path, body)

    response = await api.post(path, {"sides": ["LT"], "citations": [citation()]}, key=lithuanian)
    assert response.status_code == 201


async def test_a_key_adds_only_crossings_between_its_sides(
    seeded: Database, api: Api, lithuanian: str
) -> None:
    await assert_barred(api, lithuanian, "/v1/crossings", crossing())

    both = await seeded.new_key(KeyScope.ADMIN, sides=["LT", "BY"])
    assert (await api.post("/v1/crossings", crossing(), key=both)).status_code == 201


async def assert_barred(api: Api, key: str, path: str, body: Mapping[str, object]) -> None:
    """Check that a key for Lithuania may not do this for Belarus, nor see what it would do."""
    before = await newest_change(api)
    for parameters in ({}, {"validate_only": "true"}):
        told = problem(await api.post(path, body, key=key, **parameters), 403, "forbidden")
        assert told["detail"] == "The key 'VSAT' may not speak for BY."
    assert await newest_change(api) == before


async def newest_change(api: Api) -> str:
    return str((await api.get("/v1/crossings")).headers["change-number"])


def event_id(told: Json) -> str:
    events = told["events"]
    assert isinstance(events, list)
    (event,) = events
    assert isinstance(event, dict)
    return str(UUID(str(event["id"])))
