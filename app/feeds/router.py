"""HTTP of the feeds."""

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response

from app.changes.read_sessions import HistorySession
from app.crossings import geojson
from app.crossings.candidates import CrossingFilter
from app.crossings.geojson import FeatureCollection
from app.crossings.reading import list_crossings
from app.database.sessions import Session
from app.errors import (
    BorderNotFound,
    CrossingNotFound,
    HistoryOverloaded,
    IncidentNotFound,
    invalid,
)
from app.feeds import exports, tables, workbooks
from app.feeds.responses import Atom, Csv, CurrentResponder, GeoJson, ICalendar, Ndjson, Xlsx
from app.feeds.revisions import PlaceFilter
from app.http.bodies import BorderId, CountryCode
from app.http.paging import PageQuery
from app.http.parameters import AsOfQuery, Borders, Countries, Crossings, Retired
from app.http.problems import responses
from app.http.routing import feature_router
from app.incidents.router import IncidentId
from app.languages.languages import LANGUAGES, Language, negotiated
from app.notices.reading import NoticeFilter
from app.statistics.router import StatisticsQueryParameters
from app.status.router import CrossingPath
from app.vocabulary import Status

router = feature_router(prefix="/feeds", tag="feeds")

_EVERY_CROSSING = 2**31
"""More crossings than there are."""


def _places(crossings: Crossings, borders: Borders, countries: Countries) -> PlaceFilter:
    return PlaceFilter(crossings, borders, countries)


PlacesQuery = Annotated[PlaceFilter, Depends(_places)]


def _listed_places(places: PlacesQuery, retired: Retired = False) -> PlaceFilter:
    return replace(places, retired=retired)


def _language(
    request: Request,
    lang: Annotated[
        str | None,
        Query(
            description="The language of names and texts; defaults to the one that"
            " `Accept-Language` prefers, else English.",
            json_schema_extra={"enum": [*LANGUAGES]},
            examples=["en"],
        ),
    ] = None,
) -> Language:
    if lang is None:
        return negotiated(request.headers.get("accept-language", ""))
    if lang not in LANGUAGES:
        raise invalid("lang", f"must be one of {', '.join(sorted(LANGUAGES))}", where="query")
    return LANGUAGES[lang]


LanguageQuery = Annotated[Language, Depends(_language)]
ListedPlacesQuery = Annotated[PlaceFilter, Depends(_listed_places)]
BorderPath = Annotated[BorderId, Path()]
ByteOrderMark = Annotated[
    bool, Query(description="Begin with a byte-order mark, which spreadsheets need for UTF-8.")
]


@router.get(
    "/events.atom",
    summary="Follow everything (Atom)",
    response_class=Atom,
    responses=responses(HistoryOverloaded),
)
async def get_events_atom(
    session: HistorySession,
    responder: CurrentResponder,
    pagination: PageQuery,
    retired: Retired = False,
) -> Response:
    """Return the newest statements, and changes by time alone, as Atom entries.

    A correction or a withdrawal updates the entry, under the same id. `next` leads
    to older ones (RFC 5005).
    """
    return await responder.atom(
        session,
        pagination,
        path="events",
        subject=NoticeFilter(),
        retired=retired,
    )


@router.get(
    "/crossings/{crossing_id}.atom",
    summary="Follow a crossing (Atom)",
    response_class=Atom,
    responses=responses(HistoryOverloaded, CrossingNotFound),
)
async def get_crossing_atom(
    session: HistorySession,
    responder: CurrentResponder,
    pagination: PageQuery,
    crossing_id: CrossingPath,
) -> Response:
    """Return what concerns a crossing as Atom entries, the newest first."""
    return await responder.atom(
        session,
        pagination,
        path=f"crossings/{crossing_id}",
        subject=NoticeFilter(crossing=crossing_id),
    )


@router.get(
    "/borders/{border_id}.atom",
    summary="Follow a border (Atom)",
    response_class=Atom,
    responses=responses(HistoryOverloaded, BorderNotFound),
)
async def get_border_atom(
    session: HistorySession,
    responder: CurrentResponder,
    pagination: PageQuery,
    border_id: BorderPath,
    retired: Retired = False,
) -> Response:
    """Return what concerns a border as Atom entries, the newest first."""
    return await responder.atom(
        session,
        pagination,
        path=f"borders/{border_id}",
        subject=NoticeFilter(border=border_id),
        retired=retired,
    )


