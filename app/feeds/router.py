"""HTTP of the feeds."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from app.changes.read_sessions import AnyReadSessions, HistorySession
from app.changes.service import Snapshot, take_snapshot
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
from app.feeds import atom, calendars, exports
from app.feeds.entries import entries_of, title_of
from app.feeds.revisions import PlaceFilter, SessionFactory, all_chains, take_export_snapshot
from app.http.bodies import Body, BorderId, CountryCode
from app.http.caching import ResponseCacheHeaders, Validity, streamed
from app.http.origin import address_of, origin_of
from app.http.paging import PageQuery, Pagination, change_and_id, encode_cursor
from app.http.parameters import AsOf, AsOfQuery, Borders, Countries, Crossings, Retired
from app.http.problems import responses
from app.http.routing import feature_router
from app.incidents.router import IncidentId
from app.languages.languages import LANGUAGES, Language, negotiated
from app.languages.words import Words
from app.notices.reading import NoticeFilter
from app.status.router import CrossingPath
from app.vocabulary import Status

router = feature_router(prefix="/feeds", tag="feeds")

_EVERY_CROSSING = 2**31
"""More crossings than there are."""


class Atom(Response):
    """A page of an Atom feed."""

    media_type = atom.ATOM


class ICalendar(Response):
    """A calendar."""

    media_type = calendars.CALENDAR


class Csv(Response):
    """A table."""

    media_type = exports.CSV


class Ndjson(Response):
    """A JSON object a line."""

    media_type = exports.NDJSON


class GeoJson(JSONResponse):
    """A collection of features. Takes JSON as it is, and is documented by its schema."""

    media_type = geojson.GEOJSON

    def render(self, content: bytes) -> bytes:
        return content


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


class FeedResponder:
    """The request for a feed, and how to answer it."""

    def __init__(
        self,
        request: Request,
        response: Response,
        read_sessions: AnyReadSessions,
        cache_headers: ResponseCacheHeaders,
    ) -> None:
        self.request = request
        self.response = response
        self.read_sessions = read_sessions
        self.cache_headers = cache_headers
        self.origin = origin_of(request)

    async def stream(
        self,
        places: PlaceFilter,
        as_of: AsOf,
        write_pieces: Callable[[SessionFactory, Snapshot], AsyncIterator[bytes]],
        media_type: str,
        *,
        variant: str = "",
    ) -> Response:
        """Answer with ``pieces``, all of them as known at one change.

        ``form`` tells apart what else may differ under the same address.
        """
        async with self.read_sessions.for_question(None, as_of) as session:
            export_snapshot = await take_export_snapshot(session, places, as_of)
        snapshot = export_snapshot.snapshot
        if as_of.is_newest:
            validity = Validity(export_snapshot.recorded_at, None)
            self.cache_headers.set_present(snapshot.change, snapshot.now, validity)
        else:
            self.cache_headers.set_immutable(snapshot.change)
        open_session = partial(
            self.read_sessions.part_of_history, AsOf(known_change=snapshot.change)
        )
        return await streamed(
            self.request,
            self.response,
            self.read_sessions.export(write_pieces(open_session, snapshot)),
            version=f"{export_snapshot.change} {export_snapshot.recorded_at} {variant}",
            media_type=media_type,
        )

    async def export(
        self,
        places: PlaceFilter,
        as_of: AsOf,
        read: Callable[[SessionFactory, PlaceFilter, int], AsyncIterator[Sequence[Body]]],
        write: Callable[[AsyncIterator[Sequence[Body]]], AsyncIterator[bytes]],
        media_type: str,
    ) -> Response:
        """Answer with the items that ``read`` returns of some places, as ``write`` writes them."""

        def write_pieces(open_session: SessionFactory, snapshot: Snapshot) -> AsyncIterator[bytes]:
            return write(read(open_session, places, snapshot.change))

        return await self.stream(places, as_of, write_pieces, media_type)

    async def atom(
        self,
        session: Session,
        pagination: Pagination,
        *,
        path: str,
        about_path: str,
        subject: NoticeFilter,
        retired: bool = False,
    ) -> Atom:
        """Answer with a page of the entries of a place, an incident, or everything."""
        snapshot = await take_snapshot(session, AsOf())
        title = await title_of(session, subject, snapshot.change)
        candidates = await entries_of(
            session,
            subject=subject,
            retired=retired,
            snapshot=snapshot,
            after=pagination.start(change_and_id),
            limit=pagination.limit + 1,
        )
        entries = candidates[: pagination.limit]
        following = None
        if len(candidates) > pagination.limit:
            change, last = entries[-1].step
            following = pagination.address(cursor=encode_cursor(str(change), str(last)))
        feed = atom.Feed(
            title=title,
            path=f"/feeds/{path}.atom",
            origin=self.origin,
            self_url=address_of(self.request),
            about_path=about_path,
            next=following,
        )
        validity = Validity(atom.updated(entries), None)
        self.cache_headers.set_present(snapshot.change, snapshot.now, validity)
        return Atom(atom.write(feed, entries), headers=dict(self.response.headers))

    async def calendar(
        self, places: PlaceFilter, language: Language, *, subject: NoticeFilter
    ) -> Response:
        """Answer with the closures and restrictions of some places.

        Raises CrossingNotFound or BorderNotFound if there is no such thing as ``of``.
        """
        words = Words(language)
        async with self.read_sessions.for_question(None, AsOf()) as session:
            snapshot = await take_snapshot(session, AsOf())
            await title_of(session, subject, snapshot.change)
            name = await calendars.name_of(session, places, snapshot.change, words)

        def write_pieces(open_session: SessionFactory, snapshot: Snapshot) -> AsyncIterator[bytes]:
            chains = all_chains(open_session, places, snapshot.change)
            return calendars.write(chains, name=name, origin=self.origin, words=words)

        self.response.headers["Content-Language"] = language.code
        if "lang" not in self.request.query_params:
            self.response.headers["Vary"] = "Accept-Language"
        return await self.stream(
            places, AsOf(), write_pieces, calendars.CALENDAR, variant=f"{language.code} {name}"
        )


CurrentResponder = Annotated[FeedResponder, Depends(FeedResponder)]


@router.get(
    "/events.atom",
    summary="Follow everything (Atom)",
    response_class=Atom,
    responses=responses(HistoryOverloaded),
)
async def get_events_atom(
    session: HistorySession,
    reader: CurrentResponder,
    pagination: PageQuery,
    retired: Retired = False,
) -> Response:
    """Return the newest statements, and changes by time alone, as Atom entries.

    A correction or a withdrawal updates the entry, under the same id. `next` leads
    to older ones (RFC 5005).
    """
    return await reader.atom(
        session,
        pagination,
        path="events",
        about_path="/v1/events",
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
    reader: CurrentResponder,
    pagination: PageQuery,
    crossing_id: CrossingPath,
) -> Response:
    """Return what concerns a crossing as Atom entries, the newest first."""
    path = f"crossings/{crossing_id}"
    subject = NoticeFilter(crossing=crossing_id)
    return await reader.atom(
        session, pagination, path=path, about_path=f"/v1/{path}", subject=subject
    )


@router.get(
    "/borders/{border_id}.atom",
    summary="Follow a border (Atom)",
    response_class=Atom,
    responses=responses(HistoryOverloaded, BorderNotFound),
)
async def get_border_atom(
    session: HistorySession,
    reader: CurrentResponder,
    pagination: PageQuery,
    border_id: BorderPath,
    retired: Retired = False,
) -> Response:
    """Return what concerns a border as Atom entries, the newest first."""
    path = f"borders/{border_id}"
    subject = NoticeFilter(border=border_id)
    return await reader.atom(
        session, pagination, path=path, about_path=f"/v1/{path}", subject=subject, retired=retired
    )


@router.get(
    "/incidents/{incident_id}.atom",
    summary="Follow an incident (Atom)",
    response_class=Atom,
    responses=responses(HistoryOverloaded, IncidentNotFound),
)
async def get_incident_atom(
    session: HistorySession,
    reader: CurrentResponder,
    pagination: PageQuery,
    incident_id: IncidentId,
) -> Response:
    """Return the decisions and notices of an incident, as Atom entries."""
    path = f"incidents/{incident_id}"
    subject = NoticeFilter(incident=incident_id)
    return await reader.atom(
        session, pagination, path=path, about_path=f"/v1/{path}", subject=subject
    )


@router.get(
    "/closures.ics",
    summary="Get all closures (iCalendar)",
    response_class=ICalendar,
    responses=responses(HistoryOverloaded),
)
async def get_closures(
    reader: CurrentResponder, places: ListedPlacesQuery, language: LanguageQuery
) -> Response:
    """Return past and planned closures and restrictions as a calendar.

    A correction raises `SEQUENCE`, a withdrawal cancels. Without a declared end there is no
    `DTEND`: it holds until further notice, and no end is invented.
    """
    return await reader.calendar(places, language, subject=NoticeFilter())


@router.get(
    "/crossings/{crossing_id}.ics",
    summary="Get a crossing's closures (iCalendar)",
    response_class=ICalendar,
    responses=responses(HistoryOverloaded, CrossingNotFound),
)
async def get_crossing_closures(
    reader: CurrentResponder, crossing_id: CrossingPath, language: LanguageQuery
) -> Response:
    """Return a crossing's past and planned closures and restrictions as a calendar."""
    places, subject = PlaceFilter(crossings=[crossing_id]), NoticeFilter(crossing=crossing_id)
    return await reader.calendar(places, language, subject=subject)


