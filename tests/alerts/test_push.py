"""Web Push: browsers are told of what they asked for, encrypted, in order, until they are gone."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import InvalidTag

from app.alerts.deliveries import take
from app.alerts.fanout import fan_out_alerts
from app.alerts.push import MAX_PAYLOAD
from app.subscriptions import deliveries
from app.vocabulary import AlertChannel
from tests.alerts.browsers import Browser, PushService, check_request
from tests.alerts.conftest import Alerts
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, problem
from tests.commands import environment, finish, start
from tests.marks import full
from tests.subscriptions.conftest import LOOPBACK
from tests.subscriptions.receivers import Arrival, accept, answering
from tests.waiting import until


async def test_a_browser_is_told_what_changed_for_whom_since_when_and_who_says_so(
    alerts: Alerts, pushes: PushService
) -> None:
    browser = pushes.browser()
    await alerts.begin(browser, traffic="car", to="BY", language="lt")

    await alerts.api.declare(status="open", traffic=["car"])

    (arrival,) = await pushes.got(1)
    message = browser.read(arrival)
    assert message["title"] == "Šumskas – Loša: Atidaryta lengviesiems automobiliams į Baltarusiją"
    assert "iki atskiro pranešimo" in message["body"]
    assert message["path"] == f"/crossings/{SUMSKAS}?lang=lt&traffic=car&to=BY"
    assert message["lang"] == "lt"
    check_request(arrival, pushes.audience, alerts.public_key)
    await until(lambda: alerts.count("alert_delivery") == 0)


async def test_nobody_else_can_read_it(alerts: Alerts, pushes: PushService) -> None:
    browser, other = pushes.browser(), pushes.browser("b")
    await alerts.begin(browser)
    await alerts.api.declare()

    (arrival,) = await pushes.got(1)

    assert b"umskas" not in arrival.body
    with pytest.raises(InvalidTag):
        other.read(arrival)


async def test_only_news_for_the_vehicle_is_sent(alerts: Alerts, pushes: PushService) -> None:
    """Neither confirmations, nor rumours, nor what concerns other vehicles or crossings."""
    browser = pushes.browser()
    await alerts.begin(browser, traffic="car")
    declared = await alerts.api.declare(status="closed", traffic=["truck"])
    await alerts.api.declare(crossings=[TVERECIUS])
    await alerts.api.declare(status="open", certainty="unconfirmed")
    confirmation = {"sides": ["LT"], "citations": [{"source": {"title": "Checked again"}}]}
    confirmed = await alerts.api.post(f"/v1/crossings/{SUMSKAS}/confirmations", confirmation)
    assert confirmed.status_code == 201, confirmed.text
    assert declared

    await alerts.api.declare(status="restricted")

    (arrival,) = await pushes.got(1)
    assert browser.read(arrival)["title"].endswith("Restricted for cars")


async def test_what_is_announced_is_told_now_and_again_when_it_begins(
    alerts: Alerts, pushes: PushService
) -> None:
    browser = pushes.browser()
    await alerts.begin(browser)
    await alerts.api.declare(status="closed")
    begins = await alerts.api.soon(SUMSKAS)

    await alerts.api.declare(status="open", effective={"from": begins.isoformat()})

    _, announced, begun = [browser.read(one) for one in await pushes.got(3)]
    assert ": Closed" in announced["title"]
    assert "From " in announced["body"]
    assert ": Open" in begun["title"]


async def test_a_correction_of_a_reason_wakes_nobody(alerts: Alerts, pushes: PushService) -> None:
    browser = pushes.browser()
    start = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    declared = await alerts.api.declare(effective={"from": start})
    events = declared["events"]
    assert isinstance(events, list)
    (event,) = events
    assert isinstance(event, dict)
    await alerts.begin(browser)

    await alerts.api.declare(
        effective={"from": start},
        reason={"code": "weather"},
        supersedes=[event["id"]],
    )
    await alerts.api.declare(status="open")

    (arrival,) = await pushes.got(1)
    assert ": Open" in browser.read(arrival)["title"]


async def test_a_border_and_a_trip_get_one_message_for_a_decision_about_several_crossings(
    alerts: Alerts, pushes: PushService
) -> None:
    border, trip = pushes.browser("border"), pushes.browser("trip")
    await alerts.begin(border, crossings=[], borders=["BY-LT"])
    await alerts.begin(trip, crossings=[SUMSKAS, MEDININKAI])

    await alerts.api.declare(crossings=[SUMSKAS, TVERECIUS])

    arrivals = await pushes.got(2)
    (of_border,) = readable(border, arrivals)
    (of_trip,) = readable(trip, arrivals)
    assert of_border["title"] == "Belarus – Lithuania"
    assert of_border["body"].count(": Closed") == 2
    assert of_border["path"] == "/borders/BY-LT?lang=en"
    assert of_trip["path"] == f"/crossings/{SUMSKAS}?lang=en"


async def test_a_long_text_fits_into_a_message(alerts: Alerts, pushes: PushService) -> None:
    browser = pushes.browser()
    await alerts.begin(browser, crossings=[], borders=["BY-LT", "BY-PL", "BY-LV"], language="be")
    listed = await alerts.api.get("/v1/crossings", border="BY-PL", limit=200)
    crossings = [item["id"] for item in listed.json()["items"]]

    await alerts.api.declare(crossings=crossings, sides=["PL"])

    (arrival,) = await pushes.got(1)
    assert len(browser.decrypt(arrival.body)) <= MAX_PAYLOAD


# What fails is tried again


async def test_messages_about_a_crossing_arrive_in_order_and_again_until_they_are_taken(
    alerts: Alerts, pushes: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "DELAYS", (timedelta(milliseconds=100),) * 14)
    browser = pushes.browser()
    await alerts.begin(browser)
    pushes.receiver.answer = answering(500)
    await alerts.api.declare(status="open")
    await alerts.api.declare(status="closed")
    await pushes.got(3)
    with alerts.database.connect() as connection:
        pending = connection.execute("SELECT tries FROM alert_delivery ORDER BY change").fetchall()
    (first,), (second,) = pending
    assert first >= 2
    assert second == 0, "it waits for the first"

    pushes.receiver.answer = accept

    await until(lambda: len(pushes.receiver.accepted) == 2)
    await until(lambda: alerts.count("alert_delivery") == 0)


async def test_what_a_worker_took_and_did_not_send_another_one_sends(
    quiet: Alerts, pushes: PushService
) -> None:
    browser = pushes.browser()
    await quiet.begin(browser)
    await quiet.api.declare()
    async with quiet.database.session() as session:
        while await fan_out_alerts(session):
            pass
        taken, _ = await take(session, channels=[AlertChannel.PUSH], room=10)
        assert len(taken) == 1
    with quiet.database.connect() as connection:
        connection.execute("UPDATE alert_delivery SET lease_until = now()")

    async with quiet.sending():
        (arrival,) = await pushes.got(1)
        await until(lambda: quiet.count("alert_delivery") == 0)

    assert browser.read(arrival)


@full
async def test_a_killed_worker_loses_nothing_and_confuses_nothing(
    quiet: Alerts, pushes: PushService
) -> None:
    """`crossings worker` is killed in the middle of its work, again and again."""
    browser = pushes.browser()
    await quiet.begin(browser)
    env = environment(
        DATABASE_URL=quiet.database.url,
        CROSSINGS_WEBHOOK_ALLOW=LOOPBACK,
        CROSSINGS_VAPID_KEY=str(quiet.vapid),
    )
    for number in range(6):
        await quiet.api.declare(status=("open", "closed")[number % 2])
        process = start("crossings", "worker", env=env)
        heard = len(pushes.receiver.accepted)
        await until(lambda heard=heard: len(pushes.receiver.accepted) > heard)  # type: ignore[misc]
        process.kill()
        finish(process)
    with quiet.database.connect() as connection:
        connection.execute("UPDATE alert_delivery SET lease_until = now()")
    async with quiet.sending():
        await until(lambda: quiet.count("alert_delivery") == 0)

    titles = [browser.read(one)["title"] for one in pushes.receiver.accepted]
    assert [title.rpartition(" ")[2] for title in dict.fromkeys(titles)] == ["Open", "Closed"]
    assert len(titles) >= 6
    assert titles[-1].endswith("Closed")


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_expired_is_deleted_with_its_address(
    alerts: Alerts, pushes: PushService, status: int
) -> None:
    pushes.receiver.answer = answering(status)
    await alerts.begin(pushes.browser())

    await alerts.api.declare()

    await until(lambda: alerts.count() == 0)
    assert alerts.count("alert_delivery") == 0


async def test_who_ends_an_alert_hears_nothing_more(alerts: Alerts, pushes: PushService) -> None:
    ended, other = pushes.browser("ended"), pushes.browser("other")
    alert = await alerts.begin(ended)
    await alerts.begin(other)

    forged = await alerts.end(alert, token="x" * 32)  # it is none
    first, second = await alerts.end(alert), await alerts.end(alert)

    problem(forged, 404, "alert-not-found")
    assert (first.status_code, second.status_code) == (200, 200)
    await alerts.api.declare()
    (arrival,) = await pushes.got(1)
    assert other.read(arrival)
    assert alerts.count() == 1


def readable(browser: Browser, arrivals: list[Arrival]) -> list[dict[str, str]]:
    """Return those of the messages that a browser can decrypt."""
    messages = []
    for arrival in arrivals:
        with suppress(InvalidTag):
            messages.append(browser.read(arrival))
    return messages
