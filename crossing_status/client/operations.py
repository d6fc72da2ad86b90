"""The operations of the service that the clients have: what each asks for, and what it answers.

``at`` asks about another instant, ``known_at`` or ``known_change`` about what was known then; all
instants need an offset. ``at_least_change`` makes the answer reflect at least that change, such as
that of a write before. Every write has an ``idempotency_key``, by default one of its own: with the
same key it is done once, however often it is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote
from uuid import UUID, uuid4

from pydantic import BaseModel

from crossing_status.client.bodies import (
    NewConfirmation,
    NewDecision,
    NewObservations,
    NewRetraction,
)
from crossing_status.client.downloads import Download, Progress, no_progress
from crossing_status.client.following import EVENT_STREAM, SILENCE_SECONDS, ChangeStream
from crossing_status.client.models import (
    Alternative,
    BorderDetail,
    BorderStatistics,
    BorderSummary,
    Change,
    CrossingDetail,
    CrossingStatistics,
    CrossingStatus,
    Decision,
    DecisionPreview,
    ListedCrossing,
    Observation,
    ObservationsPreview,
    RecordedObservations,
    StatusEvent,
    TimelinePeriod,
)
from crossing_status.client.requests import Answer, Call, Listing, parameters_of
from crossing_status.vocabulary import ChangeKind, EventKind, Mode, Status, Traffic

Export = Literal[
    "events.csv", "events.ndjson", "timelines.csv", "timelines.ndjson", "statistics.csv"
]
"""What can be downloaded as a whole."""
EXPORTS: tuple[Export, ...] = get_args(Export)
_EXPORT_SILENCE_SECONDS = 120.0
"""Of the whole log; statistics are only sent once all of them are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traveller:
    """Who asks: the groups and citizenships of a traveller, and the vehicle."""

    groups: Sequence[str] = ()
    """Such as ``residents`` or ``permit_holders``."""
    citizen_of: Sequence[str] = ()
    empty: bool = False
    weight_kg: int | None = None
    height_m: float | None = None

    @property
    def parameters(self) -> Sequence[tuple[str, str]]:
        return parameters_of(
            as_=self.groups,
            citizen_of=self.citizen_of,
            empty=self.empty,
            weight_kg=self.weight_kg,
            height_m=self.height_m,
        )


_ANYBODY = Traveller()


# Statuses


def status(
    crossing: str,
    *,
    traffic: Traffic | str | None = None,
    to: str | None = None,
    traveller: Traveller = _ANYBODY,
    at: datetime | None = None,
    known_at: datetime | None = None,
    known_change: int | None = None,
    at_least_change: int | None = None,
) -> Call[CrossingStatus]:
    """Return the status of a crossing, by its id, or of some of its lanes."""
    question = parameters_of(
        traffic=traffic, to=to, at=at, known_at=known_at, known_change=known_change
    )
    return Call(
        path=f"v1/crossings/{_segment(crossing)}/status",
        parameters=[*question, *traveller.parameters],
        headers=_at_least(at_least_change),
        answer=CrossingStatus,
    )


def timeline(
    crossing: str,
    *,
    traffic: Traffic | str | None = None,
    to: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    hours: bool = False,
    known_at: datetime | None = None,
    known_change: int | None = None,
) -> Listing[TimelinePeriod]:
    """Iterate over the periods of a crossing's history and announced future, the oldest first.

    With ``hours`` also over those of regular hours, from ``start`` to ``end``.
    """
    return Listing(
        path=f"v1/crossings/{_segment(crossing)}/timeline",
        parameters=parameters_of(
            traffic=traffic,
            to=to,
            start=start,
            end=end,
            hours=hours,
            known_at=known_at,
            known_change=known_change,
        ),
        item=TimelinePeriod,
    )


def statistics(
    crossing: str,
    *,
    traffic: Traffic | str | None = None,
    to: str | None = None,
    from_: datetime | None = None,
    until: datetime | None = None,
) -> Call[CrossingStatistics]:
    """Return time by status, closures and median waits over a range, by default of 365 days."""
    return Call(
        path=f"v1/crossings/{_segment(crossing)}/statistics",
        parameters=parameters_of(traffic=traffic, to=to, from_=from_, until=until),
        answer=CrossingStatistics,
    )


# Crossings and borders


def crossing(
    crossing: str,
    *,
    traveller: Traveller = _ANYBODY,
    at_least_change: int | None = None,
) -> Call[CrossingDetail]:
    """Return a crossing, by its id: where it is, what it is authorised for, its status now."""
    return Call(
        path=f"v1/crossings/{_segment(crossing)}",
        parameters=traveller.parameters,
        headers=_at_least(at_least_change),
        answer=CrossingDetail,
    )


