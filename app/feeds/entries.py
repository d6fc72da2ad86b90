"""What an Atom feed tells: chains of status events and of notices, and what came by time alone.

The newest comes first, by the place of the last step; all of it as known at one change.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from operator import attrgetter
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter
from sqlalchemy import Select, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.changes.models import Change
from app.changes.service import Snapshot
from app.feeds import words
from app.feeds.revisions import (
    EntityT,
    Labels,
    PlaceFilter,
    RevisionChain,
    Step,
    chains_of,
    cited,
    labels_of,
    last_steps,
    members_of,
)
from app.http.bodies import sides_of
from app.incidents.reading import get_incident
from app.notices.models import Incident, Notice, RecordRetraction
from app.notices.reading import NoticeFilter, conditions_of, notices_out, versions_of
from app.notices.schemas import NoticeOut
from app.places.details import details_of, details_of_one, get_border, retired_crossings
from app.places.models import Crossing
from app.places.zones import date_zone, zone_of
from app.sources.schemas import CitationOut
from app.status.consequences import AnswerChangeOut, AnswerOut, LaneChangeOut
from app.status.models import StatusEvent
from app.vocabulary import ChangeKind

_TITLE_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Link:
    """Where an entry leads, below the service's own address or anywhere."""

    rel: str
    href: str
    media_type: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry of a feed, its content as HTML."""

    id: UUID
    step: Step
    title: str
    published: datetime
    updated: datetime
    author: str
    html: str
    links: Sequence[Link]
    categories: Sequence[str] = field(default_factory=tuple)


_ANSWERS = TypeAdapter(list[AnswerChangeOut])


async def title_of(session: AsyncSession, of: NoticeFilter, known_change: int) -> str:
    """Return what a place or an incident is called.

    Raises CrossingNotFound, BorderNotFound or IncidentNotFound.
    """
    if of.crossing is not None:
        return words.name_of(await details_of_one(session, of.crossing, known_change=known_change))
    if of.border is not None:
        border = await get_border(session, of.border)
        return f"{' – '.join(map(words.country, border.sides))} border"
    if of.incident is not None:
        incident, _ = await get_incident(session, of.incident)
        return words.in_english(incident.title)
    return "All border crossings"


async def entries_of(
    session: AsyncSession,
    *,
    of: NoticeFilter,
    retired: bool = False,
    snapshot: Snapshot,
    after: Step | None,
    limit: int,
) -> list[FeedEntry]:
    """Return the entries of a place, of an incident or of everything, from the one after ``after``.

    Notices of a place are those that concern it, as everywhere. What came by time alone
    belongs to no incident. Events of retired crossings are left out, unless ``retired`` or the
    feed is that of the crossing or of an incident.
    """
    places = _places(of, retired=retired)
    entries = await _chain_entries(session, of, places, snapshot, after, limit)
    entries += await _notice_entries(session, of, snapshot, after, limit)
    entries = _newest(entries, limit)
    if of.incident is None:
        # What is older than a full page cannot be on it, and the log is long.
        floor = entries[-1].step[0] if len(entries) == limit else 0
        entries += await _effective_entries(
            session, of, places, snapshot, after, limit, floor=floor
        )
    return _newest(entries, limit)


def _newest(entries: list[FeedEntry], limit: int) -> list[FeedEntry]:
    return sorted(entries, key=attrgetter("step"), reverse=True)[:limit]


async def _chain_entries(
    session: AsyncSession,
    of: NoticeFilter,
    places: PlaceFilter,
    snapshot: Snapshot,
    after: Step | None,
    limit: int,
) -> list[FeedEntry]:
    rows = last_steps(places, snapshot.change)
    if of.incident is not None:
        rows = rows.where(
            StatusEvent.id.in_(_what_followed(StatusEvent, of.incident, "supersedes", "retracts"))
        )
    if after is not None:
        rows = rows.where(tuple_(StatusEvent.change, StatusEvent.id) < after)
    rows = rows.order_by(StatusEvent.change.desc(), StatusEvent.id.desc()).limit(limit)
    last = [row.id for row in await session.execute(rows)]
    chains = await chains_of(session, last, snapshot.change)
    crossings = [chain.newest.crossing for chain in chains]
    labels = await labels_of(session, crossings, cited(chains), snapshot.change)
    return [_chain_entry(chain, labels) for chain in chains]


def _what_followed(table: type[EntityT], incident: UUID, *links: str) -> Select[UUID]:
    """Return what joined an incident and what came after it by ``links``, named so or not."""
    later = aliased(table)
    joined = (
        select(table.id)
        .where(table.incident_id.in_(versions_of(Incident.id == incident)))
        .cte("joined", recursive=True)
    )
    joined = joined.union(
        select(later.id).where(or_(*(getattr(later, link) == joined.c.id for link in links)))
    )
    return select(joined.c.id)


def _chain_entry(chain: RevisionChain, labels: Labels) -> FeedEntry:
    event = chain.newest
    categories = [event.kind.value if event.status is None else event.status.value]
    if event.reason is not None:
        categories.append(event.reason.code.value)
    if chain.corrections:
        categories.append("corrected")
    if chain.retraction is not None:
        categories.append("withdrawn")
    return FeedEntry(
        id=chain.first,
        step=chain.step,
        title=words.title_of(chain, labels),
        published=_published(
            chain.begun, (row.announced_at or row.confirmed_at for row in chain.members)
        ),
        updated=chain.last.recorded_at,
        author=event.recorded_by,
        html=words.paragraphs(words.lines_of(chain)) + words.sources_html(event.citations, labels),
        links=[
            _to_object(f"/v1/events/{event.id}"),
            _to_page(event.crossing),
            *_to_sources(event.citations, labels),
        ],
        categories=categories,
    )


async def _notice_entries(
    session: AsyncSession, of: NoticeFilter, snapshot: Snapshot, after: Step | None, limit: int
) -> list[FeedEntry]:
    later = aliased(Notice)
    conditions = conditions_of(of, snapshot.change)
    if of.incident is not None:
        conditions = [Notice.id.in_(_what_followed(Notice, of.incident, "supersedes"))]
    change = func.coalesce(RecordRetraction.change, Notice.change)
    step_id = func.coalesce(RecordRetraction.id, Notice.id)
    rows = (
        select(Notice, change, step_id)
        .outerjoin(
            RecordRetraction,
            (RecordRetraction.notice_id == Notice.id)
            & (RecordRetraction.change <= snapshot.change),
        )
        .outerjoin(later, (later.supersedes == Notice.id) & (later.change <= snapshot.change))
        .where(later.id.is_(None), Notice.change <= snapshot.change, *conditions)
        .order_by(change.desc(), step_id.desc())
        .limit(limit)
    )
    if after is not None:
        rows = rows.where(tuple_(change, step_id) < after)
    steps = {row.id: (number, notice) for row, number, notice in await session.execute(rows)}
    members = await members_of(session, Notice, steps)
    newest = [members[notice][-1] for notice in steps]
    notices = await notices_out(session, newest, snapshot=snapshot)
    citations = [citation for notice in notices for citation in notice.citations]
    crossings = [crossing for notice in notices for crossing in notice.subjects.crossings]
    labels = await labels_of(session, crossings, citations, snapshot.change)
    return [
        _notice_entry(notice, members[notice.id], steps[notice.id], labels) for notice in notices
    ]


def _published(recorded_at: datetime, instants: Iterable[datetime | None]) -> datetime:
    """Return when something was first published: when it was said, by the last correction."""
    known = [at for at in instants if at is not None]
    return min(known[-1], recorded_at) if known else recorded_at


def _notice_entry(
    notice: NoticeOut, members: Sequence[Notice], step: Step, labels: Labels
) -> FeedEntry:
    withdrawn = notice.retraction
    issuer = notice.issuer.name or words.country(notice.issuer.country or "")
    text = words.in_english(notice.text)
    title = f"{words.spoken(notice.kind.value).capitalize()}, {issuer}: {text}"
    lines = [f"According to {issuer} ({notice.certainty.value}). Recorded by {notice.recorded_by}."]
    zone = _zone_of(notice, labels)
    if notice.effective.from_ is not None:
        lines.append(
            f"It applies from {words.instant(notice.effective.from_, zone, notice.precision)}."
        )
    if notice.effective.until is not None:
        lines.append(
            f"It applies until {words.end(notice.effective.until, zone, notice.precision)}."
        )
    if len(members) > 1:
        lines.append(f"{words.corrected(len(members) - 1)}.")
    if withdrawn is not None:
        when = words.instant(withdrawn.recorded_at, zone)
        lines.append(f"Withdrawn on {when}: {words.why(withdrawn.reason)}")
    texts = "".join(f'<p lang="{tag}">{escape(one)}</p>' for tag, one in notice.text.items())
    return FeedEntry(
        id=members[0].id,
        step=step,
        title=("Withdrawn: " if withdrawn else "") + _shortened(title),
        published=_published(members[0].recorded_at, (one.announced_at for one in members)),
        updated=notice.recorded_at if withdrawn is None else withdrawn.recorded_at,
        author=notice.recorded_by,
        html=texts + words.paragraphs(lines) + words.sources_html(notice.citations, labels),
        links=[
            _to_object(f"/v1/notices/{notice.id}"),
            *_to_sources(notice.citations, labels),
        ],
        categories=[notice.kind.value]
        + ["corrected"] * (len(members) > 1)
        + ["withdrawn"] * (withdrawn is not None),
    )


def _zone_of(notice: NoticeOut, labels: Labels) -> ZoneInfo:
    """Return the zone of a notice's instants: its issuer's, else that of its subjects."""
    subjects = notice.subjects
    crossings = [labels.crossings.get(name) for name in subjects.crossings]
    borders = [*subjects.borders, *(name.border for name in crossings if name)]
    codes = [*subjects.countries, *(code for name in borders for code in sides_of(name))]
    at = notice.effective.from_ or notice.announced_at or notice.recorded_at
    return date_zone(at, filter(None, [notice.issuer.country, *codes]))


async def _effective_entries(
    session: AsyncSession,
    of: NoticeFilter,
    places: PlaceFilter,
    snapshot: Snapshot,
    after: Step | None,
    limit: int,
    *,
    floor: int,
) -> list[FeedEntry]:
    left_out: set[str] = set()
    if not places.has_retired:
        left_out.update(await session.scalars(retired_crossings(snapshot.change)))
    rows = (
        select(Change)
        .where(
            Change.kind == ChangeKind.EFFECTIVE.value,
            Change.number <= snapshot.change,
            Change.number >= floor,
        )
        .order_by(Change.number.desc())
        .limit(limit)
    )
    for kind, change in (("crossings", of.crossing), ("borders", of.border)):
        if change is not None:
            rows = rows.where(Change.subjects.contains({kind: [change]}))
    if left_out:
        # A change without an entry would end the feed before its time.
        named = func.jsonb_array_elements_text(Change.subjects["crossings"]).column_valued("named")
        listed = places.listed(Crossing.id, snapshot.change)
        rows = rows.where(
            exists(select(Crossing.id).where(Crossing.id == named, *listed).correlate(Change))
        )
    if after is not None:
        rows = rows.where(Change.number <= after[0])
    changes = (await session.scalars(rows)).all()
    turns = [
        (change, answer)
        for change in changes
        for answer in _ANSWERS.validate_json(json.dumps(change.payload["answers"]))
    ]
    details = await details_of(
        session, sorted({answer.crossing for _, answer in turns}), known_change=snapshot.change
    )
    entries = [
        _effective_entry(change, answer, Labels(details, {}))
        for change, answer in turns
        if of.crossing in {None, answer.crossing}
        and of.border in {None, details[answer.crossing].border}
        and answer.crossing not in left_out
    ]
    return [change for change in entries if after is None or change.step < after]


def _effective_entry(change: Change, answer: AnswerChangeOut, labels: Labels) -> FeedEntry:
    where = words.name_of(labels.crossings[answer.crossing])
    entry_id = uuid5(NAMESPACE_URL, f"/v1/changes/{change.number}#{answer.crossing}")
    now = answer.after
    was = None if answer.before is None else _state(answer.before)
    before = " (only some lanes changed)" if was == _state(now) else f" (was {was})" if was else ""
    at = datetime.fromisoformat(str(change.payload["at"]))
    details = labels.crossings[answer.crossing]
    zone = zone_of(details.sides[0], details.point)
    when = words.instant(at, zone)
    lines = [
        f"From {when}. It changed with time: nothing new was recorded.",
        *map(_lane_line, answer.lanes),
    ]
    if now.expires_at is not None:
        lines.append(f"Unknown from {words.instant(now.expires_at, zone)} unless confirmed.")
    return FeedEntry(
        id=entry_id,
        step=(change.number, entry_id),
        title=f"{where}: {_state(now)} from {when}{before}",
        published=change.recorded_at,
        updated=change.recorded_at,
        author=change.recorded_by,
        html=words.paragraphs(lines),
        links=[
            _to_object(f"/v1/changes?after={change.number - 1}&limit=1"),
            _to_page(answer.crossing),
        ],
        categories=[now.status.value, "effective"],
    )


def _lane_line(lane: LaneChangeOut) -> str:
    before, after = (one.value if one else "none" for one in (lane.before, lane.after))
    return f"{after.capitalize()}: {words.lanes([lane.traffic], lane.to)} (was {before})"


def _state(answer: AnswerOut) -> str:
    text = answer.status.value
    if answer.last_known is not None:
        text += f", last known {answer.last_known.value}"
    return text + ", not confirmed recently" * answer.stale + ", overdue" * answer.overdue


def _places(of: NoticeFilter, *, retired: bool) -> PlaceFilter:
    return PlaceFilter(
        crossings=() if of.crossing is None else (of.crossing,),
        borders=() if of.border is None else (of.border,),
        retired=retired or of.incident is not None,
    )


def _to_object(path: str) -> Link:
    return Link("alternate", path, "application/json")


def _to_page(crossing: str) -> Link:
    return Link("alternate", f"/crossings/{crossing}", "text/html")


def _to_sources(citations: Sequence[CitationOut], labels: Labels) -> list[Link]:
    sources = [labels.sources[citation.source] for citation in citations]
    return [
        Link("via", citation.url, title=citation.title)
        for citation in sources
        if citation.url is not None
    ]


def _shortened(title: str) -> str:
    if len(title) <= _TITLE_LENGTH:
        return title
    return title[:_TITLE_LENGTH].rpartition(" ")[0] + " …"
