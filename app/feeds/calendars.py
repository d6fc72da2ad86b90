"""Write closures and restrictions as a calendar (RFC 5545, RFC 7986), in a reader's language.

A closure without a declared end has no `DTEND`, because any end would be invented. Calendars then
show it at its start, and its summary says that it applies until further notice.
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vDuration
from sqlalchemy.ext.asyncio import AsyncSession

from app.feeds.revisions import Labels, PlaceFilter, RevisionChain
from app.feeds.words import writable
from app.languages.words import N_, Words
from app.places.details import details_of
from app.places.zones import is_midnight
from app.sources.schemas import SourceOut
from app.sources.statements import PeriodOut
from app.status.schemas import EventOut
from app.vocabulary import Certainty, DeclaredStatus, ExceptionCode, Precision, ReasonCode

CALENDAR = "text/calendar"
_REFRESH = timedelta(minutes=15)
_MAX_NAMES = 3
"""How many places the name of a calendar lists; the rest is counted."""
_END = b"END:VCALENDAR\r\n"
_SHOWN_STATUSES = {DeclaredStatus.CLOSED.value, DeclaredStatus.RESTRICTED.value}


async def write(
    pages: AsyncIterator[tuple[list[RevisionChain], Labels]],
    *,
    name: str,
    origin: str,
    words: Words,
) -> AsyncIterator[bytes]:
    """Yield the calendar in UTF-8, in pieces."""
    yield _calendar(name, words).removesuffix(_END)
    async for chains, labels in pages:
        # In a thread, because it takes long and would block the event loop.
        yield await to_thread(_events, chains, labels, origin, words)
    yield _END


async def name_of(
    session: AsyncSession, places: PlaceFilter, known_change: int, words: Words
) -> str:
    """Return the name of a calendar: the crossings, borders and countries it is limited to."""
    details = await details_of(session, places.crossings, known_change=known_change)
    parts = [
        _abbreviate(
            words.crossing(details[crossing_id].names) if crossing_id in details else crossing_id
            for crossing_id in places.crossings
        ),
        _abbreviate(map(words.border, places.borders)),
        _abbreviate(map(words.country, places.countries)),
    ]
    title = " · ".join(filter(None, parts)) or words.translate(N_("All crossings"))
    return words.translate(N_("Closures: %(places)s"), places=title)


def _abbreviate(names: Iterable[str]) -> str:
    """Return the first names, and the number of the rest."""
    unique = list(dict.fromkeys(names))
    more = f" (+{len(unique) - _MAX_NAMES})" if len(unique) > _MAX_NAMES else ""
    return ", ".join(unique[:_MAX_NAMES]) + more


def _events(chains: Sequence[RevisionChain], labels: Labels, origin: str, words: Words) -> bytes:
    return b"".join(
        _event(chain, labels, origin, words)
        for chain in chains
        if any(member.status in _SHOWN_STATUSES for member in chain.members)
    )


def _calendar(name: str, words: Words) -> bytes:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//Crossing Status//Closures//" + words.language.code.upper())
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar.add("name", writable(name), parameters=_language(words))
    calendar.add("x-wr-calname", writable(name))
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(_REFRESH))
    return bytes(calendar.to_ical())


def _language(words: Words) -> dict[str, str]:
    return {"LANGUAGE": words.language.code}


def _event(chain: RevisionChain, labels: Labels, origin: str, words: Words) -> bytes:
    declaration = chain.newest
    details = labels.crossings[declaration.crossing]
    page = f"{origin}/crossings/{declaration.crossing}"
    event = Event()
    event.add("uid", str(chain.first))
    event.add("sequence", chain.corrections + (chain.retraction is not None))
    event.add("status", _status(chain))
    _add_period(event, chain)
    event.add("created", chain.first_recorded_at)
    event.add("last-modified", chain.last.recorded_at)
    event.add("dtstamp", chain.last.recorded_at)
    name = words.crossing(details.names)
    summary = _summary(chain, name, words)
    description = _description(chain, labels.sources, page, words)
    event.add("summary", writable(summary), parameters=_language(words))
    event.add("description", writable(description), parameters=_language(words))
    event.add("location", writable(name))
    if details.point is not None:
        event.add("geo", (details.point.lat, details.point.lon))
    categories = [declaration.status.value] if declaration.status else []
    categories += [declaration.reason.code.value] if declaration.reason else []
    event.add("categories", categories)
    event.add("url", page)
    event.add("transp", "TRANSPARENT")
    return bytes(event.to_ical())


def _status(chain: RevisionChain) -> str:
    """Return the status of the calendar event. One that was corrected to `open` is cancelled."""
    if chain.retraction is not None or chain.newest.status is DeclaredStatus.OPEN:
        return "CANCELLED"
    return "TENTATIVE" if chain.newest.certainty is Certainty.UNCONFIRMED else "CONFIRMED"


def _add_period(event: Event, chain: RevisionChain) -> None:
    declaration = chain.newest
    effective = declaration.effective
    assert effective is not None
    if declaration.precision not in {Precision.MINUTE, Precision.HOUR}:
        _add_days(event, effective, ZoneInfo(declaration.time_zone))
        return
    event.add("dtstart", effective.from_)
    # iCalendar has whole seconds, and an end must lie after the start.
    if effective.until is not None and _second(effective.until) > _second(effective.from_):
        event.add("dtend", effective.until)


def _add_days(event: Event, effective: PeriodOut, zone: ZoneInfo) -> None:
    """Add the period as local dates: `DTEND` is the day after the last."""
    start = effective.from_.astimezone(zone).date()
    event.add("dtstart", start)
    if effective.until is not None:
        until = effective.until.astimezone(zone)
        end = until.date() + timedelta(days=not is_midnight(until, zone))
        event.add("dtend", max(end, start + timedelta(days=1)))


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _summary(chain: RevisionChain, name: str, words: Words) -> str:
    """Return the crossing, the status and the lanes; calendars show the time themselves."""
    event = chain.newest
    assert event.status is not None
    assert event.effective is not None
    lanes = [words.words(event.traffic)] if event.traffic else []
    lanes += [words.direction(event.to)] if event.to else []
    text = f"{name}: {words.word(event.status)}" + (f" ({', '.join(lanes)})" if lanes else "")
    if event.certainty is Certainty.UNCONFIRMED:
        text += f", {words.word(event.certainty)}"
    if event.effective.until is None:
        text += f", {words.translate('until further notice')}"
    if chain.retraction is not None:
        return words.translate(N_("Withdrawn: %(event)s"), event=text)
    return text


def _description(
    chain: RevisionChain, sources: Mapping[UUID, SourceOut], page: str, words: Words
) -> str:
    event = chain.newest
    assert event.certainty is not None
    lines = [
        *_period(event, words),
        f"{words.translate('For whom')}: {_scope(event, words)}",
        f"{words.translate('Decided by')}: {words.listed(map(words.country, event.sides))}",
        f"{words.translate('Certainty')}: {words.word(event.certainty)}",
    ]
    if event.reason is not None:
        reason = _with_text(event.reason.code, event.reason.text, words)
        lines.append(f"{words.translate('Reason:')} {reason}")
    if event.exceptions:
        lines.append(words.translate("Who may still cross:"))
        lines += [
            f"– {_with_text(exception.code, exception.text, words)}"
            for exception in event.exceptions
        ]
    for citation in event.citations:
        source = sources[citation.source]
        details = (source.title, source.publisher, source.published_at, citation.locator)
        text = ", ".join(filter(None, details))
        basis = words.word(citation.basis)
        lines.append(f"{words.translate('Source')}: {text} ({basis}) {source.url or ''}".rstrip())
    if chain.retraction is not None:
        lines.append(words.translate("It was withdrawn."))
    lines.append(words.translate(N_("Check whether it still applies: %(address)s"), address=page))
    return "\n".join(lines)


def _period(event: EventOut, words: Words) -> list[str]:
    """Return the lines about start and end, in the time zone of the event."""
    assert event.effective is not None
    zones = [ZoneInfo(event.time_zone)]
    precision = event.precision or Precision.MINUTE
    start = words.instant(event.effective.from_, zones, precision).striptags()
    lines = [f"{words.translate('From:')} {start}"]
    if event.effective.until is not None:
        end = words.end(event.effective.until, zones, precision).striptags()
        lines.append(f"{words.translate('until:')} {end}")
    if event.expected_until is not None:
        expected = words.end(event.expected_until, zones, precision).striptags()
        remark = words.translate("an expected end does not reopen it by itself")
        lines.append(f"{words.translate('expected end:')} {expected} ({remark})")
    if event.announced_at is not None:
        announced = words.instant(event.announced_at, zones, Precision.DAY).striptags()
        lines.append(f"{words.translate('Announced:')} {announced}")
    return lines


def _scope(event: EventOut, words: Words) -> str:
    traffic = words.words(event.traffic) if event.traffic else words.translate("all traffic")
    return f"{traffic}, {words.direction(event.to) if event.to else words.translate('both ways')}"


def _with_text(code: ReasonCode | ExceptionCode, text: str | None, words: Words) -> str:
    if not text:
        return words.word(code)
    stored = words.marked(text)
    return stored if code.value == "other" else f"{words.word(code)}: {stored}"
