"""What a key may have and have sent, at the bound and one above; and the pace of deliveries."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import pytest

from app.delivery.pacing import Pacing
from app.subscriptions.addresses import AddressPolicy
from app.vocabulary import KeyScope
from tests.api import Json, problem
from tests.conftest import Database
from tests.marks import full
from tests.subscriptions.conftest import LOOPBACK, Hooks, with_worker
from tests.subscriptions.receivers import Receiver, receiving
from tests.waiting import PATIENCE, until

SUBSCRIPTIONS = "/v1/subscriptions"
BODY = {"url": "https://example.com/crossings"}


async def test_a_key_may_have_so_many_subscriptions_and_not_one_more(seeded: Database) -> None:
    other = await seeded.new_key(KeyScope.SUBSCRIPTIONS, name="another")
    async with seeded.api(subscriptions_per_key=2) as api:
        made = [await api.post(SUBSCRIPTIONS, BODY) for _ in range(2)]
        refused = await api.post(SUBSCRIPTIONS, BODY)
        preview = await api.post(SUBSCRIPTIONS, BODY, validate_only="true")
        of_another = await api.post(SUBSCRIPTIONS, BODY, key=other)
        headers = {"Authorization": f"Bearer {api.key}"}
        await api.client.delete(made[0].headers["location"], headers=headers)
        again = await api.post(SUBSCRIPTIONS, BODY)

    assert [one.status_code for one in made] == [201, 201]
    assert problem(refused, 409, "quota-exceeded")["detail"] == (
        "The key 'reporter' has 2 subscriptions, and may have 2. Delete one first."
    )
    problem(preview, 409, "quota-exceeded")
    assert (of_another.status_code, again.status_code) == (201, 201)


async def test_nor_may_it_by_asking_at_once(seeded: Database) -> None:
    async with seeded.api(subscriptions_per_key=2) as api:
        answers = await asyncio.gather(*(api.post(SUBSCRIPTIONS, BODY) for _ in range(6)))

    assert sorted(one.status_code for one in answers) == [201] * 2 + [409] * 4


async def test_a_retry_of_what_was_made_is_answered_still(seeded: Database) -> None:
    async with seeded.api(subscriptions_per_key=1) as api:
        answers = [await api.post(SUBSCRIPTIONS, BODY, idempotency_key="one") for _ in range(2)]

    assert [one.status_code for one in answers] == [201, 201]


async def test_so_many_test_messages_a_minute_and_not_one_more(seeded: Database) -> None:
    async with seeded.api(pings_per_minute=2) as api:
        first, other = [(await api.post(SUBSCRIPTIONS, BODY)).json() for _ in range(2)]
        answers = [await api.post(f"{SUBSCRIPTIONS}/{first['id']}/ping", {}) for _ in range(3)]
        of_other = await api.post(f"{SUBSCRIPTIONS}/{other['id']}/ping", {})
        with seeded.connect() as connection:
            connection.execute(
                "UPDATE delivery SET id = uuidv7(interval '-62 seconds'),"
                " created_at = now() - interval '62 seconds'"
            )
        later = await api.post(f"{SUBSCRIPTIONS}/{first['id']}/ping", {})

    assert [one.status_code for one in answers] == [201, 201, 429]
    body = problem(answers[2], 429, "rate-limited")
    assert str(body["detail"]).startswith("A subscription may have 2 test messages a minute. ")
    assert 0 < int(answers[2].headers["retry-after"]) <= 60
    assert (of_other.status_code, later.status_code) == (201, 201)


# The pace


async def test_workers_space_their_messages_to_one_host_together(database: Database) -> None:
    """What one has reserved the other leaves free; another host has instants of its own."""
    first, second = Pacing(1), Pacing(1)
    async with database.session() as session:
        many = await first.waits(session, "one", messages=2 * PATIENCE)
    reserved = reserved_until(database, "one")
    async with database.session() as session:
        more = await second.waits(session, "one", messages=2)
        others = await second.waits(session, "two", messages=2)
        nothing = await second.waits(session, "one", messages=0)
        unlimited = [
            await second.waits(session, None, messages=2),
            await Pacing(0).waits(session, "one", messages=2),
        ]

    assert many == [float(number) for number in range(2 * PATIENCE)]
    assert reserved_until(database, "one") == reserved + timedelta(seconds=2)
    assert more == [more[0], pytest.approx(more[0] + 1)]
    assert (others, nothing, unlimited) == ([0, 1], [], [[0, 0]] * 2)


def reserved_until(database: Database, host: str) -> datetime:
    with database.connect() as connection:
        query = "SELECT full_at FROM allowance WHERE name = %s"
        ((instant,),) = connection.execute(query, [f"webhooks {host}"]).fetchall()
    assert isinstance(instant, datetime)
    return instant


async def test_turns_of_one_host_are_put_off_each_to_its_own_instant() -> None:
    pacing = Pacing(2, clock=lambda: 100.0)
    async with AsyncExitStack() as under_way:
        first = [await under_way.enter_async_context(pacing.turn("one")) for _ in range(5)]
        other = await under_way.enter_async_context(pacing.turn("two"))
    async with pacing.turn("one") as then:
        pass

    assert first == [None, None, 0, 0.5, 1]
    assert (other, then) == (None, None)


@full
async def test_what_is_put_off_arrives(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two a second to all receivers on one host, and to those exempt as fast as they take it."""

    def exempts(_: AddressPolicy, __: str) -> bool:
        return False

    monkeypatch.setattr(AddressPolicy, "exempts", exempts)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(seeded.api(webhook_allow=LOOPBACK))
        hooks = Hooks(api, seeded)
        receivers: list[Receiver] = []
        subscriptions: list[Json] = []
        for _ in range(4):
            receivers.append(await stack.enter_async_context(receiving()))
            subscriptions.append(await hooks.subscribe(receivers[-1]))
        for subscription in subscriptions:
            await hooks.act(subscription, "ping", status=201)
        await stack.enter_async_context(with_worker(seeded, deliveries_per_second=2))
        await until(lambda: all(receiver.arrived for receiver in receivers))

    assert [len(receiver.arrived) for receiver in receivers] == [1] * 4
