"""The requests that the board answers, parsed as the ordinary routes would parse them.

Requests in any other form, and all invalid ones, are left to the ordinary routes.
"""

import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qsl

import iso3166
from pydantic_core import to_json

from app.board.board import Board
from app.board.views import Moment, View
from app.caches import Cache
from app.crossings.borders import border_summary
from app.crossings.candidates import Rank, rank_cursor
from app.crossings.geojson import GEOJSON, collection
from app.errors import Invalid
from app.http.bodies import sides_of, sorted_border
from app.http.caching import ALWAYS_VALID, Validity
from app.http.paging import MAX_LIMIT, border_code, decode_cursor, encode_cursor
from app.validation import SLUG
from app.vocabulary import Status, Traffic

_FEATURES = "/feeds/crossings.geojson"
_ADDRESS = re.compile(
    f"/v1/(?:(?P<borders>borders)|crossings(?:/(?P<crossing>{SLUG[1:-1]})(?P<status>/status)?)?)"
    f"|{re.escape(_FEATURES)}"
)
_DEFAULT_LIMIT = 50


@dataclass(frozen=True, slots=True)
class BoardAnswer:
    """A body, or the items of a page with the cursor of the next one, and its validity."""

    body: bytes
    validity: Validity
    is_page: bool = False
    cursor: str | None = None
    media_type: str = "application/json"

    def complete_body(self, next_page: str | None) -> bytes:
        """Return the complete body, given the address of the next page."""
        if not self.is_page:
            return self.body
        return b'{"items":[%b],"next":%b}' % (self.body, to_json(next_page))


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """`GET /v1/crossings/{id}/status`, about all lanes or some."""

    route: ClassVar = "/v1/crossings/{crossing_id}/status"
    crossing: str
    traffic: Traffic | None = None
    to: str | None = None

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        entry = board.entry(self.crossing)
        view = entry and entry.view(moment, self.traffic, self.to)
        return BoardAnswer(view.status_json, view.validity) if view else None


@dataclass(frozen=True, slots=True)
class CrossingQuery:
    """`GET /v1/crossings/{id}`."""

    route: ClassVar = "/v1/crossings/{crossing_id}"
    crossing: str

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        entry = board.entry(self.crossing)
        view = entry and entry.view(moment)
        return BoardAnswer(view.detail_json, view.validity) if view else None


@dataclass(frozen=True, slots=True)
class CrossingsQuery:
    """`GET /v1/crossings`, of all borders or of one."""

    route: ClassVar = "/v1/crossings"
    border: str | None
    retired: bool
    limit: int
    after: str | None

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        if self.border is not None and not board.has_border(self.border):
            return None
        page: list[View] = []
        validity = ALWAYS_VALID
        cursor = None
        for view in board.views(moment, self.border, after=self.after):
            is_shown = self.retired or not view.is_retired
            if is_shown and len(page) == self.limit:
                cursor = encode_cursor(*Rank(0.0, page[-1].present.details.id).cursor)
                break
            # The page also depends on the retired crossings that would be on it.
            validity = validity.also(view.validity)
            if is_shown:
                page.append(view)
        return BoardAnswer(b",".join(view.summary_json for view in page), validity, True, cursor)


@dataclass(frozen=True, slots=True)
class BordersQuery:
    """`GET /v1/borders`."""

    route: ClassVar = "/v1/borders"
    retired: bool
    limit: int
    after: str | None

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        borders = board.borders(after=self.after, limit=self.limit + 1)
        page = borders[: self.limit]
        cursor = encode_cursor(page[-1]) if len(borders) > self.limit else None
        bodies: list[bytes] = []
        validity = ALWAYS_VALID
        for border in page:
            views = board.views_of(border, moment)
            summaries = [view.summary for view in views if self.retired or not view.is_retired]
            summary = border_summary(border, sides_of(border), summaries)
            bodies.append(summary.model_dump_json(by_alias=True).encode())
            validity = validity.also(_validity(views))
        return BoardAnswer(b",".join(bodies), validity, True, cursor)