@router.get(
    "/borders/{border_id}.ics",
    summary="Get a border's closures (iCalendar)",
    response_class=ICalendar,
    responses=responses(HistoryOverloaded, BorderNotFound),
)
async def get_border_closures(
    reader: CurrentResponder,
    border_id: BorderPath,
    language: LanguageQuery,
    retired: Retired = False,
) -> Response:
    """Return a border's past and planned closures and restrictions as a calendar."""
    places, subject = (
        PlaceFilter(borders=[border_id], retired=retired),
        NoticeFilter(border=border_id),
    )
    return await reader.calendar(places, language, subject=subject)


@router.get(
    "/events.ndjson",
    summary="Export status events (NDJSON)",
    response_class=Ndjson,
    responses=responses(HistoryOverloaded),
)
async def get_events_ndjson(
    reader: CurrentResponder, places: PlacesQuery, as_of: AsOfQuery
) -> Response:
    """Return all status events, the oldest first, one a line, each as `/v1/events/{id}` has it.

    Those of retired crossings, too.
    """
    return await reader.export(places, as_of, exports.events, exports.ndjson, exports.NDJSON)


@router.get(
    "/events.csv",
    summary="Export status events (CSV)",
    response_class=Csv,
    responses=responses(HistoryOverloaded),
)
async def get_events_csv(
    reader: CurrentResponder, places: PlacesQuery, as_of: AsOfQuery
) -> Response:
    """Return all status events as CSV (RFC 4180) in UTF-8, in the order of the NDJSON export.

    `local_from` and `local_until` are the bounds of `effective` in the event's `time_zone`, as
    exact as its `precision`: a date where that is `day`, a month where it is `month`, empty where
    it is `unknown`.
    """
    write = partial(exports.csv_rows, columns=exports.EVENT_COLUMNS)
    return await reader.export(places, as_of, exports.events, write, exports.CSV)


