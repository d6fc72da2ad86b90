"""Changes reach whoever subscribed: signed, in order, again until they are taken."""

import time
from collections import defaultdict
from datetime import datetime, timedelta

import pytest
from anyio import to_thread

from app.embedded.server import SUPERUSER
from app.subscriptions import deliveries, sending
from app.subscriptions.deliveries import AT_ONCE, DELAYS, LONGEST_WAIT, delay_after
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS
from tests.conftest import Database
from tests.marks import full
from tests.subscriptions.conftest import Hooks, attempts_of, of_state, with_worker
from tests.subscriptions.receivers import (
    Answer,
    Arrival,
    Receiver,
    Write,
    accept,
    answering,
    close_early,
    drip,
    hang,
    receiving,
    status,
)
from tests.waiting import eventually, until


async def test_a_change_arrives_as_a_signed_cloudevent(hooks: Hooks, receiver: Receiver) -> None:
    subscription = await hooks.subscribe(receiver)

    declared = await hooks.api.declare()

    (arrival,) = await receiver.got(1)
    arrival.verify(subscription["secret"])
    before = int(str(declared["change"])) - 1
    (recorded,) = (await hooks.api.get("/v1/changes", after=before)).json()["items"]
    assert arrival.event["data"] == recorded
    assert arrival.event["id"] == recorded["hash"]
    assert arrival.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    (delivery,) = await hooks.settled(subscription)
    assert (delivery["id"], delivery["state"]) == (arrival.id, "delivered")
    assert [(one["status"], one["error"]) for one in attempts_of(delivery)] == [(200, None)]


async def test_only_what_is_asked_for_arrives(hooks: Hooks, receiver: Receiver) -> None:
    await hooks.api.declare()
    await hooks.subscribe(receiver, filter={"crossings": [TVERECIUS], "kinds": ["decision"]})

    await hooks.api.declare()
    wanted = await hooks.api.declare(crossings=[TVERECIUS, SUMSKAS])
    await hooks.api.declare(crossings=[MEDININKAI])
    last = await hooks.api.declare(crossings=[TVERECIUS], status="open")

    arrivals = await receiver.got(2)
    assert [one.change for one in arrivals] == [wanted["change"], last["change"]]


# What fails is tried again


FAULTS: list[tuple[Answer, int | None, str]] = [
    (answering(500), 500, "status 500"),
    (answering(301, headers=("Location: /elsewhere",)), 301, "status 301"),
    (answering(404), 404, "status 404"),
    (hang, None, "no complete answer in time"),
    (close_early, None, "the connection was closed before the answer was complete"),
    (drip, None, "no complete answer in time"),
]
NAMES = ("500", "redirect", "404", "hang", "close early", "drip")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("answer", "told", "error"), FAULTS, ids=NAMES)
async def test_whatever_is_no_2xx_is_sent_again_by_the_same_id(
    quiet: Hooks,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    told: int | None,
    error: str,
) -> None:
    monkeypatch.setattr(sending, "SECONDS", 1.0)
    receiver.answer = answer
    subscription = await quiet.subscribe(receiver)
    async with with_worker(quiet.database):
        await quiet.api.declare()
        await quiet.attempted(subscription, 1)
        receiver.answer, receiver.is_cutting = accept, False
        (delivery,) = await quiet.settled(subscription)

    first, *_, last = attempts_of(delivery)
    assert (first["status"], first["error"]) == (told, error)
    assert (last["status"], last["error"]) == (200, None)
    assert {one.id for one in receiver.arrived} == {delivery["id"]}
    assert len({one.body for one in receiver.arrived}) == 1
    for one in receiver.arrived:
        one.verify(subscription["secret"])


@full
@pytest.mark.usefixtures("impatient")
async def test_what_failed_fifteen_times_has_failed_until_it_is_asked_for_again(
    hooks: Hooks, receiver: Receiver
) -> None:
    receiver.answer = answering(500)
    subscription = await hooks.subscribe(receiver)
    await hooks.api.declare()

    (failed,) = await hooks.settled(subscription)

    assert (failed["state"], len(attempts_of(failed))) == ("failed", len(DELAYS) + 1)
    assert (await hooks.look(subscription))["status"] == "active"
    receiver.answer = accept
    await hooks.act(subscription, f"deliveries/{failed['id']}/redeliver", status=201)
    (again,) = await hooks.settled(subscription)
    assert (again["id"], again["state"]) == (failed["id"], "delivered")
    assert {one.id for one in receiver.arrived} == {failed["id"]}


