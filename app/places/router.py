"""HTTP of crossings and borders."""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Query, Response

from app.access.writing import WRITE_PROBLEMS, Writer, writes
from app.changes.history import AskedOpening
from app.changes.service import Known
from app.database.sessions import Session
from app.errors import BorderNotFound, CountryNotFound, CrossingExists, CrossingNotFound
from app.http.bodies import BorderId, CountryCode, CrossingId
from app.http.caching import AskedEnvelope, Envelope
from app.http.paging import AskedTurn, Page, Turn, border_code, country_code
from app.http.parameters import AskedKnowledge, At, Knowledge
from app.http.problems import preview, responses
from app.http.routing import feature_router
from app.places import borders as reading
from app.places import service
from app.places.answers import (
    BorderListed,
    BorderOut,
    CountryOut,
    CrossingAlone,
    CrossingListed,
    CrossingNear,
    CrossingPreview,
)
from app.places.finding.candidates import Rank, Wanted
from app.places.finding.geography import Box, Point
from app.places.schemas import Bbox, CrossingIn, CrossingPatch, Near, SearchText
from app.vocabulary import CrossingOrder, KeyScope, Mode, Status, Traffic

router = feature_router(prefix="/v1", tag="crossings")
borders = feature_router(prefix="/v1/borders", tag="borders")
countries = feature_router(prefix="/v1/countries", tag="countries")


AskedTraffic = Annotated[
    Traffic | None,
    Query(
        description="Only crossings authorised for it; the status is that of its lanes.",
        examples=["car"],
    ),
]
AskedTo = Annotated[
    CountryCode | None,
    Query(
        description="Only crossings into this country; the status is that of its lanes.",
        examples=["LT"],
    ),
]


def _wanted(
    ids: Annotated[
        list[CrossingId],
        Query(
            alias="id",
            description="Only these crossings; repeatable.",
            max_length=200,
            default_factory=list,
        ),
    ],
    border: Annotated[BorderId | None, Query()] = None,
    country: Annotated[CountryCode | None, Query()] = None,
    mode: Annotated[Mode | None, Query()] = None,
    traffic: AskedTraffic = None,
    to: AskedTo = None,
    near: Annotated[
        Near | None,
        Query(
            description="lat,lon in degrees; the nearest crossings come first.",
            examples=["54.69,25.28"],
        ),
    ] = None,
    radius_km: Annotated[
        float | None,
        Query(
            gt=0,
            le=20_040,
            allow_inf_nan=False,
            description="Only within this distance of `near`. Locations are estimates, see"
            " `precision_km`.",
        ),
    ] = None,
    bbox: Annotated[
        Bbox | None,
        Query(
            description="west,south,east,north in degrees, as in GeoJSON.",
            examples=["23,53,27,56"],
        ),
    ] = None,
    q: Annotated[
        SearchText | None,
        Query(
            description="A name in any spelling, script or word order; the best match comes first.",
            examples=["Шумскас"],
        ),
    ] = None,
) -> Wanted:
    return Wanted(
        ids=ids,
        border=border,
        country=country,
        mode=mode,
        traffic=traffic,
        to=to,
        near=None if near is None else Point.parse(near),
        radius_km=radius_km,
        bbox=None if bbox is None else Box.parse(bbox),
        q=q,
    )


@router.get("/crossings", summary="List crossings with their status", responses=responses())
async def list_crossings(
    opening: AskedOpening,
    envelope: AskedEnvelope,
    turn: AskedTurn,
    wanted: Annotated[Wanted, Depends(_wanted)],
    knowledge: AskedKnowledge,
    at: At = None,
    status: Annotated[
        Status | None, Query(description="Only crossings with this status at that instant.")
    ] = None,
    order: Annotated[
        CrossingOrder | None,
        Query(
            description="`evidence`: the crossings that have gone unconfirmed for longest come"
            " first.",
            examples=["evidence"],
        ),
    ] = None,
) -> Page[CrossingNear | CrossingListed]:
    """List crossings with their status now or at an instant: by id, or the nearest first.

    Or the best match first: `order` goes before `near`, `near` before `q`. Names are found as
    they are spelt now, whatever instant is asked about.
    """
    after = turn.start(Rank.parse)
    async with opening.either(at, knowledge) as session:
        found, asked, validity = await service.list_crossings(
            session,
            wanted=wanted,
            at=at,
            knowledge=knowledge,
            status=status,
            order=order,
            after=after,
            limit=turn.limit + 1,
        )
    if at is None and knowledge == Knowledge() and validity is not None:
        envelope.tell_present(asked.change, asked.now, validity)
    else:
        _tell_past(envelope, asked, at, knowledge, is_found_by_name=wanted.q is not None)
    return _listed(turn, found, **_pinned(at, knowledge, asked))


@router.get(
    "/crossings/{crossing_id}", summary="Get a crossing", responses=responses(CrossingNotFound)
)
async def get_crossing(
    session: Session, envelope: AskedEnvelope, crossing_id: Annotated[CrossingId, Path()]
) -> CrossingAlone:
    """Return a crossing: where it is, what it is authorised for, its whole status now."""
    body, asked, validity = await service.get_crossing(session, crossing_id)
    envelope.tell_present(asked.change, asked.now, validity)
    return body


