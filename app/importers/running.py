"""Import a feed once: fetch it, parse it, and record it as one batch of one source."""

import asyncio
import hashlib
import logging
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.service import Reporter
from app.database.sessions import Transact
from app.errors import Invalid, Problem
from app.importers.fetching import MAX_BYTES, Fetcher, FetchFailed, Payload, Validators
from app.importers.findings import (
    BrokenPayload,
    Finding,
    Reading,
    Refusal,
    UnknownPlace,
)
from app.importers.importer import Importer
from app.importers.quarantine import Quarantine
from app.importers.state import ReadPayload, known_payload, note_attempt, note_payload
from app.importers.statuses import PolicyOutcome, apply_policy
from app.observations.recording import ObservationLimits, record_observations
from app.observations.schemas import AT_MOST, ObservationIn, ObservationsOut
from app.vocabulary import KeyScope

PAUSE_SECONDS = 2.0
"""The approximate pause between two addresses of a feed."""

_ROW = re.compile(r"observations\.(\d+)(?:\.(.*))?")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """The outcome of one payload, or of the attempt to fetch it."""

    address: str
    sha256: str | None = None
    is_unchanged: bool = False
    recorded: int = 0
    duplicates: int = 0
    refused: Sequence[Refusal] = ()
    unknown_places: Sequence[UnknownPlace] = ()
    error: str | None = None
    """Why nothing could be read."""
    kept: Path | None = None
    """The file of the report, if the payload was kept."""
    retry_after: timedelta | None = None
    source_id: UUID | None = None
    """The source of what was recorded."""
    policy: PolicyOutcome = field(default_factory=PolicyOutcome)

    @property
    def has_failed(self) -> bool:
        return self.error is not None


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The outcome of recording the readings of a payload."""

    recorded: int = 0
    duplicates: int = 0
    source_id: UUID | None = None
    refused: list[Refusal] = field(default_factory=list)
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """Imports one feed."""

    importer: Importer
    transact: Transact
    quarantine: Quarantine
    limits: ObservationLimits

    async def run(
        self,
        fetcher: Fetcher,
        addresses: Sequence[str] | None = None,
        *,
        observed_at: datetime | None = None,
    ) -> list[ImportOutcome]:
        """Fetch every address and import each changed payload by `take`."""
        outcomes: list[ImportOutcome] = []
        for address in self.importer.addresses if addresses is None else addresses:
            if outcomes:
                await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)  # noqa: S311 -- no secret
            outcomes.append(await self._run(fetcher, address, observed_at))
            if outcomes[-1].retry_after is not None:
                break  # the server asked for a delay
        return outcomes

    async def take(
        self, payload: Payload, *, address: str, observed_at: datetime | None = None
    ) -> ImportOutcome:
        """Import a payload. ``observed_at`` is the instant of values that have none themselves.

        Without it, a payload that is the last one of its address is not read again, unless
        nothing of it could be recorded.
        """
        if len(payload.body) > MAX_BYTES:
            return self._broken(payload, address, f"The payload has more than {MAX_BYTES} bytes.")
        sha256 = hashlib.sha256(payload.body).hexdigest()
        state = await self.transact(
            partial(known_payload, feed=self.importer.name, address=address)
        )
        is_known = state is not None and state.sha256 == sha256 and state.rows > 0
        if is_known and observed_at is None:
            return ImportOutcome(address, sha256, is_unchanged=True)
        try:
            findings = await asyncio.to_thread(self._findings, payload.body)
        except BrokenPayload as error:
            return self._broken(payload, address, f"The payload {error}.")
        except Exception as error:  # noqa: BLE001  # a payload is no fault of the other feeds
            # The message of an exception may quote the payload.
            detail = None if self.importer.has_personal_data else error
            _log.exception("%s failed on a payload", self.importer.name, exc_info=detail)
            return self._broken(payload, address, f"The importer failed: {type(error).__name__}.")
        outcome = await self.transact(
            partial(
                self._record,
                payload=payload,
                address=address,
                sha256=sha256,
                findings=findings,
                observed_at=observed_at or payload.fetched_at,
            )
        )
        return await self._say(outcome)

    async def _say(self, outcome: ImportOutcome) -> ImportOutcome:
        """Say of statuses what the policy allows, now that the observations are recorded."""
        if outcome.source_id is None:
            return outcome
        apply = partial(apply_policy, importer=self.importer, source=outcome.source_id)
        try:
            return replace(outcome, policy=await self.transact(apply))
        except Problem as problem:
            if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            _log.warning("%s could not say of statuses: %s", self.importer.name, problem.detail)
            return outcome

    async def note(
        self,
        outcomes: Sequence[ImportOutcome],
        *,
        at: datetime | None = None,
        next_attempt_at: datetime | None = None,
    ) -> None:
        """Record the outcome of an attempt, which has succeeded if any of its addresses has."""
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        error = " ".join(dict.fromkeys(errors)) or None
        if error and len(outcomes) > 1:
            error = f"{len(errors)} of {len(outcomes)} addresses: {error}"
        await self.transact(
            partial(
                note_attempt,
                feed=self.importer.name,
                at=at or datetime.now(UTC),
                error=error,
                has_succeeded=len(errors) < len(outcomes),
                next_attempt_at=next_attempt_at,
            )
        )

    async def _run(
        self, fetcher: Fetcher, address: str, observed_at: datetime | None
    ) -> ImportOutcome:
        state = await self.transact(
            partial(known_payload, feed=self.importer.name, address=address)
        )
        try:
            payload = await fetcher.fetch(
                address, Validators() if state is None else state.validators
            )
        except FetchFailed as failure:
            return ImportOutcome(
                address, error=f"The address {failure}.", retry_after=failure.retry_after
            )
        if payload is None:
            return ImportOutcome(address, is_unchanged=True)
        return await self.take(payload, address=address, observed_at=observed_at)

    def _findings(self, body: bytes) -> list[Finding]:
        """Parse a payload. Raises BrokenPayload also if none of its values has a known form."""
        findings = list(self.importer.parse(body, self.importer.places))
        damage = [
            finding for finding in findings if isinstance(finding, Refusal) and finding.is_damage
        ]
        if damage and len(damage) == len(findings):
            first = damage[0]
            raise BrokenPayload(
                f"has no value that can be read; the first is {first.place}, {first.what}:"
                f" {first.reason}"
            )
        return findings

    def _broken(self, payload: Payload, address: str, error: str) -> ImportOutcome:
        kept_payload = self._keep(payload, [error])
        return ImportOutcome(
            address, hashlib.sha256(payload.body).hexdigest(), error=error, kept=kept_payload
        )

    def _keep(self, payload: Payload, report: Sequence[str]) -> Path | None:
        return self.quarantine.keep(
            self.importer.name,
            payload.body,
            report,
            at=payload.fetched_at,
            with_body=not self.importer.has_personal_data,
        )

    async def _record(
        self,
        session: AsyncSession,
        *,
        payload: Payload,
        address: str,
        sha256: str,
        findings: Sequence[Finding],
        observed_at: datetime,
    ) -> ImportOutcome:
        """Record the values of a payload, and that it was read, in one transaction."""
        readings, contradictions = _settled(
            (finding for finding in findings if isinstance(finding, Reading)), observed_at
        )
        done = await self._record_readings(session, readings)
        refused = [finding for finding in findings if isinstance(finding, Refusal)]
        refused += contradictions + done.refused
        unknown = [finding for finding in findings if isinstance(finding, UnknownPlace)]
        await note_payload(
            session,
            ReadPayload(
                address=address,
                sha256=sha256,
                validators=payload.validators,
                read_at=payload.fetched_at,
                observed_at=done.observed_at,
                rows=done.recorded + done.duplicates,
                refused=refused,
                unknown_places=unknown,
            ),
            feed=self.importer.name,
            source_id=done.source_id,
            has_changed=done.recorded > 0,
        )
        damage = [finding for finding in refused if finding.is_damage]
        return ImportOutcome(
            address,
            sha256,
            recorded=done.recorded,
            duplicates=done.duplicates,
            source_id=done.source_id,
            refused=refused,
            unknown_places=unknown,
            kept=self._keep(payload, [describe(finding) for finding in damage]) if damage else None,
        )

    async def _record_readings(
        self, session: AsyncSession, readings: Sequence[Reading]
    ) -> _Recorded:
        """Record the readings except for those that are refused."""
        beyond = [
            Refusal(reading.place.label, reading.what, f"is beyond the first {AT_MOST} values")
            for reading in readings[AT_MOST:]
        ]
        done = await self._record_batch(session, readings[:AT_MOST])
        return replace(done, refused=beyond + done.refused)

    async def _record_batch(self, session: AsyncSession, readings: Sequence[Reading]) -> _Recorded:
        reporter = Reporter(
            key_id=None,
            name=self.importer.name,
            scopes=frozenset({KeyScope.OBSERVATIONS}),
        )
        refused: list[Refusal] = []
        remaining = list(readings)
        while remaining:
            try:
                result = await record_observations(
                    session,
                    reporter,
                    source=self.importer.source,
                    observations=[reading.observation for reading in remaining],
                    limits=self.limits,
                )
            except Invalid as problem:
                faults = _faults(problem)
                refused += [_refused(remaining[index], reason) for index, reason in faults.items()]
                remaining = [
                    reading for index, reading in enumerate(remaining) if index not in faults
                ]
            except Problem as problem:
                if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                # The problem concerns one crossing, such as a retired one: the others are recorded.
                return await self._record_by_crossing(session, remaining, refused, problem)
            else:
                assert isinstance(result.body, ObservationsOut)
                return _Recorded(
                    result.body.recorded,
                    result.body.duplicates,
                    result.body.source,
                    refused,
                    max(
                        reading.observation.observed_at
                        for reading in remaining
                        if reading.observation.observed_at
                    ),
                )
        return _Recorded(refused=refused)

    async def _record_by_crossing(
        self,
        session: AsyncSession,
        readings: Sequence[Reading],
        refused: Sequence[Refusal],
        problem: Problem,
    ) -> _Recorded:
        """Record the readings of each crossing apart, because ``problem`` prevents all at once."""
        by_crossing: defaultdict[str, list[Reading]] = defaultdict(list)
        for reading in readings:
            by_crossing[reading.observation.crossing].append(reading)
        if len(by_crossing) == 1:
            return _Recorded(
                refused=[*refused, *(_refused(reading, problem.detail) for reading in readings)]
            )
        parts = [await self._record_batch(session, group) for group in by_crossing.values()]
        return _Recorded(
            sum(part.recorded for part in parts),
            sum(part.duplicates for part in parts),
            next((part.source_id for part in parts if part.source_id), None),
            [*refused, *(refusal for part in parts for refusal in part.refused)],
            max((part.observed_at for part in parts if part.observed_at), default=None),
        )


def describe(finding: Refusal | UnknownPlace) -> str:
    """Return the fault of a value or a place as one line."""
    if isinstance(finding, UnknownPlace):
        reason = f": {finding.reason}" if finding.reason else ""
        return f"{finding.key} ({finding.name}){reason}" if finding.name else finding.key + reason
    value = "" if finding.value is None else f" “{finding.value}”"
    return f"{finding.place}, {finding.what}:{value} {finding.reason}"


def _settled(
    readings: Iterable[Reading], observed_at: datetime
) -> tuple[list[Reading], list[Refusal]]:
    """Give each reading its instant, and refuse those that contradict each other."""
    by_series: defaultdict[tuple[object, ...], list[Reading]] = defaultdict(list)
    for reading in readings:
        observation = reading.observation
        if observation.observed_at is None:
            observation = observation.model_copy(update={"observed_at": observed_at})
        by_series[_series(observation)].append(replace(reading, observation=observation))
    settled: list[Reading] = []
    refused: list[Refusal] = []
    for group in by_series.values():
        if all(reading.observation == group[0].observation for reading in group):
            settled.append(group[0])
        else:
            refused += [
                Refusal(
                    reading.place.label,
                    reading.what,
                    f"is contradicted by another value of {reading.observation.crossing}",
                    is_damage=True,
                )
                for reading in group
            ]
    return settled, refused


def _series(observation: ObservationIn) -> tuple[object, ...]:
    return (
        observation.crossing,
        observation.traffic,
        observation.to,
        observation.queue,
        observation.observed_at,
    )


def _faults(problem: Invalid) -> Mapping[int, str]:
    """Return the faults of the rows of a batch by index. Raises a problem of no single row."""
    faults: defaultdict[int, list[str]] = defaultdict(list)
    for error in problem.errors:
        if match := _ROW.fullmatch(error.field):
            faults[int(match[1])].append(" ".join(filter(None, [match[2], error.message])))
    if not faults:
        raise problem
    return {index: "; ".join(messages) for index, messages in faults.items()}


def _refused(reading: Reading, reason: str) -> Refusal:
    at = reading.observation.observed_at
    value = None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
    return Refusal(reading.place.label, reading.what, reason, value)
