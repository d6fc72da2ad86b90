"""HTTP of the pages about one crossing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Query, Response
from pydantic import JsonValue

from app.changes.read_sessions import AnyReadSessions, ReadSessions
from app.crossings.sentence import sentence
from app.http.bodies import CrossingId
from app.http.parameters import AsOf
from app.http.problems import unless_out
from app.http.routing import hidden_router
from app.languages.words import N_
from app.pages.crossings.answers import (
    CrossingAnswer,
    PageData,
    crossing_from_board,
    crossing_from_database,
    load_page_data,
    nearest_alternatives,
    present_crossing,
)
from app.pages.crossings.badge import Badge
from app.pages.crossings.band import Band, Zoom, band, window
from app.pages.discovery.linked_data import breadcrumbs, place
from app.pages.lanes.vehicle import Vehicle
from app.pages.page_cache import cached
from app.pages.rendering import (
    CurrentReader,
    PageInstant,
    PageKnowledge,
    PageReader,
    VehicleQuery,
    page,
)
from app.pages.statistics.shares import parts_of
from app.statistics.figures import Figures, figures_of
from app.statistics.reading import DEFAULT_RANGE
from app.status.rule import resolution
from app.status.rule.history import TimelinePeriod
from app.vocabulary import Status

router = hidden_router()


@router.get("/crossings/{crossing_id}")
@cached
async def crossing(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    crossing_id: Annotated[CrossingId, Path()],
    as_of: PageKnowledge,
    vehicle: VehicleQuery,
    at: PageInstant = None,
    zoom: Annotated[Zoom, Query()] = Zoom.ALL,
    printed: Annotated[Literal["all"] | None, Query(alias="print")] = None,
) -> Response:
    """Show the status of a crossing, and the events that decide it.

    While the database is away, the present still comes from the board.
    """
    is_present = as_of.is_present(at)
    answer = crossing_from_board(reader.board, crossing_id, vehicle) if is_present else None
    page_data: PageData | None
    if answer is None:
        answer, page_data = await _load_crossing(read_sessions, crossing_id, at, as_of, vehicle)
    else:
        page_data = await unless_out(_load_page_data(read_sessions, crossing_id, answer))
    return page(
        reader,
        "crossing.html",
        validity=answer.validity if is_present else None,
        answer=answer,
        clocks=answer.clocks,
        requested=vehicle,
        now=answer.instant if is_present else None,
        page_data=page_data,
        band=None if page_data is None else _band(page_data, answer, zoom),
        figures=_figures(page_data.timeline, answer) if page_data and is_present else None,
        parts_of=parts_of,
        zoom=zoom,
        is_brief=printed is None,
        is_present=is_present,
        at=at,
        knowledge=as_of,
        alternatives=(
            nearest_alternatives(reader.board, crossing_id, answer.vehicle) if is_present else []
        ),
        linked_data=_linked_data(reader, answer),
        in_words=_in_words(reader, answer),
    )


@router.get("/badges/{crossing_id}.svg")
@cached
async def badge(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    crossing_id: Annotated[CrossingId, Path()],
) -> Response:
    """Return the present status as an image for other sites."""
    answer = await present_crossing(reader.board, read_sessions, crossing_id)
    status, word = answer.status.status, reader.words.word(answer.status.status)
    if answer.details.retired_at is not None:
        # A badge has no room to say that the last status is one of the past.
        status, word = Status.UNKNOWN, reader.words.translate(N_("retired"))
    image = Badge(reader.words.crossing(answer.details.names), status, word)
    response = page(reader, "badge.svg", validity=answer.validity, badge=image)
    response.headers["Content-Type"] = "image/svg+xml"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


async def _load_crossing(
    read_sessions: ReadSessions,
    crossing_id: str,
    at: datetime | None,
    as_of: AsOf,
    vehicle: Vehicle,
) -> tuple[CrossingAnswer, PageData]:
    async with read_sessions.for_question(at, as_of) as session:
        return await crossing_from_database(
            session, crossing_id=crossing_id, at=at, as_of=as_of, requested=vehicle
        )


async def _load_page_data(
    read_sessions: ReadSessions, crossing_id: str, answer: CrossingAnswer
) -> PageData:
    async with read_sessions.history(AsOf()) as session:
        return await load_page_data(session, crossing_id=crossing_id, answer=answer)


def _linked_data(reader: PageReader, answer: CrossingAnswer) -> list[JsonValue]:
    details, words = answer.details, reader.words
    pages = [
        (words.translate("Border crossings"), "/"),
        (words.border(details.border), f"/borders/{details.border}"),
        (words.crossing(details.names), f"/crossings/{details.id}"),
    ]
    return [breadcrumbs(reader, pages), place(reader, details)]


def _in_words(reader: PageReader, answer: CrossingAnswer) -> str:
    whom = reader.words.for_whom(*answer.vehicle.scope)
    return sentence(reader.words, answer.status, whom, answer.clocks.zones, answer.instant)


def _band(page_data: PageData, answer: CrossingAnswer, zoom: Zoom) -> Band:
    start, end = window(page_data.timeline, zoom, answer.instant)
    return band(
        page_data.timeline, start=start, end=end, at=answer.instant, zone=answer.clocks.zones[0]
    )


def _figures(timeline: Sequence[TimelinePeriod], answer: CrossingAnswer) -> Figures:
    """Return the figures of the last months, for the lanes of the vehicle."""
    vehicle, now = answer.vehicle, answer.instant
    periods = [
        replace(
            period,
            status=resolution.summary(
                state.status
                for state in period.lanes
                if vehicle.traffic in {None, state.lane.traffic}
                and vehicle.to in {None, state.lane.to}
            ),
        )
        for period in timeline
    ]
    return figures_of(periods, now - DEFAULT_RANGE, now)
