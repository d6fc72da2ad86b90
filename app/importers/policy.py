"""What a feed may say of a status: a file beside each importer, and what follows from it. Pure."""

from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.http.bodies import Body, CountryCode
from app.observations.waits import Observed
from app.status.rule.cut import has_gap
from app.status.rule.history import Declaration, Lane, OutOfReach
from app.status.rule.resolution import ResolvedHistory
from app.vocabulary import Status

StatusPolicy = Literal["nothing", "open"]

LONGEST_CONFIRM_WITHIN = timedelta(days=1)
"""A feed opens nothing that would stay open for longer than this after it has gone silent."""
CONFIRMED_PER_PERIOD = 4
"""An observation confirms anew once a quarter of the time has passed in which one suffices."""


class Policy(Body):
    """What a feed may say of a status; by default nothing, so that its values are observations.

    A feed that the authority of a side runs may say that a lane into its country is open, where
    nothing of that side is in force, and go on confirming that. It never says anything else: that
    lanes are closed, or a queue paused, stays an observation.
    """

    status: StatusPolicy = "nothing"
    side: CountryCode | None = None
    counts_lanes: bool = Field(
        default=False, description="It says how many lanes are open: a lane works if any is."
    )

    @model_validator(mode="after")
    def _names_its_side(self) -> Self:
        if (self.status == "nothing") != (self.side is None):
            raise PydanticCustomError("side", "names the side exactly if the status is not nothing")
        return self

    def is_working(self, observed: Observed) -> bool:
        """Return whether an observation says that a whole lane of its side works."""
        return (
            observed.is_of_lane
            and observed.lane.to == self.side
            and observed.supports is Status.OPEN
            and (not self.counts_lanes or bool(observed.lanes_open))
        )


class LaneAction(Enum):
    """What is done about a lane that a feed reports working."""

    OPEN = auto()
    """Declare it open."""
    CONFIRM = auto()
    """Record a confirmation, since the `open` had expired."""
    KEEP = auto()
    """Keep the observation, which puts off when the `open` expires, and alters nothing else."""


def step_of(
    resolved: ResolvedHistory,
    lane: Lane,
    *,
    own: Declaration | None,
    observed_at: datetime,
    now: datetime,
) -> LaneAction | None:
    """Return what a feed says of a lane that worked at ``observed_at``; None is nothing.

    ``own`` is the feed's own declaration if that is what is in force on the side. Raises
    OutOfReach where the history does not reach back to the observation.
    """
    confirm_within = resolved.history.confirm_within
    if lane not in resolved.history.lanes or confirm_within > LONGEST_CONFIRM_WITHIN:
        return None
    if not now - confirm_within < observed_at <= now:
        return None
    if own is None:
        if observed_at < resolved.history.known_from:
            raise OutOfReach
        is_free = all(in_force(resolved, lane, at) is None for at in (observed_at, now))
        return LaneAction.OPEN if is_free else None
    newest = newest_evidence(resolved, lane)
    if newest is not None and observed_at <= newest:
        return None
    if has_gap(resolved, lane, lane.to, now):
        return LaneAction.CONFIRM
    is_due = newest is None or observed_at - newest >= confirm_within / CONFIRMED_PER_PERIOD
    return LaneAction.KEEP if is_due else None


def in_force(resolved: ResolvedHistory, lane: Lane, at: datetime) -> Declaration | None:
    """Return the foremost declaration of the side that a lane enters; None without any."""
    [group] = [group for group in resolved.groups if lane in group.lanes]
    foremost = group.in_force(at)[lane.to].foremost()
    return None if foremost is None else foremost.event


def newest_evidence(resolved: ResolvedHistory, lane: Lane) -> datetime | None:
    """Return the newest evidence of a lane from the side that it enters."""
    [group] = [group for group in resolved.groups if lane in group.lanes]
    past = group.evidence(frozenset({lane.to})).past
    return past[-1] if past else None
