"""A real mail server on loopback, and what it received."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers import free_port
from tests.waiting import until


@dataclass
class Mailbox:
    """What a mail server received. ``replies`` are its next ones to the name of a recipient."""

    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    refused: int = 0
    url: str = ""

    async def handle_RCPT(  # noqa: N802  # the library's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self.replies:
            self.refused += 1
            return self.replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.recipients += envelope.rcpt_tos
        self.mails.append(mail)
        return "250 OK"

    async def got(self, count: int) -> list[EmailMessage]:
        """Wait until so many mails came, and return them all."""
        await until(lambda: len(self.mails) >= count)
        return list(self.mails)


def text_of(mail: EmailMessage) -> str:
    content = mail.get_content()
    assert isinstance(content, str)
    return content


def link_in(mail: EmailMessage) -> str:
    """Return the link of a mail that has a token."""
    (link,) = set(re.findall(r"https?://\S+token=\S+", text_of(mail)))
    return str(link)


@contextmanager
def mail_server_in_thread() -> Iterator[Mailbox]:
    """Run a mail server in a thread of its own."""
    port = free_port()
    mailbox = Mailbox(url=f"smtp://127.0.0.1:{port}")
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mailbox]:
    with mail_server_in_thread() as mailbox:
        yield mailbox
