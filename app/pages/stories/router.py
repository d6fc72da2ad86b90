"""HTTP of the pages of incidents and of sources."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Annotated, Literal, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Path, Query, Response

from app.changes.read_sessions import AnyReadSessions, HistorySession
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
from app.http.parameters import AsOf, KnownChange
from app.http.routing import hidden_router
from app.incidents.reading import list_incidents, story_cursor
from app.incidents.schemas import IncidentOut, StoryItem
from app.notices.schemas import NoticeOut
from app.pages.rendering import CurrentReader, PageReader, page
from app.pages.stories import reading
from app.places.zones import date_zone, zone_of
from app.sources.schemas import SourceOut
from app.sources.service import list_sources
from app.status.schemas import EventOut
from app.vocabulary import Precision

router = hidden_router()

_DATES = {Precision.DAY, Precision.MONTH}
"""Precisions of instants that are shown as dates."""


ListedT = TypeVar("ListedT", IncidentOut, SourceOut)


class StoryLabels:
    """Names of crossings, and time zones of facts, for the templates of stories."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    def crossing(self, crossing_id: str) -> str:
        """Return the name of a crossing, or its id if the board does not have it."""
        entry = self._reader.board.entry(crossing_id)
        if entry is None:
            return crossing_id
        details = entry.present.record
        return self._reader.words.crossing_of(details.names, details.mode)

    def zones(self, fact: EventOut | NoticeOut) -> list[ZoneInfo]:
        """Return the time zones for a fact's instants: its author's, else its subjects'."""
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
        entries = [self._reader.board.entry(crossing_id) for crossing_id in subjects.crossings]
        borders = [entry.present.details.border for entry in entries if entry]
        codes = [
            *subjects.countries,
            *(code for border in (*subjects.borders, *borders) for code in sides_of(border)),
        ]
        return list(dict.fromkeys(filter(None, [notice.issuer.country, *codes])))

    def month(self, item: StoryItem) -> date:
        """Return the first day of an item's month, in the time zone of its fact."""
        fact: EventOut | NoticeOut | None = item.notice
        if fact is None:
            assert item.decision  # it is one or the other
            fact = item.decision[0]
        return item.at.astimezone(self.zones(fact)[0]).date().replace(day=1)

    def said_at(self, notice: NoticeOut) -> datetime:
        """Return when a notice was announced, or recorded if that is not known."""
        return notice.announced_at or notice.recorded_at


@router.get("/incidents")
async def incidents(reader: CurrentReader, session: Session, pagination: PageQuery) -> Response:
    """List the incidents, the newest first."""
    after = pagination.start(change_and_id)
    rows, _ = await list_incidents(session, after=after, limit=pagination.limit + 1)
    items, following = _page_of(reader, rows, pagination.limit)
    return page(reader, "incidents.html", items=items, following=following)


@router.get("/incidents/{incident_id}")
async def incident(
    reader: CurrentReader,
    read_sessions: AnyReadSessions,
    pagination: LongPageQuery,
    incident_id: Annotated[UUID, Path()],
    only: Annotated[Literal["decisions"] | None, Query()] = None,
    known_change: KnownChange = None,
) -> Response:
    """Show the decisions and notices of an incident in the order of time, with their sources."""
    as_of = AsOf(known_change=known_change)
    async with read_sessions.history(as_of) as session:
        story = await reading.read_story(
            session,
            incident_id,
            as_of=as_of,
            after=pagination.start(instant_change_and_id),
            limit=pagination.limit,
            only_decisions=only is not None,
        )
    following = (
        reader.current_path(cursor=encode_cursor(*story_cursor(story.items[-1])))
        if story.more
        else None
    )
    labels = StoryLabels(reader)
    return page(
        reader,
        "incident.html",
        story=story,
        months=[(month, list(items)) for month, items in groupby(story.items, labels.month)],
        only=only,
        following=following,
        labels=labels,
        is_present=as_of.is_newest,
        at=None,
        knowledge=as_of,
    )


@router.get("/sources")
async def sources(reader: CurrentReader, session: Session, pagination: PageQuery) -> Response:
    """List the sources, the newest first."""
    after = pagination.start(change_and_id)
    rows = await list_sources(session, after=after, limit=pagination.limit + 1)
    items, following = _page_of(reader, rows, pagination.limit)
    return page(reader, "sources.html", items=items, following=following)


@router.get("/sources/{source_id}")
async def source(
    reader: CurrentReader,
    session: HistorySession,
    pagination: LongPageQuery,
    source_id: Annotated[UUID, Path()],
) -> Response:
    """Show a source with all facts that cite it."""
    story = await reading.read_source(
        session, source_id, after=pagination.start(number), limit=pagination.limit
    )
    following = None
    if story.more:
        following = reader.current_path(cursor=encode_cursor(str(story.facts[-1][0])))
    return page(reader, "source.html", story=story, following=following, labels=StoryLabels(reader))


def _page_of(
    reader: PageReader, rows: Sequence[ListedT], limit: int
) -> tuple[Sequence[ListedT], str | None]:
    """Return at most ``limit`` rows, and the address of the next page if there are more."""
    items = rows[:limit]
    if len(rows) == len(items):
        return items, None
    return items, reader.current_path(
        cursor=encode_cursor(str(items[-1].change), str(items[-1].id))
    )
