"""Facts in plain English: the same words in every feed. Names stay as their sources have them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from babel import Locale

from app.feeds.revisions import Labels, RevisionChain
from app.languages.languages import LANGUAGES
from app.languages.words import Words
from app.places.details import Details
from app.places.zones import is_midnight
from app.sources.schemas import CitationOut, SourceOut
from app.sources.statements import Reason
from app.status.schemas import EventOut
from app.vocabulary import (
    Certainty,
    EventKind,
    ExceptionCode,
    Precision,
    ReasonCode,
    Traffic,
)

_ENGLISH = Words(LANGUAGES["en"])
_COUNTRIES = Locale("en").territories
_LAST_LATIN = "\u024f"
_UNWRITABLE = re.compile("[^\t\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_PLURALS = {one: f"{one.value}s" for one in Traffic} | {Traffic.BUS: "buses"}


def writable(text: str) -> str:
    """Return the text without what XML and iCalendar cannot carry; lines end with LF."""
    return _UNWRITABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def country(code: str) -> str:
    name: str = _COUNTRIES.get(code, code)
    return name


def spoken(code: str) -> str:
    """Return a code of the vocabulary as words."""
    return code.replace("_", " ")


def in_english(texts: Mapping[str, str]) -> str:
    """Return the English one of texts by language, or the first."""
    return texts.get("en") or next(iter(texts.values()))


def instant(at: datetime, zone: ZoneInfo, precision: Precision | None = None) -> str:
    """Return an instant as local time, or as a date if it is known to the day or month only."""
    return _ENGLISH.instant(at, [zone], precision or Precision.MINUTE).striptags()


def end(at: datetime, zone: ZoneInfo, precision: Precision | None) -> str:
    """Return until when something holds: its last day, if its start is known to the day only."""
    return _ENGLISH.end(at, [zone], precision).striptags()


def said_on(at: datetime, zone: ZoneInfo) -> str:
    """Return when something was said: as a date if it is a midnight, for then no hour is known."""
    return instant(at, zone, Precision.DAY if is_midnight(at, zone) else Precision.MINUTE)


def zone_of_event(event: EventOut) -> ZoneInfo:
    return ZoneInfo(event.time_zone)


def name_of(details: Details) -> str:
    """Return a crossing's name: each side's, in English or else in Latin letters if it has one."""
    sides: dict[str, list[tuple[bool, bool, str]]] = {}
    for one in details.version.names:
        name = str(one["name"])
        rank = (one["lang"] != "en", max(name) > _LAST_LATIN, name)
        sides.setdefault(str(one["side"]), []).append(rank)
    # Of equals the first: it is what the side calls itself.
    chosen = [min(names, key=lambda rank: rank[:2])[2] for names in sides.values()]
    return " – ".join(chosen)


def lanes(traffic: Sequence[Traffic] | None, to: str | None) -> str:
    """Return what an event is about: which traffic, which way."""
    what = "all traffic" if traffic is None else ", ".join(_PLURALS[one] for one in traffic)
    return what if to is None else f"{what} entering {country(to)}"


def scope(event: EventOut) -> str:
    """Return the lanes as part of a title: nothing if it is all of them."""
    if event.traffic is None and event.to is None:
        return ""
    return f" for {lanes(event.traffic, event.to)}"


def title_of(chain: RevisionChain, labels: Labels) -> str:
    """Return a chain in a line: where, what, for whom, from when."""
    event = chain.newest
    where = name_of(labels.crossings[event.crossing])
    if event.confirmed_at is not None:
        on = said_on(event.confirmed_at, zone_of_event(event))
        said = f"confirmed by {says(event)} on {on}{scope(event)}"
    else:
        assert event.status is not None
        said = f"{event.status.value}{scope(event)} {period(event)}"
    if event.certainty is Certainty.UNCONFIRMED:
        said = f"{said} (unconfirmed)"
    return f"{'Withdrawn: ' if chain.retraction else ''}{where}: {said}"


def says(event: EventOut) -> str:
    return " and ".join(country(side) for side in event.sides)


def period(event: EventOut) -> str:
    """Return from when, and until when if an end was declared."""
    assert event.effective is not None
    zone = zone_of_event(event)
    if event.precision is Precision.UNKNOWN:
        told = "from an unknown date"
    else:
        told = f"from {instant(event.effective.from_, zone, event.precision)}"
    if event.effective.until is not None:
        told += f" to {end(event.effective.until, zone, event.precision)}"
    return told


def lines_of(chain: RevisionChain) -> list[str]:
    """Return everything that is said, but for the sources, in lines of text."""
    event = chain.newest
    zone = zone_of_event(event)
    told = [f"According to {says(event)}. Recorded by {event.recorded_by}."]
    if event.kind is EventKind.DECLARATION:
        told += _declared(event)
    elif event.confirmed_at is not None:
        told.append(
            f"What was declared before still applied on {said_on(event.confirmed_at, zone)}."
        )
    told.append(f"Applies to: {lanes(event.traffic, event.to)}.")
    if event.reason is not None:
        told.append(f"Reason: {why(event.reason)}")
    for exemption in event.exceptions:
        told.append(f"Exception: {_with_text(exemption.code, exemption.text)}")
    if event.announced_at is not None:
        told.append(f"Announced on {said_on(event.announced_at, zone)}.")
    if chain.corrections:
        told.append(f"{corrected(chain.corrections)}, last on {instant(event.recorded_at, zone)}.")
    if chain.retraction is not None:
        told.append(_withdrawn(chain.retraction, zone))
    return told


def why(reason: Reason) -> str:
    return _with_text(reason.code, reason.text)


def source_line(citation: CitationOut, source: SourceOut) -> str:
    """Return a source, where in it, and on what basis."""
    told = [source.title, source.publisher, source.published_at, citation.locator]
    return f"{', '.join(one for one in told if one)} ({citation.basis.value})"


def sources_html(citations: Iterable[CitationOut], labels: Labels) -> str:
    """Return the sources as a list, linked where they have an address."""
    items: list[str] = []
    for citation in citations:
        source = labels.sources[citation.source]
        line = escape(source_line(citation, source))
        items.append(f'<a href="{escape(source.url)}">{line}</a>' if source.url else line)
    return f"<p>Sources:</p><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _declared(event: EventOut) -> list[str]:
    assert event.status is not None
    assert event.certainty is not None
    assert event.effective is not None
    told = [f"Status: {event.status.value} {period(event)} ({event.certainty.value})."]
    if event.precision not in {Precision.MINUTE, Precision.UNKNOWN}:
        told.append(f"The start is known to the {event.precision}.")
    if event.expected_until is not None:
        expected = end(event.expected_until, zone_of_event(event), event.precision)
        told.append(
            f"Expected to last until {expected}. That does not reopen the crossing by itself."
        )
    if event.effective.until is None:
        told.append("It applies until further notice.")
    return told


def _withdrawn(retraction: EventOut, zone: ZoneInfo) -> str:
    reason = "" if retraction.reason is None else why(retraction.reason)
    return (
        f"Withdrawn on {instant(retraction.recorded_at, zone)} by {retraction.recorded_by}:"
        f" it should not have been recorded. {reason}"
    )


def corrected(times: int) -> str:
    return "Corrected once" if times == 1 else f"Corrected {times} times"


def _with_text(code: ReasonCode | ExceptionCode, text: str | None) -> str:
    if text and code.value == "other":
        return text
    word = _ENGLISH.word(code)
    return f"{word}: {text}" if text else f"{word}."
