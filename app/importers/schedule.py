"""Import the enabled feeds periodically, in the one process that holds the lock."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from app.config import Settings
from app.database.connections import Connector
from app.database.monitor import OUTAGES, answer_within, reason
from app.database.sessions import OPTIONS, Transact
from app.importers.fetching import Fetcher
from app.importers.importer import Importer, importers
from app.importers.quarantine import Quarantine
from app.importers.running import ImportOutcome, Runner
from app.importers.state import next_attempt, plan_attempt
from app.observations.recording import ObservationLimits

IMPORT_LOCK = 0x494D504F5254  # any number, as long as every process takes the same
LONGEST_PAUSE = timedelta(hours=6)
"""The longest pause between attempts at a failing feed; pauses double up to this."""
JITTER = 0.1
"""A pause is longer by up to this share, so that installations do not fetch simultaneously."""

LOCK_SECONDS = 15.0
"""Seconds between attempts to take the lock, and between checks that it is still held."""
_ANSWER_SECONDS = 10.0

_REFUSALS = (IntegrityError, DataError, ProgrammingError)
"""Errors of a working database for values that it does not accept."""

_log = logging.getLogger(__name__)


def enabled_importers(settings: Settings) -> Mapping[str, Sequence[str] | None]:
    """Return the enabled feeds by name, each with the addresses to fetch instead of its own.

    Raises ValueError for a name that is no importer's.
    """
    enabled: dict[str, Sequence[str] | None] = {}
    for one in settings.enabled_importers:
        name, _, address = one.partition("=")
        require_importer(name)
        enabled[name] = [address] if address else None
    return enabled


def require_importer(name: str) -> Importer:
    """Return an importer by its name. Raises ValueError, which lists those that exist."""
    importer = importers().get(name)
    if importer is None:
        raise ValueError(f"There is no importer {name!r}. There are {', '.join(importers())}.")
    return importer


def quarantine(settings: Settings) -> Quarantine:
    return Quarantine(settings.data_dir / "feeds")


class ImportSchedule:
    """The imports of one process."""

    def __init__(
        self,
        settings: Settings,
        *,
        make_runner: Callable[[Importer, Transact, Quarantine, ObservationLimits], Runner] = Runner,
    ) -> None:
        self._make_runner = make_runner
        self._enabled = enabled_importers(settings)
        self._quarantine = quarantine(settings)
        self._limits = ObservationLimits.of(settings)

    async def run(self, transact: Transact, connector: Connector) -> None:
        """Import periodically, once no other process does. Raises when the database is lost."""
        if not self._enabled:
            return
        async with await connector(options=OPTIONS, autocommit=True) as connection:
            take = f"SELECT pg_try_advisory_lock({IMPORT_LOCK})".encode()
            while True:
                cursor = await answer_within(_ANSWER_SECONDS, connection.execute(take))
                if await cursor.fetchone() == (True,):
                    break
                await asyncio.sleep(LOCK_SECONDS)
            async with Fetcher() as fetcher, asyncio.TaskGroup() as tasks:
                for name, addresses in self._enabled.items():
                    importer = importers()[name]
                    runner = self._make_runner(importer, transact, self._quarantine, self._limits)
                    _ = tasks.create_task(self._repeat(runner, fetcher, addresses))
                # The lock is held by the connection: a process that lost it must stop importing.
                while True:
                    await answer_within(_ANSWER_SECONDS, connection.execute("SELECT"))
                    await asyncio.sleep(LOCK_SECONDS)

    async def _repeat(
        self, runner: Runner, fetcher: Fetcher, addresses: Sequence[str] | None
    ) -> None:
        """Import a feed whenever it is due."""
        name = runner.importer.name
        while True:
            due, failures = await runner.transact(partial(next_attempt, feed=name))
            if due is not None:
                await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
            # Planned in advance, so that the next process waits as long if this one ends meanwhile.
            planned = datetime.now(UTC) + runner.importer.interval
            await runner.transact(partial(plan_attempt, feed=name, at=planned))
            try:
                outcomes = await runner.run(fetcher, addresses)
            except _REFUSALS as refusal:
                _log.error("%s could not be recorded: %s", name, reason(refusal))
                outcomes = [ImportOutcome(name, error="The database refused the values.")]
            except OUTAGES:
                raise
            except Exception as error:  # noqa: BLE001  # a feed is no fault of the others
                detail = None if runner.importer.has_personal_data else error
                _log.exception("%s could not be imported", name, exc_info=detail)
                outcomes = [
                    ImportOutcome(name, error=f"The import failed: {type(error).__name__}.")
                ]
            for outcome in outcomes:
                if outcome.error:
                    _log.warning("%s: %s", name, outcome.error)
            now = datetime.now(UTC)
            pause = pause_after(outcomes, runner.importer.interval, failures)
            await runner.note(outcomes, at=now, next_attempt_at=now + pause)


def pause_after(
    outcomes: Sequence[ImportOutcome],
    interval: timedelta,
    failures: int,
    *,
    jitter: float | None = None,
) -> timedelta:
    """Return the pause after an attempt; ``failures`` is the number of failures before it.

    ``jitter`` is the share that is added to it, by default a random one.
    """
    pause = interval
    if all(outcome.has_failed for outcome in outcomes):
        # The exponent is bounded: a feed may fail for years.
        pause = min(max(interval, LONGEST_PAUSE), interval * 2 ** min(failures + 1, 16))
    requested = [outcome.retry_after for outcome in outcomes if outcome.retry_after is not None]
    pause = max([pause, *requested])
    share = random.uniform(0, JITTER) if jitter is None else jitter  # noqa: S311 -- no secret
    return pause * (1 + share)
