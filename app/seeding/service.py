"""Load the seeds: what is new is added, what changed is corrected, the rest is left alone."""

from collections import defaultdict
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.crossings.recording import add_crossing, revise_crossing
from app.errors import Problem
from app.incidents.recording import record_incident
from app.incidents.schemas import IncidentIn
from app.notices.models import Incident, Notice
from app.notices.recording import record_notice
from app.notices.schemas import NoticeIn
from app.places.details import retired_crossings
from app.places.models import CrossingVersion
from app.places.schemas import CrossingIn
from app.seeding.files import (
    SEEDS,
    Seed,
    SeedBody,
    SeedConfirmation,
    SeedDeclaration,
    SeedError,
    SeedIncident,
    SeedNotice,
    Seeds,
    SeedSource,
)
from app.seeding.models import SeedRecord
from app.sources.schemas import SourceIn
from app.sources.service import record_source
from app.sources.statements import Reason, RetractionIn
from app.status.models import StatusEvent
from app.status.recording import confirm_crossing, record_decision, retract_event
from app.status.schemas import ConfirmationIn, DecisionIn
from app.vocabulary import KeyScope, ReasonCode

SEEDER = Reporter(key_id=None, name="seed", scopes=frozenset(KeyScope))


async def load_seeds(
    session: AsyncSession, *, folder: Path = SEEDS, only: Collection[str] | None = None
) -> int:
    """Write every seed that is new or changed and return how many. Raises SeedError.

    With ``only``, of these sets alone, and of what they refer to. Of retired crossings nothing
    is written: what a seed says of others is written without them.
    """
    retired = await _retired(session)
    loaded: defaultdict[str, list[SeedRecord]] = defaultdict(list)
    for row in await session.scalars(select(SeedRecord).order_by(SeedRecord.change)):
        loaded[row.id].append(row)
    written = 0
    for seed in Seeds(folder, only=only).checked():
        before = loaded[seed.name]
        if before and before[-1].digest == seed.digest:
            continue
        skipped = await _skipped(session, seed, before, retired)
        body = _without(seed.body, skipped)
        if body is None:
            continue
        narrowed = replace(seed, body=body)
        try:
            done = await (
                _mend(session, narrowed, before, retired.now) if before else _add(session, narrowed)
            )
        except Problem as problem:
            raise SeedError(f"{seed.name}: {problem.detail}") from problem
        session.add(SeedRecord(id=seed.name, change=done.change, digest=seed.digest))
        written += 1
    return written


@dataclass(frozen=True, slots=True)
class _Retired:
    """The crossings that are retired, and those that ever were."""

    now: AbstractSet[str]
    ever: AbstractSet[str]


async def _retired(session: AsyncSession) -> _Retired:
    version = CrossingVersion
    ever = select(version.crossing_id).where(version.retired_at.is_not(None)).distinct()
    return _Retired(
        set(await session.scalars(retired_crossings())), set(await session.scalars(ever))
    )


async def _skipped(
    session: AsyncSession, seed: Seed, before: list[SeedRecord], retired: _Retired
) -> AbstractSet[str]:
    """Return the crossings of which a seed is not to be written."""
    if not before or not retired.ever:
        return retired.now
    change = before[-1].change
    match seed.body:
        case SeedNotice():
            # It may go on naming what it named before.
            named = await session.scalar(select(Notice.crossings).where(Notice.change == change))
            return retired.now - set(named or ())
        case SeedDeclaration():
            # A crossing that was retired when it was loaded has no event to correct.
            events = select(StatusEvent.crossing_id).where(StatusEvent.change == change)
            return retired.now | (retired.ever - set(await session.scalars(events)))
        case _:
            return retired.now


def _without(body: SeedBody, skipped: AbstractSet[str]) -> SeedBody | None:
    """Return what a seed says of other crossings than these; None if that is nothing."""
    match body:
        case SeedConfirmation():
            return None if body.crossing in skipped else body
        case SeedDeclaration():
            left = [one for one in body.crossings if one not in skipped]
            return body.model_copy(update={"crossings": left}) if left else None
        case SeedNotice():
            subjects = body.subjects
            left = [one for one in subjects.crossings if one not in skipped]
            if not (left or subjects.borders or subjects.countries):
                return None
            narrowed = subjects.model_copy(update={"crossings": left})
            return body.model_copy(update={"subjects": narrowed})
        case _:
            return body


async def _add(session: AsyncSession, seed: Seed, *, name: str | None = None) -> WriteResult:
    name = name or seed.name
    match seed.body:
        case SeedSource() as body:
            source = SourceIn.model_validate(body.model_dump(exclude={"id"}))
            return await record_source(session, SEEDER, source=source, seed=name)
        case SeedDeclaration() as body:
            return await record_decision(session, SEEDER, decision=_decision(body), seed=name)
        case SeedConfirmation() as body:
            confirmation = ConfirmationIn.model_validate(
                body.model_dump(exclude={"id", "kind", "crossing"})
            )
            return await confirm_crossing(
                session,
                SEEDER,
                crossing_id=body.crossing,
                confirmation=confirmation,
                seed=name,
            )
        case CrossingIn() as body:
            return await add_crossing(session, SEEDER, crossing=body)
        case SeedIncident() as body:
            incident = IncidentIn.model_validate(body.model_dump(exclude={"id"}))
            return await record_incident(session, SEEDER, incident=incident, seed=name)
        case SeedNotice() as body:
            return await record_notice(session, SEEDER, notice=_notice(body), seed=name)


async def _mend(
    session: AsyncSession, seed: Seed, before: list[SeedRecord], retired: AbstractSet[str]
) -> WriteResult:
    """Correct what an older text of the seed became, but for events of retired crossings."""
    name, change = f"{seed.name}#{len(before)}", before[-1].change
    rows = await session.scalars(
        select(StatusEvent).where(
            StatusEvent.change == change, StatusEvent.crossing_id.not_in(list(retired))
        )
    )
    match seed.body:
        case SeedSource():
            raise SeedError(f"{seed.name} changed. Sources cannot change; give it a new id.")
        case SeedDeclaration() as body:
            decision = _decision(body).model_copy(update={"supersedes": [row.id for row in rows]})
            return await record_decision(session, SEEDER, decision=decision, seed=name)
        case SeedConfirmation():
            retraction = RetractionIn(
                reason=Reason(code=ReasonCode.OTHER, text="The seed was corrected.")
            )
            for row in rows:
                await retract_event(session, SEEDER, event_id=row.id, retraction=retraction)
            return await _add(session, seed, name=name)
        case CrossingIn() as body:
            return await revise_crossing(session, SEEDER, crossing=body)
        case SeedIncident() as body:
            older = await session.scalar(select(Incident.id).where(Incident.change == change))
            told = body.model_dump(exclude={"id"}) | {"supersedes": older}
            incident = IncidentIn.model_validate(told)
            return await record_incident(session, SEEDER, incident=incident, seed=name)
        case SeedNotice() as body:
            older = await session.scalar(select(Notice.id).where(Notice.change == change))
            notice = _notice(body).model_copy(update={"supersedes": older})
            return await record_notice(session, SEEDER, notice=notice, seed=name)


def _decision(body: SeedDeclaration) -> DecisionIn:
    return DecisionIn.model_validate(body.model_dump(exclude={"id", "kind"}, by_alias=True))


def _notice(body: SeedNotice) -> NoticeIn:
    return NoticeIn.model_validate(body.model_dump(exclude={"id"}, by_alias=True))
