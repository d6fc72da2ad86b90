"""The entries of Atom feeds: chains of status events, chains of notices, effective changes.

The newest comes first, by its last step in the log. All entries are as known at one change.
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
    citations_in,
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
    """A link of an entry. A path as its ``href`` is below the origin of the service."""

    rel: str
    href: str
    media_type: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """An entry of a feed, with its content as HTML."""

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


async def title_of(session: AsyncSession, subject: NoticeFilter, known_change: int) -> str:
    """Return the title of a place or an incident.

    Raises CrossingNotFound, BorderNotFound or IncidentNotFound.
    """
    if subject.crossing is not None:
        return words.name_of(
            await details_of_one(session, subject.crossing, known_change=known_change)
        )
    if subject.border is not None:
        border = await get_border(session, subject.border)
        return f"{' – '.join(map(words.country, border.sides))} border"
    if subject.incident is not None:
        incident, _ = await get_incident(session, subject.incident)
        return words.in_english(incident.title)
    return "All border crossings"


async def entries_of(
    session: AsyncSession,
    *,
    subject: NoticeFilter,
    retired: bool = False,
    snapshot: Snapshot,
    after: Step | None,
    limit: int,
) -> list[FeedEntry]:
    """Return the entries after ``after`` about a place, an incident or everything.

    Effective changes belong to no incident. Events of retired crossings are left out, unless
    ``retired`` or the subject is the crossing itself or an incident.
    """
    places = _places_of(subject, retired=retired)
    entries = await _chain_entries(session, subject, places, snapshot, after, limit)
    entries += await _notice_entries(session, subject, snapshot, after, limit)
    entries = _newest(entries, limit)
    if subject.incident is None:
        # Read no changes that are too old for this page, because the log is long.
        floor = entries[-1].step[0] if len(entries) == limit else 0
        entries += await _effective_entries(
            session, subject, places, snapshot, after, limit, floor=floor
        )
    return _newest(entries, limit)


def _newest(entries: list[FeedEntry], limit: int) -> list[FeedEntry]:
    return sorted(entries, key=attrgetter("step"), reverse=True)[:limit]


async def _chain_entries(
    session: AsyncSession,
    subject: NoticeFilter,
    places: PlaceFilter,
    snapshot: Snapshot,
    after: Step | None,
    limit: int,
) -> list[FeedEntry]:
    rows = last_steps(places, snapshot.change)
    if subject.incident is not None:
        rows = rows.where(
            StatusEvent.id.in_(
                _revisions_of_incident(StatusEvent, subject.incident, "supersedes", "retracts")
            )
        )
    if after is not None:
        rows = rows.where(tuple_(StatusEvent.change, StatusEvent.id) < after)
    rows = rows.order_by(StatusEvent.change.desc(), StatusEvent.id.desc()).limit(limit)
    last_step_ids = [row.id for row in await session.execute(rows)]
    chains = await chains_of(session, last_step_ids, snapshot.change)
    crossings = [chain.newest.crossing for chain in chains]
    labels = await labels_of(session, crossings, citations_in(chains), snapshot.change)
    return [_chain_entry(chain, labels) for chain in chains]


def _revisions_of_incident(table: type[EntityT], incident: UUID, *columns: str) -> Select[UUID]:
    """Return the ids of the rows of an incident and of all later rows that refer to them.

    ``columns`` are those that refer to an earlier row, such as ``supersedes``.
    """
    next_revision = aliased(table)
    revisions = (
        select(table.id)
        .where(table.incident_id.in_(versions_of(Incident.id == incident)))
        .cte("joined", recursive=True)
    )
    revisions = revisions.union(
        select(next_revision.id).where(
            or_(*(getattr(next_revision, column) == revisions.c.id for column in columns))
        )
    )
    return select(revisions.c.id)


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
            chain.first_recorded_at, (row.announced_at or row.confirmed_at for row in chain.members)
        ),
        updated=chain.last.recorded_at,
        author=event.recorded_by,
        html=words.paragraphs(words.lines_of(chain)) + words.sources_html(event.citations, labels),
        links=[
            _json_link(f"/v1/events/{event.id}"),
            _page_link(event.crossing),
            *_source_links(event.citations, labels),
        ],
        categories=categories,
    )


async def _notice_entries(
    session: AsyncSession, subject: NoticeFilter, snapshot: Snapshot, after: Step | None, limit: int
) -> list[FeedEntry]:
    later = aliased(Notice)
    conditions = conditions_of(subject, snapshot.change)
    if subject.incident is not None:
        conditions = [Notice.id.in_(_revisions_of_incident(Notice, subject.incident, "supersedes"))]
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
    """Return when something was published: as the last correction says, but not after recording."""
    known_instants = [at for at in instants if at is not None]
    return min(known_instants[-1], recorded_at) if known_instants else recorded_at


def _notice_entry(
    notice: NoticeOut, members: Sequence[Notice], step: Step, labels: Labels
) -> FeedEntry:
    retraction = notice.retraction
    issuer = notice.issuer.name or words.country(notice.issuer.country or "")
    text = words.in_english(notice.text)
    title = f"{words.in_words(notice.kind.value).capitalize()}, {issuer}: {text}"
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
        lines.append(f"{words.correction_count(len(members) - 1)}.")
    if retraction is not None:
        when = words.instant(retraction.recorded_at, zone)
        lines.append(f"Withdrawn on {when}: {words.reason_text(retraction.reason)}")
    texts = "".join(
        f'<p lang="{tag}">{escape(translation)}</p>' for tag, translation in notice.text.items()
    )
    return FeedEntry(
        id=members[0].id,
        step=step,
        title=("Withdrawn: " if retraction else "") + _shortened(title),
        published=_published(members[0].recorded_at, (member.announced_at for member in members)),
        updated=notice.recorded_at if retraction is None else retraction.recorded_at,
        author=notice.recorded_by,
        html=texts + words.paragraphs(lines) + words.sources_html(notice.citations, labels),
        links=[
            _json_link(f"/v1/notices/{notice.id}"),
            *_source_links(notice.citations, labels),
        ],
        categories=[notice.kind.value]
        + ["corrected"] * (len(members) > 1)
        + ["withdrawn"] * (retraction is not None),
    )


def _zone_of(notice: NoticeOut, labels: Labels) -> ZoneInfo:
    """Return the time zone for a notice's instants: its issuer's, else that of its subjects."""
    subjects = notice.subjects
    crossings = [labels.crossings.get(name) for name in subjects.crossings]
    borders = [*subjects.borders, *(name.border for name in crossings if name)]
    codes = [*subjects.countries, *(code for name in borders for code in sides_of(name))]
    at = notice.effective.from_ or notice.announced_at or notice.recorded_at
    return date_zone(at, filter(None, [notice.issuer.country, *codes]))


async def _effective_entries(
    session: AsyncSession,
    subject: NoticeFilter,
    places: PlaceFilter,
    snapshot: Snapshot,
    after: Step | None,
    limit: int,
    *,
    floor: int,
) -> list[FeedEntry]:
    retired_ids: set[str] = set()
    if not places.has_retired:
        retired_ids.update(await session.scalars(retired_crossings(snapshot.change)))
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
    for kind, change in (("crossings", subject.crossing), ("borders", subject.border)):
        if change is not None:
            rows = rows.where(Change.subjects.contains({kind: [change]}))
    if retired_ids:
        # A change without entries would count against the limit and end the feed too early.
        crossing_ids = func.jsonb_array_elements_text(Change.subjects["crossings"]).column_valued(
            "named"
        )
        listed_conditions = places.listed_conditions(Crossing.id, snapshot.change)
        rows = rows.where(
            exists(
                select(Crossing.id)
                .where(Crossing.id == crossing_ids, *listed_conditions)
                .correlate(Change)
            )
        )
    if after is not None:
        rows = rows.where(Change.number <= after[0])
    changes = (await session.scalars(rows)).all()
    answers = [
        (change, answer)
        for change in changes
        for answer in _ANSWERS.validate_json(json.dumps(change.payload["answers"]))
    ]
    details = await details_of(
        session, sorted({answer.crossing for _, answer in answers}), known_change=snapshot.change
    )
    entries = [
        _effective_entry(change, answer, Labels(details, {}))
        for change, answer in answers
        if subject.crossing in {None, answer.crossing}
        and subject.border in {None, details[answer.crossing].border}
        and answer.crossing not in retired_ids
    ]
    return [entry for entry in entries if after is None or entry.step < after]


def _effective_entry(change: Change, answer: AnswerChangeOut, labels: Labels) -> FeedEntry:
    name = words.name_of(labels.crossings[answer.crossing])
    entry_id = uuid5(NAMESPACE_URL, f"/v1/changes/{change.number}#{answer.crossing}")
    now = answer.after
    previous = None if answer.before is None else _state(answer.before)
    before = (
        " (only some lanes changed)"
        if previous == _state(now)
        else f" (was {previous})"
        if previous
        else ""
    )
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
        title=f"{name}: {_state(now)} from {when}{before}",
        published=change.recorded_at,
        updated=change.recorded_at,
        author=change.recorded_by,
        html=words.paragraphs(lines),
        links=[
            _json_link(f"/v1/changes?after={change.number - 1}&limit=1"),
            _page_link(answer.crossing),
        ],
        categories=[now.status.value, "effective"],
    )


def _lane_line(lane: LaneChangeOut) -> str:
    before, after = (status.value if status else "none" for status in (lane.before, lane.after))
    return f"{after.capitalize()}: {words.lanes([lane.traffic], lane.to)} (was {before})"


def _state(answer: AnswerOut) -> str:
    text = answer.status.value
    if answer.last_known is not None:
        text += f", last known {answer.last_known.value}"
    return text + ", not confirmed recently" * answer.stale + ", overdue" * answer.overdue


def _places_of(subject: NoticeFilter, *, retired: bool) -> PlaceFilter:
    return PlaceFilter(
        crossings=() if subject.crossing is None else (subject.crossing,),
        borders=() if subject.border is None else (subject.border,),
        retired=retired or subject.incident is not None,
    )


def _json_link(path: str) -> Link:
    return Link("alternate", path, "application/json")


def _page_link(crossing: str) -> Link:
    return Link("alternate", f"/crossings/{crossing}", "text/html")


def _source_links(citations: Sequence[CitationOut], labels: Labels) -> list[Link]:
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
