"""E-mail: who confirms it is told, in their language, and ends it by one click."""

from datetime import UTC, datetime, timedelta

import pytest

from app.alerts.deliveries import forget_unconfirmed
from app.alerts.fanout import DIGEST_HOUR, next_morning
from app.places.zones import zone_of
from app.subscriptions import deliveries
from tests.alerts.conftest import PUBLIC_URL, Alerts
from tests.alerts.mailboxes import Mailbox, link_in, text_of
from tests.api import SUMSKAS, TVERECIUS, fields_of, problem
from tests.waiting import until

ANNA = "anna@example.com"


async def test_an_address_is_told_once_it_was_confirmed(by_mail: Alerts, mailbox: Mailbox) -> None:
    asked = await by_mail.write_to(ANNA, traffic="car", language="pl")
    (request,) = await mailbox.got(1)
    assert asked.headers["location"] == "/alerts/sent?lang=pl"
    assert "Szumsk – Łosza (dla samochodów osobowych)" in text_of(request)
    await by_mail.api.declare(status="open")
    page = await by_mail.api.client.get(link_in(request).removeprefix(PUBLIC_URL))
    assert page.status_code == 200
    assert "Szumsk – Łosza" in page.text
    assert page.headers["cache-control"] == "no-store"
    await by_mail.api.declare(status="closed")

    first, again = [await by_mail.follow(link_in(request), "confirm") for _ in range(2)]
    await by_mail.api.declare(status="open")

    assert (first.status_code, again.status_code) == (303, 303)
    _, mail = await mailbox.got(2)
    assert mail["Subject"].startswith("Szumsk – Łosza: Otwart")
    assert f"{PUBLIC_URL}/crossings/{SUMSKAS}?lang=pl&traffic=car" in text_of(mail)
    assert mail["To"] == ANNA
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "pl"
    assert mailbox.recipients == [ANNA, ANNA]


async def test_one_click_ends_it_and_deletes_the_address(by_mail: Alerts, mailbox: Mailbox) -> None:
    await by_mail.confirmed(mailbox, ANNA)
    await by_mail.api.declare(status="open")
    _, mail = await mailbox.got(2)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = str(mail["List-Unsubscribe"]).strip("<>").removeprefix(PUBLIC_URL)

    async def click(link: str) -> int:
        """Post what mail programs post."""
        form = {"List-Unsubscribe": "One-Click"}
        return (await by_mail.api.client.post(link, data=form)).status_code

    seen = await by_mail.api.client.get(address)
    assert (seen.status_code, by_mail.count()) == (200, 1), "to look at a link changes nothing"
    forged = await click(address.replace("token=", "token=x"))
    ended, again = await click(address), await click(address)

    assert (forged, ended, again) == (404, 200, 200)
    assert by_mail.count() == by_mail.count("alert_delivery") == 0
    gone = await by_mail.api.client.get(address)
    assert gone.status_code == 404


async def test_what_the_server_refuses_for_now_is_sent_again_by_the_same_id(
    by_mail: Alerts, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "DELAYS", (timedelta(milliseconds=100),) * 14)
    await by_mail.confirmed(mailbox, ANNA)
    mailbox.replies += ["451 Try again later"] * 2

    await by_mail.api.declare(status="open")
    await by_mail.api.declare(status="closed")

    _, first, second = await mailbox.got(3)
    await until(lambda: by_mail.count("alert_delivery") == 0)
    assert (mailbox.refused, len(mailbox.mails)) == (2, 3)
    assert ": Closed" in second["Subject"]
    assert first["Message-ID"] != second["Message-ID"]
    assert str(first["Message-ID"]).endswith("@crossings.example>")


async def test_an_address_that_does_not_exist_is_deleted(by_mail: Alerts, mailbox: Mailbox) -> None:
    mailbox.replies.append("550 No such user")

    await by_mail.write_to(ANNA)

    await until(lambda: mailbox.refused == 1)
    await until(lambda: by_mail.count() == 0)


async def test_an_address_that_nobody_confirms_is_deleted(
    by_mail: Alerts, mailbox: Mailbox
) -> None:
    await by_mail.write_to(ANNA)
    await by_mail.confirmed(mailbox, "jan@example.com")
    with by_mail.database.connect() as connection:
        connection.execute("UPDATE alert SET created_at = now() - interval '49 hours'")

    async with by_mail.database.session() as session:
        await forget_unconfirmed(session)

    assert by_mail.count() == 1


async def test_a_digest_has_all_of_a_day_in_one_mail(by_mail: Alerts, mailbox: Mailbox) -> None:
    await by_mail.confirmed(mailbox, ANNA, crossing="", border="BY-LT", often="daily")
    await by_mail.api.declare(status="open")
    await by_mail.api.declare(status="closed")
    await by_mail.api.declare(status="closed", crossings=[TVERECIUS])
    await until(lambda: pending_crossings(by_mail) == {SUMSKAS, TVERECIUS})
    assert len(mailbox.mails) == 1

    with by_mail.database.connect() as connection:
        connection.execute("UPDATE alert_delivery SET next_attempt_at = now()")

    _, mail = await mailbox.got(2)
    assert [line.endswith(": Closed") for line in text_of(mail).splitlines()].count(True) == 2
    await until(lambda: by_mail.count("alert_delivery") == 0)


@pytest.mark.parametrize(
    ("now", "morning"), [("2026-11-29T02:00Z", "2026-11-29"), ("2026-11-29T12:00Z", "2026-11-30")]
)
def test_a_digest_is_sent_in_the_morning_there(now: str, morning: str) -> None:
    at = next_morning(datetime.fromisoformat(now), zone_of("LT"))

    assert (at.date().isoformat(), at.hour) == (morning, DIGEST_HOUR)
    assert at > datetime.fromisoformat(now).astimezone(UTC)


# What is refused


@pytest.mark.parametrize(
    "address",
    [
        "anna@example.com\r\nBcc: all@example.com",
        "anna@example.com, jan@example.com",
        "Anna <anna@example.com>",
        "anna@localhost",
        "anna",
        "",
        "ąnna@example.com",
        f"anna@{'a' * 250}.com",
    ],
)
async def test_what_is_not_one_address_is_refused_and_not_repeated(
    by_mail: Alerts, address: str
) -> None:
    refused = await by_mail.write_to(address)

    body = problem(refused, 422, "invalid")
    assert fields_of(body) == ["email"]
    assert not address.strip() or address.strip() not in refused.text
    assert by_mail.count() == 0


async def test_an_address_gets_one_request_in_ten_minutes_and_nobody_learns_of_it(
    by_mail: Alerts, mailbox: Mailbox
) -> None:
    first, second = await by_mail.write_to(ANNA), await by_mail.write_to(ANNA.upper())

    assert (first.status_code, first.headers["location"]) == (
        second.status_code,
        second.headers["location"],
    )
    await mailbox.got(1)
    assert by_mail.count() == 1


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://a.b"}],
)
async def test_pages_of_other_sites_may_not_ask(by_mail: Alerts, headers: dict[str, str]) -> None:
    refused = await by_mail.write_to(ANNA, headers=headers)

    problem(refused, 403, "cross-site")
    assert by_mail.count() == 0


def pending_crossings(alerts: Alerts) -> set[str]:
    with alerts.database.connect() as connection:
        rows = connection.execute("SELECT unnest(crossings) FROM alert_delivery").fetchall()
    return {str(crossing) for (crossing,) in rows}
