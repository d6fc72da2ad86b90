"""Write closures and restrictions as a calendar (RFC 5545, RFC 7986), in a reader's language.

A closure without a declared end gets no `DTEND`: any would be invented. RFC 5545 then shows
it at its start, and the summary says that it holds until further notice.
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vDuration
from sqlalchemy.ext.asyncio import AsyncSession

from app.feeds import words
from app.feeds.revisions import Labels, PlaceFilter, RevisionChain
from app.languages.words import N_, Words
from app.places.details import details_of
from app.places.zones import is_midnight
from app.sources.schemas import SourceOut
from app.sources.statements import PeriodOut
from app.status.schemas import EventOut
from app.vocabulary import Certainty, DeclaredStatus, ExceptionCode, Precision, ReasonCode

CALENDAR = "text/calendar"
_REFRESH = timedelta(minutes=15)
_NAMED = 3
"""Places that the name of a calendar lists; of more it says how many."""
_END = b"END:VCALENDAR\r\n"
_HINDERING = {DeclaredStatus.CLOSED.value, DeclaredStatus.RESTRICTED.value}


async def write(
    pages: AsyncIterator[tuple[list[RevisionChain], Labels]], *, name: str, here: str, said: Words
) -> AsyncIterator[bytes]:
    """Yield the calendar in UTF-8, in pieces; ``here`` is the service's address."""
    yield _calendar(name, said).removesuffix(_END)
    async for chains, labels in pages:
        # In a thread, for it takes long, and others wait for what this process does.
        yield await to_thread(_events, chains, labels, here, said)
    yield _END


async def name_of(
    session: AsyncSession, places: PlaceFilter, known_change: int, said: Words
) -> str:
    """Return what a calendar of some places is called: by all that it was narrowed to."""
    details = await details_of(session, places.crossings, known_change=known_change)
    narrowed = [
        _listed(
            said.crossing(details[one].names) if one in details else one for one in places.crossings
        ),
        _listed(map(said.border, places.borders)),
        _listed(map(said.country, places.countries)),
    ]
    told = " · ".join(filter(None, narrowed)) or said.say(N_("All crossings"))
    return said.say(N_("Closures: %(places)s"), places=told)


def _listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    first = list(dict.fromkeys(names))
    more = f" (+{len(first) - _NAMED})" if len(first) > _NAMED else ""
    return ", ".join(first[:_NAMED]) + more


def _events(chains: Sequence[RevisionChain], labels: Labels, here: str, said: Words) -> bytes:
    return b"".join(
        _event(one, labels, here, said)
        for one in chains
        if any(member.status in _HINDERING for member in one.members)
    )


def _calendar(name: str, said: Words) -> bytes:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//Crossing Status//Closures//" + said.language.code.upper())
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    for property_name in ("name", "x-wr-calname"):
        calendar.add(property_name, words.writable(name))
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(_REFRESH))
    return bytes(calendar.to_ical())


def _event(chain: RevisionChain, labels: Labels, here: str, said: Words) -> bytes:
    told = chain.newest
    details = labels.crossings[told.crossing]
    page = f"{here}/crossings/{told.crossing}"
    event = Event()
    event.add("uid", str(chain.first))
    event.add("sequence", chain.corrections + (chain.retraction is not None))
    event.add("status", _status(chain))
    _add_period(event, chain)
    event.add("created", chain.begun)
    event.add("last-modified", chain.last.recorded_at)
    event.add("dtstamp", chain.last.recorded_at)
    name = said.crossing(details.names)
    event.add("summary", words.writable(_summary(chain, name, said)))
    event.add("description", words.writable(_description(chain, labels.sources, page, said)))
    event.add("location", words.writable(name))
    if details.point is not None:
        event.add("geo", (details.point.lat, details.point.lon))
    categories = [told.status.value] if told.status else []
    categories += [told.reason.code.value] if told.reason else []
    event.add("categories", categories)
    event.add("url", page)
    event.add("transp", "TRANSPARENT")
    return bytes(event.to_ical())


def _status(chain: RevisionChain) -> str:
    """Return whether it takes place; what was corrected to be no closure does not."""
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
    # The format counts whole seconds, and an end must lie after the start.
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


def _summary(chain: RevisionChain, name: str, said: Words) -> str:
    """Return where, what and for whom; not when, which the calendar shows."""
    event = chain.newest
    assert event.status is not None
    assert event.effective is not None
    lanes = [said.words(event.traffic)] if event.traffic else []
    lanes += [said.direction(event.to)] if event.to else []
    text = f"{name}: {said.word(event.status)}" + (f" ({', '.join(lanes)})" if lanes else "")
    if event.certainty is Certainty.UNCONFIRMED:
        text += f", {said.word(event.certainty)}"
    if event.effective.until is None:
        text += f", {said.say('until further notice')}"
    if chain.retraction is not None:
        return said.say(N_("Withdrawn: %(event)s"), event=text)
    return text


def _description(
    chain: RevisionChain, sources: Mapping[UUID, SourceOut], page: str, said: Words
) -> str:
    event = chain.newest
    assert event.certainty is not None
    lines = [
        *_period(event, said),
        f"{said.say('For whom')}: {_scope(event, said)}",
        f"{said.say('Decided by')}: {said.listed(map(said.country, event.sides))}",
        f"{said.say('Certainty')}: {said.word(event.certainty)}",
    ]
    if event.reason is not None:
        lines.append(
            f"{said.say('Reason:')} {_with_text(event.reason.code, event.reason.text, said)}"
        )
    if event.exceptions:
        lines.append(said.say("Who may still cross:"))
        lines += [f"– {_with_text(one.code, one.text, said)}" for one in event.exceptions]
    for citation in event.citations:
        source = sources[citation.source]
        told = (source.title, source.publisher, source.published_at, citation.locator)
        cited = ", ".join(filter(None, told))
        basis = said.word(citation.basis)
        lines.append(f"{said.say('Source')}: {cited} ({basis}) {source.url or ''}".rstrip())
    if chain.retraction is not None:
        lines.append(said.say("It was withdrawn."))
    lines.append(said.say(N_("Check whether it still applies: %(address)s"), address=page))
    return "\n".join(lines)


def _period(event: EventOut, said: Words) -> list[str]:
    """Return from when until when, by the clock of the side that declares it."""
    assert event.effective is not None
    zones = [ZoneInfo(event.time_zone)]
    precision = event.precision or Precision.MINUTE
    start = said.instant(event.effective.from_, zones, precision).striptags()
    lines = [f"{said.say('From:')} {start}"]
    if event.effective.until is not None:
        end = said.end(event.effective.until, zones, precision).striptags()
        lines.append(f"{said.say('until:')} {end}")
    if event.expected_until is not None:
        expected = said.end(event.expected_until, zones, precision).striptags()
        unsure = said.say("an expected end does not reopen it by itself")
        lines.append(f"{said.say('expected end:')} {expected} ({unsure})")
    if event.announced_at is not None:
        announced = said.instant(event.announced_at, zones, Precision.DAY).striptags()
        lines.append(f"{said.say('Announced:')} {announced}")
    return lines


def _scope(event: EventOut, said: Words) -> str:
    traffic = said.words(event.traffic) if event.traffic else said.say("all traffic")
    return f"{traffic}, {said.direction(event.to) if event.to else said.say('both ways')}"


def _with_text(code: ReasonCode | ExceptionCode, text: str | None, said: Words) -> str:
    if text and code.value == "other":
        return text
    return f"{said.word(code)}: {text}" if text else said.word(code)
