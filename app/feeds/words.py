"""Sentences of the Atom feeds, which are in English. Names stay as their sources have them."""

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

_PLURALS = {traffic: f"{traffic.value}s" for traffic in Traffic} | {Traffic.BUS: "buses"}


def writable(text: str) -> str:
    """Return text without characters that XML and iCalendar do not allow; lines end with LF."""
    return _UNWRITABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def country(code: str) -> str:
    name: str = _COUNTRIES.get(code, code)
    return name


def in_words(code: str) -> str:
    """Return a code of the vocabulary with spaces instead of underscores."""
    return code.replace("_", " ")


def in_english(texts: Mapping[str, str]) -> str:
    """Return the English text, or if there is none another with its language in brackets."""
    return _ENGLISH.marked(_ENGLISH.text(texts), _ENGLISH.lang(texts))


def instant(at: datetime, zone: ZoneInfo, precision: Precision | None = None) -> str:
    """Return an instant as local time, or as a date if it is known to the day or month only."""
    return _ENGLISH.instant(at, [zone], precision or Precision.MINUTE).striptags()


def end(at: datetime, zone: ZoneInfo, precision: Precision | None) -> str:
    """Return an end: as the last day, if it is known to the day only."""
    return _ENGLISH.end(at, [zone], precision).striptags()


def instant_or_date(at: datetime, zone: ZoneInfo) -> str:
    """Return an instant, or a date if it is a midnight, since then the hour is not known."""
    return instant(at, zone, Precision.DAY if is_midnight(at, zone) else Precision.MINUTE)


def zone_of_event(event: EventOut) -> ZoneInfo:
    return ZoneInfo(event.time_zone)


def name_of(details: Details) -> str:
    """Return the names on each side, in English or else in Latin letters where possible."""
    sides: dict[str, list[tuple[bool, bool, str]]] = {}
    for entry in details.version.names:
        name = str(entry["name"])
        rank = (entry["lang"] != "en", max(name) > _LAST_LATIN, name)
        sides.setdefault(str(entry["side"]), []).append(rank)
    # Among equals the first is the one that the side itself uses.
    names_of_sides = [min(names, key=lambda rank: rank[:2])[2] for names in sides.values()]
    return " – ".join(names_of_sides)


def lanes(traffic: Sequence[Traffic] | None, to: str | None) -> str:
    """Return traffic and direction in words."""
    categories = (
        "all traffic" if traffic is None else ", ".join(_PLURALS[category] for category in traffic)
    )
    return categories if to is None else f"{categories} entering {country(to)}"


def scope(event: EventOut) -> str:
    """Return the lanes of an event as part of a title; empty if it covers all."""
    if event.traffic is None and event.to is None:
        return ""
    return f" for {lanes(event.traffic, event.to)}"


def title_of(chain: RevisionChain, labels: Labels) -> str:
    """Return the title of a chain: crossing, status, lanes and start."""
    event = chain.newest
    name = name_of(labels.crossings[event.crossing])
    if event.confirmed_at is not None:
        date = instant_or_date(event.confirmed_at, zone_of_event(event))
        statement = f"confirmed by {sides_of_event(event)} on {date}{scope(event)}"
    else:
        assert event.status is not None
        statement = f"{event.status.value}{scope(event)} {period(event)}"
    if event.certainty is Certainty.UNCONFIRMED:
        statement = f"{statement} (unconfirmed)"
    return f"{'Withdrawn: ' if chain.retraction else ''}{name}: {statement}"


def sides_of_event(event: EventOut) -> str:
    return " and ".join(country(side) for side in event.sides)


def period(event: EventOut) -> str:
    """Return the start, and the end if one was declared."""
    assert event.effective is not None
    zone = zone_of_event(event)
    if event.precision is Precision.UNKNOWN:
        text = "from an unknown date"
    else:
        text = f"from {instant(event.effective.from_, zone, event.precision)}"
    if event.effective.until is not None:
        text += f" to {end(event.effective.until, zone, event.precision)}"
    return text


def lines_of(chain: RevisionChain) -> list[str]:
    """Return the content of a chain as lines of text, without the sources."""
    event = chain.newest
    zone = zone_of_event(event)
    lines = [f"According to {sides_of_event(event)}. Recorded by {event.recorded_by}."]
    if event.kind is EventKind.DECLARATION:
        lines += _declaration_lines(event)
    elif event.confirmed_at is not None:
        lines.append(
            "What was declared before still applied on"
            f" {instant_or_date(event.confirmed_at, zone)}."
        )
    lines.append(f"Applies to: {lanes(event.traffic, event.to)}.")
    if event.reason is not None:
        lines.append(f"Reason: {reason_text(event.reason)}")
    for exemption in event.exceptions:
        lines.append(f"Exception: {_with_text(exemption.code, exemption.text)}")
    if event.announced_at is not None:
        lines.append(f"Announced on {instant_or_date(event.announced_at, zone)}.")
    if chain.corrections:
        lines.append(
            f"{correction_count(chain.corrections)}, last on {instant(event.recorded_at, zone)}."
        )
    if chain.retraction is not None:
        lines.append(_retraction_line(chain.retraction, zone))
    return lines


def reason_text(reason: Reason) -> str:
    return _with_text(reason.code, reason.text)


def source_line(citation: CitationOut, source: SourceOut) -> str:
    """Return a source with its locator and basis."""
    parts = [source.title, source.publisher, source.published_at, citation.locator]
    return f"{', '.join(filter(None, parts))} ({citation.basis.value})"


def sources_html(citations: Iterable[CitationOut], labels: Labels) -> str:
    """Return the sources as an HTML list, with links where they have a URL."""
    items: list[str] = []
    for citation in citations:
        source = labels.sources[citation.source]
        line = escape(source_line(citation, source))
        items.append(f'<a href="{escape(source.url)}">{line}</a>' if source.url else line)
    return f"<p>Sources:</p><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _declaration_lines(event: EventOut) -> list[str]:
    assert event.status is not None
    assert event.certainty is not None
    assert event.effective is not None
    lines = [f"Status: {event.status.value} {period(event)} ({event.certainty.value})."]
    if event.precision not in {Precision.MINUTE, Precision.UNKNOWN}:
        lines.append(f"The start is known to the {event.precision}.")
    if event.expected_until is not None:
        expected = end(event.expected_until, zone_of_event(event), event.precision)
        lines.append(
            f"Expected to last until {expected}. That does not reopen the crossing by itself."
        )
    if event.effective.until is None:
        lines.append("It applies until further notice.")
    return lines


def _retraction_line(retraction: EventOut, zone: ZoneInfo) -> str:
    reason = "" if retraction.reason is None else reason_text(retraction.reason)
    return (
        f"Withdrawn on {instant(retraction.recorded_at, zone)} by {retraction.recorded_by}:"
        f" it should not have been recorded. {reason}"
    )


def correction_count(times: int) -> str:
    return "Corrected once" if times == 1 else f"Corrected {times} times"


def _with_text(code: ReasonCode | ExceptionCode, text: str | None) -> str:
    if text and code.value == "other":
        return text
    word = _ENGLISH.word(code)
    return f"{word}: {text}" if text else f"{word}."