@router.get(
    "/incidents/{incident_id}.atom",
    summary="Follow an incident (Atom)",
    response_class=Atom,
    responses=responses(HistoryOverloaded, IncidentNotFound),
)
async def get_incident_atom(
    session: HistorySession,
    responder: CurrentResponder,
    pagination: PageQuery,
    incident_id: IncidentId,
) -> Response:
    """Return the decisions and notices of an incident, as Atom entries."""
    return await responder.atom(
        session,
        pagination,
        path=f"incidents/{incident_id}",
        subject=NoticeFilter(incident=incident_id),
    )


@router.get(
    "/closures.ics",
    summary="Get all closures (iCalendar)",
    response_class=ICalendar,
    responses=responses(HistoryOverloaded),
)
async def get_closures(
    responder: CurrentResponder, places: ListedPlacesQuery, language: LanguageQuery
) -> Response:
    """Return past and planned closures and restrictions as a calendar.

    A correction raises `SEQUENCE`, a withdrawal cancels. Without a declared end there is no
    `DTEND`: it holds until further notice, and no end is invented.
    """
    return await responder.calendar(places, language, subject=NoticeFilter())


@router.get(
    "/crossings/{crossing_id}.ics",
    summary="Get a crossing's closures (iCalendar)",
    response_class=ICalendar,
    responses=responses(HistoryOverloaded, CrossingNotFound),
)
async def get_crossing_closures(
    responder: CurrentResponder, crossing_id: CrossingPath, language: LanguageQuery
) -> Response:
    """Return a crossing's past and planned closures and restrictions as a calendar."""
    places, subject = PlaceFilter(crossings=[crossing_id]), NoticeFilter(crossing=crossing_id)
    return await responder.calendar(places, language, subject=subject)


@router.get(
    "/borders/{border_id}.ics",
    summary="Get a border's closures (iCalendar)",
    response_class=ICalendar,
    responses=responses(HistoryOverloaded, BorderNotFound),
)
async def get_border_closures(
    responder: CurrentResponder,
    border_id: BorderPath,
    language: LanguageQuery,
    retired: Retired = False,
) -> Response:
    """Return a border's past and planned closures and restrictions as a calendar."""
    places, subject = (
        PlaceFilter(borders=[border_id], retired=retired),
        NoticeFilter(border=border_id),
    )
    return await responder.calendar(places, language, subject=subject)


@router.get(
    "/events.ndjson",
    summary="Export status events (NDJSON)",
    response_class=Ndjson,
    responses=responses(HistoryOverloaded),
)
async def get_events_ndjson(
    responder: CurrentResponder, places: PlacesQuery, as_of: AsOfQuery
) -> Response:
    """Return all status events, the oldest first, one a line, each as `/v1/events/{id}` has it.

    Those of retired crossings, too.
    """
    return await responder.export(places, as_of, exports.events, exports.ndjson, exports.NDJSON)


@router.get(
    "/events.csv",
    summary="Export status events (CSV)",
    response_class=Csv,
    responses=responses(HistoryOverloaded),
)
async def get_events_csv(
    responder: CurrentResponder,
    places: PlacesQuery,
    as_of: AsOfQuery,
    bom: ByteOrderMark = False,
) -> Response:
    """Return all status events as CSV (RFC 4180) in UTF-8, in the order of the NDJSON export.

    `local_from` and the like are instants in the event's `time_zone`, as exact as its
    `precision`: a date, a month, or empty.
    """
    write = partial(tables.write_csv, table=tables.EVENTS, bom=bom)
    return await responder.export(places, as_of, tables.event_rows, write, tables.CSV)


@router.get(
    "/events.xlsx",
    summary="Export status events (XLSX)",
    response_class=Xlsx,
    responses=responses(HistoryOverloaded),
)
async def get_events_xlsx(
    responder: CurrentResponder, places: PlacesQuery, as_of: AsOfQuery
) -> Response:
    """Return the same table as a workbook. Instants are text."""
    write = partial(workbooks.write_workbook, table=tables.EVENTS)
    return await responder.export(places, as_of, tables.event_rows, write, workbooks.XLSX)


