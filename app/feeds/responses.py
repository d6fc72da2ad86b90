"""The responses of the feeds: their media types, and what they have in common."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse

from app.changes.read_sessions import AnyReadSessions
from app.changes.service import Snapshot, take_snapshot
from app.crossings import geojson
from app.database.sessions import Session
from app.feeds import atom, calendars, exports, tables, workbooks
from app.feeds.entries import entries_of, title_of
from app.feeds.revisions import PlaceFilter, SessionFactory, all_chains, take_export_snapshot
from app.feeds.tables import Row
from app.http.caching import ResponseCacheHeaders, Validity, streamed
from app.http.origin import address_of, origin_of
from app.http.paging import Pagination, change_and_id, encode_cursor
from app.http.parameters import AsOf, Kind, require_existing
from app.languages.languages import Language
from app.languages.words import Words
from app.notices.reading import NoticeFilter
from app.statistics.reading import StatisticsQuery

PageT = TypeVar("PageT")


class Atom(Response):
    """A page of an Atom feed."""

    media_type = atom.ATOM


class ICalendar(Response):
    """A calendar."""

    media_type = calendars.CALENDAR


class Csv(Response):
    """A table."""

    media_type = tables.CSV


class Xlsx(Response):
    """A table as a workbook."""

    media_type = workbooks.XLSX


class Ndjson(Response):
    """A JSON object a line."""

    media_type = exports.NDJSON


class GeoJson(JSONResponse):
    """A collection of features. Takes JSON as it is, and is documented by its schema."""

    media_type = geojson.GEOJSON

    def render(self, content: bytes) -> bytes:
        return content


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
        """Answer with the pieces that are written, all of them as known at one change.

        ``variant`` distinguishes responses that differ at the same address.
        """
        async with self.read_sessions.for_question(None, as_of) as session:
            export_snapshot = await take_export_snapshot(session, places, as_of)
        snapshot = export_snapshot.snapshot
        if as_of.is_newest:
            validity = Validity(export_snapshot.recorded_at, None).also(
                Validity(export_snapshot.confirmed_at, None)
            )
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
            version=(
                f"{export_snapshot.change} {export_snapshot.recorded_at}"
                f" {export_snapshot.confirmed_at} {variant}"
            ),
            media_type=media_type,
            is_compressed=media_type == workbooks.XLSX,
        )

    async def export(
        self,
        places: PlaceFilter,
        as_of: AsOf,
        read: Callable[[SessionFactory, PlaceFilter, Snapshot], AsyncIterator[PageT]],
        write: Callable[[AsyncIterator[PageT]], AsyncIterator[bytes]],
        media_type: str,
    ) -> Response:
        """Answer with the pages that ``read`` returns of some places, as ``write`` writes them."""

        def write_pieces(open_session: SessionFactory, snapshot: Snapshot) -> AsyncIterator[bytes]:
            return write(read(open_session, places, snapshot))

        return await self.stream(places, as_of, write_pieces, media_type)

    async def statistics(
        self,
        places: PlaceFilter,
        query: StatisticsQuery,
        as_of: AsOf,
        write: Callable[[AsyncIterator[list[Row]]], AsyncIterator[bytes]],
        media_type: str,
    ) -> Response:
        """Answer with the statistics of some places, as ``write`` writes them. Raises Invalid.

        The whole table is made before it is sent, since only its content tells whether it changed.
        """
        async with self.read_sessions.for_question(None, as_of) as session:
            snapshot = (await take_export_snapshot(session, places, as_of)).snapshot
            await require_existing(session, {"to": (Kind.COUNTRY, [query.to])})
        open_session = partial(
            self.read_sessions.part_of_history, AsOf(known_change=snapshot.change)
        )
        pages = exports.statistics(
            open_session,
            places,
            snapshot,
            query=query,
            period=query.range_at(snapshot.now),
            as_of=as_of if as_of.known_at else AsOf(known_change=snapshot.change),
        )
        rows = tables.statistics_rows(pages, open_session, snapshot)
        content = b"".join([piece async for piece in self.read_sessions.export(write(rows))])
        self.cache_headers.tell(at=query.until, as_of=as_of, **snapshot.freshness())
        return Response(content, headers=dict(self.response.headers), media_type=media_type)

    async def atom(
        self,
        session: Session,
        pagination: Pagination,
        *,
        path: str,
        subject: NoticeFilter,
        retired: bool = False,
    ) -> Atom:
        """Answer with a page of the entries about ``/v1/{path}``."""
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
            about_path=f"/v1/{path}",
            next=following,
        )
        validity = Validity(atom.updated(entries), None)
        self.cache_headers.set_present(snapshot.change, snapshot.now, validity)
        return Atom(atom.write(feed, entries), headers=dict(self.response.headers))

    async def calendar(
        self, places: PlaceFilter, language: Language, *, subject: NoticeFilter
    ) -> Response:
        """Answer with the closures and restrictions of some places.

        Raises CrossingNotFound or BorderNotFound if the subject does not exist.
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
