"""The answers of the board about a crossing: computed on request, kept while they are valid."""

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
from app.status.rule.history import ALWAYS, Lane, OutOfReach
from app.status.rule.resolution import ResolvedHistory
from app.status.rule.travellers import ANYONE, Traveller, for_traveller
from app.status.rule.upcoming import Upcoming, upcoming
from app.status.schemas import EventOut
from app.status.summaries import Summary, status_out, valid, waits_out
from app.vocabulary import Traffic


@dataclass(frozen=True, slots=True)
class Moment:
    """The present instant by the database's clock, and whether the board can be relied on then."""

    now: datetime
    withheld_since: datetime | None = None
    """When the board became too old to be relied on; None while it is not."""


@dataclass(frozen=True, eq=False, slots=True)
class PresentData:
    """The data from which answers about the present of a crossing are computed."""

    history: CrossingHistory
    record_json: bytes
    """The details of the crossing as JSON, which needs a fraction of the memory."""
    change: int | None
    """The last change that concerns the crossing; ``recorded_at`` is when it was recorded."""
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
    """The answer about a crossing, or about some of its lanes, while it is valid."""

    present: PresentData
    moment: Moment
    summary: Summary
    status_validity: Validity
    """The validity of all but the waits."""
    upcoming: Sequence[Upcoming]

    @classmethod
    def of(
        cls,
        present: PresentData,
        moment: Moment,
        lanes: Sequence[Lane] | None = None,
        traveller: Traveller = ANYONE,
    ) -> "View":
        """Compute the answer at ``moment``. Raises OutOfReach if that needs events not loaded."""
        # Not before the newest change, even if a clock was set back.
        now = max(moment.now, present.history.history.known_from, present.recorded_at or ALWAYS)
        history = present.history.history
        if lanes is not None:
            history = replace(history, lanes=tuple(lanes))
        # A new one, because that of the history would be kept as long as the crossing.
        resolved = ResolvedHistory(for_traveller(history, traveller))
        summary = Summary.resolve(present.details, resolved, now, present.change, traveller)
        if moment.withheld_since is not None:
            summary = summary.withhold(moment.withheld_since)
        validity = valid([(summary.settled(), present.recorded_at)])
        summary.forget()
        return cls(present, moment, summary, validity, upcoming(resolved, now))

    def with_waits(self, present: PresentData, moment: Moment) -> "View":
        """Return this with other waits, without resolving the status again."""
        return replace(self, present=present, moment=moment)

    def is_status_valid(self, moment: Moment) -> bool:
        """Return whether all but the waits is still valid."""
        due = self.status_validity.due
        return (
            self.moment.withheld_since == moment.withheld_since
            and self.moment.now <= moment.now
            and (due is None or moment.now < due)
        )

    def is_valid(self, moment: Moment) -> bool:
        """Return whether the whole answer is still valid."""
        due = self.validity.due
        return self.is_status_valid(moment) and (due is None or moment.now < due)

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
    def status_json(self) -> bytes:
        body = status_out(self.summary, self.present.events, self.waits)
        return body.model_dump_json(by_alias=True).encode()

    @cached_property
    def detail_json(self) -> bytes:
        body = crossing_detail(self.summary, self.present.record, self.present.events, self.waits)
        return body.model_dump_json(by_alias=True).encode()

    @cached_property
    def summary_json(self) -> bytes:
        return self._summary_out.model_dump_json(by_alias=True).encode()

    @cached_property
    def feature_json(self) -> bytes:
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
        self,
        moment: Moment,
        traffic: Traffic | None = None,
        to: str | None = None,
        traveller: Traveller = ANYONE,
    ) -> View | None:
        """Return the answer at ``moment`` about all lanes or some.

        None if there is no such lane, and in the rare case that it depends on events not loaded.
        An answer for one traveller is computed each time.
        """
        view = self._views.get((traffic, to)) if traveller.is_anyone else None
        if view is None or not view.is_status_valid(moment):
            lanes = self.present.details.lanes_for(traffic, to)
            if not lanes:
                return None
            try:
                view = View.of(self.present, moment, lanes, traveller)
            except OutOfReach:
                return None
            if traveller.is_anyone:
                self._views[traffic, to] = view
        elif view.present is not self.present or not view.is_valid(moment):
            view = self._views[traffic, to] = view.with_waits(self.present, moment)
        return view

    def update_waits(self, waits: Waits) -> None:
        """Update the waits."""
        self.present = replace(self.present, waits=self.present.waits.updated(waits.latest))
