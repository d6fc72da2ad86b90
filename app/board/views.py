"""What the board answers about one crossing: made when asked for, kept until it comes due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from uuid import UUID

from app.crossings.answers import CrossingSummary
from app.crossings.geojson import feature_of, json_of
from app.crossings.summaries import crossing_detail, crossing_summary
from app.http.bodies import STORED
from app.http.caching import Validity
from app.observations.schemas import WaitOut
from app.observations.waits import NO_WAITS, Waits
from app.places.details import Details
from app.places.schemas import CrossingRecord
from app.status.histories import CrossingHistory
from app.status.rule.history import Lane, OutOfReach
from app.status.rule.resolution import ResolvedHistory
from app.status.rule.upcoming import Upcoming, upcoming
from app.status.schemas import EventOut
from app.status.summaries import Summary, status_out, valid, waits_out
from app.vocabulary import Traffic


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant of the database's clock, and whether what is known may be relied on at it."""

    now: datetime
    withheld_since: datetime | None = None
    """When the board became too old to rely on; None while it is not."""


@dataclass(frozen=True, eq=False, slots=True)
class PresentData:
    """What answers about a crossing are made of, from some instant on."""

    history: CrossingHistory
    record_json: bytes
    """A crossing's details as JSON, which takes a fraction of the memory."""
    change: int | None
    """The last change that touches it, and when that was recorded."""
    recorded_at: datetime | None
    waits: Waits = NO_WAITS

    @property
    def record(self) -> CrossingRecord:
        return CrossingRecord.model_validate_json(self.record_json, context=STORED)

    @property
    def details(self) -> Details:
        return self.history.details

    @property
    def events(self) -> Mapping[UUID, EventOut]:
        return self.history.events


@dataclass(frozen=True, eq=False)
class View:
    """The answer for a crossing, or for some of its lanes, from a moment until it differs."""

    present: PresentData
    moment: Moment
    summary: Summary
    status_validity: Validity
    """Of all but the waits."""
    upcoming: Sequence[Upcoming]

    @classmethod
    def of(
        cls, present: PresentData, moment: Moment, lanes: Sequence[Lane] | None = None
    ) -> "View":
        """Answer at ``moment``. Raises OutOfReach where it takes older events than are at hand."""
        # The log never stands before what it holds, even were a clock set back.
        now = max(moment.now, present.history.history.known_from)
        history = present.history.history
        if lanes is not None:
            history = replace(history, lanes=tuple(lanes))
        # Not that of the history itself, which would be kept for as long as the crossing is.
        resolved = ResolvedHistory(history)
        summary = Summary.resolve(present.details, resolved, now, present.change)
        if moment.withheld_since is not None:
            summary = summary.withhold(moment.withheld_since)
        validity = valid([(summary.settled(), present.recorded_at)])
        summary.forget()
        return cls(present, moment, summary, validity, upcoming(resolved, now))

    def renewed(self, present: PresentData, moment: Moment) -> "View":
        """Return this with other waits: the status, which takes the most work, stays the same."""
        return replace(self, present=present, moment=moment)

    def status_holds(self, moment: Moment) -> bool:
        """Return whether all but the waits is still the answer."""
        due = self.status_validity.due
        return (
            self.moment.withheld_since == moment.withheld_since
            and self.moment.now <= moment.now
            and (due is None or moment.now < due)
        )

    def holds(self, moment: Moment) -> bool:
        """Return whether it is still the answer."""
        due = self.validity.due
        return self.status_holds(moment) and (due is None or moment.now < due)

    @cached_property
    def validity(self) -> Validity:
        return self.status_validity.also(self.present.waits.validity(self.moment.now))

    @cached_property
    def waits(self) -> list[WaitOut]:
        return waits_out(self.summary, self.present.waits, self.moment.now)

    @property
    def is_retired(self) -> bool:
        return self.present.details.is_retired()

    @cached_property
    def status(self) -> bytes:
        body = status_out(self.summary, self.present.events, self.waits)
        return body.model_dump_json(by_alias=True).encode()

    @cached_property
    def alone(self) -> bytes:
        body = crossing_detail(self.summary, self.present.record, self.present.events, self.waits)
        return body.model_dump_json(by_alias=True).encode()

    @cached_property
    def listed(self) -> bytes:
        return self._summary_out.model_dump_json(by_alias=True).encode()

    @cached_property
    def feature(self) -> bytes:
        return json_of(feature_of(self._summary_out))

    @property
    def _summary_out(self) -> CrossingSummary:
        return crossing_summary(self.summary, self.present.record, self.waits)


class BoardEntry:
    """A crossing on the board."""

    def __init__(self, present: PresentData) -> None:
        self.present = present
        self._views: dict[tuple[Traffic | None, str | None], View] = {}

    def view(
        self, moment: Moment, traffic: Traffic | None = None, to: str | None = None
    ) -> View | None:
        """Return the answer at ``moment``, for all lanes or those asked about.

        None without any, and in the rare case that only older events can tell since when it holds.
        """
        view = self._views.get((traffic, to))
        if view is None or not view.status_holds(moment):
            lanes = self.present.details.lanes_for(traffic, to)
            if not lanes:
                return None
            try:
                view = View.of(self.present, moment, lanes)
            except OutOfReach:
                return None
            self._views[traffic, to] = view
        elif view.present is not self.present or not view.holds(moment):
            view = self._views[traffic, to] = view.renewed(self.present, moment)
        return view

    def take(self, waits: Waits) -> None:
        """Take in what was observed since."""
        self.present = replace(self.present, waits=self.present.waits.updated(waits.latest))
