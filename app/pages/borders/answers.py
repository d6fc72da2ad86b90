"""The content of a page about a border, from the board or else from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from app.board.board import Board
from app.changes.read_sessions import ReadSessions
from app.crossings.answers import BorderOut
from app.crossings.borders import border_summary, gaps, get_border_status
from app.crossings.plans import Plan
from app.crossings.summaries import crossing_summary
from app.http.bodies import sides_of
from app.http.caching import ALWAYS_VALID, Validity
from app.http.parameters import AsOf
from app.languages.words import N_, Words
from app.pages.lanes.plans import plans_of_view
from app.pages.lanes.vehicle import Vehicle
from app.places.zones import Clocks
from app.sources.schemas import SourceOut
from app.sources.service import sources_of
from app.statistics.figures import Figures, joined
from app.statistics.reading import StatisticsQuery, crossing_figures


@dataclass(frozen=True, slots=True)
class BorderAnswer:
    """A border with its crossings, and how long that is valid."""

    border: BorderOut
    validity: Validity
    plans: Mapping[str, Sequence[Plan]]
    """Upcoming statuses by crossing; empty unless the page is about the present."""
    sources: Mapping[UUID, SourceOut] | None = None
    """The sources of the notices; None if the database, which has both, was unavailable."""

    @property
    def clocks(self) -> Clocks:
        return Clocks(self.border.countries)

    def with_notices_of(self, other: "BorderAnswer | None") -> "BorderAnswer":
        """Return this with the notices and sources of another."""
        if other is None:
            return self
        border = self.border.model_copy(update={"notices": other.border.notices})
        return replace(self, border=border, sources=other.sources)


def border_from_board(
    board: Board, border_id: str, vehicle: Vehicle, *, retired: bool
) -> BorderAnswer | None:
    """Return a border as the board has it; None if it does not have all of it, or is not loaded."""
    entries = board.entries(border_id) if board.is_loaded else []
    if not entries:
        return None
    moment = board.moment()
    lanes = (vehicle.traffic, vehicle.to)
    usable_entries = [entry for entry in entries if entry.present.details.lanes_for(*lanes)]
    views_or_none = [entry.view(moment, *lanes, vehicle.traveller) for entry in usable_entries]
    usable_views = [view for view in views_or_none if view is not None]
    if len(usable_views) < len(views_or_none):
        return None
    validity = ALWAYS_VALID
    for view in usable_views:
        validity = validity.also(view.validity)
    views = [view for view in usable_views if retired or not view.is_retired]
    sides = sides_of(border_id)
    summaries = [view.summary for view in views]
    crossings = [crossing_summary(view.summary, view.present.record, view.waits) for view in views]
    border = BorderOut(
        **dict(border_summary(border_id, sides, summaries)),
        at=None,
        known_at=None,
        crossings=crossings,
        notices=[],
        not_covered=gaps(sides, summaries, crossings),
    )
    return BorderAnswer(border, validity, {view.summary.id: plans_of_view(view) for view in views})


async def border_from_database(
    read_sessions: ReadSessions,
    *,
    border_id: str,
    at: datetime | None,
    as_of: AsOf,
    vehicle: Vehicle,
    retired: bool,
) -> BorderAnswer:
    """Return a border at an instant as the database has it. Raises BorderNotFound."""
    async with read_sessions.for_question(at, as_of) as session:
        border, _ = await get_border_status(
            session,
            border_id=border_id,
            at=at,
            as_of=as_of,
            traffic=vehicle.traffic,
            to=vehicle.to,
            traveller=vehicle.traveller,
            retired=retired,
        )
        cited = [citation.source for notice in border.notices for citation in notice.citations]
        return BorderAnswer(border, ALWAYS_VALID, {}, await sources_of(session, cited))


async def border_figures(
    read_sessions: ReadSessions, answer: BorderAnswer, vehicle: Vehicle
) -> dict[str, Figures]:
    """Return the figures of the last months of a border's crossings, for a vehicle."""
    ids = [crossing.id for crossing in answer.border.crossings]
    query = StatisticsQuery(traffic=vehicle.traffic, to=vehicle.to)
    async with read_sessions.history(AsOf()) as session:
        return await crossing_figures(session, ids, query=query)


def by_name(
    answer: BorderAnswer, figures: Mapping[str, Figures], words: Words
) -> list[tuple[str, Figures]]:
    """Return the figures with the names of the crossings; of several, those of all come last."""
    rows = [
        (words.crossing_of(crossing.names, crossing.mode), figures[crossing.id])
        for crossing in answer.border.crossings
        if crossing.id in figures
    ]
    if len(rows) > 1:
        rows.append((words.translate(N_("All crossings")), joined(figures.values())))
    return rows
