"""Subscriptions over HTTP: whose they are, what is shown of them, what may be asked."""

import pytest

from app.vocabulary import KeyScope
from tests.api import Api, Json, problem
from tests.subscriptions.conftest import Hooks
from tests.subscriptions.receivers import Receiver

URL = "https://example.com/crossings"
SHOWN = {
    "id", "owner", "url", "filter", "description", "after", "created_at", "status",
    "pending_reason", "disabled_reason", "failing_since", "old_secret_until",
}  # fmt: skip


async def test_the_secret_is_shown_once(quiet: Hooks) -> None:
    made = await quiet.subscribe(URL, description="Tells our drivers")

    assert made.keys() == SHOWN | {"secret"}
    assert str(made["secret"]).startswith("whsec_")
    assert await quiet.look(made) == {one: made[one] for one in SHOWN}
    assert (await quiet.get("/v1/subscriptions"))["items"] == [{one: made[one] for one in SHOWN}]
    paused = await quiet.act(made, "pause")
    assert paused.keys() == SHOWN


async def test_it_starts_after_the_newest_change(quiet: Hooks) -> None:
    declared = await quiet.api.declare()

    made = await quiet.subscribe(URL)

    assert (made["after"], made["status"]) == (declared["change"], "pending")
    assert made["filter"] == {
        "crossings": [], "borders": [], "countries": [], "kinds": [], "traffic": None, "to": None
    }  # fmt: skip


async def test_a_retry_gets_the_same_subscription_and_a_preview_makes_none(quiet: Hooks) -> None:
    body = {"url": URL}
    first = await quiet.api.post("/v1/subscriptions", body, idempotency_key="once")
    again = await quiet.api.post("/v1/subscriptions", body, idempotency_key="once")
    preview = await quiet.api.post("/v1/subscriptions", body, validate_only="true")

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert (preview.status_code, preview.json()["id"], preview.json()["secret"]) == (
        200, None, None
    )  # fmt: skip
    assert await seen(quiet.api, quiet.api.key) == [first.json()["id"]]


async def test_a_repeated_rotation_by_its_key_is_one(quiet: Hooks) -> None:
    """The secret before goes on signing although the first answer was lost."""
    made = await quiet.subscribe(URL)
    address = f"/v1/subscriptions/{made['id']}/secret"

    first = await quiet.api.post(address, {}, idempotency_key="rotate")
    again = await quiet.api.post(address, {}, idempotency_key="rotate")

    assert first.json()["secret"] == again.json()["secret"] != made["secret"]


async def test_every_reporter_sees_its_own_and_an_admin_all(quiet: Hooks) -> None:
    mine = await quiet.database.new_key(KeyScope.SUBSCRIPTIONS, name="mine")
    other = await quiet.database.new_key(KeyScope.SUBSCRIPTIONS, name="other")
    made = (await quiet.api.post("/v1/subscriptions", {"url": URL}, key=mine)).json()
    address = f"/v1/subscriptions/{made['id']}"

    assert made["owner"] == "mine"
    assert await seen(quiet.api, mine) == [made["id"]]
    assert await seen(quiet.api, quiet.api.key) == [made["id"]]
    assert await seen(quiet.api, other) == []
    for action in ("pause", "resume", "secret", "ping"):
        refused = await quiet.api.post(f"{address}/{action}", {}, key=other)
        problem(refused, 404, "subscription-not-found")
    for method, path in (("GET", ""), ("GET", "/deliveries"), ("DELETE", "")):
        refused = await quiet.api.client.request(method, address + path, headers=bearer(other))
        problem(refused, 404, "subscription-not-found")
    ended = await quiet.api.client.delete(address, headers=bearer(mine))
    assert ended.status_code == 204
    assert await seen(quiet.api, mine) == []


async def seen(api: Api, key: str) -> list[object]:
    found = await api.client.get("/v1/subscriptions", headers=bearer(key))
    return [one["id"] for one in found.json()["items"]]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", ["", "/01a20fc6-736c-71e1-9f11-bac42c030b9d"])
async def test_all_of_it_needs_a_key_with_the_scope(quiet: Hooks, path: str) -> None:
    writer = await quiet.database.new_key(KeyScope.EVENTS)
    address = f"/v1/subscriptions{path}"

    problem(await quiet.api.get(address), 401, "unauthorized")
    refused = await quiet.api.client.get(address, headers=bearer(writer))
    problem(refused, 403, "forbidden")
    problem(await quiet.api.post("/v1/subscriptions", {"url": URL}, key=writer), 403, "forbidden")


async def test_no_cache_keeps_what_a_key_was_shown(quiet: Hooks) -> None:
    made = await quiet.subscribe(URL)

    for path in ("", f"/{made['id']}", f"/{made['id']}/deliveries"):
        shown = await quiet.api.client.get(
            f"/v1/subscriptions{path}", headers=bearer(quiet.api.key)
        )
        assert shown.headers["cache-control"] == "private, no-store"


async def test_lists_come_newest_first_in_pages(quiet: Hooks) -> None:
    made = [await quiet.subscribe(URL) for _ in range(3)]
    for _ in range(3):
        await quiet.act(made[0], "ping", status=201)

    for path in ("", f"/{made[0]['id']}/deliveries"):
        address: object = f"/v1/subscriptions{path}?limit=2"
        found: list[Json] = []
        while address:
            page = await quiet.get(str(address))
            assert isinstance(page["items"], list)
            found += [one for one in page["items"] if isinstance(one, dict)]
            address = page["next"]
        ids = [str(one["id"]) for one in found]
        assert len(ids) == 3
        assert ids == sorted(ids, reverse=True)


async def test_what_is_deleted_is_sent_nothing_more(hooks: Hooks, receiver: Receiver) -> None:
    ended = await hooks.subscribe(receiver, description="ended")
    address = f"/v1/subscriptions/{ended['id']}"
    assert (
        await hooks.api.client.delete(address, headers=bearer(hooks.api.key))
    ).status_code == 204
    kept = await hooks.subscribe(receiver)

    await hooks.api.declare()
    await hooks.settled(kept)

    assert len(receiver.arrived) == 1
    receiver.arrived[0].verify(kept["secret"])


async def test_no_delivery_of_another_subscription_is_repeated(quiet: Hooks) -> None:
    one, other = await quiet.subscribe(URL), await quiet.subscribe(URL)
    sent = await quiet.act(one, "ping", status=201)

    address = f"/v1/subscriptions/{other['id']}/deliveries/{sent['id']}/redeliver"
    problem(await quiet.api.post(address, {}), 404, "delivery-not-found")
