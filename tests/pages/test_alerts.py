"""The form "Tell me when this changes": by e-mail without a script, by Web Push with one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.alerts.push import VapidKey
from app.embedded.server import Server
from tests.alerts.browsers import Browser as Subscriber
from tests.alerts.mailboxes import Mailbox, link_in, mail_server_in_thread
from tests.api import MEDININKAI, SUMSKAS
from tests.conftest import SEEDED, Database, clone
from tests.marks import in_full
from tests.pages.conftest import VIEWS, LookAt
from tests.servers import Service, free_port, service
from tests.subscriptions.conftest import LOOPBACK
from tests.waiting import eventually

ANNA = "anna@example.com"
PAGES = (
    f"/crossings/{SUMSKAS}",
    "/borders/BY-LT",
    f"/trip/{SUMSKAS}+{MEDININKAI}",
    f"/alerts?crossing={SUMSKAS}",
)
SUBSCRIBER = Subscriber("https://127.0.0.1/push/a")
# No push service can be reached: the browser is given the subscription that one would give.
SUBSCRIBE = f"""
    PushManager.prototype.subscribe = async (options) => {{
        window.subscribedFor = [...new Uint8Array(options.applicationServerKey)];
        localStorage.setItem("subscribed", "yes");
        return {{ toJSON: () => ({json.dumps(SUBSCRIBER.subscription)}) }};
    }};
    PushManager.prototype.getSubscription = async () => localStorage.getItem("subscribed");
    Notification.requestPermission = async () => "granted";
    Object.defineProperty(Notification, "permission", {{ get: () => "granted" }});
"""


@pytest.fixture(scope="module")
def written(postgres: Server) -> Iterator[Database]:
    with clone(postgres, SEEDED) as database:
        yield database


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with mail_server_in_thread() as mailbox:
        yield mailbox


@pytest.fixture(scope="module")
def served(
    written: Database, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service that offers both ways."""
    folder: Path = tmp_path_factory.mktemp("alerts")
    vapid = folder / "vapid.key"
    vapid.write_text(VapidKey.generate().pem(), encoding="ascii")
    port = free_port()
    more = {
        "CROSSINGS_VAPID_KEY": str(vapid),
        "CROSSINGS_SMTP_URL": mailbox.url,
        "CROSSINGS_MAIL_FROM": "alerts@crossings.example",
        "CROSSINGS_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "CROSSINGS_WEBHOOK_ALLOW": LOOPBACK,
    }
    with service(folder / "log", port, database_url=written.url, more=more) as running:
        yield running


def count(database: Database) -> int:
    with database.connect() as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM alert").fetchall()
    return int(count)


@pytest.mark.parametrize("path", [PAGES[0], *in_full(*PAGES[1:])])
def test_it_is_on_every_page_that_it_may_be_about(look: LookAt, path: str) -> None:
    for size, scheme in VIEWS:
        window = look(size, scheme)
        page = window.open(path)

        expect(page.get_by_role("button", name="Notify me on this device")).to_be_visible()
        expect(page.get_by_role("button", name="Tell me by e-mail")).to_be_visible()
        window.assert_presentable()


def test_by_mail_it_works_without_a_script(
    look: LookAt, written: Database, mailbox: Mailbox
) -> None:
    """From the form of a crossing to the end, by links and buttons alone."""
    window = look("phone", script=False, lang="lt")
    page = window.open(f"/crossings/{SUMSKAS}?traffic=car")
    expect(page.get_by_role("button", name="Pranešti šiame įrenginyje")).to_be_hidden()

    page.get_by_label("El. pašto adresas").fill(ANNA)
    page.get_by_role("button", name="Pranešti el. paštu").click()
    expect(page.get_by_role("heading", name="Patikrinkite el. paštą")).to_be_visible()
    eventually(lambda: mailbox.mails)
    page.goto(link_in(mailbox.mails[-1]))
    expect(page.get_by_text("Šumskas")).to_be_visible()
    page.get_by_role("button", name="Taip, rašykite man").click()
    expect(page.get_by_role("heading", name="Pranešimai užsakyti")).to_be_visible()
    assert window.overflow() == 0
    page.get_by_role("button", name="Atsisakyti pranešimų").click()

    expect(page.get_by_role("heading", name="Pranešimų atsisakyta")).to_be_visible()
    assert count(written) == 0


def test_by_push_it_takes_a_tap_and_a_permission(look: LookAt, written: Database) -> None:
    """One button begins it, and the same place ends it, also after the page was left."""
    window = look(offline_copies=True)
    window.page.add_init_script(SUBSCRIBE)
    page = window.open(f"/crossings/{MEDININKAI}")

    page.get_by_role("button", name="Notify me on this device").click()
    expect(page.get_by_text("You get notifications about this on this device.")).to_be_visible()
    assert count(written) == 1
    assert len(page.evaluate("window.subscribedFor")) == 65
    page.reload()
    page.get_by_role("button", name="Stop the notifications").click()

    expect(page.get_by_text("You will get no more notifications about this.")).to_be_visible()
    expect(page.get_by_role("button", name="Notify me on this device")).to_be_visible()
    assert count(written) == 0
    assert window.complaints == []


def test_what_the_browser_ended_by_itself_can_be_begun_again(look: LookAt) -> None:
    window = look(offline_copies=True)
    window.page.add_init_script(SUBSCRIBE)
    page = window.open(f"/crossings/{MEDININKAI}")
    page.get_by_role("button", name="Notify me on this device").click()
    expect(page.get_by_role("button", name="Stop the notifications")).to_be_visible()

    page.evaluate("localStorage.removeItem('subscribed')")
    page.reload()

    expect(page.get_by_role("button", name="Notify me on this device")).to_be_visible()


def test_the_service_worker_shows_what_is_pushed(look: LookAt) -> None:
    window = look(offline_copies=True)
    page = window.open(f"/crossings/{SUMSKAS}")
    page.context.grant_permissions(["notifications"], origin=window.service.url)
    registrations: list[str] = []
    session = page.context.new_cdp_session(page)
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(one["registrationId"] for one in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.evaluate("navigator.serviceWorker.register('/sw.js')")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    window.wait_until(lambda: registrations)
    message = {"title": "Šumskas: Closed", "body": "Closed.", "lang": "en", "path": "/", "tag": "a"}

    for _ in range(2):
        session.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": window.service.url,
                "registrationId": registrations[-1],
                "data": json.dumps(message),
            },
        )

    shown = "navigator.serviceWorker.ready.then((ready) => ready.getNotifications())"
    titles = f"{shown}.then((all) => all.map(({{ title, body }}) => [title, body]))"
    window.wait_until(lambda: page.evaluate(titles))
    assert page.evaluate(titles) == [["Šumskas: Closed", "Closed."]]
