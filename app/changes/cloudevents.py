"""The CloudEvents 1.0 envelope of a change, for streams and webhooks.

It is built by hand, because the public library would parse and format all instants again. The
tests validate every envelope with that library.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from app.changes.schemas import ChangeOut
from app.http.bodies import Body

CLOUDEVENTS_JSON = "application/cloudevents+json"

_SUBJECTS = ("crossings", "borders", "countries", "incidents", "sources")
"""Kinds of subjects, the narrowest first."""


class EnvelopeKind(StrEnum):
    """What a change is wrapped in on its way to a follower."""

    NONE = "none"
    CLOUDEVENTS = "cloudevents"


class CloudEvent(Body):
    """A change as a CloudEvent 1.0, in its JSON format."""

    specversion: Literal["1.0"]
    id: str = Field(description="The change's hash: the same however often it is sent.")
    source: Literal["/v1/changes"]
    type: str = Field(
        description="`crossing-status.change.` and the kind of the change.",
        examples=["crossing-status.change.decision"],
    )
    subject: str | None = Field(
        None,
        description="The one crossing that it touches, or else the one border, country, incident"
        " or source; left out where it touches several.",
        examples=["crossings/sumskas-losa"],
    )
    time: datetime = Field(description="When it happened: of an effective change, when it was due.")
    recordedtime: datetime = Field(description="When it was recorded.")
    sequence: Annotated[
        str, Field(pattern="^[0-9]{19}$", description="The change's number, in 19 digits.")
    ]
    datacontenttype: Literal["application/json"]
    data: ChangeOut


def enveloped(change: Mapping[str, object]) -> dict[str, object]:
    """Return the envelope of a change record, which is that of `change_record`."""
    payload, subjects = change["payload"], change["subjects"]
    assert isinstance(payload, Mapping)
    assert isinstance(subjects, Mapping)
    subject = _subject(subjects)
    return {
        "specversion": "1.0",
        "id": change["hash"],
        "source": "/v1/changes",
        "type": f"crossing-status.change.{change['kind']}",
        **({} if subject is None else {"subject": subject}),
        "time": payload.get("at", change["recorded_at"]),
        "recordedtime": change["recorded_at"],
        "sequence": f"{change['change']:019}",
        "datacontenttype": "application/json",
        "data": change,
    }


def _subject(subjects: Mapping[str, list[str]]) -> str | None:
    for kind in _SUBJECTS:
        names = subjects.get(kind, [])
        if len(names) == 1:
            return f"{kind}/{names[0]}"
    return None
