"""Read borders and countries: counts by status, notices in force, gaps in coverage."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from babel import Locale
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.service import Snapshot, take_snapshot
from app.crossings.answers import (
    NOTICES_SHOWN,
    BorderLinks,
    BorderOut,
    BorderSummary,
    CountryOut,
    CrossingSummary,
    Gap,
    NewestEvidence,
)
from app.crossings.summaries import crossing_summary
from app.errors import CountryNotFound
from app.http.caching import ALWAYS_VALID, Validity
from app.http.parameters import AsOf, Kind, require_existing
from app.notices.reading import NoticeFilter, last_noticed, notices_in_force
from app.observations.reading import latest_waits, waits_of
from app.observations.waits import NO_WAITS
from app.places.details import crossing_details, get_border
from app.places.models import Border, Country, Crossing, CrossingVersion
from app.status.histories import CrossingHistory, load_histories
from app.status.reading import validity_of
from app.status.rule.travellers import ANYONE, Traveller
from app.status.summaries import Summary, waits_out
from app.vocabulary import GapCode, Status, Traffic

COUNTRY_NAME_LANGUAGES = ("en", "lt", "lv", "pl", "be", "ru", "uk", "de", "et")
"""The languages of country names: those spoken at the borders and in their region."""


async def get_border_status(
    session: AsyncSession,
    *,
    border_id: str,
    at: datetime | None,
    as_of: AsOf,
    traffic: Traffic | None = None,
    to: str | None = None,
    traveller: Traveller = ANYONE,
    retired: bool = False,
) -> tuple[BorderOut, Snapshot]:
    """Return a border at present or at ``at``, as known. Raises BorderNotFound.

    Crossings that were retired by then are left out, unless ``retired``. With ``traffic`` or
    ``to`` the answer is about those lanes, without the crossings that have none of them.
    """
    border = await get_border(session, border_id)
    snapshot = await take_snapshot(session, as_of)
    instant = at or snapshot.now
    by_border = await _summaries(session, [border], snapshot, at, traffic, to, traveller)
    summaries = [
        summary for summary in by_border[border.id] if retired or not summary.details.is_retired(at)
    ]
    details = await crossing_details(session, [summary.details for summary in summaries])
    ids = [summary.id for summary in summaries]
    waits = await waits_of(session, ids, at=at, as_of=as_of, snapshot=snapshot)
    crossings = [
        crossing_summary(
            summary, details[summary.id], waits_out(summary, waits.get(summary.id, NO_WAITS))
        )
        for summary in summaries
    ]
    notices = await notices_in_force(
        session,
        about=NoticeFilter(border=border.id),
        at=instant,
        snapshot=snapshot,
        limit=NOTICES_SHOWN,
    )
    body = BorderOut(
        **dict(border_summary(border.id, border.sides, summaries)),
        at=at,
        known_at=as_of.known_at,
        crossings=crossings,
        notices=notices,
        not_covered=gaps(border.sides, summaries, crossings),
    )
    return body, snapshot


async def list_borders(
    session: AsyncSession,
    *,
    at: datetime | None,
    as_of: AsOf,
    country: str | None,
    retired: bool = False,
    after: str | None,
    limit: int,
) -> tuple[list[BorderSummary], Snapshot, Validity]:
    """Return borders after ``after`` with their counts by status, in the order of their ids.

    At present or at ``at``; crossings that were retired by then do not count, unless
    ``retired``. The validity is that of all but the last of ``limit`` borders. Raises Invalid
    for a country that does not exist here.
    """
    await require_existing(session, {"country": (Kind.COUNTRY, [country])})
    snapshot = await take_snapshot(session, as_of)
    recorded_borders = select(Crossing.border_id).join(
        CrossingVersion, CrossingVersion.crossing_id == Crossing.id
    )
    rows = (
        select(Border)
        .where(Border.id.in_(recorded_borders.where(CrossingVersion.change <= snapshot.change)))
        .order_by(Border.id)
        .limit(limit)
    )
    if country is not None:
        rows = rows.where(or_(Border.first == country, Border.second == country))
    if after is not None:
        rows = rows.where(Border.id > after)
    borders = (await session.scalars(rows)).all()
    summaries = await _summaries(session, borders, snapshot, at)
    bodies = [
        border_summary(
            border.id,
            border.sides,
            [
                summary
                for summary in summaries[border.id]
                if retired or not summary.details.is_retired(at)
            ],
        )
        for border in borders
    ]
    counted = [summary for border in borders[: limit - 1] for summary in summaries[border.id]]
    validity = ALWAYS_VALID
    if at is None:
        waits = await latest_waits(session, [summary.id for summary in counted])
        validity = await validity_of(session, counted, waits)
    return bodies, snapshot, validity


async def list_countries(
    session: AsyncSession, *, after: str | None, limit: int
) -> list[CountryOut]:
    """Return the countries after ``after``, in the order of their codes."""
    codes = select(Country.code).order_by(Country.code).limit(limit)
    if after is not None:
        codes = codes.where(Country.code > after)
    return await _countries(session, (await session.scalars(codes)).all())


async def get_country(session: AsyncSession, code: str) -> CountryOut:
    """Return a country. Raises CountryNotFound."""
    if await session.get(Country, code) is None:
        raise CountryNotFound(f"There is no information about {code}.")
    return (await _countries(session, [code]))[0]


async def _countries(session: AsyncSession, codes: Sequence[str]) -> list[CountryOut]:
    rows = select(Border).where(or_(Border.first.in_(codes), Border.second.in_(codes)))
    borders = (await session.scalars(rows.order_by(Border.id))).all()
    return [
        CountryOut(
            code=code,
            names={
                language: name
                for language in COUNTRY_NAME_LANGUAGES
                if (name := Locale(language).territories.get(code))
            },
            borders=[border.id for border in borders if code in border.sides],
        )
        for code in codes
    ]


async def _summaries(
    session: AsyncSession,
    borders: Sequence[Border],
    snapshot: Snapshot,
    at: datetime | None,
    traffic: Traffic | None = None,
    to: str | None = None,
    traveller: Traveller = ANYONE,
) -> dict[str, list[Summary]]:
    """Return the summaries of each border's crossings, without those added later."""
    by_border: dict[str, list[Summary]] = {border.id: [] for border in borders}
    names = select(Crossing.id).where(Crossing.border_id.in_(by_border)).order_by(Crossing.id)
    ids = (await session.scalars(names)).all()
    noticed = await last_noticed(session, ids, snapshot.change)

    def summarize(history: CrossingHistory) -> Summary:
        lanes = history.details.lanes_for(traffic, to)
        notice_change = noticed.get(history.details.id)
        summary = Summary.of(
            history, at or snapshot.now, lanes, noticed=notice_change, traveller=traveller
        )
        if at is None:
            _ = summary.last_change_at
        return summary.settled()

    for summary in (await load_histories(session, ids, snapshot, summarize, at=at)).values():
        if summary.details.known and summary.answer.lanes:
            by_border[summary.details.border].append(summary)
    return by_border


