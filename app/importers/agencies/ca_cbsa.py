"""Canada Border Services Agency: the waits of those who enter Canada, office by office.

* The commercial flow is of trucks, the flow of travellers of cars. Nothing is said of buses.
* The page is one table of four columns, which the parser of the standard library reads: it takes
  any HTML, and a library for trees and selectors would be more than this needs.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

from app.importers.findings import (
    BrokenPayload,
    Finding,
    Refusal,
    UnknownPlace,
    decode,
    quoted,
    read,
)
from app.importers.importer import Importer
from app.importers.places import Place, Places
from app.sources.schemas import SourceIn
from app.vocabulary import ObservationMethod, SourceKind, Traffic

_COLUMNS = ["CBSA Office", "Commercial Flow", "Travellers Flow", "Updated"]
_WAIT = re.compile(r"(?:(\d{1,3}) hours?)?(?:^| ?)(?:(\d{1,4}) minutes?)?", re.ASCII)
_BARE_NUMBER = re.compile(r"\d+", re.ASCII)
_CLOCKS = tuple(
    ZoneInfo(f"America/{place}")
    for place in (
        *("St_Johns", "Halifax", "Toronto", "Winnipeg", "Regina", "Edmonton", "Vancouver"),
        "Whitehorse",
    )
)
"""Time zones along Canada's border. One of them must match the abbreviation beside a time."""


class _Cell:
    def __init__(self) -> None:
        self.lines = [""]
        self.instant: str | None = None

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.lines).split())

    @property
    def first_line(self) -> str:
        return next((line for text in self.lines if (line := " ".join(text.split()))), "")


class _Tables(HTMLParser):
    """Collects the cells of all tables, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[_Cell]]] = []
        self.is_within = False
        """Whether the parser is within a table."""
        self._cell: _Cell | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        match tag:
            case "table":
                self.tables.append([])
                self._cell, self.is_within = None, True
            case "tr" if self.tables:
                self.tables[-1].append([])
                self._cell = None
            case "td" | "th" if self.tables and self.tables[-1]:
                self._cell = _Cell()
                self.tables[-1][-1].append(self._cell)
            case "br" if self._cell:
                self._cell.lines.append("")
            case "time" if self._cell:
                self._cell.instant = dict(attrs).get("datetime")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th", "tr", "table"}:
            self._cell = None
        if tag == "table":
            self.is_within = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self._cell.lines[-1] += data


def parse(payload: bytes, places: Places) -> Iterator[Finding]:
    """Read the page."""
    rows = _rows(decode(payload))
    names = [cells[0].first_line for cells in rows]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Refusal(
            quoted(name),
            "office",
            f"appears {names.count(name)} times in the table",
            is_damage=True,
        )
    for name, cells in zip(names, rows, strict=True):
        if names.count(name) > 1:
            continue
        place = places.find(name)
        if len(cells) != len(_COLUMNS) or not name:
            yield Refusal(
                quoted(name), "the row", f"does not have {len(_COLUMNS)} cells", is_damage=True
            )
        elif isinstance(place, Place):
            yield from _office(place, *cells)
        else:
            yield UnknownPlace(
                quoted(name), quoted(cells[0].text), None if place is None else place.reason
            )


def _rows(page: str) -> list[list[_Cell]]:
    """Return the rows of the table that has our columns, below them."""
    if "<" not in page:
        raise BrokenPayload("is not HTML")
    tables = _Tables()
    tables.feed(page)
    tables.close()
    for table in tables.tables:
        if table and [cell.text for cell in table[0]] == _COLUMNS:
            rows = [cells for cells in table[1:] if cells]
            if not rows:
                raise BrokenPayload("has a table without offices")
            if tables.is_within and table is tables.tables[-1]:
                raise BrokenPayload("is cut off within the table")
            return rows
    raise BrokenPayload(f"has no table with the columns {', '.join(_COLUMNS)}")


def _office(
    place: Place, _: _Cell, commercial: _Cell, travellers: _Cell, updated: _Cell
) -> Iterator[Finding]:
    observed_at = _instant(updated)
    for traffic, flow in ((Traffic.TRUCK, commercial.text), (Traffic.CAR, travellers.text)):
        minutes = _minutes(flow)
        if flow.casefold() == "not applicable":
            continue
        if isinstance(minutes, str):
            yield Refusal(place.label, traffic.value, minutes, quoted(flow), is_damage=True)
        elif isinstance(observed_at, str):
            yield Refusal(place.label, traffic.value, observed_at, quoted(updated.text))
        else:
            yield read(
                place,
                traffic.value,
                traffic=traffic,
                wait={"state": "known", "minutes": minutes},
                observed_at=observed_at,
                method=ObservationMethod.OFFICIAL,
            )


def _minutes(flow: str) -> int | str:
    """Return a wait in minutes, or why it cannot be read."""
    if flow.casefold() == "no delay":
        return 0
    if _BARE_NUMBER.fullmatch(flow):
        return "is a number without a unit"
    match = _WAIT.fullmatch(flow)
    if match is None or not any(match.groups()):
        return "is not a wait as the feed has told them"
    hours, minutes = (int(group or 0) for group in match.groups())
    return 60 * hours + minutes


def _instant(updated: _Cell) -> datetime | str:
    """Return when an office was updated, or why that cannot be read."""
    try:
        at = datetime.fromisoformat(updated.instant or "")
    except ValueError:
        return "has no instant"
    if at.tzinfo is None:
        return "has an instant without an offset"
    day, abbreviation = at.strftime("%Y-%m-%d %H:%M"), updated.text.rpartition(" ")[2]
    candidates = [at.astimezone(zone) for zone in _CLOCKS]
    if not any(
        (candidate.utcoffset(), f"{candidate:%Y-%m-%d %H:%M} {candidate.tzname()}")
        == (at.utcoffset(), updated.text)
        for candidate in candidates
    ):
        return f"is not what a clock in Canada shows then: {day} with {abbreviation}"
    return at


IMPORTER = Importer(
    module=__name__,
    source=SourceIn(
        kind=SourceKind.DATASET,
        title="Border wait times",
        publisher="Canada Border Services Agency",
        url="https://www.cbsa-asfc.gc.ca/bwt-taf/menu-eng.html",
        language="en",
    ),
    address="https://www.cbsa-asfc.gc.ca/bwt-taf/menu-eng.html",
    interval=timedelta(minutes=10),
    parse=parse,
)