def test_attempts_go_on_for_three_days() -> None:
    waits = [delay_after(tries, None) for tries in range(1, len(DELAYS) + 2)]

    assert waits[-1] is None
    for wait, delay in zip(waits[:-1], DELAYS, strict=True):
        assert wait is not None
        assert 0.8 * delay <= wait <= 1.2 * delay
    assert timedelta(days=3) < sum(DELAYS, timedelta()) < timedelta(days=3.5)


def test_a_receiver_may_ask_for_more_time_but_not_for_ever() -> None:
    asked = delay_after(1, timedelta(minutes=10))

    assert asked == timedelta(minutes=10)
    assert delay_after(1, timedelta(days=400)) == LONGEST_WAIT


async def test_a_busy_receiver_says_when_to_come_back(hooks: Hooks, receiver: Receiver) -> None:
    receiver.answer = answering(503, headers=("Retry-After: 3000",))
    subscription = await hooks.subscribe(receiver)
    await hooks.api.declare()

    (delivery,) = await hooks.attempted(subscription, 1)

    (attempt,) = attempts_of(delivery)
    assert str(delivery["next_attempt_at"]) > str(attempt["at"])
    asked = "SELECT next_attempt_at - now() FROM delivery WHERE state = 'pending'"
    with hooks.database.connect() as connection:
        (wait,) = connection.execute(asked).fetchone() or (timedelta(),)
    assert timedelta(minutes=45) < wait <= timedelta(seconds=3000)


# Who is not delivered to


async def test_paused_nothing_is_sent_and_resumed_nothing_is_missing(
    hooks: Hooks, receiver: Receiver
) -> None:
    subscription = await hooks.subscribe(receiver)
    first = await hooks.api.declare()
    await receiver.got(1)
    assert (await hooks.act(subscription, "pause"))["status"] == "paused"

    kept = [await hooks.api.declare(status=one) for one in ("open", "closed", "restricted")]
    await hooks.when(subscription, lambda found: len(of_state(found, "pending")) == len(kept))

    assert len(receiver.arrived) == 1
    assert (await hooks.act(subscription, "resume"))["status"] == "active"
    arrivals = await receiver.got(4)
    assert [one.change for one in arrivals] == [one["change"] for one in (first, *kept)]


