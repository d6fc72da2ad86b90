"""HTTP of the pages that tell what was said, and by whom."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Annotated, Literal, Protocol, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Response

from app.changes.read_sessions import HistorySession
from app.database.sessions import Session
from app.http.bodies import sides_of
from app.http.paging import (
    LongPageQuery,
    PageQuery,
    change_and_id,
    encode_cursor,
    instant_change_and_id,
    number,
)
from app.incidents.reading import list_incidents
from app.incidents.schemas import StoryItem
from app.notices.schemas import NoticeOut
from app.pages.rendering import CurrentReader, PageReader, page
from app.pages.stories import reading
from app.places.zones import date_zone, zone_of
from app.sources.service import list_sources
from app.status.schemas import EventOut
from app.vocabulary import Precision

router = APIRouter()

_DATES = {Precision.DAY, Precision.MONTH}
"""Precisions of instants that are told as a date alone."""


class Recorded(Protocol):
    """What stands in a list by the change that recorded it."""

    @property
    def change(self) -> int: ...
    @property
    def id(self) -> UUID: ...


Listed = TypeVar("Listed", bound=Recorded)


class StoryLabels:
    """Names crossings and chooses clocks for what a story tells."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    def crossing(self, crossing_id: str) -> str:
        """Name a crossing; by its id before the board knows it."""
        entry = self._reader.board.entry(crossing_id)
        if entry is None:
            return crossing_id
        details = entry.present.record
        return self._reader.words.crossing_of(details.names, details.mode)

    def zones(self, fact: EventOut | NoticeOut) -> list[ZoneInfo]:
        """Return the zones in which a fact's instants are told: its author's, else its places'."""
        if isinstance(fact, EventOut):
            if fact.precision in _DATES:
                return [ZoneInfo(fact.time_zone)]
            return [zone_of(side) for side in fact.sides]
        start = fact.effective.from_
        if fact.precision in _DATES and start is not None:
            return [date_zone(start, self._countries(fact))]
        if fact.issuer.country is not None:
            return [zone_of(fact.issuer.country)]
        return [zone_of(code) for code in self._countries(fact)] or [zone_of("")]

    def _countries(self, notice: NoticeOut) -> list[str]:
        """Return the countries of a notice, its issuer's first."""
        subjects = notice.subjects
        crossings = [self._reader.board.entry(one) for one in subjects.crossings]
        borders = [one.present.details.border for one in crossings if one]
        codes = [
            *subjects.countries,
            *(code for border in (*subjects.borders, *borders) for code in sides_of(border)),
        ]
        return list(dict.fromkeys(filter(None, [notice.issuer.country, *codes])))

    def month(self, item: StoryItem) -> date:
        """Return the first day of the month, by the clocks there, in which an item stands."""
        fact: EventOut | NoticeOut | None = item.notice
        if fact is None:
            assert item.decision  # it is one or the other
            fact = item.decision[0]
        return item.at.astimezone(self.zones(fact)[0]).date().replace(day=1)

    def said(self, notice: NoticeOut) -> datetime:
        """Return when a notice's issuer said it, as far as is known."""
        return notice.announced_at or notice.recorded_at


@router.get("/incidents")
async def incidents(reader: CurrentReader, session: Session, pagination: PageQuery) -> Response:
    """List the stories, the newest first."""
    after = pagination.start(change_and_id)
    found, _ = await list_incidents(session, after=after, limit=pagination.limit + 1)
    items, following = _page_of(reader, found, pagination.limit)
    return page(reader, "incidents.html", items=items, following=following)


@router.get("/incidents/{incident_id}")
async def incident(
    reader: CurrentReader,
    session: HistorySession,
    pagination: LongPageQuery,
    incident_id: Annotated[UUID, Path()],
    only: Annotated[Literal["decisions"] | None, Query()] = None,
) -> Response:
    """Tell a story in the order of time, each sentence with its source and basis."""
    story = await reading.read_story(
        session,
        incident_id,
        after=pagination.start(instant_change_and_id),
        limit=pagination.limit,
        only_decisions=only is not None,
    )
    following = reader.here(cursor=encode_cursor(*_name(story.items))) if story.more else None
    teller = StoryLabels(reader)
    return page(
        reader,
        "incident.html",
        story=story,
        months=[(month, list(items)) for month, items in groupby(story.items, teller.month)],
        only=only,
        following=following,
        teller=teller,
    )


@router.get("/sources")
async def sources(reader: CurrentReader, session: Session, pagination: PageQuery) -> Response:
    """List where facts come from, the newest first."""
    after = pagination.start(change_and_id)
    found = await list_sources(session, after=after, limit=pagination.limit + 1)
    items, following = _page_of(reader, found, pagination.limit)
    return page(reader, "sources.html", items=items, following=following)


@router.get("/sources/{source_id}")
async def source(
    reader: CurrentReader,
    session: HistorySession,
    pagination: LongPageQuery,
    source_id: Annotated[UUID, Path()],
) -> Response:
    """Say what a source is, and show all that was drawn from it."""
    cited = await reading.read_source(
        session, source_id, after=pagination.start(number), limit=pagination.limit
    )
    following = None
    if cited.more:
        following = reader.here(cursor=encode_cursor(str(cited.facts[-1][0])))
    return page(reader, "source.html", cited=cited, following=following, teller=StoryLabels(reader))


def _page_of(
    reader: PageReader, found: Sequence[Listed], limit: int
) -> tuple[Sequence[Listed], str | None]:
    """Return a page of what was found, and the address of the next one if there is more."""
    items = found[:limit]
    if len(found) == len(items):
        return items, None
    return items, reader.here(cursor=encode_cursor(str(items[-1].change), str(items[-1].id)))


def _name(items: Sequence[StoryItem]) -> tuple[str, str, str]:
    last = items[-1]
    first = last.decision[0].decision if last.decision else None
    return last.at.isoformat(), str(last.change), str(first or (last.notice and last.notice.id))
