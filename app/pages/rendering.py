"""Rendering of templates into responses, in the reader's language and with a page's headers."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, cached_property
from secrets import token_hex
from types import CodeType
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Query, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.bccache import Bucket, BytecodeCache
from jinja2.runtime import Context
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from app.alerts.service import AlertOffer
from app.board.board import Board
from app.board.views import Moment
from app.errors import Unavailable
from app.http.bodies import CountryCode, FormInstant
from app.http.caching import Validity, cache_control, http_date
from app.http.documentation.docs import POLICY
from app.http.origin import Origins, origin_of, path_of, query_of, query_parameters
from app.http.parameters import AsOf, KnownChange
from app.http.problems import RETRY_AFTER
from app.languages.languages import LANGUAGES, Language, negotiated
from app.languages.words import DIRECTIONS, Words
from app.pages.assets import static
from app.pages.lanes.vehicle import GROUPS, Vehicle
from app.places.phones import readable_phone
from app.places.schemas import Kilograms, Metres
from app.places.zones import zone_of
from app.status.parameters import CitizenOf, Group, Groups, traveller_of
from app.status.rule.travellers import EU_MEMBERS, Traveller
from app.vocabulary import ChangeKind, ExceptionCode, Mode, Status, Traffic

Value = TypeVar("Value")


def _empty_as_none(value: object) -> object:
    """Read an empty field of a form as one that was left out."""
    return value or None


def _without_empty(values: object) -> object:
    """Leave out the fields of a form that were left empty."""
    return [value for value in values if value] if isinstance(values, list) else values


OptionalQuery = Annotated[Value | None, BeforeValidator(_empty_as_none), Query()]
Filled = BeforeValidator(_without_empty)


def _vehicle(
    groups: Annotated[Groups, Filled],
    citizen_of: Annotated[CitizenOf, Filled],
    traffic: OptionalQuery[Traffic] = None,
    to: OptionalQuery[CountryCode] = None,
    empty: OptionalQuery[bool] = None,
    weight_kg: OptionalQuery[Kilograms] = None,
    height_m: OptionalQuery[Metres] = None,
) -> Vehicle:
    traveller = traveller_of(groups, citizen_of, bool(empty), weight_kg, height_m)
    return Vehicle(traffic, to, traveller)


VehicleQuery = Annotated[Vehicle, Depends(_vehicle)]

_TRAFFIC = TypeAdapter[Traffic](Traffic)
_COUNTRY = TypeAdapter[str](CountryCode)
_GROUP = TypeAdapter[ExceptionCode](Group)
_YES_OR_NO = TypeAdapter[bool](bool)
_KILOGRAMS = TypeAdapter[int](Kilograms)
_METRES = TypeAdapter[float](Metres)


def _valid(part: TypeAdapter[Value], texts: Sequence[str]) -> list[Value]:
    """Return the values of a parameter, without the invalid ones."""
    values = []
    for text in texts:
        with suppress(ValidationError):
            values.append(part.validate_python(text))
    return values


def _last_valid(part: TypeAdapter[Value], texts: Sequence[str]) -> Value | None:
    values = _valid(part, texts)
    return values[-1] if values else None


ORIGIN = token_hex(16)
"""Placeholder for the origin in a shared page. It is random, so that no input can contain it."""
MAX_REPEATED_ADDRESS = 1_000
"""Longest address in characters that a page repeats in its links, which it does a dozen times."""
BOARD_WAIT_SECONDS = 5.0
"""How long a request waits for a board that is being loaded."""
OLD_SECONDS = 30
"""A page says how old its data is once it is older than this."""

_PAST = {"at", "known_at", "known_change"}

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(self), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every page."""


