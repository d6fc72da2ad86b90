"""HTTP of the map and its data."""

import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import Depends, Path, Query, Response

from app.board.board import Board
from app.changes.read_sessions import AnyReadSessions
from app.changes.service import wire_instant
from app.crossings.candidates import CrossingFilter
from app.errors import CrossingNotFound, FieldError, Invalid
from app.http.bodies import BorderId, CountryCode, CrossingId, sides_of
from app.http.caching import ALWAYS_VALID, Validity
from app.http.documentation.docs import POLICY
from app.http.parameters import AsOf
from app.http.routing import hidden_router
from app.pages.assets import OUTLINED
from app.pages.discovery.linked_data import DESCRIPTION, dataset
from app.pages.map import rows as map_rows
from app.pages.map.rows import MapRow
from app.pages.page_cache import cached
from app.pages.rendering import (
    HEADERS,
    CurrentReader,
    HtmlPage,
    OptionalQuery,
    PageInstant,
    PageReader,
    VehicleQuery,
    page,
    set_cache_headers,
)
from app.places.schemas import SearchText
from app.places.zones import zone_of
from app.status.rule.travellers import ANYONE, Traveller
from app.vocabulary import Status, Traffic

router = hidden_router()

CROSSINGS_PER_PART = 300
"""Crossings in one part of the list; the map always shows all."""
SLIDER_RANGE = timedelta(days=6 * 365)
"""How far back the slider reaches."""


@dataclass(frozen=True, slots=True)
class MapQuery:
    """Which crossings the map shows, and as of when."""

    filter: CrossingFilter
    status: Status | None
    at: datetime | None
    known_at: datetime | None
    traveller: Traveller = ANYONE

    @property
    def times(self) -> dict[str, datetime | None]:
        return {"at": self.at, "known_at": self.known_at}

    @property
    def is_past(self) -> bool:
        return self.at is not None or self.known_at is not None

    @property
    def is_filtered(self) -> bool:
        is_general = self.filter == CrossingFilter() and self.traveller.is_anyone
        return not is_general or self.status is not None


def _map_query(
    vehicle: VehicleQuery,
    border: OptionalQuery[BorderId] = None,
    country: OptionalQuery[CountryCode] = None,
    status: OptionalQuery[Status] = None,
    q: OptionalQuery[SearchText] = None,
    retired: OptionalQuery[bool] = None,
    at: PageInstant = None,
    known_at: PageInstant = None,
) -> MapQuery:
    crossing_filter = CrossingFilter(
        border=border,
        country=country,
        traffic=vehicle.traffic,
        to=vehicle.to,
        q=q,
        retired=bool(retired),
    )
    return MapQuery(crossing_filter, status, at, known_at, vehicle.traveller)


MapQueryParameters = Annotated[MapQuery, Depends(_map_query)]


