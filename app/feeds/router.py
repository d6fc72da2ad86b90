"""HTTP of the feeds."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from app.changes.history import AskedOpening
from app.changes.service import Known, known
from app.database.sessions import Session
from app.errors import BorderNotFound, CrossingNotFound, IncidentNotFound
from app.feeds import atom, calendars, exports, features
from app.feeds.chains import Opened, Places, all_chains, pin
from app.feeds.entries import entries_of, title_of
from app.feeds.features import FeatureCollection
from app.http.bodies import BorderId, CountryCode, CrossingId
from app.http.caching import AskedEnvelope, Validity, streamed
from app.http.paging import AskedTurn, Turn, change_and_id, encode_cursor
from app.http.parameters import AskedKnowledge, Knowledge
from app.http.problems import responses
from app.http.routing import feature_router
from app.notices.reading import Asked
from app.notices.router import IncidentId
from app.places import service as places_service
from app.places.finding.candidates import Wanted
from app.vocabulary import Status

router = feature_router(prefix="/feeds", tag="feeds")

_ALL = 2**31
"""More crossings than there are."""


class Atom(Response):
    """A page of an Atom feed."""

    media_type = atom.MEDIA_TYPE


class ICalendar(Response):
    """A calendar."""

    media_type = calendars.MEDIA_TYPE


class Csv(Response):
    """A table."""

    media_type = exports.CSV


class Ndjson(Response):
    """A JSON object a line."""

    media_type = exports.NDJSON


class GeoJson(JSONResponse):
    """A collection of features. Takes JSON as it is, and is documented by its schema."""

    media_type = features.MEDIA_TYPE

    def render(self, content: bytes) -> bytes:
        return content


def _places(
    crossings: Annotated[
        list[CrossingId],
        Query(
            alias="crossing",
            description="Only this crossing; repeatable.",
            max_length=200,
            default_factory=list,
        ),
    ],
    borders: Annotated[
        list[BorderId],
        Query(
            alias="border",
            description="Only this border; repeatable.",
            max_length=200,
            default_factory=list,
        ),
    ],
    countries: Annotated[
        list[CountryCode],
        Query(
            alias="country",
            description="Only borders of this country; repeatable.",
            max_length=200,
            default_factory=list,
        ),
    ],
) -> Places:
    return Places(crossings, borders, countries)


AskedPlaces = Annotated[Places, Depends(_places)]
CrossingPath = Annotated[CrossingId, Path()]
BorderPath = Annotated[BorderId, Path()]


class Reader:
    """Whoever asks for a feed, and how to answer."""

    def __init__(
        self, request: Request, response: Response, opening: AskedOpening, envelope: AskedEnvelope
    ) -> None:
        self.request = request
        self.response = response
        self.opening = opening
        self.envelope = envelope
        self.here = str(request.base_url).rstrip("/")

    async def stream(
        self,
        places: Places,
        knowledge: Knowledge,
        pieces: Callable[[Opened, Known], AsyncIterator[bytes]],
        media_type: str,
    ) -> Response:
        """Answer with ``pieces``, all of them as known at one change."""
        async with self.opening.either(None, knowledge) as session:
            pinned = await pin(session, places, knowledge)
        asked = pinned.known
        if knowledge == Knowledge():
            validity = Validity(pinned.recorded_at, None)
            self.envelope.tell_present(asked.change, asked.now, validity)
        else:
            self.envelope.tell_immutable(asked.change)
        opened = partial(self.opening.history, Knowledge(known_change=asked.change))
        return await streamed(
            self.request,
            self.response,
            pieces(opened, asked),
            version=f"{pinned.change} {pinned.recorded_at}",
            media_type=media_type,
        )

    async def atom(self, session: Session, turn: Turn, *, path: str, about: str, of: Asked) -> Atom:
        """Answer with a page of the entries of a place, an incident, or everything."""
        asked = await known(session, Knowledge())
        title = await title_of(session, of, asked.change)
        found = await entries_of(
            session, of=of, asked=asked, after=turn.start(change_and_id), limit=turn.limit + 1
        )
        entries = found[: turn.limit]
        following = None
        if len(found) > turn.limit:
            change, last = entries[-1].step
            following = turn.address(cursor=encode_cursor(str(change), str(last)))
        feed = atom.Feed(
            title=title,
            path=f"/feeds/{path}.atom",
            here=self.here,
            address=str(self.request.url),
            about=about,
            next=following,
        )
        validity = Validity(atom.updated(entries), None)
        self.envelope.tell_present(asked.change, asked.now, validity)
        return Atom(atom.write(feed, entries), headers=dict(self.response.headers))

    async def calendar(self, places: Places, *, of: Asked) -> Response:
        """Answer with the closures and restrictions of some places, named after ``of``."""
        async with self.opening.either(None, Knowledge()) as session:
            asked = await known(session, Knowledge())
            name = f"Closures: {await title_of(session, of, asked.change)}"

        def pieces(opened: Opened, asked: Known) -> AsyncIterator[bytes]:
            chains = all_chains(opened, places, asked.change)
            return calendars.write(chains, name=name, here=self.here)

        return await self.stream(places, Knowledge(), pieces, calendars.MEDIA_TYPE)


AskedReader = Annotated[Reader, Depends(Reader)]


@router.get("/events.atom", summary="Follow everything", response_class=Atom, responses=responses())
async def get_events_atom(session: Session, reader: AskedReader, turn: AskedTurn) -> Response:
    """Return what was said last, and what came by time alone, as Atom entries.

    An entry is a chain: a correction or a withdrawal renews it, under the same id. `next` leads
    to older ones (RFC 5005).
    """
    return await reader.atom(session, turn, path="events", about="/v1/events", of=Asked())


@router.get(
    "/crossings/{crossing_id}.atom",
    summary="Follow a crossing",
    response_class=Atom,
    responses=responses(CrossingNotFound),
)
async def get_crossing_atom(
    session: Session, reader: AskedReader, turn: AskedTurn, crossing_id: CrossingPath
) -> Response:
    """Return what concerns a crossing as Atom entries, the newest first."""
    path = f"crossings/{crossing_id}"
    of = Asked(crossing=crossing_id)
    return await reader.atom(session, turn, path=path, about=f"/v1/{path}", of=of)


@router.get(
    "/borders/{border_id}.atom",
    summary="Follow a border",
    response_class=Atom,
    responses=responses(BorderNotFound),
)
async def get_border_atom(
    session: Session, reader: AskedReader, turn: AskedTurn, border_id: BorderPath
) -> Response:
    """Return what concerns a border as Atom entries, the newest first."""
    path = f"borders/{border_id}"
    of = Asked(border=border_id)
    return await reader.atom(session, turn, path=path, about=f"/v1/{path}", of=of)


@router.get(
    "/incidents/{incident_id}.atom",
    summary="Follow an incident",
    response_class=Atom,
    responses=responses(IncidentNotFound),
)
async def get_incident_atom(
    session: Session, reader: AskedReader, turn: AskedTurn, incident_id: IncidentId
) -> Response:
    """Return what joined an incident, and what became of that, as Atom entries."""
    path = f"incidents/{incident_id}"
    of = Asked(incident=incident_id)
    return await reader.atom(session, turn, path=path, about=f"/v1/{path}", of=of)


@router.get(
    "/closures.ics",
    summary="Subscribe to closures",
    response_class=ICalendar,
    responses=responses(),
)
async def get_closures(reader: AskedReader, places: AskedPlaces) -> Response:
    """Return past and planned closures and restrictions as a calendar.

    A correction raises `SEQUENCE`, a withdrawal cancels. Without a declared end there is no
    `DTEND`: it holds until further notice, and no end is invented.
    """
    return await reader.calendar(places, of=Asked())


@router.get(
    "/crossings/{crossing_id}.ics",
    summary="Subscribe to a crossing's closures",
    response_class=ICalendar,
    responses=responses(CrossingNotFound),
)
async def get_crossing_closures(reader: AskedReader, crossing_id: CrossingPath) -> Response:
    """Return a crossing's past and planned closures and restrictions as a calendar."""
    return await reader.calendar(Places(crossings=[crossing_id]), of=Asked(crossing=crossing_id))


