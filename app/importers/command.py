"""One import by command: from the address of the feed, from another address, or from a file."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.config import Settings
from app.database.sessions import Transact
from app.errors import invalid
from app.http.bodies import Instant
from app.importers.fetching import MAX_BYTES, Fetcher, Payload
from app.importers.running import ImportOutcome, Runner, describe
from app.importers.schedule import quarantine, require_importer
from app.observations.recording import ObservationLimits
from app.validation import message_of

FILE = "file"
"""The address of every payload that was read from a file."""

_instant: TypeAdapter[datetime] = TypeAdapter(Instant)


async def import_once(
    transact: Transact,
    *,
    name: str,
    source: str | None,
    observed_at: str | None,
    settings: Settings,
) -> tuple[list[str], bool]:
    """Import a feed; return the lines of a report, and whether anything could not be read.

    Raises Invalid for a feed, a file or an instant that is not valid.
    """
    at = None if observed_at is None else _parse_instant(observed_at)
    try:
        importer = require_importer(name)
    except ValueError as error:
        raise invalid("name", str(error)) from error
    runner = Runner(importer, transact, quarantine(settings), ObservationLimits.of(settings))
    if source is None or source.startswith(("http://", "https://")):
        async with Fetcher() as fetcher:
            outcomes = await runner.run(
                fetcher, None if source is None else [source], observed_at=at
            )
        await runner.note(outcomes)
    else:
        payload = _read(Path(source))
        outcomes = [await runner.take(payload, address=FILE, observed_at=at)]
        # A file that cannot be read is not a failure of the feed.
        if not outcomes[0].has_failed:
            await runner.note(outcomes)
    return list(_report(outcomes)), any(outcome.has_failed for outcome in outcomes)


def _parse_instant(value: str) -> datetime:
    try:
        return _instant.validate_python(value)
    except ValidationError as error:
        raise invalid("observed-at", message_of(error.errors()[0])) from error


def _read(file: Path) -> Payload:
    try:
        with file.open("rb") as content:
            # One byte more than the limit, to detect a file that is too large.
            return Payload(content.read(MAX_BYTES + 1), datetime.now(UTC))
    except OSError as error:
        raise invalid("file", f"{file} cannot be read: {error.strerror}") from error


def _report(outcomes: Sequence[ImportOutcome]) -> Iterator[str]:
    for outcome in outcomes:
        if len(outcomes) > 1:
            yield f"{outcome.address}:"
        yield _summary(outcome)
        yield from _section("Refused", [describe(refusal) for refusal in outcome.refused])
        places = [describe(place) for place in outcome.unknown_places]
        yield from _section("Not among our crossings", places)
        if outcome.kept:
            yield f"Kept aside: {outcome.kept}"


def _summary(outcome: ImportOutcome) -> str:
    if outcome.error:
        return outcome.error
    if outcome.is_unchanged:
        return "Not changed since it was last read; nothing was recorded."
    recorded = f"{outcome.recorded} observations recorded"
    if outcome.policy.opened:
        recorded += f", {outcome.policy.opened} lanes declared open"
    if outcome.duplicates:
        recorded += f", {outcome.duplicates} known already"
    return f"{recorded}; {len(outcome.refused)} values refused."


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for line in lines)
