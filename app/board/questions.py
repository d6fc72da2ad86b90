"""Which questions the board answers: read from an address as the ordinary routes would read it.

Whatever is written in another way than these know, and every mistake, is left to the routes.
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
    """A body, or the items of a page and the cursor of the next one; and how long it is good."""

    body: bytes
    validity: Validity
    is_page: bool = False
    cursor: str | None = None
    media_type: str = "application/json"

    def whole(self, next_page: str | None) -> bytes:
        """Return the whole body, given the address of the next page."""
        if not self.is_page:
            return self.body
        return b'{"items":[%b],"next":%b}' % (self.body, to_json(next_page))


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """`GET /v1/crossings/{id}/status`, whole or of some lanes."""

    route: ClassVar = "/v1/crossings/{crossing_id}/status"
    crossing: str
    traffic: Traffic | None = None
    to: str | None = None

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        entry = board.entry(self.crossing)
        view = entry and entry.view(moment, self.traffic, self.to)
        return BoardAnswer(view.status, view.validity) if view else None


@dataclass(frozen=True, slots=True)
class CrossingQuery:
    """`GET /v1/crossings/{id}`."""

    route: ClassVar = "/v1/crossings/{crossing_id}"
    crossing: str

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        entry = board.entry(self.crossing)
        view = entry and entry.view(moment)
        return BoardAnswer(view.alone, view.validity) if view else None


@dataclass(frozen=True, slots=True)
class CrossingsQuery:
    """`GET /v1/crossings`, all of them or those of a border."""

    route: ClassVar = "/v1/crossings"
    border: str | None
    retired: bool
    limit: int
    after: str | None

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        if self.border is not None and not board.has_border(self.border):
            return None
        shown: list[View] = []
        validity = ALWAYS_VALID
        cursor = None
        for view in board.views(moment, self.border, after=self.after):
            is_shown = self.retired or not view.is_retired
            if is_shown and len(shown) == self.limit:
                cursor = encode_cursor(*Rank(0.0, shown[-1].present.details.id).cursor)
                break
            # The page is as it is since those went that would be on it.
            validity = validity.also(view.validity)
            if is_shown:
                shown.append(view)
        return BoardAnswer(b",".join(view.listed for view in shown), validity, True, cursor)


@dataclass(frozen=True, slots=True)
class BordersQuery:
    """`GET /v1/borders`."""

    route: ClassVar = "/v1/borders"
    retired: bool
    limit: int
    after: str | None

    def answer(self, board: Board, moment: Moment) -> BoardAnswer | None:
        found = board.borders(after=self.after, limit=self.limit + 1)
        shown = found[: self.limit]
        cursor = encode_cursor(shown[-1]) if len(found) > self.limit else None
        bodies: list[bytes] = []
        validity = ALWAYS_VALID
        for border in shown:
            views = board.views_of(border, moment)
            summaries = [view.summary for view in views if self.retired or not view.is_retired]
            listed = border_summary(border, sides_of(border), summaries)
            bodies.append(listed.model_dump_json(by_alias=True).encode())
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
        found = [
            view
            for view in board.views(moment, self.border, after=None)
            if self.country is None or self.country in view.present.details.sides
        ]
        if self.country is not None and not found:
            return None
        shown = (
            one
            for one in found
            if self.status in {None, one.summary.answer.status}
            and (self.retired or not one.is_retired)
        )
        body = collection(one.feature for one in shown)
        # Which of them are shown differs when any of them does.
        return BoardAnswer(body, _validity(found), media_type=GEOJSON)


_QUESTION_BYTES = 300

Question = StatusQuery | CrossingQuery | CrossingsQuery | BordersQuery | FeaturesQuery


_questions: Cache[tuple[str, bytes], Question] = Cache(
    "questions", bound=4 * 2**20, weigh=lambda _: _QUESTION_BYTES
)


def question_of(path: str, query: bytes) -> Question | None:
    """Return what is asked there, None if the board does not answer it."""
    question = _questions.get((path, query))
    if question is None:
        question = _read(path, query)
        if question is not None:
            _questions.put((path, query), question)
    return question


def _read(path: str, query: bytes) -> Question | None:
    address = _ADDRESS.fullmatch(path)
    if address is None:
        return None
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    asked = dict(given)
    if len(asked) < len(given):
        return None
    try:
        if path == _FEATURES:
            return _features(asked)
        borders, crossing, status = address.group("borders", "crossing", "status")
        if crossing:
            return _about_one(crossing, asked) if status else _alone(crossing, asked)
        return _borders(asked) if borders else _crossings(asked)
    except (ValueError, Invalid):
        return None


def _about_one(crossing: str, asked: dict[str, str]) -> Question | None:
    traffic, to = asked.pop("traffic", None), asked.pop("to", None)
    if asked:
        return None
    return StatusQuery(crossing, None if traffic is None else Traffic(traffic), to)


def _alone(crossing: str, asked: dict[str, str]) -> Question | None:
    return None if asked else CrossingQuery(crossing)


def _crossings(asked: dict[str, str]) -> Question | None:
    border = _border(asked.pop("border", None))
    retired = _retired(asked.pop("retired", None))
    limit = _limit(asked.pop("limit", None))
    cursor = asked.pop("cursor", None)
    if asked:
        return None
    after = None
    if cursor is not None:
        rank = decode_cursor(cursor, rank_cursor)
        if rank.figure:
            return None
        after = rank.id
    return CrossingsQuery(border, retired, limit, after)


def _borders(asked: dict[str, str]) -> Question | None:
    retired = _retired(asked.pop("retired", None))
    limit = _limit(asked.pop("limit", None))
    cursor = asked.pop("cursor", None)
    if asked:
        return None
    after = None if cursor is None else decode_cursor(cursor, border_code)
    return BordersQuery(retired, limit, after)


def _features(asked: dict[str, str]) -> Question | None:
    border, country = _border(asked.pop("border", None)), asked.pop("country", None)
    status, retired = asked.pop("status", None), _retired(asked.pop("retired", None))
    # A country that is none is the routes' to refuse.
    if asked or not (country is None or country in iso3166.countries_by_alpha2):
        return None
    return FeaturesQuery(border, country, None if status is None else Status(status), retired)


def _border(given: str | None) -> str | None:
    return None if given is None else sorted_border(border_code.validate_python(given))


def _retired(given: str | None) -> bool:
    if given not in {None, "true", "false"}:
        raise ValueError(given)
    return given == "true"


def _limit(given: str | None) -> int:
    if given is None:
        return _DEFAULT_LIMIT
    if not re.fullmatch("[1-9][0-9]{0,5}", given):
        raise ValueError(given)
    return min(int(given), MAX_LIMIT)


def _validity(views: list[View]) -> Validity:
    found = ALWAYS_VALID
    for view in views:
        found = found.also(view.validity)
    return found