@router.get(
    "/timelines.ndjson",
    summary="Export timelines (NDJSON)",
    response_class=Ndjson,
    responses=responses(HistoryOverloaded),
)
async def get_timelines_ndjson(
    reader: CurrentResponder, places: ListedPlacesQuery, as_of: AsOfQuery
) -> Response:
    """Return every period of every crossing's timeline, one a line, by crossing.

    Each is as `/v1/crossings/{id}/timeline` has it, with its `crossing`.
    """
    return await reader.export(places, as_of, exports.timelines, exports.ndjson, exports.NDJSON)


@router.get(
    "/timelines.csv",
    summary="Export timelines (CSV)",
    response_class=Csv,
    responses=responses(HistoryOverloaded),
)
async def get_timelines_csv(
    reader: CurrentResponder, places: ListedPlacesQuery, as_of: AsOfQuery
) -> Response:
    """Return every period of every timeline as CSV (RFC 4180), in the same order."""
    write = partial(exports.csv_rows, columns=exports.TIMELINE_COLUMNS)
    return await reader.export(places, as_of, exports.timelines, write, exports.CSV)


@router.get(
    "/crossings.geojson",
    summary="Get crossings as GeoJSON",
    response_model=FeatureCollection,
    response_class=GeoJson,
    responses=responses(),
)
async def get_crossings_geojson(
    session: Session,
    reader: CurrentResponder,
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
        reader.cache_headers.set_change(snapshot.change)
    else:
        reader.cache_headers.set_present(snapshot.change, snapshot.now, validity)
    body = geojson.collection(geojson.json_of(geojson.feature_of(one)) for _, one in crossings)
    return GeoJson(body, headers=dict(reader.response.headers))
