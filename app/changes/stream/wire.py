"""The messages of the stream. Each change is encoded once, and recent ones are kept."""

import json
from collections import deque
from collections.abc import Mapping
from random import randint

from starlette.types import Message

from app.caches import CacheUsage, register
from app.changes.cloudevents import EnvelopeKind, enveloped
from app.changes.models import Change
from app.changes.service import ChangeRow, change_record

RECENT_CHANGES = 500
RECENT_BYTES = 8 * 2**20
"""The size of the recent changes without envelope. The oldest are dropped, never the newest."""


class EncodedChange:
    """A change with its messages, one for each envelope."""

    __slots__ = ("_messages", "hash", "number", "record")

    def __init__(self, change: Change | ChangeRow) -> None:
        self.number = change.number
        self.hash = change.hash
        self.record = change_record(change)
        self._messages: dict[EnvelopeKind, Message] = {}

    def message(self, envelope: EnvelopeKind) -> Message:
        """Return the message in an envelope, whose bytes all followers share."""
        message = self._messages.get(envelope)
        if message is None:
            data = enveloped(self.record) if envelope is EnvelopeKind.CLOUDEVENTS else self.record
            text = event(self.number, str(self.record["kind"]), data)
            message = self._messages[envelope] = body_part(text)
        return message

    @property
    def weight(self) -> int:
        return len(self.message(EnvelopeKind.NONE)["body"])


class RecentChanges:
    """The newest changes without a gap, within which a follower may lag behind."""

    def __init__(self) -> None:
        self._changes: deque[EncodedChange] = deque()
        self._bytes = 0
        register(self)

    def usage(self) -> CacheUsage:
        """Return how much is kept, without envelope."""
        return CacheUsage("recent changes", self._bytes, RECENT_BYTES, len(self._changes))

    def add(self, change: EncodedChange) -> None:
        self._changes.append(change)
        self._bytes += change.weight
        while len(self._changes) > RECENT_CHANGES or (
            self._bytes > RECENT_BYTES and len(self._changes) > 1
        ):
            self._bytes -= self._changes.popleft().weight

    def after(self, number: int) -> EncodedChange | None:
        """Return the change after ``number``; None if it is not kept."""
        position = number + 1 - self._changes[0].number if self._changes else -1
        return self._changes[position] if 0 <= position < len(self._changes) else None

    def hashes(self) -> Mapping[int, bytes]:
        return {change.number: change.hash for change in self._changes}

    def drop_after(self, number: int) -> None:
        """Drop the changes after ``number``."""
        while self._changes and self._changes[-1].number > number:
            self._bytes -= self._changes.pop().weight


def event(number: int, name: str, data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {number}\nevent: {name}\ndata: {text}\n\n"


def opening(number: int) -> Message:
    """Return the first message: the position, and a random delay for reconnecting."""
    return body_part(f"retry: {randint(1_000, 3_000)}\nid: {number}\n\n")  # noqa: S311  # no secret


def heartbeat(number: int | None) -> Message:
    """Return a heartbeat, with the position if ``number`` is given."""
    return _HEARTBEAT if number is None else body_part(f":\nid: {number}\n\n")


def dropped(number: int) -> Message:
    """Return the message that changes after ``number`` are no longer in the log."""
    return body_part(event(number, "dropped", {"after": number}))


def body_part(text: str) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


RESPONSE_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept"),
        (b"x-accel-buffering", b"no"),
    ],
}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}
_HEARTBEAT = body_part(":\n\n")
