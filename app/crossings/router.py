"""HTTP of crossings and borders."""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Query, Response

from app.access.writing import IdempotentWriter, writes
from app.changes.read_sessions import AnyReadSessions
from app.changes.service import Snapshot
from app.crossings import borders as border_reading
from app.crossings import reading, recording
from app.crossings.answers import (
    Alternative,
    BorderOut,
    BorderSummary,
    CountryOut,
    CrossingDetail,
    CrossingPreview,
    CrossingSummary,
    NearbyCrossing,
)
from app.crossings.candidates import CrossingFilter, Rank, rank_cursor
from app.database.sessions import Session
from app.errors import (
    BorderNotFound,
    CountryNotFound,
    CrossingExists,
    CrossingNotFound,
    CrossingRetired,
    HistoryOverloaded,
)
from app.http.bodies import BorderId, CountryCode, CrossingId
from app.http.caching import ResponseCacheHeaders
from app.http.paging import Page, PageQuery, Pagination, border_code, country_code
from app.http.parameters import AsOf, AsOfQuery, At, Retired
from app.http.problems import preview, responses
from app.http.routing import feature_router
from app.places.geography import Box, Point
from app.places.schemas import Bbox, CrossingIn, CrossingPatch, Near, SearchText
from app.status.parameters import TravellerQuery
from app.vocabulary import CrossingOrder, KeyScope, Mode, Status, Traffic

router = feature_router(prefix="/v1", tag="crossings")
borders = feature_router(prefix="/v1/borders", tag="borders")
countries = feature_router(prefix="/v1/countries", tag="countries")


AuthorisedTraffic = Annotated[
    Traffic | None,
    Query(
        description="Only crossings authorised for it; the status is that of its lanes.",
        examples=["car"],
    ),
]
AuthorisedTo = Annotated[
    CountryCode | None,
    Query(
        description="Only crossings into this country; the status is that of its lanes.",
        examples=["LT"],
    ),
]


def _crossing_filter(
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
    traffic: AuthorisedTraffic = None,
    to: AuthorisedTo = None,
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
            description="A name in any spelling, script or word order; the best match comes first."
            " It may say the country too, and `road` or `rail`; words such as `border crossing` are"
            " ignored.",
            examples=["Шумскас"],
        ),
    ] = None,
    retired: Retired = False,
) -> CrossingFilter:
    return CrossingFilter(
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
        retired=retired,
    )


@router.get(
    "/crossings", summary="List crossings with their status", responses=responses(HistoryOverloaded)
)
async def list_crossings(
    read_sessions: AnyReadSessions,
    cache_headers: ResponseCacheHeaders,
    pagination: PageQuery,
    crossing_filter: Annotated[CrossingFilter, Depends(_crossing_filter)],
    as_of: AsOfQuery,
    traveller: TravellerQuery,
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
) -> Page[NearbyCrossing | CrossingSummary]:
    """List crossings with their status now, by id.

    With `near` the nearest come first, with `q` the best match; `order` goes before `near`, `near`
    before `q`. Names are found as they are spelt now. Crossings that were retired by then are left
    out, unless `id` names them or `retired` is true.
    """
    after = pagination.start(rank_cursor)
    async with read_sessions.for_question(at, as_of) as session:
        rows, snapshot, validity = await reading.list_crossings(
            session,
            crossing_filter=crossing_filter,
            at=at,
            as_of=as_of,
            status=status,
            order=order,
            traveller=traveller,
            after=after,
            limit=pagination.limit + 1,
        )
    cache_headers.tell(
        at=at,
        as_of=as_of,
        **snapshot.freshness(),
        validity=validity,
        is_repeatable=crossing_filter.q is None,  # names are found as they are spelt now
    )
    return _page_of(pagination, rows, **_parameters_of_next(at, as_of, snapshot))


@router.get(
    "/crossings/{crossing_id}", summary="Get a crossing", responses=responses(CrossingNotFound)
)
async def get_crossing(
    session: Session,
    cache_headers: ResponseCacheHeaders,
    crossing_id: Annotated[CrossingId, Path()],
    traveller: TravellerQuery,
) -> CrossingDetail:
    """Return a crossing: where it is, what it is authorised for, its whole status now."""
    body, snapshot, validity = await reading.get_crossing(session, crossing_id, traveller)
    cache_headers.set_present(snapshot.change, snapshot.now, validity)
    return body


