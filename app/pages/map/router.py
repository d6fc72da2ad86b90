"""HTTP of the map and of what it shows."""

import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Path, Query, Response

from app.board.board import Board
from app.changes.read_sessions import AnyReadSessions
from app.changes.service import wire_instant
from app.crossings.candidates import CrossingFilter
from app.errors import CrossingNotFound, FieldError, Invalid, Unavailable
from app.http.bodies import BorderId, CountryCode, CrossingId, sides_of
from app.http.caching import Validity
from app.http.documentation.docs import POLICY
from app.http.parameters import AsOf
from app.http.problems import RETRY_AFTER
from app.pages.assets import OUTLINED
from app.pages.map import rows as map_rows
from app.pages.map.rows import MapRow
from app.pages.page_cache import cached
from app.pages.rendering import (
    HEADERS,
    CurrentReader,
    HtmlPage,
    Maybe,
    PageInstant,
    PageReader,
    VehicleQuery,
    page,
    set_present_headers,
)
from app.places.schemas import SearchText
from app.vocabulary import Status, Traffic

router = APIRouter()

LISTED = 300
"""Crossings on a page of the list; the map shows all."""
SLIDE = timedelta(days=6 * 365)
"""How far back the slider reaches."""
BOARD_WAIT_SECONDS = 5.0
"""For a board that is just being loaded."""


@dataclass(frozen=True, slots=True)
class MapQuery:
    """What a reader wants to see, and of which time."""

    wanted: CrossingFilter
    status: Status | None
    at: datetime | None
    known_at: datetime | None

    @property
    def times(self) -> dict[str, datetime | None]:
        return {"at": self.at, "known_at": self.known_at}

    @property
    def is_past(self) -> bool:
        return self.at is not None or self.known_at is not None

    @property
    def is_filtered(self) -> bool:
        return self.wanted != CrossingFilter() or self.status is not None


def _map_query(
    vehicle: VehicleQuery,
    border: Maybe[BorderId] = None,
    country: Maybe[CountryCode] = None,
    status: Maybe[Status] = None,
    q: Maybe[SearchText] = None,
    retired: Maybe[bool] = None,
    at: PageInstant = None,
    known_at: PageInstant = None,
) -> MapQuery:
    wanted = CrossingFilter(
        border=border,
        country=country,
        traffic=vehicle.traffic,
        to=vehicle.to,
        q=q,
        retired=bool(retired),
    )
    return MapQuery(wanted, status, at, known_at)


MapQueryParameters = Annotated[MapQuery, Depends(_map_query)]


@router.get("/")
@cached
async def show_map(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    asked: MapQueryParameters,
    part: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Show the crossings on a map and in a list beside it, as they are or were."""
    rows, validity = await _rows(reader, read_sessions, asked)
    start = LISTED * (part - 1)
    tiles = reader.request.app.state.tiles
    now = reader.moment.now if reader.board.is_loaded else datetime.now(UTC)
    response = page(
        reader,
        "map.html",
        validity=validity,
        asked=asked,
        groups=map_rows.by_border(rows[start : start + LISTED]),
        count=len(rows),
        coming=map_rows.coming(rows),
        counts={one: sum(row.status is one for row in rows) for one in Status},
        part=part,
        parts=-(-len(rows) // LISTED),
        choices=_choices(reader),
        markers=f"{reader.root}/map.json{reader.query_string}",
        countries={code: reader.words.country(code) for code in OUTLINED},
        times={name: instant and wire_instant(instant) for name, instant in asked.times.items()},
        tiles=tiles,
        now=now,
        first=now - SLIDE,
    )
    if tiles[0]:
        host = "{0.scheme}://{0.netloc}".format(urlsplit(tiles[0]))
        response.headers["Content-Security-Policy"] = POLICY.replace(
            "img-src 'self'", f"img-src 'self' {host}"
        )
    return response


@router.get("/map.json")
@cached
async def give_markers(
    reader: CurrentReader, read_sessions: AnyReadSessions, asked: MapQueryParameters
) -> Response:
    """Give the map what it shows, in the reader's language: ids, names, statuses, places."""
    rows, validity = await _rows(reader, read_sessions, asked)
    body = json.dumps([row.mark for row in rows], ensure_ascii=False, separators=(",", ":"))
    return _part(reader, HtmlPage(body, headers=HEADERS, media_type="application/json"), validity)


@router.get("/map/{crossing_id}")
@cached
async def give_line(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    asked: MapQueryParameters,
    crossing_id: Annotated[CrossingId, Path()],
) -> Response:
    """Give what a card says of a crossing besides its name and status, as HTML within a page."""
    one = replace(asked, wanted=replace(asked.wanted, ids=[crossing_id], q=None), status=None)
    rows, validity = await _rows(reader, read_sessions, one)
    if not rows:
        raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
    row = rows[0]
    now = reader.moment.now
    line = row.line + row.next_line(now) + row.wait_lines(None if asked.is_past else now)
    return _part(reader, HtmlPage(line, headers=HEADERS), validity)


def _part(reader: PageReader, response: HtmlPage, validity: Validity | None) -> Response:
    """Give what belongs into a page the headers that pages have."""
    if not reader.chose:
        response.headers["Vary"] = "Accept-Language"
    if validity is not None:
        response.due = set_present_headers(response, reader.board, validity)
    return response


async def _rows(
    reader: PageReader, read_sessions: AnyReadSessions, asked: MapQuery
) -> tuple[list[MapRow], Validity | None]:
    """Return what is asked for; of the present, how long it is good. Raises Invalid."""
    _require_existing(reader.board, asked.wanted)
    if not asked.is_past:
        if not await reader.board.reached(0, within=BOARD_WAIT_SECONDS):
            raise Unavailable(
                "The data is still being loaded.", headers={"Retry-After": RETRY_AFTER}
            )
        return await map_rows.present(reader.board, asked.wanted, asked.status, reader.language)
    as_of = AsOf(asked.known_at)
    async with read_sessions.for_question(asked.at, as_of) as session:
        found = await map_rows.past(
            session,
            asked.wanted,
            asked.status,
            reader.language,
            at=asked.at,
            as_of=as_of,
        )
    return found, None


def _require_existing(board: Board, wanted: CrossingFilter) -> None:
    """Raise Invalid for a border or a country without a crossing: an empty list would mislead."""
    if not board.is_loaded:
        return
    borders = board.borders(after=None, limit=sys.maxsize)
    countries = {code for border in borders for code in sides_of(border)}
    faults = [
        FieldError("query", field, f"there is no crossing of {one}")
        for field, one, existing in (
            ("border", wanted.border, borders),
            ("country", wanted.country, countries),
            ("to", wanted.to, countries),
        )
        if one is not None and one not in existing
    ]
    if faults:
        raise Invalid(faults)


def _choices(reader: PageReader) -> dict[str, list[tuple[str, str]]]:
    """Return what the form offers for each field: values, and how they are called."""
    words = reader.words
    borders = reader.board.borders(after=None, limit=sys.maxsize)
    countries = sorted({code for border in borders for code in sides_of(border)})
    return {
        "status": [(one, words.word(one)) for one in Status],
        "traffic": [(one, words.word(one)) for one in Traffic],
        "to": [(code, words.direction(code)) for code in countries],
        "border": [(border, words.border(border)) for border in borders],
        "country": [(code, words.country(code)) for code in countries],
    }
