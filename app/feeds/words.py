"""Facts in plain English: the same words in every feed. Names stay as their sources have them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

from babel import Locale

from app.feeds.revisions import Labels, RevisionChain
from app.places.details import Details
from app.sources.schemas import CitationOut, SourceOut
from app.sources.statements import Reason
from app.status.schemas import EventOut
from app.vocabulary import Certainty, EventKind, Precision, Traffic

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


def instant(at: datetime) -> str:
    """Return an instant to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


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
    return what if to is None else f"{what} into {country(to)}"


def scope(event: EventOut) -> str:
    """Return the lanes as part of a title: nothing if it is all of them."""
    if event.traffic is None and event.to is None:
        return ""
    return f" for {lanes(event.traffic, event.to)}"


def title_of(chain: RevisionChain, glossary: Labels) -> str:
    """Return a chain in a line: where, what, for whom, from when."""
    event = chain.newest
    where = name_of(glossary.crossings[event.crossing])
    if event.confirmed_at is not None:
        said = f"confirmed on {instant(event.confirmed_at)}{scope(event)}, says {says(event)}"
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
    told = f"from {instant(event.effective.from_)}"
    if event.effective.until is not None:
        told += f" until {instant(event.effective.until)}"
    return told


def lines_of(chain: RevisionChain) -> list[str]:
    """Return everything that is said, but for the sources, in lines of text."""
    event = chain.newest
    told = [f"Says {says(event)}, recorded by {event.recorded_by}."]
    if event.kind is EventKind.DECLARATION:
        told += _declared(event)
    elif event.confirmed_at is not None:
        told.append(f"An earlier statement still applied on {instant(event.confirmed_at)}.")
    told.append(f"Lanes: {lanes(event.traffic, event.to)}.")
    if event.reason is not None:
        told.append(f"Reason: {why(event.reason)}")
    for exemption in event.exceptions:
        told.append(f"Except: {_with_text(exemption.code.value, exemption.text)}")
    if event.announced_at is not None:
        told.append(f"Announced {instant(event.announced_at)}.")
    if chain.corrections:
        told.append(f"Corrected {chain.corrections} times, last {instant(event.recorded_at)}.")
    if chain.retraction is not None:
        told.append(_withdrawn(chain.retraction))
    return told


def why(reason: Reason) -> str:
    return _with_text(reason.code.value, reason.text)


def source_line(citation: CitationOut, source: SourceOut) -> str:
    """Return a source, where in it, and on what basis."""
    told = [source.title, source.publisher, source.published_at, citation.locator]
    return f"{', '.join(one for one in told if one)} ({citation.basis.value})"


def sources_html(citations: Iterable[CitationOut], glossary: Labels) -> str:
    """Return the sources as a list, linked where they have an address."""
    items: list[str] = []
    for one in citations:
        source = glossary.sources[one.source]
        line = escape(source_line(one, source))
        items.append(f'<a href="{escape(source.url)}">{line}</a>' if source.url else line)
    return f"<p>Sources:</p><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _declared(event: EventOut) -> list[str]:
    assert event.status is not None
    assert event.certainty is not None
    assert event.effective is not None
    told = [f"Status: {event.status.value} {period(event)} ({event.certainty.value})."]
    if event.precision is Precision.UNKNOWN:
        told.append("It is not known how exact the start is.")
    elif event.precision is not Precision.MINUTE:
        told.append(f"The start is known to the {event.precision}.")
    if event.expected_until is not None:
        told.append(
            f"Expected to end {instant(event.expected_until)};"
            " that does not by itself reopen anything."
        )
    if event.effective.until is None:
        told.append("No end was declared: until further notice.")
    return told


def _withdrawn(retraction: EventOut) -> str:
    reason = "" if retraction.reason is None else why(retraction.reason)
    return (
        f"Withdrawn {instant(retraction.recorded_at)} by {retraction.recorded_by}:"
        f" it should not have been recorded. {reason}"
    )


def _with_text(code: str, text: str | None) -> str:
    return f"{spoken(code)}: {text}" if text else f"{spoken(code)}."