class PageReader:
    """The request for a page, and the language to answer it in."""

    def __init__(self, request: Request) -> None:
        self.request = request
        current_url = request.scope
        if len(current_url["path"]) + len(current_url["query_string"]) > MAX_REPEATED_ADDRESS:
            current_url = {**current_url, "path": "/", "query_string": b""}
        self._address = current_url
        self.board: Board = request.app.state.board
        self.is_shared = False
        """Whether the page is rendered for several readers, who may use different origins."""
        lang = request.query_params.get("lang")
        self.has_chosen_language = lang in LANGUAGES
        """Whether the address names the language; otherwise the browser's preference decides."""
        self.language = (
            LANGUAGES[str(lang)]
            if self.has_chosen_language
            else negotiated(request.headers.get("accept-language", ""))
        )
        self.words = Words(self.language)

    @property
    def alert_offer(self) -> AlertOffer:
        """How the service can tell this reader of changes."""
        offer: AlertOffer = self.request.app.state.alert_offer
        return offer

    @property
    def moment(self) -> Moment:
        return self.board.moment()

    async def require_loaded_board(self) -> None:
        """Wait for a board that is being loaded. Raises Unavailable if that takes too long."""
        if not await self.board.reached(0, within=BOARD_WAIT_SECONDS):
            raise Unavailable(
                "The data is still being loaded.", headers={"Retry-After": RETRY_AFTER}
            )

    @property
    def origin(self) -> str:
        """The scheme and the authority with which our full URLs begin."""
        return ORIGIN if self.is_shared else origin_of(self.request)

    @property
    def root(self) -> str:
        """The path prefix that a proxy adds, with which our paths in a page begin."""
        origins: Origins = self.request.app.state.origins
        return origins.root

    @property
    def knowledge_from(self) -> datetime | None:
        """When the board last had contact with the database; None if that is recent.

        While the database is known to be lost, no contact counts as recent.
        """
        is_recent = self.board.age < OLD_SECONDS and not self.board.monitor.is_lost
        if not self.board.is_loaded or is_recent:
            return None
        last_contact = self.board.as_of + self.board.monitor.offset
        return datetime.fromtimestamp(int(last_contact), UTC)

    @cached_property
    def vehicle(self) -> Vehicle:
        """The vehicle and the traveller that the address names, without its invalid parts."""
        texts = self.request.query_params.getlist
        traveller = Traveller(
            frozenset(_valid(_GROUP, texts("as"))),
            frozenset(_valid(_COUNTRY, texts("citizen_of"))),
            _last_valid(_YES_OR_NO, texts("empty")) or False,
            _last_valid(_KILOGRAMS, texts("weight_kg")),
            _last_valid(_METRES, texts("height_m")),
        )
        traffic = _last_valid(_TRAFFIC, texts("traffic"))
        return Vehicle(traffic, _last_valid(_COUNTRY, texts("to")), traveller)

    @property
    def query_string(self) -> str:
        """The query of the request, with its question mark."""
        return query_of(query_parameters(self._address))

    def query(self, **query: str | None) -> str:
        """Return the query of a link, with the chosen language and vehicle."""
        lang = [("lang", self.language.code)] if self.has_chosen_language else []
        chosen = [*lang, *self.vehicle.parameters]
        return query_of([pair for pair in chosen if pair[0] not in query], query)

    def link(self, path: str, **query: str | None) -> str:
        """Return a path of ours with the chosen language and vehicle."""
        return self.root + path + self.query(**query)

    def general_link(self, path: str, **query: str | None) -> str:
        """Return a path of ours with the chosen language, for any vehicle and traveller."""
        lang = [("lang", self.language.code)] if self.has_chosen_language else []
        return self.root + path + query_of(lang, query)

    def current_path(self, **query: str | None) -> str:
        """Return this page's path with some parameters changed; None removes a parameter."""
        return self.root + path_of(self._address, **query)

    def current_url(self, **query: str | None) -> str:
        """Return this page's full URL with some parameters changed; None removes a parameter."""
        return self.origin + path_of(self._address, **query)

    def canonical_url(self, lang: str | None = None) -> str:
        """Return the address by which search engines know this page, in a language.

        What only changes how it is shown, or for which vehicle or instant, is left out.
        """
        path = path_of({**self._address, "query_string": b""})
        return self.origin + path + query_of(more={"lang": lang})

    @property
    def is_wall(self) -> bool:
        """Whether it is for a screen across the room, which nobody can touch."""
        return self.request.query_params.get("display") == "wall"

    @property
    def is_listed(self) -> bool:
        """Whether search engines may list this page: not if it is about the past, or for a wall."""
        return not self.is_wall and not _PAST.intersection(self.request.query_params)

    def static(self, name: str) -> str:
        """Return the path of an asset. Raises KeyError if there is no such asset."""
        return self.root + static(name)


