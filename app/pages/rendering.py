"""From a template to a response: in the reader's language, with the headers pages have."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from secrets import token_hex
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import iso3166
from fastapi import Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BeforeValidator

from app.board.board import Board
from app.board.views import Moment
from app.http.bodies import CountryCode, FormInstant
from app.http.caching import Validity, cache_control, http_date
from app.http.documentation.docs import POLICY
from app.http.origin import Origins, origin_of, path_of, query_of, query_parameters
from app.http.parameters import AsOf, KnownChange
from app.languages.languages import LANGUAGES, Language, negotiated
from app.languages.words import Words
from app.pages.assets import static
from app.pages.lanes.vehicle import Vehicle
from app.places.zones import zone_of
from app.vocabulary import ChangeKind, Status, Traffic

Value = TypeVar("Value")


def _empty_as_none(value: object) -> object:
    """Read a field that a form sends empty as one that was not filled in."""
    return value or None


Maybe = Annotated[Value | None, BeforeValidator(_empty_as_none), Query()]


def _vehicle(traffic: Maybe[Traffic] = None, to: Maybe[CountryCode] = None) -> Vehicle:
    return Vehicle(traffic, to)


VehicleQuery = Annotated[Vehicle, Depends(_vehicle)]

ORIGIN = token_hex(16)
"""Stands for the origin in a page that is for everybody; nothing that comes from outside has it."""
LONGEST_KEPT = 1_000
"""Characters of an address that a page repeats in its links, a dozen times; of more, none."""
OLD_SECONDS = 30
"""Knowledge that is older is told to be so on the page."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Of every page."""


class PageReader:
    """Who asks for a page: the address, and the language to answer in."""

    def __init__(self, request: Request) -> None:
        self.request = request
        address = request.scope
        if len(address["path"]) + len(address["query_string"]) > LONGEST_KEPT:
            address = {**address, "path": "/", "query_string": b""}
        self._address = address
        self.board: Board = request.app.state.board
        self.is_shared = False
        """Whether the page is also for others, who may call the service otherwise."""
        lang = request.query_params.get("lang")
        self.chose = lang in LANGUAGES
        """Whether the address says the language; if not, the browser does."""
        self.language = (
            LANGUAGES[str(lang)]
            if self.chose
            else negotiated(request.headers.get("accept-language", ""))
        )
        self.words = Words(self.language)

    @property
    def moment(self) -> Moment:
        return self.board.moment()

    @property
    def origin(self) -> str:
        """The beginning of every full address of ours."""
        return ORIGIN if self.is_shared else origin_of(self.request)

    @property
    def root(self) -> str:
        """The beginning of every address of ours within a page: the path that a proxy adds."""
        origins: Origins = self.request.app.state.origins
        return origins.root

    @property
    def knowledge_from(self) -> datetime | None:
        """When the board last heard from the database, where that is too long ago to pass over.

        A database that is lost is told of at once.
        """
        recent = self.board.age < OLD_SECONDS and not self.board.monitor.is_lost
        if not self.board.is_loaded or recent:
            return None
        heard = self.board.as_of + self.board.monitor.offset
        return datetime.fromtimestamp(int(heard), UTC)

    @property
    def vehicle(self) -> Vehicle:
        """Return what the address asks to answer for; what makes no sense is left out."""
        parameters = self.request.query_params
        traffic, to = parameters.get("traffic"), parameters.get("to")
        return Vehicle(
            Traffic(traffic) if traffic in list(Traffic) else None,
            to if to in iso3166.countries_by_alpha2 else None,
        )

    @property
    def query_string(self) -> str:
        """The query that was asked, with its question mark."""
        return query_of(query_parameters(self._address))

    def query(self, **query: str | None) -> str:
        """Return the query of a link: for the language and the vehicle that were chosen."""
        vehicle = self.vehicle
        chosen = {
            "lang": self.language.code if self.chose else None,
            "traffic": vehicle.traffic,
            "to": vehicle.to,
        }
        return query_of(more={**chosen, **query})

    def link(self, path: str, **query: str | None) -> str:
        """Return an address of ours: in the language, and for the vehicle, that were chosen."""
        return self.root + path + self.query(**query)

    def here(self, **query: str | None) -> str:
        """Return this page's address with some parameters changed; None takes one away."""
        return self.root + path_of(self._address, **query)

    def address(self, **query: str | None) -> str:
        """Return the same as others have to write it."""
        return self.origin + path_of(self._address, **query)

    def static(self, name: str) -> str:
        """Return where an asset is. Raises KeyError if there is none of the name."""
        return self.root + static(name)


CurrentReader = Annotated[PageReader, Depends(PageReader)]
PageInstant = Annotated[FormInstant, Query()]


def _knowledge(known_at: PageInstant = None, known_change: KnownChange = None) -> AsOf:
    return AsOf(known_at, known_change)


PageKnowledge = Annotated[AsOf, Depends(_knowledge)]
"""Which state of the log a page is to be made from."""


class HtmlPage(HTMLResponse):
    """A page, and when it next differs by itself, in the database's seconds of 1970."""

    due = math.inf


def page(
    reader: PageReader,
    template: str,
    *,
    status: int = 200,
    validity: Validity | None = None,
    **values: object,
) -> HtmlPage:
    """Render a template of ``templates/``. With a validity it is about the present, by the board.

    Templates know the reader as ``reader``, the vocabulary by `Words` as ``words``.
    """
    body = render(reader.language, template, reader=reader, **values)
    response = HtmlPage(body, status, HEADERS)
    response.headers["Content-Language"] = reader.language.code
    if not reader.chose:
        response.headers["Vary"] = "Accept-Language"
    if validity is not None:
        response.due = set_present_headers(response, reader.board, validity)
    return response


def render(language: Language, template: str, **values: object) -> str:
    return _environment(language).get_template(template).render(**values)


def set_present_headers(response: Response, board: Board, validity: Validity) -> float:
    """Say how long an answer by the board is good, as the API says it; return until when."""
    due = math.inf if validity.due is None else validity.due.timestamp()
    control = cache_control(due - board.monitor.now(), board.max_age - board.age)
    response.headers["Cache-Control"] = control
    response.headers["Change-Number"] = str(board.change)
    response.headers["Knowledge-Age"] = str(max(0, int(board.age)))
    if validity.modified is not None:
        response.headers["Last-Modified"] = http_date(validity.modified)
    return due


def _host(url: str) -> str:
    """Return whose site an address leads to."""
    return (urlsplit(url).hostname or url).removeprefix("www.")


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
    )
    translations = language.translations
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # the extension's
        translations.gettext, translations.ngettext, newstyle=True
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.filters["country_name"] = words.country
    environment.filters["host"] = _host
    environment.globals |= {
        "CHANGE_KINDS": " ".join(ChangeKind),
        "LANGUAGES": LANGUAGES,
        "Status": Status,
        "language": language,
        "words": words,
        "zone_of": zone_of,
    }
    return environment