def crossings(
    *,
    q: str | None = None,
    ids: Sequence[str] = (),
    border: str | None = None,
    country: str | None = None,
    mode: Mode | str | None = None,
    traffic: Traffic | str | None = None,
    to: str | None = None,
    status: Status | str | None = None,
    near: tuple[float, float] | None = None,
    radius_km: float | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    order: Literal["evidence"] | None = None,
    retired: bool = False,
    traveller: Traveller = _ANYBODY,
    at: datetime | None = None,
    known_at: datetime | None = None,
    known_change: int | None = None,
    at_least_change: int | None = None,
) -> Listing[ListedCrossing]:
    """Iterate over crossings with their status.

    ``q`` finds a name in any spelling or script, the best match first. ``near`` is a latitude and a
    longitude, ``bbox`` the west, south, east and north of a box, all in degrees.
    """
    question = parameters_of(
        q=q,
        id=ids,
        border=border,
        country=country,
        mode=mode,
        traffic=traffic,
        to=to,
        status=status,
        near=_joined(near),
        radius_km=radius_km,
        bbox=_joined(bbox),
        order=order,
        retired=retired,
        at=at,
        known_at=known_at,
        known_change=known_change,
    )
    return Listing(
        path="v1/crossings",
        parameters=[*question, *traveller.parameters],
        headers=_at_least(at_least_change),
        item=ListedCrossing,
    )


def alternatives(
    crossing: str,
    *,
    traffic: Traffic | str | None = None,
    to: str | None = None,
    traveller: Traveller = _ANYBODY,
) -> Listing[Alternative]:
    """Iterate over other crossings that are not closed for these lanes, the best first."""
    question = parameters_of(traffic=traffic, to=to)
    return Listing(
        path=f"v1/crossings/{_segment(crossing)}/alternatives",
        parameters=[*question, *traveller.parameters],
        item=Alternative,
    )


def border(
    border: str,
    *,
    traveller: Traveller = _ANYBODY,
    at: datetime | None = None,
    known_at: datetime | None = None,
    known_change: int | None = None,
    at_least_change: int | None = None,
) -> Call[BorderDetail]:
    """Return a border, such as ``BY-LT``: counts by status, crossings, notices, gaps."""
    question = parameters_of(at=at, known_at=known_at, known_change=known_change)
    return Call(
        path=f"v1/borders/{_segment(border)}",
        parameters=[*question, *traveller.parameters],
        headers=_at_least(at_least_change),
        answer=BorderDetail,
    )


def borders(*, country: str | None = None, at: datetime | None = None) -> Listing[BorderSummary]:
    """Iterate over borders, each with how many of its crossings are of each status."""
    return Listing(
        path="v1/borders", parameters=parameters_of(country=country, at=at), item=BorderSummary
    )


def border_statistics(
    border: str,
    *,
    traffic: Traffic | str | None = None,
    to: str | None = None,
    from_: datetime | None = None,
    until: datetime | None = None,
) -> Call[BorderStatistics]:
    """Return the statistics of each crossing of a border, and of all of them together."""
    return Call(
        path=f"v1/borders/{_segment(border)}/statistics",
        parameters=parameters_of(traffic=traffic, to=to, from_=from_, until=until),
        answer=BorderStatistics,
    )


# The log


def event(event: UUID | str) -> Call[StatusEvent]:
    """Return one status event, and what became of it."""
    return Call(path=f"v1/events/{_segment(str(event))}", answer=StatusEvent)


def events(
    *,
    crossing: str | None = None,
    decision: UUID | str | None = None,
    kind: EventKind | str | None = None,
) -> Listing[StatusEvent]:
    """Iterate over the log of status events, the newest first."""
    return Listing(
        path="v1/events",
        parameters=parameters_of(crossing=crossing, decision=decision, kind=kind),
        item=StatusEvent,
    )


def changes(
    *,
    after: int = 0,
    crossings: Sequence[str] = (),
    borders: Sequence[str] = (),
    countries: Sequence[str] = (),
    kinds: Sequence[ChangeKind | str] = (),
    traffic: Traffic | str | None = None,
    to: str | None = None,
) -> Listing[Change]:
    """Iterate over the changes after number ``after``, in order, up to the newest."""
    matching = _filter(crossings, borders, countries, kinds, traffic, to)
    return Listing(
        path="v1/changes", parameters=[*parameters_of(after=after), *matching], item=Change
    )


def follow(
    *,
    after: int | None = None,
    crossings: Sequence[str] = (),
    borders: Sequence[str] = (),
    countries: Sequence[str] = (),
    kinds: Sequence[ChangeKind | str] = (),
    traffic: Traffic | str | None = None,
    to: str | None = None,
) -> ChangeStream:
    """Iterate over changes as they are committed, in order and once, for as long as you like.

    It begins with the next change, or with what follows number ``after``. A connection that breaks
    is resumed where it was. Raises ChangesDropped if changes have become void.
    """
    return ChangeStream(
        path="v1/changes",
        parameters=_filter(crossings, borders, countries, kinds, traffic, to),
        # Nothing in between may keep events back, be it to compress them.
        headers={
            "Accept": EVENT_STREAM,
            "Accept-Encoding": "identity",
            "Cache-Control": "no-store",
        },
        silence=SILENCE_SECONDS,
        after=after,
    )


