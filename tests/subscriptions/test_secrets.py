"""The secrets of webhooks: encrypted where they are stored, and in an answer for a day only."""

import re
from collections.abc import Mapping

import httpx2
import pytest

from app.access.writing import forget_secrets
from app.commands.secrets import count_unreadable, rotate_secrets
from app.embedded.server import SUPERUSER
from app.encryption import Cipher, UnreadableSecret, new_secret_key
from tests.api import Json, problem
from tests.conftest import SECRET_KEY, Database
from tests.subscriptions.conftest import LOOPBACK, Hooks, with_worker
from tests.subscriptions.receivers import Receiver
from tests.waiting import until

URL = "https://example.com/crossings"
NEW_KEY = new_secret_key()


async def repeated(
    hooks: Hooks, path: str, body: Mapping[str, object]
) -> tuple[httpx2.Response, httpx2.Response]:
    """Return the answers to the first of two same requests and to the second."""
    first, second = [await hooks.api.post(path, body, idempotency_key=path) for _ in range(2)]
    return first, second


def grow_old(database: Database, hours: int) -> None:
    """Let what was kept of answers be kept for so much longer."""
    with database.connect(SUPERUSER) as connection:
        connection.execute(
            "UPDATE secret_answer SET kept_at = kept_at - make_interval(hours => %s)", [hours]
        )


def stored(database: Database) -> list[tuple[str, bytes, str | None]]:
    """Return of each stored answer its idempotency key, its body and the encrypted whole."""
    with database.connect() as connection:
        return connection.execute("""
            SELECT idempotency_key, answer.body, secret.body
            FROM kept_answer answer LEFT JOIN secret_answer secret USING (key_id, idempotency_key)
        """).fetchall()


async def test_a_retry_gets_the_secret_for_a_day_and_null_afterwards(quiet: Hooks) -> None:
    made = await quiet.subscribe(URL)
    for path, body in (
        ("/v1/subscriptions", {"url": URL}),
        (f"/v1/subscriptions/{made['id']}/secret", {}),
    ):
        first, second = await repeated(quiet, path, body)
        assert (second.status_code, second.content) == (first.status_code, first.content)
        grow_old(quiet.database, 23)
        _, third = await repeated(quiet, path, body)
        assert third.content == first.content

        grow_old(quiet.database, 2)
        _, late = await repeated(quiet, path, body)
        assert late.status_code == first.status_code
        assert late.json() == first.json() | {"secret": None}
        assert late.headers["idempotent-replayed"] == "true"


async def test_stored_answers_have_no_secret_and_are_pruned(quiet: Hooks) -> None:
    body: Json = {"url": URL}
    first, _ = await repeated(quiet, "/v1/subscriptions", body)
    ((name, kept, encrypted),) = stored(quiet.database)
    assert b"whsec" not in kept
    assert b'"secret":null' in kept
    assert encrypted is not None
    assert Cipher([SECRET_KEY]).decrypt(encrypted) == first.text

    for hours, left in ((23, encrypted), (2, None)):
        grow_old(quiet.database, hours)
        async with quiet.database.session() as session:
            await forget_secrets(session)
        assert stored(quiet.database) == [(name, kept, left)]


async def test_the_delivery_worker_prunes_them(quiet: Hooks) -> None:
    await repeated(quiet, "/v1/subscriptions", {"url": URL})
    grow_old(quiet.database, 25)

    async with with_worker(quiet.database):

        async def is_pruned() -> bool:
            return [encrypted for *_, encrypted in stored(quiet.database)] == [None]

        await until(is_pruned)