@router.get("/")
@cached
async def show_map(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    query: MapQueryParameters,
    part: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Show crossings on a map and in a list, at present or at another instant."""
    rows, validity = await _rows(reader, read_sessions, query)
    start = CROSSINGS_PER_PART * (part - 1)
    tiles = reader.request.app.state.tiles
    now = reader.moment.now if reader.board.is_loaded else datetime.now(UTC)
    response = page(
        reader,
        "map.html",
        validity=validity,
        query=query,
        groups=map_rows.by_border(rows[start : start + CROSSINGS_PER_PART]),
        count=len(rows),
        coming=map_rows.next_plans(rows),
        counts={value: sum(row.status is value for row in rows) for value in Status},
        part=part,
        parts=-(-len(rows) // CROSSINGS_PER_PART),
        choices=_choices(reader),
        markers=f"{reader.root}/map.json{reader.query_string}",
        countries={code: reader.words.country(code) for code in OUTLINED},
        times={name: instant and wire_instant(instant) for name, instant in query.times.items()},
        tiles=tiles,
        now=now,
        newest=None if query.is_past else map_rows.newest_information(rows),
        first=now - SLIDER_RANGE,
        tomorrow=(now.astimezone(_zone(reader.board)) + timedelta(days=1)).date(),
        linked_data=[dataset(reader, "Crossing Status", reader.words.translate(DESCRIPTION))],
    )
    if tiles[0]:
        host = "{0.scheme}://{0.netloc}".format(urlsplit(tiles[0]))
        response.headers["Content-Security-Policy"] = POLICY.replace(
            "img-src 'self'", f"img-src 'self' {host}"
        )
    return response


@router.get("/map.json")
@cached
async def get_markers(
    reader: CurrentReader, read_sessions: AnyReadSessions, query: MapQueryParameters
) -> Response:
    """Return the markers of the map: ids, names in the reader's language, statuses, locations."""
    rows, validity = await _rows(reader, read_sessions, query)
    body = json.dumps([row.marker for row in rows], ensure_ascii=False, separators=(",", ":"))
    response = HtmlPage(body, headers=HEADERS, media_type="application/json")
    set_cache_headers(response, reader, validity)
    return response


@router.get("/map/{crossing_id}")
@cached
async def get_card_text(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    query: MapQueryParameters,
    crossing_id: Annotated[CrossingId, Path()],
) -> Response:
    """Return what a card says of a crossing besides its name and status, as an HTML fragment."""
    single = replace(query, filter=replace(query.filter, ids=[crossing_id], q=None), status=None)
    rows, validity = await _rows(reader, read_sessions, single)
    if not rows:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    row = rows[0]
    now = reader.moment.now
    body = row.line + row.next_line(now) + row.wait_lines(None if query.is_past else now)
    response = HtmlPage(body, headers=HEADERS)
    set_cache_headers(response, reader, validity)
    return response


async def _rows(
    reader: PageReader, read_sessions: AnyReadSessions, query: MapQuery
) -> tuple[list[MapRow], Validity | None]:
    """Return the rows of the map and, of the present, their validity. Raises Invalid."""
    _require_existing_places(reader.board, query.filter)
    if not query.is_past:
        await reader.require_loaded_board()
        rows_and_validity = await map_rows.rows_from_board(
            reader.board, query.filter, query.status, reader.language, query.traveller
        )
        if rows_and_validity is not None:
            return rows_and_validity
    as_of = AsOf(query.known_at)
    async with read_sessions.for_question(query.at, as_of) as session:
        rows = await map_rows.rows_from_database(
            session,
            query.filter,
            query.status,
            reader.language,
            at=query.at,
            as_of=as_of,
            traveller=query.traveller,
        )
    return rows, None if query.is_past else ALWAYS_VALID


def _require_existing_places(board: Board, crossing_filter: CrossingFilter) -> None:
    """Raise Invalid for a border or a country without crossings: an empty list would mislead."""
    if not board.is_loaded:
        return
    borders = board.borders(after=None, limit=sys.maxsize)
    countries = {code for border in borders for code in sides_of(border)}
    faults = [
        FieldError("query", field, f"there is no crossing of {value}")
        for field, value, existing in (
            ("border", crossing_filter.border, borders),
            ("country", crossing_filter.country, countries),
            ("to", crossing_filter.to, countries),
        )
        if value is not None and value not in existing
    ]
    if faults:
        raise Invalid(faults)


def _zone(board: Board) -> ZoneInfo:
    """Return the zone of the first side of the first border, by which "tomorrow" is meant."""
    borders = board.borders(after=None, limit=1)
    return zone_of(sides_of(borders[0])[0] if borders else "")


def _choices(reader: PageReader) -> dict[str, list[tuple[str, str]]]:
    """Return the options of each field of the form: values with their labels."""
    words = reader.words
    borders = reader.board.borders(after=None, limit=sys.maxsize)
    countries = sorted({code for border in borders for code in sides_of(border)})
    return {
        "status": [(value, words.word(value)) for value in Status],
        "traffic": [(value, words.word(value)) for value in Traffic],
        "to": [(code, words.direction(code)) for code in countries],
        "border": [(border, words.border(border)) for border in borders],
        "country": [(code, words.country(code)) for code in countries],
    }
