"""Ask to be told of changes, confirm that, and end it. Nobody needs an account for it."""

import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.fanout import CHANNEL
from app.alerts.models import Alert, AlertDelivery, AlertFanOut
from app.alerts.push import PushAddress, VapidKey
from app.changes.models import Change
from app.config import MAIL_ADDRESS, Settings
from app.database.sessions import append
from app.encryption import Cipher
from app.errors import AlertNotFound, AlertsFull, invalid
from app.http.bodies import Body, BorderId, CountryCode, CrossingId
from app.http.parameters import Kind, require_existing
from app.languages.languages import ENGLISH, LANGUAGES
from app.places.details import details_of
from app.subscriptions.addresses import AddressPolicy
from app.vocabulary import AlertChannel, Traffic

MOST_SUBJECTS = 50
"""Crossings and borders of one alert."""
MAX_ENDPOINT = 2_000
MAX_ADDRESS = 254

_CONFIRM = text("""
    UPDATE alert SET confirmed_at = now(), "after" = :after
    WHERE id = :id AND confirmed_at IS NULL
""")
_DELETE = text("DELETE FROM alert WHERE id = :id")
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', '')")  # the channel is a constant


def _known_language(code: str) -> str:
    if code not in LANGUAGES:
        raise PydanticCustomError(
            "language", "must be one of {codes}", {"codes": ", ".join(LANGUAGES)}
        )
    return code


def _mail_address(address: str) -> str:
    if not MAIL_ADDRESS.fullmatch(address):
        raise PydanticCustomError("mail_address", "must be one e-mail address")
    return address


MailAddress = Annotated[str, Field(max_length=MAX_ADDRESS), AfterValidator(_mail_address)]
LanguageCode = Annotated[str, AfterValidator(_known_language)]


class About(Body):
    """What somebody wants to be told of: crossings, all crossings of borders, or both.

    With ``traffic`` or ``to`` only of lanes that such a vehicle can use.
    """

    crossings: list[CrossingId] = Field([], max_length=MOST_SUBJECTS)
    borders: list[BorderId] = Field([], max_length=MOST_SUBJECTS)
    traffic: Traffic | None = None
    to: CountryCode | None = None
    language: LanguageCode = ENGLISH

    @model_validator(mode="after")
    def _be_about_something(self) -> "About":
        if not 1 <= len(self.crossings) + len(self.borders) <= MOST_SUBJECTS:
            raise PydanticCustomError(
                "about", "must name 1 to {most} crossings or borders", {"most": MOST_SUBJECTS}
            )
        return self


class PushKeys(Body):
    """The keys of a browser's subscription, in the base64 of URLs."""

    p256dh: str = Field(max_length=200)
    auth: str = Field(max_length=100)


class PushSubscription(Body):
    """A browser's subscription, as its ``toJSON`` gives it."""

    endpoint: str = Field(pattern=r"^https?://[!-~]+$", max_length=MAX_ENDPOINT)
    expirationTime: float | None = None  # noqa: N815  # the browsers' own name
    keys: PushKeys

    def address(self) -> PushAddress:
        return PushAddress(self.endpoint, self.keys.p256dh, self.keys.auth)


class PushAlertIn(About):
    """An alert by Web Push."""

    subscription: PushSubscription


class MailAlertIn(About):
    """An alert by e-mail, at once or once a day."""

    email: MailAddress
    is_digest: bool = False


class AlertOut(Body):
    """An alert with the token that manages it, which only its recipient has."""

    id: UUID
    token: str