def border_summary(
    border_id: str, sides: Sequence[str], summaries: Sequence[Summary]
) -> BorderSummary:
    """Return the body of a border in a list."""
    modes = sorted({summary.mode for summary in summaries})
    return BorderSummary(
        id=border_id,
        countries=list(sides),
        counts=_counts(summaries),
        counts_by_mode={
            mode: _counts(summary for summary in summaries if summary.mode is mode)
            for mode in modes
        },
        newest_evidence=_newest_evidence(summaries),
        links=BorderLinks.of(border_id),
    )


def _counts(summaries: Iterable[Summary]) -> dict[Status, int]:
    counts = Counter(summary.answer.status for summary in summaries)
    return {status: counts[status] for status in Status}


def _newest_evidence(summaries: Sequence[Summary]) -> NewestEvidence | None:
    confirmations = [
        (lane.last_confirmed_at, summary.id)
        for summary in summaries
        for lane in summary.answer.lanes
        if lane.last_confirmed_at is not None
    ]
    if not confirmations:
        return None
    at, crossing = max(confirmations)
    return NewestEvidence(at=at, crossing=crossing)


def gaps(
    sides: Sequence[str], summaries: Sequence[Summary], crossings: Sequence[CrossingSummary]
) -> list[Gap]:
    """Return what one might expect to find about a border but does not."""
    side_gaps = [
        _gap(
            GapCode.SIDE_SILENT,
            f"What {side}'s side says of these crossings is not known.",
            (summary for summary in summaries if _is_silent(summary, side)),
            side=side,
        )
        for side in sides
    ]
    specific = [
        *side_gaps,
        _gap(
            GapCode.NOTHING_HOLDS,
            "There is no record that applies to some lanes of these crossings at this instant.",
            (
                summary
                for summary in summaries
                if any(
                    not lane.decided_by and not lane.outside_hours for lane in summary.answer.lanes
                )
            ),
        ),
        _gap(
            GapCode.EVIDENCE_OLD,
            "The last statement about some lanes of these crossings has not been confirmed"
            " recently.",
            (
                summary
                for summary in summaries
                if any(lane.last_known is not None or lane.stale for lane in summary.answer.lanes)
            ),
        ),
        Gap(
            code=GapCode.LOCATION_UNKNOWN,
            text="The location of these crossings is unknown.",
            side=None,
            crossings=[crossing.id for crossing in crossings if crossing.location is None],
        ),
        Gap(
            code=GapCode.WAITING_TIMES,
            text="No recent waiting times are known.",
            side=None,
            crossings=[crossing.id for crossing in crossings if not crossing.waits],
        ),
        Gap(
            code=GapCode.OPENING_HOURS,
            text="The opening hours of at least one side are unknown.",
            side=None,
            crossings=[
                crossing.id
                for crossing in crossings
                if any(map(crossing.lanes_without_hours, sides))
            ],
        ),
    ]
    return [gap for gap in specific if gap.crossings] + [
        _gap(
            GapCode.OTHER_CROSSINGS,
            "There may be crossings on this border besides those listed here.",
            (),
        ),
    ]


def _is_silent(summary: Summary, side: str) -> bool:
    """Return whether a side has declared nothing that applies, not even an expired status."""
    answer = summary.answer
    declarations = (*answer.decided_by, *answer.also_said)
    is_unknown = dict(answer.sides)[side] is Status.UNKNOWN
    return is_unknown and not any(side in event.sides for event in declarations)


def _gap(code: GapCode, text: str, summaries: Iterable[Summary], *, side: str | None = None) -> Gap:
    ids = [summary.id for summary in summaries]
    return Gap(code=code, text=text, side=side, crossings=ids)
