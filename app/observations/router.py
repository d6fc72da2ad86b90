"""HTTP of observations."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response

from app.access.writing import IdempotentWriter, writes
from app.changes.read_sessions import HistorySession
from app.database.sessions import Session
from app.errors import CrossingNotFound, HistoryOverloaded, LaneNotFound
from app.http.bodies import CountryCode, CrossingId, QueryInstant
from app.http.paging import Page, PageQuery, instant_and_number
from app.http.problems import preview, responses
from app.http.routing import WHOLE_BODY, feature_router
from app.observations import reading, recording
from app.observations.reading import ObservationFilter
from app.observations.schemas import (
    ObservationOut,
    ObservationsIn,
    ObservationsOut,
    ObservationsPreview,
    ObservationSummary,
)
from app.vocabulary import KeyScope, Traffic

router = feature_router(prefix="/v1", tag="observations")


def _observation_filter(
    crossing_id: Annotated[CrossingId, Path()],
    traffic: Annotated[
        Traffic | None, Query(description="Only lanes of this traffic.", examples=["car"])
    ] = None,
    to: Annotated[
        CountryCode | None, Query(description="Only lanes entering this country.", examples=["LT"])
    ] = None,
    from_: Annotated[
        QueryInstant | None, Query(alias="from", description="Leave out what was observed before.")
    ] = None,
    until: Annotated[
        QueryInstant | None,
        Query(description="Leave out what was observed then or later."),
    ] = None,
) -> ObservationFilter:
    return ObservationFilter(crossing=crossing_id, traffic=traffic, to=to, from_=from_, until=until)


ObservationFilterQuery = Annotated[ObservationFilter, Depends(_observation_filter)]


@router.post(
    "/observations",
    summary="Record observations",
    status_code=201,
    response_model=ObservationsOut,
    responses=responses() | preview(ObservationsPreview),
)
async def post_observations(
    request: Request,
    observations: ObservationsIn,
    writer: Annotated[IdempotentWriter, writes(KeyScope.OBSERVATIONS, body_bytes=WHOLE_BODY)],
) -> Response:
    """Record up to 1,000 observations of one source: all of them or none.

    An observation that the source already has for the lane, queue and instant is left out. If
    rows are not valid, nothing is recorded, and they are named by their index.
    """
    return await writer.run(
        observations,
        partial(
            recording.record_observations,
            source=observations.source,
            observations=observations.observations,
            limits=request.app.state.observation_limits,
        ),
    )


@router.get(
    "/crossings/{crossing_id}/observations",
    summary="List the observations of a crossing",
    responses=responses(CrossingNotFound, LaneNotFound),
)
async def list_observations(
    session: Session, pagination: PageQuery, observation_filter: ObservationFilterQuery
) -> Page[ObservationOut]:
    """Return what was observed at a crossing, the newest first."""
    rows = await reading.list_observations(
        session,
        observation_filter=observation_filter,
        after=pagination.start(instant_and_number),
        limit=pagination.limit + 1,
    )
    page = pagination.page(rows, lambda row: (row[1].observed_at.isoformat(), str(row[0])))
    return Page(items=[observation for _, observation in page.items], next=page.next)


@router.get(
    "/crossings/{crossing_id}/observations/summary",
    summary="Summarise the observations of a crossing",
    responses=responses(HistoryOverloaded, CrossingNotFound, LaneNotFound),
)
async def get_observation_summary(
    session: HistorySession, observation_filter: ObservationFilterQuery
) -> ObservationSummary:
    """Return the waits of each hour of the week, by the clocks of the side where traffic waits.

    Of the four weeks before `until`, which is now by default; of up to 92 days with `from`.
    """
    return await reading.summarise_observations(session, observation_filter=observation_filter)
