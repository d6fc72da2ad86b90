"""E-mail: what it looks like, and how it is handed to the operator's mail server."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime
from http import HTTPStatus
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib
from pydantic import SecretStr

from app.alerts.deliveries import Verdict
from app.alerts.messages import AlertMessage
from app.languages.words import N_, Words

SECONDS = 30.0
"""The limit for a connection, and for each command of a mail server."""

_PERMANENT = HTTPStatus.INTERNAL_SERVER_ERROR
"""The replies of SMTP are numbered like the statuses of HTTP: from 500 on it is for good."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The operator's mail server, by the URL of the setting."""

    host: str
    port: int
    is_tls: bool
    """Whether the connection begins with TLS; otherwise STARTTLS is used where it is offered."""
    user: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, url: SecretStr) -> "MailServer":
        """Read ``smtp://user:password@host:port`` or ``smtps://…``, as the settings checked it."""
        parts = urlsplit(url.get_secret_value())
        assert parts.hostname is not None
        is_tls = parts.scheme == "smtps"
        return cls(
            parts.hostname,
            parts.port or (465 if is_tls else 25),
            is_tls,
            None if parts.username is None else unquote(parts.username),
            None if parts.password is None else unquote(parts.password),
        )

    def client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.is_tls,
            # A password is sent over TLS only.
            start_tls=None if self.is_tls or self.user is None else True,
            username=self.user,
            password=self.password,
            timeout=SECONDS,
        )


class Mailer:
    """Sends mails one after the other, over one connection for as long as the server keeps it."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._client: aiosmtplib.SMTP | None = None
        self._lock = asyncio.Lock()

    async def send(self, mail: EmailMessage) -> tuple[Verdict, str | None]:
        """Send a mail; return what came of it, and what was wrong, without the address."""
        async with self._lock:
            try:
                await self._send(mail)
            except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPResponseException) as refusal:
                return _verdict_of(refusal)
            except (aiosmtplib.SMTPException, OSError) as error:
                await self._close()
                return Verdict.FAILED, f"no answer of the mail server: {type(error).__name__}"
        return Verdict.DELIVERED, None

    async def _send(self, mail: EmailMessage) -> None:
        if self._client is not None and self._client.is_connected:
            try:
                await self._client.send_message(mail)
            except aiosmtplib.SMTPServerDisconnected:
                # A server closes what is idle, which is noticed when it is used.
                await self._close()
            else:
                return
        await self._close()
        self._client = self._server.client()
        await self._client.connect()
        await self._client.send_message(mail)

    async def close(self) -> None:
        async with self._lock:
            await self._close()

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _verdict_of(refusal: aiosmtplib.SMTPException) -> tuple[Verdict, str]:
    """Return what a refusal means: of the recipient, or of anything else."""
    if isinstance(refusal, aiosmtplib.SMTPRecipientsRefused):
        code = max(one.code for one in refusal.recipients)
        verdict = Verdict.GONE if code >= _PERMANENT else Verdict.REFUSED
        return verdict, f"the mail server refuses the recipient: {code}"
    code = refusal.code if isinstance(refusal, aiosmtplib.SMTPResponseException) else 0
    return Verdict.FAILED, f"the mail server refuses the message: {code}"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a mail is for, and the alert that it belongs to."""

    recipient: str
    delivery_id: UUID
    alert_id: UUID
    token: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What every mail has: who it is from, and where the service is reached."""

    sender: str
    public_url: str

    def alert(self, words: Words, message: AlertMessage, envelope: Envelope) -> EmailMessage:
        """Return a mail about a change. It can be ended by one click (RFC 8058)."""
        stop = self._link(envelope, "/unsubscribe", words)
        paragraphs = [
            f"{item.title}\n\n{item.text}\n{self.public_url}{item.path}" for item in message.items
        ]
        end = words.translate(N_("You receive this because you asked for it. To unsubscribe:"))
        mail = self._mail(message.title, envelope)
        mail["List-Unsubscribe"] = f"<{stop}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        _set_text(mail, words, [*paragraphs, f"-- \n{end}\n{stop}"])
        return mail

    def confirmation(self, words: Words, subjects: str, envelope: Envelope) -> EmailMessage:
        """Return the mail that asks whoever has the address whether they want to be told."""
        asked = N_("Someone, probably you, asked us to write to this address when this changes:")
        how = N_("If that was you, open this page and press the button:")
        otherwise = N_(
            "If it was not you, do nothing: we will not write again, and will delete the address"
            " within two days."
        )
        mail = self._mail(
            words.translate(N_("Please confirm: tell me when this changes")), envelope
        )
        paragraphs = [
            f"{words.translate(asked)}\n{subjects}",
            f"{words.translate(how)}\n{self._link(envelope, '', words)}",
            words.translate(otherwise),
        ]
        _set_text(mail, words, paragraphs)
        return mail

    def _mail(self, subject: str, envelope: Envelope) -> EmailMessage:
        # The headers of this class refuse line breaks.
        headers: Mapping[str, str] = {
            "From": self.sender,
            "To": envelope.recipient,
            "Subject": subject,
            "Date": format_datetime(envelope.at),
            # The same for every attempt, so that a mail that came twice is recognised.
            "Message-ID": f"<{envelope.delivery_id}@{urlsplit(self.public_url).hostname}>",
            "Auto-Submitted": "auto-generated",
        }
        mail = EmailMessage(policy=WIRE)
        for name, value in headers.items():
            mail[name] = value
        return mail

    def _link(self, envelope: Envelope, page: str, words: Words) -> str:
        path = f"/alerts/{envelope.alert_id}{page}"
        return f"{self.public_url}{path}?token={envelope.token}&lang={words.language.code}"


def _set_text(mail: EmailMessage, words: Words, paragraphs: Sequence[str]) -> None:
    mail.set_content("\n\n".join(paragraphs) + "\n", cte="quoted-printable")
    # Setting the content removes every earlier header about it.
    mail["Content-Language"] = words.language.code