@router.get(
    "/borders/{border_id}.ics",
    summary="Subscribe to a border's closures",
    response_class=ICalendar,
    responses=responses(BorderNotFound),
)
async def get_border_closures(reader: AskedReader, border_id: BorderPath) -> Response:
    """Return a border's past and planned closures and restrictions as a calendar."""
    return await reader.calendar(Places(borders=[border_id]), of=Asked(border=border_id))


@router.get(
    "/events.ndjson", summary="Export the log", response_class=Ndjson, responses=responses()
)
async def get_events_ndjson(
    reader: AskedReader, places: AskedPlaces, knowledge: AskedKnowledge
) -> Response:
    """Return all status events, the oldest first, one a line, each as `/v1/events/{id}` has it.

    All of it as known at the change that `Change-Number` names. A body without its end is not
    whole: it broke off.
    """

    def pieces(opened: Opened, asked: Known) -> AsyncIterator[bytes]:
        return exports.ndjson(exports.events(opened, places, asked.change))

    return await reader.stream(places, knowledge, pieces, exports.NDJSON)


@router.get(
    "/events.csv",
    summary="Export the log as a table",
    description=exports.csv_description("all status events", exports.EVENT_COLUMNS),
    response_class=Csv,
    responses=responses(),
)
async def get_events_csv(
    reader: AskedReader, places: AskedPlaces, knowledge: AskedKnowledge
) -> Response:
    def pieces(opened: Opened, asked: Known) -> AsyncIterator[bytes]:
        pages = exports.events(opened, places, asked.change)
        return exports.table(pages, exports.EVENT_COLUMNS)

    return await reader.stream(places, knowledge, pieces, exports.CSV)