async def test_a_receiver_that_is_gone_is_disabled_at_once_until_resumed(
    hooks: Hooks, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = answering(410)
    subscription = await hooks.subscribe(receiver)
    await hooks.api.declare()
    await hooks.attempted(subscription, 1)

    told = await hooks.look(subscription)

    assert (told["status"], told["disabled_reason"]) == (
        "disabled",
        "the receiver answered 410 Gone",
    )
    assert f"Subscription {subscription['id']} is disabled" in caplog.text
    receiver.answer = accept
    resumed = await hooks.act(subscription, "resume")
    assert (resumed["status"], resumed["disabled_reason"]) == ("active", None)
    # The attempt that met 410 is tried again when its time has come.
    with hooks.database.connect() as connection:
        connection.execute("UPDATE delivery SET next_attempt_at = now()")
    await hooks.act(subscription, "ping", status=201)
    assert {one["state"] for one in await hooks.settled(subscription, 2)} == {"delivered"}


async def test_who_failed_for_five_days_without_a_success_is_disabled(
    hooks: Hooks, receiver: Receiver
) -> None:
    receiver.answer = answering(500)
    subscription = await hooks.subscribe(receiver)
    await hooks.api.declare()
    await hooks.attempted(subscription, 1)
    assert (await hooks.look(subscription))["status"] == "active"

    with hooks.database.connect() as connection:
        connection.execute("UPDATE subscription SET failing_since = now() - interval '5 days'")
    await hooks.act(subscription, "ping", status=201)
    await hooks.attempted(subscription, 2)

    told = await hooks.look(subscription)
    assert (told["status"], told["disabled_reason"]) == (
        "disabled",
        "no attempt succeeded for 5 days",
    )


# Order, and who waits for whom


@pytest.mark.usefixtures("impatient")
async def test_changes_of_a_crossing_stay_in_order_and_others_go_by(
    hooks: Hooks, receiver: Receiver
) -> None:
    """One crossing's first change fails for long; those of the other crossings do not wait."""
    stuck: list[int] = []

    async def answer(_: Receiver, arrival: Arrival, write: Write) -> None:
        refuse = SUMSKAS in arrival.crossings and len(receiver.accepted) < 6
        stuck.extend([arrival.change] if refuse else [])
        await write(status(503 if refuse else 200))

    receiver.answer = answer
    subscription = await hooks.subscribe(receiver)
    turns = [[SUMSKAS], [TVERECIUS], [MEDININKAI], [SUMSKAS, TVERECIUS], [MEDININKAI]]
    declared = [
        await hooks.api.declare(crossings=turn, status=("closed", "open")[number % 2])
        for number, turn in enumerate([*turns, [MEDININKAI], [MEDININKAI], [MEDININKAI]])
    ]

    assert {one["state"] for one in await hooks.settled(subscription, 8)} == {"delivered"}
    assert set(stuck) == {declared[0]["change"]}
    assert sorted(one.change for one in receiver.accepted) == [one["change"] for one in declared]
    by_crossing: dict[str, list[int]] = defaultdict(list)
    for one in receiver.accepted:
        for crossing in one.crossings:
            by_crossing[crossing].append(one.change)
    assert all(changes == sorted(changes) for changes in by_crossing.values())


@full
async def test_no_receiver_has_more_than_four_under_way_and_none_waits_for_another(
    hooks: Hooks, receiver: Receiver
) -> None:
    async with receiving(hang) as hanging:
        stuck = await hooks.subscribe(hanging)
        well = await hooks.subscribe(receiver)
        crossings = (await hooks.api.get("/v1/crossings")).json()["items"]
        assert len(crossings) >= 2 * AT_ONCE
        for one in crossings[: 2 * AT_ONCE]:
            await hooks.api.declare(crossings=[one["id"]], sides=one["sides"][:1])
        await hooks.settled(well, 2 * AT_ONCE)

        assert receiver.most_under_way <= AT_ONCE
        assert hanging.under_way == hanging.most_under_way == len(hanging.arrived)
        assert 1 <= hanging.most_under_way <= AT_ONCE
        assert not any(attempts_of(one) for one in await hooks.deliveries(stuck))


# Secrets


def expire_old_secrets(database: Database) -> None:
    """Wait in a thread for what the delivery worker, in this one, may have under way."""
    with database.connect() as connection:
        connection.execute("UPDATE subscription SET old_secret_until = now()")


async def test_a_new_secret_comes_without_a_gap(hooks: Hooks, receiver: Receiver) -> None:
    """For a day both sign: whoever verifies by either accepts every message."""
    made = await hooks.subscribe(receiver)
    rotated = await hooks.act(made, "secret")
    await hooks.api.declare()
    (arrival,) = await receiver.got(1)

    assert made["secret"] != rotated["secret"]
    assert len(arrival.headers["webhook-signature"].split()) == 2
    for secret in (made["secret"], rotated["secret"]):
        arrival.verify(secret)
    await to_thread.run_sync(expire_old_secrets, hooks.database)
    await hooks.api.declare(status="open")
    arrivals = await receiver.got(2)
    arrivals[1].verify(rotated["secret"])
    assert len(arrivals[1].headers["webhook-signature"].split()) == 1


async def test_a_test_message_is_signed_and_tells_of_nothing(
    hooks: Hooks, receiver: Receiver
) -> None:
    subscription = await hooks.subscribe(receiver)

    sent = await hooks.act(subscription, "ping", status=201)

    (arrival,) = await receiver.got(1)
    arrival.verify(subscription["secret"])
    assert (arrival.id, arrival.event["type"]) == (sent["id"], "crossing-status.test")
    assert sent["change"] is None


# Mishaps of the delivery worker's own


async def test_a_turn_of_a_worker_that_died_is_taken_up_again_once_its_lease_is_over(
    quiet: Hooks, receiver: Receiver
) -> None:
    subscription = await quiet.subscribe(receiver)
    await quiet.act(subscription, "ping", status=201)
    async with quiet.database.session() as session:
        (turn,), _ = await deliveries.take_turns(session, room=10)
    async with quiet.database.session() as session:
        assert await deliveries.take_turns(session, room=10) == ([], None)
        await deliveries.renew(session, [turn, turn._replace(number=7)])

    async with with_worker(quiet.database):
        await to_thread.run_sync(expire_leases, quiet.database)
        (delivery,) = await quiet.settled(subscription)

    assert delivery["state"] == "delivered"
    async with quiet.database.session() as session:
        late = await deliveries.advance(session, turn, outcomes={}, under_way=set())
    assert late is not None
    assert late.due == {}


def expire_leases(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("UPDATE subscription SET lease_until = now()")


async def test_a_worker_renews_the_lease_of_an_attempt_that_takes_long(
    quiet: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker would send the same again."""
    monkeypatch.setattr("app.delivery.worker.LEASE", timedelta(seconds=1))
    receiver.answer = hang
    subscription = await quiet.subscribe(receiver)
    async with with_worker(quiet.database):
        await quiet.act(subscription, "ping", status=201)
        await receiver.got(1)
        first = await to_thread.run_sync(lease_of_the_one, quiet.database)

        await until(lambda: lease_of_the_one(quiet.database) > first)

        receiver.is_cutting = True
        receiver.closing.set()
    assert len(receiver.arrived) == 1


def lease_of_the_one(database: Database) -> datetime:
    with database.connect() as connection:
        (until,) = connection.execute("SELECT lease_until FROM subscription").fetchone() or (None,)
    assert isinstance(until, datetime)
    return until


async def test_a_worker_says_why_it_lost_its_database_and_delivers_after_it(
    hooks: Hooks, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = await hooks.subscribe(receiver)
    await to_thread.run_sync(end_the_listener, hooks.database)
    await until(lambda: "lost contact" in caplog.text)

    await hooks.act(subscription, "ping", status=201)

    (delivery,) = await hooks.settled(subscription)
    assert delivery["state"] == "delivered"
    assert "server closed the connection unexpectedly" in caplog.text


def end_the_listener(database: Database) -> None:
    listening = "datname = current_database() AND query IN ('SELECT', 'LISTEN \"delivery\"')"
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {listening}"  # noqa: S608
    with database.server.connect(SUPERUSER, database.name) as connection:
        eventually(lambda: connection.execute(ended.encode()).fetchall())


@full
async def test_a_slow_machine_is_no_lost_database(
    quiet: Hooks,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For longer than the database has to answer, this process does nothing."""
    monkeypatch.setattr("app.delivery.worker.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("app.delivery.worker.POLL_SECONDS", 0.01)
    subscription = await quiet.subscribe(receiver)
    async with with_worker(quiet.database):
        for _ in range(3):
            time.sleep(0.8)  # noqa: ASYNC251  # that is the point
            await quiet.act(subscription, "ping", status=201)
        found = await quiet.settled(subscription, 3)

    assert {one["state"] for one in found} == {"delivered"}
    assert "lost contact" not in caplog.text


async def test_what_ended_long_ago_is_forgotten(quiet: Hooks, receiver: Receiver) -> None:
    subscription = await quiet.subscribe(receiver)
    async with with_worker(quiet.database):
        await quiet.api.declare()
        await quiet.settled(subscription)
    with quiet.database.connect() as connection:
        connection.execute("UPDATE delivery SET ended_at = now() - interval '31 days'")
        async with quiet.database.session() as session:
            await deliveries.tidy(session)

        assert await quiet.deliveries(subscription) == []


async def test_what_comes_due_is_announced_and_told(hooks: Hooks, receiver: Receiver) -> None:
    """A plan made now is heard of when it begins, although nobody asks or writes then."""
    await hooks.subscribe(receiver, filter={"kinds": ["effective"]})
    begins = await hooks.api.soon(SUMSKAS)
    await hooks.api.declare(status="open")
    await hooks.api.declare(effective={"from": begins.isoformat(), "until": None})

    (arrival, *_) = await receiver.got(1)

    assert arrival.event["type"] == "crossing-status.change.effective"
    assert datetime.fromisoformat(str(arrival.event["time"])) == begins