@dataclass(frozen=True, slots=True)
class FeaturesQuery:
    """`GET /feeds/crossings.geojson`."""

    route: ClassVar = "/feeds/crossings.geojson"
    border: str | None
    country: str | None
    status: Status | None
    retired: bool

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        if self.border is not None and not board.has_border(self.border):
            return None
        views = [
            view
            for view in board.views(moment, self.border, after=None)
            if self.country is None or self.country in view.present.details.sides
        ]
        if self.country is not None and not views:
            return None
        matching = (
            view
            for view in views
            if self.status in {None, view.summary.answer.status}
            and (self.retired or not view.is_retired)
        )
        body = collection(view.feature_json for view in matching)
        # The selection may change whenever one of the views does.
        return BoardAnswer(body, _validity(views), media_type=GEOJSON)


_QUESTION_BYTES = 300

Question = StatusQuery | CrossingQuery | CrossingsQuery | BordersQuery | FeaturesQuery


_questions: Cache[tuple[str, bytes], Question] = Cache(
    "questions", bound=4 * 2**20, weigh=lambda _: _QUESTION_BYTES
)


def question_of(path: str, query: bytes) -> Question | None:
    """Return the parsed request; None if the board does not answer it."""
    question = _questions.get((path, query))
    if question is None:
        question = _parse(path, query)
        if question is not None:
            _questions.put((path, query), question)
    return question


def _parse(path: str, query: bytes) -> Question | None:
    address = _ADDRESS.fullmatch(path)
    if address is None:
        return None
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        return None
    try:
        if path == _FEATURES:
            return _features_query(parameters)
        borders, crossing, status = address.group("borders", "crossing", "status")
        if crossing:
            return (
                _status_query(crossing, parameters)
                if status
                else _crossing_query(crossing, parameters)
            )
        return _borders_query(parameters) if borders else _crossings_query(parameters)
    except (ValueError, Invalid):
        return None


def _status_query(crossing: str, parameters: dict[str, str]) -> Question | None:
    traffic, to = parameters.pop("traffic", None), parameters.pop("to", None)
    if parameters:
        return None
    return StatusQuery(crossing, None if traffic is None else Traffic(traffic), to)


def _crossing_query(crossing: str, parameters: dict[str, str]) -> Question | None:
    return None if parameters else CrossingQuery(crossing)


def _crossings_query(parameters: dict[str, str]) -> Question | None:
    border = _border(parameters.pop("border", None))
    retired = _retired(parameters.pop("retired", None))
    limit = _limit(parameters.pop("limit", None))
    cursor = parameters.pop("cursor", None)
    if parameters:
        return None
    after = None
    if cursor is not None:
        rank = decode_cursor(cursor, rank_cursor)
        if rank.figure:
            return None
        after = rank.id
    return CrossingsQuery(border, retired, limit, after)


def _borders_query(parameters: dict[str, str]) -> Question | None:
    retired = _retired(parameters.pop("retired", None))
    limit = _limit(parameters.pop("limit", None))
    cursor = parameters.pop("cursor", None)
    if parameters:
        return None
    after = None if cursor is None else decode_cursor(cursor, border_code)
    return BordersQuery(retired, limit, after)


def _features_query(parameters: dict[str, str]) -> Question | None:
    border, country = _border(parameters.pop("border", None)), parameters.pop("country", None)
    status, retired = parameters.pop("status", None), _retired(parameters.pop("retired", None))
    # Unknown countries are left to the routes, which refuse them.
    if parameters or not (country is None or country in iso3166.countries_by_alpha2):
        return None
    return FeaturesQuery(border, country, None if status is None else Status(status), retired)


def _border(value: str | None) -> str | None:
    return None if value is None else sorted_border(border_code.validate_python(value))


def _retired(value: str | None) -> bool:
    if value not in {None, "true", "false"}:
        raise ValueError(value)
    return value == "true"


def _limit(value: str | None) -> int:
    if value is None:
        return _DEFAULT_LIMIT
    if not re.fullmatch("[1-9][0-9]{0,5}", value):
        raise ValueError(value)
    return min(int(value), MAX_LIMIT)


def _validity(views: list[View]) -> Validity:
    validity = ALWAYS_VALID
    for view in views:
        validity = validity.also(view.validity)
    return validity
