"""Bodies of changes."""

from datetime import datetime

from pydantic import Field, JsonValue

from app.http.bodies import Body
from app.vocabulary import ChangeKind


class ChangeOut(Body, title="Change"):
    """One committed step of the log, chained to the one before.

    ``hash`` is the SHA-256, in hex, of the 32 bytes of the hash before it (zeros for the
    first) and the RFC 8785 JSON of this item without ``hash``.
    """

    change: int
    kind: ChangeKind
    recorded_at: datetime
    subjects: dict[str, list[str]]
    payload: dict[str, JsonValue]
    hash: str = Field(pattern="^[0-9a-f]{64}$")


class ChangePage(Body, title="PageOfChanges"):
    """A page of the change log. ``next`` is never null: the log goes on."""

    items: list[ChangeOut]
    next: str