async def test_without_a_key_everything_but_new_secrets_works(quiet: Hooks) -> None:
    made = await quiet.subscribe(URL)
    first, _ = await repeated(quiet, "/v1/subscriptions", {"url": URL})
    async with quiet.database.api(secret_key=None, webhook_allow=LOOPBACK) as api:
        api_key = quiet.api.key
        for path in ("/v1/subscriptions", f"/v1/subscriptions/{made['id']}/secret"):
            body = {"url": URL} if path.endswith("s") else {}
            for idempotency_key in (None, path):
                refused = await api.post(path, body, key=api_key, idempotency_key=idempotency_key)
                told = problem(refused, 503, "secrets-unavailable")
                assert "CROSSINGS_SECRET_KEY" in str(told["detail"])
        await api.declare()
        paused = await api.post(f"/v1/subscriptions/{made['id']}/pause", {}, key=api_key)
        assert paused.status_code == 200
    async with quiet.database.api(secret_key=NEW_KEY) as api:
        again = await api.post(
            "/v1/subscriptions",
            {"url": URL},
            key=quiet.api.key,
            idempotency_key="/v1/subscriptions",
        )
        problem(again, 503, "secrets-unavailable")
    _, late = await repeated(quiet, "/v1/subscriptions", {"url": URL})
    assert late.content == first.content


@pytest.mark.parametrize("keys", [None, NEW_KEY], ids=["no key", "another key"])
async def test_what_cannot_be_signed_waits_for_the_key(
    quiet: Hooks, receiver: Receiver, caplog: pytest.LogCaptureFixture, keys: str | None
) -> None:
    subscription = await quiet.subscribe(receiver)
    await quiet.api.declare()

    async with with_worker(quiet.database, secret_key=keys):

        async def is_logged() -> bool:
            return "its secret cannot be read" in caplog.text

        await until(is_logged)
    assert "Traceback" not in caplog.text
    assert receiver.arrived == []
    with quiet.database.connect(SUPERUSER) as connection:
        connection.execute("UPDATE subscription SET lease_until = NULL")  # rather than wait for it

    async with with_worker(quiet.database):
        (arrival,) = await receiver.got(1)
    arrival.verify(subscription["secret"])


async def test_keys_are_rotated_without_a_gap(quiet: Hooks, receiver: Receiver) -> None:
    """Under both keys everything is read; after the rotation the new key is enough."""
    subscription = await quiet.subscribe(receiver)
    rotated = await quiet.act(subscription, "secret")
    first, _ = await repeated(quiet, "/v1/subscriptions", {"url": URL})
    both = f"{NEW_KEY},{SECRET_KEY}"
    async with with_worker(quiet.database, secret_key=both):
        await quiet.api.declare()
        await receiver.got(1)
    async with quiet.database.session() as session:
        with pytest.raises(UnreadableSecret):
            await rotate_secrets(session, cipher=Cipher([NEW_KEY]))
    for expected in (4, 0):  # two of one subscription, one of another, a stored answer
        async with quiet.database.session() as session:
            count = await rotate_secrets(session, cipher=Cipher([NEW_KEY, SECRET_KEY]))
            assert count == expected
    async with quiet.database.session() as session:
        assert await count_unreadable(session, cipher=Cipher([NEW_KEY])) == 0
        assert await count_unreadable(session, cipher=Cipher([SECRET_KEY])) == 4
        assert await count_unreadable(session, cipher=None) == 4

    async with with_worker(quiet.database, secret_key=NEW_KEY):
        await quiet.api.declare()
        arrivals = await receiver.got(2)
    for arrival in arrivals:
        arrival.verify(rotated["secret"])
        arrival.verify(subscription["secret"])
    async with quiet.database.api(secret_key=NEW_KEY) as api:
        again = await api.post(
            "/v1/subscriptions",
            {"url": URL},
            key=quiet.api.key,
            idempotency_key="/v1/subscriptions",
        )
        assert again.content == first.content


async def test_nothing_stored_of_a_subscription_is_in_clear(quiet: Hooks) -> None:
    subscription = await quiet.subscribe(URL)
    await quiet.act(subscription, "secret")

    with quiet.database.connect() as connection:
        ((row,),) = connection.execute("SELECT one::text FROM subscription one").fetchall()
    assert "whsec" not in row
    assert len(re.findall("gAAAA", row)) == 2
