"""The service with all that sends alerts, a push service, and a mail server, on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from psycopg import sql

from app.alerts.dispatcher import AlertDispatcher
from app.alerts.push import VapidKey
from app.config import Settings
from app.delivery.worker import DeliveryWorker
from tests.alerts.browsers import Browser, PushService, push_service
from tests.alerts.mailboxes import Mailbox, link_in, mail_server
from tests.api import SUMSKAS, Api, Json
from tests.conftest import SECRET_KEY, Database
from tests.subscriptions.conftest import LOOPBACK, running

PUBLIC_URL = "https://crossings.example"


class Alerts:
    """What a test of alerts does, in its words."""

    def __init__(self, api: Api, database: Database, vapid: Path, **settings: object) -> None:
        self.api = api
        self.database = database
        self.vapid = vapid
        self.settings = settings

    @property
    def public_key(self) -> str:
        return VapidKey.read(self.vapid).public

    async def ask(self, browser: Browser, **fields: object) -> httpx2.Response:
        """Ask to push to a browser what changes at Šumskas, changed by ``fields``."""
        body = {"crossings": [SUMSKAS], "subscription": browser.subscription, **fields}
        return await self.api.client.post("/alerts/push", json=body)

    async def begin(self, browser: Browser, **fields: object) -> Json:
        """Return a new alert of a browser with its token."""
        response = await self.ask(browser, **fields)
        assert response.status_code == 200, response.text
        alert: Json = response.json()
        return alert

    async def end(self, alert: Json, token: object = None) -> httpx2.Response:
        return await self.api.client.post(
            f"/alerts/{alert['id']}/unsubscribe", data={"token": str(token or alert["token"])}
        )

    async def write_to(
        self,
        address: str,
        *,
        language: str = "en",
        headers: dict[str, str] | None = None,
        **fields: str,
    ) -> httpx2.Response:
        """Ask by the form to be told by e-mail of changes at Šumskas."""
        form = {"email": address, "crossing": SUMSKAS, **fields}
        return await self.api.client.post(
            "/alerts",
            data={name: value for name, value in form.items() if value or name == "email"},
            params={"lang": language},
            headers=headers,
        )

    async def follow(self, link: str, action: str) -> httpx2.Response:
        """Press a button on the page that a link in a mail leads to."""
        parts = urlsplit(link)
        form = {"token": dict(parse_qsl(parts.query))["token"]}
        path = parts.path.removesuffix("/unsubscribe")
        return await self.api.client.post(f"{path}/{action}", data=form)

    async def confirmed(self, mailbox: Mailbox, address: str, **fields: str) -> None:
        """Ask to be told by e-mail, and confirm it."""
        before = len(mailbox.mails)
        asked = await self.write_to(address, headers=None, **fields)
        assert asked.status_code == 303, asked.text
        mails = await mailbox.got(before + 1)
        done = await self.follow(link_in(mails[-1]), "confirm")
        assert done.status_code == 303, done.text

    def count(self, table: str = "alert") -> int:
        with self.database.connect() as connection:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            ((count,),) = connection.execute(query).fetchall()
        return int(count)

    @asynccontextmanager
    async def sending(self, **settings: object) -> AsyncIterator[None]:
        """Run what sends alerts until the block ends."""
        given = {
            "database_url": self.database.url,
            "secret_key": SECRET_KEY,
            "webhook_allow": LOOPBACK,
            "vapid_key": self.vapid,
            **self.settings,
            **settings,
        }
        valid = Settings.model_validate(given)
        async with running(DeliveryWorker(valid, [AlertDispatcher(valid).run])):
            yield


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mail_server() as server:
        yield server


@pytest.fixture
async def by_mail(seeded: Database, vapid: Path, mailbox: Mailbox) -> AsyncIterator[Alerts]:
    """The service as one that sends e-mail, and what sends alerts beside it."""
    settings = {
        "smtp_url": mailbox.url,
        "mail_from": "alerts@crossings.example",
        "public_url": PUBLIC_URL,
    }
    async with seeded.api(webhook_allow=LOOPBACK, vapid_key=vapid, **settings) as api:
        alerts = Alerts(api, seeded, vapid, **settings)
        async with alerts.sending():
            yield alerts


@pytest.fixture(scope="session")
def vapid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vapid") / "vapid.key"
    path.write_text(VapidKey.generate().pem(), encoding="ascii")
    return path


@pytest.fixture
async def quiet(seeded: Database, vapid: Path) -> AsyncIterator[Alerts]:
    """The service, with nobody who sends."""
    async with seeded.api(webhook_allow=LOOPBACK, vapid_key=vapid) as api:
        yield Alerts(api, seeded, vapid)


@pytest.fixture
async def alerts(quiet: Alerts) -> AsyncIterator[Alerts]:
    """The service, with what sends alerts beside it."""
    async with quiet.sending():
        yield quiet


@pytest.fixture
async def pushes() -> AsyncIterator[PushService]:
    async with push_service() as service:
        yield service