CurrentReader = Annotated[PageReader, Depends(PageReader)]
PageInstant = Annotated[FormInstant, Query()]


def _knowledge(known_at: PageInstant = None, known_change: KnownChange = None) -> AsOf:
    return AsOf(known_at, known_change)


PageKnowledge = Annotated[AsOf, Depends(_knowledge)]
"""The state of the log from which a page is rendered."""


class HtmlPage(HTMLResponse):
    """A page."""

    due = math.inf
    """When its content next changes by time alone, in seconds since 1970 by the database."""


def page(
    reader: PageReader,
    template: str,
    *,
    status: int = 200,
    validity: Validity | None = None,
    **values: object,
) -> HtmlPage:
    """Render a template of ``templates/``. A page about the present has a validity.

    Templates have the reader as ``reader``, and the `Words` of its language as ``words``.
    """
    body = render(reader.language, template, reader=reader, **values)
    response = HtmlPage(body, status, HEADERS)
    response.headers["Content-Language"] = reader.language.code
    set_cache_headers(response, reader, validity)
    return response


def render(language: Language, template: str, **values: object) -> str:
    return _environment(language).get_template(template).render(**values)


def set_cache_headers(response: HtmlPage, reader: PageReader, validity: Validity | None) -> None:
    """Set the headers for caches. With a validity they are those of the API for the present."""
    if not reader.has_chosen_language:
        response.headers["Vary"] = "Accept-Language"
    if validity is None:
        return
    board = reader.board
    response.due = math.inf if validity.due is None else validity.due.timestamp()
    control = cache_control(response.due - board.monitor.now(), board.max_age - board.age)
    response.headers["Cache-Control"] = control
    response.headers["Change-Number"] = str(board.change)
    response.headers["Knowledge-Age"] = str(max(0, int(board.age)))
    if validity.modified is not None:
        response.headers["Last-Modified"] = http_date(validity.modified)


def _host(url: str) -> str:
    """Return the host of a URL for display, without ``www.``."""
    return (urlsplit(url).hostname or url).removeprefix("www.")


def _capitalized(text: str) -> str:
    """Return a phrase as the beginning of a sentence; what is marked up stays so."""
    return text[:1].upper() + text[1:]


class _CompiledTemplates(BytecodeCache):
    """The compiled templates, which the environments of all languages share.

    The compiler applies filters to constants: so no filter may depend on the language.
    """

    def __init__(self) -> None:
        self._codes: dict[str, CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get(bucket.key)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.code


_compiled_templates = _CompiledTemplates()


@pass_context
def _country_name(context: Context, country: str) -> str:
    words: Words = context["words"]
    return words.country(country)


@cache
def _environment(language: Language) -> Environment:
    words = Words(language)
    environment = Environment(
        loader=PackageLoader("app.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,
        bytecode_cache=_compiled_templates,
    )
    translations = language.translations
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # the extension's
        translations.gettext, translations.ngettext, newstyle=True
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.filters["country_name"] = _country_name
    environment.filters["host"] = _host
    environment.filters["traffic"] = Traffic
    environment.filters["capitalized"] = _capitalized
    environment.filters["phone"] = readable_phone
    environment.globals |= {
        "CHANGE_KINDS": " ".join(ChangeKind),
        "GROUPS": GROUPS,
        "LANGUAGES": LANGUAGES,
        "Mode": Mode,
        "Status": Status,
        "citizenships": sorted(EU_MEMBERS | DIRECTIONS.keys(), key=words.country),
        "language": language,
        "static": static,
        "words": words,
        "zone_of": zone_of,
    }
    return environment
