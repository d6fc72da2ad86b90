"""Nobody is called who does not want to be: a receiver is asked before the first message."""

from datetime import timedelta

import pytest

from app.subscriptions import deliveries
from app.subscriptions.addresses import AddressPolicy
from tests.api import Json
from tests.marks import full
from tests.subscriptions.conftest import Hooks, with_worker
from tests.subscriptions.receivers import (
    Answer,
    Arrival,
    Receiver,
    Write,
    answering,
    hang,
    receiving,
    status,
)
from tests.waiting import until


@pytest.fixture(autouse=True)
def nobody_is_exempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is called here like an address of the internet."""

    def exempts(_: AddressPolicy, __: str) -> bool:
        return False

    monkeypatch.setattr(AddressPolicy, "exempts", exempts)


def allowing(*origins: str) -> Answer:
    """Return an answer that allows these origins in turn, and the last one from then on."""
    left = list(origins)

    async def answer(_: Receiver, __: Arrival, write: Write) -> None:
        origin = left.pop(0) if len(left) > 1 else left[0]
        await write(status(200, f"WebHook-Allowed-Origin: {origin}"))

    return answer


async def in_state(hooks: Hooks, subscription: Json, state: str) -> Json:
    """Wait until a subscription has a status, and return it."""
    found: Json = {}

    async def has_it() -> bool:
        found.update(await hooks.look(subscription))
        return found["status"] == state

    await until(has_it)
    return found


async def test_a_receiver_is_asked_and_then_gets_what_it_was_kept(
    quiet: Hooks, receiver: Receiver
) -> None:
    subscription = await quiet.subscribe(receiver)
    assert (subscription["status"], subscription["pending_reason"]) == ("pending", None)
    declared = await quiet.api.declare()

    async with with_worker(quiet.database, public_url="https://status.example.org/borders"):
        (message,) = await receiver.got(1)
        active = await in_state(quiet, subscription, "active")

    (asked,) = receiver.asked
    assert asked.headers["webhook-request-origin"] == "status.example.org"
    assert asked.body == b""
    assert "webhook-signature" not in asked.headers
    assert message.change == declared["change"]
    assert (active["pending_reason"], active["failing_since"]) == (None, None)


async def test_a_receiver_that_agreed_is_not_asked_again(hooks: Hooks, receiver: Receiver) -> None:
    subscription = await hooks.subscribe(receiver)
    await in_state(hooks, subscription, "active")
    await hooks.act(subscription, "pause")
    assert (await hooks.act(subscription, "resume"))["status"] == "active"
    await hooks.act(subscription, "ping", status=201)
    await receiver.got(1)

    assert len(receiver.asked) == 1


@pytest.mark.parametrize("origins", ["*", "CROSSING-STATUS", "example.com, crossing-status"])
async def test_it_may_allow_everybody_or_us_among_others(hooks: Hooks, origins: str) -> None:
    async with receiving() as receiver:
        receiver.handshake = allowing(origins)
        await in_state(hooks, await hooks.subscribe(receiver), "active")


@pytest.mark.parametrize(
    ("handshake", "reason"),
    [
        (answering(200), "no WebHook-Allowed-Origin in the answer to OPTIONS"),
        (answering(405), "status 405"),
        (
            answering(301, headers=("Location: /", "WebHook-Allowed-Origin: *")),
            "status 301",
        ),
        (allowing("example.com"), "WebHook-Allowed-Origin does not allow crossing-status"),
    ],
)
async def test_who_does_not_agree_is_not_called(
    hooks: Hooks, handshake: Answer, reason: str
) -> None:
    async with receiving() as receiver:
        receiver.handshake = handshake
        subscription = await hooks.subscribe(receiver)
        await hooks.act(subscription, "ping", status=201)

        async def is_told_why() -> bool:
            return (await hooks.look(subscription))["pending_reason"] == reason

        await until(is_told_why)
        shown = await hooks.look(subscription)

    assert shown["status"] == "pending"
    assert shown["failing_since"] is not None
    assert receiver.arrived == []


async def test_it_is_asked_again_until_it_agrees(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "FIRST_HANDSHAKE_DELAY", timedelta(milliseconds=50))
    async with receiving() as receiver:
        receiver.handshake = allowing("example.com", "example.com", "crossing-status")
        subscription = await hooks.subscribe(receiver)
        await hooks.act(subscription, "ping", status=201)
        await receiver.got(1)

    assert len(receiver.asked) == 3


async def test_who_never_agrees_is_given_up_and_can_be_asked_anew(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "FIRST_HANDSHAKE_DELAY", timedelta(milliseconds=50))
    monkeypatch.setattr(deliveries, "HANDSHAKE_PATIENCE", timedelta())
    async with receiving() as receiver:
        receiver.handshake = answering(405)
        subscription = await hooks.subscribe(receiver)
        disabled = await in_state(hooks, subscription, "disabled")
        assert disabled["disabled_reason"] == "the receiver did not agree to be called: status 405"

        receiver.handshake = allowing("*")
        assert (await hooks.act(subscription, "resume"))["status"] == "pending"
        await in_state(hooks, subscription, "active")


async def test_who_is_gone_is_given_up_at_once(hooks: Hooks) -> None:
    async with receiving() as receiver:
        receiver.handshake = answering(410)
        await in_state(hooks, await hooks.subscribe(receiver), "disabled")

    assert len(receiver.asked) == 1


async def test_a_preview_asks_nobody(hooks: Hooks, receiver: Receiver) -> None:
    preview = await hooks.api.post("/v1/subscriptions", {"url": receiver.url}, validate_only="true")
    # Whoever was to be asked before would have been, once this one is.
    async with receiving() as later:
        await in_state(hooks, await hooks.subscribe(later), "active")

    assert preview.json()["status"] == "pending"
    assert receiver.asked == []


async def test_paused_before_it_agreed_it_is_asked_when_it_is_resumed(
    quiet: Hooks, receiver: Receiver
) -> None:
    subscription = await quiet.subscribe(receiver)
    assert (await quiet.act(subscription, "pause"))["status"] == "paused"
    async with with_worker(quiet.database):
        async with receiving() as later:
            await in_state(quiet, await quiet.subscribe(later), "active")
        assert receiver.asked == []
        assert (await quiet.act(subscription, "resume"))["status"] == "pending"
        await in_state(quiet, subscription, "active")


@full
async def test_paused_while_it_is_asked_it_stays_paused(quiet: Hooks) -> None:
    async with receiving() as receiver, with_worker(quiet.database):
        receiver.handshake = hang
        subscription = await quiet.subscribe(receiver)
        await until(lambda: receiver.asked)
        await quiet.act(subscription, "pause")
        receiver.closing.set()
        async with receiving() as later:
            await in_state(quiet, await quiet.subscribe(later), "active")

        assert (await quiet.look(subscription))["status"] == "paused"


async def test_an_address_that_the_operator_allows_need_not_agree(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    subscription = await hooks.subscribe(receiver)
    await hooks.act(subscription, "ping", status=201)
    await receiver.got(1)

    assert subscription["status"] == "active"
    assert receiver.asked == []