@dataclass(frozen=True, slots=True)
class AlertOffer:
    """How this service can tell people of changes."""

    push_key: str | None = None
    """The public key that browsers subscribe for; None is no Web Push."""
    mail: bool = False

    def __bool__(self) -> bool:
        return self != AlertOffer()

    @classmethod
    def of(cls, settings: Settings) -> "AlertOffer":
        """Return what can be offered. Raises ValueError or OSError for a key that is none."""
        if settings.cipher is None:
            return cls()
        key = None if settings.vapid_key is None else VapidKey.read(settings.vapid_key).public
        return cls(key, settings.sends_mail)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is told: an address, and the token that manages the alert."""

    token: str
    email: str | None = None
    push: PushAddress | None = None

    def encrypted(self, cipher: Cipher) -> str:
        fields = {
            "token": self.token,
            "email": self.email,
            "push": self.push
            and {
                "endpoint": self.push.endpoint,
                "p256dh": self.push.p256dh,
                "auth": self.push.auth,
            },
        }
        return cipher.encrypt(json.dumps({name: value for name, value in fields.items() if value}))

    @classmethod
    def decrypted(cls, recipient: str, cipher: Cipher) -> "Recipient":
        """Read what `encrypted` returned. Raises UnreadableSecret."""
        fields = json.loads(cipher.decrypt(recipient))
        push = fields.get("push")
        return cls(fields["token"], fields.get("email"), PushAddress(**push) if push else None)


@dataclass(frozen=True, slots=True)
class AlertBook:
    """What it takes to keep alerts: how their addresses are kept, and how many there may be."""

    cipher: Cipher
    most: int
    """Alerts of all recipients; 0 is no limit."""

    async def add_push(
        self, session: AsyncSession, alert: PushAlertIn, reach: AddressPolicy
    ) -> AlertOut:
        """Begin to tell a browser. Raises Invalid, and AlertsFull."""
        push = alert.subscription.address()
        try:
            push.require_usable()
        except ValueError as error:
            raise invalid("subscription.keys", str(error)) from error
        try:
            _ = await reach.require(push.endpoint)
        except ValueError as error:
            raise invalid("subscription.endpoint", str(error)) from error
        recipient = Recipient(_new_token(), push=push)
        return await self._add(session, alert, AlertChannel.PUSH, recipient)

    async def add_mail(
        self, session: AsyncSession, alert: MailAlertIn, *, asks: bool = True
    ) -> AlertOut:
        """Ask an address to confirm that it wants to be told. Raises Invalid, and AlertsFull.

        Without ``asks`` everything is checked and nothing is stored or sent.
        """
        recipient = Recipient(_new_token(), email=alert.email)
        return await self._add(
            session, alert, AlertChannel.EMAIL, recipient, is_digest=alert.is_digest, stores=asks
        )

    async def find(self, session: AsyncSession, alert_id: UUID, token: str) -> Alert:
        """Return the alert that a token manages. Raises AlertNotFound, also for a wrong token."""
        row = (await session.scalars(select(Alert).where(Alert.id == alert_id))).one_or_none()
        if row is None or not self._is_token_of(row, token):
            raise AlertNotFound("This link is not valid, or no longer: nothing is sent by it.")
        return row

    async def confirm(self, session: AsyncSession, alert_id: UUID, token: str) -> Alert:
        """Begin to write to an address. Once more changes nothing. Raises AlertNotFound."""
        row = await self.find(session, alert_id, token)
        await session.execute(_CONFIRM, {"id": alert_id, "after": await _newest_change(session)})
        return row

    async def remove(self, session: AsyncSession, alert_id: UUID, token: str) -> None:
        """Delete an alert and its address. One that does not exist is deleted already.

        Raises AlertNotFound for a wrong token.
        """
        row = (await session.scalars(select(Alert).where(Alert.id == alert_id))).one_or_none()
        if row is None:
            return
        if not self._is_token_of(row, token):
            raise AlertNotFound("This link is not valid, or no longer: nothing is sent by it.")
        await session.execute(_DELETE, {"id": alert_id})

    def _is_token_of(self, row: Alert, token: str) -> bool:
        own = Recipient.decrypted(row.recipient, self.cipher).token
        return hmac.compare_digest(own.encode(), token.encode())

    async def _add(
        self,
        session: AsyncSession,
        about: About,
        channel: AlertChannel,
        recipient: Recipient,
        *,
        is_digest: bool = False,
        stores: bool = True,
    ) -> AlertOut:
        after = await _newest_change(session)
        await _require_usable(session, about, after)
        if self.most and (await session.scalar(select(func.count(Alert.id))) or 0) >= self.most:
            raise AlertsFull("No more alerts can be taken at the moment.")
        alert_id = await session.scalar(select(func.uuidv7(type_=Alert.id.type)))
        assert alert_id is not None
        if not stores:
            return AlertOut(id=alert_id, token=recipient.token)
        is_push = channel is AlertChannel.PUSH
        alert = Alert(
            id=alert_id,
            channel=channel.value,
            recipient=recipient.encrypted(self.cipher),
            language=about.language,
            crossings=list(dict.fromkeys(about.crossings)),
            borders=list(dict.fromkeys(about.borders)),
            traffic=about.traffic,
            to=about.to,
            is_digest=is_digest,
            after=after,
            confirmed_at=await session.scalar(select(func.now())) if is_push else None,
        )
        await append(session, alert)
        if not is_push:
            await append(session, AlertDelivery(alert_id=alert_id, crossings=[]))
            await session.execute(_NOTIFY)
        return AlertOut(id=alert_id, token=recipient.token)


async def _newest_change(session: AsyncSession) -> int:
    """Return the newest change; those that commit from now on are fanned out after this ends."""
    await session.execute(select(AlertFanOut.change).with_for_update(read=True))
    return await session.scalar(select(func.max(Change.number))) or 0


async def _require_usable(session: AsyncSession, about: About, newest: int) -> None:
    """Raise Invalid for what does not exist, and for a vehicle that can use none of it."""
    await require_existing(
        session,
        {
            "crossings": (Kind.CROSSING, about.crossings),
            "borders": (Kind.BORDER, about.borders),
            "to": (Kind.COUNTRY, [about.to]),
        },
        where="body",
    )
    if about.borders or (about.traffic is None and about.to is None):
        return
    details = await details_of(session, about.crossings, known_change=newest)
    if not any(crossing.lanes_for(about.traffic, about.to) for crossing in details.values()):
        raise invalid("traffic", "none of the crossings has such a lane")


def _new_token() -> str:
    return secrets.token_urlsafe(24)