@router.get(
    "/crossings/{crossing_id}/alternatives",
    summary="List other crossings nearby",
    responses=responses(CrossingNotFound),
)
async def list_alternatives(
    session: Session,
    envelope: AskedEnvelope,
    turn: AskedTurn,
    crossing_id: Annotated[CrossingId, Path()],
    traffic: AskedTraffic = None,
    to: AskedTo = None,
) -> Page[CrossingNear | CrossingListed]:
    """List other crossings of either country that are not closed for these lanes.

    First those known to be open or restricted, then the unknown; the nearest first.
    """
    found, asked = await service.list_alternatives(
        session,
        crossing_id=crossing_id,
        traffic=traffic,
        to=to,
        after=turn.start(Rank.parse),
        limit=turn.limit + 1,
    )
    envelope.tell_change(asked.change)
    return _listed(turn, found)


@router.post(
    "/crossings",
    summary="Add a crossing",
    status_code=201,
    response_model=CrossingAlone,
    responses=responses(*WRITE_PROBLEMS, CrossingExists) | preview(CrossingPreview),
)
async def post_crossing(
    crossing: CrossingIn, writer: Annotated[Writer, writes(KeyScope.ADMIN)]
) -> Response:
    """Add a crossing. Its border comes into being with the first."""
    return await writer.once(crossing, partial(service.add_crossing, crossing=crossing))


@router.patch(
    "/crossings/{crossing_id}",
    summary="Revise a crossing's details",
    response_model=CrossingAlone | CrossingPreview,
    responses=responses(*WRITE_PROBLEMS, CrossingNotFound),
)
async def patch_crossing(
    crossing_id: Annotated[CrossingId, Path()],
    patch: CrossingPatch,
    writer: Annotated[Writer, writes(KeyScope.ADMIN)],
) -> Response:
    """Give a crossing new details, cited. The old ones stay: past answers do not change.

    What is left out stays as it is. With `validate_only` the answer is what would be,
    `version` and `change` null.
    """
    return await writer.once(
        patch,
        partial(service.patch_crossing, crossing_id=crossing_id, patch=patch),
        status=200,
    )


@borders.get("", summary="List borders", responses=responses())
async def list_borders(
    opening: AskedOpening,
    envelope: AskedEnvelope,
    turn: AskedTurn,
    knowledge: AskedKnowledge,
    at: At = None,
    country: Annotated[CountryCode | None, Query()] = None,
) -> Page[BorderListed]:
    """List borders and how many crossings are of each status, now or at an instant, by id."""
    after = turn.start(border_code)
    async with opening.either(at, knowledge) as session:
        found, asked, validity = await reading.list_borders(
            session,
            at=at,
            knowledge=knowledge,
            country=country,
            after=after,
            limit=turn.limit + 1,
        )
    if at is None and knowledge == Knowledge():
        envelope.tell_present(asked.change, asked.now, validity)
    else:
        _tell_past(envelope, asked, at, knowledge)
    return turn.page(found, lambda one: (one.id,), **_pinned(at, knowledge, asked))


@borders.get("/{border_id}", summary="Get a border", responses=responses(BorderNotFound))
async def get_border(
    opening: AskedOpening,
    envelope: AskedEnvelope,
    border_id: Annotated[BorderId, Path()],
    knowledge: AskedKnowledge,
    at: At = None,
) -> BorderOut:
    """Return a border now or at an instant: counts by status, crossings, notices in force.

    And what is not covered, plainly.
    """
    async with opening.either(at, knowledge) as session:
        body, asked = await reading.get_border_status(
            session, border_id=border_id, at=at, knowledge=knowledge
        )
    _tell_past(envelope, asked, at, knowledge)
    return body


@countries.get("", summary="List countries", responses=responses())
async def list_countries(session: Session, turn: AskedTurn) -> Page[CountryOut]:
    """List the countries that are known here, each with its borders, by code."""
    found = await reading.list_countries(
        session, after=turn.start(country_code), limit=turn.limit + 1
    )
    return turn.page(found, lambda one: (one.code,))


@countries.get("/{code}", summary="Get a country", responses=responses(CountryNotFound))
async def get_country(session: Session, code: Annotated[CountryCode, Path()]) -> CountryOut:
    """Return a country: its names by language, and which of its borders are covered."""
    return await reading.get_country(session, code)


def _listed(
    turn: Turn, found: list[tuple[Rank, CrossingListed]], **pinned: str
) -> Page[CrossingNear | CrossingListed]:
    page = turn.page(found, lambda pair: pair[0].cursor, **pinned)
    return Page(items=[one for _, one in page.items], next=page.next)


def _pinned(at: datetime | None, knowledge: Knowledge, asked: Known) -> dict[str, str]:
    """Return what makes the next page tell of the same: of the past, knowledge stands still."""
    if at is None or knowledge != Knowledge():
        return {}
    return {"known_change": str(asked.change)}


def _tell_past(
    envelope: Envelope,
    asked: Known,
    at: datetime | None,
    knowledge: Knowledge,
    *,
    is_found_by_name: bool = False,
) -> None:
    """Tell how long an answer is good: it never differs if it names the instant and knowledge.

    Unless it depends on spellings, which are those of now.
    """
    if at is not None and knowledge != Knowledge() and not is_found_by_name:
        envelope.tell_immutable(asked.change)
    else:
        envelope.tell_change(asked.change)