@router.get(
    "/timelines.ndjson",
    summary="Export timelines (NDJSON)",
    response_class=Ndjson,
    responses=responses(HistoryOverloaded),
)
async def get_timelines_ndjson(
    responder: CurrentResponder, places: ListedPlacesQuery, as_of: AsOfQuery
) -> Response:
    """Return every period of every crossing's timeline, one a line, by crossing.

    Each is as `/v1/crossings/{id}/timeline` has it, with its `crossing`.
    """
    return await responder.export(places, as_of, exports.timelines, exports.ndjson, exports.NDJSON)


@router.get(
    "/timelines.csv",
    summary="Export timelines (CSV)",
    response_class=Csv,
    responses=responses(HistoryOverloaded),
)
async def get_timelines_csv(
    responder: CurrentResponder,
    places: ListedPlacesQuery,
    as_of: AsOfQuery,
    bom: ByteOrderMark = False,
) -> Response:
    """Return every period of every timeline as CSV (RFC 4180), in the same order.

    `local_from` and `local_until` are by the clock of the side that decides from then on.
    """
    write = partial(tables.write_csv, table=tables.TIMELINES, bom=bom)
    return await responder.export(places, as_of, tables.timeline_rows, write, tables.CSV)


@router.get(
    "/timelines.xlsx",
    summary="Export timelines (XLSX)",
    response_class=Xlsx,
    responses=responses(HistoryOverloaded),
)
async def get_timelines_xlsx(
    responder: CurrentResponder, places: ListedPlacesQuery, as_of: AsOfQuery
) -> Response:
    """Return the same table as a workbook. Instants are text."""
    write = partial(workbooks.write_workbook, table=tables.TIMELINES)
    return await responder.export(places, as_of, tables.timeline_rows, write, workbooks.XLSX)


@router.get(
    "/statistics.csv",
    summary="Export statistics (CSV)",
    response_class=Csv,
    responses=responses(HistoryOverloaded),
)
async def get_statistics_csv(
    responder: CurrentResponder,
    places: ListedPlacesQuery,
    query: StatisticsQueryParameters,
    as_of: AsOfQuery,
    bom: ByteOrderMark = False,
) -> Response:
    """Return statistics as `/v1/crossings/{id}/statistics` has them, a row for each crossing."""
    write = partial(tables.write_csv, table=tables.STATISTICS, bom=bom)
    return await responder.statistics(places, query, as_of, write, tables.CSV)


@router.get(
    "/statistics.xlsx",
    summary="Export statistics (XLSX)",
    response_class=Xlsx,
    responses=responses(HistoryOverloaded),
)
async def get_statistics_xlsx(
    responder: CurrentResponder,
    places: ListedPlacesQuery,
    query: StatisticsQueryParameters,
    as_of: AsOfQuery,
) -> Response:
    """Return the same table as a workbook. Instants are text."""
    write = partial(workbooks.write_workbook, table=tables.STATISTICS)
    return await responder.statistics(places, query, as_of, write, workbooks.XLSX)


@router.get(
    "/crossings.geojson",
    summary="Get crossings as GeoJSON",
    response_model=FeatureCollection,
    response_class=GeoJson,
    responses=responses(),
)
async def get_crossings_geojson(
    session: Session,
    responder: CurrentResponder,
    border: Annotated[BorderId | None, Query()] = None,
    country: Annotated[CountryCode | None, Query()] = None,
    status: Annotated[
        Status | None, Query(description="Only crossings with this status now.")
    ] = None,
    retired: Retired = False,
) -> Response:
    """Return every crossing with its status now as GeoJSON (RFC 7946), by id.

    The `geometry` is null if the location is unknown.
    """
    crossing_filter = CrossingFilter(border=border, country=country, retired=retired)
    crossings, snapshot, validity = await list_crossings(
        session, crossing_filter=crossing_filter, status=status, after=None, limit=_EVERY_CROSSING
    )
    if validity is None:
        responder.cache_headers.set_change(snapshot.change)
    else:
        responder.cache_headers.set_present(snapshot.change, snapshot.now, validity)
    body = geojson.collection(geojson.json_of(geojson.feature_of(one)) for _, one in crossings)
    return GeoJson(body, headers=dict(responder.response.headers))
