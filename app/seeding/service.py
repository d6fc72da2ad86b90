"""Load the seeds: add new ones, correct changed ones, leave the others alone."""

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

    With ``only``, these are the seeds of these sets and those that they refer to. Nothing is
    written about retired crossings; a seed that names others, too, is written for those.
    """
    retired = await _retired(session)
    loaded: defaultdict[str, list[SeedRecord]] = defaultdict(list)
    for row in await session.scalars(select(SeedRecord).order_by(SeedRecord.change)):
        loaded[row.id].append(row)
    written = 0
    for seed in Seeds(folder, only=only).load():
        previous = loaded[seed.name]
        if previous and previous[-1].digest == seed.digest:
            continue
        skipped = await _crossings_to_skip(session, seed, previous, retired)
        body = _without(seed.body, skipped)
        if body is None:
            continue
        reduced = replace(seed, body=body)
        try:
            result = await (
                _correct(session, reduced, previous, retired.now)
                if previous
                else _add(session, reduced)
            )
        except Problem as problem:
            raise SeedError(f"{seed.name}: {problem.detail}") from problem
        session.add(SeedRecord(id=seed.name, change=result.change, digest=seed.digest))
        written += 1
    return written


@dataclass(frozen=True, slots=True)
class _Retired:
    """The crossings that are retired at present, and those that ever were."""

    now: AbstractSet[str]
    ever: AbstractSet[str]


async def _retired(session: AsyncSession) -> _Retired:
    version = CrossingVersion
    ever = select(version.crossing_id).where(version.retired_at.is_not(None)).distinct()
    return _Retired(
        set(await session.scalars(retired_crossings())), set(await session.scalars(ever))
    )


async def _crossings_to_skip(
    session: AsyncSession, seed: Seed, previous: list[SeedRecord], retired: _Retired
) -> AbstractSet[str]:
    """Return the crossings about which a seed must not write anything."""
    if not previous or not retired.ever:
        return retired.now
    change = previous[-1].change
    match seed.body:
        case SeedNotice():
            # A correction may name retired crossings that the notice named before.
            crossings = await session.scalar(
                select(Notice.crossings).where(Notice.change == change)
            )
            return retired.now - set(crossings or ())
        case SeedDeclaration():
            # A crossing that was retired when it was loaded has no event to correct.
            events = select(StatusEvent.crossing_id).where(StatusEvent.change == change)
            return retired.now | (retired.ever - set(await session.scalars(events)))
        case _:
            return retired.now


def _without(body: SeedBody, skipped: AbstractSet[str]) -> SeedBody | None:
    """Return the body without some crossings; None if nothing is left."""
    match body:
        case SeedConfirmation():
            return None if body.crossing in skipped else body
        case SeedDeclaration():
            remaining = [crossing for crossing in body.crossings if crossing not in skipped]
            return body.model_copy(update={"crossings": remaining}) if remaining else None
        case SeedNotice():
            subjects = body.subjects
            remaining = [crossing for crossing in subjects.crossings if crossing not in skipped]
            if not (remaining or subjects.borders or subjects.countries):
                return None
            reduced = subjects.model_copy(update={"crossings": remaining})
            return body.model_copy(update={"subjects": reduced})
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


async def _correct(
    session: AsyncSession, seed: Seed, before: list[SeedRecord], retired: AbstractSet[str]
) -> WriteResult:
    """Correct what was loaded from an earlier version of a seed, except at retired crossings."""
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
            previous = await session.scalar(select(Incident.id).where(Incident.change == change))
            fields = body.model_dump(exclude={"id"}) | {"supersedes": previous}
            incident = IncidentIn.model_validate(fields)
            return await record_incident(session, SEEDER, incident=incident, seed=name)
        case SeedNotice() as body:
            previous = await session.scalar(select(Notice.id).where(Notice.change == change))
            notice = _notice(body).model_copy(update={"supersedes": previous})
            return await record_notice(session, SEEDER, notice=notice, seed=name)


def _decision(body: SeedDeclaration) -> DecisionIn:
    return DecisionIn.model_validate(body.model_dump(exclude={"id", "kind"}, by_alias=True))


def _notice(body: SeedNotice) -> NoticeIn:
    return NoticeIn.model_validate(body.model_dump(exclude={"id"}, by_alias=True))
