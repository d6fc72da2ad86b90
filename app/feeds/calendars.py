"""Write closures and restrictions as a calendar (RFC 5545, RFC 7986), event by event.

A closure without a declared end gets no `DTEND`: any would be invented. RFC 5545 then shows
it at its start, and the summary says that it holds until further notice.
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from icalendar import Calendar, Event, vDuration

from app.feeds import words
from app.feeds.revisions import Labels, RevisionChain
from app.sources.schemas import SourceOut
from app.vocabulary import Certainty, DeclaredStatus

CALENDAR = "text/calendar"
_REFRESH = timedelta(minutes=15)
_END = b"END:VCALENDAR\r\n"
_HINDERING = {DeclaredStatus.CLOSED.value, DeclaredStatus.RESTRICTED.value}


async def write(
    pages: AsyncIterator[tuple[list[RevisionChain], Labels]], *, name: str, here: str
) -> AsyncIterator[bytes]:
    """Yield the calendar in UTF-8, in pieces; ``here`` is the service's address."""
    yield _calendar(name).removesuffix(_END)
    async for chains, glossary in pages:
        # In a thread, for it takes long, and others wait for what this process does.
        yield await to_thread(_events, chains, glossary, here)
    yield _END


def _events(chains: Sequence[RevisionChain], glossary: Labels, here: str) -> bytes:
    return b"".join(
        _event(one, glossary, here)
        for one in chains
        if any(member.status in _HINDERING for member in one.members)
    )


def _calendar(name: str) -> bytes:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//Crossing Status//Closures//EN")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    for property_name in ("name", "x-wr-calname"):
        calendar.add(property_name, words.writable(name))
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(_REFRESH))
    return bytes(calendar.to_ical())


def _event(chain: RevisionChain, glossary: Labels, here: str) -> bytes:
    told = chain.newest
    details = glossary.crossings[told.crossing]
    page = f"{here}/crossings/{told.crossing}"
    event = Event()
    event.add("uid", str(chain.first))
    event.add("sequence", chain.corrections + (chain.retraction is not None))
    event.add("status", _status(chain))
    _add_period(event, chain)
    event.add("created", chain.begun)
    event.add("last-modified", chain.last.recorded_at)
    event.add("dtstamp", chain.last.recorded_at)
    event.add("summary", words.writable(_summary(chain, glossary)))
    event.add("description", words.writable(_description(chain, glossary.sources, page)))
    event.add("location", words.writable(words.name_of(details)))
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
    effective = chain.newest.effective
    assert effective is not None
    event.add("dtstart", effective.from_)
    # The format counts whole seconds, and an end must lie after the start.
    if effective.until is not None and _second(effective.until) > _second(effective.from_):
        event.add("dtend", effective.until)


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _summary(chain: RevisionChain, glossary: Labels) -> str:
    effective = chain.newest.effective
    assert effective is not None
    endless = "" if effective.until else " until further notice"
    return words.title_of(chain, glossary) + endless


def _description(chain: RevisionChain, sources: Mapping[UUID, SourceOut], page: str) -> str:
    lines = words.lines_of(chain)
    for citation in chain.newest.citations:
        source = sources[citation.source]
        lines.append(f"Source: {words.source_line(citation, source)} {source.url or ''}".rstrip())
    lines.append(f"Check whether it still applies: {page}")
    return "\n".join(lines)
