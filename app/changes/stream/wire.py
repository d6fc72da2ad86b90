"""What goes over the wire: each change encoded once, and the newest kept for whoever is behind."""

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
"""Of recent changes, in the plain envelope: the oldest go first, but for the newest one."""


class EncodedChange:
    """A change as it is told to followers."""

    __slots__ = ("_messages", "change", "hash", "number")

    def __init__(self, change: Change | ChangeRow) -> None:
        self.number = change.number
        self.hash = change.hash
        self.change = change_record(change)
        self._messages: dict[EnvelopeKind, Message] = {}

    def message(self, envelope: EnvelopeKind) -> Message:
        """Return it in an envelope; every follower shares the same bytes."""
        found = self._messages.get(envelope)
        if found is None:
            data = enveloped(self.change) if envelope is EnvelopeKind.CLOUDEVENTS else self.change
            text = event(self.number, str(self.change["kind"]), data)
            found = self._messages[envelope] = part(text)
        return found

    @property
    def weight(self) -> int:
        return len(self.message(EnvelopeKind.NONE)["body"])


class RecentChanges:
    """The newest changes without a gap: what a follower may lag behind by."""

    def __init__(self) -> None:
        self._kept: deque[EncodedChange] = deque()
        self._bytes = 0
        register(self)

    def usage(self) -> CacheUsage:
        """Return how much it holds, in the plain envelope."""
        return CacheUsage("recent changes", self._bytes, RECENT_BYTES, len(self._kept))

    def add(self, told: EncodedChange) -> None:
        self._kept.append(told)
        self._bytes += told.weight
        while len(self._kept) > RECENT_CHANGES or (
            self._bytes > RECENT_BYTES and len(self._kept) > 1
        ):
            self._bytes -= self._kept.popleft().weight

    def after(self, number: int) -> EncodedChange | None:
        """Return the change after ``number``; None if it is not kept."""
        place = number + 1 - self._kept[0].number if self._kept else -1
        return self._kept[place] if 0 <= place < len(self._kept) else None

    def hashes(self) -> Mapping[int, bytes]:
        return {told.number: told.hash for told in self._kept}

    def keep_until(self, number: int) -> None:
        """Forget what comes after ``number``."""
        while self._kept and self._kept[-1].number > number:
            self._bytes -= self._kept.pop().weight


def event(number: int, name: str, data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {number}\nevent: {name}\ndata: {text}\n\n"


def opening(number: int) -> Message:
    """Say where the stream begins, and to come back after one to three seconds, not all at once."""
    return part(f"retry: {randint(1_000, 3_000)}\nid: {number}\n\n")  # noqa: S311  # no secret


def heartbeat(number: int | None) -> Message:
    """Say that the stream goes on; with a number, also how far it was looked through."""
    return _HEARTBEAT if number is None else part(f":\nid: {number}\n\n")


def dropped(number: int) -> Message:
    """Say that what came after ``number`` is no longer in the log, and to resume from there."""
    return part(event(number, "dropped", {"after": number}))


def part(text: str) -> Message:
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
_HEARTBEAT = part(":\n\n")