@router.get(
    "/crossings/{crossing_id}/alternatives",
    summary="List other crossings nearby",
    responses=responses(CrossingNotFound),
)
async def list_alternatives(
    session: Session,
    cache_headers: ResponseCacheHeaders,
    pagination: PageQuery,
    crossing_id: Annotated[CrossingId, Path()],
    traveller: TravellerQuery,
    traffic: AuthorisedTraffic = None,
    to: AuthorisedTo = None,
    retired: Retired = False,
) -> Page[Alternative]:
    """List other crossings of either country that are not closed for these lanes.

    Without `traffic` it is about the traffic that both are authorised for; `usable_for` says which
    can cross. Open and restricted ones come first, then unknown ones, each with the nearest first.
    """
    rows, snapshot = await reading.list_alternatives(
        session,
        crossing_id=crossing_id,
        traffic=traffic,
        to=to,
        traveller=traveller,
        retired=retired,
        after=pagination.start(rank_cursor),
        limit=pagination.limit + 1,
    )
    cache_headers.set_change(snapshot.change)
    page = pagination.page(rows, lambda pair: pair[0].cursor)
    return Page(items=[crossing for _, crossing in page.items], next=page.next)


@router.post(
    "/crossings",
    summary="Add a crossing",
    status_code=201,
    response_model=CrossingDetail,
    responses=responses(CrossingExists) | preview(CrossingPreview),
)
async def post_crossing(
    crossing: CrossingIn, writer: Annotated[IdempotentWriter, writes(KeyScope.ADMIN)]
) -> Response:
    """Add a crossing. The first crossing of a border adds the border."""
    return await writer.run(crossing, partial(recording.add_crossing, crossing=crossing))


@router.patch(
    "/crossings/{crossing_id}",
    summary="Change a crossing's details",
    response_model=CrossingDetail | CrossingPreview,
    responses=responses(CrossingNotFound, CrossingRetired),
)
async def patch_crossing(
    crossing_id: Annotated[CrossingId, Path()],
    patch: CrossingPatch,
    writer: Annotated[IdempotentWriter, writes(KeyScope.ADMIN)],
) -> Response:
    """Change a crossing's details, with citations. The log keeps the old ones for past answers.

    What is left out stays as it is. With `retired_at` the crossing is retired: nothing more can
    be recorded about it, and lists leave it out.
    """
    return await writer.run(
        patch,
        partial(recording.patch_crossing, crossing_id=crossing_id, patch=patch),
        status=200,
    )


@borders.get("", summary="List borders", responses=responses(HistoryOverloaded))
async def list_borders(
    read_sessions: AnyReadSessions,
    cache_headers: ResponseCacheHeaders,
    pagination: PageQuery,
    as_of: AsOfQuery,
    at: At = None,
    country: Annotated[CountryCode | None, Query()] = None,
    retired: Retired = False,
) -> Page[BorderSummary]:
    """List borders by id, with how many crossings are of each status now, or `at` an instant."""
    after = pagination.start(border_code)
    async with read_sessions.for_question(at, as_of) as session:
        rows, snapshot, validity = await border_reading.list_borders(
            session,
            at=at,
            as_of=as_of,
            country=country,
            retired=retired,
            after=after,
            limit=pagination.limit + 1,
        )
    cache_headers.tell(at=at, as_of=as_of, **snapshot.freshness(), validity=validity)
    return pagination.page(
        rows, lambda border: (border.id,), **_parameters_of_next(at, as_of, snapshot)
    )


@borders.get(
    "/{border_id}", summary="Get a border", responses=responses(HistoryOverloaded, BorderNotFound)
)
async def get_border(
    read_sessions: AnyReadSessions,
    cache_headers: ResponseCacheHeaders,
    border_id: Annotated[BorderId, Path()],
    as_of: AsOfQuery,
    traveller: TravellerQuery,
    at: At = None,
    retired: Retired = False,
) -> BorderOut:
    """Return a border now: counts by status, crossings, notices, and what is not covered."""
    async with read_sessions.for_question(at, as_of) as session:
        body, snapshot = await border_reading.get_border_status(
            session,
            border_id=border_id,
            at=at,
            as_of=as_of,
            traveller=traveller,
            retired=retired,
        )
    cache_headers.tell(at=at, as_of=as_of, **snapshot.freshness())
    return body


@countries.get("", summary="List countries", responses=responses())
async def list_countries(session: Session, pagination: PageQuery) -> Page[CountryOut]:
    """List the countries that are known here, each with its borders, by code."""
    rows = await border_reading.list_countries(
        session, after=pagination.start(country_code), limit=pagination.limit + 1
    )
    return pagination.page(rows, lambda country: (country.code,))


@countries.get("/{code}", summary="Get a country", responses=responses(CountryNotFound))
async def get_country(session: Session, code: Annotated[CountryCode, Path()]) -> CountryOut:
    """Return a country."""
    return await border_reading.get_country(session, code)


def _page_of(
    pagination: Pagination, rows: list[tuple[Rank, CrossingSummary]], **parameters: str
) -> Page[NearbyCrossing | CrossingSummary]:
    page = pagination.page(rows, lambda pair: pair[0].cursor, **parameters)
    return Page(items=[crossing for _, crossing in page.items], next=page.next)


def _parameters_of_next(at: datetime | None, as_of: AsOf, snapshot: Snapshot) -> dict[str, str]:
    """Return what the next page needs to use the same state of the log, if it is about the past."""
    if at is None or not as_of.is_newest:
        return {}
    return {"known_change": str(snapshot.change)}