def _filter(
    crossings: Sequence[str],
    borders: Sequence[str],
    countries: Sequence[str],
    kinds: Sequence[str],
    traffic: str | None,
    to: str | None,
) -> Sequence[tuple[str, str]]:
    return parameters_of(
        crossing=crossings, border=borders, country=countries, kind=kinds, traffic=traffic, to=to
    )


# Observations


def observations(
    crossing: str,
    *,
    traffic: Traffic | str | None = None,
    to: str | None = None,
    from_: datetime | None = None,
    until: datetime | None = None,
) -> Listing[Observation]:
    """Iterate over what was observed at a crossing, the newest first."""
    return Listing(
        path=f"v1/crossings/{_segment(crossing)}/observations",
        parameters=parameters_of(traffic=traffic, to=to, from_=from_, until=until),
        item=Observation,
    )


# Writes


def declare(decision: NewDecision, *, idempotency_key: str | None = None) -> Call[Decision]:
    """Declare a status for one or many crossings, all of them or none."""
    return _write("v1/events", decision, Decision, idempotency_key)


def preview_declaration(decision: NewDecision) -> Call[DecisionPreview]:
    """Check a declaration, and return what it would change; nothing is written."""
    return _preview("v1/events", decision, DecisionPreview)


def retract(
    event: UUID | str, retraction: NewRetraction, *, idempotency_key: str | None = None
) -> Call[Decision]:
    """Withdraw a status event that should not have been recorded."""
    return _write(_retraction(event), retraction, Decision, idempotency_key)


def preview_retraction(event: UUID | str, retraction: NewRetraction) -> Call[DecisionPreview]:
    """Check a retraction, and return what it would change; nothing is written."""
    return _preview(_retraction(event), retraction, DecisionPreview)


def confirm(
    crossing: str, confirmation: NewConfirmation, *, idempotency_key: str | None = None
) -> Call[Decision]:
    """Record that the source was checked again, and that what it says is still true."""
    return _write(_confirmations(crossing), confirmation, Decision, idempotency_key)


def preview_confirmation(crossing: str, confirmation: NewConfirmation) -> Call[DecisionPreview]:
    """Check a confirmation, and return what it would change; nothing is written."""
    return _preview(_confirmations(crossing), confirmation, DecisionPreview)


def record_observations(
    observations: NewObservations, *, idempotency_key: str | None = None
) -> Call[RecordedObservations]:
    """Record up to 1,000 observations of one source, all of them or none."""
    return _write("v1/observations", observations, RecordedObservations, idempotency_key)


def preview_observations(observations: NewObservations) -> Call[ObservationsPreview]:
    """Check observations, and return how many would be recorded; nothing is written."""
    return _preview("v1/observations", observations, ObservationsPreview)


# Exports


def download(
    export: Export,
    path: Path | str,
    *,
    crossings: Sequence[str] = (),
    borders: Sequence[str] = (),
    countries: Sequence[str] = (),
    known_change: int | None = None,
    progress: Progress = no_progress,
) -> Download:
    """Write an export to a file, whole or not at all; return the change that it reflects.

    ``progress`` is called with the number of bytes that were written so far, which begins again at
    0 if the connection breaks.
    """
    return Download(
        path=f"feeds/{export}",
        parameters=parameters_of(
            crossing=crossings, border=borders, country=countries, known_change=known_change
        ),
        silence=_EXPORT_SILENCE_SECONDS,
        target=Path(path),
        progress=progress,
    )


def _write(
    path: str, body: BaseModel, answer: type[Answer], idempotency_key: str | None
) -> Call[Answer]:
    return Call(
        method="POST",
        path=path,
        body=body,
        idempotency_key=idempotency_key or str(uuid4()),
        answer=answer,
    )


def _preview(path: str, body: BaseModel, answer: type[Answer]) -> Call[Answer]:
    return Call(
        method="POST", path=path, parameters=[("validate_only", "true")], body=body, answer=answer
    )


def _at_least(change: int | None) -> dict[str, str]:
    return {} if change is None else {"At-Least-Change": str(change)}


def _joined(degrees: Sequence[float] | None) -> str | None:
    return None if degrees is None else ",".join(map(str, degrees))


def _segment(name: str) -> str:
    """Return a name as one segment of a path."""
    return quote(name, safe="")


def _retraction(event: UUID | str) -> str:
    return f"v1/events/{_segment(str(event))}/retraction"


def _confirmations(crossing: str) -> str:
    return f"v1/crossings/{_segment(crossing)}/confirmations"