@router.get(
    "/timelines.ndjson", summary="Export timelines", response_class=Ndjson, responses=responses()
)
async def get_timelines_ndjson(
    reader: AskedReader, places: AskedPlaces, knowledge: AskedKnowledge
) -> Response:
    """Return every period of every crossing's timeline, one a line, by crossing.

    Each is as `/v1/crossings/{id}/timeline` has it, with its `crossing`. All of it as known
    at the change that `Change-Number` names. A body without its end is not whole: it broke off.
    """

    def pieces(opened: Opened, asked: Known) -> AsyncIterator[bytes]:
        return exports.ndjson(exports.timelines(opened, places, asked.change))

    return await reader.stream(places, knowledge, pieces, exports.NDJSON)


@router.get(
    "/timelines.csv",
    summary="Export timelines as a table",
    description=exports.csv_description(
        "every period of every crossing's timeline", exports.TIMELINE_COLUMNS
    ),
    response_class=Csv,
    responses=responses(),
)
async def get_timelines_csv(
    reader: AskedReader, places: AskedPlaces, knowledge: AskedKnowledge
) -> Response:
    def pieces(opened: Opened, asked: Known) -> AsyncIterator[bytes]:
        pages = exports.timelines(opened, places, asked.change)
        return exports.table(pages, exports.TIMELINE_COLUMNS)

    return await reader.stream(places, knowledge, pieces, exports.CSV)


@router.get(
    "/crossings.geojson",
    summary="Get the crossings as GeoJSON",
    response_model=FeatureCollection,
    response_class=GeoJson,
    responses=responses(),
)
async def get_crossings_geojson(
    session: Session,
    reader: AskedReader,
    border: Annotated[BorderId | None, Query()] = None,
    country: Annotated[CountryCode | None, Query()] = None,
    status: Annotated[
        Status | None, Query(description="Only crossings with this status now.")
    ] = None,
) -> Response:
    """Return every crossing with its status now as GeoJSON (RFC 7946), by id.

    Its `geometry` is null where nobody knows where it is.
    """
    wanted = Wanted(border=border, country=country)
    found, asked, validity = await places_service.list_crossings(
        session, wanted=wanted, status=status, after=None, limit=_ALL
    )
    if validity is None:
        reader.envelope.tell_change(asked.change)
    else:
        reader.envelope.tell_present(asked.change, asked.now, validity)
    body = features.collection(features.json_of(features.feature_of(one)) for _, one in found)
    return GeoJson(body, headers=dict(reader.response.headers))
